//! What happens between the accept and the first byte of HTTP: a proxy tells for whom it speaks, then comes the TLS
//! handshake.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

use super::config::ProxyProtocol;
use super::listener::{Accepted, Terms};
use super::peers::Counted;
use super::proxy;
use super::socket::Version;
use super::stream::{Stream, Wire};
use crate::gateway::connection::Connection;
use crate::protocol::forwarding::Scheme;
use crate::tls::server::ServerTls;

/// A client that is ready to speak HTTP.
pub(super) struct Arrival {
    pub(super) stream: Stream,
    pub(super) connection: Connection,
    /// The version that both sides agreed on; `None` where nothing was said.
    pub(super) agreed: Option<Version>,
    /// Where connections are bounded by address, and this one is no trusted proxy's.
    pub(super) counted: Option<Counted>,
}

impl Arrival {
    /// Waits for what comes before HTTP. `None` for a client that does not get through it in time, or has too many
    /// connections: nobody else is concerned, and an answer would cost what the limit saves.
    pub(super) async fn receive(accepted: Accepted, terms: &Terms, worker: usize) -> Option<Self> {
        let Accepted { mut wire, peer } = accepted;
        // A local process counts as loopback.
        let mut peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let trust = &terms.rules.trust;
        if terms.proxy_protocol == ProxyProtocol::On && trust.trusts(peer) {
            let told = tokio::time::timeout(terms.limits.first_byte, proxy::read(&mut wire)).await.ok()?;
            peer = told?.unwrap_or(peer);
        }
        let trusted = trust.trusts(peer);
        let counted = match &terms.peers {
            // A proxy's connections are those of all its clients.
            Some(peers) if !trusted => Some(peers.count(peer)?),
            Some(_) | None => None,
        };
        let (stream, secured) = match &terms.tls {
            None => (Stream::Clear(wire), Secured::default()),
            Some(tls) => shake_hands(wire, tls, terms).await?,
        };
        let connection = Connection {
            worker,
            peer,
            peer_text: peer.to_string().into(),
            trusted,
            client_certificate: secured.client_certificate,
            scheme: if terms.tls.is_some() { Scheme::Https } else { Scheme::Http },
            rules: terms.rules.clone(),
        };
        Some(Self { stream, connection, agreed: secured.agreed, counted })
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
