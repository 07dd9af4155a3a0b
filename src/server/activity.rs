//! What a connection is doing, so that one that does nothing, or too slowly, is closed in time.
//!
//! One timer a connection, not one a request: a request only notes where it is, and the timer looks now and then.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::Version;
use tokio::time::Instant;

use super::allowance::Allowance;
use super::config::Limits;
use crate::protocol::http2::{Seen, Tail};

/// Which time of a connection is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// It did nothing.
    Idle,
    /// The head of a request did not come to its end.
    Head,
}

/// A connection's state, shared by its socket, its requests and its timer.
#[derive(Debug)]
pub(super) struct Activity {
    start: Instant,
    /// Requests whose answer is not over.
    requests: AtomicUsize,
    /// When it last became idle, in milliseconds since `start`.
    idle_since: AtomicU64,
    /// When the head that is being read began, in milliseconds since `start` and plus one; 0 while none is.
    head_since: AtomicU64,
    /// Whether some of a head is held back that came while a request of HTTP/1 was served.
    holds_head: AtomicBool,
    /// Whether the end of the connection is the end of an answer.
    ends_answer: AtomicBool,
    /// Of HTTP/2.
    allowance: Allowance,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            holds_head: AtomicBool::new(false),
            ends_answer: AtomicBool::new(false),
            allowance: Allowance::new(),
        }
    }

    /// Bytes came from an HTTP/1.1 client, or the first of a connection: between requests, they begin a head.
    pub(super) fn received(&self) {
        if self.requests.load(Ordering::Relaxed) == 0 && self.head_since.load(Ordering::Relaxed) == 0 {
            self.begin_head();
        }
    }

    /// Whether some of a head is held back. While a request is served, its time has not begun.
    pub(super) fn hold(&self, holds_head: bool) {
        self.holds_head.store(holds_head, Ordering::Relaxed);
    }

    /// The client speaks HTTP/2: what it sends between requests is no head, and may be a sign of life.
    pub(super) fn begin_http2(&self) {
        self.idle_since.store(self.now(), Ordering::Relaxed);
    }

    /// Bytes came from an HTTP/2 client, after its first. What it leaves unfinished is timed as a head, whatever else it does.
    /// False if it has sent too much that is neither a request nor a body.
    pub(super) fn received_frames(&self, seen: Seen) -> bool {
        match seen.tail {
            Tail::Nothing => self.head_since.store(0, Ordering::Relaxed),
            Tail::Begun => self.begin_head(),
            Tail::Older => {}
        }
        self.allowance.spend(seen.bare)
    }

    fn begin_head(&self) {
        self.head_since.store(self.now() + 1, Ordering::Relaxed);
    }

    /// Bytes of an answer went to the client: it is not idle while it takes what it asked for. Over HTTP/2 other bytes
    /// are no such thing: a client whose pings are answered is idle.
    pub(super) fn sent(&self) {
        if self.requests.load(Ordering::Relaxed) == 0 {
            self.idle_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// A piece of an answer was handed over to an HTTP/2 client.
    pub(super) fn handed_over(&self, bytes: usize) {
        self.allowance.earn_piece(bytes);
    }

    /// Waits until [`Self::received_frames`] was false.
    pub(super) async fn flooded(&self) {
        self.allowance.exceeded().await;
    }

    /// A whole head came.
    pub(super) fn begin_request(&self, version: Version) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if version < Version::HTTP_2 {
            self.head_since.store(0, Ordering::Relaxed);
        } else {
            self.allowance.earn_request();
        }
        if version < Version::HTTP_11 {
            self.ends_answer.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a client may take the end of the connection for the end of an answer, as HTTP/1.0 has it.
    pub(super) fn ends_answer(&self) -> bool {
        self.ends_answer.load(Ordering::Relaxed)
    }

    /// An answer is over.
    pub(super) fn end_request(&self) {
        if self.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.idle_since.store(self.now(), Ordering::Relaxed);
            if self.holds_head.load(Ordering::Relaxed) {
                self.begin_head();
            }
        }
    }

    /// Waits until the connection has been idle, or its head unfinished, for too long.
    pub(super) async fn expired(&self, limits: &Limits) -> Expiry {
        // Whatever begins after a look is seen by the next, before its own time is up.
        let pause = limits.idle.min(limits.header_timeout);
        loop {
            let expiry = self.expiry(limits);
            if let Some((until, expiry)) = expiry
                && until <= Instant::now()
            {
                return expiry;
            }
            let look = Instant::now() + pause;
            tokio::time::sleep_until(expiry.map_or(look, |(until, _)| until.min(look))).await;
        }
    }

    /// Waits until this moment, unless a byte has come by then.
    pub(super) async fn silent_until(&self, until: Instant) {
        tokio::time::sleep_until(until).await;
        if self.head_since.load(Ordering::Relaxed) != 0 {
            std::future::pending().await
        }
    }

    /// When it is to be closed as it stands now; `None` while requests are served and nothing else is to come.
    fn expiry(&self, limits: &Limits) -> Option<(Instant, Expiry)> {
        match self.head_since.load(Ordering::Relaxed) {
            0 if self.requests.load(Ordering::Relaxed) > 0 => None,
            0 => Some((self.at(self.idle_since.load(Ordering::Relaxed)) + limits.idle, Expiry::Idle)),
            since => Some((self.at(since - 1) + limits.header_timeout, Expiry::Head)),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }
}

#[cfg(test)]
mod tests {
    //! Time is paused: nothing here waits.

    use super::{Activity, Expiry, Limits, Seen, Tail};
    use http::Version;
    use std::time::Duration;
    use tokio::time::{Instant, advance};

    fn limits() -> Limits {
        Limits { idle: Duration::from_secs(120), header_timeout: Duration::from_secs(10), ..Limits::default() }
    }

    fn left(tail: Tail) -> Seen {
        Seen { tail, ..Seen::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_expires_after_idle() {
        let start = Instant::now();
        assert_eq!(Activity::new().expired(&limits()).await, Expiry::Idle);
        assert_eq!(start.elapsed().as_secs(), 120);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unfinished_head_expires_after_its_own_time() {
        let activity = Activity::new();
        advance(Duration::from_secs(50)).await;
        activity.received();
        let begun = Instant::now();
        advance(Duration::from_secs(5)).await;
        activity.received();
        assert_eq!(activity.expired(&limits()).await, Expiry::Head);
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_keeps_its_connection() {
        let activity = Activity::new();
        activity.received();
        activity.begin_request(Version::HTTP_11);
        let late = tokio::time::timeout(Duration::from_secs(1000), activity.expired(&limits())).await;
        assert!(late.is_err());
        activity.end_request();
        let idle = Instant::now();
        activity.expired(&limits()).await;
        assert!((119..=121).contains(&idle.elapsed().as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_came_with_a_request_is_timed_from_the_end_of_its_answer() {
        let activity = Activity::new();
        activity.received();
        activity.hold(true);
        activity.begin_request(Version::HTTP_11);
        let late = tokio::time::timeout(Duration::from_secs(1000), activity.expired(&limits())).await;
        assert!(late.is_err(), "it would cost the request before it");
        activity.end_request();
        let over = Instant::now();
        assert_eq!(activity.expired(&limits()).await, Expiry::Head);
        assert_eq!(over.elapsed().as_secs(), 10);
        activity.hold(false);
        activity.begin_request(Version::HTTP_11);
        activity.end_request();
        assert_eq!(activity.expired(&limits()).await, Expiry::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_client_of_http2_leaves_unfinished_expires_beside_its_requests() {
        let activity = Activity::new();
        activity.received();
        activity.received_frames(left(Tail::Nothing));
        activity.begin_request(Version::HTTP_2);
        activity.received_frames(left(Tail::Begun));
        let begun = Instant::now();
        advance(Duration::from_secs(5)).await;
        activity.received_frames(left(Tail::Older));
        activity.begin_request(Version::HTTP_2);
        activity.end_request();
        assert_eq!(activity.expired(&limits()).await, Expiry::Head);
        assert_eq!(begun.elapsed().as_secs(), 10);
        activity.received_frames(left(Tail::Begun));
        let next = Instant::now();
        assert_eq!(activity.expired(&limits()).await, Expiry::Head);
        assert_eq!(next.elapsed().as_secs(), 10);
        activity.received_frames(left(Tail::Nothing));
        assert!(tokio::time::timeout(Duration::from_secs(1000), activity.expired(&limits())).await.is_err());
    }
}
