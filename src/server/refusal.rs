//! What an HTTP/1.1 client is told whose request has no head: it did not come to its end, or can't be read.
//!
//! hyper knows no request then, so the answer is printed here. The connection ends behind it: where the next request
//! would begin is not known.

use std::fmt::Write as _;
use std::time::SystemTime;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{Response, StatusCode};
use http_body_util::BodyExt;

use crate::gateway::head;
use crate::gateway::respond::Accounted;
use crate::protocol::http1;
use crate::status::{Blame, Code, Status};

/// The head did not come in time.
pub(super) fn too_slow() -> Status {
    Status::new(Code::DeadlineExceeded, Blame::Client, "the head of the request did not come in time")
        .with_http(StatusCode::REQUEST_TIMEOUT)
}

/// hyper refused the head with this status.
pub(super) fn unreadable(http: StatusCode, error: &hyper::Error) -> Status {
    match http {
        StatusCode::URI_TOO_LONG => head::target_too_long(),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => http1::too_large(),
        _ => Status::invalid_argument("", format!("the head of the request is malformed: {error}")),
    }
}

/// The bytes of the last answer of a connection.
pub(super) async fn print(response: Response<Accounted>) -> Vec<u8> {
    let (head, body) = response.into_parts();
    // The body of a refusal is there as a whole; one that is not has nothing to say.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let reason = head.status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", head.status.as_str());
    let date = httpdate::fmt_http_date(SystemTime::now());
    let end = format!("{CONTENT_LENGTH}: {}\r\n{DATE}: {date}\r\n{CONNECTION}: close\r\n\r\n", body.len());
    for (name, value) in &head.headers {
        if let Ok(value) = value.to_str() {
            write!(text, "{name}: {value}\r\n").expect("writing to a string never fails");
        }
    }
    text += &end;
    [text.as_bytes(), &body].concat()
}
