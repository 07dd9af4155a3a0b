//! HTTP/1.1 and HTTP/2 with every limit set, on the connections of one listener.

use std::convert::Infallible;
use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::activity::{Activity, Expiry};
use super::answers::{Answer, Answers};
use super::arrival::Arrival;
use super::drain::{Drain, Phase};
use super::gate::Refusal;
use super::listener::{Accepted, Accepting, Terms};
use super::peers::Counted;
use super::refusal;
use super::reserve::Reserve;
use super::socket::{Socket, Version};
use super::stream::Stream;
use crate::call::body::CutShort;
use crate::gateway::Current;
use crate::gateway::connection::Connection;
use crate::gateway::respond::{self, Accounted};

/// The read and write buffer of an HTTP/1.1 connection, at most.
const MAX_BUFFER_BYTES: usize = 64 << 10;

/// How much an HTTP/2 client may send of one body before it is read.
const STREAM_WINDOW: u32 = 64 << 10;

/// How much an HTTP/2 client may send on one connection before it is read: a full window for as many streams as it may
/// open, so that bodies that are not read hold up no other, within these bounds.
const CONNECTION_WINDOW: RangeInclusive<u32> = (1 << 20)..=(8 << 20);

/// How much of one answer may wait for an HTTP/2 client.
const MAX_SEND_BUFFER_BYTES: usize = 128 << 10;

/// Streams that a client may reset before they are served (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;

/// Streams that may be reset here because of a client's errors.
const MAX_ERROR_RESETS: usize = 1024;

/// How often an HTTP/2 client is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// How long it may take to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that was just accepted when the drain began may take for its first byte.
const FIRST_BYTE_IN_DRAIN: Duration = Duration::from_millis(500);

/// So much of an answer may be left to the connection when it is over here; more is watched until the client takes it.
/// Over HTTP/2 it is handed over in slices of this size, which is that of its frames: the connection alone sees more of
/// how a client takes one.
const MAX_LEFT_BYTES: usize = 16 << 10;

/// Connections reach at least this part of their age.
const YOUNGEST_AGE: f64 = 0.9;

/// One worker's serving of one listener.
pub(super) struct Server {
    pub(super) worker: usize,
    pub(super) terms: Arc<Terms>,
    pub(super) current: Current,
    pub(super) drain: Drain,
    pub(super) connections: Gauge,
}

