//! Headers as metadata and metadata as headers.
//!
//! Request headers become metadata except what belongs to one connection (RFC 9110, section 7.6.1), what describes the
//! body, what is gRPC's own, and what the gateway itself sets, which is taken away before the rules are asked.
//! Metadata of an answer becomes headers by the same measure. Values of names that end in `-bin` are base64 on both
//! sides: gRPC wants it without padding, joins values with commas and forgives what its peers do; a REST client gets
//! the canonical form.

use base64::engine::general_purpose::{GeneralPurpose, PAD_INDIFFERENT};
use base64::{Engine, alphabet};
use bytes::{BufMut, BytesMut};
use http::StatusCode;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;
use thiserror::Error;

use crate::status::{Blame, Code, Status};

/// The metadata by which an upstream sets the HTTP status of its answer.
const HTTP_CODE: HeaderName = HeaderName::from_static("x-http-code");

const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PAD_INDIFFERENT);

/// How much metadata one request may carry upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Values, each repetition of a name counted.
    pub max_count: usize,
    /// Names and values together.
    pub max_bytes: usize,
}

impl Default for Bounds {
    /// 128 values, 32 KiB: what a listener lets in.
    fn default() -> Self {
        Self { max_count: 128, max_bytes: 32 * 1024 }
    }
}

/// Which headers pass in one direction: all, or those allowed, and none of those denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules {
    allow: Option<Box<[Pattern]>>,
    deny: Box<[Pattern]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Name(HeaderName),
    /// In lower case, without the `*`.
    Prefix(Box<str>),
}

/// An entry of a rule list that names no header.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{entry}` is not a header: expected a name such as `x-tenant`, or a prefix such as `x-tenant-*`")]
pub struct HeaderRuleError {
    /// The entry as it was written.
    pub entry: String,
}

impl HeaderRules {
    /// Compile the lists; an absent `allow` lets everything pass that `deny` does not name.
    ///
    /// # Errors
    /// Every entry that is neither a header name nor a name and `*`.
    pub fn compile(allow: Option<&[String]>, deny: &[String]) -> Result<Self, Vec<HeaderRuleError>> {
        let mut errors = Vec::new();
        let mut list = |entries: &[String]| -> Box<[Pattern]> {
            entries.iter().filter_map(|entry| Pattern::parse(entry).map_err(|error| errors.push(error)).ok()).collect()
        };
        let rules = Self { allow: allow.map(&mut list), deny: list(deny) };
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }

    /// Whether a header of this name passes.
    #[must_use]
    pub fn passes(&self, name: &HeaderName) -> bool {
        let listed = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        self.allow.as_deref().is_none_or(listed) && !listed(&self.deny)
    }
}

impl Pattern {
    fn parse(entry: &str) -> Result<Self, HeaderRuleError> {
        let error = || HeaderRuleError { entry: entry.to_owned() };
        let Some(prefix) = entry.strip_suffix('*') else {
            return entry.parse().map(Self::Name).map_err(|_| error());
        };
        if prefix.is_empty() {
            return Ok(Self::Prefix("".into()));
        }
        let prefix: HeaderName = prefix.parse().map_err(|_| error())?;
        Ok(Self::Prefix(prefix.as_str().into()))
    }

    fn matches(&self, name: &HeaderName) -> bool {
        match self {
            Self::Name(expected) => expected == name,
            Self::Prefix(prefix) => name.as_str().starts_with(&**prefix),
        }
    }
}

