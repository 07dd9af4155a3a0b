//! From what levels say of callers to the [`Policy`] of each method: names become providers and limits, expressions are
//! compiled by the method's request type.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};

use super::Problem;
use super::admit::{AnyOf, Policy};
use super::config::Config;
use super::counting::{Counted, Counting, Tier};
use super::external::{Decider, External};
use super::identity::{Forwarded, ForwardedValue, Identity};
use super::policy::{self, LimitRule, Sum, Text, Written};
use crate::auth::authenticate::Provider;
use crate::auth::location::TokenLocation;
use crate::auth::signer::Signer;
use crate::auth::trouble::Failing;
use crate::expression::typing::Type;
use crate::expression::{Environment, Expression};
use crate::limit::rule::{Quota, Rate};
use crate::limit::{Limit, Limits};
use crate::schema::{Method, Schema};
use crate::telemetry::metrics::Metrics;

/// What of a gateway judges callers, and outlives a reload that changes nothing of it.
#[derive(Debug)]
pub struct Guard {
    pub providers: Vec<Provider>,
    pub limits: Arc<Limits>,
    /// What signs the gateway's own tokens.
    pub signer: Option<Arc<Signer>>,
}

impl Guard {
    /// Whether both have the very same signer, or none.
    #[must_use]
    pub fn signs_as(&self, other: &Self) -> bool {
        match (&self.signer, &other.signer) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Tells the metrics how issuers and the store stand.
    pub fn tell(&self, metrics: &Metrics) {
        let connected = self.limits.store().is_some_and(|store| store.connected());
        metrics.limit_store_connected.set(i64::from(connected));
        for provider in &self.providers {
            if let Provider::Jwt(issuer) = provider {
                metrics.issuer_keys(provider.name(), issuer.last_success());
            }
            if let Some(trouble) = provider.trouble() {
                metrics.provider_failures(provider.name(), trouble.failures());
            }
            if let Provider::Introspection(introspector) = provider {
                metrics.introspection(provider.name(), introspector.failures());
            }
        }
    }

    /// What providers fail at now, with their names.
    pub fn troubles(&self) -> impl Iterator<Item = (&str, Failing)> {
        self.providers.iter().filter_map(|provider| Some((provider.name(), provider.trouble()?.current()?)))
    }
}

/// Why a name that a level uses is found.
const KNOWN: &str = "the names in a configuration are checked when it is read";

/// Compiles policies.
pub(super) struct Compiler<'a> {
    pub(super) config: &'a Config,
    pub(super) schema: &'a Schema,
    pub(super) guard: &'a Guard,
    pub(super) deciders: Vec<Arc<Decider>>,
    pub(super) problems: &'a mut Vec<Problem>,
    /// Compiled once for all methods that can share them.
    pub(super) shared: HashMap<Written, Option<Arc<Expression>>>,
}

