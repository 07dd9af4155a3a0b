//! How a call ended, from what the upstream sent: trailers, an HTTP answer that is not gRPC's, or a reset.
//!
//! `Responses` and `Errors` of <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, and
//! <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>. The rule above the rest: nothing but
//! `grpc-status: 0` in an answer of gRPC's media type is a success.

use bytes::Bytes;
use h2::Reason;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use prost::Message;

use crate::pb::google::rpc;
use crate::protocol::metadata;
use crate::status::{Blame, Code, Detail, Status};

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// What a client reads of an upstream's message, at most; the rest is cut off.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Details beyond this number are left out: an `Any` of two bytes must not cost fifty.
const MAX_DETAILS: usize = 256;

/// Whether this is the head of a gRPC answer, so that messages or the end may follow.
///
/// # Errors
/// How the call ended: by `grpc-status` if the head is gRPC's with another HTTP status than 200, else by the HTTP
/// status alone.
pub fn check_head(http: StatusCode, headers: &HeaderMap) -> Result<(), Status> {
    let grpc = headers.get(CONTENT_TYPE).is_some_and(|value| is_grpc(value.as_bytes()));
    match (grpc, http) {
        (true, StatusCode::OK) => Ok(()),
        (true, _) => match status(headers) {
            Err(status) if headers.contains_key(&GRPC_STATUS) => Err(status),
            Ok(()) | Err(_) => Err(not_grpc(http)),
        },
        (false, _) => Err(not_grpc(http)),
    }
}

/// How the call ended, by its trailers, or by its head if that was also its end.
///
/// # Errors
/// Every end but `grpc-status: 0`; UNKNOWN where there is no `grpc-status` that can be read.
pub fn status(trailers: &HeaderMap) -> Result<(), Status> {
    let mut values = trailers.get_all(&GRPC_STATUS).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unknown("there is no grpc-status, or more than one"));
    };
    match parse_number(value.as_bytes()) {
        Some(0) => Ok(()),
        Some(number) => Err(failed(number, trailers)),
        None => Err(unknown(format!("grpc-status is {value:?}"))),
    }
}

/// How a call ended whose stream the upstream reset, by the specification's table.
#[must_use]
pub fn reset(reason: Reason) -> Status {
    let (code, message) = match reason {
        Reason::REFUSED_STREAM => (Code::Unavailable, "the upstream refused the call"),
        Reason::CANCEL => (Code::Cancelled, "the upstream cancelled the call"),
        Reason::ENHANCE_YOUR_CALM => (Code::ResourceExhausted, "the upstream is overloaded"),
        Reason::INADEQUATE_SECURITY => (Code::PermissionDenied, "the upstream demands a more secure connection"),
        Reason::NO_ERROR
        | Reason::PROTOCOL_ERROR
        | Reason::INTERNAL_ERROR
        | Reason::FLOW_CONTROL_ERROR
        | Reason::SETTINGS_TIMEOUT
        | Reason::FRAME_SIZE_ERROR
        | Reason::COMPRESSION_ERROR
        | Reason::CONNECT_ERROR => (Code::Internal, "the upstream broke off the call"),
        // STREAM_CLOSED and HTTP_1_1_REQUIRED have no row in the table, and reasons are an open set.
        _ => (Code::Unknown, "the upstream broke off the call"),
    };
    Status::new(code, Blame::Upstream, message).with_cause(format!("the upstream reset the stream: {reason}"))
}

/// `application/grpc`, alone or with a `+` suffix or parameters.
fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type.split_at_checked(GRPC.len()).is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(GRPC) && matches!(rest.trim_ascii_start().first(), None | Some(b'+' | b';'))
    })
}

fn not_grpc(http: StatusCode) -> Status {
    let code = match http.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(code, Blame::Upstream, "the upstream did not answer as a gRPC server does")
        .with_cause(format!("the upstream answered HTTP {http} that is not gRPC's"))
}

fn unknown(cause: impl Into<String>) -> Status {
    Status::new(Code::Unknown, Blame::Upstream, "the upstream did not say how the call ended").with_cause(cause.into())
}

fn failed(number: u32, trailers: &HeaderMap) -> Status {
    let message = trailers.get(&GRPC_MESSAGE).map(|value| decode_message(value.as_bytes()));
    // Details that can't be read cost neither the code nor the message.
    let details = metadata::binary(trailers, &GRPC_STATUS_DETAILS).and_then(|bytes| rpc::Status::decode(&*bytes).ok());
    let Some(details) = details else {
        return Status::from_upstream(number, message.unwrap_or_default(), Vec::new());
    };
    let message = message.unwrap_or(details.message);
    let details = details.details.into_iter().take(MAX_DETAILS);
    let details = details.map(|any| Detail { type_url: any.type_url, value: Bytes::from(any.value) }).collect();
    Status::from_upstream(number, message, details)
}

/// Digits alone; Rust's own parser would also take a sign.
fn parse_number(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Percent-decoding that keeps what is no escape, and replaces what is no UTF-8.
fn decode_message(text: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(text.len().min(MAX_MESSAGE_BYTES));
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        if decoded.len() == MAX_MESSAGE_BYTES {
            break;
        }
        match (byte, after) {
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex_digit(*high) << 4 | hex_digit(*low));
                rest = behind;
            }
            _ => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests;
