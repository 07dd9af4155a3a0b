//! What judges callers: made, or kept from the gateway before where nothing of it changed, and kept fresh by tasks of
//! the control plane.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::load::Environment;
use crate::auth;
use crate::auth::api_key::ApiKeys;
use crate::auth::authenticate::Provider;
use crate::auth::client_certificate::ClientCertificates;
use crate::auth::fetch::Client;
use crate::auth::introspection::Introspection;
use crate::auth::issuer::Issuer;
use crate::auth::signer::Signer;
use crate::gateway::config::Config;
use crate::gateway::guard::Guard;
use crate::gateway::{self, Problem};
use crate::limit::Limits;
use crate::limit::rule::Scope;
use crate::limit::store::Store;
use crate::upstream::Upstream;

/// How long serving waits for the store of shared limits: what comes before it is there is held to `on_error`.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// Makes what a configuration names.
pub(super) fn guard(
    config: &Config,
    environment: &Environment,
    upstreams: &[Arc<Upstream>],
    previous: Option<&Guard>,
) -> Result<Guard, Vec<Problem>> {
    // What fetches, or connects to a store, does so on the control plane.
    let _entered = environment.control.enter();
    let mut problems = Vec::new();
    let problem = |message: String| Problem { place: String::new(), message };
    let mut client = None;
    let mut providers = Vec::with_capacity(config.providers.len());
    for wanted in &config.providers {
        let kept = previous.into_iter().flat_map(|guard| &guard.providers).find(|kept| kept.config() == *wanted);
        match kept.cloned().map_or_else(|| provider(wanted, &mut client), Ok) {
            Ok(provider) => providers.push(provider),
            Err(message) => problems.push(problem(message)),
        }
    }
    let signer = match config.sign.as_ref().map(|sign| signer(sign, previous)).transpose() {
        Ok(signer) => signer,
        Err(found) => {
            problems.push(found);
            None
        }
    };
    let rules: Vec<_> = config.limits.iter().flat_map(|rule| rule.policies.iter().cloned()).collect();
    let counted = previous.map(|guard| &*guard.limits);
    let store = match config.store.as_ref().filter(|_| rules.iter().any(|rule| rule.scope == Scope::Shared)) {
        Some(store) => {
            let before = counted.and_then(Limits::store);
            let opened = Store::open(store, upstreams, environment.workers, before);
            opened.map(Some).map_err(|error| problems.push(problem(error.to_string())))
        }
        None => Ok(None),
    };
    let Ok(store) = store else { return Err(problems) };
    match Limits::build(&rules, store, &environment.metrics, counted) {
        Ok(limits) if problems.is_empty() => return Ok(Guard { providers, limits: Arc::new(limits), signer }),
        Ok(_) => {}
        Err(error) => problems.push(problem(error.to_string())),
    }
    Err(problems)
}

/// Waits until the store of shared limits is there, if there is one, but not for long. Clients that come meanwhile wait
/// in the queues of the sockets, or are served by the gateway before.
pub(super) async fn store_is_there(guard: &Guard) {
    if let Some(store) = guard.limits.store() {
        store.ready(STORE_WAIT).await;
    }
}

/// What signs: kept where nothing of it changed, with the tokens that it remembers.
fn signer(sign: &gateway::config::Sign, previous: Option<&Guard>) -> Result<Arc<Signer>, Problem> {
    let known = previous.and_then(|guard| guard.signer.as_ref());
    if let Some(kept) = known.filter(|known| *known.config() == sign.config) {
        return Ok(kept.clone());
    }
    let made = Signer::build(sign.config.clone(), known.map(|known| &**known));
    made.map(Arc::new).map_err(|error| Problem { place: sign.place.clone(), message: format!("`sign`: {error}") })
}

fn provider(config: &auth::Config, client: &mut Option<Client>) -> Result<Provider, String> {
    let mut client = || match client {
        Some(client) => Ok(client.clone()),
        None => Client::new(None).map(|new| client.insert(new).clone()).map_err(|error| error.to_string()),
    };
    let named = |name: &str, error: &dyn std::fmt::Display| format!("provider {name:?}: {error}");
    Ok(match config.clone() {
        auth::Config::Jwt(config) => {
            let name = config.name.clone();
            let issuer = Issuer::build(config, client()?).map_err(|error| named(&name, &error))?;
            Provider::Jwt(Arc::new(issuer))
        }
        auth::Config::Introspection(config) => {
            let name = config.name.clone();
            let introspector = Introspection::build(config, client()?).map_err(|error| named(&name, &error))?;
            Provider::Introspection(Arc::new(introspector))
        }
        auth::Config::ApiKeys(config) => {
            let name = config.name.clone();
            Provider::ApiKeys(Arc::new(ApiKeys::build(config).map_err(|error| named(&name, &error))?))
        }
        auth::Config::ClientCertificates(config) => {
            Provider::ClientCertificates(Arc::new(ClientCertificates::build(config)))
        }
    })
}

/// The tasks that keep providers fresh, one for each.
pub(super) struct Keeping {
    pub(super) runtime: Handle,
    pub(super) tasks: Vec<(Provider, AbortHandle)>,
}

impl Keeping {
    /// Keeps these fresh, and no others.
    pub(super) fn follow(&mut self, providers: &[Provider]) {
        self.tasks.retain(|(kept, task)| {
            let named = providers.iter().any(|provider| is_same(provider, kept));
            if !named {
                task.abort();
            }
            named
        });
        for provider in providers {
            if self.tasks.iter().any(|(kept, _)| is_same(provider, kept)) {
                continue;
            }
            let task = match provider.clone() {
                Provider::Jwt(issuer) => self.runtime.spawn(issuer.run()),
                Provider::ApiKeys(keys) => self.runtime.spawn(keys.run()),
                Provider::Introspection(_) | Provider::ClientCertificates(_) => continue,
            };
            self.tasks.push((provider.clone(), task.abort_handle()));
        }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.tasks.iter().for_each(|(_, task)| task.abort());
    }
}

fn is_same(one: &Provider, other: &Provider) -> bool {
    match (one, other) {
        (Provider::Jwt(one), Provider::Jwt(other)) => Arc::ptr_eq(one, other),
        (Provider::ApiKeys(one), Provider::ApiKeys(other)) => Arc::ptr_eq(one, other),
        (
            Provider::Jwt(_) | Provider::ApiKeys(_) | Provider::Introspection(_) | Provider::ClientCertificates(_),
            Provider::Jwt(_) | Provider::ApiKeys(_) | Provider::Introspection(_) | Provider::ClientCertificates(_),
        ) => false,
    }
}
