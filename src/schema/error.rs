//! What can be wrong with descriptors, and where.

use std::fmt;

use thiserror::Error;

/// A mistake in the descriptors of a schema. One load reports all of them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoadError {
    /// The bytes are no descriptor set.
    #[error(
        "{origin}: not a descriptor set ({cause}); expected a serialized google.protobuf.FileDescriptorSet, as `protoc \
         --include_imports --descriptor_set_out` and `buf build` write it"
    )]
    Undecodable { origin: String, cause: String },
    /// The set has no file in it.
    #[error("{origin}: the descriptor set is empty; expected at least one file")]
    Empty { origin: String },
    /// A bound on what a set may hold is passed.
    #[error("{origin}: too large: {what}, more than the limit of {limit}")]
    TooLarge { origin: String, what: &'static str, limit: usize },
    /// Two files of one name that say different things.
    #[error(
        "{file}: found in {first} and, with other content, in {second}; expected one file of this name (source info \
         aside)"
    )]
    FileConflict { file: String, first: String, second: String },
    /// An import that no set has.
    #[error(
        "{place}: import {import:?} is missing; expected it in the same or another descriptor set (`protoc \
         --include_imports` puts it there)"
    )]
    MissingImport { place: Place, import: String },
    /// Files that import each other.
    #[error("{place}: imports go in a circle: {cycle}")]
    ImportCycle { place: Place, cycle: String },
    /// A syntax or an edition from the future.
    #[error("{place}: found {found}; expected proto2, proto3, edition 2023 or edition 2024")]
    UnknownEdition { place: Place, found: String },
    /// A name that belongs to nothing.
    #[error("{place}: type {name:?} is not defined; expected {expected}")]
    Unresolved { place: Place, name: String, expected: &'static str },
    /// Two elements of one name.
    #[error("{place}: defined twice, first {first}")]
    DuplicateSymbol { place: Place, first: String },
    /// Two fields of one number.
    #[error("{place}: number {number} is also that of {first}")]
    DuplicateNumber { place: Place, number: u32, first: String },
    /// Two fields of one name in JSON.
    #[error(
        "{place}: JSON name {json_name:?} is also that of field {first}; expected a `json_name` that tells them apart"
    )]
    DuplicateJsonName { place: Place, json_name: String, first: String },
    /// A message that ProtoJSON treats specially, but is not the one everybody knows.
    #[error("{file}: field {number} of the well-known message {message}: found {found}; expected {expected}")]
    MalformedWellKnown { file: String, message: &'static str, number: u32, found: String, expected: &'static str },
    /// Anything else that an element says wrongly.
    #[error("{place}: found {found}; expected {expected}")]
    Invalid { place: Place, found: String, expected: &'static str },
    /// A mistake in `.proto` sources; the message begins with file, line and column.
    #[error("{message}")]
    Source { message: String },
    /// The list of mistakes was cut.
    #[error("{more} more mistakes are not listed")]
    More { more: usize },
}

/// Where a mistake is: the set it came from, the `.proto` file and, where there is one, the element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub origin: String,
    pub file: String,
    /// What it is, and its full name: `field shop.v1.Order.id`.
    pub element: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.file)?;
        match &self.element {
            Some(element) => write!(f, ": {element}"),
            None => Ok(()),
        }
    }
}

/// How many mistakes one load lists.
const MAX_ERRORS: usize = 1000;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    list: Vec<LoadError>,
    more: usize,
    hides_unresolved: bool,
}

impl Errors {
    /// Notes a mistake; it is only made where the list still takes it.
    pub(crate) fn push(&mut self, error: impl FnOnce() -> LoadError) {
        if self.list.len() >= MAX_ERRORS {
            self.more += 1;
            return;
        }
        let error = error();
        if !(self.hides_unresolved && matches!(error, LoadError::Unresolved { .. })) {
            self.list.push(error);
        }
    }

    /// Notes the mistake of a result, and gives its value.
    pub(crate) fn take<T>(&mut self, result: Result<T, LoadError>) -> Option<T> {
        result.map_err(|error| self.push(|| error)).ok()
    }

    /// From here on types may be unknown because of a mistake that is already noted, such as a missing import.
    pub(crate) fn hide_unresolved_after_mistakes(&mut self) {
        self.hides_unresolved = !self.list.is_empty();
    }

    /// `value`, if there was no mistake.
    pub(crate) fn check<T>(&mut self, value: T) -> Result<T, Vec<LoadError>> {
        if self.list.is_empty() {
            return Ok(value);
        }
        let mut list = std::mem::take(&mut self.list);
        if self.more > 0 {
            list.push(LoadError::More { more: self.more });
        }
        Err(list)
    }
}
