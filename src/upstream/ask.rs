//! One typed question to an upstream and its answer: for the services that the gateway itself asks.
//!
//! Unlike the calls of clients these are small, end by a deadline of their own, and are told in generated types.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http::uri::PathAndQuery;
use prost::Message;

use super::{CallHead, Upstream};
use crate::protocol::envelope::{self, Deframer};
use crate::protocol::{end, head};
use crate::status::{Blame, Code, Status};

/// One answer, at most.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// Asks once, and waits at most `timeout`, connecting included. `path` is `/package.Service/Method`.
///
/// # Errors
/// DEADLINE_EXCEEDED if nothing came in time; how the call ended, if not by OK; INTERNAL if the answer can't be read.
pub async fn ask<Q: Message, A: Message + Default>(
    upstream: &Upstream,
    worker: usize,
    path: &'static str,
    question: &Q,
    timeout: Duration,
) -> Result<A, Status> {
    let asking = exchange(upstream, worker, path, question, timeout);
    tokio::time::timeout(timeout, asking).await.unwrap_or_else(|_| {
        Err(Status::new(Code::DeadlineExceeded, Blame::Upstream, "the service that was asked did not answer in time"))
    })
}

async fn exchange<Q: Message, A: Message + Default>(
    upstream: &Upstream,
    worker: usize,
    path: &'static str,
    question: &Q,
    timeout: Duration,
) -> Result<A, Status> {
    let body = frame(question)?;
    let mut metadata = HeaderMap::new();
    head::complete(&mut metadata, Some(timeout));
    // Answers are small and are read as they are.
    metadata.remove(head::GRPC_ACCEPT_ENCODING);
    let call = || Ok(CallHead { path: PathAndQuery::from_static(path), metadata: metadata.clone() });
    let (response, mut answer) = upstream.exchange(worker, call, body).await?;
    end::check_head(response.status(), response.headers())?;
    if answer.is_end() {
        end::status(response.headers())?;
    }
    let mut deframer = Deframer::new(MAX_ANSWER_BYTES);
    let mut message = None;
    loop {
        while let Some(next) = deframer.next()? {
            if next.compressed || message.replace(next.payload).is_some() {
                return Err(Status::bad_upstream("expected one message that is not compressed"));
            }
        }
        match answer.data().await {
            Some(data) => deframer.push(data?),
            None => break,
        }
    }
    end::status(&answer.trailers().await?.unwrap_or_default())?;
    deframer.finish()?;
    let message = message.ok_or_else(|| Status::bad_upstream("expected one message, found none"))?;
    A::decode(message).map_err(Status::bad_upstream)
}

/// A question as its message goes over the wire.
pub(super) fn frame(question: &impl Message) -> Result<Bytes, Status> {
    let length = question.encoded_len();
    let prefix = envelope::prefix(length)
        .ok_or_else(|| Status::new(Code::Internal, Blame::Gateway, "the question is too long for a message"))?;
    let mut framed = BytesMut::with_capacity(length + envelope::PREFIX_BYTES);
    framed.put_slice(&prefix);
    question.encode(&mut framed).expect("a buffer grows as it must");
    Ok(framed.freeze())
}
