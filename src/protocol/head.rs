//! The head of a call to an upstream, beside the metadata: what every gRPC request carries.
//!
//! `Request-Headers` of <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE};

use crate::protocol::compression::MessageCoding;
use crate::protocol::deadline;

pub(crate) const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Complete the metadata of a call that may take so long; `None` is no limit.
pub fn complete(metadata: &mut HeaderMap, remaining: Option<Duration>) {
    if let Some(remaining) = remaining {
        metadata.insert(deadline::GRPC_TIMEOUT, deadline::grpc_timeout(remaining));
    }
    // A proxy on the way that doesn't understand trailers must not take part.
    metadata.insert(TE, HeaderValue::from_static("trailers"));
    metadata.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    metadata.insert(GRPC_ACCEPT_ENCODING, MessageCoding::ACCEPTED);
}

#[cfg(test)]
mod tests;
