//! Keys and tokens for tests, signed by `jsonwebtoken`, an implementation that shares no code with the one under test;
//! and a server on loopback that publishes keys.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(super) const ISSUER: &str = "https://issuer.example.com";
pub(super) const AUDIENCE: &str = "https://api.example.com";

/// RSA keys are slow to make.
pub(super) static RSA: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate("RS256", "rsa"));
pub(super) static EC: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate("ES256", "ec"));
pub(super) static ED: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate("EdDSA", "ed"));

/// A private key, and the public one as a JWK.
pub(super) struct SigningKey {
    pub(super) jwk: Value,
    pub(super) algorithm: &'static str,
    private: Private,
}

enum Private {
    Usual(EncodingKey),
    P521(EcdsaKeyPair),
}

impl SigningKey {
    pub(super) fn generate(algorithm: &'static str, kid: &str) -> Self {
        let (private, mut jwk) = match algorithm {
            "ES512" => p521(),
            "EdDSA" => ed25519(),
            _ => usual(algorithm),
        };
        jwk["kid"] = kid.into();
        jwk["alg"] = algorithm.into();
        Self { jwk, algorithm, private }
    }

    /// The same key, for another algorithm of its kind.
    pub(super) fn with_algorithm(&self, algorithm: &'static str) -> Self {
        let Private::Usual(key) = &self.private else { panic!("P-521 has one algorithm") };
        let mut jwk = self.jwk.clone();
        jwk["alg"] = algorithm.into();
        Self { jwk, algorithm, private: Private::Usual(key.clone()) }
    }

    pub(super) fn kid(&self) -> &str {
        self.jwk["kid"].as_str().unwrap()
    }

    pub(super) fn header(&self) -> Value {
        json!({ "alg": self.algorithm, "kid": self.kid(), "typ": "JWT" })
    }

    /// A token of the usual header.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    /// A properly signed token of whatever text.
    pub(super) fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{message}.{}", self.signature(&message))
    }

    pub(super) fn signature(&self, message: &str) -> String {
        match &self.private {
            Private::Usual(key) => {
                jsonwebtoken::crypto::sign(message.as_bytes(), key, self.algorithm.parse().unwrap()).unwrap()
            }
            Private::P521(pair) => URL_SAFE_NO_PAD.encode(pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap()),
        }
    }
}

fn usual(algorithm: &str) -> (Private, Value) {
    let kind = match algorithm {
        "ES256" => &rcgen::PKCS_ECDSA_P256_SHA256,
        "ES384" => &rcgen::PKCS_ECDSA_P384_SHA384,
        _ => &rcgen::PKCS_RSA_SHA256,
    };
    let pem = rcgen::KeyPair::generate_for(kind).unwrap().serialize_pem();
    let key = match algorithm.starts_with("ES") {
        true => EncodingKey::from_ec_pem(pem.as_bytes()),
        false => EncodingKey::from_rsa_pem(pem.as_bytes()),
    };
    let key = key.unwrap();
    let jwk = Jwk::from_encoding_key(&key, algorithm.parse::<Algorithm>().unwrap()).unwrap();
    (Private::Usual(key), serde_json::to_value(jwk).unwrap())
}

fn ed25519() -> (Private, Value) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    (Private::Usual(key), json!({ "kty": "OKP", "crv": "Ed25519", "x": x }))
}

fn p521() -> (Private, Value) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(66);
    let jwk = json!({
        "kty": "EC", "crv": "P-521", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    });
    (Private::P521(pair), jwk)
}

/// A JWK Set of these keys.
pub(super) fn jwks<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> String {
    let keys: Vec<_> = keys.into_iter().map(|key| key.jwk.clone()).collect();
    json!({ "keys": keys }).to_string()
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Claims that are good for five minutes.
pub(super) fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now() + 300 })
}

/// A server on loopback that answers what it is told to.
pub(super) struct Server {
    pub(super) url: String,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    pub(super) requests: Arc<Mutex<Vec<Received>>>,
    accepting: tokio::task::JoinHandle<()>,
}

/// What a server answers to a path.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

/// What a server was asked.
pub(super) struct Received {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn ok(body: impl Into<Bytes>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into() }
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Arc<Mutex<HashMap<String, Answer>>> = Arc::default();
        let requests: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (shown, noted) = (Arc::clone(&answers), Arc::clone(&requests));
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (shown, noted) = (Arc::clone(&shown), Arc::clone(&noted));
                let service = service_fn(move |request| answer(request, Arc::clone(&shown), Arc::clone(&noted)));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, answers, requests, accepting }
    }

    /// From now on, this path is answered so; a path that nothing is said of is 404.
    pub(super) fn says(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// From now on, the server fails.
    pub(super) fn goes_down(&self) {
        for answer in self.answers.lock().unwrap().values_mut() {
            answer.status = 503;
        }
    }

    pub(super) fn count(&self, path: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| request.path == path).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    requests: Arc<Mutex<Vec<Received>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = head.uri.path().to_owned();
    let answer = answers.lock().unwrap().get(&path).cloned();
    requests.lock().unwrap().push(Received { path, headers: head.headers, body });
    let answer = answer.unwrap_or(Answer { status: 404, headers: Vec::new(), body: Bytes::new() });
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(answer.body)).unwrap())
}

/// Waits until something holds, for as long as a test may take.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to this: {what}");
}
