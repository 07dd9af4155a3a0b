//! Tokens of the gateway's own, by which services behind it know a caller whatever the credential was: one issuer, one
//! set of keys, one form (RFC 7519, signed as RFC 7515 and RFC 8037 say).
//!
//! A signature costs as much as a small request, so a caller's token is used until half of its time is over. The key's
//! file is watched; when it is swapped, the public half of the old key stays published until the last token that it
//! signed has ended.
//!
//! ```text
//! { "iss": "lockgate", "aud": "internal", "sub": "mira", "iat": …, "exp": …, "jti": "…",
//!   "provider": "users", "scope": "read write", "roles": ["admin"], "plan": "pro" }
//! ```

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, JwkSet, OctetKeyPairParameters, OctetKeyPairType,
    PublicKeyUse, ThumbprintHash,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::Serialize;

use super::principal::Principal;
use super::watched_file::WatchedFile;

/// How long a token is good unless the configuration says otherwise.
pub const DEFAULT_TTL: Duration = Duration::from_secs(60);

/// The shortest life of a token: its times are whole seconds.
pub const MIN_TTL: Duration = Duration::from_secs(1);

/// The longest: nobody can take a token back.
pub const MAX_TTL: Duration = Duration::from_secs(3600);

/// The issuer unless the configuration says otherwise.
pub const DEFAULT_ISSUER: &str = "lockgate";

/// RSA keys have at least so many bits (RFC 7518, 3.3).
pub const MIN_RSA_BITS: usize = 2048;

/// The largest key file that is read.
const MAX_FILE_BYTES: usize = 64 << 10;

/// Tokens that are remembered, in KiB of them begun.
const CACHED_KIB: usize = 4096;

/// For so long beyond the life of its tokens an old key stays published: other instances may swap theirs a little later.
const PREVIOUS_STAYS: Duration = Duration::from_secs(60);

/// Keys that are published though they sign no more, at most.
const MAX_PREVIOUS: usize = 8;

/// What is to be known of the gateway's tokens. As with providers, a reload keeps a signer whose configuration has not
/// changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// A PEM file with a private key.
    pub key: PathBuf,
    /// From [`MIN_TTL`] to [`MAX_TTL`].
    pub ttl: Duration,
    /// Whom tokens are meant for, at least one.
    pub audience: Vec<String>,
    pub issuer: String,
    /// `authorization` holds `Bearer` and the token, any other header the bare token.
    pub header: HeaderName,
    /// The `kid`; `None`: the key's thumbprint (RFC 7638).
    pub key_id: Option<String>,
}

/// Why the gateway can't sign by a key file.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(
        "{}: {found}, expected a PEM private key: PKCS#8 of Ed25519, P-256 or P-384, or RSA of {MIN_RSA_BITS} bits or \
         more",
        path.display()
    )]
    Key { path: PathBuf, found: &'static str },
}

/// A token could not be signed. It is the gateway's fault, and says nothing of the key.
#[derive(Debug, thiserror::Error)]
#[error("the gateway's token could not be signed")]
pub struct Unsigned;

/// What signs.
#[derive(Debug)]
pub struct Signer {
    config: Config,
    file: WatchedFile,
    keys: ArcSwap<Keys>,
    tokens: Cache<[u8; 32], Signed, ByKibibyte>,
}

#[derive(Debug)]
struct Keys {
    current: Arc<SigningKey>,
    /// Those before, the last one first, and until when each is published.
    previous: Vec<(Arc<SigningKey>, SystemTime)>,
}

impl Keys {
    /// These with `current` instead of the one that signed until now with this `ttl`.
    fn followed_by(&self, current: Arc<SigningKey>, ttl: Duration) -> Self {
        let now = SystemTime::now();
        let mut previous = self.previous.clone();
        if self.current.thumbprint != current.thumbprint {
            previous.insert(0, (self.current.clone(), now + ttl + PREVIOUS_STAYS));
        }
        previous.retain(|(key, until)| now < *until && key.thumbprint != current.thumbprint);
        previous.truncate(MAX_PREVIOUS);
        Self { current, previous }
    }
}

#[derive(Debug)]
struct SigningKey {
    private: EncodingKey,
    header: Header,
    /// With its `kid`.
    public: Jwk,
    /// RFC 7638, whatever the `kid` is.
    thumbprint: String,
}

/// A caller's token, as the header's value.
#[derive(Clone, Debug)]
struct Signed {
    value: HeaderValue,
    /// When the next one is due.
    until: SystemTime,
}

