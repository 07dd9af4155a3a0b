//! An upstream: the gRPC servers behind one name, and the HTTP/2 connections that each worker keeps to them.
//!
//! It knows nothing of protobuf or REST: a call is a head, bytes and an answer. A call that the server provably did
//! not begin (RFC 9113, 6.8 and 8.7: a GOAWAY below it, REFUSED_STREAM) is sent again once; a stream of messages by
//! who holds them.

pub mod ask;
pub mod config;
mod connection;
mod pool;
pub mod reflect;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{Method, Request, Response, Uri, Version};
use prometheus_client::metrics::counter::Counter;

pub use self::config::Config;
use self::connection::Connector;
use self::pool::Pool;
use crate::protocol::end;
use crate::status::{Blame, Code, Status};
use crate::tls::TlsError;

/// Connections that a call finds ended before it gives up; each is dropped, so that a new one is opened in the end.
const MAX_ENDED_CONNECTIONS: usize = 32;

/// One upstream, shared by every worker.
#[derive(Debug)]
pub struct Upstream {
    config: Config,
    /// What its TLS files hold.
    fingerprint: Option<u64>,
    scheme: Scheme,
    pools: Box<[Pool]>,
    /// For `:authority`, by the position of the address.
    authorities: Box<[Authority]>,
    in_flight: Arc<AtomicUsize>,
    resent: Counter,
}

/// Why an upstream can't be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("upstream {name:?}: {source}")]
    Tls { name: String, source: TlsError },
    #[error("upstream {name:?}: {address:?} is not a host that HTTP/2 can name")]
    Authority { name: String, address: String },
    #[error("upstream {name:?}: TLS is not spoken on a socket of the file system")]
    UnixTls { name: String },
    #[error("upstream {name:?} has no address")]
    NoAddress { name: String },
}

/// What a call sends before its messages.
#[derive(Clone, Debug)]
pub struct CallHead {
    /// `/package.Service/Method`
    pub path: PathAndQuery,
    /// Everything but the pseudo-header fields.
    pub metadata: HeaderMap,
}

/// A call whose request has been sent, or is being sent.
#[derive(Debug)]
pub struct Call {
    response: ResponseFuture,
    request: SendStream<Bytes>,
    guard: Guard,
}

/// The body of an answer. Dropping it before its end cancels the call.
#[derive(Debug)]
pub struct Answer {
    stream: RecvStream,
    _guard: Guard,
}

/// The head of an answer, and its body.
pub type Answered = (Response<()>, Answer);

/// Why no head of an answer came.
#[derive(Debug)]
pub struct Failure {
    pub status: Status,
    /// The server said that it did not begin the call, which may be sent again.
    pub is_unprocessed: bool,
}

impl From<h2::Error> for Failure {
    fn from(error: h2::Error) -> Self {
        Self { is_unprocessed: is_unprocessed(&error), status: stream_failure(error) }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self { status, is_unprocessed: false }
    }
}

/// Counts a call while it lasts.
#[derive(Debug)]
struct Guard {
    upstream: Arc<AtomicUsize>,
    connection: Arc<AtomicUsize>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.upstream.fetch_sub(1, Ordering::Relaxed);
        self.connection.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    /// An upstream for this number of workers; nothing is connected before the first call.
    ///
    /// # Errors
    /// If its TLS files can't be used, or an address can't be named in HTTP.
    pub fn new(config: Config, workers: usize, resent: Counter) -> Result<Self, UpstreamError> {
        let tls = match &config.tls {
            None => None,
            Some(tls) => {
                let client = crate::tls::client(tls.ca.as_deref(), tls.identity.as_ref());
                Some(client.map_err(|source| UpstreamError::Tls { name: config.name.clone(), source })?)
            }
        };
        let unix = config.addresses.iter().any(|address| matches!(address, config::Address::Unix(_)));
        if unix && tls.is_some() {
            return Err(UpstreamError::UnixTls { name: config.name });
        }
        if config.addresses.is_empty() {
            return Err(UpstreamError::NoAddress { name: config.name });
        }
        let mut connectors = Vec::new();
        let mut authorities = Vec::new();
        for address in &config.addresses {
            let authority = address.authority();
            let named = Authority::try_from(authority.as_str());
            authorities
                .push(named.map_err(|_| UpstreamError::Authority { name: config.name.clone(), address: authority })?);
            let tls = tls.as_ref().map(|client| client.config.clone());
            connectors.push(Connector::new(address.clone(), &config, tls)?);
        }
        let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let pools = (0..workers.max(1)).map(|_| Pool::new(&connectors, config.connections_per_worker)).collect();
        let (fingerprint, authorities) = (tls.map(|client| client.fingerprint), authorities.into());
        Ok(Self { config, fingerprint, scheme, pools, authorities, in_flight: Arc::default(), resent })
    }

    /// What it was made from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether it was made from the same, in its configuration and in its files.
    #[must_use]
    pub fn is_made_as(&self, other: &Self) -> bool {
        self.config == other.config && self.fingerprint == other.fingerprint
    }

