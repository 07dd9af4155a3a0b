//! The admin server: liveness, readiness, metrics, routes and the gateway's public keys, for those who run it.
//!
//! It listens on an address of its own, which belongs into no public network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::auth::signer::Signer;
use crate::auth::trouble::Failing;
use crate::call::endpoint::Endpoint;
use crate::gateway::{Current, Gateway};
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Metrics;

/// How long a refused connection waits before the next is accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a client may take for its request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections at a time.
const MAX_CONNECTIONS: usize = 256;

/// What the process says of itself.
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
    /// By what it concerns.
    refused: Mutex<BTreeMap<String, Refused>>,
}

/// A change that was refused and is not yet mended.
#[derive(Clone, Debug)]
struct Refused {
    since: SystemTime,
    problems: Vec<String>,
}

impl Health {
    /// Whether requests should be sent here.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Notes that what is on disk of this part is what is served.
    pub fn reload_succeeded(&self, part: &str) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// Notes that what is on disk of this part was refused; the time of the first refusal in a row stays.
    pub fn reload_failed(&self, part: &str, at: SystemTime, problems: Vec<String>) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let since = refused.get(part).map_or(at, |refused| refused.since);
        refused.insert(part.to_owned(), Refused { since, problems });
    }

    /// All parts together, since the first of them.
    fn refused(&self) -> Option<Refused> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let since = refused.values().map(|refused| refused.since).min()?;
        let problems = refused.values().flat_map(|refused| refused.problems.clone()).collect();
        Some(Refused { since, problems })
    }
}

/// What the admin server tells of.
#[derive(Clone, Debug)]
pub struct State {
    pub health: Arc<Health>,
    pub current: Current,
    pub metrics: Arc<Metrics>,
    pub access_log: Arc<AccessLog>,
}

/// Serves until the task is aborted.
pub async fn serve(listener: TcpListener, state: State) {
    let router = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/routes", get(routes))
        .route("/jwks.json", get(key_set))
        .route("/.well-known/jwks.json", get(key_set))
        .with_state(state);
    let room = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let _permit = permit;
            // A client that breaks off concerns nobody else.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(hyper_util::rt::TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The body of `/readyz`.
#[derive(Debug, Serialize)]
struct Readiness {
    status: &'static str,
    /// What is on disk and refused, while an older configuration is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    reload: Option<RefusedReload>,
}

#[derive(Debug, Serialize)]
struct RefusedReload {
    status: &'static str,
    /// Unix time in seconds.
    since: f64,
    problems: Vec<String>,
}

async fn readyz(Extract(state): Extract<State>) -> Response {
    let ready = state.health.ready.load(Ordering::Acquire);
    let gateway = state.current.load_full();
    let of_providers = gateway.guard().troubles().map(|(name, Failing { since, why })| {
        let problems = vec![format!("provider {name:?}: {why}")];
        Refused { since, problems }
    });
    let refused = state.health.refused().into_iter().chain(of_providers).reduce(|mut all, one| {
        all.since = all.since.min(one.since);
        all.problems.extend(one.problems);
        all
    });
    let reload = refused.map(|refused| RefusedReload {
        status: "refused",
        since: refused.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        problems: refused.problems,
    });
    let (code, status) = if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "draining") };
    (code, Json(Readiness { status, reload })).into_response()
}

async fn metrics(Extract(state): Extract<State>) -> Response {
    let gateway = state.current.load_full();
    gateway.guard().tell(&state.metrics);
    match state.metrics.print(state.access_log.dropped()) {
        Ok(text) => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, content_type)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// One row of `/routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    pub verb: String,
    pub template: String,
    pub method: String,
    pub upstream: String,
    /// The file of the annotation or rule.
    pub source: String,
}

impl Route {
    /// What an endpoint serves.
    #[must_use]
    pub fn of(endpoint: &Endpoint) -> Self {
        Self {
            verb: endpoint.binding.verb.to_string(),
            template: endpoint.template.to_string(),
            method: endpoint.binding.full_name.to_string(),
            upstream: endpoint.upstream.config().name.clone(),
            source: endpoint.binding.source.place().to_owned(),
        }
    }

    /// Orders routes for reading: by template, then by verb.
    pub fn sort(routes: &mut [Self]) {
        routes.sort_by(|one, other| (&one.template, &one.verb).cmp(&(&other.template, &other.verb)));
    }
}

/// Every route of a gateway.
fn list(gateway: &Gateway) -> Vec<Route> {
    let mut routes: Vec<_> = gateway.endpoints().iter().map(|endpoint| Route::of(endpoint)).collect();
    Route::sort(&mut routes);
    routes
}

async fn routes(Extract(state): Extract<State>) -> Json<Vec<Route>> {
    Json(list(&state.current.load()))
}

/// The public keys of the gateway's own tokens (RFC 7517, 5); none where it signs nothing.
async fn key_set(Extract(state): Extract<State>) -> Response {
    let gateway = state.current.load_full();
    let set = gateway.guard().signer.as_deref().map(Signer::key_set).unwrap_or_default();
    ([(CONTENT_TYPE, "application/jwk-set+json")], Json(set)).into_response()
}