impl Server {
    /// Accepts until the drain begins, then waits for the connections to end.
    pub(super) async fn run(self, socket: Accepting) {
        let mut connections = JoinSet::new();
        let mut drain = self.drain.clone();
        let mut reserve = Reserve::take();
        loop {
            tokio::select! {
                biased;
                () = drain.reached(Phase::Draining) => break,
                accepted = socket.accept(self.terms.limits.write_stall) => match accepted {
                    Ok(accepted) => self.spawn(accepted, &mut connections),
                    Err(error) => reserve.accept_failed(&socket, &self.terms, &error).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
        for accepted in socket.accept_rest(self.terms.limits.write_stall) {
            self.spawn(accepted, &mut connections);
        }
        while connections.join_next().await.is_some() {}
    }

    fn spawn(&self, accepted: Accepted, connections: &mut JoinSet<()>) {
        let Some(open) = Open::count(&self.terms.open, self.terms.limits.connections, &self.connections) else {
            // Beyond the limit a connection is closed without a word: an answer would cost what the limit saves.
            return;
        };
        let serving = Serving {
            worker: self.worker,
            terms: self.terms.clone(),
            current: self.current.clone(),
            activity: Arc::new(Activity::new()),
            answers: Arc::new(Answers::new()),
            drain: self.drain.clone(),
        };
        connections.spawn(async move {
            let _open = open;
            serving.run(accepted).await;
        });
    }
}

/// Waits until the process has been draining for this time.
async fn drained_for(drain: &mut Drain, time: Duration) {
    drain.reached(Phase::Draining).await;
    tokio::time::sleep(time).await;
}

/// Counts a connection while it is open.
struct Open {
    listener: Arc<AtomicUsize>,
    gauge: Gauge,
}

impl Open {
    fn count(open: &Arc<AtomicUsize>, limit: usize, gauge: &Gauge) -> Option<Self> {
        if open.fetch_add(1, Ordering::Relaxed) >= limit {
            open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        gauge.inc();
        Some(Self { listener: open.clone(), gauge: gauge.clone() })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.listener.fetch_sub(1, Ordering::Relaxed);
        self.gauge.dec();
    }
}

/// One connection.
struct Serving {
    worker: usize,
    terms: Arc<Terms>,
    current: Current,
    activity: Arc<Activity>,
    answers: Arc<Answers>,
    drain: Drain,
}

impl Serving {
    async fn run(mut self, accepted: Accepted) {
        let mut drain = self.drain.clone();
        let begun = tokio::select! {
            biased;
            begun = self.begin(accepted) => begun,
            () = drained_for(&mut drain, FIRST_BYTE_IN_DRAIN) => return,
        };
        let Some(Begun { socket, version, connection, _counted }) = begun else { return };
        match version {
            Version::Http1 => self.run_http1(TokioIo::new(socket), connection).await,
            Version::Http2 => self.run_http2(TokioIo::new(socket), connection).await,
        }
    }

    /// Up to the first bytes of HTTP. A client that leaves, fails, or lets wait before it asked for anything is nobody's
    /// concern.
    async fn begin(&self, accepted: Accepted) -> Option<Begun> {
        let arrival = Arrival::receive(accepted, &self.terms, self.worker).await?;
        let first_byte = Instant::now() + self.terms.limits.first_byte;
        let (socket, version) = tokio::select! {
            biased;
            begun = Socket::begin(arrival.stream, self.activity.clone(), self.head_bytes()) => begun.ok().flatten()?,
            () = self.activity.silent_until(first_byte) => return None,
            _ = self.activity.expired(&self.terms.limits) => return None,
        };
        if arrival.agreed.is_some_and(|agreed| agreed != version) {
            return None;
        }
        Some(Begun { socket, version, connection: Arc::new(arrival.connection), _counted: arrival.counted })
    }

    async fn run_http1(&mut self, io: TokioIo<Socket<Stream>>, facts: Arc<Connection>) {
        let refusal = io.inner().refusal();
        let serve = self.serve(facts.clone(), refusal);
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_header_size(self.head_bytes())
            .max_buf_size(MAX_BUFFER_BYTES.max(self.head_bytes()))
            .serve_connection(io, service_fn(|request| serve.request(request)));
        let over =
            self.drive(Version::Http1, Pin::new(&mut connection), |connection| connection.graceful_shutdown()).await;
        let socket = connection.into_parts().io.into_inner();
        let is_cut = match &over {
            Over::Ended(ended) => ended.is_err(),
            Over::Expired(_) => socket.is_behind(),
            Over::Cut => true,
        };
        let status = match over {
            Over::Ended(Err(error)) => socket.unreadable().map(|http| refusal::unreadable(http, &error)),
            Over::Expired(Expiry::Head) if !socket.is_behind() => Some(refusal::too_slow()),
            Over::Ended(Ok(())) | Over::Expired(_) | Over::Cut => None,
        };
        if let Some(status) = status {
            let response = respond::refuse(&self.current.load_full(), &facts, &status);
            let last = refusal::print(response).await;
            tokio::select! {
                () = socket.say_last(&last) => {}
                () = self.drain.reached(Phase::Cut) => {}
            }
        } else if is_cut && self.activity.ends_answer() {
            socket.reset();
        }
    }

    async fn run_http2(&mut self, io: TokioIo<Socket<Stream>>, connection: Arc<Connection>) {
        let serve = self.serve(connection, None);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.terms.limits.streams)
            .max_header_list_size(u32::try_from(self.head_bytes()).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(connection_window(self.terms.limits.streams))
            .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_ERROR_RESETS)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(io, service_fn(|request| serve.request(request)));
        self.drive(Version::Http2, pin!(connection), |connection| connection.graceful_shutdown()).await;
    }

    /// The largest head that is read at all. It is larger than what is served, so that what is a little too large is
    /// told so in the gateway's own form.
    fn head_bytes(&self) -> usize {
        2 * self.terms.limits.header_bytes + MAX_BUFFER_BYTES / 2
    }

    /// What serves the connection's requests.
    fn serve(&self, connection: Arc<Connection>, refusal: Option<Arc<Refusal>>) -> Serve {
        let (current, activity, answers) = (self.current.clone(), self.activity.clone(), self.answers.clone());
        Serve { current, connection, activity, answers, refusal, served: AtomicUsize::new(0) }
    }

    /// Drives a connection to its end: its own, its time's, or the process'.
    async fn drive<C, E>(
        &mut self,
        version: Version,
        mut connection: Pin<&mut C>,
        shut_down: impl Fn(Pin<&mut C>),
    ) -> Over<E>
    where
        C: Future<Output = Result<(), E>>,
        E: std::fmt::Display,
    {
        let mut cut = self.drain.clone();
        let mut draining = false;
        let limits = &self.terms.limits;
        let mut age = pin!(tokio::time::sleep(limits.age.mul_f64(rand::random_range(YOUNGEST_AGE..=1.0))));
        let mut aged = false;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = &ended {
                        tracing::debug!(%error, "a client's connection broke");
                    }
                    return Over::Ended(ended);
                }
                expiry = self.activity.expired(limits) => return Over::Expired(expiry),
                () = self.answers.flooded(), if version == Version::Http2 => {
                    tracing::warn!(listener = self.terms.name, "a client cancelled most of its requests at once");
                    return Over::Cut;
                }
                () = self.activity.flooded(), if version == Version::Http2 => {
                    tracing::warn!(listener = self.terms.name, "a client sent too many frames that carry nothing");
                    return Over::Cut;
                }
                () = self.answers.stalled(limits.write_stall), if version == Version::Http2 => return Over::Cut,
                () = age.as_mut(), if !aged => {
                    aged = true;
                    shut_down(connection.as_mut());
                }
                () = self.drain.reached(Phase::Draining), if !draining => {
                    draining = true;
                    shut_down(connection.as_mut());
                }
                () = cut.reached(Phase::Cut), if draining => return Over::Cut,
            }
        }
    }
}

