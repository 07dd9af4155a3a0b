//! Listening sockets: one a worker for TCP, one for all of them for a socket in the file system.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::config::{Address, Config, Limits, ProxyProtocol};
use super::peers::Peers;
use super::stream::{Local, Wire};
use crate::call::BodyLimits;
use crate::gateway::head::Rules;
use crate::tls::TlsError;
use crate::tls::server::ServerTls;

/// Connections that wait to be accepted, per socket.
const BACKLOG: i32 = 1024;

/// A silent client is probed after this time.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Why a listener can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("listener {name:?}: can't listen on {address}: {source}")]
    Address { name: String, address: String, source: io::Error },
    #[error("listener {name:?}: {source}")]
    Tls { name: String, source: TlsError },
}

/// A listener that is open: the sockets of all workers.
#[derive(Debug)]
pub struct Bound {
    terms: Arc<Terms>,
    sockets: Vec<Raw>,
    /// Where it listens, as it is told.
    shown: String,
    local: Option<SocketAddr>,
    /// Removed once the listener is gone, if it is still the one that was made.
    unix: Option<(PathBuf, Option<(u64, u64)>)>,
}

#[derive(Debug)]
enum Raw {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// One worker's end of a listener.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: Accepting,
    pub(super) terms: Arc<Terms>,
}

/// What holds for the connections of a listener, shared by all workers.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) limits: Limits,
    pub(super) rules: Arc<Rules>,
    pub(super) proxy_protocol: ProxyProtocol,
    /// Where connections are bounded by address.
    pub(super) peers: Option<Arc<Peers>>,
    pub(super) tls: Option<Arc<ServerTls>>,
    /// Connections that are open, over all workers.
    pub(super) open: Arc<AtomicUsize>,
    pub(super) name: String,
}

#[derive(Debug)]
pub(super) enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) wire: Wire,
    /// `None` for a local process.
    pub(super) peer: Option<IpAddr>,
}

impl Bound {
    /// Opens the sockets of this number of workers.
    ///
    /// # Errors
    /// If the address is taken, or may not be used, or if a file of its TLS is not good.
    pub fn open(config: &Config, workers: usize) -> Result<Self, OpenError> {
        let workers = workers.max(1);
        let tls = config.tls.clone().map(ServerTls::load).transpose();
        let tls = tls.map_err(|source| OpenError::Tls { name: config.name.clone(), source })?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let failed = |address: String| {
            let name = config.name.clone();
            move |source| OpenError::Address { name, address, source }
        };
        let (sockets, shown, local, unix) = match &config.address {
            Address::Tcp(address) => {
                let sockets = bind_tcp(*address, workers).map_err(failed(address.to_string()))?;
                let local = sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(*address);
                (sockets.into_iter().map(Raw::Tcp).collect(), format!("{scheme}://{local}"), Some(local), None)
            }
            Address::Unix(path) => {
                let sockets = bind_unix(path, workers).map_err(failed(path.display().to_string()))?;
                let shown = format!("unix:{}", path.display());
                (sockets.into_iter().map(Raw::Unix).collect(), shown, None, Some((path.clone(), identity(path))))
            }
        };
        let terms = Terms::new(config, tls.map(Arc::new));
        Ok(Self { terms: Arc::new(terms), sockets, shown, local, unix })
    }

    /// Where it listens and its name, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} ({})", self.shown, self.terms.name)
    }

    /// Where it listens, if that is an address.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }

    /// The name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.terms.name
    }

    /// Its TLS, if it has any.
    #[must_use]
    pub fn tls(&self) -> Option<&Arc<ServerTls>> {
        self.terms.tls.as_ref()
    }

    /// Takes the socket of one worker out.
    pub fn take(&mut self) -> Option<Unregistered> {
        self.sockets.pop().map(|raw| Unregistered { raw, terms: self.terms.clone() })
    }
}

