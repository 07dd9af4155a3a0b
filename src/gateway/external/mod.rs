//! External deciders: services that are asked whether a request may pass, by Envoy's `envoy.service.auth.v3`.
//!
//! A method's deciders are asked in order, each once and with a time of its own, and all of them must allow. None of
//! them sees the body. What goes wrong with one, a late answer and one that says nothing included, is decided by its
//! `on_error`.

mod decision;
mod question;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderName;
use http::request::Parts;
use prometheus_client::metrics::counter::Counter;

pub(super) use self::decision::Changes;
use self::decision::Decision;
pub(crate) use self::question::OWN_CONTEXT;
use self::question::Target;
use super::connection::Calling;
use crate::auth::principal::Principal;
use crate::pb::envoy::service::auth::v3::CheckResponse;
use crate::status::{Blame, Code, Status};
use crate::upstream::Upstream;
use crate::upstream::ask::ask;

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// What a configuration says of one decider, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name by which levels speak of it.
    pub name: String,
    /// The name of the upstream that serves it.
    pub upstream: String,
    /// How long a request waits for it, connecting included.
    pub timeout: Duration,
    pub on_error: OnError,
    /// The request's headers that it is told; `None` for all.
    pub headers: Option<Vec<HeaderName>>,
    /// The metadata that it may set.
    pub forward: Vec<HeaderName>,
    /// What else it is told.
    pub context: BTreeMap<String, String>,
}

/// What holds where a decider gives no decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The request is answered 503.
    #[default]
    Deny,
    /// The request passes, as if the decider had nothing to say.
    Allow,
}

/// One decider.
#[derive(Debug)]
pub(super) struct Decider {
    config: Config,
    upstream: Arc<Upstream>,
    /// Requests that it gave no decision for.
    errors: Counter,
    /// Whether the last request was such a one.
    is_failing: AtomicBool,
}

/// What a method's requests are asked about.
#[derive(Debug)]
pub(super) struct External {
    deciders: Box<[Arc<Decider>]>,
    target: Target,
}

impl Decider {
    pub(super) fn new(config: Config, upstream: Arc<Upstream>, errors: Counter) -> Self {
        Self { config, upstream, errors, is_failing: AtomicBool::new(false) }
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// Asks once. An error is no decision; then nothing of `changes` is touched.
    async fn decide(&self, asking: &Asking<'_>, target: &Target, changes: &mut Changes) -> Result<Decision, Status> {
        let question = question::of(&self.config, target, asking);
        let worker = asking.calling.connection.worker;
        let answer: CheckResponse = ask(&self.upstream, worker, CHECK, &question, self.config.timeout).await?;
        decision::read(answer, &self.config, changes)
    }

    /// Counts what is no decision, and tells the log where it begins and where it ends: once a request would be
    /// as many lines as there are requests.
    fn note(&self, failure: Option<&Status>) {
        if failure.is_some() {
            self.errors.inc();
        }
        let name = self.name();
        // Read before it is written: the workers share it, and mostly nothing changes.
        let was_failing = self.is_failing.load(Ordering::Relaxed);
        if was_failing != failure.is_some() {
            self.is_failing.store(failure.is_some(), Ordering::Relaxed);
            match failure {
                Some(error) => tracing::warn!(decider = name, %error, "an external decider gives no decision"),
                None => tracing::info!(decider = name, "the external decider decides again"),
            }
        }
    }
}

/// The request that is asked about.
#[derive(Clone, Copy)]
struct Asking<'a> {
    calling: Calling<'a>,
    head: &'a Parts,
    caller: Option<&'a Principal>,
}

impl External {
    /// These deciders, for a method. `withheld` are the names that only the gateway may set: what a client says under
    /// them is not told to the deciders either, which might believe it.
    pub(super) fn new(
        deciders: Vec<Arc<Decider>>,
        (service, method): (&str, &str),
        withheld: Arc<[HeaderName]>,
    ) -> Self {
        let target = Target { service: service.to_owned(), method: method.to_owned(), withheld };
        Self { deciders: deciders.into(), target }
    }

    /// What becomes of a request that may pass.
    pub(super) async fn decide(
        &self,
        calling: Calling<'_>,
        head: &Parts,
        caller: Option<&Principal>,
    ) -> Result<Changes, Status> {
        let asking = Asking { calling, head, caller };
        let mut changes = Changes::default();
        for decider in &self.deciders {
            let decided = decider.decide(&asking, &self.target, &mut changes).await;
            decider.note(decided.as_ref().err());
            match (decided, decider.config.on_error) {
                (Ok(Decision::Allowed), _) | (Err(_), OnError::Allow) => {}
                (Ok(Decision::Denied(status)), _) => return Err(status.with_refusal("external")),
                (Err(error), OnError::Deny) => {
                    let message = "the request can't be authorized at the moment";
                    return Err(Status::new(Code::Unavailable, Blame::Gateway, message)
                        .with_cause(format!("external decider {:?}: {error}", decider.name()))
                        .with_refusal("external_unavailable"));
                }
            }
        }
        Ok(changes)
    }
}
