//! YAML text as a tree whose every node knows where it stands.
//!
//! A tree, since a configuration is read more than once: variables expand in it, and each mistake is cut out of it
//! so that the rest can be read (see `reader`). Anchors, aliases and merge keys are resolved here, within budgets:
//! a hostile file ends in an error.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::problem::{Problems, Span};

/// The largest file that is read.
pub(crate) const MAX_FILE_BYTES: usize = 4 << 20;

/// Nodes that aliases may repeat.
const MAX_REPEATED_NODES: usize = 100_000;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub span: Span,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// No value at all, `~` or `null`.
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

/// A scalar by its text; what it means is up to whoever asks for it.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub text: String,
    pub kind: ScalarKind,
    /// As it stands in the file, where variables expanded: messages show this, since the value may be a secret.
    pub written: Option<String>,
}

/// What YAML takes a scalar for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarKind {
    Bool,
    Number,
    Text,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    pub entries: Vec<Entry>,
    /// Keys that were cut out for their mistakes, lest they be called missing.
    pub lost: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub span: Span,
    pub key: String,
    pub value: Node,
}

/// The tree of `text`; `None` if it is no YAML.
pub(crate) fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes, expected at most {MAX_FILE_BYTES}", text.len());
        problems.push(Span::START, message);
        return None;
    }
    let mut options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    };
    options.alias_limits.max_total_replayed_events = MAX_REPEATED_NODES;
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Some(Reading { text, problems }.node(raw)),
        Err(error) => {
            let at = error.location().map_or(Span::START, |location| offset(text, span(location)));
            problems.push_with_help(at, message(&error), quotes_wanted(text, at));
            None
        }
    }
}

fn message(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::NullIntoString { .. } => "found a key without a name, expected text".to_owned(),
        serde_saphyr::Error::Unexpected { expected: "string scalar", .. } => {
            "found a list or a mapping for a key, expected text".to_owned()
        }
        error => {
            let message = error.to_string();
            let first = message.lines().next().unwrap_or_default();
            // The place stands before the message already.
            let first = first.split_once(" at line ").map_or(first, |(first, _)| first);
            format!("not legal YAML: {first}")
        }
    }
}

/// The braces of `${VAR}` are YAML's own within `{ … }` and `[ … ]`.
fn quotes_wanted(text: &str, at: Span) -> Option<String> {
    let line = text.lines().nth(usize::try_from(at.line).ok()?.checked_sub(1)?)?;
    line.contains("${").then(|| "within `{ }` and `[ ]`, a value with `${` stands in quotes".to_owned())
}

fn span(location: Location) -> Span {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let bytes = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
    Span {
        line: small(location.line()).max(1),
        column: small(location.column()).max(1),
        start: bytes(location.span().byte_offset()),
        len: bytes(location.span().byte_len()),
    }
}

/// Errors of syntax know lines and columns only.
fn offset(text: &str, span: Span) -> Span {
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
    let lines = text.split_inclusive('\n');
    let before: usize = lines.clone().take(number(span.line)).map(str::len).sum();
    let line = lines.into_iter().nth(number(span.line)).unwrap_or_default();
    let within = line.char_indices().nth(number(span.column)).map_or(line.len(), |(at, _)| at);
    Span { start: before + within, ..span }
}

/// What the parser yields.
enum Raw {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element()? {
            list.push(element);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// The way from what the parser yields to the tree.
struct Reading<'t, 'p> {
    text: &'t str,
    problems: &'p mut Problems,
}

impl Reading<'_, '_> {
    /// Recursion is as deep as the parser's budget lets files nest.
    fn node(&mut self, raw: Spanned<Raw>) -> Node {
        let span = span(raw.defined);
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Bool(value) => self.scalar(span, value.to_string(), ScalarKind::Bool),
            Raw::Number(text) => self.scalar(span, text, ScalarKind::Number),
            Raw::Text(text) => Value::Scalar(Scalar { text, kind: ScalarKind::Text, written: None }),
            Raw::List(list) => Value::List(list.into_iter().map(|element| self.node(element)).collect()),
            Raw::Map(entries) => self.map(entries),
        };
        Node { span, value }
    }

    /// A number keeps its spelling: `1.10` may be asked for as text.
    fn scalar(&self, span: Span, canonical: String, kind: ScalarKind) -> Value {
        let written = self.text.get(span.start..span.start.saturating_add(span.len)).map(str::trim);
        let text = match written {
            Some(written) if !written.is_empty() && !written.contains(['\n', '!', '&', '*']) => written.to_owned(),
            _ => canonical,
        };
        Value::Scalar(Scalar { text, kind, written: None })
    }

    fn map(&mut self, raw: Vec<(Spanned<String>, Spanned<Raw>)>) -> Value {
        let mut map = Map::default();
        let mut seen = std::collections::HashMap::new();
        for (key, value) in raw {
            let at = span(key.defined);
            let value = self.node(value);
            match seen.get(&key.value) {
                None => {
                    seen.insert(key.value.clone(), at.line);
                    map.entries.push(Entry { span: at, key: key.value, value });
                }
                Some(line) => {
                    let message = format!("the key `{}` stands twice, the first time on line {line}", key.value);
                    self.problems.push(at, message);
                }
            }
        }
        Value::Map(map)
    }
}
