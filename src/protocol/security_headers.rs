//! Headers by which browsers are told what an answer of an API is not: no page, no frame, nothing to guess the type of
//! or to keep. The set is that of OWASP's REST Security Cheat Sheet.
//!
//! They are for what says nothing of its own: a header that an answer has already stays as it is.

use std::fmt;

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use super::forwarding::Scheme;

/// The Fetch standard's CORP.
pub const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Every header of the set, with its value where nothing else is said.
pub const USUAL: [(HeaderName, HeaderValue); 7] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// What a level says of them, or several levels together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    pub on: bool,
    /// Headers of the set with a value of their own, or none at all.
    pub values: Vec<(HeaderName, Option<HeaderValue>)>,
}

impl Choice {
    /// What holds where a further level says more.
    #[must_use]
    pub fn with(mut self, inner: Self) -> Self {
        self.on = inner.on;
        self.values.retain(|(name, _)| !inner.values.iter().any(|(other, _)| other == name));
        self.values.extend(inner.values);
        self
    }

    /// The headers that answers get; `None` for none.
    #[must_use]
    pub fn compile(&self) -> Option<SecurityHeaders> {
        let value = |(name, usual): (HeaderName, HeaderValue)| {
            let said = self.values.iter().find(|(other, _)| *other == name);
            let value = said.map_or(Some(usual), |(_, value)| value.clone())?;
            Some((name, value))
        };
        self.on.then(|| SecurityHeaders(USUAL.into_iter().filter_map(value).collect()))
    }
}

/// The headers that answers get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityHeaders(Box<[(HeaderName, HeaderValue)]>);

impl SecurityHeaders {
    /// Adds those that an answer lacks. RFC 6797, 7.2: in the clear, nothing is said of transport security.
    pub fn add(&self, scheme: Scheme, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            if scheme == Scheme::Http && *name == STRICT_TRANSPORT_SECURITY {
                continue;
            }
            if !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
    }

    /// The same to the answer of a failure, which is one client's own: no cache gives it to another, whatever it may do
    /// with what the method answers.
    pub fn add_to_failure(&self, scheme: Scheme, headers: &mut HeaderMap) {
        let caches = self.0.iter().any(|(name, _)| *name == CACHE_CONTROL);
        if caches && !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        self.add(scheme, headers);
    }
}

impl fmt::Display for SecurityHeaders {
    /// Their names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    //! Levels that say more and less, and answers that say something themselves.

    use super::*;

    fn on(values: &[(&'static str, Option<&'static str>)]) -> Choice {
        let value = |(name, value): &(&'static str, Option<&'static str>)| {
            (HeaderName::from_static(name), value.map(HeaderValue::from_static))
        };
        Choice { on: true, values: values.iter().map(value).collect() }
    }

    fn added(choice: &Choice, scheme: Scheme, own: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in own {
            headers.append(*name, HeaderValue::from_static(value));
        }
        choice.compile().unwrap().add(scheme, &mut headers);
        headers
    }

    #[test]
    fn a_failure_is_never_kept() {
        let mut headers = HeaderMap::new();
        let chosen = on(&[("cache-control", Some("public, max-age=5"))]).compile().unwrap();
        chosen.add_to_failure(Scheme::Http, &mut headers);
        assert_eq!(headers["cache-control"], "no-store");
    }

    #[test]
    fn an_answer_gets_what_it_lacks() {
        let headers =
            added(&on(&[]), Scheme::Https, &[("cache-control", "max-age=5"), ("x-frame-options", "SAMEORIGIN")]);
        assert_eq!(headers.len(), USUAL.len());
        assert_eq!(headers["cache-control"], "max-age=5");
        assert_eq!(headers["x-frame-options"], "SAMEORIGIN");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }

    #[test]
    fn in_the_clear_transport_security_is_not_spoken_of() {
        assert!(added(&on(&[]), Scheme::Https, &[]).contains_key(STRICT_TRANSPORT_SECURITY));
        let clear = added(&on(&[("strict-transport-security", Some("max-age=1"))]), Scheme::Http, &[]);
        assert!(!clear.contains_key(STRICT_TRANSPORT_SECURITY));
        assert_eq!(clear.len(), USUAL.len() - 1);
    }

    #[test]
    fn levels_add_up_header_by_header() {
        let outer = on(&[("referrer-policy", Some("origin")), ("x-frame-options", None)]);
        let inner = on(&[("referrer-policy", None), ("cache-control", Some("private"))]);
        let headers = added(&outer.clone().with(inner), Scheme::Https, &[]);
        assert!(!headers.contains_key("referrer-policy") && !headers.contains_key("x-frame-options"));
        assert_eq!(headers["cache-control"], "private");
        let off = outer.with(Choice { on: false, values: Vec::new() });
        assert_eq!(off.compile(), None);
        let again = added(&off.with(on(&[])), Scheme::Https, &[]);
        assert_eq!(again["referrer-policy"], "origin");
        assert_eq!(Choice::default().compile(), None);
    }
}
