//! The gateway: the immutable whole that a configuration and its descriptors compile to, and [`respond`], the story
//! of one request.
//!
//! A request sees one [`Gateway`] from its head to the end of its answer; a reload swaps the next one in whole.

mod account;
mod build;
pub mod config;
pub mod head;
pub mod respond;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Method;

pub use self::build::{Inputs, Problem};
pub use self::config::Config;
use crate::call::endpoint::Endpoint;
use crate::protocol::rest::error::ErrorFormat;
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

impl Gateway {
    /// Compiles a checked configuration and a schema.
    ///
    /// # Errors
    /// Every mistake that only shows with the schema: unknown services and methods, rules, routes in conflict.
    pub fn build(inputs: Inputs<'_>) -> Result<Self, Vec<Problem>> {
        build::build(inputs)
    }

    /// The endpoint of a request; `captures` then holds the texts of the path's variables.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find(&self, verb: &Method, path: &str, captures: &mut Captures) -> Result<&Arc<Endpoint>, Miss> {
        let index = self.router.find(verb, path, captures)?;
        Ok(self.endpoints.get(index).expect("there is an endpoint for each binding"))
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

    /// Services that are described, but that no upstream serves.
    #[must_use]
    pub fn unserved(&self) -> &[String] {
        &self.unserved
    }
}
