//! What is wrong with a JSON text: built on the cold path only, and made a [`Status`] at the very end.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::status::Status;

/// One failure, small enough to ride in every result.
#[derive(Debug)]
pub(crate) struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    /// The byte offset, unless the text of a path or a parameter is at fault.
    at: Option<usize>,
    text: Cow<'static, str>,
    /// The way to the field, innermost step first.
    path: Vec<Step>,
}

/// One step of the way from the message to a value.
#[derive(Debug)]
pub(crate) enum Step {
    Field(Box<str>),
    Index(usize),
    /// A map's key as the text has it, still escaped.
    Key(Box<str>),
}

impl Fault {
    #[cold]
    pub(crate) fn new(at: usize, text: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { at: Some(at), text: text.into(), path: Vec::new() }))
    }

    /// A failure that no place in the JSON text shows.
    #[cold]
    pub(crate) fn nowhere(text: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { at: None, text: text.into(), path: Vec::new() }))
    }

    /// The same place with another text.
    #[cold]
    pub(crate) fn with_text(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.0.text = text.into();
        self
    }

    /// The same, one step further out.
    #[cold]
    pub(crate) fn below(mut self, step: Step) -> Self {
        self.0.path.push(step);
        self
    }

    /// The same, inside a field of this name.
    #[cold]
    pub(crate) fn under(self, name: &str) -> Self {
        self.below(Step::Field(name.into()))
    }

    /// What the client reads; `json` is the text that offsets point into.
    #[cold]
    pub(crate) fn into_status(self, json: &[u8]) -> Status {
        let Inner { at, text, path } = *self.0;
        let mut field = String::new();
        for step in path.iter().rev() {
            match step {
                Step::Field(name) if field.is_empty() => field.push_str(name),
                Step::Field(name) => field.extend([".", name]),
                Step::Index(index) => {
                    let _ = write!(field, "[{index}]");
                }
                Step::Key(key) => field.extend(["[\"", key, "\"]"]),
            }
        }
        let Some(at) = at.filter(|_| !json.is_empty()) else { return Status::invalid_argument(field, text) };
        let before = json.get(..at).unwrap_or(json);
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        // A character is counted by its first byte.
        let in_line = before.get(line_start..).unwrap_or_default();
        let column = in_line.iter().filter(|&&byte| byte & 0xc0 != 0x80).count() + 1;
        Status::invalid_argument(field, format!("{text} at line {line}, column {column}"))
    }
}