impl Compiler<'_> {
    /// The policy of one method.
    pub(super) fn policy(&mut self, method: &Method, sum: Sum) -> Policy {
        if sum.optional_of_nothing {
            let message =
                format!("{} has `auth: optional`, and no level above names a provider for it", method.full_name);
            self.problems.push(Problem { place: String::new(), message });
        }
        let is_spoken_of = sum.auth.is_some();
        let closed = sum.auth.is_none() && self.config.asks_for_credentials();
        let (providers, lists) = self.providers(sum.auth.as_deref().unwrap_or_default());
        let is_open = lists.is_empty();
        if is_open && !(sum.scopes.is_empty() && sum.roles.is_empty()) {
            let message = format!(
                "{} asks for scopes or roles, and no `auth` says whose: nobody could call it, expected a provider",
                method.full_name
            );
            self.problems.push(Problem { place: String::new(), message });
        }
        let require: Vec<_> =
            sum.require.iter().filter_map(|written| self.expression(written, method, Type::Bool)).collect();
        let (require_of_message, require): (Vec<_>, Vec<_>) =
            require.into_iter().partition(|required| required.uses_request());
        let identity = Identity {
            forward: self.forward(method),
            signer: self.guard.signer.clone(),
            withheld: self.withheld(&providers, sum.forward_token),
            withheld_cookies: cookies(&providers, sum.forward_token),
        };
        if sum.forward_token {
            self.tell_of_two_tokens(&providers);
        }
        Policy {
            limits: self.counting(&sum, method),
            external: self.external(&sum, method),
            challenge: (!is_open).then(|| challenge(&providers)),
            addresses: sum.addresses.into(),
            cors: sum.cors,
            security_headers: sum.security_headers.compile(),
            providers: providers.into(),
            lists,
            is_spoken_of,
            closed,
            scopes: sum.scopes.into(),
            roles: sum.roles.into(),
            require: require.into(),
            require_of_message: require_of_message.into(),
            identity,
        }
    }

    /// The providers that the lists name, and the lists as positions among them. The names are known.
    fn providers(&self, lists: &[policy::AnyOf]) -> (Vec<Provider>, Box<[AnyOf]>) {
        let mut providers: Vec<Provider> = Vec::new();
        let mut position = |name: &String| {
            let known = providers.iter().position(|provider| provider.name() == name);
            known.or_else(|| {
                let provider = self.guard.providers.iter().find(|provider| provider.name() == name)?;
                providers.push(provider.clone());
                Some(providers.len() - 1)
            })
        };
        let lists = lists.iter().map(|list| AnyOf {
            providers: list.providers.iter().filter_map(&mut position).collect(),
            optional: list.optional,
        });
        let lists = lists.collect();
        (providers, lists)
    }

    /// An expression of a method; one that does not look at the message is compiled once for all methods.
    fn expression(&mut self, written: &Written, method: &Method, expected: Type) -> Option<Arc<Expression>> {
        if let Some(known) = self.shared.get(written) {
            return known.clone();
        }
        let environment = Environment { request: Some((self.schema, method.input)) };
        match Expression::compile(&written.text, &environment, expected) {
            Ok(expression) => {
                let expression = Arc::new(expression);
                if !expression.uses_request() {
                    self.shared.insert(written.clone(), Some(expression.clone()));
                }
                Some(expression)
            }
            Err(mistakes) => {
                // Told once, not once a method that has it.
                self.shared.insert(written.clone(), None);
                for mistake in mistakes {
                    let caret = caret(&written.text, &mistake.range);
                    let message = format!("{mistake}, in the expression of {}\n{caret}", method.full_name);
                    self.problems.push(Problem { place: written.place.clone(), message });
                }
                None
            }
        }
    }

    fn forward(&mut self, method: &Method) -> Arc<[Forwarded]> {
        let mut compiled = Vec::with_capacity(self.config.forward.len());
        for forward in &self.config.forward {
            let value = match &forward.value {
                Text::Literal(value) => Some(ForwardedValue::Literal(value.clone())),
                Text::Expression(written) => {
                    let expression = self.expression(written, method, Type::Dyn);
                    if expression.as_ref().is_some_and(|expression| expression.uses_request()) {
                        let message =
                            "`forward` looks at `request`, expected `auth`, `client` and `http` alone".to_owned();
                        self.problems.push(Problem { place: written.place.clone(), message });
                    }
                    expression.map(ForwardedValue::Expression)
                }
            };
            compiled.extend(value.map(|value| Forwarded { name: forward.name.clone(), value }));
        }
        compiled.into()
    }

    /// What ends at the gateway: names that only it may set, whoever calls, and credentials that it verified.
    fn withheld(&self, providers: &[Provider], forward_token: bool) -> Box<[HeaderName]> {
        let credentials = providers.iter().filter_map(Provider::header).filter(|_| !forward_token);
        let signed = self.config.sign.iter().map(|sign| sign.config.header.clone());
        self.own_names().chain(signed).chain(credentials).collect()
    }

    /// Metadata that says who calls: only the gateway may set it, by itself or as deciders say.
    fn own_names(&self) -> impl Iterator<Item = HeaderName> {
        let identity = self.config.forward.iter().map(|forward| &forward.name);
        identity.chain(self.config.external.iter().flat_map(|external| &external.forward)).cloned()
    }

    /// The deciders that the levels name.
    fn external(&self, sum: &Sum, method: &Method) -> Option<External> {
        let find = |name: &String| self.deciders.iter().find(|decider| decider.name() == name).cloned();
        // To leave one out would let pass what it denies.
        let deciders: Vec<_> = sum.external.iter().map(|name| find(name).expect(KNOWN)).collect();
        let external = || External::new(deciders.clone(), (&method.service, &method.name), self.own_names().collect());
        (!deciders.is_empty()).then(external)
    }

    /// One header can't hold the caller's credential and the gateway's token.
    fn tell_of_two_tokens(&mut self, providers: &[Provider]) {
        let Some(sign) = &self.config.sign else { return };
        let header = &sign.config.header;
        let Some(provider) = providers.iter().find(|provider| provider.header().as_ref() == Some(header)) else {
            return;
        };
        let message = format!(
            "`forward_token` passes `{header}` on with what provider `{}` verified, where `sign` puts the gateway's own \
             token: expected another `header` for `sign`",
            provider.name()
        );
        let problem = Problem { place: sign.place.clone(), message };
        // Once, not for each method.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn counting(&mut self, sum: &Sum, method: &Method) -> Option<Arc<Counting>> {
        let cost = NonZeroU32::new(sum.cost.unwrap_or(1)).unwrap_or(NonZeroU32::MIN);
        let (mut before, mut after, mut by_message) = (Vec::new(), Vec::new(), Vec::new());
        for name in &sum.limits {
            let rule = self.config.limits.iter().find(|rule| rule.name == *name).expect(KNOWN);
            let Some(counted) = self.counted(rule, method, cost) else { continue };
            let uses = |test: fn(&Expression) -> bool| test(&counted.key) || counted.tier.as_deref().is_some_and(test);
            let stage = match () {
                () if uses(Expression::uses_request) => &mut by_message,
                () if uses(Expression::uses_auth) => &mut after,
                () => &mut before,
            };
            stage.push(counted);
        }
        if before.is_empty() && after.is_empty() && by_message.is_empty() {
            return None;
        }
        Some(Arc::new(Counting {
            all: self.guard.limits.clone(),
            before: before.into(),
            after: after.into(),
            by_message: by_message.into(),
            cost,
            style: self.config.limit_style,
        }))
    }

    fn counted(&mut self, rule: &LimitRule, method: &Method, cost: NonZeroU32) -> Option<Counted> {
        let key = self.expression(&rule.key, method, Type::Dyn)?;
        let tier = match &rule.tier {
            Some(tier) => Some(self.expression(tier, method, Type::String)?),
            None => None,
        };
        let mut tiers = Vec::with_capacity(rule.policies.len() + 1);
        for config in &rule.policies {
            if let Err(error) = config.check(cost) {
                let message = format!("{}: {error}", method.full_name);
                self.problems.push(Problem { place: rule.place.clone(), message });
                return None;
            }
            let limit = self.guard.limits.find(&config.name, config.tier.as_deref())?;
            tiers.push(Tier { name: config.tier.clone(), limit: limit.clone() });
        }
        if !tiers.iter().any(|tier| tier.name.is_none()) {
            let smallest = tiers.iter().min_by(|a, b| per_second(&a.limit).total_cmp(&per_second(&b.limit)));
            let smallest = smallest.map(|tier| Tier { name: None, limit: tier.limit.clone() });
            tiers.extend(smallest);
        }
        Some(Counted { key, tier, tiers: tiers.into() })
    }
}

