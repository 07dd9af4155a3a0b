//! A JSON Web Key Set (RFC 7517) as keys that verify signatures.
//!
//! What can't be used is left out with a word why, and the rest of the set is used: symmetric keys (whoever can verify
//! by them can sign), private keys (they are published, and so anyone's), keys for encryption, RSA below 2048 bits,
//! and kinds that nothing here knows. A key says which algorithms it verifies; a token never does.

#[cfg(test)]
mod tests;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The largest set that is read.
pub const MAX_SET_BYTES: usize = 1 << 20;

/// Keys in a set, at most.
pub const MAX_KEYS: usize = 100;

/// The sizes of RSA keys that are used: RFC 7518 section 3.3 asks for the lower bound, and the time that one
/// verification takes for the upper.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The longest RSA exponent that is used; 65537 has three bytes.
const MAX_EXPONENT_BYTES: usize = 4;

/// A signature algorithm of RFC 7518 section 3.1 or RFC 8037, the asymmetric ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Algorithm {
    /// The algorithm of this `alg`; `None` for any that is not listed here, so for `none` and the symmetric ones.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            // RFC 9864 gives the one algorithm a name of its own.
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// One key.
pub struct Key {
    id: Option<String>,
    digest: [u8; 32],
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
}

impl Key {
    /// The `kid`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Tells keys apart: a key that changes in any way is another one.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    fn verifier(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        self.verifiers.iter().find(|(own, _)| *own == algorithm).map(|(_, verifier)| verifier)
    }

    /// Whether the key is one for this algorithm.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.verifier(algorithm).is_some()
    }

    /// Whether `signature` is the key's over `message`.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.verifier(algorithm).is_some_and(|verifier| verifier.verify_sig(message, signature).is_ok())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let algorithms: Vec<_> = self.verifiers.iter().map(|(algorithm, _)| algorithm).collect();
        f.debug_struct("Key").field("id", &self.id).field("algorithms", &algorithms).finish_non_exhaustive()
    }
}

/// Why a set can't be read at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    #[error("the key set has {0} bytes, expected at most {MAX_SET_BYTES}")]
    TooLarge(usize),
    #[error("no JSON object with a list `keys`: {0}")]
    Malformed(String),
    #[error("the key set has {0} keys, expected at most {MAX_KEYS}")]
    TooMany(usize),
}

/// A key that is left out, by its position from 0, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub position: usize,
    pub why: &'static str,
}

/// The usable keys of an issuer.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
}

impl KeySet {
    /// Parses a JWK Set.
    ///
    /// # Errors
    /// If the set as a whole is no set, or larger than one may be. A single key never spoils it.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        if bytes.len() > MAX_SET_BYTES {
            return Err(KeySetError::TooLarge(bytes.len()));
        }
        let malformed = |error: serde_json::Error| match bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            true => KeySetError::Malformed("this is PEM, expected a JWK Set (RFC 7517)".to_owned()),
            false => KeySetError::Malformed(error.to_string()),
        };
        let document: Document<'_> = serde_json::from_slice(bytes).map_err(malformed)?;
        if document.keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany(document.keys.len()));
        }
        let mut set = Self::default();
        for (position, raw) in document.keys.into_iter().enumerate() {
            match key(raw.get()) {
                Ok(key) => set.keys.push(key),
                Err(why) => set.skipped.push(Skipped { position, why }),
            }
        }
        Ok(set)
    }

    /// The usable keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The keys that were left out.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Whether the key of this digest is in the set.
    #[must_use]
    pub fn holds(&self, digest: &[u8; 32]) -> bool {
        self.keys.iter().any(|key| key.digest == *digest)
    }
}

/// The members of a JWK that matter here.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

fn key(text: &str) -> Result<Key, &'static str> {
    let jwk: Jwk = serde_json::from_str(text).map_err(|_| "not a JSON Web Key")?;
    if jwk.kty == "oct" {
        return Err("symmetric");
    }
    if jwk.d.is_some() {
        return Err("a private key");
    }
    let signs = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
    let verifies = jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"));
    if !signs || !verifies {
        return Err("not for signatures");
    }
    let wanted = match jwk.alg.as_deref() {
        None => None,
        Some(name) => Some(Algorithm::parse(name).ok_or("an algorithm that is not used here")?),
    };
    let mut verifiers = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => rsa(&jwk)?,
        ("EC", Some("P-256")) => ec(&jwk, 32, Algorithm::Es256, &signature::ECDSA_P256_SHA256_FIXED)?,
        ("EC", Some("P-384")) => ec(&jwk, 48, Algorithm::Es384, &signature::ECDSA_P384_SHA384_FIXED)?,
        ("EC", Some("P-521")) => ec(&jwk, 66, Algorithm::Es512, &signature::ECDSA_P521_SHA512_FIXED)?,
        ("OKP", Some("Ed25519")) => ed25519(&jwk)?,
        _ => return Err("a kind or curve that is not used here"),
    };
    verifiers.retain(|(algorithm, _)| wanted.is_none_or(|wanted| wanted == *algorithm));
    if verifiers.is_empty() {
        return Err("an algorithm that does not fit the kind of key");
    }
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    Ok(Key { id: jwk.kid, digest: sum, verifiers })
}

