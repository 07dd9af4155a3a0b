//! A [`Status`] as the body of an HTTP answer, or as the last line of a stream.
//!
//! `errors: status` is `google.rpc.Status` as JSON, `errors: problem` is RFC 9457 with the same members beside its own;
//! `details` is always there.
//!
//! ```text
//! {"code":5,"message":"no such user","details":[]}
//! {"type":"about:blank","title":"Not Found","status":404,"detail":"no such user","code":5,"details":[]}
//! ```

use http::StatusCode;
use http::header::HeaderValue;

use crate::status::{Detail, Status};

/// What an error body looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorFormat {
    /// `google.rpc.Status`.
    #[default]
    Status,
    /// `application/problem+json`.
    Problem,
}

impl ErrorFormat {
    /// The media type of the body.
    #[must_use]
    pub const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Status => "application/json",
            Self::Problem => "application/problem+json",
        })
    }

    /// Write the body to `out`; `print` writes one detail as a JSON object.
    pub fn write(self, status: &Status, print: &mut dyn FnMut(&Detail, &mut Vec<u8>), out: &mut Vec<u8>) {
        match self {
            Self::Status => write_status(status, print, out),
            Self::Problem => write_problem(status, print, out),
        }
    }
}

/// Write `{"code", "message", "details"}`, also what streams carry; `print` writes one detail as a JSON object.
pub fn write_status(status: &Status, print: &mut dyn FnMut(&Detail, &mut Vec<u8>), out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"code\":");
    write_number(status.number(), out);
    out.extend_from_slice(b",\"message\":");
    write_string(status.message(), out);
    write_details(status, print, out);
    out.push(b'}');
}

fn write_problem(status: &Status, print: &mut dyn FnMut(&Detail, &mut Vec<u8>), out: &mut Vec<u8>) {
    let http = status.http();
    // With `about:blank` the title is the HTTP status' own phrase (RFC 9457, section 4.2.1).
    out.extend_from_slice(b"{\"type\":\"about:blank\",\"title\":");
    write_string(title(http), out);
    out.extend_from_slice(b",\"status\":");
    write_number(http.as_u16().into(), out);
    out.extend_from_slice(b",\"detail\":");
    write_string(status.message(), out);
    out.extend_from_slice(b",\"code\":");
    write_number(status.number(), out);
    write_details(status, print, out);
    out.push(b'}');
}

fn write_details(status: &Status, print: &mut dyn FnMut(&Detail, &mut Vec<u8>), out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"details\":[");
    for (index, detail) in status.details().iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        print(detail, out);
    }
    out.push(b']');
}

fn title(http: StatusCode) -> &'static str {
    match http.as_u16() {
        // Not of RFC 9110, but what code.proto gives for CANCELLED.
        499 => "Client Closed Request",
        _ => http.canonical_reason().unwrap_or("Error"),
    }
}

fn write_number(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string is always JSON, and memory takes all that is written");
}

#[cfg(test)]
mod tests;
