//! One mistake on its way from where it stands up to `read`, gathering on the way what a message needs: what was found,
//! under which key, and the path to cut it out by.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::SORTED;
use crate::config::problem::{Span, did_you_mean};
use crate::config::tree::{Entry, Node, Scalar, Value};

/// How much of a value a message quotes.
const MAX_QUOTED_CHARS: usize = 60;

/// One mistake on its way up.
#[derive(Debug)]
pub(crate) struct ReadError(pub(super) Box<Mistake>);

#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) kind: Kind,
    /// The field that a struct lacks.
    pub(super) missing: Option<&'static str>,
    pub(super) span: Option<Span>,
    /// The key whose value it is about.
    pub(super) key: Option<String>,
    /// What stands there, as messages quote it.
    pub(super) found: Option<String>,
    /// Indices of entries and elements, from the inside out.
    pub(super) path: Vec<usize>,
}

/// What is wrong.
#[derive(Debug)]
pub(super) enum Kind {
    Custom(String),
    /// Something else stands there than this.
    Expected(String),
    UnknownKey {
        key: String,
        known: &'static [&'static str],
    },
    UnknownWord {
        known: &'static [&'static str],
    },
    Missing(&'static str),
}

impl ReadError {
    pub(super) fn new(kind: Kind) -> Self {
        Self(Box::new(Mistake { kind, missing: None, span: None, key: None, found: None, path: Vec::new() }))
    }

    /// Where it stands, unless something further inside has said so.
    pub(super) fn at(mut self, span: Span) -> Self {
        self.0.span.get_or_insert(span);
        self
    }

    pub(super) fn at_node(mut self, node: &Node) -> Self {
        if self.0.found.is_none() && self.0.path.is_empty() {
            self.0.found = Some(quote(node));
        }
        self.at(node.span)
    }

    pub(super) fn within(mut self, index: usize) -> Self {
        self.0.path.push(index);
        self
    }

    pub(super) fn under(mut self, entry: &Entry) -> Self {
        if self.0.missing.is_some() {
            // What is missing has no place; the key that it is missing under does.
            self.0.span.get_or_insert(entry.span);
        }
        if !entry.key.starts_with(SORTED) {
            self.0.key.get_or_insert_with(|| entry.key.clone());
        }
        self.at_node(&entry.value)
    }

    /// Message and help.
    pub(super) fn describe(&self) -> (String, Option<String>) {
        let found = self.0.found.as_deref().unwrap_or("nothing");
        let of_key = self.0.key.as_ref().map(|key| format!(" for `{key}`")).unwrap_or_default();
        match &self.0.kind {
            Kind::Custom(message) => (message.clone(), None),
            Kind::Expected(expected) => {
                let expected = match expected.as_str() {
                    "u8" => "a whole number from 0 to 255",
                    "u16" => "a whole number from 0 to 65535",
                    expected => expected,
                };
                (format!("found {found}{of_key}, expected {expected}"), None)
            }
            Kind::UnknownWord { known } => {
                let word = found.trim_matches('`');
                let message = format!("found {found}{of_key}, expected {}", one_of(known));
                (message, did_you_mean(word, known.iter().copied()))
            }
            Kind::UnknownKey { key, known } => {
                let message = match &self.0.key {
                    Some(parent) => format!("unknown key `{key}` under `{parent}`, expected {}", one_of(known)),
                    None => format!("unknown key `{key}`, expected {}", one_of(known)),
                };
                (message, did_you_mean(key, known.iter().copied()))
            }
            Kind::Missing(field) => match &self.0.key {
                Some(key) => (format!("the key `{field}` is missing under `{key}`"), None),
                None => (format!("the key `{field}` is missing"), None),
            },
        }
    }
}

pub(super) fn one_of(known: &[&str]) -> String {
    match known {
        [] => "none".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

/// A node as messages show it.
fn quote(node: &Node) -> String {
    match &node.value {
        Value::Null => "no value".to_owned(),
        Value::Scalar(scalar) => quote_scalar(scalar),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}

fn quote_scalar(scalar: &Scalar) -> String {
    let text = scalar.written.as_deref().unwrap_or(&scalar.text);
    let mut quoted: String =
        text.chars().take(MAX_QUOTED_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_QUOTED_CHARS).is_some() {
        quoted.push('…');
    }
    format!("`{quoted}`")
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe().0)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Kind::Custom(message.to_string()))
    }

    // What was found is known better here than by those who raise these: see `at_node`.
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Expected(expected.to_string()))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Expected(expected.to_string()))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownWord { known })
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownKey { key: field.to_owned(), known })
    }

    fn missing_field(field: &'static str) -> Self {
        let mut error = Self::new(Kind::Missing(field));
        error.0.missing = Some(field);
        error
    }
}
