//! What the gateway says about the client and the request, in metadata that it alone sets.
//!
//! `x-forwarded-for`, `-proto`, `-host` and `forwarded` (RFC 7239), `x-request-id`, `traceparent` and `tracestate`
//! (W3C Trace Context), and `user-agent`. gRPC's `user-agent` names the software that makes the call, which is
//! the gateway; the client's own is kept as `x-forwarded-user-agent`. What the client sent under these names is never
//! passed on as it came: [`super::metadata::request`] takes it away first.
//!
//! ```text
//! forwarded: for="[2001:db8::1]";host="api.example.com:8443";proto=https
//! traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//! ```

use std::io::Write;
use std::net::IpAddr;

use bytes::{BufMut, BytesMut};
use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_USER_AGENT: HeaderName = HeaderName::from_static("x-forwarded-user-agent");
/// The name under which the request's identifier travels, also back to the client.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

const SOFTWARE: HeaderValue = HeaderValue::from_static(concat!("lockgate/", env!("CARGO_PKG_VERSION")));

/// A longer `x-request-id` is replaced.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
const MAX_ADDRESS_BYTES: usize = 45;

/// How the client reached the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// As a URI begins with it.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What is known of the client and its request.
#[derive(Clone, Copy, Debug)]
pub struct Forwarding<'a> {
    /// The address that the connection came from.
    pub peer: IpAddr,
    /// Who was before the peer by what trusted proxies say, the client first; empty if the peer is the client. What a
    /// client said of itself is no part of it.
    pub chain: &'a [IpAddr],
    /// How the client came: to trusted proxies, if those say so, or else here.
    pub scheme: Scheme,
    /// `Host` or `:authority`, as it came.
    pub host: Option<&'a str>,
    pub request_id: &'a HeaderValue,
    pub trace: Trace,
}

/// Write all of it to `metadata`; `headers` are the client's.
pub fn forward(headers: &HeaderMap, forwarding: &Forwarding<'_>, metadata: &mut HeaderMap) {
    // One buffer for all the values: they are slices of it.
    let mut buffer = BytesMut::with_capacity(256);
    // What is no host's spelling came from the client and says nothing.
    let host = forwarding.host.filter(|host| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()));

    for address in forwarding.chain {
        buffer.put_slice(Address::of(*address).text());
        buffer.put_slice(b", ");
    }
    let address = Address::of(forwarding.peer);
    buffer.put_slice(address.text());
    insert(X_FORWARDED_FOR, &mut buffer, metadata);

    metadata.insert(X_FORWARDED_PROTO, HeaderValue::from_static(forwarding.scheme.text()));

    for address in forwarding.chain {
        write_for(&Address::of(*address), &mut buffer);
        buffer.put_slice(b", ");
    }
    write_forwarded(&address, host, forwarding.scheme, &mut buffer);
    insert(FORWARDED, &mut buffer, metadata);

    if let Some(host) = host {
        buffer.put_slice(host.as_bytes());
        insert(X_FORWARDED_HOST, &mut buffer, metadata);
    }

    // Of no use to a later call: kept out of the table of HPACK, which would lose for them what is the same each time.
    let mut request_id = forwarding.request_id.clone();
    request_id.set_sensitive(true);
    metadata.insert(X_REQUEST_ID, request_id);

    forwarding.trace.write(&mut buffer);
    insert(TRACEPARENT, &mut buffer, metadata);
    if let Some(traceparent) = metadata.get_mut(TRACEPARENT) {
        traceparent.set_sensitive(true);
    }
    if forwarding.trace.origin == Origin::Client {
        for value in headers.get_all(&TRACESTATE) {
            metadata.append(TRACESTATE, value.clone());
        }
    }

    metadata.insert(USER_AGENT, SOFTWARE);
    if let Some(value) = headers.get(USER_AGENT) {
        metadata.insert(X_FORWARDED_USER_AGENT, value.clone());
    }
}

/// The client's `x-request-id` if there is one and it is sane (1 to 128 of `A-Z a-z 0-9 . _ - : / + =`), otherwise
/// `random` in hexadecimal.
#[must_use]
pub fn request_id(headers: &HeaderMap, random: u128) -> HeaderValue {
    let mut values = headers.get_all(&X_REQUEST_ID).iter();
    if let (Some(value), None) = (values.next(), values.next())
        && is_sane_id(value.as_bytes())
    {
        return value.clone();
    }
    let mut buffer = BytesMut::with_capacity(32);
    put_hex(random.to_be_bytes(), &mut buffer);
    HeaderValue::from_maybe_shared(buffer.freeze()).expect("hexadecimal digits are legal in a header value")
}

