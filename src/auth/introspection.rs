//! Tokens that only their issuer can read: OAuth 2.0 Token Introspection (RFC 7662).
//!
//! Each token is asked about once in a while, and what the endpoint said is remembered until then, refusals for less
//! long. However many requests bring a token at once, it is asked about once. Questions under way are bounded; a token
//! that nobody could be asked about is refused as unavailable, unless a good answer about it may be [stale].
//!
//! [stale]: Config::stale

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::fetch::{Client, Url, UrlError};
use super::issuer::{DEFAULT_LEEWAY, DEFAULT_ROLES_CLAIM};
use super::jwt::Rules;
use super::location::TokenLocation;
use super::principal::Principal;
use super::reason::Reason;
use super::secret::Secret;
use super::token_cache::{Basis, DEFAULT_CAPACITY, Token, TokenCache, Verdict};
use super::unique;

/// For how long a good answer is believed unless the configuration says otherwise, never beyond the token's `exp`.
pub const DEFAULT_TTL: Duration = Duration::from_secs(60);

/// For how long a refusal is believed, at most: a token may be asked about before its issuer knows it everywhere.
pub const REFUSED_TTL: Duration = Duration::from_secs(10);

/// The longest time for which an answer is believed: a token that was withdrawn is told only by the next one.
pub const MAX_TTL: Duration = Duration::from_secs(3600);

/// The longest time for which an answer is believed beyond its own while the endpoint can't be asked.
pub const MAX_STALE: Duration = Duration::from_secs(24 * 3600);

/// How often the endpoint is asked again about a token whose answer is stale: each time may cost a request
/// [`PATIENCE`].
const STALE_STEP: Duration = Duration::from_secs(5);

/// Questions under way at a time.
pub const MAX_IN_FLIGHT: usize = 64;

/// How long a token waits until it may be asked about, and for the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// What is to be known of an endpoint. As with issuers, a reload keeps one whose configuration has not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name of the provider.
    pub name: Arc<str>,
    pub endpoint: String,
    pub client_id: String,
    pub client_secret: Secret,
    pub location: TokenLocation,
    /// The `iss` of the answers, exactly; `None` takes any.
    pub issuer: Option<String>,
    /// An answer must be meant for one of these; empty takes any.
    pub audience: Vec<String>,
    pub leeway: Duration,
    pub roles_claim: String,
    /// For how long a good answer is believed, at most [`MAX_TTL`].
    pub ttl: Duration,
    /// For how long beyond `ttl` a good answer is believed while the endpoint can't be asked, at most [`MAX_STALE`].
    pub stale: Duration,
    /// Answers that are remembered, at most.
    pub cache_capacity: usize,
}

impl Config {
    /// The defaults for all that has some.
    #[must_use]
    pub fn new(
        name: impl Into<Arc<str>>,
        endpoint: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: Secret,
    ) -> Self {
        Self {
            name: name.into(),
            endpoint: endpoint.into(),
            client_id: client_id.into(),
            client_secret,
            location: TokenLocation::Bearer,
            issuer: None,
            audience: Vec::new(),
            leeway: DEFAULT_LEEWAY,
            roles_claim: DEFAULT_ROLES_CLAIM.to_owned(),
            ttl: DEFAULT_TTL,
            stale: Duration::ZERO,
            cache_capacity: DEFAULT_CAPACITY,
        }
    }
}

/// An introspection endpoint as a provider.
#[derive(Debug)]
pub struct Introspection {
    config: Config,
    endpoint: Url,
    authorization: HeaderValue,
    rules: Rules,
    client: Client,
    in_flight: Semaphore,
    cache: TokenCache,
    /// Good answers, for as long as they may be stale.
    good: TokenCache,
    flights: Mutex<Flights>,
    failures: AtomicU64,
}

/// Tokens that are being asked about, by their digests; as many as requests wait, at most.
type Flights = HashMap<[u8; 32], Arc<Flight>, foldhash::fast::RandomState>;

/// What requests with the same token wait for together. Where the one that asks goes away, the next one asks.
#[derive(Debug)]
struct Flight {
    outcome: OnceCell<Result<Arc<Principal>, Reason>>,
    /// When nobody waits any more, whoever asks.
    deadline: Instant,
}

/// A request's part in a flight.
struct Seat<'i> {
    flights: &'i Mutex<Flights>,
    token: [u8; 32],
    flight: Arc<Flight>,
}

impl<'i> Seat<'i> {
    fn take(flights: &'i Mutex<Flights>, token: &Token<'_>) -> Self {
        let new = || Arc::new(Flight { outcome: OnceCell::new(), deadline: Instant::now() + PATIENCE });
        let token = *token.digest();
        let flight = lock(flights).entry(token).or_insert_with(new).clone();
        Self { flights, token, flight }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut flights = lock(self.flights);
        // Seats are taken under the lock: with this one and the table's nobody else holds it.
        if Arc::strong_count(&self.flight) <= 2 {
            flights.remove(&self.token);
        }
    }
}

