//! A JSON Web Token (RFC 7519) in the compact form of RFC 7515, verified against the keys of its issuer.
//!
//! Follows RFC 8725 and RFC 9068: the key decides the algorithm, the signature is looked at before any claim, and what
//! a token could use to bring its own key or rules along is refused. Time and keys come from the caller.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::key_set::{Algorithm, Key, KeySet};
use super::principal::Principal;
use super::reason::Reason;
use super::unique;

/// The largest token that is looked at.
pub const MAX_TOKEN_BYTES: usize = 16 << 10;

/// Keys that one token is tried against, at most: what one request may cost.
pub const MAX_KEYS_TRIED: usize = 16;

/// The widest leeway: beyond it a clock is wrong, and tokens would live on for long after their end.
pub const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// The last second of the year 9999: dates beyond it are taken for it.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Members of a header by which a token would choose its own key, or be something else than a signed token.
const REFUSED_MEMBERS: [&str; 7] = ["crit", "jwk", "jku", "x5u", "x5c", "zip", "enc"];

/// What the claims of a token must say, and how they are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The name of the provider, for the principal.
    pub provider: Arc<str>,
    pub issuer: String,
    /// The token must be meant for one of these.
    pub audience: Vec<String>,
    /// How far the issuer's clock may be from ours, at most [`MAX_LEEWAY`].
    pub leeway: Duration,
    /// The claim that lists roles.
    pub roles_claim: String,
}

/// The `iss` of a token that nobody has verified: good for choosing who will, and for nothing else.
///
/// # Errors
/// If it is no JSON Web Token, or has no `iss`.
pub fn unverified_issuer(token: &str) -> Result<String, Reason> {
    #[derive(Deserialize)]
    struct Claims {
        iss: Option<String>,
    }
    let claims = decode(Parts::split(token)?.claims)?;
    let claims: Claims = serde_json::from_slice(&claims).map_err(|_| Reason::Malformed)?;
    claims.iss.ok_or(Reason::MissingClaim)
}

struct Parts<'t> {
    header: &'t str,
    claims: &'t str,
    signature: &'t str,
    /// What the signature is over.
    signed: &'t str,
}

impl<'t> Parts<'t> {
    fn split(token: &'t str) -> Result<Self, Reason> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Reason::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Reason::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Reason::Malformed)?;
        // Five parts are an encrypted token; the fourth dot is no base64url and would end as malformed as well.
        if claims.contains('.') {
            return Err(if token.split('.').count() == 5 { Reason::Unsupported } else { Reason::Malformed });
        }
        Ok(Self { header, claims, signature, signed })
    }
}

/// A token whose signature has not been verified.
#[derive(Debug)]
pub struct Jwt<'t> {
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: &'t str,
    signed: &'t str,
    signature: Vec<u8>,
}

impl<'t> Jwt<'t> {
    /// Parses a token up to its signature; the claims are not looked at yet.
    ///
    /// # Errors
    /// If it is no token, or asks for what is not done here.
    pub fn parse(token: &'t str) -> Result<Self, Reason> {
        let parts = Parts::split(token)?;
        let header = unique::object(&decode(parts.header)?).ok_or(Reason::Malformed)?;
        if REFUSED_MEMBERS.iter().any(|name| header.contains_key(*name)) {
            return Err(Reason::Unsupported);
        }
        // RFC 7797: `false` leaves the claims unencoded.
        if header.get("b64").is_some_and(|value| *value != Value::Bool(true)) {
            return Err(Reason::Unsupported);
        }
        if !is_token_type(header.get("typ"))? {
            return Err(Reason::Unsupported);
        }
        let algorithm = match header.get("alg") {
            Some(Value::String(name)) => Algorithm::parse(name).ok_or(Reason::WrongAlgorithm)?,
            _ => return Err(Reason::Malformed),
        };
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(Reason::Malformed),
        };
        let signature = decode(parts.signature)?;
        Ok(Self { algorithm, key_id, claims: parts.claims, signed: parts.signed, signature })
    }

    /// Verifies the signature, then the claims; returns who calls and the key that says so.
    ///
    /// # Errors
    /// [`Reason::UnknownKey`] if no key could have signed it: a newer set may have one. Else why the token is refused.
    pub fn verify<'k>(&self, keys: &'k KeySet, rules: &Rules, now: SystemTime) -> Result<(Principal, &'k Key), Reason> {
        let key = self.key(keys)?;
        let claims = unique::object(&decode(self.claims)?).ok_or(Reason::Malformed)?;
        Ok((rules.principal(claims, now)?, key))
    }

    /// The key that the token is signed with.
    fn key<'k>(&self, keys: &'k KeySet) -> Result<&'k Key, Reason> {
        let named = |key: &&Key| self.key_id.is_none() || key.id() == self.key_id.as_deref();
        let mut reason = Reason::UnknownKey;
        let mut tried = 0;
        for key in keys.keys().iter().filter(named) {
            if !key.fits(self.algorithm) {
                // A key of this name that signs in another way is no reason to look for a newer set.
                if self.key_id.is_some() && reason == Reason::UnknownKey {
                    reason = Reason::WrongAlgorithm;
                }
                continue;
            }
            if tried == MAX_KEYS_TRIED {
                break;
            }
            if key.verifies(self.algorithm, self.signed.as_bytes(), &self.signature) {
                return Ok(key);
            }
            tried += 1;
            reason = Reason::BadSignature;
        }
        Err(reason)
    }
}

