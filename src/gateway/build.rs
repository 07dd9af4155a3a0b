//! From a checked configuration and a schema to a [`Gateway`], with every mistake at once.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use super::Gateway;
use super::admit::Policy;
use super::config::{Config, Service, Unannotated};
use super::external::Decider;
use super::guard::{Compiler, Guard};
use super::policy::{Level, Sum};
use crate::call::endpoint::{Endpoint, Parts};
use crate::call::settings::Settings;
use crate::protocol::security_headers;
use crate::route::RouteError;
use crate::route::router::{Router, TrailingSlash};
use crate::route::rule::{self, Binding, ConfiguredRule};
use crate::schema::{Method, Schema};
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::{MethodMetrics, Metrics};
use crate::transcode::plan::Plan;
use crate::upstream::Upstream;

/// What a gateway is made from.
pub struct Inputs<'a> {
    pub config: &'a Config,
    pub schema: Arc<Schema>,
    pub upstreams: Vec<Arc<Upstream>>,
    pub guard: Guard,
    pub metrics: Arc<Metrics>,
    pub access_log: Arc<AccessLog>,
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

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        Self { place: String::new(), message: error.to_string() }
    }
}

pub(super) fn build(inputs: Inputs<'_>) -> Result<Gateway, Vec<Problem>> {
    let Inputs { config, schema, upstreams, guard, metrics, access_log } = inputs;
    let mut problems = unknown_names(config, &schema);
    let (bindings, unserved) = match bindings(config, &schema, &upstreams) {
        Ok(bindings) => bindings,
        Err(errors) => {
            problems.extend(errors);
            return Err(problems);
        }
    };
    let plan = Arc::new(Plan::compile(&schema));
    let assembly = Assembly { config, schema: &schema, plan: &plan, upstreams: &upstreams, metrics: &metrics };
    let endpoints = assembly.endpoints(&bindings, &mut problems);
    let policies = assembly.policies(&bindings, &guard, &mut problems);
    let router = match Router::compile(bindings.into_iter().map(|(binding, _)| binding).collect(), |binding| {
        config.trailing_slash(&schema.method(binding.method).service)
    }) {
        Ok(router) => router,
        Err(errors) => {
            problems.extend(errors.into_iter().map(Problem::from));
            return Err(problems);
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let unmatched = Arc::new(metrics.method("", ""));
    Ok(Gateway {
        errors: config.defaults.errors.unwrap_or_default(),
        schema,
        plan,
        router,
        endpoints,
        policies,
        guard,
        cors: config.policy.cors.clone(),
        security_headers: config.policy.security_headers.as_ref().and_then(security_headers::Choice::compile),
        upstreams,
        unserved,
        metrics,
        unmatched,
        access_log,
    })
}

/// `services` that the schema does not have, and their methods.
fn unknown_names(config: &Config, schema: &Schema) -> Vec<Problem> {
    let services: BTreeSet<&str> = schema.methods().iter().map(|method| &*method.service).collect();
    let mut problems = Vec::new();
    for (name, service) in &config.services {
        if !services.contains(name.as_str()) {
            let message = format!("there is no service {name:?} in the descriptors{}", nearest(name, &services));
            problems.push(Problem { place: service.place.clone(), message });
            continue;
        }
        let methods: BTreeSet<&str> =
            schema.methods().iter().filter(|method| *method.service == **name).map(|method| &*method.name).collect();
        for (method, settings) in service.methods.iter().filter(|(method, _)| !methods.contains(method.as_str())) {
            let message = format!("{name} has no method {method:?}{}", nearest(method, &methods));
            problems.push(Problem { place: settings.place.clone(), message });
        }
    }
    problems
}

fn nearest(name: &str, known: &BTreeSet<&str>) -> String {
    match crate::route::nearest::name(name, known.iter().copied()) {
        Some(nearest) => format!(", did you mean {nearest:?}?"),
        None => String::new(),
    }
}

/// The bindings of every method that an upstream serves, with the position of the upstream, and the services that
/// none serves.
#[expect(clippy::type_complexity, reason = "two lists that are made in one pass")]
fn bindings(
    config: &Config,
    schema: &Schema,
    upstreams: &[Arc<Upstream>],
) -> Result<(Vec<(Binding, usize)>, Vec<String>), Vec<Problem>> {
    let rules: Vec<_> = config
        .rules
        .iter()
        .map(|rule| ConfiguredRule {
            selector: rule.rule.selector.clone(),
            rule: rule.rule.clone(),
            place: rule.place.clone(),
        })
        .collect();
    let unannotated = |method| match config.unannotated(&schema.method(method).service) {
        Unannotated::Expose => rule::Unannotated::Expose,
        Unannotated::Hide => rule::Unannotated::Hide,
    };
    let all = rule::bindings(schema, &rules, unannotated);
    let mut served = HashMap::new();
    let mut problems = Vec::new();
    let mut unserved = Vec::new();
    for service in schema.methods().iter().map(|method| &*method.service).collect::<BTreeSet<_>>() {
        match upstream_of(service, upstreams) {
            Ok(Some(position)) => drop(served.insert(service, position)),
            Ok(None) => unserved.push(service.to_owned()),
            Err(problem) => problems.push(problem),
        }
    }
    let all = all.unwrap_or_else(|errors| {
        problems.extend(errors.into_iter().map(Problem::from));
        Vec::new()
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    let bindings = all
        .into_iter()
        .filter_map(|binding| {
            let position = *served.get(&*schema.method(binding.method).service)?;
            Some((binding, position))
        })
        .collect();
    Ok((bindings, unserved))
}

/// The upstream that serves a service: one that names it, then the longest `package.*`, then the one that names none.
fn upstream_of(service: &str, upstreams: &[Arc<Upstream>]) -> Result<Option<usize>, Problem> {
    let rank = |upstream: &Upstream| {
        let Some(patterns) = &upstream.config().services else { return Some(0) };
        patterns.iter().filter_map(|pattern| pattern_rank(pattern, service)).max()
    };
    let ranked: Vec<(usize, usize)> =
        upstreams.iter().enumerate().filter_map(|(position, upstream)| Some((rank(upstream)?, position))).collect();
    let Some(best) = ranked.iter().map(|(rank, _)| *rank).max() else { return Ok(None) };
    let found: Vec<usize> = ranked.iter().filter(|(rank, _)| *rank == best).map(|(_, position)| *position).collect();
    match found.as_slice() {
        [position] => Ok(Some(*position)),
        several => {
            let names: Vec<_> = several
                .iter()
                .filter_map(|&position| upstreams.get(position))
                .map(|upstream| format!("{:?}", upstream.config().name))
                .collect();
            let message = format!(
                "the upstreams {} may all serve {service}: name it under the `services` of one of them",
                names.join(" and ")
            );
            Err(Problem { place: String::new(), message })
        }
    }
}

/// How well a pattern fits a service: the longer the better, a full name best.
fn pattern_rank(pattern: &str, service: &str) -> Option<usize> {
    match pattern.strip_suffix('*') {
        None => (pattern == service).then_some(usize::MAX),
        Some(prefix) => service.starts_with(prefix).then_some(prefix.len() + 1),
    }
}

/// What endpoints are made from.
struct Assembly<'a> {
    config: &'a Config,
    schema: &'a Arc<Schema>,
    plan: &'a Arc<Plan>,
    upstreams: &'a [Arc<Upstream>],
    metrics: &'a Metrics,
}

impl Assembly<'_> {
    fn endpoints(&self, bindings: &[(Binding, usize)], problems: &mut Vec<Problem>) -> Box<[Arc<Endpoint>]> {
        let mut metrics: HashMap<&str, Arc<MethodMetrics>> = HashMap::new();
        let mut endpoints = Vec::with_capacity(bindings.len());
        for (binding, upstream) in bindings {
            let method = self.schema.method(binding.method);
            let settings = self.config.settings(method);
            problems.extend(self.unknown_sse_fields(method));
            let of_method = || Arc::new(self.metrics.method(&method.service, &method.name));
            let Some(upstream) = self.upstreams.get(*upstream) else { continue };
            endpoints.push(Arc::new(Endpoint::build(Parts {
                schema: self.schema.clone(),
                plan: self.plan.clone(),
                upstream: upstream.clone(),
                binding: binding.clone(),
                settings,
                metrics: metrics.entry(&method.full_name).or_insert_with(of_method).clone(),
                ignored_status_overrides: self.metrics.ignored_status_overrides.clone(),
            })));
        }
        endpoints.into()
    }

    /// One policy a method, whichever binding leads to it.
    fn policies(
        &self,
        bindings: &[(Binding, usize)],
        guard: &Guard,
        problems: &mut Vec<Problem>,
    ) -> Box<[Arc<Policy>]> {
        let (config, schema) = (self.config, self.schema);
        let deciders = self.deciders(problems);
        let mut compiler = Compiler { config, schema, guard, deciders, problems, shared: HashMap::new() };
        let mut policies: HashMap<&str, Arc<Policy>> = HashMap::new();
        let of = |binding: &Binding| {
            let method = self.schema.method(binding.method);
            let policy = policies
                .entry(&method.full_name)
                .or_insert_with(|| Arc::new(compiler.policy(method, Sum::of(self.config.policies(method)))));
            policy.clone()
        };
        bindings.iter().map(|(binding, _)| binding).map(of).collect()
    }

    fn deciders(&self, problems: &mut Vec<Problem>) -> Vec<Arc<Decider>> {
        let mut deciders = Vec::with_capacity(self.config.external.len());
        for config in &self.config.external {
            match self.upstreams.iter().find(|upstream| upstream.config().name == config.upstream) {
                Some(upstream) => {
                    let errors = self.metrics.external_errors(&config.name);
                    deciders.push(Arc::new(Decider::new(config.clone(), upstream.clone(), errors)));
                }
                None => {
                    let message = format!("decider {:?}: there is no upstream {:?}", config.name, config.upstream);
                    problems.push(Problem { place: String::new(), message });
                }
            }
        }
        deciders
    }

    /// `sse.id_field` and `sse.event_field` of a stream must name fields of its messages. A default that only some
    /// messages have is no mistake.
    fn unknown_sse_fields(&self, method: &Method) -> Vec<Problem> {
        let Some(own) = self.config.services.get(&*method.service) else { return Vec::new() };
        let Some(own) = own.methods.get(&*method.name) else { return Vec::new() };
        let message = self.schema.message(method.output);
        [("id_field", &own.overrides.sse_id_field), ("event_field", &own.overrides.sse_event_field)]
            .into_iter()
            .filter_map(|(key, name)| Some((key, name.as_deref()?)))
            .filter(|(_, name)| message.find_field(name).is_none())
            .map(|(key, name)| Problem {
                place: own.place.clone(),
                message: format!("sse.{key}: {} has no field {name:?}", message.full_name),
            })
            .collect()
    }
}

impl Config {
    /// What holds for a method: the defaults, then its service's, then its own.
    #[must_use]
    pub fn settings(&self, method: &Method) -> Settings {
        let settings = Settings::default().with(&self.defaults);
        let Some(service) = self.services.get(&*method.service) else { return settings };
        let settings = settings.with(&service.overrides);
        match service.methods.get(&*method.name) {
            Some(own) => settings.with(&own.overrides),
            None => settings,
        }
    }

    /// What each level says of who may call a method, the outermost first.
    pub fn policies(&self, method: &Method) -> impl Iterator<Item = &Level> {
        let service = self.services.get(&*method.service);
        let own = service.and_then(|service| service.methods.get(&*method.name));
        [Some(&self.policy), service.map(|service| &service.policy), own.map(|own| &own.policy)].into_iter().flatten()
    }

    fn unannotated(&self, service: &str) -> Unannotated {
        self.service(service).and_then(|service| service.unannotated).unwrap_or(self.unannotated)
    }

    fn trailing_slash(&self, service: &str) -> TrailingSlash {
        self.service(service).and_then(|service| service.trailing_slash).unwrap_or(self.trailing_slash)
    }

    fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }
}