/// The headers of a request that become metadata, appended to `metadata`.
///
/// # Errors
/// 400 for a `-bin` value that is not base64, 431 beyond the bounds.
pub fn request(
    headers: &HeaderMap,
    rules: &HeaderRules,
    bounds: Bounds,
    metadata: &mut HeaderMap,
) -> Result<(), Status> {
    let connection = named_in_connection(headers);
    let (mut count, mut size) = (0_usize, 0_usize);
    for (name, value) in headers {
        let text = name.as_str();
        if !is_legal(name, value) {
            // gRPC has no way to say it, and servers refuse the whole call for it.
            continue;
        }
        if stays_here(text) || !rules.passes(name) || connection.iter().any(|token| token.eq_ignore_ascii_case(text)) {
            continue;
        }
        count += 1;
        size = size.saturating_add(text.len()).saturating_add(value.len());
        if count > bounds.max_count || size > bounds.max_bytes {
            return Err(too_large());
        }
        if text.ends_with("-bin") {
            append_binary(name, value, metadata)?;
        } else {
            metadata.append(name, value.clone());
        }
    }
    Ok(())
}

/// The metadata of an answer, initial or trailing, that becomes headers, appended to `headers`.
///
/// Returns what the upstream asks of the HTTP status. A `-bin` value that is not base64 is left out: it costs neither
/// the answer nor the other values.
pub fn response(metadata: &HeaderMap, rules: &HeaderRules, headers: &mut HeaderMap) -> StatusOverride {
    let mut status = StatusOverride::None;
    for (name, value) in metadata {
        let text = name.as_str();
        if *name == HTTP_CODE {
            status = status.or_later(StatusOverride::parse(value));
        } else if stays_upstream(text) || !rules.passes(name) {
            // What describes the upstream's own connection and framing says nothing to a REST client.
        } else if text.ends_with("-bin") {
            append_canonical(name, value, headers);
        } else {
            headers.append(name, value.clone());
        }
    }
    status
}

/// What an upstream asks of the HTTP status of its answer, by the metadata `x-http-code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusOverride {
    /// It did not ask.
    None,
    /// It asked for a status that it may set: 2xx or 3xx.
    Set(StatusCode),
    /// It asked for anything else, which is passed over and counted.
    Ignored,
}

impl StatusOverride {
    fn parse(value: &HeaderValue) -> Self {
        match StatusCode::from_bytes(value.as_bytes()) {
            Ok(status) if status.is_success() || status.is_redirection() => Self::Set(status),
            Ok(_) | Err(_) => Self::Ignored,
        }
    }

    /// What holds when `later` was said after this, such as by trailing metadata: the last that may be followed.
    #[must_use]
    pub fn or_later(self, later: Self) -> Self {
        match (self, later) {
            (Self::Set(_), Self::None | Self::Ignored) | (_, Self::None) => self,
            (_, Self::Set(_) | Self::Ignored) => later,
        }
    }
}

/// Whether the gateway may say a text under this name: one that says nothing else already, and is not binary.
#[must_use]
pub fn is_free(name: &HeaderName) -> bool {
    let text = name.as_str();
    !stays_here(text) && !text.ends_with("-bin") && is_legal(name, &HeaderValue::from_static(""))
}

