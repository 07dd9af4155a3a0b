//! One bounded exchange over HTTPS, for the control plane: key sets, discovery, introspection.
//!
//! Redirects are not followed: an answer from elsewhere is no answer of the one that was asked. In the clear only
//! loopback is spoken to. Time and the size of an answer are bounded.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http::uri::Scheme;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::tls::{self, TlsError};

/// From the first step of the connection to the last byte of the answer.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

const MAX_IDLE_CONNECTIONS: usize = 8;

/// The head of an answer.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// What may be fetched from: `https`, or `http` on loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(Uri);

/// Why a text is no such URL.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("`{0}` is no URL, expected one such as https://issuer.example.com/keys")]
    Malformed(String),
    #[error("`{0}` goes in the clear, which is for loopback alone; expected https://")]
    InTheClear(String),
    /// The URL is not shown: it has a password in it.
    #[error("the URL has a user name in it, expected none")]
    WithUser,
}

impl Url {
    /// Parses a URL.
    ///
    /// # Errors
    /// If it is none, has a user name or fragment, or would send in the clear what leaves the machine.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let malformed = || UrlError::Malformed(text.to_owned());
        if text.contains('@') {
            return Err(UrlError::WithUser);
        }
        if text.contains('#') {
            return Err(malformed());
        }
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
        match uri.scheme_str() {
            Some("https") => Ok(Self(uri)),
            Some("http") if is_loopback(host) => Ok(Self(uri)),
            Some("http") => Err(UrlError::InTheClear(text.to_owned())),
            _ => Err(malformed()),
        }
    }

    /// Whether nobody on the way can read along.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// RFC 6761 section 6.3 keeps the name `localhost` for loopback.
fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Why an exchange brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("no answer within {} s", EXCHANGE_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the server can't be reached or broke off: {0}")]
    Failed(String),
    /// Why the system has no authorities.
    #[error(
        "https can't be spoken: the system's certificate authorities can't be read ({0}); install them, such as by the \
         package ca-certificates, or name a file of them by SSL_CERT_FILE, and start anew"
    )]
    NoAuthorities(Arc<str>),
    #[error("the answer has status {0}, expected 200")]
    Status(StatusCode),
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

/// An answer with status 200.
#[derive(Debug)]
pub struct Fetched {
    pub body: Bytes,
    /// For how long it may be kept; zero if it may not.
    pub max_age: Option<Duration>,
}

/// A client with its connections.
#[derive(Clone, Debug)]
pub struct Client {
    pooled: Pooled<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Why there is nobody to trust, where there is nobody.
    no_authorities: Option<Arc<str>>,
}

impl Client {
    /// A client that trusts the authorities in the PEM file `ca` (`None`: the system's). A system without any is told of
    /// when something is fetched by https: loopback needs none.
    ///
    /// # Errors
    /// If TLS can't be set up.
    pub fn new(ca: Option<&Path>) -> Result<Self, TlsError> {
        let (mut config, no_authorities) = match tls::client(ca, None) {
            Ok(client) => ((*client.config).clone(), None),
            Err(TlsError::System(why)) => (tls::trusting_nobody()?, Some(why.into())),
            Err(error) => return Err(error),
        };
        // The connector asks for the protocols that it speaks.
        config.alpn_protocols.clear();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(http);
        let pooled = Pooled::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            // Without a timer idle connections are never closed.
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(connector);
        Ok(Self { pooled, no_authorities })
    }

    /// Fetches a JSON document of at most `max_bytes`.
    ///
    /// # Errors
    /// If there is no answer in time, it is no 200, or larger.
    pub async fn get(&self, url: &Url, max_bytes: usize) -> Result<Fetched, FetchError> {
        self.exchange(request(Method::GET, url, Bytes::new()), max_bytes).await
    }

