//! Counts in memory: one entry a key, never more than so many of them.
//!
//! The entries of a limit stand in a sharded cache that drops those least used when it is full (Clock-PRO, close to
//! S3-FIFO): clients that come back stay, and a flood of keys that come once pushes out one another. A key that was
//! dropped starts afresh, so `max_keys` must be well above the number of clients at a time; drops are counted.
//!
//! A key is two numbers that are changed in place.

use std::convert::Infallible;
use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, UnitWeighter};

use crate::limit::bucket::{self, Bucket, Level, Tat};
use crate::limit::key::Key;
use crate::limit::moment::Moment;
use crate::limit::rule::{Policy, Quota};

/// Locks that an uneven load of workers spreads over; the cache needs at least 32 keys behind each.
const SHARDS: usize = 64;
const MIN_SHARDED_KEYS: usize = SHARDS * 32;

/// How the policies of one limit stand after a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Levels {
    pub rate: Option<Level>,
    pub quota: Option<Level>,
}

impl Levels {
    /// Whether one of them refused.
    pub(super) fn refused(&self) -> bool {
        [self.rate, self.quota].into_iter().flatten().any(|level| level.wait.is_some())
    }
}

/// The state of one key.
#[derive(Debug, Default)]
struct Counts {
    tat: Tat,
    used: AtomicU64,
}

/// What a request took, to be given back if another limit refuses it.
#[derive(Debug)]
pub(super) struct Taken {
    counts: Arc<Counts>,
    cost: NonZeroU32,
    now: Moment,
}

/// The counts of one limit.
pub(super) struct Local {
    bucket: Option<Bucket>,
    quota: Option<Quota>,
    counts: Cache<Key, Arc<Counts>, UnitWeighter, DefaultHashBuilder, CountDropped>,
}

#[derive(Clone)]
struct CountDropped(Counter);

impl Lifecycle<Key, Arc<Counts>> for CountDropped {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Key, _: Arc<Counts>) {
        self.0.inc();
    }
}

impl Local {
    pub(super) fn new(policy: &Policy, max_keys: NonZeroUsize, dropped: Counter) -> Self {
        let shards = shards(max_keys);
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(max_keys.get())
            .weight_capacity(whole(max_keys.get(), shards))
            .build()
            .expect("both capacities are set");
        Self {
            bucket: policy.rate.as_ref().map(Bucket::new),
            quota: policy.quota,
            counts: Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), CountDropped(dropped)),
        }
    }

    /// Holds another number of keys from now on, at least one behind each lock.
    pub(super) fn resize(&self, max_keys: NonZeroUsize) {
        self.counts.set_capacity(whole(max_keys.get(), self.counts.num_shards()));
    }

    /// Takes `cost` from each policy of the key, or from none of them.
    pub(super) fn take(&self, key: &[u8], cost: NonZeroU32, now: Moment) -> (Levels, Option<Taken>) {
        let key = Key::new(key);
        let Ok(counts) = self.counts.get_or_insert_with(&key, || Ok::<_, Infallible>(Arc::default()));
        let rate = self.bucket.map(|bucket| bucket.take(&counts.tat, cost, now.steady));
        if rate.is_some_and(|level| level.wait.is_some()) {
            let quota = self.quota.map(|quota| bucket::look_quota(&quota, &counts.used, now.unix));
            return (Levels { rate, quota }, None);
        }
        let quota = self.quota.map(|quota| bucket::take_quota(&quota, &counts.used, cost, now.unix));
        if quota.is_none_or(|level| level.wait.is_none()) {
            return (Levels { rate, quota }, Some(Taken { counts, cost, now }));
        }
        let rate = self.bucket.map(|bucket| {
            bucket.give_back(&counts.tat, cost, Duration::ZERO);
            bucket.look(&counts.tat, now.steady)
        });
        (Levels { rate, quota }, None)
    }

    /// Gives back what was taken `held` ago.
    pub(super) fn give_back(&self, taken: &Taken, held: Duration) {
        if let Some(bucket) = self.bucket {
            bucket.give_back(&taken.counts.tat, taken.cost, held);
        }
        if let Some(quota) = self.quota {
            bucket::give_back_quota(&quota, &taken.counts.used, taken.cost, taken.now.unix);
        }
    }

    /// Keys that are held now.
    pub(super) fn keys(&self) -> usize {
        self.counts.len()
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Local").field("keys", &self.keys()).finish_non_exhaustive()
    }
}

fn shards(max_keys: NonZeroUsize) -> usize {
    if max_keys.get() >= MIN_SHARDED_KEYS { SHARDS } else { 1 }
}

/// The most keys that divide evenly: the cache rounds what a shard holds up, and the whole must not be above its bound.
fn whole(max_keys: usize, shards: usize) -> u64 {
    u64::try_from((max_keys / shards * shards).max(1)).unwrap_or(u64::MAX)
}
