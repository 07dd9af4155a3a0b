//! What the answers of an HTTP/2 connection tell of its client: whether it takes them, and whether it only asks to cancel.
//!
//! An answer is the client's to wait for from the moment a piece of it is handed over until the next is asked for, which
//! it is only while the client lets it send. Each is timed on its own: what a client takes of one says nothing of another.
//! The connection is cut as a whole, since nothing in here is asked again by an answer that may not send, and hyper gives
//! no other way to reset its stream.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// The number of the next one.
    next: AtomicU64,
    /// Those that wait for the client, by their number, and since when; the oldest is the first. There are no more than
    /// streams.
    waiting: Mutex<Vec<(u64, Instant)>>,
    /// Of those that are judged now.
    opened: AtomicU32,
    cancelled: AtomicU32,
    flooded: Notify,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Answer {
    answers: Arc<Answers>,
    number: u64,
    begun: Instant,
    waiting: bool,
    /// Not cancelled, however it ended.
    over: bool,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self {
            next: AtomicU64::new(0),
            waiting: Mutex::default(),
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
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Answer { answers: self.clone(), number, begun: Instant::now(), waiting: false, over: false }
    }

    /// Waits until most of the last requests were cancelled as soon as they were made.
    pub(super) async fn flooded(&self) {
        self.flooded.notified().await;
    }

    /// Waits until an answer has waited this long for the client.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let oldest = self.waiting().first().map(|(_, since)| *since);
            // What begins after a look is seen by the next, before its own time is up.
            let end = oldest.unwrap_or(now) + limit;
            if end <= now {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(u64, Instant)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    /// A piece was handed over: the client is to take it.
    pub(super) fn handed_over(&mut self) {
        if !std::mem::replace(&mut self.waiting, true) {
            self.answers.waiting().push((self.number, Instant::now()));
        }
    }

    /// The next piece is asked for: the client has taken what it was given, or may still.
    pub(super) fn asked_for(&mut self) {
        if std::mem::take(&mut self.waiting) {
            let mut waiting = self.answers.waiting();
            if let Some(at) = waiting.iter().position(|(number, _)| *number == self.number) {
                waiting.remove(at);
            }
        }
    }

    /// It ended by itself, though the client may still have to take the last piece.
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
        for _ in 0..5 {
            answer.handed_over();
            assert!(timeout(LIMIT - Duration::from_secs(1), answers.stalled(LIMIT)).await.is_err());
            answer.asked_for();
        }
        assert!(timeout(LIMIT * 2, answers.stalled(LIMIT)).await.is_err());
        answer.handed_over();
        answer.end();
        drop(answer);
        assert!(timeout(LIMIT * 2, answers.stalled(LIMIT)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_of_one_answer_does_not_hide_another() {
        let answers = Arc::new(Answers::new());
        let mut held: Vec<_> = (0..100).map(|_| answers.begin()).collect();
        held.iter_mut().for_each(Answer::handed_over);
        let begun = Instant::now();
        advance(LIMIT / 2).await;
        // All but one are taken.
        for (number, answer) in held.iter_mut().enumerate().filter(|(number, _)| *number != 40) {
            answer.asked_for();
            if number % 2 == 0 {
                answer.handed_over();
            }
        }
        let mut other = answers.begin();
        other.handed_over();
        answers.stalled(LIMIT).await;
        assert_eq!(begun.elapsed().as_secs(), 30);
        held[40].asked_for();
        answers.stalled(LIMIT).await;
        assert_eq!(begun.elapsed().as_secs(), 45);
        drop((held, other));
        assert!(answers.waiting().is_empty());
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