    /// Sends a whole request and waits for the answer's head. `head` is made anew if the call is sent again.
    ///
    /// # Errors
    /// UNAVAILABLE if no server can be reached or the connection breaks; by the gRPC table if the stream is reset.
    pub async fn exchange(
        &self,
        worker: usize,
        head: impl Fn() -> Result<CallHead, Status>,
        body: Bytes,
    ) -> Result<Answered, Status> {
        let mut resent = false;
        loop {
            let (mut request, answer) = self.open(worker, &head).await?.split();
            let answered = match request.send_data(body.clone(), true) {
                Ok(()) => answer.await,
                Err(error) => Err(error.into()),
            };
            match answered {
                Ok(answer) => return Ok(answer),
                Err(failure) if !resent && failure.is_unprocessed => {
                    resent = true;
                    self.resent.inc();
                }
                Err(failure) => return Err(failure.status),
            }
        }
    }

    /// Begins a call anew that the server did not begin.
    ///
    /// # Errors
    /// As [`Upstream::open`].
    pub async fn open_again(&self, worker: usize, head: impl Fn() -> Result<CallHead, Status>) -> Result<Call, Status> {
        self.resent.inc();
        self.open(worker, head).await
    }

    /// Begins a call whose messages follow.
    ///
    /// # Errors
    /// UNAVAILABLE if no server can be reached, or too many calls are in flight.
    pub async fn open(&self, worker: usize, head: impl Fn() -> Result<CallHead, Status>) -> Result<Call, Status> {
        let pool = self.pools.get(worker).or_else(|| self.pools.first()).expect("an upstream has a pool or more");
        let first = pool.turn();
        let mut failures = 0;
        loop {
            let admitted = self.admit()?;
            let (position, connection) = match pool.ready(first) {
                Some(connection) => (first, connection),
                // Boxed: it is rare, and would make every call's future large.
                None => Box::pin(pool.connection(first)).await.map_err(Status::unavailable)?,
            };
            let request = self.request(position, head()?);
            match connection.begin(request) {
                Ok((response, request)) => {
                    let guard = Guard { upstream: admitted.pass(), connection: connection.count_call() };
                    return Ok(Call { response, request, guard });
                }
                // Nothing was sent: the connection had ended, unseen so far, or has no stream ids left.
                Err(error) => {
                    connection.close();
                    failures += 1;
                    if failures == MAX_ENDED_CONNECTIONS {
                        return Err(Status::unavailable(error));
                    }
                }
            }
        }
    }

    fn admit(&self) -> Result<Admitted<'_>, Status> {
        let admitted = Admitted { in_flight: Some(&self.in_flight) };
        if self.in_flight.fetch_add(1, Ordering::Relaxed) >= self.config.max_requests {
            let message = "too many calls are in flight to the upstream";
            return Err(Status::new(Code::Unavailable, Blame::Gateway, message)
                .with_header(RETRY_AFTER, HeaderValue::from_static("1")));
        }
        Ok(admitted)
    }

    fn request(&self, position: usize, head: CallHead) -> Request<()> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = self.authorities.get(position).or_else(|| self.authorities.first()).cloned();
        parts.path_and_query = Some(head.path);
        let uri = Uri::from_parts(parts).expect("scheme, authority and path make a URI");
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri;
        *request.headers_mut() = head.metadata;
        request
    }
}

/// A call that counts as in flight, until it fails to begin.
struct Admitted<'a> {
    in_flight: Option<&'a Arc<AtomicUsize>>,
}

impl Admitted<'_> {
    /// Hands the count over to the call's own guard.
    fn pass(mut self) -> Arc<AtomicUsize> {
        self.in_flight.take().expect("it is passed once").clone()
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if let Some(in_flight) = self.in_flight {
            in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Call {
    /// Splits off the waiting for the answer's head, so that messages can be sent meanwhile.
    pub fn split(self) -> (SendStream<Bytes>, impl Future<Output = Result<Answered, Failure>> + Send) {
        let Self { response, request, guard } = self;
        let answer = async move {
            let (head, stream) = response.await?.into_parts();
            Ok((Response::from_parts(head, ()), Answer { stream, _guard: guard }))
        };
        (request, answer)
    }
}

impl Answer {
    /// The next bytes of the body; `None` at its end. The upstream may send as many more only once they are taken.
    pub fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        match std::task::ready!(self.stream.poll_data(context)) {
            None => Poll::Ready(None),
            Some(Ok(data)) => {
                // Fails only for more than was received.
                let released = self.stream.flow_control().release_capacity(data.len());
                Poll::Ready(Some(released.map(|()| data).map_err(stream_failure)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(stream_failure(error)))),
        }
    }

    /// The trailers, after the body's end.
    pub fn poll_trailers(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, Status>> {
        self.stream.poll_trailers(context).map_err(stream_failure)
    }

    /// The next bytes of the body; `None` at its end.
    pub async fn data(&mut self) -> Option<Result<Bytes, Status>> {
        std::future::poll_fn(|context| self.poll_data(context)).await
    }

    /// The trailers, after the body's end.
    ///
    /// # Errors
    /// If the stream breaks off.
    pub async fn trailers(&mut self) -> Result<Option<HeaderMap>, Status> {
        std::future::poll_fn(|context| self.poll_trailers(context)).await
    }

    /// Whether nothing follows, not even trailers.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.stream.is_end_stream()
    }
}

/// Whether the server said that it did not begin the call.
fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || (error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM)))
}

/// The failure of a call whose stream or connection broke.
pub(crate) fn stream_failure(error: h2::Error) -> Status {
    let reset = error.is_reset().then(|| error.reason()).flatten();
    match reset {
        Some(reason) => end::reset(reason),
        None => Status::unavailable(error),
    }
}
