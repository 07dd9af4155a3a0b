//! A stream of messages from the client: NDJSON, a JSON array, or raw bytes for HttpBody.
//!
//! Each message goes on as soon as it is whole, and the next is read only when the upstream takes it. Path and
//! parameters are woven into the first. A request that breaks off is reset upstream and never looks complete there.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use h2::{Reason, SendStream};
use http::Response;
use http::header::HeaderMap;
use http_body::Body as _;
use tokio::time::Instant;

use super::body::Body;
use super::downlink::{self, Stream};
use super::endpoint::{Endpoint, RequestForm};
use super::incoming::{self, BodyLimits, Content, Incoming};
use super::progress::Progress;
use super::{Gate, Request, admitted, call_head, unary};
use crate::protocol::compression::{BodyDecoder, Codings};
use crate::protocol::rest::accept::StreamType;
use crate::protocol::rest::content::{self, Content as ContentType};
use crate::protocol::rest::split::Splitter;
use crate::route::captures::Captures;
use crate::status::Status;
use crate::transcode::position::Position;
use crate::upstream::{Answered, Call, CallHead, Failure};

/// The sending of a request's messages, to be polled along with the answer.
pub(super) type Uplink = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// Raw bytes go on in messages of at most this size.
const MAX_RAW_CHUNK_BYTES: usize = 256 << 10;

/// How much of the messages is held for sending them again; a call that has sent more is sent once.
const MAX_HELD_BYTES: usize = 64 << 10;

/// Serves a method with a stream of request messages and one answer.
pub(super) async fn answer_once(endpoint: &Arc<Endpoint>, request: Request<'_>) -> Result<Response<Body>, Status> {
    let first = First::of(&request);
    let source = Source::new(endpoint, request.headers, request.body, (request.limits, request.progress.clone()))?;
    let mut messages = Messages::new(endpoint, source, first, request.gate);
    // The upstream is not called before the first message is known to be good.
    messages.read().await?;
    let head = || call_head(endpoint, request.metadata, request.deadline);
    request.progress.begin_upstream();
    let ((response, answer), mut uplink) = exchange(request.worker, head, messages).await?;
    alongside(&mut uplink, unary::finish(endpoint, &response, answer, request.progress)).await
}

/// Serves a method with streams both ways.
pub(super) async fn answer_stream(endpoint: &Arc<Endpoint>, request: Request<'_>) -> Result<Response<Body>, Status> {
    let format = StreamType::negotiate(request.headers, endpoint.settings.stream);
    let first = First::of(&request);
    let source = Source::new(endpoint, request.headers, request.body, (request.limits, request.progress.clone()))?;
    if endpoint.binds_without_body {
        unary::bind(endpoint, request.captures, request.query, &Content::Nothing)?;
    }
    // The upstream may speak first, so it is called before the client has sent anything, unless what the client sends
    // decides whether it may call at all.
    let is_gated = request.gate.is_some();
    let mut messages = Messages::new(endpoint, source, first, request.gate);
    if is_gated {
        messages.read().await?;
    }
    let head = || call_head(endpoint, request.metadata, request.deadline);
    request.progress.begin_upstream();
    let ((response, answer), uplink) = exchange(request.worker, head, messages).await?;
    let deadline = request.deadline;
    downlink::respond(Stream { endpoint, response, answer, format, uplink, deadline }).await
}

/// Begins the call and sends messages until the head of the answer is there; what is left to send is sent beside what
/// follows. A call that the upstream did not begin is sent again once, while all that was sent of it is held.
async fn exchange(
    worker: usize,
    head: impl Fn() -> Result<CallHead, Status>,
    mut messages: Messages,
) -> Result<(Answered, Option<Uplink>), Status> {
    let upstream = &messages.endpoint.clone().upstream;
    let mut answer = messages.begin(upstream.open(worker, &head).await?);
    let mut answered = alongside(&mut Some(pin!(messages.send())), answer).await;
    if answered.as_ref().is_err_and(|failure| failure.is_unprocessed) && messages.rewind() {
        answer = messages.begin(upstream.open_again(worker, &head).await?);
        answered = alongside(&mut Some(pin!(messages.send())), answer).await;
    }
    let answered = answered.map_err(|failure| failure.status)?;
    messages.held = None;
    Ok((answered, Some(async move { messages.send().await }.boxed())))
}

