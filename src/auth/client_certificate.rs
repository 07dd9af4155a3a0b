//! Callers who show a client certificate: names in it against patterns.
//!
//! The certificate was verified when the connection was made; this decides whether its names are ones that may call.
//! Only subject alternative names count, DNS names and URIs: the common name says what anybody likes (RFC 9525 section
//! 2). They are read by the parser that verified the chain, so that the two can't see different names.
//!
//! ```text
//! api.partners.example.com          this DNS name
//! *.partners.example.com            one label more, as in a certificate (RFC 9525 section 6.3)
//! spiffe://example.org/ns/shop      this URI
//! spiffe://example.org/ns/*         whatever follows
//! spiffe://example.org/*/gateway    one segment
//! ```

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::principal::Principal;
use super::reason::Reason;
use crate::tls::certificate::Certificate;

/// Names of one certificate that are looked at, at most.
pub const MAX_NAMES: usize = 100;

/// What names may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name of the provider.
    pub name: Arc<str>,
    pub patterns: Vec<Pattern>,
}

/// A pattern over names of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    kind: Kind,
    /// In lower case for DNS names.
    head: String,
    /// What follows the `*`, if there is one.
    tail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dns,
    Uri,
}

/// Why a text is no pattern.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("`{0}` is no name, expected one such as *.partners.example.com or spiffe://example.org/ns/*")]
    Name(String),
    #[error("`{0}` has more than one `*`")]
    Stars(String),
    #[error("`{0}`: a `*` stands for the whole first label of a DNS name, and two labels follow")]
    Label(String),
    #[error("`{0}`: a `*` stands for segments of the path, which begin behind `scheme://authority/`")]
    Authority(String),
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let told = || text.to_owned();
        // A URI has a scheme, and no DNS name has a colon.
        let (kind, name) = match text.contains(':') {
            true => (Kind::Uri, text.to_owned()),
            false => (Kind::Dns, text.to_ascii_lowercase()),
        };
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) || name.is_empty() {
            return Err(PatternError::Name(told()));
        }
        let Some((head, tail)) = name.split_once('*') else {
            return Ok(Self { kind, head: name, tail: None });
        };
        if tail.contains('*') {
            return Err(PatternError::Stars(told()));
        }
        match kind {
            // `*.com` would let in whoever owns a domain.
            Kind::Dns if !head.is_empty() || !tail.starts_with('.') || tail.matches('.').count() < 2 => {
                return Err(PatternError::Label(told()));
            }
            // `spiffe://example*` would let in `spiffe://example.evil.org/`.
            Kind::Uri if !is_path(head) => return Err(PatternError::Authority(told())),
            Kind::Dns | Kind::Uri => {}
        }
        Ok(Self { kind, head: head.to_owned(), tail: Some(tail.to_owned()) })
    }
}

/// Whether the end of `head` is in the path of its URI.
fn is_path(head: &str) -> bool {
    match head.split_once("://") {
        Some((scheme, rest)) => {
            !scheme.is_empty() && rest.split_once('/').is_some_and(|(authority, _)| !authority.is_empty())
        }
        // `urn:example:*` has no authority, and its first part can't be a `*` either.
        None => head.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && rest.contains([':', '/'])),
    }
}

impl Pattern {
    fn matches(&self, kind: Kind, name: &str) -> bool {
        if kind != self.kind {
            return false;
        }
        let Some(tail) = &self.tail else {
            return match kind {
                Kind::Dns => name.eq_ignore_ascii_case(&self.head),
                Kind::Uri => name == self.head,
            };
        };
        match kind {
            Kind::Dns => {
                let Some(dot) = name.find('.') else { return false };
                let (label, rest) = name.split_at(dot);
                !label.is_empty() && rest.eq_ignore_ascii_case(tail)
            }
            Kind::Uri => {
                let inside = name.strip_prefix(self.head.as_str()).and_then(|rest| rest.strip_suffix(tail.as_str()));
                // At the end it stands for whatever follows, elsewhere for one segment.
                let is_open = tail.is_empty();
                inside.is_some_and(|inside| !inside.is_empty() && (is_open || !inside.contains(['/', '?', '#', ':'])))
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)?;
        self.tail.as_ref().map_or(Ok(()), |tail| write!(f, "*{tail}"))
    }
}

/// Client certificates as a provider.
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    config: Config,
}

impl ClientCertificates {
    #[must_use]
    pub fn build(config: Config) -> Self {
        Self { config }
    }

    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Who a verified certificate stands for: its first name that matches a pattern.
    ///
    /// # Errors
    /// If none matches, its time is over, or it is no certificate.
    pub fn verify(&self, certificate: &CertificateDer<'_>) -> Result<Arc<Principal>, Reason> {
        // A connection may outlive what it was made with.
        let expires = Certificate::parse(certificate).ok_or(Reason::Malformed)?.not_after;
        if SystemTime::now() > expires {
            return Err(Reason::Expired);
        }
        let certificate = EndEntityCert::try_from(certificate).map_err(|_| Reason::Malformed)?;
        let dns = certificate.valid_dns_names().map(|name| (Kind::Dns, name));
        let uris = certificate.valid_uri_names().map(|name| (Kind::Uri, name));
        let matched = dns.take(MAX_NAMES).chain(uris.take(MAX_NAMES)).find(|(kind, name)| self.admits(*kind, name));
        let (_, name) = matched.ok_or(Reason::UnmatchedCertificate)?;
        let principal = Principal::new(Arc::clone(&self.config.name), name.to_owned());
        Ok(Arc::new(Principal { expires: Some(expires), ..principal }))
    }

    fn admits(&self, kind: Kind, name: &str) -> bool {
        is_plain(kind, name) && self.config.patterns.iter().any(|pattern| pattern.matches(kind, name))
    }
}

/// Who a verified certificate names: its first URI, or else its first DNS name.
#[must_use]
pub fn name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let uris = certificate.valid_uri_names().map(|name| (Kind::Uri, name)).take(MAX_NAMES);
    let dns = certificate.valid_dns_names().map(|name| (Kind::Dns, name)).take(MAX_NAMES);
    uris.chain(dns).find(|(kind, name)| is_plain(*kind, name)).map(|(_, name)| name.to_owned())
}

/// A wildcard is no one's name; a URI with dot segments, an encoded slash or the like may be another one to whoever
/// reads it next. SPIFFE forbids such URIs (SPIFFE-ID section 2.2).
fn is_plain(kind: Kind, name: &str) -> bool {
    let is_visible = name.bytes().all(|byte| byte.is_ascii_graphic());
    match kind {
        Kind::Dns => is_visible && !name.contains('*'),
        Kind::Uri => {
            is_visible
                && !name.contains(['%', '\\', '*'])
                && !name.split('/').any(|segment| segment == "." || segment == "..")
        }
    }
}
