//! From a configuration to a gateway: descriptors read and merged, upstreams made or kept, everything compiled.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::guard::guard;
use super::sources;
use crate::config::Config;
use crate::gateway::{Gateway, Inputs, Problem};
use crate::schema::Schema;
use crate::schema::load::SourceSet;
use crate::server;
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::tls::server::ServerTls;
use crate::upstream::{self, Upstream};

/// What outlives every reload.
#[derive(Clone, Debug)]
pub struct Environment {
    pub workers: usize,
    pub metrics: Arc<Metrics>,
    pub access_log: Arc<AccessLog>,
    /// Where what fetches and connects in the background does so.
    pub control: Handle,
}

impl Environment {
    /// One that nothing is served with, for commands that only look.
    #[must_use]
    pub fn for_inspection(control: &Handle) -> Self {
        let access_log = AccessLog::start(crate::telemetry::access::Format::Off, 1);
        Self { workers: 1, metrics: Arc::default(), access_log, control: control.clone() }
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
    let known = previous.map_or(&[] as &[_], Gateway::upstreams);
    let upstreams = match upstreams(&config.gateway.upstreams, environment, known) {
        Ok(upstreams) => upstreams,
        // What needs one of them can't be made, and would say so.
        Err(found) => {
            problems.extend(found);
            return Err(problems);
        }
    };
    let guard = match guard(&config.gateway, environment, &upstreams, previous.map(Gateway::guard)) {
        Ok(guard) => guard,
        Err(found) => {
            problems.extend(found);
            return Err(problems);
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    Gateway::build(Inputs {
        config: &config.gateway,
        schema: Arc::new(schema),
        upstreams,
        guard,
        metrics: environment.metrics.clone(),
        access_log: environment.access_log.clone(),
    })
}

/// Every upstream: the one of `previous` that is made as it is, with its connections, or a new one.
fn upstreams(
    configs: &[upstream::Config],
    environment: &Environment,
    previous: &[Arc<Upstream>],
) -> Result<Vec<Arc<Upstream>>, Vec<Problem>> {
    let mut upstreams = Vec::with_capacity(configs.len());
    let mut problems = Vec::new();
    for config in configs {
        let resent = environment.metrics.resent_calls.clone();
        // One more than workers: the control plane calls upstreams too. It connects to nothing before its first call,
        // so that it costs little to make one for the comparison, which its files take part in.
        match Upstream::new(config.clone(), environment.workers + 1, resent) {
            Ok(made) => {
                let kept = previous.iter().find(|kept| kept.is_made_as(&made)).cloned();
                upstreams.push(kept.unwrap_or_else(|| Arc::new(made)));
            }
            Err(error) => problems.push(Problem { place: String::new(), message: error.to_string() }),
        }
    }
    if problems.is_empty() { Ok(upstreams) } else { Err(problems) }
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

#[cfg(test)]
mod tests;
