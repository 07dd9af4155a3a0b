//! What a request's head must be, whichever its endpoint, and what the listener makes of it.
//!
//! HTTP/1 is looked at as bytes before it is parsed (see [`http1`]); what stands here holds for HTTP/2 as well.

use std::net::IpAddr;

use http::header::{CONNECTION, HOST, HeaderMap, LOCATION, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, StatusCode, Version};

use super::connection::Connection;
use crate::call::BodyLimits;
use crate::protocol::client_address::{AddressRules, Client, Trust};
use crate::protocol::http1::{self, MAX_FIELDS, Refused};
use crate::status::{Blame, Code, Status};

/// The longest path and query together.
const MAX_TARGET_BYTES: usize = 8 << 10;

/// What a listener holds its requests to.
#[derive(Debug)]
pub struct Rules {
    pub body: BodyLimits,
    /// All header fields of a request together.
    pub max_header_bytes: usize,
    pub trust: Trust,
    pub addresses: AddressRules,
    pub underscores: Underscores,
    /// Where everything is sent instead of being served.
    pub redirect: Option<Redirect>,
}

/// What becomes of header names with `_`, which CGI and its like can't tell from those with `-`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// The field is taken away.
    #[default]
    Drop,
    /// The request is answered 400.
    Reject,
    Allow,
}

/// The same host by https.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `None`: the usual one.
    pub port: Option<u16>,
}

/// The client of a request, and its address as text where that is not the connection's.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) client: Client,
    pub(super) text: Option<Box<str>>,
}

impl Asking {
    /// The peer itself.
    pub(super) fn of_peer(connection: &Connection) -> Self {
        Self { client: Client { address: connection.peer, chain: smallvec::SmallVec::new(), scheme: None }, text: None }
    }

    /// Who it is by what trusted proxies say.
    pub(super) fn of(headers: &HeaderMap, connection: &Connection) -> Self {
        let trust = &connection.rules.trust;
        if !connection.trusted {
            return Self::of_peer(connection);
        }
        let client = trust.client(headers, connection.peer);
        let text = (client.address != connection.peer).then(|| client.address.to_string().into());
        Self { client, text }
    }
}

/// The host that a request names: that of its target, or else of `host`. Either is a host, and where both are there they
/// are the same: over HTTP/1 by [`http1::Watch`], over HTTP/2 by [`check`].
pub(super) fn host(head: &Parts) -> Option<&str> {
    let authority = head.uri.authority().map(Authority::as_str);
    authority.or_else(|| head.headers.get(HOST).and_then(|host| host.to_str().ok()))
}

/// The method of a request; of one whose place another took at the gate, as far as it could be read.
pub(super) fn verb(head: &Parts) -> Option<&Method> {
    match head.extensions.get::<Refused>() {
        Some(refused) => refused.method.as_ref(),
        None => Some(&head.method),
    }
}

/// 414
#[must_use]
pub fn target_too_long() -> Status {
    Status::new(Code::ResourceExhausted, Blame::Client, "the request target is too long")
        .with_http(StatusCode::URI_TOO_LONG)
}

/// Refuses what no request may have, and takes away what none keeps.
pub(super) fn check(head: &mut Parts, connection: &Connection, client: IpAddr) -> Result<(), Status> {
    if let Some(refused) = head.extensions.get::<Refused>() {
        return Err(refused.fault.status());
    }
    let rules = &connection.rules;
    if !rules.addresses.admits(client) {
        let message = "this address is not served here";
        return Err(Status::new(Code::PermissionDenied, Blame::Client, message));
    }
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET_BYTES {
        return Err(target_too_long());
    }
    check_fields(&mut head.headers, rules)?;
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(http1::method_not_allowed(head.method.as_str()));
    }
    if head.headers.contains_key(UPGRADE) && names_upgrade(&head.headers) {
        return Err(http1::method_not_allowed("an upgrade"));
    }
    if head.version == Version::HTTP_2 { check_http2(head) } else { Ok(()) }
}

fn check_fields(headers: &mut HeaderMap, rules: &Rules) -> Result<(), Status> {
    let mut size = 0;
    let mut underscored = false;
    for (name, value) in &*headers {
        size += name.as_str().len() + value.len() + 4;
        underscored |= name.as_str().contains('_');
    }
    if size > rules.max_header_bytes || headers.len() > MAX_FIELDS {
        return Err(http1::too_large());
    }
    match rules.underscores {
        Underscores::Drop if underscored => {
            let names: Vec<_> = headers.keys().filter(|name| name.as_str().contains('_')).cloned().collect();
            names.iter().for_each(|name| drop(headers.remove(name)));
            Ok(())
        }
        Underscores::Reject if underscored => Err(Status::invalid_argument("header", "a name has an underscore")),
        Underscores::Drop | Underscores::Reject | Underscores::Allow => Ok(()),
    }
}

/// Whether `connection` names `upgrade`: without that, `upgrade` is no request for one (RFC 9110, 7.8).
fn names_upgrade(headers: &HeaderMap) -> bool {
    let named = |value: &HeaderValue| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    };
    headers.get_all(CONNECTION).iter().any(named)
}

/// What HTTP/1 is held to before it is parsed. RFC 9113, 8.3.1: a `host` beside `:authority` says the same. A `#` in
/// `:path` is not seen: what decodes the head cuts the target there, and serves what stands before it.
fn check_http2(head: &Parts) -> Result<(), Status> {
    let target = head.uri.path_and_query().map_or("", PathAndQuery::as_str);
    if !target.is_ascii() || target.contains('\\') {
        return Err(Status::invalid_argument("target", "it has a character that no target has"));
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Err(Status::invalid_argument("host", "it is there more than once")),
        (Some(host), None) if authority.is_some_and(|authority| !authority.eq_ignore_ascii_case(host.as_bytes())) => {
            Err(Status::invalid_argument("host", "it differs from `:authority`"))
        }
        (host, None) => match authority.or(host.map(HeaderValue::as_bytes)) {
            Some(host) if http1::is_host(host) => Ok(()),
            Some(_) => Err(Status::invalid_argument("host", "it is no host")),
            // HTTP/2 may leave both out.
            None => Ok(()),
        },
    }
}

impl Redirect {
    /// 308, so that the verb stays what it is (RFC 9110, 15.4.9).
    pub(super) fn status(self, head: &Parts) -> Status {
        let Some(host) = host(head) else { return Status::invalid_argument("host", "it is missing") };
        // The colons of an IPv6 address stand within brackets.
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => host,
        };
        let port = self.port.map_or(String::new(), |port| format!(":{port}"));
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let slash = if target.starts_with('?') { "/" } else { "" };
        // `*` behind a host would be read as a part of it, or of its port.
        if slash.is_empty() && !target.starts_with('/') {
            return Status::invalid_argument("target", "it is no path");
        }
        let Ok(location) = HeaderValue::try_from(format!("https://{name}{port}{slash}{target}")) else {
            return Status::invalid_argument("target", "it can't be sent elsewhere");
        };
        Status::new(Code::FailedPrecondition, Blame::Client, "this is served by https alone")
            .with_http(StatusCode::PERMANENT_REDIRECT)
            .with_header(LOCATION, location)
    }
}

#[cfg(test)]
mod tests;