/// Goes on sending, until there is nothing more to send.
pub(super) fn poll<F>(uplink: &mut Option<F>, context: &mut Context<'_>) -> Result<(), Status>
where
    F: Future<Output = Result<(), Status>> + Unpin,
{
    let Some(sending) = uplink else { return Ok(()) };
    match Pin::new(sending).poll(context) {
        Poll::Pending => Ok(()),
        Poll::Ready(sent) => {
            *uplink = None;
            sent
        }
    }
}

/// Waits for `answer` while the request is being sent; a failure of the sending is the call's.
async fn alongside<T, E, F>(uplink: &mut Option<F>, answer: impl Future<Output = Result<T, E>>) -> Result<T, E>
where
    E: From<Status>,
    F: Future<Output = Result<(), Status>> + Unpin,
{
    let mut answer = pin!(answer);
    std::future::poll_fn(|context| {
        if let Poll::Ready(answered) = answer.as_mut().poll(context) {
            return Poll::Ready(answered);
        }
        match poll(uplink, context) {
            Ok(()) => Poll::Pending,
            Err(status) => Poll::Ready(Err(status.into())),
        }
    })
    .await
}

/// What is woven into the first message.
struct First {
    captures: Captures,
    query: Option<String>,
}

impl First {
    fn of(request: &Request<'_>) -> Self {
        Self { captures: Captures::clone(request.captures), query: request.query.map(ToOwned::to_owned) }
    }

    /// The first message, with path and parameters; those alone are one, if there are any.
    fn bind(&self, endpoint: &Endpoint, content: Option<Content>) -> Result<Option<Bytes>, Status> {
        let content = match content {
            Some(content) => content,
            None if self.captures.is_empty() && self.query.is_none() => return Ok(None),
            None => Content::Nothing,
        };
        unary::bind(endpoint, &self.captures, self.query.as_deref(), &content).map(Some)
    }
}

/// A call's messages on their way. Reading and sending go on where they were if they are dropped and begun anew.
struct Messages {
    endpoint: Arc<Endpoint>,
    source: Source,
    /// `None` once the first message is read.
    first: Option<First>,
    /// Asked about each message.
    gate: Option<Gate>,
    /// What was read and is not let through yet.
    asking: Option<Bytes>,
    /// What was let through and is not sent.
    unsent: Bytes,
    /// All that was read, as long as it is at most [`MAX_HELD_BYTES`] and may be sent again.
    held: Option<BytesMut>,
    is_over: bool,
    stream: Unfinished,
}

impl Messages {
    fn new(endpoint: &Arc<Endpoint>, source: Source, first: First, gate: Option<Gate>) -> Self {
        Self {
            endpoint: endpoint.clone(),
            source,
            first: Some(first),
            gate,
            asking: None,
            unsent: Bytes::new(),
            held: Some(BytesMut::new()),
            is_over: false,
            stream: Unfinished(None),
        }
    }

    /// Reads the next message, or that there is none.
    async fn read(&mut self) -> Result<(), Status> {
        if self.asking.is_none() {
            let content = self.source.next().await?;
            let first = self.first.take();
            let (is_first, framed) = match first {
                Some(first) => (true, first.bind(&self.endpoint, content)?),
                None => (false, content.map(|content| bind_next(&self.endpoint, &content)).transpose()?),
            };
            self.is_over = framed.is_none();
            // Who may not call may not call without a message either.
            self.asking = framed.or_else(|| is_first.then(Bytes::new));
        }
        let Some(asking) = self.asking.clone() else { return Ok(()) };
        let framed = admitted(self.gate.as_ref(), asking).await?;
        self.asking = None;
        if self.is_over {
            return Ok(());
        }
        if self.held.as_ref().is_some_and(|held| held.len() + framed.len() > MAX_HELD_BYTES) {
            self.held = None;
        }
        if let Some(held) = &mut self.held {
            held.extend_from_slice(&framed);
        }
        self.unsent = framed;
        Ok(())
    }

    /// Sends on this call from now on.
    fn begin(&mut self, call: Call) -> impl Future<Output = Result<Answered, Failure>> + Send + use<> {
        let (stream, answer) = call.split();
        self.stream = Unfinished(Some(stream));
        answer
    }

    /// Sends every message, then the end.
    async fn send(&mut self) -> Result<(), Status> {
        while self.stream.send(&mut self.unsent).await {
            if self.is_over {
                self.stream.end();
                break;
            }
            self.read().await?;
        }
        Ok(())
    }

    /// Goes back to the first message; false if not all that was sent is held.
    fn rewind(&mut self) -> bool {
        self.held.take().map(|held| self.unsent = held.freeze()).is_some()
    }
}

/// The request's stream. Unless it is ended it is reset, with a reason that no server takes for an end: some take
/// CANCEL for one.
struct Unfinished(Option<SendStream<Bytes>>);

impl Unfinished {
    fn end(&mut self) {
        if let Some(mut stream) = self.0.take() {
            // Fails only if the upstream has ended the call: its answer says why.
            drop(stream.send_data(Bytes::new(), true));
        }
    }

    /// Sends these bytes as the upstream makes room; false if the upstream wants no more: its answer says why.
    async fn send(&mut self, unsent: &mut Bytes) -> bool {
        let Some(stream) = &mut self.0 else { return false };
        while !unsent.is_empty() {
            stream.reserve_capacity(unsent.len());
            let Some(Ok(room)) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else {
                return false;
            };
            let part = unsent.split_to(room.min(unsent.len()));
            if !part.is_empty() && stream.send_data(part, false).is_err() {
                return false;
            }
        }
        true
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.0 {
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// A message after the first: nothing is woven into it.
fn bind_next(endpoint: &Endpoint, content: &Content) -> Result<Bytes, Status> {
    match content {
        Content::Json(..) | Content::Form(_) | Content::Nothing => {
            unary::bind(endpoint, &Captures::new(), None, content)
        }
        Content::Raw { content_type, data } => {
            let mut out = unary::frame_buffer(data.len() + content_type.len());
            endpoint.write_raw(content_type, data, &mut out);
            unary::frame(out)
        }
    }
}

/// The client's messages, one after the other.
struct Source {
    body: Incoming,
    limits: BodyLimits,
    progress: Arc<Progress>,
    /// `None` for a body that is as it is.
    decoder: Option<BodyDecoder>,
    form: SourceForm,
    ended: bool,
    /// When the message that is being read must be there.
    until: Option<Instant>,
}

enum SourceForm {
    /// The binding has no body.
    Nothing,
    /// JSON, of which the first byte tells whether it is an array; so far there was none.
    Json(Position),
    /// NDJSON or a JSON array.
    Messages(Splitter),
    /// One JSON message, over as many lines as it likes.
    Single(BytesMut, Position),
    /// HttpBody: the content type goes with the first chunk.
    Raw { content_type: String, waiting: Bytes },
}

impl Source {
    fn new(
        endpoint: &Endpoint,
        headers: &HeaderMap,
        body: Incoming,
        (limits, progress): (BodyLimits, Arc<Progress>),
    ) -> Result<Self, Status> {
        let form = match endpoint.request_form {
            RequestForm::None => SourceForm::Nothing,
            RequestForm::HttpBody(_) => {
                SourceForm::Raw { content_type: incoming::raw_type(headers)?, waiting: Bytes::new() }
            }
            RequestForm::Json => match ContentType::of(headers) {
                ContentType::Lines => SourceForm::Messages(Splitter::lines(limits.max_bytes)),
                ContentType::Json => SourceForm::Json(Position::START),
                ContentType::Form | ContentType::Other => return Err(content::unsupported(headers)),
            },
        };
        let codings = Codings::of(headers)?;
        let decoder = (!codings.is_identity()).then(|| BodyDecoder::new(&codings, limits.max_ratio));
        Ok(Self { ended: body.is_end_stream(), body, limits, progress, decoder, form, until: None })
    }

    /// The next message, if all of it comes in time.
    async fn next(&mut self) -> Result<Option<Content>, Status> {
        // Kept, so that reading that is begun anew gets no time anew.
        let until = *self.until.get_or_insert_with(|| Instant::now() + self.limits.timeout);
        let content = self.next_until(until).await;
        self.until = None;
        content
    }

    async fn next_until(&mut self, until: Instant) -> Result<Option<Content>, Status> {
        loop {
            if let Some(content) = self.take()? {
                return Ok(Some(content));
            }
            if let Some(piece) = self.decoder.as_mut().map(BodyDecoder::next).transpose()?.flatten() {
                self.push(piece)?;
            } else if self.ended {
                return self.last();
            } else {
                self.read(until).await?;
            }
        }
    }

    /// A message that is whole.
    fn take(&mut self) -> Result<Option<Content>, Status> {
        match &mut self.form {
            SourceForm::Nothing | SourceForm::Json(_) | SourceForm::Single(..) => Ok(None),
            SourceForm::Messages(splitter) => Ok(splitter.next()?.map(|json| Content::Json(json, splitter.began()))),
            SourceForm::Raw { content_type, waiting } if !waiting.is_empty() => {
                let data = waiting.split_to(waiting.len().min(MAX_RAW_CHUNK_BYTES));
                Ok(Some(Content::Raw { content_type: std::mem::take(content_type), data }))
            }
            SourceForm::Raw { .. } => Ok(None),
        }
    }

    /// What is left once the body is over.
    fn last(&mut self) -> Result<Option<Content>, Status> {
        match &mut self.form {
            SourceForm::Messages(splitter) => {
                splitter.end();
                Ok(splitter.next()?.map(|json| Content::Json(json, splitter.began())))
            }
            SourceForm::Single(json, began) if !json.is_empty() => {
                Ok(Some(Content::Json(json.split().freeze(), *began)))
            }
            SourceForm::Single(..) | SourceForm::Nothing | SourceForm::Json(_) | SourceForm::Raw { .. } => Ok(None),
        }
    }

    /// Reads what comes next.
    async fn read(&mut self, until: Instant) -> Result<(), Status> {
        let Some(frame) = incoming::next_frame(&mut self.body, until).await? else {
            self.ended = true;
            if let Some(decoder) = &mut self.decoder {
                decoder.end();
            }
            return Ok(());
        };
        let Ok(data) = frame.into_data() else { return Ok(()) };
        self.progress.add_request_bytes(data.len());
        match &mut self.decoder {
            Some(decoder) => {
                decoder.push(data);
                Ok(())
            }
            None => self.push(data),
        }
    }

    /// Takes decoded bytes in.
    fn push(&mut self, data: Bytes) -> Result<(), Status> {
        if let SourceForm::Json(began) = self.form
            && let Some(first) = data.iter().find(|byte| !byte.is_ascii_whitespace())
        {
            self.form = match first {
                b'[' => SourceForm::Messages(Splitter::array(began, self.limits.max_bytes)),
                _ => SourceForm::Single(BytesMut::new(), began),
            };
        }
        match &mut self.form {
            SourceForm::Messages(splitter) => splitter.push(data),
            SourceForm::Single(json, _) if json.len() + data.len() > self.limits.max_bytes => {
                return Err(content::too_large(self.limits.max_bytes));
            }
            SourceForm::Single(json, _) => json.extend_from_slice(&data),
            SourceForm::Raw { waiting, .. } => *waiting = data,
            // White space before the first message.
            SourceForm::Json(position) => position.advance(&data),
            SourceForm::Nothing if data.is_empty() => {}
            SourceForm::Nothing => return Err(Status::invalid_argument("body", "this method takes no body")),
        }
        Ok(())
    }
}
