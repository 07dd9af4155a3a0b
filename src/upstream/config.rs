//! What a configuration says of one upstream, checked.

use std::path::PathBuf;
use std::time::Duration;

/// The largest message of an answer where nothing else is said.
pub const DEFAULT_MAX_RESPONSE_BYTES: usize = 4 << 20;

/// The largest JSON that one message of an answer may print as, where nothing else is said.
pub const DEFAULT_MAX_PRINT_BYTES: usize = 64 << 20;

/// One upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name by which the rest of the configuration speaks of it.
    pub name: String,
    /// The services that it serves: full names, or `package.*`. `None`: every service that no other upstream names.
    pub services: Option<Vec<String>>,
    /// Where it listens; calls go to them in turn.
    pub addresses: Vec<Address>,
    /// How it is spoken to.
    pub tls: Option<TlsConfig>,
    /// The largest message of an answer, in bytes on the wire.
    pub max_response_bytes: usize,
    /// The largest JSON that one message may print as, in bytes.
    pub max_print_bytes: usize,
    /// Connections per worker and address.
    pub connections_per_worker: usize,
    /// Calls in flight, over all workers.
    pub max_requests: usize,
    /// How long connecting, TLS included, may take.
    pub connect_timeout: Duration,
}

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A host name or an IP address, and a port.
    Tcp { host: String, port: u16 },
    /// A socket in the file system.
    Unix(PathBuf),
}

/// TLS towards an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file of the authorities to trust; `None` for the system's.
    pub ca: Option<PathBuf>,
    /// The name that the certificate must have, where it is not the address' host.
    pub server_name: Option<String>,
    /// PEM files of the certificate chain and key to show.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Config {
    /// An upstream with every bound at its default.
    #[must_use]
    pub fn new(name: impl Into<String>, addresses: Vec<Address>) -> Self {
        Self {
            name: name.into(),
            services: None,
            addresses,
            tls: None,
            max_response_bytes: DEFAULT_MAX_RESPONSE_BYTES,
            max_print_bytes: DEFAULT_MAX_PRINT_BYTES,
            connections_per_worker: 1,
            max_requests: 1024,
            connect_timeout: Duration::from_secs(2),
        }
    }
}

impl Address {
    /// What `:authority` says of it.
    pub(super) fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".into(),
        }
    }
}
