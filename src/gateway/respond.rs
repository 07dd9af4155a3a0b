//! The story of one request: find its endpoint, tell the upstream who asks, call, answer.
//!
//! A [`Status`] from any step falls straight to [`failure`]. The order of the steps matters where it is said.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};

use super::Gateway;
use super::account::Account;
pub use super::account::Accounted;
use super::admit::{Admission, Policy};
use super::connection::{Calling, Connection};
use super::head::{self, Asking};
use crate::call::body::{self, Body};
use crate::call::endpoint::Endpoint;
use crate::call::settings::CompressFrom;
use crate::call::{self, Incoming};
use crate::protocol::compression::answer;
use crate::protocol::forwarding::{self, Forwarding, Origin, Scheme, Trace, X_REQUEST_ID};
use crate::protocol::rest::error::ErrorFormat;
use crate::protocol::{cors, deadline, metadata};
use crate::route::captures::Captures;
use crate::route::router::Miss;
use crate::route::rule::Verb;
use crate::status::{Blame, Code, Status};

thread_local! {
    /// The memory of the last request's captures, for the next request of this thread.
    static SPARE_CAPTURES: Cell<Captures> = Cell::default();
}

/// Serves one request. Whatever happens, there is an answer, an access-log line and a count.
pub async fn respond(
    gateway: Arc<Gateway>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Accounted> {
    let (mut head, body) = request.into_parts();
    let request_id = forwarding::request_id(&head.headers, rand::random());
    let trace = trace(&head.headers);
    let asking = Asking::of(&head.headers, &connection);
    let mut account = Account::open(&gateway, &connection, (head::verb(&head), asking), (request_id, trace));
    let checked = head::check(&mut head, &connection, account.client.address);
    let served = match checked {
        Ok(()) => serve(&gateway, &connection, &mut account, (&head, body)).await,
        Err(status) => Served::nowhere(Err(status)),
    };
    let (mut response, failure) = match served.outcome {
        Ok(response) => (response, None),
        Err(status) => (failure(&gateway, served.endpoint.as_deref(), &status), Some(status)),
    };
    let cors = match &served.policy {
        Some(policy) => &policy.cors,
        None => &gateway.cors,
    };
    served.admission.write_external(response.headers_mut());
    if let Some(cors) = cors {
        // Also on a failure: a page may read why.
        cors.answer(&head.headers, response.headers_mut());
    }
    if let Some(policy) = &served.policy {
        served.admission.write_limits(policy, response.headers_mut());
    }
    compress(served.endpoint.as_deref(), &head, &mut response);
    response.headers_mut().insert(X_REQUEST_ID, account.request_id.clone());
    let security = match &served.policy {
        Some(policy) => &policy.security_headers,
        None => &gateway.security_headers,
    };
    if let Some(security) = security {
        // Last: what says something of its own has said it.
        match &failure {
            Some(_) => security.add_to_failure(account.scheme(), response.headers_mut()),
            None => security.add(account.scheme(), response.headers_mut()),
        }
    }
    if head.method == Method::HEAD {
        drop_body(&mut response);
    }
    let (head, body) = response.into_parts();
    let body = account.follow(head.status, body, failure.as_ref());
    Response::from_parts(head, body)
}

/// Answers a request whose head can't be read, or does not come.
#[must_use]
pub fn refuse(gateway: &Arc<Gateway>, connection: &Arc<Connection>, status: &Status) -> Response<Accounted> {
    let request_id = forwarding::request_id(&HeaderMap::new(), rand::random());
    let trace = trace(&HeaderMap::new());
    let account = Account::open(gateway, connection, (None, Asking::of_peer(connection)), (request_id, trace));
    let mut response = failure(gateway, None, status);
    response.headers_mut().insert(X_REQUEST_ID, account.request_id.clone());
    if let Some(security) = &gateway.security_headers {
        security.add_to_failure(connection.scheme, response.headers_mut());
    }
    let http = response.status();
    response.map(|body| account.follow(http, body, Some(status)))
}

/// What came of a request, and the endpoint whose settings say how a failure looks.
struct Served {
    endpoint: Option<Arc<Endpoint>>,
    policy: Option<Arc<Policy>>,
    admission: Admission,
    outcome: Result<Response<Body>, Status>,
}

impl Served {
    /// Without a route.
    fn nowhere(outcome: Result<Response<Body>, Status>) -> Self {
        Self { endpoint: None, policy: None, admission: Admission::default(), outcome }
    }
}

async fn serve(
    gateway: &Arc<Gateway>,
    connection: &Connection,
    account: &mut Account,
    (head, body): (&Parts, Incoming),
) -> Served {
    // Whoever came to a trusted proxy by https is where the redirect leads already.
    if let Some(redirect) = connection.rules.redirect.filter(|_| account.client.scheme != Some(Scheme::Https)) {
        return Served::nowhere(Err(redirect.status(head)));
    }
    if let Some((policy, response)) = preflight(gateway, head) {
        return Served { policy: Some(policy), ..Served::nowhere(Ok(response)) };
    }
    let mut captures = SPARE_CAPTURES.take();
    let (endpoint, policy) = match gateway.find(&head.method, head.uri.path(), &mut captures) {
        // A route for any method is none for OPTIONS, which is the gateway's to answer.
        Ok(found) if head.method == Method::OPTIONS && found.endpoint.binding.verb == Verb::Any => {
            let allow = gateway.router().allow(head.uri.path());
            return Served::nowhere(missed(&head.method, allow.map_or_else(|miss| miss, Miss::MethodNotAllowed)));
        }
        Ok(found) => (found.endpoint.clone(), found.policy.clone()),
        Err(miss) => return Served::nowhere(missed(&head.method, miss)),
    };
    account.found(&endpoint);
    let mut admission = Admission::default();
    let admitted = admit(connection, account, (&endpoint, &policy), head, &mut admission).await;
    account.admitted(&admission);
    let outcome = match admitted {
        Ok(deadline) => {
            let told = Told { policy: &policy, admission: &admission, deadline };
            call_endpoint(connection, account, &endpoint, told, (head, body, &captures)).await
        }
        Err(status) => Err(status),
    };
    SPARE_CAPTURES.set(captures);
    Served { endpoint: Some(endpoint), policy: Some(policy), admission, outcome }
}

/// Lets a request through within its deadline, which begins with the request and holds for all of it.
async fn admit(
    connection: &Connection,
    account: &Account,
    (endpoint, policy): (&Endpoint, &Policy),
    head: &Parts,
    admission: &mut Admission,
) -> Result<Option<Instant>, Status> {
    let timeout = deadline::timeout(&head.headers, endpoint.timeout())?;
    let deadline = timeout.and_then(|timeout| account.progress.start.checked_add(timeout));
    if policy.is_idle() {
        return Ok(deadline);
    }
    let calling = Calling {
        address: account.client.address,
        text: account.client_text(),
        time: account.time,
        request_id: &account.request_id,
        connection,
    };
    let admitting = policy.admit(calling, head, admission);
    match deadline {
        Some(deadline) => match tokio::time::timeout_at(deadline.into(), admitting).await {
            Ok(admitted) => admitted?,
            Err(_) => return Err(call::deadline_exceeded()),
        },
        None => admitting.await?,
    }
    Ok(deadline)
}

/// The answer to a browser that asks whether a page may make a request; before authentication, since browsers send no
/// credential with it.
fn preflight(gateway: &Gateway, head: &Parts) -> Option<(Arc<Policy>, Response<Body>)> {
    if head.method != Method::OPTIONS {
        return None;
    }
    let asked = Method::from_bytes(cors::preflight(&head.headers)?.as_bytes()).ok()?;
    let found = gateway.find(&asked, head.uri.path(), &mut Captures::new()).ok()?;
    let cors = found.policy.cors.as_ref()?;
    let methods = gateway.router().allow(head.uri.path()).ok()?;
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    cors.answer_preflight(&head.headers, methods, response.headers_mut());
    Some((found.policy.clone(), response))
}

/// What the upstream is told of the caller, and not told; and by when it is to answer.
#[derive(Clone, Copy)]
struct Told<'a> {
    policy: &'a Policy,
    admission: &'a Admission,
    deadline: Option<Instant>,
}

