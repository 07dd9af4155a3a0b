//! `auth.sign`: the tokens by which upstreams know callers.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::auth::signer;
use crate::config::placed::Placed;
use crate::config::unit::Timeout;

/// A token of the gateway's own (RFC 7519) on every call of a caller who was verified, so that services behind it
/// verify one issuer. It says `iss`, `aud`, `sub` (`auth.subject`), `iat`, `exp`, `jti`, and, where there are any,
/// `provider`, `scope`, `roles` and `plan`. The public keys are at `/jwks.json` and `/.well-known/jwks.json` of the admin
/// address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sign {
    /// A PEM file with the private key: PKCS#8 of Ed25519 (EdDSA), P-256 (ES256) or P-384 (ES384), or RSA of 2048 bits or
    /// more (RS256). It is watched; a file that is no good leaves the old key in force. The old public key stays
    /// published for as long as its last token, and a minute.
    pub key: Placed<String>,
    /// How long a token is good, from `1s` to `1h`; never beyond the caller's own credential. A caller's token is used
    /// again until half of this is over.
    #[serde(default = "ttl")]
    pub ttl: Placed<Timeout>,
    /// Whom tokens are meant for: their `aud`.
    pub audience: Placed<Vec<String>>,
    /// Their `iss`.
    #[serde(default = "issuer")]
    pub issuer: Placed<String>,
    /// The header that the upstream finds the token in: `authorization` with `Bearer` before it, another one with the
    /// bare token. What clients send under this name never reaches an upstream, also where nobody is verified.
    #[serde(default = "header")]
    pub header: Placed<String>,
    /// The `kid`. Without it, the key's thumbprint (RFC 7638), which a new key changes: with a name of your own, change
    /// it with the key.
    #[serde(default)]
    pub kid: Option<Placed<String>>,
}

fn ttl() -> Placed<Timeout> {
    Placed::unplaced(Timeout(signer::DEFAULT_TTL))
}

fn issuer() -> Placed<String> {
    Placed::unplaced(signer::DEFAULT_ISSUER.to_owned())
}

fn header() -> Placed<String> {
    Placed::unplaced(http::header::AUTHORIZATION.as_str().to_owned())
}
