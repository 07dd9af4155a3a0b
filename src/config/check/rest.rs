//! `defaults`, `services` and `http.rules` → [`gateway::Config`].

use std::sync::Arc;

use http::StatusCode;

use super::{Check, is_full_name, is_identifier};
use crate::call::settings::{CompressFrom, Overrides};
use crate::config::file;
use crate::config::placed::{Named, Placed};
use crate::config::problem::Span;
use crate::gateway;
use crate::pb::google::api::http_rule::Pattern;
use crate::pb::google::api::{CustomHttpPattern, HttpRule};
use crate::protocol::metadata::HeaderRules;

/// The widest indentation of JSON.
const MAX_INDENT: u8 = 16;

/// The most entries of a list of headers; each is compared with every header of a request.
const MAX_HEADERS: usize = 256;

/// The header lists in force at a level.
#[derive(Clone, Default)]
struct Lists {
    request: Direction,
    response: Direction,
}

#[derive(Clone, Default)]
struct Direction {
    allow: Option<Arc<[String]>>,
    deny: Arc<[String]>,
}

impl Check<'_> {
    /// Everything of the gateway but upstreams and rules.
    pub(super) fn rest(&mut self, defaults: file::Level, services: Named<file::Service>) -> gateway::Config {
        let unannotated = defaults.unannotated.as_ref().map(|placed| placed.value.into()).unwrap_or_default();
        let trailing_slash = defaults.trailing_slash.as_ref().map(|placed| placed.value.into()).unwrap_or_default();
        let mut lists = Lists::default();
        let policy = self.policy(&defaults);
        let defaults = self.overrides(defaults, &mut lists);
        let services = services.0.into_iter().map(|(name, service)| {
            if !is_full_name(&name.value) {
                let message = format!("`{}` is no name of a service, expected `package.Service`", name.value);
                self.problems.push(name.span, message);
            }
            (name.value, self.service(name.span, service, lists.clone()))
        });
        let services = services.collect();
        gateway::Config { defaults, policy, unannotated, trailing_slash, services, ..gateway::Config::default() }
    }

    fn service(&mut self, span: Span, service: file::Service, mut lists: Lists) -> gateway::config::Service {
        let file::Service { settings, methods } = service;
        let unannotated = settings.unannotated.as_ref().map(|placed| placed.value.into());
        let trailing_slash = settings.trailing_slash.as_ref().map(|placed| placed.value.into());
        let policy = self.policy(&settings);
        let overrides = self.overrides(settings, &mut lists);
        let methods = methods.0.into_iter().map(|(name, file::MethodLevel(level))| {
            if !is_identifier(&name.value) {
                self.problems.push(name.span, format!("`{}` is no name of a method", name.value));
            }
            let method = self.method(name.span, level, lists.clone());
            (name.value, method)
        });
        let methods = methods.collect();
        let place = self.problems.place(span).to_string();
        gateway::config::Service { place, overrides, policy, unannotated, trailing_slash, methods }
    }

    fn method(&mut self, span: Span, level: file::Level, mut lists: Lists) -> gateway::config::Method {
        let unfit = [
            ("unannotated", level.unannotated.as_ref().map(|placed| placed.span)),
            ("trailing_slash", level.trailing_slash.as_ref().map(|placed| placed.span)),
        ];
        for (key, span) in unfit {
            if let Some(span) = span {
                let message = format!("`{key}` stands under a method, expected under a service or `defaults`");
                self.problems.push(span, message);
            }
        }
        let place = self.problems.place(span).to_string();
        let policy = self.policy(&level);
        gateway::config::Method { place, policy, overrides: self.overrides(level, &mut lists) }
    }

    /// `lists` are those of the level above, and become those of this level.
    fn overrides(&mut self, level: file::Level, lists: &mut Lists) -> Overrides {
        let json = level.json.unwrap_or_default();
        let sse = level.sse.unwrap_or_default();
        let headers = level.headers.unwrap_or_default();
        Overrides {
            unknown_parameters: level.unknown_parameters.map(Into::into),
            ignored_parameters: level
                .ignored_parameters
                .map(|names| names.into_iter().map(String::into_boxed_str).collect()),
            unknown_fields: level.unknown_fields.map(Into::into),
            names: json.names.map(Into::into),
            enums: json.enums.map(Into::into),
            int64: json.int64.map(Into::into),
            unset: json.unset.map(Into::into),
            indent: json.indent.map(|indent| self.indent(&indent)),
            errors: level.errors.map(Into::into),
            stream: level.stream.map(Into::into),
            sse_id_field: sse.id_field.and_then(|field| self.field(field)),
            sse_event_field: sse.event_field.and_then(|field| self.field(field)),
            keep_alive: level.keep_alive.map(|time| time.0),
            patch_mask: level.patch_mask.map(Into::into),
            success_status: level.success_status.and_then(|status| self.success_status(&status)),
            request_headers: self.header_rules(headers.request, &mut lists.request),
            response_headers: self.header_rules(headers.response, &mut lists.response),
            compress_from: level.compress_from.map(|from| match from {
                file::CompressFrom::Off => CompressFrom::Off,
                file::CompressFrom::Size(size) => CompressFrom::Bytes(size.0),
            }),
            timeout: level.timeout.map(|time| time.0),
        }
    }

    fn indent(&mut self, indent: &Placed<u8>) -> u8 {
        if indent.value > MAX_INDENT {
            let message = format!("found `{}` for `indent`, expected a number from 0 to {MAX_INDENT}", indent.value);
            self.problems.push(indent.span, message);
        }
        indent.value
    }

    fn field(&mut self, field: Placed<String>) -> Option<Box<str>> {
        if !is_full_name(&field.value) {
            self.problems.push(field.span, format!("`{}` is no name of a field", field.value));
            return None;
        }
        Some(field.value.into_boxed_str())
    }

    fn success_status(&mut self, status: &Placed<u16>) -> Option<StatusCode> {
        match StatusCode::from_u16(status.value) {
            Ok(code) if code.is_success() || code.is_redirection() => Some(code),
            _ => {
                let found = status.value;
                let message = format!("found `{found}` for `success_status`, expected a status from 200 to 399");
                self.problems.push(status.span, message);
                None
            }
        }
    }

    fn header_rules(&mut self, lists: Option<file::HeaderLists>, above: &mut Direction) -> Option<Arc<HeaderRules>> {
        let file::HeaderLists { allow, deny } = lists?;
        for more in [&allow, &deny].into_iter().flatten().filter_map(|list| list.get(MAX_HEADERS)) {
            self.problems.push(more.span, format!("the list has more than {MAX_HEADERS} headers"));
        }
        for name in allow.iter().chain(&deny).flatten() {
            let entry = std::slice::from_ref(&name.value);
            if HeaderRules::compile(None, entry).is_err() {
                let message = format!(
                    "`{}` is no header, expected a name such as `x-tenant` or a prefix such as `x-*`",
                    name.value
                );
                self.problems.push(name.span, message);
            }
        }
        let names = |list: Vec<Placed<String>>| list.into_iter().map(|name| name.value).collect::<Arc<[String]>>();
        above.allow = allow.map(names).or(above.allow.take());
        if let Some(deny) = deny {
            above.deny = names(deny);
        }
        // Names that are none have been told of, each with its place.
        HeaderRules::compile(above.allow.as_deref(), &above.deny).ok().map(Arc::new)
    }

    pub(super) fn rule(&mut self, rule: file::HttpRule) -> Option<gateway::config::Rule> {
        let Some(selector) = rule.selector.clone() else {
            self.problems.push(rule_span(&rule), "an HTTP rule lacks `selector`, expected `package.Service.Method`");
            return None;
        };
        if !is_full_name(&selector.value) || !selector.value.contains('.') {
            let help = selector
                .value
                .contains('/')
                .then(|| format!("did you mean `{}`?", selector.value.trim_start_matches('/').replace('/', ".")));
            let message = format!("`{}` names no method, expected `package.Service.Method`", selector.value);
            self.problems.push_with_help(selector.span, message, help);
        }
        let place = self.problems.place(selector.span).to_string();
        let additional = self.additional(&rule);
        let mut rule = self.pattern(rule, selector.span)?;
        rule.selector = selector.value;
        rule.additional_bindings = additional;
        Some(gateway::config::Rule { place, rule })
    }

    fn additional(&mut self, rule: &file::HttpRule) -> Vec<HttpRule> {
        let mut additional = Vec::new();
        for Placed { value: nested, span } in &rule.additional_bindings {
            if let Some(selector) = &nested.selector {
                self.problems.push(selector.span, "`selector` stands within `additional_bindings`, expected above it");
            }
            if let Some(deeper) = nested.additional_bindings.first() {
                self.problems.push(deeper.span, "`additional_bindings` stand within `additional_bindings`");
            }
            additional.extend(self.pattern(nested.clone(), *span));
        }
        additional
    }

    /// A rule without selector and additional bindings.
    fn pattern(&mut self, rule: file::HttpRule, span: Span) -> Option<HttpRule> {
        let file::HttpRule { selector: _, get, put, post, delete, patch, custom, body, response_body, .. } = rule;
        let custom = custom.map(|custom| Placed {
            span: custom.span,
            value: Pattern::Custom(CustomHttpPattern { kind: custom.value.kind, path: custom.value.path }),
        });
        let verb = |path: Option<Placed<String>>, pattern: fn(String) -> Pattern| {
            path.map(|path| Placed { span: path.span, value: pattern(path.value) })
        };
        let patterns = [
            verb(get, Pattern::Get),
            verb(put, Pattern::Put),
            verb(post, Pattern::Post),
            verb(delete, Pattern::Delete),
            verb(patch, Pattern::Patch),
            custom,
        ];
        let mut patterns = patterns.into_iter().flatten();
        let expected = "expected exactly one of `get`, `put`, `post`, `delete`, `patch` and `custom`";
        let Some(pattern) = patterns.next() else {
            self.problems.push(span, format!("an HTTP rule has no path, {expected}"));
            return None;
        };
        if let Some(second) = patterns.next() {
            self.problems.push(second.span, format!("an HTTP rule has two paths, {expected}"));
        }
        Some(HttpRule {
            pattern: Some(pattern.value),
            body: body.unwrap_or_default(),
            response_body: response_body.unwrap_or_default(),
            ..HttpRule::default()
        })
    }
}

/// Where a rule without selector stands: at the first thing that it says.
fn rule_span(rule: &file::HttpRule) -> Span {
    let paths = [&rule.get, &rule.put, &rule.post, &rule.delete, &rule.patch];
    let paths = paths.into_iter().flatten().map(|path| path.span);
    paths.chain(rule.custom.iter().map(|custom| custom.span)).next().unwrap_or(Span::START)
}