    /// Sends a form, and fetches a JSON document of at most `max_bytes`. `authorization` is marked as sensitive.
    ///
    /// # Errors
    /// If there is no answer in time, it is no 200, or larger.
    pub async fn post_form(
        &self,
        url: &Url,
        form: String,
        mut authorization: HeaderValue,
        max_bytes: usize,
    ) -> Result<Fetched, FetchError> {
        authorization.set_sensitive(true);
        let mut request = request(Method::POST, url, form.into());
        request.headers_mut().insert(AUTHORIZATION, authorization);
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form_type);
        self.exchange(request, max_bytes).await
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, max_bytes: usize) -> Result<Fetched, FetchError> {
        if let Some(why) = self.no_authorities.as_ref().filter(|_| request.uri().scheme() == Some(&Scheme::HTTPS)) {
            return Err(FetchError::NoAuthorities(why.clone()));
        }
        let exchange = async {
            let response = self.pooled.request(request).await.map_err(|error| FetchError::Failed(chain(&error)))?;
            let (head, body) = response.into_parts();
            if head.status != StatusCode::OK {
                return Err(FetchError::Status(head.status));
            }
            let body = Limited::new(body, max_bytes).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    FetchError::TooLarge(max_bytes)
                } else {
                    FetchError::Failed(chain(error.as_ref()))
                }
            })?;
            Ok(Fetched { body: body.to_bytes(), max_age: max_age(&head.headers) })
        };
        tokio::time::timeout(EXCHANGE_TIMEOUT, exchange).await.unwrap_or(Err(FetchError::TimedOut))
    }
}

fn request(method: Method, url: &Url, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = url.0.clone();
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    let agent = HeaderValue::from_static(concat!("lockgate/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(USER_AGENT, agent);
    request
}

/// An error with what caused it: hyper's own says little.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// RFC 9111 section 5.2.2, as far as it says how long.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut age = None;
    for directive in values.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(Duration::ZERO),
            "max-age" => age = value.trim().trim_matches('"').parse().ok().map(Duration::from_secs),
            _ => {}
        }
    }
    age
}

#[cfg(test)]
mod tests {
    //! URLs, the age of answers, and TLS; other exchanges are told with the issuer's and the introspection's tests.

    use super::*;

    #[test]
    fn only_loopback_is_spoken_to_in_the_clear() {
        for good in [
            "https://issuer.example.com",
            "https://issuer.example.com:8443/a/b?c",
            "http://127.0.0.1:8080/keys",
            "http://127.9.9.9/",
            "http://[::1]:80/",
            "http://LOCALHOST:1/",
        ] {
            assert!(Url::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "issuer.example.com",
            "/keys",
            "ftp://127.0.0.1/",
            "http://issuer.example.com/",
            "http://10.0.0.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "https://user:password@issuer.example.com/",
            "http://127.0.0.1@example.com/",
            "https://issuer.example.com/#a",
            "https:///keys",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
        let message = Url::parse("https://user:password@issuer.example.com/").unwrap_err().to_string();
        assert!(!message.contains("password@"), "{message}");
    }

    #[test]
    fn the_age_of_an_answer_is_read() {
        for (value, expected) in [
            ("max-age=300", Some(300)),
            ("public, Max-Age=\"60\" , must-revalidate", Some(60)),
            ("no-store", Some(0)),
            ("max-age=300, no-cache", Some(0)),
            ("max-age=-1", None),
            ("max-age=99999999999999999999999", None),
            ("private", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
            assert_eq!(max_age(&headers), expected.map(Duration::from_secs), "{value}");
        }
    }

    /// A server of one answer, and the file of the authority that vouches for it.
    async fn encrypted(file: &Path) -> Url {
        let pair = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&pair).unwrap();
        std::fs::write(file, certificate.pem()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/keys", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let service = hyper::service::service_fn(|_| async {
                    Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from_static(b"{}"))))
                });
                let stream = hyper_util::rt::TokioIo::new(stream);
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
            }
        });
        Url::parse(&url).unwrap()
    }

    #[tokio::test]
    async fn a_server_is_who_an_authority_says() {
        let folder = std::env::temp_dir();
        let (known, other) = ("known", "other");
        let file = |name: &str| folder.join(format!("lockgate-authority-{name}-{}.pem", std::process::id()));
        let url = encrypted(&file(known)).await;
        encrypted(&file(other)).await;
        let fetched = Client::new(Some(&file(known))).unwrap().get(&url, 2).await.unwrap();
        assert_eq!(fetched.body, "{}");
        let small = Client::new(Some(&file(known))).unwrap().get(&url, 1).await.unwrap_err();
        assert!(matches!(small, FetchError::TooLarge(1)), "{small}");
        let error = Client::new(Some(&file(other))).unwrap().get(&url, 2).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
        for name in [known, other] {
            std::fs::remove_file(file(name)).unwrap();
        }
    }
}