#[derive(Clone, Debug)]
struct ByKibibyte;

impl Weighter<[u8; 32], Signed> for ByKibibyte {
    fn weight(&self, _: &[u8; 32], signed: &Signed) -> u64 {
        u64::try_from(signed.value.len().div_ceil(1024)).unwrap_or(u64::MAX)
    }
}

#[derive(Serialize)]
struct Claims<'c> {
    iss: &'c str,
    aud: Audience<'c>,
    sub: &'c str,
    iat: u64,
    exp: u64,
    jti: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    provider: &'c str,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roles: &'c [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    plan: &'c str,
}

/// RFC 7519, 4.1.3: a single one may stand by itself, and some readers expect it so.
#[derive(Serialize)]
#[serde(untagged)]
enum Audience<'c> {
    One(&'c str),
    Several(&'c [String]),
}

impl Signer {
    /// Reads the key. What `previous` signed by another one stays good.
    ///
    /// # Errors
    /// If the file can't be read, or holds no key to sign with.
    pub fn build(config: Config, previous: Option<&Self>) -> Result<Self, SignerError> {
        let file = WatchedFile::new(config.key.clone(), MAX_FILE_BYTES);
        let content = file.changed().unwrap_or_else(|| Err(std::io::ErrorKind::NotFound.into()));
        let current = Arc::new(read(&config, content)?);
        let keys = match previous {
            Some(signer) => signer.keys.load().followed_by(current, signer.config.ttl),
            None => Keys { current, previous: Vec::new() },
        };
        let keys = ArcSwap::from_pointee(keys);
        let weight = u64::try_from(CACHED_KIB).unwrap_or(u64::MAX);
        Ok(Self { config, file, keys, tokens: Cache::with_weighter(CACHED_KIB, weight, ByKibibyte) })
    }

    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Reads the key's file again if its content has changed; whether it has. The old key stays if the new one is no
    /// good.
    ///
    /// # Errors
    /// As for [`Signer::build`]; the same broken content is told once.
    pub fn reload(&self) -> Result<bool, SignerError> {
        let Some(content) = self.file.changed() else { return Ok(false) };
        let current = Arc::new(read(&self.config, content)?);
        let keys = self.keys.load();
        self.keys.store(Arc::new(keys.followed_by(current, self.config.ttl)));
        Ok(true)
    }

    /// The value of [`Config::header`] for this caller.
    ///
    /// # Errors
    /// If the system has no random numbers, or the caller's name is no text for a header.
    pub fn sign(&self, caller: &Principal) -> Result<HeaderValue, Unsigned> {
        self.sign_at(caller, SystemTime::now())
    }

    fn sign_at(&self, caller: &Principal, now: SystemTime) -> Result<HeaderValue, Unsigned> {
        let key = self.keys.load().current.clone();
        let identity = identity(&key, caller);
        if let Some(signed) = self.tokens.get(&identity).filter(|signed| now < signed.until) {
            return Ok(signed.value);
        }
        let claims = self.claims(caller, now);
        let token = jsonwebtoken::encode(&key.header, &claims, &key.private).map_err(|_| Unsigned)?;
        let text = if self.config.header == AUTHORIZATION { format!("Bearer {token}") } else { token };
        let mut value = HeaderValue::try_from(text).map_err(|_| Unsigned)?;
        value.set_sensitive(true);
        self.tokens.insert(identity, Signed { value: value.clone(), until: now + self.config.ttl / 2 });
        Ok(value)
    }

    fn claims<'c>(&'c self, caller: &'c Principal, now: SystemTime) -> Claims<'c> {
        let iat = seconds(now);
        let exp = iat.saturating_add(self.config.ttl.as_secs());
        Claims {
            iss: &self.config.issuer,
            aud: match self.config.audience.as_slice() {
                [one] => Audience::One(one),
                several => Audience::Several(several),
            },
            sub: &caller.subject,
            iat,
            exp: end(caller).map_or(exp, |end| end.min(exp)),
            jti: URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()),
            provider: &caller.provider,
            scope: caller.scopes.join(" "),
            roles: &caller.roles,
            plan: &caller.plan,
        }
    }

    /// The public keys by which the gateway's tokens are verified, the current one first.
    #[must_use]
    pub fn key_set(&self) -> JwkSet {
        let keys = self.keys.load();
        let mut published = vec![&keys.current];
        for (key, until) in &keys.previous {
            // Of two keys of one name a reader could not tell which is meant.
            if SystemTime::now() < *until && published.iter().all(|other| other.header.kid != key.header.kid) {
                published.push(key);
            }
        }
        JwkSet { keys: published.into_iter().map(|key| key.public.clone()).collect() }
    }
}

