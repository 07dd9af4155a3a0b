//! What is in force for one method, as text, and which level of the configuration says it.

use std::fmt::Debug;

use super::unit::print_time;
use crate::call::settings::{CompressFrom, Overrides};
use crate::gateway;

/// One setting of a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// As the file spells it: `json.names`.
    pub key: &'static str,
    pub value: String,
    pub origin: Origin,
}

/// The level that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Method,
    Service,
    Defaults,
    /// No level does.
    BuiltIn,
}

/// A setting: its key, what a level says of it, and what holds where none does.
type Setting = (&'static str, fn(&Overrides) -> Option<String>, &'static str);

const SETTINGS: [Setting; 19] = [
    ("timeout", |level| level.timeout.map(print_time), "60s for unary calls, none for streams"),
    ("unknown_parameters", |level| level.unknown_parameters.map(word), "reject"),
    ("ignored_parameters", |level| level.ignored_parameters.as_ref().map(|names| names.join(", ")), "none"),
    ("unknown_fields", |level| level.unknown_fields.map(word), "reject"),
    ("json.names", |level| level.names.map(word), "json"),
    ("json.enums", |level| level.enums.map(word), "name"),
    ("json.int64", |level| level.int64.map(word), "string"),
    ("json.unset", |level| level.unset.map(word), "omit"),
    ("json.indent", |level| level.indent.map(|indent| indent.to_string()), "0"),
    ("errors", |level| level.errors.map(word), "status"),
    ("stream", |level| level.stream.map(word), "array"),
    ("sse.id_field", |level| level.sse_id_field.as_deref().map(str::to_owned), "none"),
    ("sse.event_field", |level| level.sse_event_field.as_deref().map(str::to_owned), "none"),
    ("keep_alive", |level| level.keep_alive.map(print_time), "15s"),
    ("patch_mask", |level| level.patch_mask.map(word), "fill"),
    ("success_status", |level| level.success_status.map(|status| status.as_str().to_owned()), "200"),
    ("compress_from", |level| level.compress_from.map(compress_from), "1KiB"),
    ("headers.request", |level| level.request_headers.as_ref().map(|_| "by its lists".to_owned()), "all"),
    ("headers.response", |level| level.response_headers.as_ref().map(|_| "by its lists".to_owned()), "all"),
];

/// The settings of a method, by the full name of its service and its own name.
#[must_use]
pub fn settings(config: &gateway::Config, service: &str, method: &str) -> Vec<Effective> {
    let service = config.services.get(service);
    let method = service.and_then(|service| service.methods.get(method));
    let levels = [
        (Origin::Method, method.map(|method| &method.overrides)),
        (Origin::Service, service.map(|service| &service.overrides)),
        (Origin::Defaults, Some(&config.defaults)),
    ];
    let effective = |(key, say, built_in): Setting| {
        let said = levels.iter().find_map(|(origin, level)| Some((say((*level)?)?, *origin)));
        let (value, origin) = said.unwrap_or_else(|| (built_in.to_owned(), Origin::BuiltIn));
        Effective { key, value, origin }
    };
    SETTINGS.into_iter().map(effective).collect()
}

fn compress_from(from: CompressFrom) -> String {
    match from {
        CompressFrom::Bytes(bytes) => super::unit::print_size(bytes),
        CompressFrom::Off => "off".to_owned(),
    }
}

/// The variants of settings are named by the words that the file spells them with.
fn word(value: impl Debug) -> String {
    format!("{value:?}").to_lowercase()
}
