//! One HTTP/2 connection to one server of an upstream.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::UpstreamError;
use super::config::{Address, Config};

/// How much of one answer may wait to be read: what a client that does not read holds in memory.
const STREAM_WINDOW: u32 = 1 << 20;

/// All answers of a connection together. It is no bound of its own, so that clients that do not read can't hold up
/// others: streams are bounded by their number and by [`STREAM_WINDOW`].
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// The largest frame that a server may send: a message of this size arrives in one piece.
const MAX_FRAME_BYTES: u32 = 1 << 20;

/// The largest head or trailers of an answer. Error details travel in trailers.
const MAX_HEADER_LIST_BYTES: u32 = 128 << 10;

/// Streams that a server is assumed to allow before it says how many.
const ASSUMED_MAX_STREAMS: usize = 100;

/// Streams that were cancelled here and may still receive frames: h2 would end the connection beyond them.
const MAX_CANCELLED_STREAMS: usize = 2000;

/// How long such streams are remembered.
const CANCELLED_FOR: Duration = Duration::from_secs(10);

/// A silent peer is probed after this time, and given up after [`UNACKNOWLEDGED_FOR`].
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED_FOR: Duration = Duration::from_secs(20);

/// How to connect to one address.
#[derive(Clone, Debug)]
pub(super) struct Connector(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: Address,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    timeout: Duration,
}

/// Why a server can't be reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("connecting to {address} failed: {source}")]
    Io { address: String, source: io::Error },
    #[error("connecting to {address} took longer than {timeout:?}")]
    Timeout { address: String, timeout: Duration },
    #[error("HTTP/2 with {address} failed: {source}")]
    Http2 { address: String, source: h2::Error },
}

/// A connection that calls can be sent on.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    closed: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
}

impl Connector {
    pub(super) fn new(
        address: Address,
        config: &Config,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, UpstreamError> {
        let named = config.tls.as_ref().and_then(|tls| tls.server_name.clone());
        let name = named.unwrap_or_else(|| match &address {
            Address::Tcp { host, .. } => host.clone(),
            Address::Unix(_) => "localhost".into(),
        });
        let tls = match tls {
            None => None,
            Some(client) => {
                let refused = |_| UpstreamError::Authority { name: config.name.clone(), address: name.clone() };
                Some((client, ServerName::try_from(name.clone()).map_err(refused)?))
            }
        };
        Ok(Self(Arc::new(Inner { address, tls, timeout: config.connect_timeout })))
    }

    /// Connects within the configured time.
    pub(super) async fn connect(self) -> Result<Connection, ConnectError> {
        let Inner { address, timeout, .. } = &*self.0;
        match tokio::time::timeout(*timeout, self.connect_unbounded()).await {
            Ok(connected) => connected,
            Err(_) => Err(ConnectError::Timeout { address: address.authority(), timeout: *timeout }),
        }
    }

    async fn connect_unbounded(&self) -> Result<Connection, ConnectError> {
        let Inner { address, tls, .. } = &*self.0;
        let failed = |source| ConnectError::Io { address: address.authority(), source };
        match address {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
                tune(&stream).map_err(failed)?;
                match tls {
                    None => self.handshake(stream).await,
                    Some((client, name)) => {
                        let connecting = TlsConnector::from(client.clone()).connect(name.clone(), stream);
                        self.handshake(connecting.await.map_err(failed)?).await
                    }
                }
            }
            Address::Unix(path) => self.connect_unix(path).await,
        }
    }

    async fn connect_unix(&self, path: &Path) -> Result<Connection, ConnectError> {
        let failed = |source| ConnectError::Io { address: path.display().to_string(), source };
        self.handshake(UnixStream::connect(path).await.map_err(failed)?).await
    }

    async fn handshake<T>(&self, stream: T) -> Result<Connection, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME_BYTES)
            .max_header_list_size(MAX_HEADER_LIST_BYTES)
            .initial_max_send_streams(ASSUMED_MAX_STREAMS)
            .max_concurrent_reset_streams(MAX_CANCELLED_STREAMS)
            .reset_stream_duration(CANCELLED_FOR)
            .max_local_error_reset_streams(None)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(|source| ConnectError::Http2 { address: self.0.address.authority(), source })?;
        let closed = Arc::new(AtomicBool::new(false));
        let ended = closed.clone();
        // Ends by itself once the server closes, or the last handle and call are dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an upstream connection broke");
            }
            ended.store(true, Ordering::Release);
        });
        Ok(Connection { sender, closed, calls: Arc::default() })
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_FOR))
}

impl Connection {
    /// Whether calls can begin on it, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    /// Whether one more call fits below the number that the server allows.
    pub(super) fn has_room(&self) -> bool {
        let calls = self.calls.load(Ordering::Relaxed);
        calls == 0 || calls < self.sender.current_max_send_streams()
    }

    /// Lets no further call begin; those that run go on.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Counts a call, until the counter is taken down again.
    pub(super) fn count_call(&self) -> Arc<AtomicUsize> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.calls.clone()
    }

    /// Sends the head of a call.
    pub(super) fn begin(&self, request: Request<()>) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.sender.clone().send_request(request, false)
    }
}
