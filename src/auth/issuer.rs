//! An issuer whose tokens are believed: its keys, its rules, and the tokens of it that were verified already.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::fetch::{Client, Url};
use super::jwt::{Jwt, MAX_LEEWAY, Rules};
use super::key_source::{KeySource, KeySourceError, LiveKeys};
use super::location::TokenLocation;
use super::principal::Principal;
use super::reason::Reason;
use super::token_cache::{Basis, DEFAULT_CAPACITY, Token, TokenCache, Verdict};
use super::trouble::Trouble;

/// How far an issuer's clock may be from ours, unless the configuration says otherwise.
pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

/// The claim that lists roles, unless the configuration says otherwise.
pub const DEFAULT_ROLES_CLAIM: &str = "roles";

/// What is to be known of an issuer. Two that are equal make issuers that can stand for each other: a reload keeps one
/// whose configuration has not changed, with its keys and verified tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The name of the provider.
    pub name: Arc<str>,
    /// The `iss` of its tokens, exactly.
    pub issuer: String,
    /// A token must be meant for one of these.
    pub audience: Vec<String>,
    pub keys: KeySource,
    pub location: TokenLocation,
    pub leeway: Duration,
    pub roles_claim: String,
    /// Verified tokens that are remembered, at most.
    pub cache_capacity: usize,
}

impl Config {
    /// The defaults for all that has some.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, issuer: impl Into<String>, audience: Vec<String>, keys: KeySource) -> Self {
        Self {
            name: name.into(),
            issuer: issuer.into(),
            audience,
            keys,
            location: TokenLocation::Bearer,
            leeway: DEFAULT_LEEWAY,
            roles_claim: DEFAULT_ROLES_CLAIM.to_owned(),
            cache_capacity: DEFAULT_CAPACITY,
        }
    }
}

/// Why an issuer can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error("no audience, expected at least one: without it tokens for other services would be taken")]
    NoAudience,
    #[error("a leeway of {} s, expected at most {} s", _0.as_secs(), MAX_LEEWAY.as_secs())]
    Leeway(Duration),
    #[error("the issuer can't be used: {0}")]
    Issuer(super::fetch::UrlError),
    #[error(transparent)]
    Keys(#[from] KeySourceError),
}

/// A trusted issuer of tokens.
#[derive(Debug)]
pub struct Issuer {
    config: Config,
    rules: Rules,
    keys: LiveKeys,
    cache: TokenCache,
}

impl Issuer {
    /// Sets an issuer up. A key file is read at once; what is fetched waits for [`Issuer::run`].
    ///
    /// # Errors
    /// If the configuration can't work, or a key file holds no key set.
    pub fn build(config: Config, client: Client) -> Result<Self, IssuerError> {
        if config.audience.is_empty() {
            return Err(IssuerError::NoAudience);
        }
        if config.leeway > MAX_LEEWAY {
            return Err(IssuerError::Leeway(config.leeway));
        }
        // With a file of keys nobody is spoken to, and the issuer is a name like another.
        if !matches!(config.keys, KeySource::File(_)) {
            Url::parse(&config.issuer).map_err(IssuerError::Issuer)?;
        }
        let keys = LiveKeys::open(Arc::clone(&config.name), &config.issuer, &config.keys, client)?;
        let rules = Rules {
            provider: Arc::clone(&config.name),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway: config.leeway,
            roles_claim: config.roles_claim.clone(),
        };
        let cache = TokenCache::new(config.cache_capacity);
        Ok(Self { config, rules, keys, cache })
    }

    /// With other times between fetches.
    #[cfg(test)]
    fn with_pace(mut self, pace: super::key_source::Pace) -> Self {
        self.keys = self.keys.with_pace(pace);
        self
    }

    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Who a token stands for, if it was verified before, has not ended, and its key is still the issuer's.
    #[must_use]
    pub fn cached(&self, token: &Token<'_>) -> Option<Arc<Principal>> {
        let verdict = self.cache.find(token, SystemTime::now())?;
        let generation = self.keys.current();
        let generation = generation.as_ref()?;
        if verdict.basis.generation != generation.number {
            if !generation.keys.holds(&verdict.basis.key) {
                return None;
            }
            // So that the set is searched once for each token, not once for each request.
            let basis = Basis { generation: generation.number, ..verdict.basis };
            self.cache.insert(token, Verdict { basis, ..verdict.clone() });
        }
        verdict.outcome.ok()
    }

    /// Verifies a token. An unknown key is looked for at the issuer while the caller waits, seconds at most.
    ///
    /// # Errors
    /// Why it is refused; [`Reason::Unavailable`] if the issuer's keys could not be fetched, so that nobody knows.
    pub async fn verify(&self, token: &Token<'_>) -> Result<Arc<Principal>, Reason> {
        let jwt = Jwt::parse(token.text())?;
        let first = self.judge(&jwt, token);
        if !matches!(first, Err(Reason::UnknownKey | Reason::Unavailable)) {
            return first;
        }
        self.keys.ask().await;
        match self.judge(&jwt, token) {
            // With what is known no newer key can be ruled out.
            Err(Reason::UnknownKey) if self.keys.trouble().current().is_some() => Err(Reason::Unavailable),
            second => second,
        }
    }

    fn judge(&self, jwt: &Jwt<'_>, token: &Token<'_>) -> Result<Arc<Principal>, Reason> {
        let generation = self.keys.current();
        let Some(generation) = generation.as_ref() else { return Err(Reason::Unavailable) };
        let (principal, key) = jwt.verify(&generation.keys, &self.rules, SystemTime::now())?;
        let principal = Arc::new(principal);
        if let Some(until) = principal.expires {
            let basis = Basis { generation: generation.number, key: *key.digest() };
            self.cache.insert(token, Verdict { outcome: Ok(Arc::clone(&principal)), until, basis });
        }
        Ok(principal)
    }

    /// Keeps the keys fresh. To be spawned once, on the control plane; whoever drops the issuer aborts it.
    pub async fn run(self: Arc<Self>) {
        self.keys.run().await;
    }

    /// Whether there are keys to verify tokens by.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.keys.current().is_some()
    }

    /// When keys were last taken, or found to be the same.
    #[must_use]
    pub fn last_success(&self) -> Option<SystemTime> {
        self.keys.last_success()
    }

    /// Looks for keys that failed.
    #[must_use]
    pub fn trouble(&self) -> &Trouble {
        self.keys.trouble()
    }

    /// Tokens that are remembered.
    #[must_use]
    pub fn cached_tokens(&self) -> usize {
        self.cache.len()
    }
}
