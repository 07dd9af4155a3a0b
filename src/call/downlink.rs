//! A stream of messages to the client: JSON array, NDJSON, server-sent events, or the raw bytes of HttpBody.
//!
//! Nothing is read from the upstream before the client's connection asks for more, so that a client that does not
//! read stops the upstream (by its HTTP/2 window) and holds no more than that in memory. What has arrived is printed
//! in one go; what has been printed is handed on before the next wait.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use tokio::time::{Instant, Sleep};

use super::body::{Body, CutShort};
use super::endpoint::{DEFAULT_CONTENT_TYPE, Endpoint, ResponseForm};
use super::live::Live;
use super::uplink::Uplink;
use super::{Request, ResponseHead, by_deadline, ended, unary};
use crate::protocol::compression::MessageCoding;
use crate::protocol::end;
use crate::protocol::envelope::{Deframer, Message};
use crate::protocol::rest::accept::{StreamFormat, StreamType};
use crate::protocol::rest::array::ArrayWriter;
use crate::protocol::rest::{ndjson, sse};
use crate::status::Status;
use crate::upstream::Answer;

/// Printed bytes beyond this are handed on before more is printed.
const MAX_CHUNK_BYTES: usize = 64 << 10;

/// Serves a method with one request message and a stream of answers.
pub(super) async fn answer(endpoint: &Arc<Endpoint>, request: Request<'_>) -> Result<Response<Body>, Status> {
    let format = StreamType::negotiate(request.headers, endpoint.settings.stream);
    let deadline = request.deadline;
    let (response, answer) = unary::exchange(endpoint, request).await?;
    respond(Stream { endpoint, response, answer, format, uplink: None, deadline }).await
}

/// A stream whose head has come.
pub(super) struct Stream<'a> {
    pub(super) endpoint: &'a Arc<Endpoint>,
    pub(super) response: Response<()>,
    pub(super) answer: Answer,
    pub(super) format: StreamType,
    /// The request's messages, where they are still being sent.
    pub(super) uplink: Option<Uplink>,
    pub(super) deadline: Option<std::time::Instant>,
}