/// Request headers that end at the gateway: of the connection, of the body, of gRPC, and what the gateway sets.
fn stays_here(name: &str) -> bool {
    matches!(
        name,
        "http2-settings"
            | "expect"
            | "host"
            | "x-server-timeout"
            | "connect-timeout-ms"
            | "forwarded"
            | "x-forwarded-for"
            | "x-forwarded-proto"
            | "x-forwarded-host"
            | "x-forwarded-user-agent"
            | "x-request-id"
            | "traceparent"
            | "tracestate"
            | "user-agent"
    ) || is_of_transport(name)
        || ["content-", "accept"].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether metadata of this name comes from the gateway alone: nobody else may be told to set it.
pub(crate) fn is_the_gateways(name: &HeaderName) -> bool {
    stays_here(name.as_str())
}

/// Whether a server that makes variables of headers may take one name for the other: it takes `_` for `-`.
pub(crate) fn is_alike(one: &HeaderName, other: &HeaderName) -> bool {
    let (one, other) = (one.as_str().as_bytes(), other.as_str().as_bytes());
    let is_same = |(one, other): (&u8, &u8)| one == other || matches!((one, other), (b'-', b'_') | (b'_', b'-'));
    one.len() == other.len() && one.iter().zip(other).all(is_same)
}

/// What belongs to one connection (RFC 9110, 7.6.1), or to gRPC itself, in either direction.
pub(crate) fn is_of_transport(name: &str) -> bool {
    matches!(name, "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade")
        || ["grpc-", "proxy-"].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether gRPC can carry a header: its names are of fewer characters than HTTP's, and its values are visible ASCII
/// and spaces.
pub(crate) fn is_legal(name: &HeaderName, value: &HeaderValue) -> bool {
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    name.as_str().as_bytes().iter().all(in_name) && value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Metadata of an answer that ends at the gateway.
fn stays_upstream(name: &str) -> bool {
    matches!(name, "content-type" | "content-length" | "content-encoding" | "accept-encoding" | "date")
        || is_of_transport(name)
}

/// The names that `Connection` declares to be of this connection alone.
fn named_in_connection(headers: &HeaderMap) -> SmallVec<[&str; 4]> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let tokens = values.flat_map(|value| value.split(',')).map(|token| token.trim_matches([' ', '\t']));
    // The two that nearly every HTTP/1.1 client sends name no further header.
    tokens.filter(|token| !matches!(*token, "" | "keep-alive" | "close")).collect()
}

fn too_large() -> Status {
    Status::new(Code::ResourceExhausted, Blame::Client, "the request has too many headers, or too large ones")
        .with_http(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

/// A client's `-bin` values, checked and without padding. HTTP lets values of one name be joined by commas.
fn append_binary(name: &HeaderName, value: &HeaderValue, metadata: &mut HeaderMap) -> Result<(), Status> {
    for part in values_in(value) {
        let Some(bare) = base64_digits(part) else {
            return Err(Status::invalid_argument(
                name.as_str(),
                "expected base64, as in every header that ends in -bin",
            ));
        };
        // Nearly always the value is one and has no padding, and is passed on without a copy.
        let value = if bare.len() == value.len() { Ok(value.clone()) } else { HeaderValue::from_bytes(bare) };
        metadata.append(name, value.expect("base64 digits are legal in a header value"));
    }
    Ok(())
}

/// An upstream's `-bin` values, with padding.
fn append_canonical(name: &HeaderName, value: &HeaderValue, headers: &mut HeaderMap) {
    for part in values_in(value) {
        let Some(bare) = base64_digits(part) else { continue };
        let value = match bare.len() % 4 {
            0 if bare.len() == value.len() => value.clone(),
            rest => {
                let mut padded = BytesMut::with_capacity(bare.len() + 3);
                padded.put_slice(bare);
                padded.put_bytes(b'=', (4 - rest) % 4);
                HeaderValue::from_maybe_shared(padded.freeze()).expect("base64 is legal in a header value")
            }
        };
        headers.append(name, value);
    }
}

/// The bytes of the first `-bin` value of this name that can be read.
#[must_use]
pub(crate) fn binary(metadata: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    metadata.get_all(name).iter().flat_map(values_in).find_map(|value| BASE64.decode(value).ok())
}

fn values_in(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// The digits of standard base64 without their padding; `None` where it is not exactly that.
fn base64_digits(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
    let (digits, padding) = text.split_at_checked(end)?;
    let mut last = 0;
    for &byte in digits {
        last = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
    }
    // The bits of the last digit that no byte takes must be zero, or two texts would mean the same bytes.
    let (missing, unused) = match digits.len() % 4 {
        0 => (0, 0),
        2 => (2, 0b1111),
        3 => (1, 0b11),
        _ => return None,
    };
    let whole = (padding.is_empty() || padding.len() == missing) && last & unused == 0;
    whole.then_some(digits)
}

#[cfg(test)]
mod tests;
