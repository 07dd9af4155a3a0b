//! The gateway: the immutable whole that a configuration and its descriptors compile to, and [`respond`], the story
//! of one request.
//!
//! A request sees one [`Gateway`] from its head to the end of its answer; a reload swaps the next one in whole.

mod account;
mod admit;
mod build;
pub mod config;
pub mod connection;
mod counting;
pub mod external;
pub mod guard;
pub mod head;
pub mod identity;
pub mod policy;
pub mod respond;

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Method;

pub use self::admit::Policy;
pub use self::build::{Inputs, Problem};
pub use self::config::Config;
use self::guard::Guard;
use crate::call::endpoint::Endpoint;
use crate::protocol::cors::Cors;
use crate::protocol::rest::error::ErrorFormat;
use crate::protocol::security_headers::SecurityHeaders;
use crate::route::captures::Captures;
use crate::route::router::{Miss, Router};
use crate::schema::Schema;
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::{MethodMetrics, Metrics};
use crate::transcode::plan::Plan;
use crate::upstream::Upstream;

/// The snapshot that new requests see.
pub type Current = Arc<ArcSwap<Gateway>>;

/// Everything that requests are served by.
#[derive(Debug)]
pub struct Gateway {
    schema: Arc<Schema>,
    plan: Arc<Plan>,
    router: Router,
    /// By the position of the binding in the router.
    endpoints: Box<[Arc<Endpoint>]>,
    /// Likewise; every way to a method obeys one policy.
    policies: Box<[Arc<Policy>]>,
    /// What judges callers.
    guard: Guard,
    /// Of requests that no route takes: what `defaults` say.
    cors: Option<Arc<Cors>>,
    /// Likewise, and of requests that can't be read.
    security_headers: Option<SecurityHeaders>,
    upstreams: Vec<Arc<Upstream>>,
    /// Services that no upstream serves.
    unserved: Vec<String>,
    /// How errors look where no route says.
    errors: ErrorFormat,
    metrics: Arc<Metrics>,
    /// For requests that no route matches.
    unmatched: Arc<MethodMetrics>,
    access_log: Arc<AccessLog>,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub struct Found<'g> {
    pub endpoint: &'g Arc<Endpoint>,
    pub policy: &'g Arc<Policy>,
}

impl Gateway {
    /// Compiles a checked configuration and a schema.
    ///
    /// # Errors
    /// Every mistake that only shows with the schema: unknown services and methods, rules, routes in conflict.
    pub fn build(inputs: Inputs<'_>) -> Result<Self, Vec<Problem>> {
        build::build(inputs)
    }

    /// The endpoint of a request and who may call it; `captures` then holds the texts of the path's variables.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find(&self, verb: &Method, path: &str, captures: &mut Captures) -> Result<Found<'_>, Miss> {
        let index = self.router.find(verb, path, captures)?;
        let endpoint = self.endpoints.get(index).expect("there is an endpoint for each binding");
        let policy = self.policies.get(index).expect("there is a policy for each binding");
        Ok(Found { endpoint, policy })
    }

    /// Every endpoint.
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// The routes.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// What the endpoints were made from.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Every upstream.
    #[must_use]
    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    /// What judges callers: to be kept by the next gateway where nothing of it changed.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Whether any method asks its callers who they are, or a decider whether they may pass.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.policies.iter().any(|policy| policy.is_verified() || policy.external.is_some())
    }

    /// Methods that everybody may call though no level says so, while others are guarded.
    #[must_use]
    pub fn left_open(&self) -> BTreeSet<&str> {
        let is_open = |policy: &Policy| !policy.is_verified() && !policy.is_spoken_of && policy.external.is_none();
        let open = self.endpoints.iter().zip(&self.policies).filter(|(_, policy)| is_open(policy));
        open.map(|(endpoint, _)| &*endpoint.binding.full_name).collect()
    }

    /// Methods that nobody may call, since no level says who may while levels of other methods do.
    #[must_use]
    pub fn closed(&self) -> BTreeSet<&str> {
        let closed = self.endpoints.iter().zip(&self.policies).filter(|(_, policy)| policy.closed);
        closed.map(|(endpoint, _)| &*endpoint.binding.full_name).collect()
    }

    /// Services that are described, but that no upstream serves.
    #[must_use]
    pub fn unserved(&self) -> &[String] {
        &self.unserved
    }
}
