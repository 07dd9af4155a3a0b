//! What a proxy says before anything else: for whom it speaks, by version 1 or 2 of the PROXY protocol
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! ```text
//! PROXY TCP4 203.0.113.7 198.51.100.2 56324 443\r\n
//! ```

use std::net::IpAddr;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How version 2 begins.
const V2: &[u8; START_BYTES] = b"\r\n\r\n\0\r\nQUIT\n";

/// What tells the two versions apart; no header is shorter.
const START_BYTES: usize = 12;

/// The longest header of version 1, by the specification.
const MAX_V1_BYTES: usize = 107;

/// The longest header of version 2 with all that proxies add to it.
pub const MAX_BYTES: usize = 4 << 10;

/// Reads the header, and not a byte more. `Some(None)` where the proxy speaks for itself, `None` where there is no such
/// header: from a trusted proxy that is a mistake, and may be an attempt.
pub async fn read(wire: &mut (impl AsyncRead + Unpin)) -> Option<Option<IpAddr>> {
    let mut header = [0; MAX_BYTES];
    let (start, _) = header.split_first_chunk_mut::<START_BYTES>()?;
    wire.read_exact(start).await.ok()?;
    let length = if start == V2 {
        let fixed = START_BYTES + 4;
        wire.read_exact(header.get_mut(START_BYTES..fixed)?).await.ok()?;
        let [high, low] = *header.get(fixed - 2..fixed)?.first_chunk()?;
        let length = fixed + usize::from(u16::from_be_bytes([high, low]));
        // Beyond the longest header there is nothing to read into.
        wire.read_exact(header.get_mut(fixed..length)?).await.ok()?;
        length
    } else {
        let mut length = START_BYTES;
        while !header.get(..length)?.ends_with(b"\r\n") {
            if length == MAX_V1_BYTES {
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