fn connection_window(streams: u32) -> u32 {
    streams.saturating_mul(STREAM_WINDOW).clamp(*CONNECTION_WINDOW.start(), *CONNECTION_WINDOW.end())
}

/// How the driving of a connection came to its end.
enum Over<E> {
    Ended(Result<(), E>),
    Expired(Expiry),
    /// The process ends.
    Cut,
}

/// A connection on which HTTP has begun.
struct Begun {
    socket: Socket<Stream>,
    version: Version,
    connection: Arc<Connection>,
    _counted: Option<Counted>,
}

/// Serves the requests of a connection.
struct Serve {
    current: Current,
    connection: Arc<Connection>,
    activity: Arc<Activity>,
    answers: Arc<Answers>,
    /// Of HTTP/1.
    refusal: Option<Arc<Refusal>>,
    /// Requests by now.
    served: AtomicUsize,
}

impl Serve {
    /// Serves one request by the snapshot of its moment.
    fn request(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Served>, Infallible>> + Send + use<> {
        self.activity.begin_request(request.version());
        let is_http2 = request.version() == http::Version::HTTP_2;
        let number = self.served.fetch_add(1, Ordering::Relaxed);
        if let Some(refused) = self.refusal.as_ref().and_then(|refusal| refusal.of(number)) {
            request.extensions_mut().insert(refused.clone());
        }
        let ending = Ending(self.activity.clone());
        let responding = respond::respond(self.current.load_full(), self.connection.clone(), request);
        let mut answer = is_http2.then(|| self.answers.begin());
        async move {
            let response = responding.await;
            if response.body().is_end_stream() {
                answer.iter_mut().for_each(Answer::end);
            }
            Ok(response.map(|body| Served { body, answer, rest: Bytes::new(), large: false, ending }))
        }
    }
}

/// Notes the end of an answer when it is dropped.
struct Ending(Arc<Activity>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

/// The body of an answer, whose end the connection's timer is told.
struct Served {
    body: Accounted,
    /// Of HTTP/2. A client of HTTP/1 that takes nothing is the socket's to see.
    answer: Option<Answer>,
    /// What is left of a piece that is handed over in slices.
    rest: Bytes,
    /// Whether the last piece was, and was handed over whole.
    large: bool,
    ending: Ending,
}

impl Served {
    /// The next piece, in slices where the answer is watched.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        if self.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)?) else { return Poll::Ready(None) };
            let length = frame.data_ref().map_or(0, Bytes::len);
            self.large = self.answer.is_none() && length > MAX_LEFT_BYTES;
            if self.large || length <= MAX_LEFT_BYTES {
                return Poll::Ready(Some(Ok(frame)));
            }
            self.rest = frame.into_data().unwrap_or_default();
        }
        let length = self.rest.len().min(MAX_LEFT_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }
}

impl http_body::Body for Served {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        self.answer.iter_mut().for_each(Answer::asked_for);
        let polled = self.poll_piece(context);
        let is_over = match &polled {
            Poll::Ready(Some(Ok(_))) => self.is_end_stream(),
            Poll::Ready(None | Some(Err(_))) => true,
            Poll::Pending => return Poll::Pending,
        };
        if let Some(answer) = &mut self.answer {
            if is_over {
                answer.end();
            }
            // The last piece waits for the client like any other.
            if let Poll::Ready(Some(Ok(frame))) = &polled {
                answer.handed_over();
                self.ending.0.handed_over(frame.data_ref().map_or(0, Bytes::len));
            }
        }
        polled
    }

    /// The end of a large piece is told once the client has let it through: until then its answer is not over.
    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream() && !self.large
    }

    fn size_hint(&self) -> SizeHint {
        let (left, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = left.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(left.lower() + rest);
        hint
    }
}
