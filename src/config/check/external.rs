//! `auth.external` and what levels say of it → what the gateway asks.

use std::collections::BTreeMap;

use http::HeaderName;

use super::Check;
use crate::config::file::{external, guard};
use crate::config::placed::Placed;
use crate::gateway::external::{Config, OWN_CONTEXT};
use crate::gateway::policy::{Forward, Names};
use crate::protocol::metadata;

/// The most headers of one list; each is compared with every header of a request.
const MAX_HEADERS: usize = 256;

impl Check<'_> {
    /// One decider; `forward` is what the gateway says of callers itself.
    pub(super) fn external(
        &mut self,
        name: &Placed<String>,
        external: external::External,
        forward: &[Forward],
    ) -> Option<Config> {
        let external::External { upstream, timeout, on_error, headers, forward: may_set, context } = external;
        self.known_upstream(&upstream);
        for more in [headers.as_ref(), Some(&may_set)].into_iter().flatten().filter_map(|list| list.get(MAX_HEADERS)) {
            self.problems.push(more.span, format!("the list has more than {MAX_HEADERS} headers"));
        }
        let headers = headers.map(|names| names.iter().filter_map(|name| self.header(name)).collect());
        let may_set: Vec<_> = may_set.iter().filter_map(|name| self.settable(name, forward)).collect();
        let mut told = BTreeMap::new();
        for (key, value) in context.0 {
            if OWN_CONTEXT.contains(&key.value.as_str()) {
                self.problems.push(key.span, format!("`{}` is told by the gateway itself", key.value));
            }
            told.insert(key.value, value.value);
        }
        Some(Config {
            name: name.value.clone(),
            upstream: upstream.value,
            timeout: timeout.0,
            on_error: on_error.into(),
            headers,
            forward: may_set,
            context: told,
        })
    }

    /// A name of metadata that a decider may set. Binary metadata is left to callers and upstreams: a decider speaks in
    /// texts.
    fn settable(&mut self, name: &Placed<String>, forward: &[Forward]) -> Option<HeaderName> {
        let header = self.header(name)?;
        if metadata::is_the_gateways(&header) || header.as_str().ends_with("-bin") {
            self.problems.push(name.span, format!("`{}` is no metadata that a decider may set", name.value));
            return None;
        }
        if forward.iter().any(|own| metadata::is_alike(&own.name, &header)) {
            self.problems.push(name.span, format!("`{}` is set by `auth.forward`", name.value));
            return None;
        }
        Some(header)
    }

    pub(super) fn external_names(&mut self, external: &guard::ExternalNames) -> Names {
        for name in &external.names {
            if !self.declared.external.contains(&name.value) {
                let help = super::did_you_mean(&name.value, self.declared.external.iter().map(String::as_str));
                let message = format!("there is no decider `{}` under `auth.external`", name.value);
                self.problems.push_with_help(name.span, message, help);
            }
        }
        Names { names: external.names.iter().map(|name| name.value.clone()).collect(), inherit: external.inherit }
    }
}