fn lock(flights: &Mutex<Flights>) -> std::sync::MutexGuard<'_, Flights> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Introspection {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// If the endpoint is no URL that may be spoken to.
    pub fn build(config: Config, client: Client) -> Result<Self, UrlError> {
        let rules = Rules {
            provider: Arc::clone(&config.name),
            issuer: config.issuer.clone().unwrap_or_default(),
            audience: config.audience.clone(),
            leeway: config.leeway,
            roles_claim: config.roles_claim.clone(),
        };
        Ok(Self {
            endpoint: Url::parse(&config.endpoint)?,
            authorization: basic(&config.client_id, config.client_secret.reveal()),
            rules,
            client,
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            cache: TokenCache::new(config.cache_capacity),
            good: TokenCache::new(if config.stale.is_zero() { 0 } else { config.cache_capacity }),
            flights: Mutex::default(),
            failures: AtomicU64::new(0),
            config,
        })
    }

    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Who a token stands for, if that is remembered.
    #[must_use]
    pub fn cached(&self, token: &Token<'_>) -> Option<Arc<Principal>> {
        self.cache.find(token, SystemTime::now())?.outcome.ok()
    }

    /// Asks about a token, unless the answer is remembered.
    ///
    /// # Errors
    /// Why it is refused; [`Reason::Unavailable`] if there was no answer and none is stale.
    pub async fn verify(&self, token: &Token<'_>) -> Result<Arc<Principal>, Reason> {
        if let Some(verdict) = self.cache.find(token, SystemTime::now()) {
            return verdict.outcome;
        }
        let seat = Seat::take(&self.flights, token);
        let flight = &seat.flight;
        flight.outcome.get_or_init(|| self.find_out(token, flight.deadline)).await.clone()
    }

    /// Asks, and remembers what was said.
    async fn find_out(&self, token: &Token<'_>, deadline: Instant) -> Result<Arc<Principal>, Reason> {
        // It may have become known between the look and the seat.
        if let Some(verdict) = self.cache.find(token, SystemTime::now()) {
            return verdict.outcome;
        }
        let answer = tokio::time::timeout_at(deadline, self.ask(token)).await.ok().flatten();
        let now = SystemTime::now();
        let outcome = match answer {
            Some(answer) => self.judge(&answer, now).map(Arc::new),
            None => Err(Reason::Unavailable),
        };
        if let Err(Reason::Unavailable) = outcome {
            // Nothing was found out: it is asked again the next time.
            self.failures.fetch_add(1, Ordering::Relaxed);
            return self.stale(token, now).ok_or(Reason::Unavailable);
        }
        self.remember(token, &outcome, now);
        outcome
    }

    fn remember(&self, token: &Token<'_>, outcome: &Result<Arc<Principal>, Reason>, now: SystemTime) {
        let (ttl, stale) = (self.config.ttl.min(MAX_TTL), self.config.stale.min(MAX_STALE));
        let verdict = |until| Verdict { outcome: outcome.clone(), until, basis: Basis::default() };
        let end = |principal: &Principal, until: SystemTime| principal.expires.map_or(until, |end| end.min(until));
        let until = match outcome {
            Ok(principal) => end(principal, now + ttl),
            Err(_) => now + ttl.min(REFUSED_TTL),
        };
        self.cache.insert(token, verdict(until));
        if !stale.is_zero() {
            // A refusal takes the place of what was good once.
            let until = outcome.as_ref().map_or(now, |principal| end(principal, now + ttl + stale));
            self.good.insert(token, verdict(until));
        }
    }

    /// The last good answer, if it may still be believed; the endpoint is asked again in a while.
    fn stale(&self, token: &Token<'_>, now: SystemTime) -> Option<Arc<Principal>> {
        let good = self.good.find(token, now)?;
        let principal = good.outcome.ok()?;
        let until = good.until.min(now + STALE_STEP);
        self.cache.insert(token, Verdict { outcome: Ok(principal.clone()), until, basis: Basis::default() });
        Some(principal)
    }

    /// The answer; `None` if there is none.
    async fn ask(&self, token: &Token<'_>) -> Option<Vec<u8>> {
        let _turn = self.in_flight.acquire().await.ok()?;
        let form = format!("token={}&token_type_hint=access_token", form_encoded(token.text()));
        match self.client.post_form(&self.endpoint, form, self.authorization.clone(), MAX_ANSWER_BYTES).await {
            Ok(fetched) => Some(fetched.body.into()),
            Err(error) => {
                tracing::warn!(provider = &*self.config.name, %error, "the introspection endpoint does not answer");
                None
            }
        }
    }

    /// RFC 7662 section 2.2: without `active` of true nothing else counts.
    fn judge(&self, answer: &[u8], now: SystemTime) -> Result<Principal, Reason> {
        let claims = unique::object(answer).ok_or(Reason::Unavailable)?;
        match claims.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Err(Reason::Inactive),
            _ => return Err(Reason::Unavailable),
        }
        if let Some(expected) = &self.config.issuer {
            match claims.get("iss") {
                None => return Err(Reason::MissingClaim),
                Some(found) if found == expected.as_str() => {}
                Some(_) => return Err(Reason::WrongIssuer),
            }
        }
        if !self.config.audience.is_empty() {
            let audience = claims.get("aud").ok_or(Reason::MissingClaim)?;
            if !self.rules.is_meant_for_us(audience)? {
                return Err(Reason::WrongAudience);
            }
        }
        let expires = self.rules.lifetime(&claims, now)?;
        self.rules.identity(claims, expires)
    }

    /// Tokens that there was no answer about, since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
fn basic(id: &str, secret: &str) -> HeaderValue {
    let joined = STANDARD.encode(format!("{}:{}", form_encoded(id), form_encoded(secret)));
    let mut value = HeaderValue::from_str(&format!("Basic {joined}")).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

/// As `application/x-www-form-urlencoded` has it, with every byte escaped that any reader may take for another.
fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