/// How much a limit allows in the long run.
fn per_second(limit: &Limit) -> f64 {
    let policy = limit.config().policy;
    let of_rate = |rate: Rate| f64::from(rate.count().get()) / rate.window().duration().as_secs_f64();
    let of_quota = |quota: Quota| f64::from(quota.count.get()) / quota.window.longest().as_secs_f64();
    policy.rate.map_or(f64::INFINITY, of_rate).min(policy.quota.map_or(f64::INFINITY, of_quota))
}

/// What a 401 asks for: tokens where any provider takes them, or else keys.
fn challenge(providers: &[Provider]) -> HeaderValue {
    let takes_tokens = providers.iter().any(|provider| provider.location().is_some());
    HeaderValue::from_static(if takes_tokens { "Bearer realm=\"lockgate\"" } else { "ApiKey realm=\"lockgate\"" })
}

fn cookies(providers: &[Provider], forward_token: bool) -> Box<[String]> {
    let cookie = |provider: &Provider| match provider.location() {
        Some(TokenLocation::Cookie(name)) => Some(name.clone()),
        Some(TokenLocation::Bearer | TokenLocation::Header(_)) | None => None,
    };
    providers.iter().filter_map(cookie).filter(|_| !forward_token).collect()
}

/// The line of the text that a range begins in, with a mark below what it is about.
fn caret(text: &str, range: &std::ops::Range<usize>) -> String {
    let start = range.start.min(text.len());
    let before = text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
    let indent = text.get(line_start..start).unwrap_or_default().chars().count();
    let about = text.get(start..range.end.min(line_start + line.len()).max(start)).unwrap_or_default();
    format!("  ={line}\n   {}{}", " ".repeat(indent), "^".repeat(about.chars().count().max(1)))
}
