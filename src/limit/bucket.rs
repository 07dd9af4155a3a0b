//! One count: a rate by the generic cell rate algorithm, which is `governor`'s, and a quota by its window.
//!
//! A rate is one number, the theoretical arrival time (TAT): when the bucket would be full again. `governor` judges
//! and changes it, over a store of ours: answers tell what is left of a refused key too, and a request that another
//! limit refuses is given back, so that the number must be at hand.

use std::cell::Cell;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota as Pace, RateLimiter};

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
    pace: Pace,
    /// What one request costs.
    interval: u64,
    /// What `burst` requests cost; `Rate` bounds it to 62 bits, so that two of them add up.
    capacity: u64,
}

/// Answers are told by what is stored.
type Plain = NoOpMiddleware<Duration>;

/// When a bucket would be full again.
pub(super) type Tat = InMemoryState;

impl Bucket {
    pub(super) fn new(rate: &Rate) -> Self {
        // Rounded down, so that N/s is N in a second and not one fewer; `Rate` allows no interval under 1000 ns.
        let interval = rate.window().micros() * 1_000 / u64::from(rate.count().get());
        let pace = Pace::with_period(Duration::from_nanos(interval)).expect("an interval is 1000 ns or more");
        let capacity = interval.saturating_mul(rate.burst().get().into());
        Self { pace: pace.allow_burst(rate.burst()), interval, capacity }
    }

    /// Takes `cost` at `now`, on any clock that does not run back by much.
    pub(super) fn take(&self, tat: &Tat, cost: NonZeroU32, now: Duration) -> Level {
        // Made for each request: it is a few numbers, and its clock stands still at the request's moment.
        let limiter = RateLimiter::<_, _, _, Plain>::new(self.pace, Watched::new(tat), Still::default());
        limiter.clock().now.set(now);
        let wait = match limiter.check_n(cost) {
            Ok(Ok(())) => None,
            Ok(Err(until)) => Some(until.wait_time_from(now)),
            // More than the burst never passes; loading refuses such costs.
            Err(_) => return Level { wait: Some(Duration::from_nanos(self.capacity)), ..self.look(tat, now) },
        };
        self.level(limiter.into_state_store().seen.get(), now, wait)
    }

    /// How the rate stands, with nothing taken.
    pub(super) fn look(&self, tat: &Tat, now: Duration) -> Level {
        // A refusal changes nothing.
        let look = tat.measure_and_replace(&NotKeyed::NonKey, Err::<(Infallible, Nanos), _>);
        let Err(seen) = look;
        self.level(seen.unwrap_or_default(), now, None)
    }

    /// Gives back what was taken `held` ago. What leaked meanwhile is kept: the bucket may have been full again and
    /// others have taken from it, and then giving back the whole would let through more than the rate.
    pub(super) fn give_back(&self, tat: &Tat, cost: NonZeroU32, held: Duration) {
        let cost = self.interval.saturating_mul(cost.get().into());
        let due = Nanos::from(cost.saturating_sub(nanos(held)));
        let given = |tat: Option<Nanos>| Ok::<_, Infallible>(((), tat.unwrap_or_default().saturating_sub(due)));
        let Ok(()) = tat.measure_and_replace(&NotKeyed::NonKey, given);
    }

    fn level(&self, tat: Nanos, now: Duration, wait: Option<Duration>) -> Level {
        let used = tat.as_u64().saturating_sub(nanos(now));
        let remaining = self.capacity.saturating_sub(used) / self.interval;
        Level { remaining: u32::try_from(remaining).unwrap_or(u32::MAX), reset: Duration::from_nanos(used), wait }
    }
}

/// The store of a limiter: one number, and what it was when the request was judged.
struct Watched<'t> {
    tat: &'t Tat,
    seen: Cell<Nanos>,
}

impl<'t> Watched<'t> {
    fn new(tat: &'t Tat) -> Self {
        Self { tat, seen: Cell::default() }
    }
}

impl StateStore for Watched<'_> {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, key: &NotKeyed, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.tat.measure_and_replace(key, |tat| {
            let judged = judge(tat);
            self.seen.set(judged.as_ref().map_or(tat.unwrap_or_default(), |(_, next)| *next));
            judged
        })
    }
}

/// A clock that is set.
#[derive(Default)]
struct Still {
    now: Cell<Duration>,
}

impl Clock for Still {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.now.get()
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
