//! Where requests come from: a connection of the server, and the client behind it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;
use rustls::pki_types::CertificateDer;

use super::head::Rules;
use crate::protocol::forwarding::Scheme;

/// What the server knows of a request's connection.
#[derive(Debug)]
pub struct Connection {
    /// The worker that serves it.
    pub worker: usize,
    /// Where it comes from: the client, or a proxy before it.
    pub peer: IpAddr,
    /// The same as text.
    pub peer_text: Box<str>,
    /// Whether what the peer says of its own clients is believed.
    pub trusted: bool,
    /// The DER of the certificate that the client has shown, once it is verified.
    pub client_certificate: Option<Arc<[u8]>>,
    pub scheme: Scheme,
    /// What its listener holds requests to.
    pub rules: Arc<Rules>,
}

impl Connection {
    /// The certificate that the client showed, verified.
    pub(super) fn certificate(&self) -> Option<CertificateDer<'_>> {
        self.client_certificate.as_deref().map(CertificateDer::from)
    }
}

/// Where a request comes from.
#[derive(Clone, Copy)]
pub(super) struct Calling<'a> {
    /// The client's address.
    pub(super) address: IpAddr,
    /// The same as text.
    pub(super) text: &'a str,
    /// When the request came.
    pub(super) time: SystemTime,
    pub(super) request_id: &'a HeaderValue,
    pub(super) connection: &'a Connection,
}
