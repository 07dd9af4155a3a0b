//! One call: a request's body to messages, the messages to the upstream, and the answer back.
//!
//! [`answer`] is the way of every request whose endpoint is known. A [`Status`] from any step is the caller's to
//! write; a failure after the head went out is told inside the body ([`downlink`]).

pub mod body;
mod downlink;
pub mod endpoint;
mod incoming;
mod live;
pub mod progress;
mod scratch;
pub mod settings;
mod unary;
mod uplink;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Response, StatusCode};

use self::body::Body;
use self::endpoint::{CallKind, Endpoint};
pub use self::incoming::{BodyLimits, Incoming};
use self::progress::Progress;
use crate::protocol::envelope::{self, Deframer};
use crate::protocol::metadata::{self, StatusOverride};
use crate::protocol::{end, head};
use crate::route::captures::Captures;
use crate::status::{Blame, Code, Detail, Status};
use crate::transcode::encode::EncodeOptions;
use crate::transcode::plan::Plan;
use crate::upstream::CallHead;

/// What a call needs of its request.
pub struct Request<'a> {
    /// The worker that serves it.
    pub worker: usize,
    /// The texts of the path's variables.
    pub captures: &'a Captures,
    /// The raw query.
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// Makes what the upstream is told beside the messages.
    pub metadata: &'a Metadata<'a>,
    pub body: Incoming,
    /// When the call must be over.
    pub deadline: Option<Instant>,
    pub limits: BodyLimits,
    pub progress: &'a Arc<Progress>,
    /// Asked about each message before it goes on, where its content decides.
    pub gate: Option<Gate>,
}

/// Lets one message of a request through, given as protobuf, or says why not.
pub type Gate = Arc<dyn Fn(Bytes) -> BoxFuture<'static, Result<(), Status>> + Send + Sync>;

/// Asks the gate, if there is one, about a framed message.
async fn admitted(gate: Option<&Gate>, framed: Bytes) -> Result<Bytes, Status> {
    if let Some(gate) = gate {
        gate(framed.slice(envelope::PREFIX_BYTES.min(framed.len())..)).await?;
    }
    Ok(framed)
}

/// Makes a call's metadata; anew for a call that is sent again.
pub type Metadata<'a> = dyn Fn() -> Result<HeaderMap, Status> + Sync + 'a;

/// Serves one request at its endpoint.
///
/// # Errors
/// Whatever fails before the head of the answer can be written.
pub async fn answer(endpoint: &Arc<Endpoint>, request: Request<'_>) -> Result<Response<Body>, Status> {
    let deadline = request.deadline;
    let answering = async {
        match endpoint.kind {
            CallKind::Unary => unary::answer(endpoint, request).await,
            // Boxed, so that what streams need does not make every unary call's future large.
            CallKind::ServerStream => Box::pin(downlink::answer(endpoint, request)).await,
            CallKind::ClientStream => Box::pin(uplink::answer_once(endpoint, request)).await,
            CallKind::BidiStream => Box::pin(uplink::answer_stream(endpoint, request)).await,
        }
    };
    let Some(until) = deadline else { return answering.await };
    let answered = tokio::time::timeout_at(until.into(), answering).await;
    answered.unwrap_or_else(|_| Err(deadline_exceeded())).map_err(|status| by_deadline(status, deadline))
}

/// An upstream that is told the deadline may cancel the call by it a moment before it is over here.
fn by_deadline(status: Status, deadline: Option<Instant>) -> Status {
    let is_over = |deadline: Instant| deadline.saturating_duration_since(Instant::now()) < DEADLINE_SLACK;
    match status.code() {
        Code::Cancelled if status.blame() == Blame::Upstream && deadline.is_some_and(is_over) => deadline_exceeded(),
        _ => status,
    }
}

/// How much earlier than here a deadline may be over upstream: it travels rounded down.
const DEADLINE_SLACK: Duration = Duration::from_millis(20);

pub(crate) fn deadline_exceeded() -> Status {
    Status::new(Code::DeadlineExceeded, Blame::Upstream, "the call took longer than its deadline allows")
}

/// The head of the upstream's request; the deadline goes along as the time that remains.
fn call_head(endpoint: &Endpoint, metadata: &Metadata<'_>, deadline: Option<Instant>) -> Result<CallHead, Status> {
    let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if remaining == Some(Duration::ZERO) {
        return Err(deadline_exceeded());
    }
    let mut metadata = metadata()?;
    head::complete(&mut metadata, remaining);
    Ok(CallHead { path: endpoint.path.clone(), metadata })
}

/// How an upstream's body ended: well, or as its trailers say, unless it ended within a message without any.
fn ended(trailers: &HeaderMap, deframer: &Deframer) -> Result<(), Status> {
    if !trailers.contains_key(end::GRPC_STATUS) {
        deframer.finish()?;
    }
    end::status(trailers)?;
    deframer.finish()
}

/// An answer without body yet: what the upstream's metadata says of headers and status.
struct ResponseHead {
    headers: HeaderMap,
    asked: StatusOverride,
}

impl ResponseHead {
    fn new(endpoint: &Endpoint, initial: &HeaderMap) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        let asked = metadata::response(initial, &endpoint.settings.response_headers, &mut headers);
        Self { headers, asked }
    }

    /// The same with trailing metadata.
    fn add(&mut self, endpoint: &Endpoint, trailing: &HeaderMap) {
        let rules = &endpoint.settings.response_headers;
        self.asked = self.asked.or_later(metadata::response(trailing, rules, &mut self.headers));
    }

    /// The status of success.
    fn status(&self, endpoint: &Endpoint) -> StatusCode {
        match self.asked {
            StatusOverride::Set(status) => status,
            StatusOverride::None | StatusOverride::Ignored => {
                endpoint.settings.success_status.unwrap_or(StatusCode::OK)
            }
        }
    }

    fn into_response(self, endpoint: &Endpoint, content_type: http::HeaderValue, body: Body) -> Response<Body> {
        let status = self.status(endpoint);
        if self.asked == StatusOverride::Ignored {
            endpoint.ignored_status_overrides.inc();
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = self.headers;
        if body::has_content(status) {
            response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
        } else {
            *response.body_mut() = Body::Empty;
        }
        response
    }

    /// A failure that the upstream reported, with the metadata that came along.
    fn into_failure(self, mut status: Status) -> Status {
        if status.headers().is_empty() {
            *status.headers_mut() = self.headers;
        } else {
            status.headers_mut().extend(self.headers);
        }
        status
    }
}

/// A detail of a status as JSON, where no endpoint says how.
pub fn encode_detail(plan: &Plan, detail: &Detail, out: &mut Vec<u8>) {
    scratch::with(|scratch| scratch.encoder.encode_detail(plan, detail, &EncodeOptions::default(), out));
}
