//! What one request leaves behind: its access-log line and its metrics, however it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use http_body::{Frame, SizeHint};

use super::Gateway;
use super::admit::Admission;
use super::connection::Connection;
use super::head::Asking;
use crate::auth::principal::Principal;
use crate::call::body::{Body, CutShort};
use crate::call::endpoint::Endpoint;
use crate::call::progress::Progress;
use crate::protocol::client_address::Client;
use crate::protocol::forwarding::{Scheme, Trace};
use crate::status::{Code, Status};
use crate::telemetry::access::{Caller, Record};
use crate::telemetry::metrics::{MethodMetrics, Observation};

/// The account of one request. Dropped before it is closed, the client has left.
pub(super) struct Account {
    gateway: Arc<Gateway>,
    connection: Arc<Connection>,
    /// `None` for a request without a head, or with one whose method can't be read.
    verb: Option<Method>,
    pub(super) client: Client,
    /// Its address as text, where that is not the connection's.
    client_text: Option<Box<str>>,
    pub(super) time: SystemTime,
    pub(super) request_id: HeaderValue,
    pub(super) progress: Arc<Progress>,
    /// The request's trace, with the gateway's own span.
    pub(super) trace: Trace,
    endpoint: Option<Arc<Endpoint>>,
    /// Who calls, once it is known.
    caller: Option<Arc<Principal>>,
    open: bool,
}

/// How a request ended.
struct End<'a> {
    http: StatusCode,
    code: Code,
    response_bytes: u64,
    cause: Option<&'a Status>,
}

impl Account {
    pub(super) fn open(
        gateway: &Arc<Gateway>,
        connection: &Arc<Connection>,
        (verb, asking): (Option<&Method>, Asking),
        (request_id, trace): (HeaderValue, Trace),
    ) -> Self {
        Self {
            gateway: gateway.clone(),
            connection: connection.clone(),
            verb: verb.cloned(),
            client: asking.client,
            client_text: asking.text,
            time: SystemTime::now(),
            request_id,
            progress: Arc::default(),
            trace,
            endpoint: None,
            caller: None,
            open: true,
        }
    }

    /// Notes where the request goes.
    pub(super) fn found(&mut self, endpoint: &Arc<Endpoint>) {
        endpoint.metrics.in_flight.inc();
        self.endpoint = Some(endpoint.clone());
    }

    /// Notes who calls.
    pub(super) fn admitted(&mut self, admission: &Admission) {
        self.caller.clone_from(&admission.caller);
    }

    /// Closes the account of an answer that is all there, or goes on with its stream.
    pub(super) fn follow(mut self, http: StatusCode, body: Body, failure: Option<&Status>) -> Accounted {
        let Some(response_bytes) = body.known_len() else {
            return Accounted { body, following: Some((self, http)), response_bytes: 0 };
        };
        let code = failure.map_or(Code::Ok, Status::code);
        self.close(&End { http, code, response_bytes, cause: failure });
        Accounted { body, following: None, response_bytes }
    }

    /// The client's address as text.
    pub(super) fn client_text(&self) -> &str {
        self.client_text.as_deref().unwrap_or(&self.connection.peer_text)
    }

    /// How the client came: to trusted proxies, if those say so, or else here.
    pub(super) fn scheme(&self) -> Scheme {
        self.client.scheme.unwrap_or(self.connection.scheme)
    }

    fn method(&self) -> &MethodMetrics {
        match &self.endpoint {
            Some(endpoint) => &endpoint.metrics,
            None => &self.gateway.unmatched,
        }
    }

    fn close(&mut self, end: &End<'_>) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        if let Some(endpoint) = &self.endpoint {
            endpoint.metrics.in_flight.dec();
        }
        let (duration, request_bytes) = (self.progress.start.elapsed(), self.progress.request_bytes());
        let End { http, code, response_bytes, cause } = *end;
        self.gateway.metrics.observe(self.method(), &Observation { code, duration, request_bytes, response_bytes });
        let refused = cause.and_then(Status::refusal);
        if let Some(reason) = refused {
            self.gateway.metrics.refused(reason);
        }
        let cause = cause.map(Status::to_string);
        let endpoint = self.endpoint.as_deref();
        self.gateway.access_log.write(
            self.connection.worker,
            &Record {
                time: self.time,
                // Only what is visible ASCII is taken for a request id.
                request_id: self.request_id.to_str().unwrap_or_default(),
                trace_id: self.trace.trace_id,
                client: self.client_text(),
                verb: self.verb.as_ref().map_or("", Method::as_str),
                route: endpoint.map_or("", |endpoint| &endpoint.template),
                rpc: endpoint.map_or("", |endpoint| endpoint.rpc()),
                status: http,
                code,
                request_bytes,
                response_bytes,
                duration,
                upstream: self.progress.upstream(),
                caller: self
                    .caller
                    .as_deref()
                    .map(|caller| Caller { provider: &caller.provider, subject: &caller.subject }),
                refused,
                cause: cause.as_deref(),
            },
        );
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let http = Code::Cancelled.http();
        self.close(&End { http, code: Code::Cancelled, response_bytes: 0, cause: None });
    }
}

/// A body whose end closes its request's account.
pub struct Accounted {
    body: Body,
    following: Option<(Account, StatusCode)>,
    response_bytes: u64,
}

impl Accounted {
    fn close(&mut self) {
        let Some((mut account, http)) = self.following.take() else { return };
        let cause = self.body.failure();
        let code = match cause {
            Some(status) => status.code(),
            None if self.body.is_over() => Code::Ok,
            None => Code::Cancelled,
        };
        account.close(&End { http, code, response_bytes: self.response_bytes, cause });
    }
}

impl Drop for Accounted {
    fn drop(&mut self) {
        self.close();
    }
}

impl http_body::Body for Accounted {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if self.following.is_some() {
            match &polled {
                Poll::Ready(Some(Ok(frame))) => {
                    self.response_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                }
                Poll::Ready(None | Some(Err(_))) => self.close(),
                Poll::Pending => {}
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
