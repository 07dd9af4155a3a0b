//! Where a request carries a token (RFC 6750 section 2.1, RFC 6265 section 4.2).
//!
//! One place, one token: a proxy before and a server behind us may choose differently among two.

#[cfg(test)]
mod tests;

use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName};

use super::reason::Reason;

/// Where a provider looks for its token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TokenLocation {
    /// `Authorization: Bearer …`
    #[default]
    Bearer,
    /// The whole value of a header.
    Header(HeaderName),
    /// The cookie of this name.
    Cookie(String),
}

/// The token of a request; `None` if it has none here, such as with another scheme of authorization.
///
/// # Errors
/// If there are several, or what stands there is no text.
pub fn token<'h>(location: &TokenLocation, headers: &'h HeaderMap) -> Result<Option<&'h str>, Reason> {
    match location {
        TokenLocation::Bearer => Ok(only(headers, &AUTHORIZATION)?.map(bearer).transpose()?.flatten()),
        TokenLocation::Header(name) => match only(headers, name)?.map(str::trim) {
            Some("") => Err(Reason::Malformed),
            found => Ok(found),
        },
        TokenLocation::Cookie(name) => cookie(headers, name),
    }
}

/// The value of a header that stands at most once.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Reason> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Reason::Several);
    }
    value.to_str().map(Some).map_err(|_| Reason::Malformed)
}

fn bearer(value: &str) -> Result<Option<&str>, Reason> {
    let value = value.trim();
    let (scheme, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = rest.trim();
    // No form of token has a comma; it is how header lines are joined into one.
    if token.contains([' ', ',', '\t']) {
        return Err(Reason::Several);
    }
    if token.is_empty() { Err(Reason::Malformed) } else { Ok(Some(token)) }
}

/// Bytes rather than text: a cookie of somebody else's may hold anything.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Reason> {
    let mut found = None;
    for line in headers.get_all(COOKIE) {
        for pair in line.as_bytes().split(|byte| *byte == b';') {
            let Some(at) = pair.iter().position(|byte| *byte == b'=') else { continue };
            let (own, value) = pair.split_at(at);
            if own.trim_ascii() == name.as_bytes() && found.replace(value).is_some() {
                return Err(Reason::Several);
            }
        }
    }
    let Some(value) = found else { return Ok(None) };
    let value = value.strip_prefix(b"=").unwrap_or(value).trim_ascii();
    // A cookie that was cleared by an empty value is none.
    let value = str::from_utf8(value).map_err(|_| Reason::Malformed)?;
    Ok(Some(value).filter(|value| !value.is_empty()))
}
