//! What a request's body is, by its `Content-Type`.
//!
//! JSON is `application/json`, any type with the suffix `+json` (RFC 6839), or no type at all, in UTF-8 (RFC 8259,
//! section 8.1). Whether a type that is none of ours is welcome depends on the binding: only `google.api.HttpBody` takes
//! it, and takes every type as it is.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};

use crate::status::{Blame, Code, Status};

/// The kind of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// JSON, or no type was given.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// One JSON message a line: `application/x-ndjson` or `application/jsonl`.
    Lines,
    /// For `google.api.HttpBody` alone; anywhere else it is [`unsupported`].
    Other,
}

impl Content {
    /// By the header; one that can't be read, comes twice, or names another charset than UTF-8 is `Other`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Self::Json,
            (Some(value), None) if value.as_bytes().trim_ascii().is_empty() => return Self::Json,
            (Some(value), None) => value.to_str().unwrap_or_default(),
            (Some(_), Some(_)) => return Self::Other,
        };
        let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
        if is_utf8(parameters) { Self::of_essence(essence.trim()) } else { Self::Other }
    }

    fn of_essence(essence: &str) -> Self {
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        if is("application/json") || has_json_suffix(essence) {
            Self::Json
        } else if is("application/x-www-form-urlencoded") {
            Self::Form
        } else if is("application/x-ndjson") || is("application/jsonl") {
            Self::Lines
        } else {
            Self::Other
        }
    }
}

/// 415, for a body of a type that the method can't take.
#[must_use]
pub fn unsupported(headers: &HeaderMap) -> Status {
    let value = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
    let shown: String = value.chars().take(100).collect();
    let message = format!("unsupported content type `{shown}`, expected application/json in UTF-8");
    Status::new(Code::InvalidArgument, Blame::Client, message)
        .with_http(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        .logged_as("content-type")
}

/// 413, for a body or one message of it.
#[must_use]
pub fn too_large(max_bytes: usize) -> Status {
    let message = format!("the request body or a message in it is larger than {max_bytes} bytes");
    Status::new(Code::ResourceExhausted, Blame::Client, message).with_http(StatusCode::PAYLOAD_TOO_LARGE)
}

fn has_json_suffix(essence: &str) -> bool {
    let bytes = essence.as_bytes();
    let suffix = bytes.len().checked_sub(5).and_then(|start| bytes.split_at_checked(start));
    suffix.is_some_and(|(kind, suffix)| suffix.eq_ignore_ascii_case(b"+json") && kind.contains(&b'/'))
}

/// Whether no parameter names another charset.
fn is_utf8(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        let value = value.trim().trim_matches('"');
        !name.trim().eq_ignore_ascii_case("charset")
            || value.eq_ignore_ascii_case("utf-8")
            || value.eq_ignore_ascii_case("utf8")
    })
}

#[cfg(test)]
mod tests;
