//! What a configuration says of one listener, checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::gateway::head::{Redirect, Underscores};
use crate::protocol::client_address::{AddressRules, Trust};
use crate::tls;

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name in the configuration.
    pub name: String,
    pub address: Address,
    /// `None`: in the clear.
    pub tls: Option<tls::server::Config>,
    /// Which proxies are believed.
    pub trust: Trust,
    pub proxy_protocol: ProxyProtocol,
    pub addresses: AddressRules,
    pub underscores: Underscores,
    /// Where everything is sent instead of being served.
    pub redirect: Option<Redirect>,
    pub limits: Limits,
}

/// Whether trusted proxies begin a connection by telling whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    #[default]
    Off,
    On,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// The bounds of a listener's connections and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, over all workers.
    pub connections: usize,
    /// Of those, from one address, or from one /64 of IPv6; `None`: as many as there are.
    pub per_ip: Option<usize>,
    /// All header fields of a request, in bytes.
    pub header_bytes: usize,
    /// A request's body, in bytes, before and after decompression; for a streamed one, each message.
    pub body_bytes: usize,
    /// How many times its own size a compressed body may have, beyond what is free.
    pub body_ratio: u32,
    /// Of bodies that are read whole, in bytes, at a time and over all workers.
    pub buffered_bytes: usize,
    /// The whole TLS handshake.
    pub handshake_timeout: Duration,
    /// From the accept, or the end of the handshake, to the first byte of the first request.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its headers.
    pub header_timeout: Duration,
    /// The whole body; for a streamed one, between messages.
    pub body_timeout: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub write_stall: Duration,
    /// How long a connection is kept; the requests that it has by then are still answered.
    pub age: Duration,
    /// A connection without a request.
    pub idle: Duration,
    /// HTTP/2 streams of one connection at a time.
    pub streams: u32,
}

impl Config {
    /// A listener in the clear with the usual bounds.
    #[must_use]
    pub fn new(name: String, address: Address) -> Self {
        Self {
            name,
            address,
            tls: None,
            trust: Trust::default(),
            proxy_protocol: ProxyProtocol::default(),
            addresses: AddressRules::default(),
            underscores: Underscores::default(),
            redirect: None,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            per_ip: None,
            header_bytes: 32 << 10,
            body_bytes: 4 << 20,
            body_ratio: 100,
            buffered_bytes: 256 << 20,
            handshake_timeout: Duration::from_secs(5),
            first_byte: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            age: Duration::from_secs(3600),
            idle: Duration::from_secs(120),
            streams: 128,
        }
    }
}
