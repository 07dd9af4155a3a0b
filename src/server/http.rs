//! HTTP/1.1 and HTTP/2 with every limit set, on the connections of one listener.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::activity::Activity;
use super::arrival::Arrival;
use super::drain::{Drain, Phase};
use super::listener::{Accepted, Accepting, Terms};
use super::socket::{Socket, Version};
use super::stream::Stream;
use crate::call::body::CutShort;
use crate::gateway::Current;
use crate::gateway::respond::{self, Accounted, Connection};

/// The read and write buffer of an HTTP/1.1 connection, at most.
const MAX_BUFFER_BYTES: usize = 64 << 10;

/// How much an HTTP/2 client may send of one body before it is read.
const STREAM_WINDOW: u32 = 256 << 10;

/// How much an HTTP/2 client may send on one connection before it is read.
const CONNECTION_WINDOW: u32 = 1 << 20;

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

/// The pause after accepting failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
        loop {
            tokio::select! {
                biased;
                () = drain.reached(Phase::Draining) => break,
                accepted = socket.accept() => match accepted {
                    Ok(accepted) => self.spawn(accepted, &mut connections),
                    Err(error) => accept_failed(&self.terms.name, &error).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
        for accepted in socket.accept_rest() {
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
            drain: self.drain.clone(),
        };
        connections.spawn(async move {
            let _open = open;
            serving.run(accepted).await;
        });
    }
}

async fn accept_failed(name: &str, error: &std::io::Error) {
    use std::io::ErrorKind;
    // These concern the one connection that was to be accepted.
    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused)
    {
        return;
    }
    tracing::warn!(listener = name, %error, "accepting a connection failed");
    tokio::time::sleep(ACCEPT_PAUSE).await;
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
        let Some(Begun { socket, version, connection }) = begun else { return };
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
            begun = Socket::begin(arrival.stream, self.activity.clone()) => begun.ok().flatten()?,
            () = self.activity.silent_until(first_byte) => return None,
            () = self.activity.expired(&self.terms.limits) => return None,
        };
        if arrival.agreed.is_some_and(|agreed| agreed != version) {
            return None;
        }
        Some(Begun { socket, version, connection: Arc::new(arrival.connection) })
    }

    async fn run_http1(&mut self, io: TokioIo<Socket<Stream>>, connection: Arc<Connection>) {
        let serve = self.serve(connection);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_header_size(self.head_bytes())
            .max_buf_size(MAX_BUFFER_BYTES.max(self.head_bytes()))
            .serve_connection(io, service_fn(|request| serve.request(request)));
        self.drive(connection, |connection| connection.graceful_shutdown()).await;
    }

    async fn run_http2(&mut self, io: TokioIo<Socket<Stream>>, connection: Arc<Connection>) {
        let serve = self.serve(connection);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.terms.limits.streams)
            .max_header_list_size(u32::try_from(self.head_bytes()).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_ERROR_RESETS)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(io, service_fn(|request| serve.request(request)));
        self.drive(connection, |connection| connection.graceful_shutdown()).await;
    }

    /// The largest head that is read at all. It is larger than what is served, so that what is a little too large is
    /// told so in the gateway's own form.
    fn head_bytes(&self) -> usize {
        2 * self.terms.limits.header_bytes + MAX_BUFFER_BYTES / 2
    }

    /// What serves the connection's requests.
    fn serve(&self, connection: Arc<Connection>) -> Serve {
        Serve { current: self.current.clone(), connection, activity: self.activity.clone() }
    }

    /// Drives a connection to its end: its own, its time's, or the process'.
    async fn drive<C, E>(&mut self, connection: C, shut_down: impl Fn(Pin<&mut C>))
    where
        C: Future<Output = Result<(), E>>,
        E: std::fmt::Display,
    {
        let mut connection = pin!(connection);
        let mut cut = self.drain.clone();
        let mut draining = false;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a client's connection broke");
                    }
                    return;
                }
                () = self.activity.expired(&self.terms.limits) => return,
                () = self.drain.reached(Phase::Draining), if !draining => {
                    draining = true;
                    shut_down(connection.as_mut());
                }
                () = cut.reached(Phase::Cut), if draining => return,
            }
        }
    }
}

/// A connection on which HTTP has begun.
struct Begun {
    socket: Socket<Stream>,
    version: Version,
    connection: Arc<Connection>,
}

/// Serves the requests of a connection.
struct Serve {
    current: Current,
    connection: Arc<Connection>,
    activity: Arc<Activity>,
}

impl Serve {
    /// Serves one request by the snapshot of its moment.
    fn request(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Served>, Infallible>> + Send + use<> {
        self.activity.begin_request();
        let ending = Ending(self.activity.clone());
        let responding = respond::respond(self.current.load_full(), self.connection.clone(), request);
        async move { Ok(responding.await.map(|body| Served { body, _ending: ending })) }
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
    _ending: Ending,
}

impl http_body::Body for Served {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
