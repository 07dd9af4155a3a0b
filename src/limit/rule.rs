//! What one limit allows: a rate, a quota or both, of whom, counted where.
//!
//! ```text
//! rate:  N "/" ("s" | "m" | "h")        600/m   as many in every minute, `burst` of them at once
//! quota: N "/" ("h" | "d" | "mo")       1000/d  as many from midnight to midnight, UTC
//! ```

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::calendar;

/// How many keys a limit counts at a time unless it says otherwise: some 15 MB when all of them are in use.
pub const DEFAULT_MAX_KEYS: NonZeroUsize = NonZeroUsize::new(100_000).expect("it is not zero");

/// A rate's burst times the microseconds of its window: up to here doubles, and so scripts in the store, are exact, and
/// two of it in nanoseconds add up within 64 bits.
const MAX_SCALED_BURST: u64 = 1 << 52;

const SECONDS_PER_HOUR: u64 = 3_600;
const SECONDS_PER_DAY: u64 = 86_400;
/// No month is longer, so a day that many after the first of one is in the next.
const LONGEST_MONTH_DAYS: u64 = 31;

/// Why a rule can't be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("{0:?} is not a rate, expected a number of requests above zero and a window, such as 600/m (s, m or h)")]
    Rate(String),
    #[error("{0:?} is not a quota, expected a number of requests above zero and a window, such as 1000/d (h, d or mo)")]
    Quota(String),
    #[error("the rate {0} is above one request in a microsecond, which can't be counted")]
    TooFast(String),
    #[error("a burst of {burst} is too large for the rate {rate}, which can count up to {max}")]
    Burst { rate: String, burst: u32, max: u64 },
    #[error("a cost of {cost} is above the {allowed} that limit {limit:?} lets through at once, and could never pass")]
    Cost { limit: String, cost: u32, allowed: u32 },
    #[error("limit {0:?} has neither a rate nor a quota")]
    Empty(String),
}

/// The window of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateWindow {
    Second,
    Minute,
    Hour,
}

impl RateWindow {
    /// How long it is.
    #[must_use]
    pub const fn duration(self) -> Duration {
        match self {
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_secs(60),
            Self::Hour => Duration::from_secs(SECONDS_PER_HOUR),
        }
    }

    pub(super) const fn micros(self) -> u64 {
        match self {
            Self::Second => 1_000_000,
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
        }
    }
}

/// So many requests in a window, spread evenly, with `burst` of them at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    count: NonZeroU32,
    window: RateWindow,
    burst: NonZeroU32,
}

impl Rate {
    /// A rate with a burst of its own; what [`FromStr`] makes has its number as the burst.
    ///
    /// # Errors
    /// If it is too fast, or the burst too large, to be counted exactly.
    pub fn new(count: NonZeroU32, window: RateWindow, burst: NonZeroU32) -> Result<Self, RuleError> {
        let rate = Self { count, window, burst };
        if u64::from(count.get()) > window.micros() {
            return Err(RuleError::TooFast(rate.to_string()));
        }
        let max = MAX_SCALED_BURST / window.micros();
        if u64::from(burst.get()) > max {
            return Err(RuleError::Burst { rate: rate.to_string(), burst: burst.get(), max });
        }
        Ok(rate)
    }

    /// The same with another burst.
    ///
    /// # Errors
    /// As [`Rate::new`].
    pub fn with_burst(self, burst: NonZeroU32) -> Result<Self, RuleError> {
        Self::new(self.count, self.window, burst)
    }

    /// Requests in a window.
    #[must_use]
    pub const fn count(&self) -> NonZeroU32 {
        self.count
    }

    /// The window.
    #[must_use]
    pub const fn window(&self) -> RateWindow {
        self.window
    }

    /// Requests at once on a fresh key.
    #[must_use]
    pub const fn burst(&self) -> NonZeroU32 {
        self.burst
    }
}

impl FromStr for Rate {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let error = || RuleError::Rate(text.to_owned());
        let (count, window) = split(text).ok_or_else(error)?;
        let window = match window {
            "s" => RateWindow::Second,
            "m" => RateWindow::Minute,
            "h" => RateWindow::Hour,
            _ => return Err(error()),
        };
        // A number alone may be too large for a burst: it is told as what was written, a rate.
        Self::new(count, window, count)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = match self.window {
            RateWindow::Second => "s",
            RateWindow::Minute => "m",
            RateWindow::Hour => "h",
        };
        write!(formatter, "{}/{window}", self.count)
    }
}

