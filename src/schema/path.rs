//! Paths of fields in text: `order.buyer.name`, as path templates, parameters and field masks write them.
//!
//! A step is a field's proto name or its JSON name. Every step but the last is a singular message field; the last may
//! be any declared field.

use thiserror::Error;

use super::sources::shorten;
use super::{Field, FieldIndex, FieldPath, MessageId, Schema, Shape};

/// How many steps a path may have: as deep as messages may nest in a request.
const MAX_STEPS: usize = 100;

/// Why a text is no path of a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// The text, or what is between two dots, is empty.
    #[error("field path {path:?} has an empty step; expected field names with a dot between them")]
    EmptyStep { path: String },
    /// A step that is no field.
    #[error("field path {path:?}: message {message} has no field {step:?}")]
    UnknownField { path: String, step: String, message: String },
    /// A step that has no fields below it, or several values.
    #[error("field path {path:?} can't go on from {step:?}: found {found}; expected a singular message")]
    NotAMessage { path: String, step: String, found: &'static str },
    /// A path of too many steps.
    #[error("field path {path:?} is too deep; expected at most {MAX_STEPS} steps")]
    TooDeep { path: String },
}

impl Schema {
    /// The path that `text` is in `message`.
    ///
    /// # Errors
    ///
    /// Which step is wrong, and why.
    pub fn find_path(&self, message: MessageId, text: &str) -> Result<FieldPath, PathError> {
        let path = || shorten(text);
        let mut indexes = Vec::new();
        let mut current = Some(message);
        // Why there is no current message, and the step that led there.
        let mut end = ("", "");
        for step in text.split('.') {
            if step.is_empty() {
                return Err(PathError::EmptyStep { path: path() });
            }
            if indexes.len() == MAX_STEPS {
                return Err(PathError::TooDeep { path: path() });
            }
            let Some(id) = current else {
                let (step, found) = end;
                return Err(PathError::NotAMessage { path: path(), step: shorten(step), found });
            };
            let message = self.message(id);
            let Some((index, field)) = message.find_field(step) else {
                let message = message.full_name.to_string();
                return Err(PathError::UnknownField { path: path(), step: shorten(step), message });
            };
            indexes.push(index);
            current = field.kind.message().filter(|_| field.shape == Shape::Singular);
            end = (step, describe(field));
        }
        Ok(FieldPath(indexes.into()))
    }

    /// The field at the end of a path of `message`, and the message that has it.
    #[must_use]
    pub fn follow(&self, message: MessageId, path: &FieldPath) -> (MessageId, &Field) {
        let (last, way) = path.0.split_last().expect("a path has a step");
        let next = |id, index: &FieldIndex| {
            self.message(id).field(*index).kind.message().expect("every step of a path but the last is a message")
        };
        let id = way.iter().fold(message, next);
        (id, self.message(id).field(*last))
    }
}

impl FieldPath {
    /// The positions of the fields, each in the message before it; at least one.
    #[must_use]
    pub fn steps(&self) -> &[FieldIndex] {
        &self.0
    }
}

/// What keeps a path from going on at this field.
const fn describe(field: &Field) -> &'static str {
    match field.shape {
        Shape::Repeated => "a repeated field",
        Shape::Map => "a map",
        Shape::Singular => "a scalar",
    }
}

#[cfg(test)]
mod tests;
