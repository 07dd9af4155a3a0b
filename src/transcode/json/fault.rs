//! What is wrong with a JSON text: built on the cold path only, and made a [`Status`] at the very end.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::status::Status;
use crate::transcode::position::Position;

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

    /// What the client reads; `json` is the text that offsets point into, and begins at `position`.
    #[cold]
    pub(crate) fn into_status(self, json: &[u8], mut position: Position) -> Status {
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
        position.advance(json.get(..at).unwrap_or(json));
        Status::invalid_argument(field, format!("{text} at {position}"))
    }
}
