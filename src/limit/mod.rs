//! Rate limits and quotas: whether one more request of this client may pass.
//!
//! A [`Limit`] counts by keys that the caller computes (an address, a subject, …), in memory or in a store that all
//! instances share. [`Limits::check`] asks all limits of one request:
//!
//! 1. The local ones, in order, all of them: they cost no more than a look into a table.
//! 2. If none of them refused, the shared ones, in one round trip in which either all of them take or none does. In a
//!    cluster of stores it is one for each limit, at once, since the keys of different limits stand on different nodes,
//!    and one more to give back after a refusal. A rate limit service takes from each that it can, whatever the others
//!    say.
//! 3. If one refused, what the others took is given back, so that a client that hammers against one limit does not
//!    use up the rest; a service has no way to give back. Limits that only watch (`shadow`) count like others, and
//!    never refuse.
//!
//! This module knows nothing of HTTP but the header fields of [`headers`], and nothing of expressions.

pub mod decision;
pub mod headers;
pub mod key;
pub mod moment;
pub mod rule;
pub mod store;

mod bucket;
mod local;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{self, SHA256};
use smallvec::SmallVec;

use crate::limit::decision::{Decision, Outcome, State};
use crate::limit::local::{Levels, Local, Taken};
use crate::limit::moment::Moment;
use crate::limit::rule::{Config, OnError, RuleError, Scope};
use crate::limit::store::{Store, StoreError};
use crate::telemetry::metrics::{LimitMetrics, Metrics};

/// Why limits can't be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error("two limits are named {0:?}")]
    Duplicate(String),
    #[error("limit {0:?} is shared, but there is no store to share it in: configure one, or make it local")]
    NoStore(String),
}

/// One limit with its counts.
#[derive(Debug)]
pub struct Limit {
    config: Config,
    /// The name of the quota among the policies of answers.
    quota_name: Arc<str>,
    /// The counts of a local limit, and of a shared one while its store is away.
    local: Arc<Local>,
    /// What tells its counts in the store from those of other limits, and of itself with another policy.
    identity: [u8; 32],
    metrics: LimitMetrics,
}

/// One limit that a request is held to.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub limit: &'a Limit,
    /// Whom it counts by. Any bytes of any length: they take bounded space, here and in the store.
    pub key: &'a [u8],
    /// How many requests this one counts as.
    pub cost: NonZeroU32,
}

/// All limits of a configuration.
#[derive(Debug)]
pub struct Limits {
    limits: Vec<Arc<Limit>>,
    store: Option<Arc<Store>>,
}

impl Limit {
    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many keys it counts in memory now.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.local.keys()
    }

    fn build(config: &Config, metrics: &Metrics, previous: Option<&Limits>) -> Arc<Self> {
        let previous = previous.and_then(|limits| limits.limits.iter().find(|limit| limit.config.counts_as(config)));
        if let Some(limit) = previous.filter(|limit| limit.config == *config) {
            return Arc::clone(limit);
        }
        let metrics = metrics.limit(&config.name);
        let local = match previous {
            Some(limit) => {
                limit.local.resize(config.max_keys);
                Arc::clone(&limit.local)
            }
            None => Arc::new(Local::new(&config.policy, config.max_keys, metrics.dropped_keys.clone())),
        };
        let quota_name = match config.policy.rate {
            Some(_) => format!("{}-quota", config.name).into(),
            None => Arc::clone(&config.name),
        };
        Arc::new(Self { identity: identity(config), config: config.clone(), quota_name, local, metrics })
    }

    /// How its policies stand, for the answer.
    fn states(&self, levels: &Levels, now: Moment) -> impl Iterator<Item = State> {
        let policy = self.config.policy;
        let rate = policy.rate.zip(levels.rate).map(|(rate, level)| State {
            name: Arc::clone(&self.config.name),
            limit: rate.count().get(),
            remaining: level.remaining,
            reset: level.reset,
            window: rate.window().duration(),
            retry_after: level.wait,
        });
        let quota = policy.quota.zip(levels.quota).map(|(quota, level)| State {
            name: Arc::clone(&self.quota_name),
            limit: quota.count.get(),
            remaining: level.remaining,
            reset: level.reset,
            window: quota.length(now.unix),
            retry_after: level.wait,
        });
        [rate, quota].into_iter().flatten()
    }
}

