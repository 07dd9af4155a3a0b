//! What happens between the accept and the first byte of HTTP: the TLS handshake, and what is known of the client after
//! it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

use super::listener::{Accepted, Terms};
use super::socket::Version;
use super::stream::{Stream, Wire};
use crate::call::BodyLimits;
use crate::gateway::respond::Connection;
use crate::protocol::forwarding::Scheme;
use crate::tls::server::ServerTls;

/// A client that is ready to speak HTTP.
pub(super) struct Arrival {
    pub(super) stream: Stream,
    pub(super) connection: Connection,
    /// The version that both sides agreed on; `None` where nothing was said.
    pub(super) agreed: Option<Version>,
}

impl Arrival {
    /// Waits for the handshake. `None` for a client that does not get through it in time: nobody else is concerned.
    pub(super) async fn receive(accepted: Accepted, terms: &Terms, worker: usize) -> Option<Self> {
        let Accepted { wire, peer } = accepted;
        let (stream, secured) = match &terms.tls {
            None => (Stream::Clear(wire), Secured::default()),
            Some(tls) => shake_hands(wire, tls, terms).await?,
        };
        let limits = &terms.limits;
        // A local process counts as loopback.
        let client = peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let connection = Connection {
            worker,
            client,
            client_text: client.to_string().into(),
            client_certificate: secured.client_certificate,
            scheme: if terms.tls.is_some() { Scheme::Https } else { Scheme::Http },
            max_header_bytes: limits.header_bytes,
            limits: BodyLimits { max_bytes: limits.body_bytes, timeout: limits.body_timeout },
        };
        Some(Self { stream, connection, agreed: secured.agreed })
    }
}

/// What a handshake came to.
#[derive(Default)]
struct Secured {
    agreed: Option<Version>,
    client_certificate: Option<Arc<[u8]>>,
}

async fn shake_hands(wire: Wire, tls: &ServerTls, terms: &Terms) -> Option<(Stream, Secured)> {
    let shaking = TlsAcceptor::from(tls.current()).accept(wire);
    let stream = match tokio::time::timeout(terms.limits.handshake_timeout, shaking).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(listener = terms.name, %error, "a TLS handshake failed");
            return None;
        }
        Err(_) => return None,
    };
    let (_, session) = stream.get_ref();
    let secured = Secured {
        agreed: match session.alpn_protocol() {
            Some(b"h2") => Some(Version::Http2),
            Some(_) => Some(Version::Http1),
            None => None,
        },
        client_certificate: session.peer_certificates().and_then(<[_]>::first).map(|leaf| leaf.as_ref().into()),
    };
    Some((Stream::Tls(Box::new(stream)), secured))
}
