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
use crate::upstream::stream_failure;

/// The sending of a request's messages, to be polled along with the answer.
pub(super) type Uplink = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// Raw bytes go on in messages of at most this size.
const MAX_RAW_CHUNK_BYTES: usize = 256 << 10;

/// Serves a method with a stream of request messages and one answer.
pub(super) async fn answer_once(endpoint: &Arc<Endpoint>, request: Request<'_>) -> Result<Response<Body>, Status> {
    let first = First::of(&request);
    let mut source = Source::new(endpoint, request.headers, request.body, (request.limits, request.progress.clone()))?;
    source.gate = request.gate;
    // The upstream is not called before the first message is known to be good.
    let opening = Opening::Bound(source.first(endpoint, first).await?);
    let head = || call_head(endpoint, request.metadata, request.deadline);
    request.progress.begin_upstream();
    let (stream, answer) = endpoint.upstream.open(request.worker, head).await?.split();
    let mut uplink = Some(send_all(endpoint.clone(), source, opening, Unfinished::new(stream)).boxed());
    let (response, answer) = alongside(&mut uplink, answer).await?;
    alongside(&mut uplink, unary::finish(endpoint, &response, answer, request.progress)).await
}

/// Serves a method with streams both ways.
pub(super) async fn answer_stream(endpoint: &Arc<Endpoint>, request: Request<'_>) -> Result<Response<Body>, Status> {
    let format = StreamType::negotiate(request.headers, endpoint.settings.stream);
    let first = First::of(&request);
    let mut source = Source::new(endpoint, request.headers, request.body, (request.limits, request.progress.clone()))?;
    source.gate = request.gate;
    if endpoint.binds_without_body {
        unary::bind(endpoint, request.captures, request.query, &Content::Nothing)?;
    }
    // The upstream may speak first, so it is called before the client has sent anything, unless what the client sends
    // decides whether it may call at all.
    let opening = match source.gate {
        None => Opening::Unread(Box::new(first)),
        Some(_) => Opening::Bound(source.first(endpoint, first).await?),
    };
    let head = || call_head(endpoint, request.metadata, request.deadline);
    request.progress.begin_upstream();
    let (stream, answer) = endpoint.upstream.open(request.worker, head).await?.split();
    let mut uplink = Some(send_all(endpoint.clone(), source, opening, Unfinished::new(stream)).boxed());
    let (response, answer) = alongside(&mut uplink, answer).await?;
    let deadline = request.deadline;
    downlink::respond(Stream { endpoint, response, answer, format, uplink, deadline }).await
}

/// Goes on sending, until there is nothing more to send.
pub(super) fn poll(uplink: &mut Option<Uplink>, context: &mut Context<'_>) -> Result<(), Status> {
    let Some(sending) = uplink else { return Ok(()) };
    match sending.as_mut().poll(context) {
        Poll::Pending => Ok(()),
        Poll::Ready(sent) => {
            *uplink = None;
            sent
        }
    }
}

