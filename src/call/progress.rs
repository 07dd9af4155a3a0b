//! What is counted while a request is served, for its access-log line and metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How far one request has come. Times are microseconds since its head arrived, plus one; 0 is not yet.
#[derive(Debug)]
pub struct Progress {
    /// When its head arrived.
    pub start: Instant,
    request_bytes: AtomicU64,
    upstream_begun: AtomicU64,
    upstream_ended: AtomicU64,
}

impl Progress {
    /// Begins to count now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            request_bytes: AtomicU64::new(0),
            upstream_begun: AtomicU64::new(0),
            upstream_ended: AtomicU64::new(0),
        }
    }

    /// Bytes of the request's body that have come.
    #[must_use]
    pub fn request_bytes(&self) -> u64 {
        self.request_bytes.load(Ordering::Relaxed)
    }

    /// How long the upstream took, or has taken so far; `None` if it was not called.
    #[must_use]
    pub fn upstream(&self) -> Option<Duration> {
        let begun = self.upstream_begun.load(Ordering::Relaxed).checked_sub(1)?;
        let ended = match self.upstream_ended.load(Ordering::Relaxed) {
            0 => self.micros(),
            ended => ended - 1,
        };
        Some(Duration::from_micros(ended.saturating_sub(begun)))
    }

    pub(super) fn add_request_bytes(&self, bytes: usize) {
        self.request_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn begin_upstream(&self) {
        self.upstream_begun.store(self.micros() + 1, Ordering::Relaxed);
    }

    pub(super) fn end_upstream(&self) {
        self.upstream_ended.store(self.micros() + 1, Ordering::Relaxed);
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX - 1)
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
