//! Cross-origin requests (the Fetch standard, "HTTP-CORS protocol"): which pages may call, and how they are told.
//!
//! ```text
//! origin: https://app.example.com   ->   access-control-allow-origin: https://app.example.com, vary: origin
//! ```
//!
//! A preflight is answered before authentication, which browsers never send with it. An origin that may not call gets
//! the same answer without the headers, so that its page can't read it.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};

/// A longer `origin` is none that may call.
const MAX_ORIGIN_BYTES: usize = 512;

/// Which pages may call, and what they may send and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    origins: Box<[Origin]>,
    credentials: bool,
    headers: HeaderValue,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

/// One of `origins`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Any,
    Exact(String),
    /// `https://*.example.com:8443`: what stands before and after the `*`.
    Subdomain {
        scheme: String,
        rest: String,
    },
}

/// Why origins can't be as they are written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorsError {
    #[error("`{0}` is no origin, expected `https://app.example.com`, `https://*.example.com` or `*`")]
    Origin(String),
    #[error("`credentials` don't go with the origin `*`: any page could act as its visitor")]
    CredentialsForAll,
    #[error("`{0}` is no header name")]
    Header(String),
}

impl CorsError {
    /// Whether this text is to blame.
    #[must_use]
    pub fn is_about(&self, text: &str) -> bool {
        match self {
            Self::Origin(blamed) | Self::Header(blamed) => blamed == text,
            Self::CredentialsForAll => text == "*",
        }
    }
}

/// What is allowed, as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Allowed<'a> {
    pub origins: &'a [String],
    pub credentials: bool,
    pub headers: &'a [String],
    pub expose: &'a [String],
    pub max_age_seconds: u64,
}

impl Cors {
    /// Compiles what is allowed.
    ///
    /// # Errors
    /// What is no origin or header, and credentials for everyone.
    pub fn compile(allowed: Allowed<'_>) -> Result<Self, CorsError> {
        let origins = allowed.origins.iter().map(|text| Origin::parse(text)).collect::<Result<Box<[_]>, _>>()?;
        if allowed.credentials && origins.contains(&Origin::Any) {
            return Err(CorsError::CredentialsForAll);
        }
        Ok(Self {
            origins,
            credentials: allowed.credentials,
            headers: list(allowed.headers)?.unwrap_or(HeaderValue::from_static("")),
            expose: list(allowed.expose)?,
            max_age: HeaderValue::from(allowed.max_age_seconds),
        })
    }

