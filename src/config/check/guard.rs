//! `auth`, `rate_limits` and what levels say of them → what the gateway compiles.
//!
//! Names are resolved here; expressions are compiled when the descriptors are known.

use std::num::NonZeroU32;
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};

use super::Check;
use crate::auth::fetch::Url;
use crate::auth::jwt::MAX_LEEWAY;
use crate::auth::key_source::KeySource;
use crate::auth::location::TokenLocation;
use crate::auth::secret::Secret;
use crate::auth::{self, api_key, client_certificate, introspection, issuer};
use crate::config::file::{self, guard};
use crate::config::placed::Placed;
use crate::config::problem::Span;
use crate::config::unit::{Count, print_time};
use crate::gateway;
use crate::gateway::policy::{AddressLists, AuthRule, Forward, Level, LimitRule, Names, Require, Text, Written};
use crate::limit::headers::Style;
use crate::limit::rule;
use crate::limit::store::{Kind, RedisConfig, ServiceConfig, StoreConfig};
use crate::protocol::client_address::AddressRules;
use crate::protocol::cors::{self, Cors};

/// What an expression begins with.
const EXPRESSION: char = '=';

impl Check<'_> {
    /// Providers, limits and what is forwarded.
    pub(super) fn guard(&mut self, auth: guard::Auth, rate_limits: guard::RateLimits, gateway: &mut gateway::Config) {
        gateway.sign = auth.sign.and_then(|sign| self.sign(sign, &auth.forward));
        gateway.forward = auth.forward.0.iter().filter_map(|(name, value)| self.forward(name, value)).collect();
        gateway.providers = auth.providers.0.into_iter().filter_map(|(name, it)| self.provider(&name, it)).collect();
        let external = auth.external.0.into_iter().filter_map(|(name, it)| self.external(&name, it, &gateway.forward));
        gateway.external = external.collect();
        let on_error = rate_limits.store.as_ref().map(|store| store.value.on_error).unwrap_or_default();
        let by = match &rate_limits.store {
            None => SharedBy::Nobody,
            Some(store) if store.value.upstream.is_some() => SharedBy::Service,
            Some(_) => SharedBy::Redis,
        };
        let sharing = Sharing { on_error, by };
        gateway.store = rate_limits.store.and_then(|store| self.store(store));
        let limits = rate_limits.limits.0.into_iter().filter_map(|(name, limit)| self.limit(&name, limit, &sharing));
        gateway.limits = limits.collect();
        gateway.limit_style = match rate_limits.headers {
            guard::LimitHeaders::Ietf => Style::Draft,
            guard::LimitHeaders::X => Style::X,
            guard::LimitHeaders::Both => Style::Both,
            guard::LimitHeaders::Off => Style::Off,
        };
    }

    fn provider(&mut self, name: &Placed<String>, provider: guard::Provider) -> Option<auth::Config> {
        let guard::Provider { jwt, introspection, api_key, mtls } = provider;
        let of: Arc<str> = name.value.as_str().into();
        match (jwt, introspection, api_key, mtls) {
            (Some(jwt), None, None, None) => self.jwt(of, jwt).map(auth::Config::Jwt),
            (None, Some(asked), None, None) => self.introspection(of, asked).map(auth::Config::Introspection),
            (None, None, Some(keys), None) => self.api_key(of, keys).map(auth::Config::ApiKeys),
            (None, None, None, Some(names)) => self.mtls(of, &names).map(auth::Config::ClientCertificates),
            _ => {
                let message = format!(
                    "provider `{}` is of no kind or of several, expected exactly one of `jwt`, `introspection`, \
                     `api_key` and `mtls`",
                    name.value
                );
                self.problems.push(name.span, message);
                None
            }
        }
    }

    fn jwt(&mut self, name: Arc<str>, jwt: guard::Jwt) -> Option<issuer::Config> {
        if jwt.audience.is_empty() {
            self.problems.push(jwt.issuer.span, "`audience` is empty: tokens for other services would be taken");
        }
        let keys = match jwt.jwks.value.as_str() {
            "discover" => KeySource::Discover,
            url if url.contains("://") => KeySource::Url(url.to_owned()),
            file => KeySource::File(self.path(file)),
        };
        let fetched = match &keys {
            KeySource::Discover => Some(&jwt.issuer),
            KeySource::Url(_) => Some(&jwt.jwks),
            KeySource::File(_) => None,
        };
        if let Some(url) = fetched {
            self.url(url);
        }
        Some(issuer::Config {
            location: self.location(jwt.header, jwt.cookie)?,
            leeway: jwt.leeway.0,
            roles_claim: jwt.roles_claim,
            ..issuer::Config::new(name, jwt.issuer.value, jwt.audience, keys)
        })
    }

    fn introspection(&mut self, name: Arc<str>, asked: guard::Introspection) -> Option<introspection::Config> {
        self.url(&asked.endpoint);
        for (key, found, max) in [
            ("ttl", Placed { value: asked.ttl.value.0, span: asked.ttl.span }, introspection::MAX_TTL),
            ("stale", Placed { value: asked.stale.value.0, span: asked.stale.span }, introspection::MAX_STALE),
            ("leeway", Placed { value: asked.leeway.value.0, span: asked.leeway.span }, MAX_LEEWAY),
        ] {
            if found.value > max {
                let (found_time, max) = (print_time(found.value), print_time(max));
                self.problems.push(found.span, format!("found `{found_time}` for `{key}`, expected at most `{max}`"));
            }
        }
        if let Some(empty) = asked.issuer.as_ref().filter(|issuer| issuer.value.is_empty()) {
            self.problems.push(empty.span, "`issuer` is empty, expected the `iss` of the answers");
        }
        Some(introspection::Config {
            location: self.location(asked.header, asked.cookie)?,
            issuer: asked.issuer.map(|issuer| issuer.value),
            audience: asked.audience,
            leeway: asked.leeway.value.0,
            roles_claim: asked.roles_claim,
            ttl: asked.ttl.value.0,
            stale: asked.stale.value.0,
            ..introspection::Config::new(name, asked.endpoint.value, asked.client_id, Secret::new(asked.client_secret))
        })
    }

    fn api_key(&mut self, name: Arc<str>, keys: guard::ApiKey) -> Option<api_key::Config> {
        Some(api_key::Config {
            name,
            file: self.path(&keys.keys.value),
            header: self.header(&keys.header)?,
            pepper: keys.pepper.map(Secret::new),
        })
    }

    fn mtls(&mut self, name: Arc<str>, names: &guard::Mtls) -> Option<client_certificate::Config> {
        let mut patterns = Vec::new();
        for subject in &names.subjects {
            match subject.value.parse::<client_certificate::Pattern>() {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => self.problems.push(subject.span, error.to_string()),
            }
        }
        Some(client_certificate::Config { name, patterns })
    }

    fn url(&mut self, url: &Placed<String>) {
        if let Err(error) = Url::parse(&url.value) {
            self.problems.push(url.span, error.to_string());
        }
    }

    fn location(&mut self, header: Option<Placed<String>>, cookie: Option<Placed<String>>) -> Option<TokenLocation> {
        match (header, cookie) {
            (None, None) => Some(TokenLocation::Bearer),
            (Some(header), None) => self.header(&header).map(TokenLocation::Header),
            (None, Some(cookie)) => Some(TokenLocation::Cookie(cookie.value)),
            (Some(_), Some(cookie)) => {
                self.problems.push(cookie.span, "`cookie` stands beside `header`, expected one place for a token");
                None
            }
        }
    }

    pub(super) fn header(&mut self, name: &Placed<String>) -> Option<HeaderName> {
        let header = HeaderName::try_from(&name.value).ok();
        if header.is_none() {
            self.problems.push(name.span, format!("`{}` is no header name", name.value));
        }
        header
    }

    fn store(&mut self, store: Placed<guard::Store>) -> Option<StoreConfig> {
        let Placed { value: guard::Store { url, ca, upstream, domain, timeout, on_error: _ }, span } = store;
        let kind = match (url, upstream) {
            (Some(url), None) => {
                if let Some(domain) = domain {
                    self.problems.push(domain.span, "`domain` stands without `upstream`");
                }
                let ca = ca.filter(|ca| ca.value != "system");
                if let Some(ca) =
                    ca.as_ref().filter(|_| !url.value.starts_with("rediss") && !url.value.starts_with("valkeys"))
                {
                    self.problems.push(ca.span, "`ca` stands beside a `url` without TLS, expected `rediss://…`");
                }
                let ca = ca.map(|ca| self.path(&ca.value));
                Kind::Redis(RedisConfig { ca, ..RedisConfig::new(url.value) })
            }
            (None, Some(upstream)) => {
                if let Some(ca) = ca {
                    let message = "`ca` stands beside `upstream`, expected it in the `tls` of that upstream";
                    self.problems.push(ca.span, message);
                }
                self.known(&upstream, Section::Upstreams);
                if let Some(domain) = domain.as_ref().filter(|domain| domain.value.is_empty()) {
                    self.problems.push(domain.span, "`domain` is empty");
                }
                let domain = domain.map_or_else(|| guard::DEFAULT_DOMAIN.to_owned(), |domain| domain.value);
                Kind::Service(ServiceConfig { upstream: upstream.value, domain })
            }
            (Some(_), Some(_)) | (None, None) => {
                self.problems.push(span, "`store` has neither `url` nor `upstream` or both, expected one of them");
                return None;
            }
        };
        Some(StoreConfig { timeout: timeout.0, ..StoreConfig::new(kind) })
    }

    fn limit(&mut self, name: &Placed<String>, limit: guard::Limit, sharing: &Sharing) -> Option<LimitRule> {
        let by = match limit.scope {
            guard::LimitScope::Local => None,
            guard::LimitScope::Shared => Some(sharing.by),
        };
        if by == Some(SharedBy::Nobody) {
            let message = format!("limit `{}` is shared, expected `rate_limits.store` to say where", name.value);
            self.problems.push(name.span, message);
        }
        let place = self.problems.place(name.span).to_string();
        let key = self.expression(&limit.key.value, limit.key.span)?;
        let tier = match &limit.tier {
            Some(tier) => Some(self.expression(&tier.value, tier.span)?),
            None => None,
        };
        if limit.tier.is_some() == limit.tiers.0.is_empty() {
            self.problems.push(name.span, "`tier` and `tiers` go together, expected both or neither");
        }
        let own = guard::Tier { rate: limit.rate, burst: limit.burst, quota: limit.quota };
        let has_own = own.rate.is_some() || own.quota.is_some();
        let mut written: Vec<(Option<Arc<str>>, guard::Tier)> = Vec::new();
        if has_own || limit.tiers.0.is_empty() {
            written.push((None, own));
        }
        written.extend(limit.tiers.0.into_iter().map(|(name, tier)| (Some(name.value.as_str().into()), tier)));
        let config = |tier, policy| rule::Config {
            name: name.value.as_str().into(),
            tier,
            key: key.text.as_str().into(),
            policy,
            scope: match limit.scope {
                guard::LimitScope::Local => rule::Scope::Local,
                guard::LimitScope::Shared => rule::Scope::Shared,
            },
            on_error: match sharing.on_error {
                guard::OnError::Local => rule::OnError::Local,
                guard::OnError::Allow => rule::OnError::Allow,
                guard::OnError::Deny => rule::OnError::Deny,
            },
            shadow: limit.shadow,
            max_keys: rule::DEFAULT_MAX_KEYS,
        };
        let mut policies = Vec::with_capacity(written.len());
        for (tier, written) in written {
            let policy = self.limit_policy(name, &written)?;
            if let (Some(SharedBy::Service), Some(burst)) = (by, written.burst) {
                self.burst_of_service(policy, &burst);
            }
            policies.push(config(tier, policy));
        }
        Some(LimitRule { name: name.value.clone(), place, key, tier, policies })
    }

    fn limit_policy(&mut self, name: &Placed<String>, tier: &guard::Tier) -> Option<rule::Policy> {
        let rate = match &tier.rate {
            Some(rate) => Some(self.parsed::<rule::Rate>(rate)?),
            None => None,
        };
        let quota = match &tier.quota {
            Some(quota) => Some(self.parsed::<rule::Quota>(quota)?),
            None => None,
        };
        let rate = match (rate, &tier.burst) {
            (Some(rate), Some(burst)) => {
                let burst_count = NonZeroU32::new(burst.value.0)?;
                match rate.with_burst(burst_count) {
                    Ok(rate) => Some(rate),
                    Err(error) => {
                        self.problems.push(burst.span, error.to_string());
                        return None;
                    }
                }
            }
            (None, Some(burst)) => {
                self.problems.push(burst.span, "`burst` stands without `rate`");
                None
            }
            (rate, None) => rate,
        };
        if rate.is_none() && quota.is_none() {
            let message = format!("limit `{}` limits nothing, expected `rate`, `quota` or both", name.value);
            self.problems.push(name.span, message);
            return None;
        }
        Some(rule::Policy { rate, quota })
    }

    /// The protocol of rate limit services says how many in which unit, and nothing else.
    fn burst_of_service(&mut self, policy: rule::Policy, burst: &Placed<Count>) {
        if let Some(rate) = policy.rate.filter(|rate| rate.burst() != rate.count()) {
            let message = format!(
                "a burst of {} can't be told to a rate limit service, expected none beside {rate}, or a store with `url`",
                burst.value.0
            );
            self.problems.push(burst.span, message);
        }
    }

    fn parsed<T: std::str::FromStr<Err = rule::RuleError>>(&mut self, text: &Placed<String>) -> Option<T> {
        text.value.parse().map_err(|error: rule::RuleError| self.problems.push(text.span, error.to_string())).ok()
    }

    fn forward(&mut self, name: &Placed<String>, value: &Placed<String>) -> Option<Forward> {
        let legal = HeaderName::try_from(&name.value).ok().filter(|name| is_for_text(name.as_str()));
        let Some(header) = legal else {
            self.problems.push(name.span, format!("`{}` is no name of metadata that has a text", name.value));
            return None;
        };
        let value = match value.value.strip_prefix(EXPRESSION) {
            Some(text) => {
                Text::Expression(Written { place: self.problems.place(value.span).to_string(), text: text.into() })
            }
            None if ["auth.", "client.", "http."].iter().any(|variable| value.value.starts_with(variable)) => {
                let message = format!("`{}` is a literal, expected `={}` for an expression", value.value, value.value);
                self.problems.push(value.span, message);
                return None;
            }
            None => {
                let literal = HeaderValue::try_from(&value.value).ok().filter(|literal| literal.to_str().is_ok());
                let Some(literal) = literal else {
                    let message = format!("`{}` can't be sent as metadata, expected visible ASCII", value.value);
                    self.problems.push(value.span, message);
                    return None;
                };
                Text::Literal(literal)
            }
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
            external: level.external.as_ref().map(|external| self.external_names(external)),
            limits: level.limits.as_ref().map(|limits| self.limit_names(limits)),
            cost: level.cost.map(|cost| cost.0),
            addresses: level.addresses.as_ref().map(|addresses| self.address_lists(addresses)),
            forward_token: level.forward_token,
            cors: level.cors.as_ref().and_then(|cors| self.cors(cors)),
            security_headers: level.security_headers.as_ref().map(|said| self.security_headers(said)),
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

    fn limit_names(&mut self, limits: &guard::LimitNames) -> Names {
        for name in &limits.names {
            self.known(name, Section::RateLimits);
        }
        let names = limits.names.iter().map(|name| name.value.clone()).collect();
        Names { names, inherit: limits.inherit }
    }

    fn known(&mut self, name: &Placed<String>, section: Section) {
        let declared = match section {
            Section::Providers => &self.declared.providers,
            Section::RateLimits => &self.declared.rate_limits,
            Section::Upstreams => &self.declared.upstreams,
        };
        if !declared.contains(&name.value) {
            let help = super::did_you_mean(&name.value, declared.iter().map(String::as_str));
            let message = match section {
                Section::Providers => format!("there is no provider `{}` under `auth.providers`", name.value),
                Section::RateLimits => format!("there is no limit `{}` under `rate_limits`", name.value),
                Section::Upstreams => format!("there is no upstream `{}`", name.value),
            };
            self.problems.push_with_help(name.span, message, help);
        }
    }

    fn address_lists(&mut self, lists: &guard::AddressRules) -> AddressLists {
        let rules = AddressRules { allow: self.networks(&lists.allow), deny: self.networks(&lists.deny) };
        AddressLists { rules, inherit: lists.inherit }
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
    Upstreams,
}

/// What the store says of the limits that it has.
struct Sharing {
    on_error: guard::OnError,
    by: SharedBy,
}

/// Who counts limits that are shared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SharedBy {
    Nobody,
    Redis,
    Service,
}

/// Whether metadata of this name is a text that is the application's to set: gRPC keeps some for itself, and HTTP others.
fn is_for_text(name: &str) -> bool {
    const OF_HTTP: [&str; 8] =
        ["connection", "content-length", "content-type", "host", "keep-alive", "te", "transfer-encoding", "upgrade"];
    !name.starts_with("grpc-") && !name.ends_with("-bin") && !OF_HTTP.contains(&name)
}
