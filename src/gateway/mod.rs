//! Stand-in until the module arrives.
pub mod config;

use std::fmt;
use std::sync::Arc;

use http::Method;

pub use self::config::Config;
use crate::call::endpoint::Endpoint;
use crate::route::captures::Captures;
use crate::route::router::{Miss, Router};
use crate::schema::Schema;

/// Everything that requests are served by.
#[derive(Debug)]
pub struct Gateway {
    schema: Arc<Schema>,
    router: Router,
    endpoints: Box<[Arc<Endpoint>]>,
    unserved: Vec<String>,
}

impl Gateway {
    /// # Errors
    /// Why there is none.
    pub fn find(&self, verb: &Method, path: &str, captures: &mut Captures) -> Result<&Arc<Endpoint>, Miss> {
        let index = self.router.find(verb, path, captures)?;
        Ok(self.endpoints.get(index).expect("there is an endpoint for each binding"))
    }

    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    #[must_use]
    pub fn unserved(&self) -> &[String] {
        &self.unserved
    }
}

/// A mistake in a configuration or its descriptors, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A file, with line and column where they are known; empty for the command line.
    pub place: String,
    /// What was found, what was expected, what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(formatter, "{}: ", self.place)?;
        }
        formatter.write_str(&self.message)
    }
}
