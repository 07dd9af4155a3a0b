//! Keys and tokens for tests, signed by `jsonwebtoken`: an implementation that shares no code with the one under test.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

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
