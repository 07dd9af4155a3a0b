//! The arithmetic of one count: a rate by the generic cell rate algorithm, a quota by its window.
//!
//! A rate is one number, the theoretical arrival time (TAT): when the bucket would be full again. `governor` does the
//! same, and the tests hold this against it; it keeps the time and the bucket to itself though, while headers need
//! what is left of a refusal too, a request that another limit refuses must be given back, and the clock is the
//! caller's.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::limit::rule::{Quota, Rate, Span};

/// How one policy stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// Requests of cost one that would pass right now.
    pub remaining: u32,
    /// Until all of the policy is there again.
    pub reset: Duration,
    /// Until this request could pass, if it was refused.
    pub wait: Option<Duration>,
}

/// A rate in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// What one request costs.
    interval: u64,
    /// What `burst` requests cost; `Rate` bounds it to 63 bits.
    capacity: u64,
}

impl Bucket {
    pub(super) fn new(rate: &Rate) -> Self {
        // Rounded down, so that N/s is N in a second and not one fewer; `Rate` allows no interval under 1000 ns.
        let interval = rate.window().micros() * 1_000 / u64::from(rate.count().get());
        Self { interval, capacity: interval.saturating_mul(rate.burst().get().into()) }
    }

    /// Takes `cost` at `now`, nanoseconds of any clock that does not run back by much.
    pub(super) fn take(&self, tat: &AtomicU64, cost: NonZeroU32, now: u64) -> Level {
        let cost = self.interval.saturating_mul(cost.get().into());
        let mut seen = tat.load(Ordering::Relaxed);
        loop {
            let start = seen.max(now);
            let next = start.saturating_add(cost);
            if let Some(wait) = (next - now).checked_sub(self.capacity).filter(|wait| *wait > 0) {
                return self.level(start - now, Some(wait));
            }
            // Nothing else is read by what is stored here, so the order of other memory does not matter.
            match tat.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return self.level(next - now, None),
                Err(changed) => seen = changed,
            }
        }
    }

    /// How the rate stands, with nothing taken.
    pub(super) fn look(&self, tat: &AtomicU64, now: u64) -> Level {
        self.level(tat.load(Ordering::Relaxed).saturating_sub(now), None)
    }

    /// Gives back what was taken `held` ago. What leaked meanwhile is kept: the bucket may have been full again and
    /// others have taken from it, and then giving back the whole would let through more than the rate.
    pub(super) fn give_back(&self, tat: &AtomicU64, cost: NonZeroU32, held: Duration) {
        let cost = self.interval.saturating_mul(cost.get().into());
        let due = cost.saturating_sub(nanos(held));
        tat.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tat| Some(tat.saturating_sub(due)))
            .expect("there is always a next value");
    }

    fn level(&self, used: u64, wait: Option<u64>) -> Level {
        let remaining = self.capacity.saturating_sub(used) / self.interval;
        Level {
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(used),
            wait: wait.map(Duration::from_nanos),
        }
    }
}

/// Takes `cost` from a quota at `unix` since 1970. `used` holds the window's id above the count in it.
pub(super) fn take_quota(quota: &Quota, used: &AtomicU64, cost: NonZeroU32, unix: Duration) -> Level {
    let span = quota.span(unix.as_secs());
    let reset = Duration::from_secs(span.end).saturating_sub(unix);
    let limit = quota.count.get();
    let mut seen = used.load(Ordering::Relaxed);
    loop {
        let count = count_in(seen, span);
        let Some(next) = count.checked_add(cost.get()).filter(|next| *next <= limit) else {
            return Level { remaining: limit.saturating_sub(count), reset, wait: Some(reset) };
        };
        match used.compare_exchange_weak(seen, pack(span, next), Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Level { remaining: limit - next, reset, wait: None },
            Err(changed) => seen = changed,
        }
    }
}

/// How the quota stands, with nothing taken.
pub(super) fn look_quota(quota: &Quota, used: &AtomicU64, unix: Duration) -> Level {
    let span = quota.span(unix.as_secs());
    let count = count_in(used.load(Ordering::Relaxed), span);
    let remaining = quota.count.get().saturating_sub(count);
    Level { remaining, reset: Duration::from_secs(span.end).saturating_sub(unix), wait: None }
}

/// Gives back what was taken from the window of `unix`; nothing if another one has begun.
pub(super) fn give_back_quota(quota: &Quota, used: &AtomicU64, cost: NonZeroU32, unix: Duration) {
    let span = quota.span(unix.as_secs());
    let _ = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seen| {
        (window_of(seen) == span.id).then(|| pack(span, count_in(seen, span).saturating_sub(cost.get())))
    });
}

fn pack(span: Span, count: u32) -> u64 {
    u64::from(span.id) << 32 | u64::from(count)
}

fn window_of(packed: u64) -> u32 {
    u32::try_from(packed >> 32).expect("32 bits are left")
}

fn count_in(packed: u64, span: Span) -> u32 {
    let count = u32::try_from(packed & u64::from(u32::MAX)).expect("32 bits are left");
    if window_of(packed) == span.id { count } else { 0 }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
