//! Identity: who calls.
//!
//! A credential is verified once, here; what follows sees a [`principal::Principal`].

pub mod api_key;
pub mod authenticate;
pub mod client_certificate;
pub mod fetch;
pub mod introspection;
pub mod issuer;
pub mod jwt;
pub mod key_set;
pub mod key_source;
pub mod location;
pub mod principal;
pub mod reason;
pub mod secret;
pub mod signer;
#[cfg(test)]
mod testing;
pub mod token_cache;
pub mod trouble;
mod unique;
mod watched_file;

/// One of `auth.providers`.
#[derive(Clone, Debug, PartialEq)]
pub enum Config {
    Jwt(issuer::Config),
    Introspection(introspection::Config),
    ApiKeys(api_key::Config),
    ClientCertificates(client_certificate::Config),
}