/// The window of a quota, as the calendar of UTC has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaWindow {
    Hour,
    Day,
    Month,
}

impl QuotaWindow {
    /// How long it can be.
    pub(crate) const fn longest(self) -> Duration {
        match self {
            Self::Hour => Duration::from_secs(SECONDS_PER_HOUR),
            Self::Day => Duration::from_secs(SECONDS_PER_DAY),
            Self::Month => Duration::from_secs(LONGEST_MONTH_DAYS * SECONDS_PER_DAY),
        }
    }
}

/// So many requests in a window of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    pub count: NonZeroU32,
    pub window: QuotaWindow,
}

/// One hour, day or month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Different from that of any other window of the same kind that is not some thousand years away.
    pub id: u32,
    /// Seconds since 1970 of its first second and of the first one after it.
    pub start: u64,
    pub end: u64,
}

impl Quota {
    /// How long the window is that this moment since 1970 is in.
    pub(super) fn length(&self, unix: Duration) -> Duration {
        let span = self.span(unix.as_secs());
        Duration::from_secs(span.end - span.start)
    }

    /// The window that this second since 1970 is in.
    pub(super) fn span(&self, second: u64) -> Span {
        match self.window {
            QuotaWindow::Hour => fixed(second, SECONDS_PER_HOUR),
            QuotaWindow::Day => fixed(second, SECONDS_PER_DAY),
            QuotaWindow::Month => {
                let today = second / SECONDS_PER_DAY;
                let first = first_of_month(today);
                let next = first_of_month(first + LONGEST_MONTH_DAYS);
                let id = u32::try_from(first).unwrap_or(u32::MAX);
                Span { id, start: first * SECONDS_PER_DAY, end: next * SECONDS_PER_DAY }
            }
        }
    }
}

fn fixed(second: u64, length: u64) -> Span {
    let number = second / length;
    Span { id: u32::try_from(number).unwrap_or(u32::MAX), start: number * length, end: (number + 1) * length }
}

/// The day since 1970 that begins the month of this one.
fn first_of_month(day: u64) -> u64 {
    let (_, _, of_month) = calendar::civil(i64::try_from(day).unwrap_or(i64::MAX));
    day - u64::from(of_month - 1)
}

impl FromStr for Quota {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let error = || RuleError::Quota(text.to_owned());
        let (count, window) = split(text).ok_or_else(error)?;
        let window = match window {
            "h" => QuotaWindow::Hour,
            "d" => QuotaWindow::Day,
            "mo" => QuotaWindow::Month,
            _ => return Err(error()),
        };
        Ok(Self { count, window })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = match self.window {
            QuotaWindow::Hour => "h",
            QuotaWindow::Day => "d",
            QuotaWindow::Month => "mo",
        };
        write!(formatter, "{}/{window}", self.count)
    }
}

/// `N/window`, with nothing but digits before the slash: `parse` alone would take a sign.
fn split(text: &str) -> Option<(NonZeroU32, &str)> {
    let (count, window) = text.split_once('/')?;
    let digits = count.bytes().all(|byte| byte.is_ascii_digit());
    if digits { Some((count.parse().ok()?, window)) } else { None }
}

/// What a limit allows; a request must pass both if there are both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    pub rate: Option<Rate>,
    pub quota: Option<Quota>,
}

/// Where a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In each instance by itself.
    Local,
    /// In the store, for all instances together.
    Shared,
}

/// What holds for a shared limit while its store can't be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnError {
    /// Each instance counts the same limit by itself.
    Local,
    /// Requests pass.
    Allow,
    /// Requests are refused as UNAVAILABLE.
    Deny,
}

/// One limit as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its name, which answers and metrics show.
    pub name: Arc<str>,
    /// The tier that this policy is for, where a limit has several.
    pub tier: Option<Arc<str>>,
    /// The source of the key's expression: never evaluated here, but another expression starts to count anew.
    pub key: Arc<str>,
    pub policy: Policy,
    pub scope: Scope,
    pub on_error: OnError,
    /// Counts, and says in the metrics what it would have refused, but refuses nothing.
    pub shadow: bool,
    /// How many keys are counted in memory at a time; the least used make room for others.
    pub max_keys: NonZeroUsize,
}

