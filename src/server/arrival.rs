//! What happens between the accept and the first byte of HTTP: a proxy tells for whom it speaks, by version 1 or 2 of
//! the PROXY protocol (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>), then comes the TLS handshake.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsAcceptor;

use super::config::ProxyProtocol;
use super::listener::{Accepted, Terms};
use super::peers::Counted;
use super::socket::Version;
use super::stream::{Stream, Wire};
use crate::gateway::respond::Connection;
use crate::protocol::forwarding::Scheme;
use crate::tls::server::ServerTls;

/// How version 2 of the PROXY protocol begins.
const PROXY_V2: &[u8; PROXY_START_BYTES] = b"\r\n\r\n\0\r\nQUIT\n";

/// What tells the two versions apart; no header is shorter.
const PROXY_START_BYTES: usize = 12;

/// The longest header of version 1, by the specification.
const MAX_PROXY_V1_BYTES: usize = 107;

/// The longest header of version 2 with all that proxies add to it.
const MAX_PROXY_HEADER_BYTES: usize = 4 << 10;

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
            let told = tokio::time::timeout(terms.limits.first_byte, proxied(&mut wire)).await.ok()?;
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

/// Reads the header of the PROXY protocol, and not a byte more. `Some(None)` where the proxy speaks for itself, `None`
/// where there is no such header: from a trusted proxy that is a mistake, and may be an attempt.
async fn proxied(wire: &mut Wire) -> Option<Option<IpAddr>> {
    let mut header = [0; MAX_PROXY_HEADER_BYTES];
    let (start, _) = header.split_first_chunk_mut::<PROXY_START_BYTES>()?;
    wire.read_exact(start).await.ok()?;
    let length = if start == PROXY_V2 {
        let fixed = PROXY_START_BYTES + 4;
        wire.read_exact(header.get_mut(PROXY_START_BYTES..fixed)?).await.ok()?;
        let [high, low] = *header.get(fixed - 2..fixed)?.first_chunk()?;
        let length = fixed + usize::from(u16::from_be_bytes([high, low]));
        // Beyond the longest header there is nothing to read into.
        wire.read_exact(header.get_mut(fixed..length)?).await.ok()?;
        length
    } else {
        let mut length = PROXY_START_BYTES;
        while !header.get(..length)?.ends_with(b"\r\n") {
            if length == MAX_PROXY_V1_BYTES {
                return None;
            }
            wire.read_exact(header.get_mut(length..=length)?).await.ok()?;
            length += 1;
        }
        length
    };
    let config = ParseConfig { include_tlvs: false, allow_v1: true, allow_v2: true };
    let (parsed, _) = ProxyHeader::parse(header.get(..length)?, config).ok()?;
    Some(parsed.proxied_address().map(|address| address.source.ip().to_canonical()))
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