    /// Tells the page that made a request whether it may read the answer.
    pub fn answer(&self, request: &HeaderMap, response: &mut HeaderMap) {
        // An answer that is the same for every origin needs no `vary`.
        if self.credentials || !self.origins.contains(&Origin::Any) {
            response.append(VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = self.admitted(request) else { return };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(expose) = &self.expose {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }

    /// Tells a browser what the request that it is about to make may have, beside what [`Cors::answer`] tells. `methods`
    /// are those of the path.
    pub fn answer_preflight(&self, request: &HeaderMap, methods: HeaderValue, response: &mut HeaderMap) {
        response.append(VARY, HeaderValue::from_static("access-control-request-method"));
        if self.admitted(request).is_none() {
            return;
        }
        response.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        if !self.headers.is_empty() {
            response.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
        }
        response.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
    }

    /// What the page is told that it is, if it may call.
    fn admitted(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let mut values = request.get_all(ORIGIN).iter();
        let (origin, None) = (values.next()?, values.next()) else { return None };
        let text = origin.to_str().ok().filter(|text| text.len() <= MAX_ORIGIN_BYTES)?;
        let admitted = self.origins.iter().find(|allowed| allowed.admits(text))?;
        Some(match admitted {
            Origin::Any => HeaderValue::from_static("*"),
            Origin::Exact(_) | Origin::Subdomain { .. } => origin.clone(),
        })
    }
}

/// The method that a preflight asks about; `None` for a request that is none.
#[must_use]
pub fn preflight(request: &HeaderMap) -> Option<&HeaderValue> {
    request.get(ORIGIN).and_then(|_| request.get(ACCESS_CONTROL_REQUEST_METHOD))
}

fn list(names: &[String]) -> Result<Option<HeaderValue>, CorsError> {
    for name in names {
        HeaderName::try_from(name).map_err(|_| CorsError::Header(name.clone()))?;
    }
    let joined = names.join(", ").to_ascii_lowercase();
    Ok((!names.is_empty()).then(|| HeaderValue::try_from(joined).expect("header names are legal in a header value")))
}

impl Origin {
    fn parse(text: &str) -> Result<Self, CorsError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let refused = || CorsError::Origin(text.to_owned());
        let (scheme, authority) = text.split_once("://").ok_or_else(refused)?;
        let (subdomain, host) = match authority.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, authority),
        };
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_lowercase());
        if !is_scheme || host.is_empty() || !host.bytes().all(legal) || host.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(refused());
        }
        // `https://*.com` would let in whoever owns a domain.
        if subdomain && !host.contains('.') && host.split(':').next() != Some("localhost") {
            return Err(refused());
        }
        Ok(match subdomain {
            true => Self::Subdomain { scheme: format!("{scheme}://"), rest: format!(".{host}") },
            false => Self::Exact(text.to_owned()),
        })
    }

    /// Browsers send origins in their one canonical form, so that bytes are compared.
    fn admits(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == origin,
            Self::Subdomain { scheme, rest } => origin
                .strip_prefix(scheme.as_str())
                .and_then(|host| host.strip_suffix(rest.as_str()))
                // Labels alone: nothing that could end the host earlier.
                .is_some_and(|labels| {
                    !labels.is_empty()
                        && labels.split('.').all(|label| {
                            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                        })
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Result<Cors, CorsError> {
        let origins: Vec<_> = origins.iter().map(ToString::to_string).collect();
        let headers = ["Authorization".to_owned()];
        Cors::compile(Allowed { origins: &origins, credentials, headers: &headers, expose: &[], max_age_seconds: 600 })
    }

    #[track_caller]
    fn check(allowed: &[&str], origin: &str, expected: Option<&str>) {
        let mut request = HeaderMap::new();
        request.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        let mut response = HeaderMap::new();
        cors(allowed, false).unwrap().answer(&request, &mut response);
        let told = response.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap());
        assert_eq!(told, expected, "{origin}");
    }

    #[test]
    fn origins_are_compared_whole() {
        check(&["https://app.example.com"], "https://app.example.com", Some("https://app.example.com"));
        for other in
            ["http://app.example.com", "https://app.example.com:444", "https://app.example.com.evil.org", "null"]
        {
            check(&["https://app.example.com"], other, None);
        }
        check(&["*"], "https://anything.org", Some("*"));
    }

    #[test]
    fn a_wildcard_stands_for_subdomains_alone() {
        let allowed = ["https://*.example.com"];
        check(&allowed, "https://a.example.com", Some("https://a.example.com"));
        check(&allowed, "https://a.b.example.com", Some("https://a.b.example.com"));
        let others = [
            "https://example.com",
            "https://.example.com",
            "https://evil.org/.example.com",
            "https://evil.org?.example.com",
            "https://evil.org#.example.com",
            "https://user@x.example.com",
            "https://evilexample.com",
            "http://a.example.com",
            "https://a.example.com:8443",
        ];
        for other in others {
            check(&allowed, other, None);
        }
    }

    #[test]
    fn credentials_for_every_origin_are_refused() {
        assert_eq!(cors(&["*"], true), Err(CorsError::CredentialsForAll));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "example.com",
            "https://",
            "https://a.com/",
            "https://a.com/x",
            "https://A.com",
            "https://a.*.com",
            "https://*.com",
            "https://*.com:8443",
        ] {
            assert_eq!(cors(&[text], false), Err(CorsError::Origin(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn answers_vary_by_origin_unless_all_are_alike() {
        let request = HeaderMap::new();
        let mut response = HeaderMap::new();
        cors(&["https://a.com"], false).unwrap().answer(&request, &mut response);
        assert_eq!(response.get(VARY).unwrap(), "origin");
        response.clear();
        cors(&["*"], false).unwrap().answer(&request, &mut response);
        assert!(response.is_empty());
    }
}
