//! How many frames an HTTP/2 client may send that carry nothing of a body, so that it can't keep a thread busy with them.
//!
//! Pings, windows, priorities, settings, resets and frames that nobody knows cost a client nothing, and each costs the
//! gateway a look or an answer (CVE-2019-9512 and its like). An honest client sends them for what it asks and takes: it
//! earns them with each request and with each piece of an answer that is handed over to it. That is counted by what the
//! gateway gives, not by the frames in which the client lets it through: a window of a byte would make many.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// What a connection has when it begins, and by time alone gets again at most.
const AT_ONCE: u32 = 1000;

/// How long it takes to get one more.
const ONE_MORE: Duration = Duration::from_millis(10);

/// For a request: its own headers and trailers, a priority, a window, and a reset.
const FOR_REQUEST: u32 = 8;

/// For a piece of an answer: a window for its stream, one for the connection, and a ping to time it.
const FOR_PIECE: u32 = 4;

/// For so many bytes of a piece, one more: a client with little room opens its windows often.
const BYTES_FOR_ONE: usize = 256;

/// The most that is earned and not spent. It is more than 32 MiB of pieces on their way ask for.
const MAX_LEFT: u32 = 16 << 10;

/// What a connection may still send.
#[derive(Debug)]
pub(super) struct Allowance {
    state: Mutex<State>,
    exceeded: Notify,
}

#[derive(Debug)]
struct State {
    left: u32,
    /// Time until then is counted.
    counted: Instant,
}

impl Allowance {
    pub(super) fn new() -> Self {
        let state = State { left: AT_ONCE, counted: Instant::now() };
        Self { state: Mutex::new(state), exceeded: Notify::new() }
    }

    /// The client made a request.
    pub(super) fn earn_request(&self) {
        self.state().earn(FOR_REQUEST);
    }

    /// A piece of an answer of so many bytes was handed over.
    pub(super) fn earn_piece(&self, bytes: usize) {
        let more = u32::try_from(bytes / BYTES_FOR_ONE).unwrap_or(MAX_LEFT);
        self.state().earn(more.saturating_add(FOR_PIECE));
    }

    /// So many frames came that carry nothing of a body. False if they are more than may.
    pub(super) fn spend(&self, frames: u32) -> bool {
        let enough = frames == 0 || self.state().spend(frames);
        if !enough {
            self.exceeded.notify_one();
        }
        enough
    }

    /// Waits until more came than may.
    pub(super) async fn exceeded(&self) {
        self.exceeded.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn earn(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(MAX_LEFT);
    }

    fn spend(&mut self, frames: u32) -> bool {
        // The clock is asked only by whoever has too little.
        if self.left < frames {
            self.count_time();
        }
        let enough = self.left >= frames;
        self.left = self.left.saturating_sub(frames);
        enough
    }

    fn count_time(&mut self) {
        let more = u32::try_from(self.counted.elapsed().as_millis() / ONE_MORE.as_millis()).unwrap_or(u32::MAX);
        if more < AT_ONCE {
            self.counted += ONE_MORE * more;
        } else {
            self.counted = Instant::now();
        }
        self.left = self.left.max(self.left.saturating_add(more).min(AT_ONCE));
    }
}

#[cfg(test)]
mod tests {
    //! The edge of what may come. Time is paused: nothing here waits.

    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    impl Allowance {
        #[track_caller]
        fn check(&self, expected: u32) {
            assert!(self.exceeded().now_or_never().is_none());
            self.spend(expected);
            assert!(self.exceeded().now_or_never().is_none(), "{expected} are too many");
            self.spend(1);
            assert!(self.exceeded().now_or_never().is_some(), "one more than {expected} may come");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_may_come_at_once_and_so_many_in_a_second() {
        let allowance = Allowance::new();
        allowance.check(1000);
        advance(Duration::from_secs(1)).await;
        allowance.check(100);
        advance(Duration::from_millis(29)).await;
        allowance.check(2);
        advance(Duration::from_millis(1)).await;
        allowance.check(1);
        advance(Duration::from_secs(3600)).await;
        allowance.check(1000);
        allowance.check(0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_keeps_to_the_rate_goes_on_for_ever() {
        let allowance = Allowance::new();
        for _ in 0..10_000 {
            advance(Duration::from_millis(120)).await;
            allowance.spend(12);
        }
        assert!(allowance.exceeded().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_what_is_handed_over_earn_more_up_to_a_bound() {
        let allowance = Allowance::new();
        allowance.earn_request();
        allowance.check(1000 + FOR_REQUEST);
        allowance.earn_piece(0);
        allowance.earn_piece(255);
        allowance.check(2 * FOR_PIECE);
        allowance.earn_piece(16 << 10);
        allowance.check(FOR_PIECE + 64);
        allowance.earn_piece(usize::MAX);
        allowance.check(MAX_LEFT);
        (0..MAX_LEFT).for_each(|_| allowance.earn_request());
        allowance.check(MAX_LEFT);
    }
}
