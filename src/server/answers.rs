//! What a connection's answers tell of its client: whether it takes them, and whether it only asks to cancel.
//!
//! An answer is the client's to wait for from the moment a piece of it is handed over until the next is asked for: HTTP/2
//! asks only while the client lets it send. Over TCP the kernel sees a client of HTTP/1 that takes nothing, by
//! [`Limits::write_stall`] too.
//!
//! [`Limits::write_stall`]: super::config::Limits::write_stall

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// So many requests of a connection are judged together (CVE-2023-44487).
const JUDGED_STREAMS: u32 = 500;

/// A request that is cancelled within this time of its beginning was hardly meant.
const MIN_LIFETIME: Duration = Duration::from_secs(1);

/// The answers of one connection.
#[derive(Debug)]
pub(super) struct Answers {
    start: Instant,
    /// Answers that wait for the client.
    waiting: AtomicUsize,
    /// When the client last took something, or something to take began, in milliseconds since `start`.
    taken_at: AtomicU64,
    /// Of those that are judged now.
    opened: AtomicU32,
    cancelled: AtomicU32,
    flooded: Notify,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Answer {
    answers: Arc<Answers>,
    begun: Instant,
    waiting: bool,
    /// Not cancelled, however it ended.
    over: bool,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            waiting: AtomicUsize::new(0),
            taken_at: AtomicU64::new(0),
            opened: AtomicU32::new(0),
            cancelled: AtomicU32::new(0),
            flooded: Notify::new(),
        }
    }

    pub(super) fn begin(self: &Arc<Self>) -> Answer {
        if self.opened.fetch_add(1, Ordering::Relaxed) + 1 >= JUDGED_STREAMS {
            self.opened.store(0, Ordering::Relaxed);
            self.cancelled.store(0, Ordering::Relaxed);
        }
        Answer { answers: self.clone(), begun: Instant::now(), waiting: false, over: false }
    }

    /// Bytes of answers went to the client.
    pub(super) fn taken(&self) {
        self.taken_at.store(self.now(), Ordering::Relaxed);
    }

    /// Waits until most of the last requests were cancelled as soon as they were made.
    pub(super) async fn flooded(&self) {
        self.flooded.notified().await;
    }

    /// Waits until answers have waited this long for a client that takes nothing.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let waits = self.waiting.load(Ordering::Relaxed) > 0;
            let end = self.start + Duration::from_millis(self.taken_at.load(Ordering::Relaxed)) + limit;
            let now = Instant::now();
            if waits && end <= now {
                return;
            }
            // What begins after a look is seen by the next, before its own time is up.
            tokio::time::sleep_until(if waits { end } else { now + limit }).await;
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Answer {
    /// A piece was handed over: the client is to take it.
    pub(super) fn handed_over(&mut self) {
        if !std::mem::replace(&mut self.waiting, true) && self.answers.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
            self.answers.taken();
        }
    }

    /// The next piece is asked for: the client has taken what it was given, or may still.
    pub(super) fn asked_for(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.answers.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// It ended by itself.
    pub(super) fn end(&mut self) {
        self.over = true;
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.asked_for();
        if !self.over
            && self.begun.elapsed() < MIN_LIFETIME
            && self.answers.cancelled.fetch_add(1, Ordering::Relaxed) + 1 > JUDGED_STREAMS / 2
        {
            self.answers.flooded.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    //! Time is paused: nothing here waits.

    use super::*;
    use tokio::time::{advance, timeout};

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_stalls() {
        let answers = Arc::new(Answers::new());
        let mut answer = answers.begin();
        assert!(timeout(LIMIT * 3, answers.stalled(LIMIT)).await.is_err(), "the upstream is waited for");
        answer.handed_over();
        let begun = Instant::now();
        answers.stalled(LIMIT).await;
        assert_eq!(begun.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_something_does_not_stall() {
        let answers = Arc::new(Answers::new());
        let mut answer = answers.begin();
        answer.handed_over();
        advance(LIMIT / 2).await;
        answers.taken();
        assert!(timeout(LIMIT - Duration::from_secs(1), answers.stalled(LIMIT)).await.is_err());
        answer.asked_for();
        assert!(timeout(LIMIT * 2, answers.stalled(LIMIT)).await.is_err());
        answer.handed_over();
        drop(answer);
        assert!(timeout(LIMIT * 2, answers.stalled(LIMIT)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_most_requests_is_a_flood() {
        let judge = |cancelled: u32, late: bool| async move {
            let answers = Arc::new(Answers::new());
            for number in 0..JUDGED_STREAMS * 3 {
                let mut answer = answers.begin();
                if late {
                    advance(MIN_LIFETIME).await;
                }
                if number % 10 >= cancelled {
                    answer.end();
                }
            }
            timeout(Duration::from_millis(1), answers.flooded()).await.is_ok()
        };
        assert!(judge(10, false).await);
        assert!(judge(6, false).await);
        assert!(!judge(5, false).await);
        assert!(!judge(0, false).await);
        assert!(!judge(10, true).await);
    }
}