/// Answers with the stream.
pub(super) async fn respond(stream: Stream<'_>) -> Result<Response<Body>, Status> {
    let Stream { endpoint, response, answer, format, uplink, deadline } = stream;
    end::check_head(response.status(), response.headers())?;
    let head = ResponseHead::new(endpoint, response.headers());
    let trailers_only = answer.is_end();
    if trailers_only && let Err(status) = end::status(response.headers()) {
        return Err(head.into_failure(status));
    }
    let mut downlink = Downlink {
        endpoint: endpoint.clone(),
        live: Live::new(answer, uplink, deadline),
        deframer: Deframer::new(endpoint.upstream.config().max_response_bytes),
        coding: MessageCoding::of(response.headers())?,
        form: Form::of(endpoint, format),
        phase: if trailers_only { Phase::Ended } else { Phase::Messages },
        out: Vec::new(),
        raw: None,
        deadline,
        failure: None,
    };
    let content_type = match &downlink.form {
        Form::Raw => match downlink.first_raw().await {
            Ok(content_type) => content_type,
            Err((status, trailers)) => {
                let mut head = head;
                head.add(endpoint, &trailers);
                return Err(head.into_failure(status));
            }
        },
        Form::Array(_) | Form::Lines | Form::Events { .. } => format.content_type(),
    };
    let is_events = matches!(downlink.form, Form::Events { .. });
    let mut response = head.into_response(endpoint, content_type, Body::Stream(Box::new(downlink)));
    if is_events {
        response.headers_mut().insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    Ok(response)
}

/// What the body looks like.
enum Form {
    /// `[`, messages, `]`
    Array(ArrayWriter),
    Lines,
    Events {
        keep_alive: Pin<Box<Sleep>>,
    },
    /// The data of HttpBody messages, one after the other.
    Raw,
}

impl Form {
    fn of(endpoint: &Endpoint, format: StreamType) -> Self {
        match (endpoint.response_form, format.format()) {
            (ResponseForm::HttpBody(_), _) => Self::Raw,
            (_, StreamFormat::Array) => Self::Array(ArrayWriter::default()),
            (_, StreamFormat::Ndjson) => Self::Lines,
            (_, StreamFormat::Sse) => {
                Self::Events { keep_alive: Box::pin(tokio::time::sleep(endpoint.settings.keep_alive)) }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Messages are read and printed.
    Messages,
    /// The upstream's body is over: its trailers say how it ended.
    Trailers,
    /// It ended well; the closing is still to be written.
    Ended,
    /// Nothing follows what is in `out`.
    Done,
    /// What is in `out` is followed by a cut, so that the client can tell, after so many more polls.
    Cut { pauses: u8 },
}

/// How often a body waits before it cuts its connection or stream. The server writes what it was given when a body has
/// nothing more for the moment; cut at once, what went before, the head included, would be lost.
const PAUSES_BEFORE_CUT: u8 = 3;

/// The body of the answer.
pub struct Downlink {
    endpoint: Arc<Endpoint>,
    live: Live,
    deframer: Deframer,
    coding: MessageCoding,
    form: Form,
    phase: Phase,
    /// Printed and not yet handed on.
    out: Vec<u8>,
    /// Raw bytes that are not yet handed on.
    raw: Option<Bytes>,
    /// When the call must be over.
    deadline: Option<std::time::Instant>,
    failure: Option<Status>,
}

impl Downlink {
    /// How it failed after its head, if it did.
    pub(super) fn failure(&self) -> Option<&Status> {
        self.failure.as_ref()
    }

    /// Whether it came to its end, well or not.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::Cut { .. }) && self.out.is_empty()
    }

    /// Waits for the first message of a raw stream, which brings the content type.
    async fn first_raw(&mut self) -> Result<HeaderValue, (Status, HeaderMap)> {
        let without = |status| (status, HeaderMap::new());
        loop {
            if let Some(message) = self.deframer.next().map_err(without)? {
                let message = self.decompress(message).map_err(without)?;
                return self.take_raw(&message).map_err(without);
            }
            // The request goes on being sent: the upstream may wait for more of it.
            let next = std::future::poll_fn(|context| match self.live.poll_uplink(context) {
                Ok(()) => self.live.poll_data(context),
                Err(status) => Poll::Ready(Some(Err(status))),
            });
            match next.await {
                Some(data) => self.deframer.push(data.map_err(without)?),
                None => break,
            }
        }
        if self.phase == Phase::Messages {
            let trailers = std::future::poll_fn(|context| self.live.poll_trailers(context)).await;
            let trailers = trailers.map_err(without)?.unwrap_or_default();
            if let Err(status) = ended(&trailers, &self.deframer) {
                return Err((status, trailers));
            }
            self.phase = Phase::Ended;
        }
        Ok(DEFAULT_CONTENT_TYPE)
    }

    fn decompress(&self, message: Message) -> Result<Bytes, Status> {
        self.coding.decode(message, self.endpoint.upstream.config().max_response_bytes)
    }

    fn take_raw(&mut self, message: &Bytes) -> Result<HeaderValue, Status> {
        let ResponseForm::HttpBody(field) = self.endpoint.response_form else {
            return Ok(DEFAULT_CONTENT_TYPE);
        };
        let (content_type, data) = self.endpoint.read_raw(field, message)?;
        self.raw = Some(data).filter(|data| !data.is_empty());
        Ok(content_type)
    }

    /// Prints messages until a wait, the end, or enough for one chunk.
    fn poll_messages(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        loop {
            while let Some(message) = self.deframer.next()? {
                let message = self.decompress(message)?;
                self.print(&message)?;
                if self.raw.is_some() || self.out.len() >= MAX_CHUNK_BYTES {
                    return Poll::Ready(Ok(()));
                }
            }
            match ready!(self.live.poll_data(context)) {
                Some(data) => self.deframer.push(data?),
                None => {
                    self.phase = Phase::Trailers;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    fn print(&mut self, message: &Bytes) -> Result<(), Status> {
        let before = self.out.len();
        let printed = match &mut self.form {
            Form::Raw => return self.take_raw(message).map(drop),
            Form::Array(writer) => {
                writer.open(&mut self.out);
                self.endpoint.encode(message, &mut self.out)
            }
            Form::Lines => {
                let printed = self.endpoint.encode(message, &mut self.out);
                if printed.is_ok() {
                    ndjson::close(before, &mut self.out);
                }
                printed
            }
            Form::Events { .. } => self.print_event(message),
        };
        if printed.is_err() {
            // A message that can't be printed leaves nothing behind.
            self.out.truncate(before);
        }
        printed
    }

    fn print_event(&mut self, message: &Bytes) -> Result<(), Status> {
        let id = self.endpoint.sse_text(self.endpoint.sse_id, message)?;
        let event = self.endpoint.sse_text(self.endpoint.sse_event, message)?;
        let start = sse::open(sse::Labels { id: id.as_deref(), event: event.as_deref() }, &mut self.out);
        self.endpoint.encode(message, &mut self.out)?;
        sse::close(start, &mut self.out);
        if let Form::Events { keep_alive } = &mut self.form {
            keep_alive.as_mut().reset(Instant::now() + self.endpoint.settings.keep_alive);
        }
        Ok(())
    }

    /// Reads the trailers; they say how the call ended.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let trailers = ready!(self.live.poll_trailers(context))?.unwrap_or_default();
        ended(&trailers, &self.deframer)?;
        self.phase = Phase::Ended;
        Poll::Ready(Ok(()))
    }

    /// Takes the next step; `Ready` if something is to be handed on or nothing follows.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.live.poll_uplink(context)?;
        match self.phase {
            Phase::Messages => {
                // What has arrived by the deadline is not printed after it.
                self.live.check_deadline()?;
                self.poll_messages(context)
            }
            Phase::Trailers => self.poll_end(context),
            Phase::Ended => {
                self.close();
                self.phase = Phase::Done;
                Poll::Ready(Ok(()))
            }
            Phase::Done | Phase::Cut { .. } => Poll::Ready(Ok(())),
        }
    }

    /// What follows the last message of a stream that ended well.
    fn close(&mut self) {
        match &self.form {
            Form::Array(writer) => writer.end(&mut self.out),
            Form::Events { .. } => self.out.extend_from_slice(sse::END),
            Form::Lines | Form::Raw => {}
        }
    }

    /// Tells of a failure after the head, in the way of the form.
    fn fail(&mut self, status: Status) {
        let endpoint = self.endpoint.clone();
        let mut print = |detail: &_, out: &mut Vec<u8>| endpoint.encode_detail(detail, out);
        self.live.end();
        self.phase = match &self.form {
            Form::Lines => {
                ndjson::write_error(&status, &mut print, &mut self.out);
                Phase::Done
            }
            Form::Events { .. } => {
                sse::write_error(&status, &mut print, &mut self.out);
                Phase::Done
            }
            Form::Array(_) | Form::Raw => Phase::Cut { pauses: PAUSES_BEFORE_CUT },
        };
        self.failure = Some(status);
    }

    fn poll_keep_alive(&mut self, context: &mut Context<'_>) {
        let every = self.endpoint.settings.keep_alive;
        if let Form::Events { keep_alive } = &mut self.form {
            while keep_alive.as_mut().poll(context).is_ready() {
                self.out.extend_from_slice(sse::KEEP_ALIVE);
                keep_alive.as_mut().reset(Instant::now() + every);
            }
        }
    }
}

impl http_body::Body for Downlink {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        let this = &mut *self;
        loop {
            if let Some(raw) = this.raw.take() {
                return Poll::Ready(Some(Ok(Frame::data(raw))));
            }
            match this.phase {
                Phase::Done if this.out.is_empty() => return Poll::Ready(None),
                Phase::Cut { pauses: 1.. } if this.out.is_empty() => {
                    this.pause_before_cut();
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Phase::Cut { .. } if this.out.is_empty() => {
                    return Poll::Ready(Some(Err(CutShort("the call failed after its head".into()))));
                }
                _ if this.out.len() >= MAX_CHUNK_BYTES => return Poll::Ready(Some(Ok(this.hand_on()))),
                Phase::Done | Phase::Cut { .. } => return Poll::Ready(Some(Ok(this.hand_on()))),
                Phase::Messages | Phase::Trailers | Phase::Ended => {}
            }
            match this.poll_step(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(status)) => this.fail(by_deadline(status, this.deadline)),
                Poll::Pending => {
                    this.poll_keep_alive(context);
                    if this.out.is_empty() {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Some(Ok(this.hand_on())));
                }
            }
        }
    }
}

impl Downlink {
    fn pause_before_cut(&mut self) {
        if let Phase::Cut { pauses } = &mut self.phase {
            *pauses = pauses.saturating_sub(1);
        }
    }

    /// What was printed so far, as one frame.
    fn hand_on(&mut self) -> Frame<Bytes> {
        let capacity = self.out.len().min(MAX_CHUNK_BYTES);
        Frame::data(std::mem::replace(&mut self.out, Vec::with_capacity(capacity)).into())
    }
}