/// The caller's own end. What a provider forgives in clocks is not passed on.
fn end(caller: &Principal) -> Option<u64> {
    let claimed = caller.claims.get("exp").and_then(serde_json::Value::as_f64);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates, as is meant")]
    let claimed = claimed.map(|seconds| seconds as u64);
    claimed.or_else(|| caller.expires.map(seconds))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A digest of the key and of everything of the caller that a token says.
fn identity(key: &SigningKey, caller: &Principal) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    let mut add = |text: &str| {
        context.update(&text.len().to_be_bytes());
        context.update(text.as_bytes());
    };
    add(&key.thumbprint);
    add(&caller.provider);
    add(&caller.subject);
    add(&caller.plan);
    // Their numbers tell where one list ends and the next begins.
    for list in [&caller.scopes, &caller.roles] {
        add(&list.len().to_string());
        list.iter().for_each(|word| add(word));
    }
    add(&end(caller).map_or(String::new(), |end| end.to_string()));
    let mut sum = [0; 32];
    sum.copy_from_slice(context.finish().as_ref());
    sum
}

/// The key in a file, tried once: what it signs, its public half verifies.
fn read(config: &Config, content: std::io::Result<Vec<u8>>) -> Result<SigningKey, SignerError> {
    let path = &config.key;
    let pem = content.map_err(|source| SignerError::File { path: path.clone(), source })?;
    let (algorithm, private, mut public) = parse(path, &pem)?;
    let refused = || SignerError::Key { path: path.clone(), found: "found a key that does not sign" };
    let thumbprint = public.thumbprint(ThumbprintHash::SHA256).map_err(|_| refused())?;
    let key_id = config.key_id.clone().unwrap_or_else(|| thumbprint.clone());
    public.common.key_id = Some(key_id.clone());
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    let header = Header { kid: Some(key_id), ..Header::new(algorithm) };
    let token = jsonwebtoken::encode(&header, &serde_json::Map::new(), &private).map_err(|_| refused())?;
    let verifier = DecodingKey::from_jwk(&public).map_err(|_| refused())?;
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<serde_json::Map<String, serde_json::Value>>(&token, &verifier, &validation)
        .map_err(|_| refused())?;
    Ok(SigningKey { private, header, public, thumbprint })
}

fn parse(path: &Path, pem: &[u8]) -> Result<(Algorithm, EncodingKey, Jwk), SignerError> {
    let refused = |found| SignerError::Key { path: path.into(), found };
    if let Ok(key) = EncodingKey::from_ed_pem(pem) {
        let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes()).map_err(|_| refused("found a broken key of Ed25519"))?;
        let public = OctetKeyPairParameters {
            key_type: OctetKeyPairType::OctetKeyPair,
            curve: EllipticCurve::Ed25519,
            x: URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
        };
        let common = CommonParameters { key_algorithm: Some(Algorithm::EdDSA.into()), ..CommonParameters::default() };
        return Ok((Algorithm::EdDSA, key, Jwk { common, algorithm: AlgorithmParameters::OctetKeyPair(public) }));
    }
    if let Ok(key) = EncodingKey::from_ec_pem(pem) {
        let of = |algorithm| Some((algorithm, key.clone(), Jwk::from_encoding_key(&key, algorithm).ok()?));
        let found = of(Algorithm::ES256).or_else(|| of(Algorithm::ES384));
        return found.ok_or_else(|| refused("found a key of another curve"));
    }
    let key = EncodingKey::from_rsa_pem(pem).map_err(|_| refused("found none"))?;
    let public = Jwk::from_encoding_key(&key, Algorithm::RS256).map_err(|_| refused("found none that can be used"))?;
    match &public.algorithm {
        AlgorithmParameters::RSA(rsa) if bits(&rsa.n) >= MIN_RSA_BITS => Ok((Algorithm::RS256, key, public)),
        _ => Err(refused("found a smaller RSA key")),
    }
}

/// How long a number is that a JWK holds.
fn bits(number: &str) -> usize {
    let bytes = URL_SAFE_NO_PAD.decode(number).unwrap_or_default();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let leading = bytes.get(first).map_or(0, |byte| byte.leading_zeros() as usize);
    (bytes.len() - first) * 8 - leading
}