type Verifiers = Vec<(Algorithm, ParsedPublicKey)>;

/// An RSA key says nothing of its algorithm by itself: without `alg` it is one for all six.
fn rsa(jwk: &Jwk) -> Result<Verifiers, &'static str> {
    const ALL: [(Algorithm, &RsaParameters); 6] = [
        (Algorithm::Rs256, &signature::RSA_PKCS1_2048_8192_SHA256),
        (Algorithm::Rs384, &signature::RSA_PKCS1_2048_8192_SHA384),
        (Algorithm::Rs512, &signature::RSA_PKCS1_2048_8192_SHA512),
        (Algorithm::Ps256, &signature::RSA_PSS_2048_8192_SHA256),
        (Algorithm::Ps384, &signature::RSA_PSS_2048_8192_SHA384),
        (Algorithm::Ps512, &signature::RSA_PSS_2048_8192_SHA512),
    ];
    let (n, e) = (bytes(jwk.n.as_deref())?, bytes(jwk.e.as_deref())?);
    // Some issuers write the sign byte of ASN.1 too.
    let (n, e) = (without_zeros(&n), without_zeros(&e));
    let (Some(&first), Some(&low), Some(&low_of_e)) = (n.first(), n.last(), e.last()) else {
        return Err("an RSA key of zero");
    };
    if !RSA_BITS.contains(&(n.len() * 8 - first.leading_zeros() as usize)) {
        return Err("RSA of fewer than 2048 bits or more than 8192");
    }
    // An even modulus is no product of two primes, and a signature by the exponent 1 is the message itself.
    if low & 1 == 0 || low_of_e & 1 == 0 || e == [1] || e.len() > MAX_EXPONENT_BYTES {
        return Err("not the numbers of an RSA key");
    }
    let components = RsaPublicKeyComponents { n, e };
    ALL.into_iter()
        .map(|(algorithm, parameters)| Ok((algorithm, components.to_parsed_public_key(parameters)?)))
        .collect::<Result<_, aws_lc_rs::error::KeyRejected>>()
        .map_err(|_| "not the numbers of an RSA key")
}

fn ec(
    jwk: &Jwk,
    size: usize,
    algorithm: Algorithm,
    verification: &'static EcdsaVerificationAlgorithm,
) -> Result<Verifiers, &'static str> {
    let (x, y) = (bytes(jwk.x.as_deref())?, bytes(jwk.y.as_deref())?);
    if x.len() != size || y.len() != size {
        return Err("coordinates of another length than the curve's");
    }
    // SEC 1: an uncompressed point.
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    let verifier = ParsedPublicKey::new(verification, point).map_err(|_| "not a point of its curve")?;
    Ok(vec![(algorithm, verifier)])
}

fn ed25519(jwk: &Jwk) -> Result<Verifiers, &'static str> {
    let x = bytes(jwk.x.as_deref())?;
    if x.len() != 32 {
        return Err("coordinates of another length than the curve's");
    }
    if is_of_small_order(&x) {
        return Err("a point of small order, by which anybody can sign");
    }
    let verifier = ParsedPublicKey::new(&signature::ED25519, x).map_err(|_| "not a point of its curve")?;
    Ok(vec![(Algorithm::EdDsa, verifier)])
}

/// Whether it is one of the eight points of Ed25519 whose order divides eight, in any of their spellings (RFC 8032 has
/// the sign of the other coordinate in the highest bit): for such a key signatures are found by trying.
fn is_of_small_order(point: &[u8]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let Some((&last, head)) = point.split_last() else { return false };
    let last = last & 0x7f;
    let is_of_order_8 = ORDER_8.iter().any(|other| other.split_last() == Some((&last, head)));
    // 0 and 1, and -1, 0 and 1 by adding the field's prime, which is 2^255 - 19.
    let Some((&first, middle)) = head.split_first() else { return false };
    let small = last == 0 && middle.iter().all(|byte| *byte == 0) && first <= 1;
    let wrapped = last == 0x7f && middle.iter().all(|byte| *byte == 0xff) && (0xec..=0xee).contains(&first);
    is_of_order_8 || small || wrapped
}

fn bytes(member: Option<&str>) -> Result<Vec<u8>, &'static str> {
    let text = member.ok_or("a member is missing")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a member is not base64url")
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}