impl Terms {
    fn new(config: &Config, tls: Option<Arc<ServerTls>>) -> Self {
        let limits = config.limits.clone();
        let rules = Rules {
            body: BodyLimits::new(limits.body_bytes, limits.body_ratio, limits.body_timeout, limits.buffered_bytes),
            max_header_bytes: limits.header_bytes,
            trust: config.trust.clone(),
            addresses: config.addresses.clone(),
            underscores: config.underscores,
            redirect: config.redirect,
        };
        Self {
            rules: Arc::new(rules),
            proxy_protocol: config.proxy_protocol,
            peers: limits.per_ip.map(|limit| Arc::new(Peers::new(limit))),
            limits,
            tls,
            open: Arc::default(),
            name: config.name.clone(),
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some((path, made)) = &self.unix
            && identity(path) == *made
        {
            // Gone already: there is nothing left to do.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A worker's socket on its way to the worker's thread.
#[derive(Debug)]
pub struct Unregistered {
    raw: Raw,
    terms: Arc<Terms>,
}

impl Unregistered {
    /// Registers the socket with the runtime of this thread.
    ///
    /// # Errors
    /// If the runtime can't take it.
    pub fn register(self) -> io::Result<Listener> {
        let socket = match self.raw {
            Raw::Tcp(socket) => Accepting::Tcp(TcpListener::from_std(socket)?),
            Raw::Unix(socket) => Accepting::Unix(UnixListener::from_std(socket)?),
        };
        Ok(Listener { socket, terms: self.terms })
    }
}

/// A socket a worker on one address; a port of 0 is chosen once for all.
fn bind_tcp(mut address: SocketAddr, workers: usize) -> io::Result<Vec<std::net::TcpListener>> {
    if workers > 1 {
        // Sockets that share a port also share it with those of another process: this one does not, and finds out.
        let alone = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        alone.set_reuse_address(true)?;
        alone.bind(&address.into())?;
        alone.listen(1)?;
        address = alone.local_addr()?.as_socket().unwrap_or(address);
    }
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if workers > 1 {
            socket.set_reuse_port(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket: std::net::TcpListener = socket.into();
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// One socket, shared by all workers. A socket that a dead process left is replaced; nothing else is.
fn bind_unix(path: &Path, workers: usize) -> io::Result<Vec<std::os::unix::net::UnixListener>> {
    use std::os::unix::net::UnixListener;
    let socket = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    socket.set_nonblocking(true)?;
    let mut sockets = Vec::with_capacity(workers);
    for _ in 1..workers {
        sockets.push(socket.try_clone()?);
    }
    sockets.push(socket);
    Ok(sockets)
}

/// Whether it is a socket that nobody listens on.
fn is_abandoned(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let refused = std::os::unix::net::UnixStream::connect(path).map_err(|error| error.kind());
    is_socket && refused.err() == Some(io::ErrorKind::ConnectionRefused)
}

/// What tells a file from another that took its name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Accepting {
    /// Connections that the kernel has accepted by now. Closing the socket would reset them.
    pub(super) fn accept_rest(self, write_stall: Duration) -> Vec<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let Ok(listener) = listener.into_std() else { return Vec::new() };
                let accept = || {
                    let (stream, peer) = listener.accept().ok()?;
                    stream.set_nonblocking(true).ok()?;
                    Some(Accepted::tcp(TcpStream::from_std(stream).ok()?, peer))
                };
                std::iter::from_fn(accept).collect()
            }
            Self::Unix(listener) => {
                let Ok(listener) = listener.into_std() else { return Vec::new() };
                let accept = || {
                    let (stream, _) = listener.accept().ok()?;
                    stream.set_nonblocking(true).ok()?;
                    Some(Accepted::unix(UnixStream::from_std(stream).ok()?, write_stall))
                };
                std::iter::from_fn(accept).collect()
            }
        }
    }

    /// The next connection, which is reset once the client takes nothing for so long.
    pub(super) async fn accept(&self, write_stall: Duration) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let socket = SockRef::from(&stream);
                socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
                socket.set_tcp_user_timeout(Some(write_stall))?;
                Ok(Accepted::tcp(stream, peer))
            }
            Self::Unix(listener) => Ok(Accepted::unix(listener.accept().await?.0, write_stall)),
        }
    }
}

impl Accepted {
    fn tcp(stream: TcpStream, peer: SocketAddr) -> Self {
        Self { wire: Wire::Tcp(stream), peer: Some(peer.ip().to_canonical()) }
    }

    fn unix(stream: UnixStream, write_stall: Duration) -> Self {
        Self { wire: Wire::Local(Local::new(stream, write_stall)), peer: None }
    }
}
