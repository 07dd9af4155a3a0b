//! Who the client is behind proxies, how it came to them, and which addresses are served.
//!
//! A proxy writes down whom it speaks for, at the end of `X-Forwarded-For` or of `Forwarded` (RFC 7239). Whoever sends a
//! request may have begun that list with anything, so it is read from its end, and only as far as those are trusted who
//! wrote it: the client is the first address from the right that is no trusted proxy. The scheme is what that proxy says:
//! the `proto` of the client's element, or `X-Forwarded-Proto`, which has no list and is believed where it is one word.
//!
//! ```text
//! X-Forwarded-For: 203.0.113.7, 198.51.100.2, 10.0.0.5        from 10.0.0.1, trusting 10.0.0.0/8: 198.51.100.2
//! Forwarded: for="[2001:db8::7]:4711";proto=https, for=10.0.0.5
//! ```

use std::net::IpAddr;

use http::HeaderValue;
use http::header::{FORWARDED, HeaderMap, HeaderName};
use ipnet::IpNet;
use smallvec::SmallVec;

use super::forwarding::{Scheme, X_FORWARDED_FOR, X_FORWARDED_PROTO};

/// No more addresses of a list are looked at: no chain of proxies is longer.
pub const MAX_HOPS: usize = 32;

/// The header in which proxies say whom they speak for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    #[default]
    XForwardedFor,
    Forwarded,
}

/// Which proxies are believed, and where they write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    pub proxies: Vec<IpNet>,
    pub header: Header,
}

/// The client of a request and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    /// What trusted proxies said, the client first, without the peer; empty if it is the peer itself.
    pub chain: SmallVec<[IpAddr; 4]>,
    /// How it came to the proxies, if they say so.
    pub scheme: Option<Scheme>,
}

/// Which addresses are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// These alone; all, if it is empty.
    pub allow: Vec<IpNet>,
    /// Not these, even if allowed.
    pub deny: Vec<IpNet>,
}

impl AddressRules {
    /// Whether this address is served.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        (self.allow.is_empty() || holds(&self.allow, address)) && !holds(&self.deny, address)
    }
}

fn holds(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

impl Trust {
    /// Whether a connection from there is a trusted proxy's.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        holds(&self.proxies, address)
    }

    /// The client of a request that came from a trusted `peer`.
    #[must_use]
    pub fn client(&self, headers: &HeaderMap, peer: IpAddr) -> Client {
        match self.header {
            Header::XForwardedFor => {
                let hops = |value: &HeaderValue, found: &mut Hops<'_>| {
                    value
                        .as_bytes()
                        .rsplit(|byte| *byte == b',')
                        .all(|element| found.take(Element { node: node(element), scheme: None }))
                };
                let client = self.walk(headers, &X_FORWARDED_FOR, peer, hops);
                Client { scheme: forwarded_proto(headers), ..client }
            }
            Header::Forwarded => {
                let hops = |value: &HeaderValue, found: &mut Hops<'_>| match elements(value.as_bytes()) {
                    Some(elements) => elements.into_iter().rev().all(|element| found.take(element)),
                    None => false,
                };
                self.walk(headers, &FORWARDED, peer, hops)
            }
        }
    }

    /// Takes the addresses of each line, from the last line to the first, until one says to stop.
    fn walk(
        &self,
        headers: &HeaderMap,
        name: &HeaderName,
        peer: IpAddr,
        mut hops: impl FnMut(&HeaderValue, &mut Hops<'_>) -> bool,
    ) -> Client {
        let mut found = Hops { trust: self, chain: SmallVec::new(), scheme: None };
        // `HeaderMap` gives a name's values from either end.
        let _ = headers.get_all(name).iter().rev().all(|value| hops(value, &mut found));
        let mut chain = std::mem::take(&mut found.chain);
        chain.reverse();
        Client { address: chain.first().copied().unwrap_or(peer), chain, scheme: found.scheme }
    }
}

/// The way back from the peer.
struct Hops<'t> {
    trust: &'t Trust,
    /// The nearest first.
    chain: SmallVec<[IpAddr; 4]>,
    /// What the last of those who are trusted says.
    scheme: Option<Scheme>,
}

