//! The time of a request, read once by who asks, so that a test can say what time it is.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the clock that never runs back begins.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One moment by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since a moment of this process, never running back: rates.
    pub steady: Duration,
    /// Since 1970: windows of the calendar.
    pub unix: Duration,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self { steady: START.elapsed(), unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }
}