impl Config {
    /// Whether a request of this cost could ever pass.
    ///
    /// # Errors
    /// If it could not, or if there is nothing that limits.
    pub fn check(&self, cost: NonZeroU32) -> Result<(), RuleError> {
        let Policy { rate, quota } = self.policy;
        let bounds = [rate.map(|rate| rate.burst()), quota.map(|quota| quota.count)];
        let allowed = bounds.into_iter().flatten().min().ok_or_else(|| RuleError::Empty(self.name.to_string()))?;
        if cost > allowed {
            let limit = self.name.to_string();
            return Err(RuleError::Cost { limit, cost: cost.get(), allowed: allowed.get() });
        }
        Ok(())
    }

    /// Whether counts of the one are counts of the other.
    pub(super) fn counts_as(&self, other: &Self) -> bool {
        (&self.name, &self.tier, &self.key, self.policy) == (&other.name, &other.tier, &other.key, other.policy)
    }
}

#[cfg(test)]
mod tests {
    //! The grammar of rates and quotas, the bounds at their edges, and windows of the calendar.

    use std::num::NonZeroU32;

    use super::{MAX_SCALED_BURST, Quota, QuotaWindow, Rate, RateWindow, RuleError, Span};

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn a_rate_has_its_number_as_burst() {
        let rate: Rate = "600/m".parse().unwrap();
        assert_eq!((rate.count(), rate.window(), rate.burst()), (number(600), RateWindow::Minute, number(600)));
        assert_eq!(rate.with_burst(number(60)).unwrap().burst(), number(60));
        for text in ["5/s", "600/m", "1/h"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_rate_is_quoted() {
        for text in ["", "5", "/s", "0/s", "-1/s", "+1/s", "1.5/s", "5/d", "5/mo", "5/", "5 /s", "5/s ", "4294967296/h"]
        {
            assert_eq!(text.parse::<Rate>(), Err(RuleError::Rate(text.into())), "{text}");
        }
    }

    #[test]
    fn a_rate_is_bounded_by_what_can_be_counted() {
        assert!("1000000/s".parse::<Rate>().is_ok());
        assert_eq!("1000001/s".parse::<Rate>(), Err(RuleError::TooFast("1000001/s".into())));
        let hourly: Rate = "1/h".parse().unwrap();
        let max = u32::try_from(MAX_SCALED_BURST / 3_600_000_000).unwrap();
        assert!(hourly.with_burst(number(max)).is_ok());
        assert!(matches!(hourly.with_burst(number(max + 1)), Err(RuleError::Burst { .. })));
    }

    #[test]
    fn quotas_are_read() {
        for text in ["10/h", "1000/d", "1/mo"] {
            assert_eq!(text.parse::<Quota>().unwrap().to_string(), text);
        }
        for text in ["10/s", "10/m", "0/d", "x/d", "10", "10/month"] {
            assert_eq!(text.parse::<Quota>(), Err(RuleError::Quota(text.into())), "{text}");
        }
    }

    #[track_caller]
    fn span(window: QuotaWindow, second: u64) -> Span {
        let span = Quota { count: number(1), window }.span(second);
        assert!(span.start <= second && second < span.end, "{span:?} holds {second}");
        span
    }

    #[test]
    fn windows_end_where_the_next_begin() {
        for window in [QuotaWindow::Hour, QuotaWindow::Day, QuotaWindow::Month] {
            let mut last = span(window, 0);
            for _ in 0..2_000 {
                let before = span(window, last.end - 1);
                assert_eq!(before, last);
                let next = span(window, last.end);
                assert_eq!(next.start, last.end);
                assert_ne!(next.id, last.id);
                last = next;
            }
        }
    }

    #[test]
    fn months_are_as_long_as_the_calendar_says() {
        // 2027, 2028 and its leap day, 2100 without one.
        for (day, days) in [(20_819, 31), (20_850, 28), (20_878, 31), (21_215, 29), (47_513, 28)] {
            let span = span(QuotaWindow::Month, day * 86_400);
            assert_eq!((span.start / 86_400, (span.end - span.start) / 86_400), (day, days));
        }
    }
}