/// Waits for `answer` while the request is being sent; a failure of the sending is the call's.
async fn alongside<T>(
    uplink: &mut Option<Uplink>,
    answer: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let mut answer = pin!(answer);
    std::future::poll_fn(|context| {
        if let Poll::Ready(answered) = answer.as_mut().poll(context) {
            return Poll::Ready(answered);
        }
        match poll(uplink, context) {
            Ok(()) => Poll::Pending,
            Err(status) => Poll::Ready(Err(status)),
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
}

/// The first message.
enum Opening {
    /// Read and framed; `None` if there is none.
    Bound(Option<Bytes>),
    /// Still to come.
    Unread(Box<First>),
}

/// Sends every message, then the end.
async fn send_all(
    endpoint: Arc<Endpoint>,
    mut source: Source,
    opening: Opening,
    mut stream: Unfinished,
) -> Result<(), Status> {
    send_messages(&endpoint, &mut source, opening, &mut stream).await?;
    stream.end();
    Ok(())
}

/// The request's stream. Unless it is ended it is reset, with a reason that no server takes for an end: some take
/// CANCEL for one.
struct Unfinished(Option<SendStream<Bytes>>);

impl Unfinished {
    fn new(stream: SendStream<Bytes>) -> Self {
        Self(Some(stream))
    }

    fn end(mut self) {
        if let Some(mut stream) = self.0.take() {
            // Fails only if the upstream has ended the call: its answer says why.
            drop(stream.send_data(Bytes::new(), true));
        }
    }

    /// Sends one framed message as the upstream makes room; false if the upstream wants no more.
    async fn send(&mut self, mut framed: Bytes) -> Result<bool, Status> {
        let Some(stream) = &mut self.0 else { return Ok(false) };
        while !framed.is_empty() {
            stream.reserve_capacity(framed.len());
            let capacity = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
            match capacity {
                // The upstream ended the call: its answer says why.
                None | Some(Err(_)) => return Ok(false),
                Some(Ok(room)) => {
                    let part = framed.split_to(room.min(framed.len()));
                    if !part.is_empty() {
                        stream.send_data(part, false).map_err(stream_failure)?;
                    }
                }
            }
        }
        Ok(true)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.0 {
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

async fn send_messages(
    endpoint: &Endpoint,
    source: &mut Source,
    opening: Opening,
    stream: &mut Unfinished,
) -> Result<(), Status> {
    let first = match opening {
        Opening::Bound(first) => first,
        Opening::Unread(first) => source.first(endpoint, *first).await?,
    };
    let Some(first) = first else { return Ok(()) };
    let mut wanted = stream.send(first).await?;
    while wanted && let Some(content) = source.next().await? {
        let message = admitted(source.gate.as_ref(), bind_next(endpoint, &content)?).await?;
        wanted = stream.send(message).await?;
    }
    Ok(())
}

/// A message after the first: nothing is woven into it.
fn bind_next(endpoint: &Endpoint, content: &Content) -> Result<Bytes, Status> {
    match content {
        Content::Json(_) | Content::Form(_) | Content::Nothing => {
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
    gate: Option<Gate>,
    ended: bool,
}

enum SourceForm {
    /// The binding has no body.
    Nothing,
    /// JSON, of which the first byte tells whether it is an array.
    Json,
    /// NDJSON or a JSON array.
    Messages(Splitter),
    /// One JSON message, over as many lines as it likes.
    Single(BytesMut),
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
                ContentType::Json => SourceForm::Json,
                ContentType::Form | ContentType::Other => return Err(content::unsupported(headers)),
            },
        };
        let codings = Codings::of(headers)?;
        let decoder = (!codings.is_identity()).then(|| BodyDecoder::new(&codings));
        Ok(Self { ended: body.is_end_stream(), body, limits, progress, decoder, form, gate: None })
    }

    /// The first message, with path and parameters; those alone are one, if there are any.
    async fn first(&mut self, endpoint: &Endpoint, first: First) -> Result<Option<Bytes>, Status> {
        let First { captures, query } = first;
        let content = match self.next().await? {
            Some(content) => content,
            None if captures.is_empty() && query.is_none() => {
                // Who may not call may not call without a message either.
                admitted(self.gate.as_ref(), Bytes::new()).await?;
                return Ok(None);
            }
            None => Content::Nothing,
        };
        let message = unary::bind(endpoint, &captures, query.as_deref(), &content)?;
        admitted(self.gate.as_ref(), message).await.map(Some)
    }

    /// The next message, if all of it comes in time.
    async fn next(&mut self) -> Result<Option<Content>, Status> {
        let until = Instant::now() + self.limits.timeout;
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
            SourceForm::Nothing | SourceForm::Json | SourceForm::Single(_) => Ok(None),
            SourceForm::Messages(splitter) => Ok(splitter.next()?.map(Content::Json)),
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
                Ok(splitter.next()?.map(Content::Json))
            }
            SourceForm::Single(json) if !json.is_empty() => Ok(Some(Content::Json(json.split().freeze()))),
            SourceForm::Single(_) | SourceForm::Nothing | SourceForm::Json | SourceForm::Raw { .. } => Ok(None),
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
        if let SourceForm::Json = self.form
            && let Some(first) = data.iter().find(|byte| !byte.is_ascii_whitespace())
        {
            self.form = match first {
                b'[' => SourceForm::Messages(Splitter::array(self.limits.max_bytes)),
                _ => SourceForm::Single(BytesMut::new()),
            };
        }
        match &mut self.form {
            SourceForm::Messages(splitter) => splitter.push(data),
            SourceForm::Single(json) if json.len() + data.len() > self.limits.max_bytes => {
                return Err(content::too_large(self.limits.max_bytes));
            }
            SourceForm::Single(json) => json.extend_from_slice(&data),
            SourceForm::Raw { waiting, .. } => *waiting = data,
            // White space before the first message.
            SourceForm::Json => {}
            SourceForm::Nothing if data.is_empty() => {}
            SourceForm::Nothing => return Err(Status::invalid_argument("body", "this method takes no body")),
        }
        Ok(())
    }
}
