//! From a configuration to a gateway: descriptors read and merged, upstreams made or kept, everything compiled.

use std::sync::Arc;

use super::sources;
use crate::config::Config;
use crate::gateway::{Gateway, Inputs, Problem};
use crate::schema::Schema;
use crate::schema::load::SourceSet;
use crate::server;
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::tls::server::ServerTls;
use crate::upstream::Upstream;

/// What outlives every reload.
#[derive(Clone, Debug)]
pub struct Environment {
    pub workers: usize,
    pub metrics: Arc<Metrics>,
    pub access_log: Arc<AccessLog>,
}

impl Environment {
    /// One that nothing is served with, for commands that only look.
    #[must_use]
    pub fn for_inspection() -> Self {
        let access_log = AccessLog::start(crate::telemetry::access::Format::Off, 1);
        Self { workers: 1, metrics: Arc::default(), access_log }
    }
}

/// Loads everything that `config` names. Upstreams of `previous` that have not changed are kept with their
/// connections; `reflected` are the descriptor sets that upstreams gave of themselves.
///
/// # Errors
/// Every mistake, at once.
pub fn load(
    config: &Config,
    environment: &Environment,
    previous: Option<&Gateway>,
    reflected: &[SourceSet],
) -> Result<Gateway, Vec<Problem>> {
    let mut problems = Vec::new();
    let schema = match schema(config, reflected) {
        Ok(schema) => schema,
        Err(found) => {
            problems.extend(found);
            Schema::default()
        }
    };
    let mut upstreams = Vec::with_capacity(config.gateway.upstreams.len());
    for upstream in &config.gateway.upstreams {
        let kept = previous.iter().flat_map(|gateway| gateway.upstreams()).find(|kept| *kept.config() == *upstream);
        // One with TLS files is made anew: they may be what has changed.
        if let Some(kept) = kept.filter(|_| upstream.tls.is_none()) {
            upstreams.push(kept.clone());
            continue;
        }
        // One more than workers: the control plane calls upstreams too.
        let resent = environment.metrics.resent_calls.clone();
        match Upstream::new(upstream.clone(), environment.workers + 1, resent) {
            Ok(upstream) => upstreams.push(Arc::new(upstream)),
            Err(error) => problems.push(Problem { place: String::new(), message: error.to_string() }),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Gateway::build(Inputs {
        config: &config.gateway,
        schema: Arc::new(schema),
        upstreams,
        metrics: environment.metrics.clone(),
        access_log: environment.access_log.clone(),
    })
}

/// What is wrong with the files of the listeners' TLS, which listeners read themselves when they open.
#[must_use]
pub fn check_tls(config: &Config) -> Vec<Problem> {
    let check = |listener: &server::Config| {
        let error = ServerTls::load(listener.tls.clone()?).err()?;
        Some(Problem { place: String::new(), message: format!("listener {:?}: {error}", listener.name) })
    };
    config.listeners.iter().filter_map(check).collect()
}

fn schema(config: &Config, reflected: &[SourceSet]) -> Result<Schema, Vec<Problem>> {
    let mut sets = sources::read(config)?;
    sets.extend(reflected.iter().cloned());
    if sets.is_empty() {
        return Ok(Schema::default());
    }
    Schema::load(&sets).map_err(|errors| {
        errors.iter().map(|error| Problem { place: String::new(), message: error.to_string() }).collect()
    })
}
