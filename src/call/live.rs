//! The upstream's side of a stream, which ends at the deadline even while nobody asks for more of it.
//!
//! A client that does not read is not waited for by polling its answer's body, so a task of its own watches the time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use tokio::task::AbortHandle;

use super::deadline_exceeded;
use super::uplink::{self, Uplink};
use crate::status::Status;
use crate::upstream::Answer;

/// A call's streams until they end, or their deadline.
pub(super) struct Live {
    state: Arc<Mutex<State>>,
    watch: Option<AbortHandle>,
}

#[derive(Default)]
struct State {
    /// `None` once the deadline is over.
    streams: Option<Streams>,
    /// Who waits for the answer.
    waiting: Option<Waker>,
}

struct Streams {
    answer: Answer,
    /// The request's messages, where they are still being sent.
    uplink: Option<Uplink>,
}

impl Live {
    pub(super) fn new(answer: Answer, uplink: Option<Uplink>, deadline: Option<Instant>) -> Self {
        let state = Arc::new(Mutex::new(State { streams: Some(Streams { answer, uplink }), waiting: None }));
        let watch = deadline.map(|deadline| {
            let state = state.clone();
            let watching = async move {
                tokio::time::sleep_until(deadline.into()).await;
                let State { streams, waiting } = std::mem::take(&mut *lock(&state));
                drop(streams);
                if let Some(waiting) = waiting {
                    waiting.wake();
                }
            };
            tokio::spawn(watching).abort_handle()
        });
        Self { state, watch }
    }

    /// Fails once the deadline is over.
    pub(super) fn check_deadline(&self) -> Result<(), Status> {
        lock(&self.state).streams.as_ref().map(drop).ok_or_else(deadline_exceeded)
    }

    /// The next bytes of the answer; `None` at its end.
    pub(super) fn poll_data(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        let polled = self.poll_answer(context, Answer::poll_data);
        polled.unwrap_or_else(|| Poll::Ready(Some(Err(deadline_exceeded()))))
    }

    /// The trailers, after the answer's end.
    pub(super) fn poll_trailers(&self, context: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, Status>> {
        let polled = self.poll_answer(context, Answer::poll_trailers);
        polled.unwrap_or_else(|| Poll::Ready(Err(deadline_exceeded())))
    }

    /// Polls the answer, which the deadline then wakes too; `None` if it is over.
    fn poll_answer<T>(
        &self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Answer, &mut Context<'_>) -> Poll<T>,
    ) -> Option<Poll<T>> {
        let mut state = lock(&self.state);
        let polled = poll(&mut state.streams.as_mut()?.answer, context);
        if polled.is_pending() && self.watch.is_some() {
            state.waiting = Some(context.waker().clone());
        }
        Some(polled)
    }

    /// Goes on sending the request; its failure is the call's.
    pub(super) fn poll_uplink(&self, context: &mut Context<'_>) -> Result<(), Status> {
        match &mut lock(&self.state).streams {
            Some(streams) => uplink::poll(&mut streams.uplink, context),
            None => Ok(()),
        }
    }

    /// Ends both directions now.
    pub(super) fn end(&self) {
        drop(lock(&self.state).streams.take());
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
        self.end();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