/// A digest over whatever makes counts incomparable; lengths stand before texts, so that no two configurations run into
/// the same bytes.
fn identity(config: &Config) -> [u8; 32] {
    let mut context = digest::Context::new(&SHA256);
    let policy = format!("{:?}", config.policy);
    let tier = config.tier.as_deref().unwrap_or_default();
    for part in [&*config.name, tier, &*config.key, &*policy] {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut identity = [0; 32];
    identity.copy_from_slice(context.finish().as_ref());
    identity
}

impl Limits {
    /// Limits of this configuration. Counts of `previous` go on where key and policy are the same.
    ///
    /// # Errors
    /// If two limits have one name and tier, one limits nothing, or is shared without a store.
    pub fn build(
        configs: &[Config],
        store: Option<Arc<Store>>,
        metrics: &Metrics,
        previous: Option<&Self>,
    ) -> Result<Self, BuildError> {
        for (at, config) in configs.iter().enumerate() {
            config.check(NonZeroU32::MIN)?;
            let same = |other: &Config| (&other.name, &other.tier) == (&config.name, &config.tier);
            if configs.iter().skip(at + 1).any(same) {
                return Err(BuildError::Duplicate(config.name.to_string()));
            }
            if config.scope == Scope::Shared && store.is_none() {
                return Err(BuildError::NoStore(config.name.to_string()));
            }
        }
        let limits = configs.iter().map(|config| Limit::build(config, metrics, previous)).collect();
        Ok(Self { limits, store })
    }

    /// The limit of this name and tier.
    #[must_use]
    pub fn find(&self, name: &str, tier: Option<&str>) -> Option<&Arc<Limit>> {
        self.limits.iter().find(|limit| &*limit.config.name == name && limit.config.tier.as_deref() == tier)
    }

    /// The store of the shared limits, if there are any.
    #[must_use]
    pub fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }

    /// Holds a request to its limits: takes from all of them, or from none of them if one refuses, as far as the store
    /// can. `worker` is who asks.
    ///
    /// A request that goes while it waits for the store gets back what it took in memory, but not what the store takes.
    pub async fn check(&self, worker: usize, asks: &[Ask<'_>], now: Moment) -> Decision {
        let mut tally = Tally::new(asks, now);
        for (at, ask) in asks.iter().enumerate() {
            if ask.limit.config.scope == Scope::Local {
                tally.take_local(at, ask);
            }
        }
        if tally.outcome == Outcome::Allowed && asks.iter().any(|ask| ask.limit.config.scope == Scope::Shared) {
            self.ask_store(worker, &mut tally).await;
        }
        tally.decide()
    }

    async fn ask_store(&self, worker: usize, tally: &mut Tally<'_>) {
        let asks = tally.asks;
        let shared: SmallVec<[(usize, &Ask<'_>); 4]> =
            asks.iter().enumerate().filter(|(_, ask)| ask.limit.config.scope == Scope::Shared).collect();
        let alone: SmallVec<[&Ask<'_>; 4]> = shared.iter().map(|(_, ask)| *ask).collect();
        tally.waiting_since = Some(Instant::now());
        let answer = match &self.store {
            Some(store) => store.take(worker, &alone).await,
            None => Err(StoreError::Away),
        };
        match answer {
            Ok(levels) => {
                for ((at, ask), levels) in shared.into_iter().zip(levels) {
                    tally.add(at, ask, levels);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "shared limits could not be asked");
                for (at, ask) in shared {
                    ask.limit.metrics.store_errors.inc();
                    match ask.limit.config.on_error {
                        OnError::Local => tally.take_local(at, ask),
                        OnError::Allow => {}
                        OnError::Deny if ask.limit.config.shadow => {}
                        OnError::Deny => tally.outcome = Outcome::Unavailable,
                    }
                }
            }
        }
    }
}

/// What has been said so far of one request.
struct Tally<'a> {
    asks: &'a [Ask<'a>],
    now: Moment,
    waiting_since: Option<Instant>,
    outcome: Outcome,
    /// What each limit said, by its place among the asks.
    levels: SmallVec<[Option<Levels>; 4]>,
    /// What is given back when this goes.
    taken: SmallVec<[(usize, Taken); 4]>,
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        let held = self.waiting_since.map(|since| since.elapsed()).unwrap_or_default();
        for (at, taken) in &self.taken {
            if let Some(ask) = self.asks.get(*at) {
                ask.limit.local.give_back(taken, held);
            }
        }
    }
}

impl<'a> Tally<'a> {
    fn new(asks: &'a [Ask<'a>], now: Moment) -> Self {
        let levels = SmallVec::from_elem(None, asks.len());
        Self { asks, now, waiting_since: None, outcome: Outcome::Allowed, levels, taken: SmallVec::new() }
    }

    fn take_local(&mut self, at: usize, ask: &Ask<'_>) {
        let (levels, taken) = ask.limit.local.take(ask.key, ask.cost, self.now);
        self.taken.extend(taken.map(|taken| (at, taken)));
        self.add(at, ask, levels);
    }

    fn add(&mut self, at: usize, ask: &Ask<'_>, levels: Levels) {
        let Limit { config, metrics, .. } = ask.limit;
        match (levels.refused(), config.shadow) {
            (true, true) => {
                metrics.shadowed.inc();
            }
            (true, false) => {
                metrics.refused.inc();
                // What can't be checked stays so: 503 is the truth even if another limit is used up as well.
                if self.outcome == Outcome::Allowed {
                    self.outcome = Outcome::Refused;
                }
            }
            (false, _) => {}
        }
        if let Some(slot) = self.levels.get_mut(at) {
            *slot = Some(levels);
        }
    }

    /// What each limit that does not only watch said.
    fn told(&self) -> impl DoubleEndedIterator<Item = (&'a Limit, &Levels)> {
        let told = self.asks.iter().zip(&self.levels).filter_map(|(ask, levels)| Some((ask.limit, levels.as_ref()?)));
        told.filter(|(limit, _)| !limit.config.shadow)
    }

    fn decide(mut self) -> Decision {
        let mut decision =
            Decision { outcome: self.outcome, states: SmallVec::new(), retry_after: None, refused_by: None };
        match self.outcome {
            Outcome::Allowed => {
                self.taken.clear();
                for (ask, levels) in self.asks.iter().zip(&self.levels) {
                    if levels.is_none_or(|levels| !levels.refused()) {
                        ask.limit.metrics.allowed.inc();
                    }
                }
                for (limit, levels) in self.told() {
                    self.tell(&mut decision, limit, levels);
                }
            }
            Outcome::Refused => {
                let refused = || self.told().filter(|(_, levels)| levels.refused());
                if let Some((limit, levels)) = refused().next_back() {
                    decision.refused_by = Some(Arc::clone(&limit.config.name));
                    self.tell(&mut decision, limit, levels);
                }
                let waits = refused().flat_map(|(_, levels)| [levels.rate, levels.quota]);
                decision.retry_after = waits.flatten().filter_map(|level| level.wait).max();
            }
            Outcome::Unavailable => {}
        }
        decision
    }

    /// Adds the policies of a limit; one that was asked twice is told as it stands last.
    fn tell(&self, decision: &mut Decision, limit: &Limit, levels: &Levels) {
        for state in limit.states(levels, self.now) {
            decision.states.retain(|other| other.name != state.name);
            decision.states.push(state);
        }
    }
}