async fn call_endpoint(
    connection: &Connection,
    account: &Account,
    endpoint: &Arc<Endpoint>,
    told: Told<'_>,
    (head, body, captures): (&Parts, Incoming, &Captures),
) -> Result<Response<Body>, Status> {
    let metadata = || metadata(connection, account, (endpoint, told), head);
    let request = call::Request {
        worker: connection.worker,
        captures,
        query: head.uri.query(),
        headers: &head.headers,
        metadata: &metadata,
        body,
        deadline: told.deadline,
        limits: connection.rules.body,
        progress: &account.progress,
        gate: told.admission.gate.clone(),
    };
    call::answer(endpoint, request).await
}

/// The client's trace with a span of the gateway's own, or a new one.
fn trace(headers: &HeaderMap) -> Trace {
    let fresh = Trace {
        trace_id: rand::random(),
        span_id: rand::random(),
        // Not sampled: whoever begins the trace decides that, and the gateway did not. The id is random.
        flags: 0b10,
        origin: Origin::Gateway,
    };
    Trace::of(headers, fresh)
}

/// What the upstream is told: the client's own headers first, then what only the gateway may say.
fn metadata(
    connection: &Connection,
    account: &Account,
    (endpoint, told): (&Endpoint, Told<'_>),
    head: &Parts,
) -> Result<HeaderMap, Status> {
    let mut metadata = HeaderMap::with_capacity(head.headers.len() + 12);
    let rules = &endpoint.settings.request_headers;
    metadata::request(&head.headers, rules, metadata::Bounds::default(), &mut metadata)?;
    told.policy.identity().dress(&told.admission.identity, told.admission.changes.as_deref(), &mut metadata);
    let forwarding = Forwarding {
        peer: connection.peer,
        chain: &account.client.chain,
        scheme: account.scheme(),
        host: head::host(head),
        request_id: &account.request_id,
        trace: account.trace,
    };
    forwarding::forward(&head.headers, &forwarding, &mut metadata);
    Ok(metadata)
}

/// The answer where no route is found.
fn missed(method: &Method, miss: Miss) -> Result<Response<Body>, Status> {
    match miss {
        Miss::MethodNotAllowed(allow) if method == Method::OPTIONS => {
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert(ALLOW, allow);
            Ok(response)
        }
        Miss::MethodNotAllowed(allow) => {
            let message = format!("{method} is not allowed here");
            let status = Status::new(Code::Unimplemented, Blame::Client, message);
            let status = status.with_http(StatusCode::METHOD_NOT_ALLOWED).with_header(ALLOW, allow);
            Err(status.logged_as("the method is not allowed"))
        }
        Miss::NotFound => Err(Status::new(Code::NotFound, Blame::Client, "there is no such path")),
        Miss::Bad(status) => Err(status),
    }
}

/// A failure as an answer.
fn failure(gateway: &Gateway, endpoint: Option<&Endpoint>, status: &Status) -> Response<Body> {
    let format: ErrorFormat = endpoint.map_or(gateway.errors, |endpoint| endpoint.settings.errors);
    let mut body = Vec::with_capacity(256);
    let mut print = |detail: &_, out: &mut Vec<u8>| match endpoint {
        Some(endpoint) => endpoint.encode_detail(detail, out),
        None => call::encode_detail(&gateway.plan, detail, out),
    };
    format.write(status, &mut print, &mut body);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status.http();
    *response.headers_mut() = status.headers().clone();
    response.headers_mut().insert(CONTENT_TYPE, format.content_type());
    response
}

/// Compresses a body that is all there, where the client takes it.
fn compress(endpoint: Option<&Endpoint>, head: &Parts, response: &mut Response<Body>) {
    let Some(CompressFrom::Bytes(min_bytes)) = endpoint.map(|endpoint| endpoint.settings.compress_from) else { return };
    if !matches!(response.body(), Body::Full(bytes) if bytes.len() >= min_bytes) {
        return;
    }
    let Body::Full(bytes) = std::mem::replace(response.body_mut(), Body::Empty) else { return };
    let status = response.status();
    let bytes = answer::compress(&head.headers, min_bytes, status, response.headers_mut(), bytes);
    *response.body_mut() = Body::Full(bytes);
}

/// HEAD: what GET would answer, without the body (RFC 9110, 9.3.2).
fn drop_body(response: &mut Response<Body>) {
    let has_content = body::has_content(response.status());
    if let Some(length) = response.body().known_len().filter(|_| has_content) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Body::Empty;
}
