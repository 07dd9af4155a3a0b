//! What a provider failed at last, for metrics and readiness: it goes on with what it had.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Failures of one provider.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u64,
    current: Option<Failing>,
}

/// A failure that is not mended yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// When the first in a row failed.
    pub since: SystemTime,
    /// Why the last one did.
    pub why: String,
}

impl Trouble {
    pub(super) fn note(&self, error: &dyn Display) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures += 1;
        let since = state.current.as_ref().map_or_else(SystemTime::now, |failing| failing.since);
        state.current = Some(Failing { since, why: error.to_string() });
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).current = None;
    }

    /// How often it failed since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failures
    }

    /// What it fails at now.
    #[must_use]
    pub fn current(&self) -> Option<Failing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).current.clone()
    }
}
