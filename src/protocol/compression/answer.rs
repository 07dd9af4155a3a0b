//! The content coding of an answer: what the client takes (RFC 9110, section 12.5.3), and the body in it.
//!
//! Only bodies that are all there are compressed, and only where it helps: from a size on, and types that are text.
//! Streams go out as they come, since a compressor would hold messages back.

use std::io::Write;

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, VARY,
};

use super::Coding;

/// The effort of each coding: what a server can spend on every answer.
const GZIP_LEVEL: flate2::Compression = flate2::Compression::new(5);
const BROTLI_QUALITY: u32 = 4;
const ZSTD_LEVEL: i32 = 3;

/// The window of brotli, as a power of two.
const BROTLI_WINDOW: u32 = 22;

/// Members of `accept-encoding` that are looked at.
const MAX_MEMBERS: usize = 32;

impl Coding {
    /// Those for answers, the best first.
    const OFFERED: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// The body in the coding that the client likes best, with the headers that say so; the same body where none helps.
#[must_use]
pub fn compress(
    request: &HeaderMap,
    min_bytes: usize,
    status: StatusCode,
    headers: &mut HeaderMap,
    body: Bytes,
) -> Bytes {
    if body.len() < min_bytes || !may_compress(status, headers) {
        return body;
    }
    // A cache must not give one client's form to another.
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    let Some(coding) = negotiate(request) else { return body };
    let Ok(compressed) = encode(coding, &body) else { return body };
    if compressed.len() >= body.len() {
        return body;
    }
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    headers.remove(ACCEPT_RANGES);
    weaken(headers);
    compressed.into()
}

/// Whether the body may be in another form than the upstream gave it.
fn may_compress(status: StatusCode, headers: &HeaderMap) -> bool {
    let directives = || headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let transformable =
        !directives().flat_map(|text| text.split(',')).any(|word| word.trim().eq_ignore_ascii_case("no-transform"));
    let whole = status != StatusCode::PARTIAL_CONTENT && !headers.contains_key(CONTENT_RANGE);
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    transformable && whole && !headers.contains_key(CONTENT_ENCODING) && is_text(kind)
}

/// Whether a media type is text of some kind: images, archives and the like are compressed already.
fn is_text(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(&*essence, "application/json" | "application/xml" | "application/javascript" | "application/wasm")
}

/// The coding of highest quality; of equals the best. `None` for the body as it is.
fn negotiate(headers: &HeaderMap) -> Option<Coding> {
    let mut qualities = [None; Coding::OFFERED.len()];
    let (mut identity, mut rest) = (None, None);
    let members = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for member in members.flat_map(|text| text.split(',')).take(MAX_MEMBERS) {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let Some(quality) = quality(parts.next()) else { continue };
        match Coding::OFFERED.iter().position(|coding| name.eq_ignore_ascii_case(coding.name())) {
            Some(position) => qualities.iter_mut().skip(position).take(1).for_each(|known| *known = Some(quality)),
            None if name.eq_ignore_ascii_case("identity") => identity = Some(quality),
            None if name == "*" => rest = Some(quality),
            None => {}
        }
    }
    let offered = Coding::OFFERED.into_iter().zip(qualities).map(|(coding, own)| (coding, own.or(rest).unwrap_or(0)));
    // The first of equals.
    let (coding, best) = offered.rev().max_by_key(|(_, quality)| *quality)?;
    (best > 0 && best >= identity.unwrap_or(0)).then_some(coding)
}

/// `q=0.5` in thousandths; without it 1000.
fn quality(parameter: Option<&str>) -> Option<u16> {
    let Some(parameter) = parameter else { return Some(1000) };
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

fn encode(coding: Coding, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let out = Vec::with_capacity(body.len() / 2);
    match coding {
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(out, GZIP_LEVEL);
            encoder.write_all(body)?;
            encoder.finish()
        }
        Coding::Brotli => {
            let mut encoder =
                brotli::CompressorWriter::new(out, body.len().clamp(1, 64 << 10), BROTLI_QUALITY, BROTLI_WINDOW);
            encoder.write_all(body)?;
            encoder.flush()?;
            Ok(encoder.into_inner())
        }
        Coding::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL),
    }
}

/// The compressed form is not byte for byte what a strong validator says (RFC 9110, section 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else { return };
    let weak = [b"W/", tag.as_bytes()].concat();
    if let Ok(weak) = HeaderValue::from_bytes(&weak) {
        headers.insert(ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::compression::{Codings, decode_body};

    #[track_caller]
    fn check(accepted: &str, expected: Option<Coding>) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(accepted).unwrap());
        assert_eq!(negotiate(&headers), expected, "{accepted}");
    }

    #[test]
    fn the_client_chooses_by_quality_and_the_gateway_among_equals() {
        check("gzip", Some(Coding::Gzip));
        check("gzip, deflate, br, zstd", Some(Coding::Zstd));
        check("gzip;q=1.0, br;q=0.5", Some(Coding::Gzip));
        check("GZIP ; Q=0.3", Some(Coding::Gzip));
        check("*", Some(Coding::Zstd));
        check("*;q=0.5, zstd;q=0", Some(Coding::Brotli));
        check("br;q=0.2, identity;q=0.8", None);
        check("gzip;q=0", None);
        check("deflate", None);
        check("identity;q=0", None);
        check("gzip;q=2, br;q=0.1234, zstd;q=x", None);
        check("", None);
    }

    fn answer(accepted: &'static str, content_type: &'static str, body: &Bytes) -> (HeaderMap, Bytes) {
        let request = [(ACCEPT_ENCODING, HeaderValue::from_static(accepted))].into_iter().collect();
        let mut headers: HeaderMap = [(CONTENT_TYPE, HeaderValue::from_static(content_type))].into_iter().collect();
        headers.insert(ETAG, HeaderValue::from_static("\"a\""));
        let body = compress(&request, 100, StatusCode::OK, &mut headers, body.clone());
        (headers, body)
    }

    #[test]
    fn every_coding_comes_back_as_it_was() {
        let body = Bytes::from("{\"a\":\"lock\"}".repeat(100));
        for coding in Coding::OFFERED {
            let (headers, compressed) = answer(coding.name(), "application/json", &body);
            assert_eq!(headers.get(CONTENT_ENCODING).unwrap(), coding.name());
            assert_eq!(headers.get(VARY).unwrap(), "accept-encoding");
            assert_eq!(headers.get(ETAG).unwrap(), "W/\"a\"");
            assert!(compressed.len() < body.len() / 2);
            assert_eq!(decode_body(&Codings::of(&headers).unwrap(), compressed, 1 << 20, u32::MAX).unwrap(), body);
        }
    }

    #[test]
    fn what_is_small_or_no_text_stays_as_it_is() {
        let small = Bytes::from("a".repeat(99));
        let large = Bytes::from("a".repeat(100));
        assert_eq!(answer("gzip", "application/json", &small).1, small);
        assert_ne!(answer("gzip", "application/problem+json", &large).1, large);
        assert_eq!(answer("gzip", "image/png", &large).1, large);
        assert_eq!(answer("br;q=0", "application/json", &large).1, large);
    }
}
