//! The upstream's side of a stream, which ends at the deadline even while nobody asks for more of it.
//!
//! A client that does not read is not waited for by polling its answer's body, so a task of its own watches the time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use tokio::task::AbortHandle;

use super::deadline_exceeded;
use super::uplink::Uplink;
use crate::status::Status;
use crate::upstream::Answer;

/// A call's streams until they end, or their deadline.
pub(super) struct Live {
    streams: Arc<Mutex<Option<Streams>>>,
    watch: Option<AbortHandle>,
}

struct Streams {
    answer: Answer,
    /// The request's messages, where they are still being sent.
    uplink: Option<Uplink>,
}

impl Live {
    pub(super) fn new(answer: Answer, uplink: Option<Uplink>, deadline: Option<Instant>) -> Self {
        let streams = Arc::new(Mutex::new(Some(Streams { answer, uplink })));
        let watch = deadline.map(|deadline| {
            let streams = streams.clone();
            let watching = async move {
                tokio::time::sleep_until(deadline.into()).await;
                drop(lock(&streams).take());
            };
            tokio::spawn(watching).abort_handle()
        });
        Self { streams, watch }
    }

    /// The next bytes of the answer; `None` at its end.
    pub(super) fn poll_data(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        match &mut *lock(&self.streams) {
            Some(streams) => streams.answer.poll_data(context),
            None => Poll::Ready(Some(Err(deadline_exceeded()))),
        }
    }

    /// The trailers, after the answer's end.
    pub(super) fn poll_trailers(&self, context: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, Status>> {
        match &mut *lock(&self.streams) {
            Some(streams) => streams.answer.poll_trailers(context),
            None => Poll::Ready(Err(deadline_exceeded())),
        }
    }

    /// Goes on sending the request; its failure is the call's.
    pub(super) fn poll_uplink(&self, context: &mut Context<'_>) -> Result<(), Status> {
        let mut streams = lock(&self.streams);
        let Some(streams) = &mut *streams else { return Ok(()) };
        let Some(uplink) = &mut streams.uplink else { return Ok(()) };
        match uplink.as_mut().poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(sent) => {
                streams.uplink = None;
                sent
            }
        }
    }

    /// Ends both directions now.
    pub(super) fn end(&self) {
        drop(lock(&self.streams).take());
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

fn lock(streams: &Mutex<Option<Streams>>) -> MutexGuard<'_, Option<Streams>> {
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}