/// What one proxy says of whoever came to it.
#[derive(Clone, Copy, Debug, Default)]
struct Element {
    node: Option<IpAddr>,
    scheme: Option<Scheme>,
}

impl Hops<'_> {
    /// One hop further; false where the way ends. What is no address hides who is behind it, so the proxy that said it
    /// is the client.
    fn take(&mut self, element: Element) -> bool {
        self.scheme = element.scheme;
        let Some(address) = element.node.map(|address| address.to_canonical()) else { return false };
        self.chain.push(address);
        self.chain.len() < MAX_HOPS && self.trust.trusts(address)
    }
}

/// The one word of `X-Forwarded-Proto`. A list has no place for each proxy that its reader could tell.
fn forwarded_proto(headers: &HeaderMap) -> Option<Scheme> {
    let mut values = headers.get_all(&X_FORWARDED_PROTO).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => scheme(value.as_bytes().trim_ascii()),
        _ => None,
    }
}

fn scheme(text: &[u8]) -> Option<Scheme> {
    match text {
        _ if text.eq_ignore_ascii_case(b"https") => Some(Scheme::Https),
        _ if text.eq_ignore_ascii_case(b"http") => Some(Scheme::Http),
        _ => None,
    }
}

/// `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`, the first and the last with a port or without.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let well_formed = port.is_empty() || is_port(port.strip_prefix(':')?);
        return if well_formed { address.parse().ok().map(IpAddr::V6) } else { None };
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (address, port) = text.split_once(':')?;
    if is_port(port) { address.parse().ok().map(IpAddr::V4) } else { None }
}

/// RFC 7239, 6.3: up to five digits, or what a proxy made up.
fn is_port(text: &str) -> bool {
    let obfuscated = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match text.strip_prefix('_') {
        Some(name) => obfuscated(name),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// `for` and `proto` of each element of a `Forwarded` (RFC 7239, 4); `None` where the line is malformed: then no part of
/// it can be told from another.
fn elements(line: &[u8]) -> Option<Vec<Element>> {
    let mut rest = line;
    let mut elements = Vec::new();
    loop {
        let mut element = Element::default();
        let (mut seen_for, mut seen_proto) = (false, false);
        loop {
            rest = rest.trim_ascii_start();
            if let Some((name, value, after)) = pair(rest)? {
                if name.eq_ignore_ascii_case(b"for") {
                    // Twice in one element is against the grammar.
                    if std::mem::replace(&mut seen_for, true) {
                        return None;
                    }
                    element.node = node(&value);
                } else if name.eq_ignore_ascii_case(b"proto") {
                    if std::mem::replace(&mut seen_proto, true) {
                        return None;
                    }
                    element.scheme = scheme(&value);
                }
                rest = after.trim_ascii_start();
            }
            match rest.split_first() {
                Some((b';', after)) => rest = after,
                Some((b',', after)) => {
                    elements.push(element);
                    rest = after;
                    break;
                }
                None => {
                    elements.push(element);
                    return Some(elements);
                }
                Some(_) => return None,
            }
        }
    }
}

/// A name, its value, and what stands behind them.
type Pair<'l> = (&'l [u8], Vec<u8>, &'l [u8]);

/// `token=value`; `Some(None)` where there is no pair, `None` where it is malformed.
fn pair(text: &[u8]) -> Option<Option<Pair<'_>>> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let end = text.iter().position(|byte| !is_token(*byte)).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    if name.is_empty() {
        return Some(None);
    }
    let rest = rest.strip_prefix(b"=")?;
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        return quoted_string(quoted).map(|(value, rest)| Some((name, value, rest)));
    }
    // By the grammar a token; addresses with colons and brackets are seen without their quotes all the same.
    let end = rest.iter().position(|byte| !is_token(*byte) && !b":[]".contains(byte)).unwrap_or(rest.len());
    let (value, rest) = rest.split_at_checked(end)?;
    if value.is_empty() { None } else { Some(Some((name, value.to_vec(), rest))) }
}

/// The content of a quoted string, whose first quote is read already, and what stands behind it.
fn quoted_string(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => return Some((value, rest)),
            b'\\' => {
                let (escaped, after) = rest.split_first()?;
                value.push(*escaped);
                rest = after;
            }
            byte => value.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests;