/// Padding, whitespace, the alphabet of plain base64 and stray bits at the end are all refused: each token has exactly
/// one way to be written.
fn decode(part: &str) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::Malformed)
}

/// RFC 9068 section 2.1 and RFC 7519 section 5.1: a token without a type, a JWT, or an access token. Logout tokens,
/// DPoP proofs and the like have a type of their own so as not to be taken for one (RFC 8725 section 3.11).
fn is_token_type(member: Option<&Value>) -> Result<bool, Reason> {
    let name = match member {
        None => return Ok(true),
        Some(Value::String(name)) => name.to_ascii_lowercase(),
        Some(_) => return Err(Reason::Malformed),
    };
    let name = name.strip_prefix("application/").unwrap_or(&name);
    Ok(matches!(name, "jwt" | "at+jwt"))
}

impl Rules {
    /// Who the claims say calls.
    ///
    /// # Errors
    /// If a claim is missing, malformed, or says that the token is not meant for here and now.
    pub(super) fn principal(&self, claims: Map<String, Value>, now: SystemTime) -> Result<Principal, Reason> {
        if text(&claims, "iss")?.ok_or(Reason::MissingClaim)? != self.issuer {
            return Err(Reason::WrongIssuer);
        }
        if !self.is_meant_for_us(claims.get("aud").ok_or(Reason::MissingClaim)?)? {
            return Err(Reason::WrongAudience);
        }
        let expires = self.lifetime(&claims, now)?.ok_or(Reason::MissingClaim)?;
        self.identity(claims, Some(expires))
    }

    /// Any of our names among the token's (RFC 7519 section 4.1.3).
    pub(super) fn is_meant_for_us(&self, audience: &Value) -> Result<bool, Reason> {
        let is_ours = |name: &str| self.audience.iter().any(|ours| ours == name);
        match audience {
            Value::String(name) => Ok(is_ours(name)),
            Value::Array(names) => names.iter().try_fold(false, |found, name| match name {
                Value::String(name) => Ok(found || is_ours(name)),
                _ => Err(Reason::Malformed),
            }),
            _ => Err(Reason::Malformed),
        }
    }

    /// When the token ends, leeway included: until then it is taken. `None` without `exp`.
    pub(super) fn lifetime(&self, claims: &Map<String, Value>, now: SystemTime) -> Result<Option<SystemTime>, Reason> {
        let leeway = self.leeway.min(MAX_LEEWAY).as_secs_f64();
        let now = now.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        if date(claims, "nbf")?.is_some_and(|begin| now + leeway < begin) {
            return Err(Reason::NotYetValid);
        }
        let Some(end) = date(claims, "exp")? else { return Ok(None) };
        let end = end + leeway;
        if now >= end {
            return Err(Reason::Expired);
        }
        Ok(UNIX_EPOCH.checked_add(Duration::from_secs_f64(end)))
    }

    /// The caller that verified claims tell of. A token without `sub` names nobody whom limits, logs and upstreams
    /// could tell from the next one, and RFC 9068 requires it: it is refused.
    pub(super) fn identity(
        &self,
        claims: Map<String, Value>,
        expires: Option<SystemTime>,
    ) -> Result<Principal, Reason> {
        let subject = text(&claims, "sub")?.filter(|subject| !subject.is_empty()).ok_or(Reason::MissingClaim)?;
        let subject = subject.to_owned();
        let scopes = if claims.contains_key("scope") { "scope" } else { "scp" };
        Ok(Principal {
            roles: words(claims.get(&self.roles_claim))?,
            scopes: words(claims.get(scopes))?,
            claims,
            expires,
            ..Principal::new(Arc::clone(&self.provider), subject)
        })
    }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<Option<&'c str>, Reason> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Reason::Malformed),
    }
}

/// A NumericDate (RFC 7519 section 2): seconds since 1970, maybe with decimals; brought into the years 1970 to 9999,
/// so that whatever is computed of it is finite.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, Reason> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => {
            let seconds = number.as_f64().filter(|seconds| seconds.is_finite()).ok_or(Reason::Malformed)?;
            Ok(Some(seconds.clamp(0.0, LAST_SECOND)))
        }
        Some(_) => Err(Reason::Malformed),
    }
}

/// A list of words, or words between spaces.
fn words(claim: Option<&Value>) -> Result<Vec<String>, Reason> {
    match claim {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()),
        Some(Value::Array(list)) => {
            list.iter().map(|word| word.as_str().map(str::to_owned).ok_or(Reason::Malformed)).collect()
        }
        Some(_) => Err(Reason::Malformed),
    }
}