fn is_sane_id(id: &[u8]) -> bool {
    let sane = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-:/+=".contains(byte);
    (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.iter().all(sane)
}

/// Where a trace began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the client or before it: its `traceparent` was valid.
    Client,
    /// Here.
    Gateway,
}

/// The trace that a request belongs to, and the gateway's own span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    pub trace_id: u128,
    /// The span that the upstream's will be children of.
    pub span_id: u64,
    /// Bit 0: sampled; bit 1: the trace id is random.
    pub flags: u8,
    pub origin: Origin,
}

impl Trace {
    /// The client's trace with `fresh`'s span, or else `fresh` as it is. An identifier must not be zero, so a zero
    /// becomes one.
    #[must_use]
    pub fn of(headers: &HeaderMap, fresh: Self) -> Self {
        let fresh = Self { trace_id: fresh.trace_id.max(1), span_id: fresh.span_id.max(1), ..fresh };
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return fresh };
        match parse_traceparent(value.as_bytes()) {
            Some((trace_id, flags)) => Self { trace_id, flags, span_id: fresh.span_id, origin: Origin::Client },
            None => fresh,
        }
    }

    fn write(self, out: &mut BytesMut) {
        out.put_slice(b"00-");
        put_hex(self.trace_id.to_be_bytes(), out);
        out.put_u8(b'-');
        put_hex(self.span_id.to_be_bytes(), out);
        out.put_u8(b'-');
        put_hex([self.flags], out);
    }
}

/// The trace id and the flags of `version-trace_id-parent_id-flags`. Versions after 00 may be longer.
fn parse_traceparent(text: &[u8]) -> Option<(u128, u8)> {
    let (version, rest) = text.split_at_checked(2)?;
    let (trace_id, rest) = rest.strip_prefix(b"-")?.split_at_checked(32)?;
    let (parent_id, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
    let (flags, rest) = rest.strip_prefix(b"-")?.split_at_checked(2)?;
    match (parse_hex(version)?, rest) {
        (0, []) => {}
        (1..=0xfe, [] | [b'-', ..]) => {}
        _ => return None,
    }
    let (trace_id, parent_id) = (parse_hex(trace_id)?, parse_hex(parent_id)?);
    // Only the two flags that are defined are passed on, as the specification asks.
    let flags = u8::try_from(parse_hex(flags)? & 0b11).ok()?;
    (trace_id != 0 && parent_id != 0).then_some((trace_id, flags))
}

/// Lower case only, by the specification; at most 32 digits.
fn parse_hex(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0_u128, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

fn put_hex<const N: usize>(bytes: [u8; N], out: &mut BytesMut) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + (nibble - 10) };
    for byte in bytes {
        out.put_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
}

/// An address as text; the peer's is printed once for two headers. An IPv4 address mapped into IPv6 is shown as what it is.
struct Address {
    ip: IpAddr,
    text: [u8; MAX_ADDRESS_BYTES],
    length: usize,
}

impl Address {
    fn of(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        let mut text = [0; MAX_ADDRESS_BYTES];
        let mut rest = text.as_mut_slice();
        write!(rest, "{ip}").expect("no address is longer than this");
        let length = MAX_ADDRESS_BYTES - rest.len();
        Self { ip, text, length }
    }

    fn text(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }
}

/// One element of RFC 7239, section 4: `for`, `host` where it is known, `proto`.
fn write_forwarded(address: &Address, host: Option<&str>, scheme: Scheme, out: &mut BytesMut) {
    write_for(address, out);
    if let Some(host) = host {
        out.put_slice(b";host=");
        write_token_or_quoted(host.as_bytes(), out);
    }
    out.put_slice(b";proto=");
    out.put_slice(scheme.text().as_bytes());
}

fn write_for(address: &Address, out: &mut BytesMut) {
    // Brackets and colons are no token characters, so section 6 wants quotes around IPv6.
    let (before, behind): (&[u8], &[u8]) = if address.ip.is_ipv6() { (b"for=\"[", b"]\"") } else { (b"for=", b"") };
    out.put_slice(before);
    out.put_slice(address.text());
    out.put_slice(behind);
}

fn write_token_or_quoted(text: &[u8], out: &mut BytesMut) {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if text.iter().all(token) {
        out.put_slice(text);
        return;
    }
    out.put_u8(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(byte);
    }
    out.put_u8(b'"');
}

/// What stands in the buffer as the value of this name.
fn insert(name: HeaderName, buffer: &mut BytesMut, metadata: &mut HeaderMap) {
    let value = HeaderValue::from_maybe_shared(buffer.split().freeze());
    metadata.insert(name, value.expect("it is made of visible ASCII and of values of headers"));
}

#[cfg(test)]
mod tests;
