//! Who a request's credentials stand for, by the providers that a method believes.
//!
//! A credential that is present and bad refuses the request, even beside a good one: a caller who shows something
//! broken does not know what they do, or tries what they may not.

use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderName;
use rustls::pki_types::CertificateDer;
use smallvec::SmallVec;

use super::Config;
use super::api_key::ApiKeys;
use super::client_certificate::ClientCertificates;
use super::introspection::Introspection;
use super::issuer::Issuer;
use super::jwt;
use super::location::{self, TokenLocation};
use super::principal::Principal;
use super::reason::Reason;
use super::token_cache::Token;
use super::trouble::Trouble;

/// One way to tell who calls.
#[derive(Clone, Debug)]
pub enum Provider {
    Jwt(Arc<Issuer>),
    Introspection(Arc<Introspection>),
    ApiKeys(Arc<ApiKeys>),
    ClientCertificates(Arc<ClientCertificates>),
}

/// What a request shows of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    pub headers: &'a HeaderMap,
    /// The client's certificate, verified against the listener's authorities, as DER.
    pub certificate: Option<&'a CertificateDer<'a>>,
}

/// What each of the providers that were asked found; `None` where there was no credential for it.
pub type Found = SmallVec<[Option<Arc<Principal>>; 4]>;

impl Provider {
    /// What it was made from.
    #[must_use]
    pub fn config(&self) -> Config {
        match self {
            Self::Jwt(issuer) => Config::Jwt(issuer.config().clone()),
            Self::Introspection(introspector) => Config::Introspection(introspector.config().clone()),
            Self::ApiKeys(keys) => Config::ApiKeys(keys.config().clone()),
            Self::ClientCertificates(certificates) => Config::ClientCertificates(certificates.config().clone()),
        }
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Jwt(issuer) => &issuer.config().name,
            Self::Introspection(introspector) => &introspector.config().name,
            Self::ApiKeys(keys) => &keys.config().name,
            Self::ClientCertificates(certificates) => &certificates.config().name,
        }
    }

    /// What it fails at; `None` for one that reads and fetches nothing in the background.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        match self {
            Self::Jwt(issuer) => Some(issuer.trouble()),
            Self::ApiKeys(keys) => Some(keys.trouble()),
            Self::Introspection(_) | Self::ClientCertificates(_) => None,
        }
    }

    /// Where it looks for a token.
    #[must_use]
    pub fn location(&self) -> Option<&TokenLocation> {
        match self {
            Self::Jwt(issuer) => Some(&issuer.config().location),
            Self::Introspection(introspector) => Some(&introspector.config().location),
            Self::ApiKeys(_) | Self::ClientCertificates(_) => None,
        }
    }

    /// The header that holds its credential, a cookie's aside.
    #[must_use]
    pub fn header(&self) -> Option<HeaderName> {
        match self {
            Self::ApiKeys(keys) => Some(keys.config().header.clone()),
            Self::Jwt(_) | Self::Introspection(_) | Self::ClientCertificates(_) => match self.location()? {
                TokenLocation::Bearer => Some(http::header::AUTHORIZATION),
                TokenLocation::Header(name) => Some(name.clone()),
                TokenLocation::Cookie(_) => None,
            },
        }
    }
}

/// Looks at every credential that these providers could judge.
///
/// # Errors
/// Why the first bad one is refused.
pub async fn authenticate(providers: &[Provider], credentials: Credentials<'_>) -> Result<Found, Reason> {
    let mut found: Found = providers.iter().map(|_| None).collect();
    for (index, provider) in providers.iter().enumerate() {
        let verified = match provider {
            Provider::ApiKeys(keys) => keys.verify(credentials.headers)?,
            Provider::ClientCertificates(certificates) => match credentials.certificate {
                Some(certificate) => Some(certificates.verify(certificate)?),
                None => None,
            },
            Provider::Jwt(_) | Provider::Introspection(_) => {
                let Some(location) = provider.location() else { continue };
                // The first provider of a location judges its token for all of them.
                let is_first = providers.iter().position(|other| other.location() == Some(location)) == Some(index);
                if !is_first {
                    continue;
                }
                let Some(text) = location::token(location, credentials.headers)? else { continue };
                let (judge, principal) = judge(providers, location, &Token::new(text)?).await?;
                put(&mut found, judge, principal);
                continue;
            }
        };
        if let Some(principal) = verified {
            put(&mut found, index, principal);
        }
    }
    Ok(found)
}

fn put(found: &mut Found, index: usize, principal: Arc<Principal>) {
    if let Some(place) = found.get_mut(index) {
        *place = Some(principal);
    }
}

/// Who a token stands for, and which of the providers at its location says so: the issuer that it names, or else the
/// one that is asked about every token.
async fn judge(
    providers: &[Provider],
    location: &TokenLocation,
    token: &Token<'_>,
) -> Result<(usize, Arc<Principal>), Reason> {
    let here = || providers.iter().enumerate().filter(|(_, provider)| provider.location() == Some(location));
    for (index, provider) in here() {
        if let Provider::Jwt(issuer) = provider
            && let Some(principal) = issuer.cached(token)
        {
            return Ok((index, principal));
        }
    }
    let named = jwt::unverified_issuer(token.text());
    let mut refusal = named.as_ref().err().copied().unwrap_or(Reason::WrongIssuer);
    for (index, provider) in here() {
        match provider {
            Provider::Jwt(issuer) if named.as_deref() == Ok(&issuer.config().issuer) => {
                match issuer.verify(token).await {
                    Ok(principal) => return Ok((index, principal)),
                    // Another provider may know the same issuer, for another audience.
                    Err(reason) => refusal = reason,
                }
            }
            Provider::Jwt(_) | Provider::ApiKeys(_) | Provider::ClientCertificates(_) | Provider::Introspection(_) => {}
        }
    }
    for (index, provider) in here() {
        if let Provider::Introspection(introspector) = provider {
            match introspector.verify(token).await {
                Ok(principal) => return Ok((index, principal)),
                Err(reason) => refusal = reason,
            }
        }
    }
    Err(refusal)
}
