//! `auth`, `rate_limits` and what levels say of them → what the gateway compiles.
//!
//! Names are resolved here; expressions are compiled when the descriptors are known.

use std::sync::Arc;

use http::HeaderName;
use ipnet::IpNet;

use super::Check;
use crate::config::file::{self, guard};
use crate::config::placed::Placed;
use crate::config::problem::Span;
use crate::gateway;
use crate::gateway::policy::{AddressRules, AuthRule, Forward, Level, LimitNames, Require, Text, Written};
use crate::protocol::cors::{self, Cors};

/// What an expression begins with.
const EXPRESSION: char = '=';

impl Check<'_> {
    /// Providers, limits and what is forwarded.
    pub(super) fn guard(&mut self, auth: guard::Auth, _rate_limits: guard::RateLimits, gateway: &mut gateway::Config) {
        gateway.forward = auth.forward.0.iter().filter_map(|(name, value)| self.forward(name, value)).collect();
    }

    fn forward(&mut self, name: &Placed<String>, value: &Placed<String>) -> Option<Forward> {
        let legal = HeaderName::try_from(&name.value).ok().filter(|name| !name.as_str().starts_with("grpc-"));
        let Some(header) = legal else {
            self.problems.push(name.span, format!("`{}` is no name of metadata", name.value));
            return None;
        };
        let value = match value.value.strip_prefix(EXPRESSION) {
            Some(text) => {
                Text::Expression(Written { place: self.problems.place(value.span).to_string(), text: text.into() })
            }
            None => Text::Literal(value.value.clone()),
        };
        Some(Forward { name: header, value })
    }

    /// What a level says of who may call.
    pub(super) fn policy(&mut self, level: &file::Level) -> Level {
        Level {
            auth: level.auth.as_ref().map(|auth| self.auth_rule(&auth.value)),
            require: level.require.as_ref().map(|require| self.require(require)),
            scopes: level.scopes.clone().unwrap_or_default(),
            roles: level.roles.clone().unwrap_or_default(),
            limits: level.limits.as_ref().map(|limits| self.limit_names(limits)),
            cost: level.cost.map(|cost| cost.0),
            addresses: level.addresses.as_ref().map(|addresses| self.address_rules(addresses)),
            forward_token: level.forward_token,
            cors: level.cors.as_ref().and_then(|cors| self.cors(cors)),
        }
    }

    fn auth_rule(&mut self, rule: &guard::AuthRule) -> AuthRule {
        match rule {
            guard::AuthRule::None => AuthRule::None,
            guard::AuthRule::Optional => AuthRule::Optional,
            guard::AuthRule::Any(any) => {
                for name in &any.any {
                    self.known(name, Section::Providers);
                }
                AuthRule::Any {
                    providers: any.any.iter().map(|name| name.value.clone()).collect(),
                    optional: any.optional,
                    inherit: any.inherit,
                }
            }
        }
    }

    fn require(&mut self, require: &Placed<guard::Require>) -> Require {
        let expressions = require.value.expressions.iter().filter_map(|expression| {
            // A single one stands where the whole value does.
            let span = if expression.span == Span::START { require.span } else { expression.span };
            self.expression(&expression.value, span)
        });
        Require { expressions: expressions.collect(), inherit: require.value.inherit }
    }

    /// An expression without its `=`.
    pub(super) fn expression(&mut self, text: &str, span: Span) -> Option<Written> {
        let Some(text) = text.strip_prefix(EXPRESSION) else {
            let message = format!("`{text}` is no expression, expected one that begins with `=`");
            self.problems.push(span, message);
            return None;
        };
        Some(Written { place: self.problems.place(span).to_string(), text: text.to_owned() })
    }

    fn limit_names(&mut self, limits: &guard::LimitNames) -> LimitNames {
        for name in &limits.names {
            self.known(name, Section::RateLimits);
        }
        let names = limits.names.iter().map(|name| name.value.clone()).collect();
        LimitNames { names, inherit: limits.inherit }
    }

    fn known(&mut self, name: &Placed<String>, section: Section) {
        let declared = match section {
            Section::Providers => &self.declared.providers,
            Section::RateLimits => &self.declared.rate_limits,
        };
        if !declared.contains(&name.value) {
            let help = super::did_you_mean(&name.value, declared.iter().map(String::as_str));
            let message = match section {
                Section::Providers => format!("there is no provider `{}` under `auth.providers`", name.value),
                Section::RateLimits => format!("there is no limit `{}` under `rate_limits`", name.value),
            };
            self.problems.push_with_help(name.span, message, help);
        }
    }

    fn address_rules(&mut self, rules: &guard::AddressRules) -> AddressRules {
        let mut nets = |list: &[Placed<String>]| list.iter().filter_map(|block| self.net(block)).collect();
        AddressRules { allow: nets(&rules.allow), deny: nets(&rules.deny), inherit: rules.inherit }
    }

    /// A CIDR block, or one address.
    pub(super) fn net(&mut self, block: &Placed<String>) -> Option<IpNet> {
        let parsed = block.value.parse().or_else(|_| block.value.parse::<std::net::IpAddr>().map(IpNet::from));
        if parsed.is_err() {
            let message = format!("`{}` is no block of addresses, expected `10.0.0.0/8` or one address", block.value);
            self.problems.push(block.span, message);
        }
        parsed.ok()
    }

    fn cors(&mut self, cors: &guard::Cors) -> Option<Arc<Cors>> {
        let texts = |list: &[Placed<String>]| list.iter().map(|text| text.value.clone()).collect::<Vec<_>>();
        let (origins, headers, expose) = (texts(&cors.origins), texts(&cors.headers), texts(&cors.expose));
        let compiled = Cors::compile(cors::Allowed {
            origins: &origins,
            credentials: cors.credentials,
            headers: &headers,
            expose: &expose,
            max_age_seconds: cors.max_age.0.as_secs(),
        });
        match compiled {
            Ok(compiled) => Some(Arc::new(compiled)),
            Err(error) => {
                let written = cors.origins.iter().chain(&cors.headers).chain(&cors.expose);
                let culprit = written.clone().find(|text| error.is_about(&text.value));
                let span = culprit.or_else(|| written.clone().next()).map_or(Span::START, |text| text.span);
                self.problems.push(span, error.to_string());
                None
            }
        }
    }
}

/// Where names are declared.
#[derive(Clone, Copy)]
enum Section {
    Providers,
    RateLimits,
}
