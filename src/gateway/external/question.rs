//! What a decider is told of a request: its head, where it comes from, who calls and what it is for.
//!
//! Its size is bounded by what a listener lets in (`limits.header_bytes` and the longest target): nothing is added that
//! the client makes long.

use std::collections::HashMap;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName};
use http::uri::PathAndQuery;
use http::{HeaderValue, Version};

use super::{Asking, Config};
use crate::auth::client_certificate;
use crate::gateway::head;
use crate::pb::envoy::config::core::v3::address::Address as Kind;
use crate::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use crate::pb::envoy::config::core::v3::{Address, SocketAddress};
use crate::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use crate::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use crate::protocol::metadata;

/// Keys of `context_extensions` that the gateway sets itself.
pub(crate) const OWN_CONTEXT: [&str; 3] = ["service", "method", "principal"];

/// The method that is called, the same for each of its requests.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) service: String,
    pub(super) method: String,
    /// Headers that no decider is told.
    pub(super) withheld: Arc<[HeaderName]>,
}

/// The question of one decider.
pub(super) fn of(config: &Config, target: &Target, asking: &Asking<'_>) -> CheckRequest {
    let id = asking.caller.map(|caller| caller.id.clone()).unwrap_or_default();
    let certificate = asking.calling.connection.certificate();
    let principal = certificate.as_ref().and_then(client_certificate::name).unwrap_or_else(|| id.clone());
    let mut context: HashMap<_, _> = config.context.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let own = [target.service.clone(), target.method.clone(), id];
    context.extend(OWN_CONTEXT.map(str::to_owned).into_iter().zip(own).filter(|(_, value)| !value.is_empty()));
    let source = Peer { address: Some(address(asking.calling.text)), principal, ..Peer::default() };
    let destination = Peer { service: target.service.clone(), ..Peer::default() };
    let request = Request {
        time: Some(asking.calling.time.into()),
        http: Some(http(config.headers.as_deref(), &target.withheld, asking)),
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(source),
            destination: Some(destination),
            request: Some(request),
            context_extensions: context,
        }),
    }
}

/// The port is not known: behind a proxy it is the proxy's.
fn address(text: &str) -> Address {
    let socket = SocketAddress { address: text.to_owned(), port_specifier: Some(PortSpecifier::PortValue(0)) };
    Address { address: Some(Kind::SocketAddress(socket)) }
}

fn http(told: Option<&[HeaderName]>, withheld: &[HeaderName], asking: &Asking<'_>) -> HttpRequest {
    let Asking { calling, head, .. } = asking;
    let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    HttpRequest {
        id: text(calling.request_id),
        method: head.method.as_str().to_owned(),
        headers: headers(&head.headers, told, withheld),
        path: head.uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned(),
        host: head::host(head).unwrap_or_default().to_owned(),
        scheme: calling.connection.scheme.text().to_owned(),
        size: length.unwrap_or(-1),
        protocol: protocol(head.version).to_owned(),
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// By names in lower case. Values of one name are joined as RFC 9110, 5.3, and for cookies RFC 9113, 8.2.3, say.
fn headers(headers: &HeaderMap, told: Option<&[HeaderName]>, withheld: &[HeaderName]) -> HashMap<String, String> {
    let is_told = |name: &&HeaderName| {
        told.is_none_or(|told| told.contains(name)) && !withheld.iter().any(|own| metadata::is_alike(own, name))
    };
    let joined = |name: &HeaderName| {
        let separator = if *name == COOKIE { "; " } else { "," };
        headers.get_all(name).iter().map(text).collect::<Vec<_>>().join(separator)
    };
    headers.keys().filter(is_told).map(|name| (name.as_str().to_owned(), joined(name))).collect()
}

/// Protobuf's texts are UTF-8 and headers are bytes: what is none becomes U+FFFD.
fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHHELD: [HeaderName; 1] = [HeaderName::from_static("x-user-tier")];

    #[track_caller]
    fn told(list: Option<&[HeaderName]>, pairs: &[(&str, &[u8])], expected: &[(&str, &str)]) {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value).unwrap());
        }
        let expected = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(headers(&map, list, &WITHHELD), expected);
    }

    #[test]
    fn values_of_one_name_are_joined() {
        told(None, &[("X-A", b"1"), ("x-a", b"2"), ("x-b", b"")], &[("x-a", "1,2"), ("x-b", "")]);
        told(None, &[("cookie", b"a=1"), ("cookie", b"b=2")], &[("cookie", "a=1; b=2")]);
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_replaced() {
        told(None, &[("x-a", b"\xff\xe4"), ("x-b", "ä".as_bytes())], &[("x-a", "\u{fffd}\u{fffd}"), ("x-b", "ä")]);
    }

    #[test]
    fn only_what_is_listed_is_told_and_never_what_is_the_gateways() {
        let list = [HeaderName::from_static("x-a"), HeaderName::from_static("x-user-tier")];
        let sent: [(&str, &[u8]); 4] =
            [("x-a", b"1"), ("x-b", b"2"), ("x-user-tier", b"gold"), ("x_user-tier", b"gold")];
        told(Some(&list), &sent, &[("x-a", "1")]);
        told(None, &sent, &[("x-a", "1"), ("x-b", "2")]);
        told(Some(&[]), &sent, &[]);
    }
}
