//! Routes: which method a request's HTTP method and path mean.
//!
//! When a configuration loads, [`rule::bindings`] makes [`rule::Binding`]s out of `google.api.http` annotations, rules
//! of the configuration and methods without either, and [`router::Router::compile`] makes a router out of those. A
//! request is then found by [`router::Router::find`]. No I/O here, and no knowledge of what a binding is bound to
//! beyond its schema. Specification: `google/api/http.proto`.

use std::fmt;

use thiserror::Error;

pub mod captures;
pub mod router;
pub mod rule;
pub mod template;

mod escape;
pub(crate) mod nearest;
mod trie;

/// A mistake in a rule, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError {
    /// The `.proto` file of an annotation, or `file:line:column` of a configured rule.
    pub place: Box<str>,
    /// The method's full name, or the selector that should have named one.
    pub method: Box<str>,
    /// The path template as it was written.
    pub template: Option<Box<str>>,
    /// Where in the template: 1-based, in characters.
    pub column: Option<usize>,
    pub mistake: Mistake,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Mistake {
    #[error("the rule has no path: expected get, put, post, delete, patch or custom")]
    NoPattern,
    #[error("{0}")]
    Template(String),
    #[error("there is no method {selector:?}{}", hint(suggestion.as_deref()))]
    UnknownMethod { selector: Box<str>, suggestion: Option<Box<str>> },
    #[error("the selector {0:?} has a wildcard: name each method by its full name")]
    WildcardSelector(Box<str>),
    #[error("additional_bindings can't have additional_bindings of their own")]
    NestedBindings,
    #[error("the HTTP method {0:?} is not a token: expected something like \"PURGE\", or \"*\" for any")]
    CustomKind(Box<str>),
    #[error("a {0} binding can't have a body: clients and proxies drop it")]
    BodyNotAllowed(http::Method),
    #[error("{message} has no field {field:?}{}", hint(suggestion.as_deref()))]
    UnknownField { message: Box<str>, field: Box<str>, suggestion: Option<Box<str>> },
    #[error("{option} {field:?} is a path: expected a field of {message} itself")]
    NotTopLevel { option: &'static str, message: Box<str>, field: Box<str> },
    #[error("{field:?} is a list or a map: a path binds singular fields")]
    Repeated { field: Box<str> },
    #[error("{field:?} is a {message}: a path binds scalars, enums, Timestamp, Duration, FieldMask and wrappers")]
    Message { field: Box<str>, message: Box<str> },
    #[error("{field:?} is no message: it has no field {below:?}")]
    Scalar { field: Box<str>, below: Box<str> },
    #[error("{variable:?} and {earlier:?} are the same field")]
    SameField { variable: Box<str>, earlier: Box<str> },
    #[error("{variable:?} and {earlier:?} overlap: one is a part of the other")]
    Overlap { variable: Box<str>, earlier: Box<str> },
    #[error("it can't be told apart from {verb} {template:?} of {method} in {place}")]
    Conflict { verb: Box<str>, template: Box<str>, method: Box<str>, place: Box<str> },
}

impl fmt::Display for RouteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: ", self.place, self.method)?;
        if let Some(template) = &self.template {
            write!(formatter, "template {template:?}")?;
            if let Some(column) = self.column {
                write!(formatter, ", column {column}")?;
            }
            formatter.write_str(": ")?;
        }
        self.mistake.fmt(formatter)
    }
}

impl std::error::Error for RouteError {}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
}
