//! Expressions in the configuration: CEL over the caller, the request's message, the client and the HTTP request.
//!
//! `=auth.subject` in a file is an expression; its text comes here without the `=`. It is parsed by the `cel` crate,
//! checked against the types of what it names, and evaluated by the crate over values that are built for it alone:
//! of a message only the fields that it names are read, straight from the wire.
//!
//! ```text
//! 'admin' in auth.roles
//! request.tenant == auth.claims.tenant
//! request.items.all(item, item.quantity <= 10)
//! ```
//!
//! The work of an evaluation is bounded whatever the client sends: by what is read from a message, by how deep loops
//! nest, and by a budget that loops spend. Specification: <https://github.com/google/cel-spec>.

pub mod facts;
pub mod message;
pub mod mistake;
pub mod syntax;
pub mod typing;
pub mod value;
pub mod work;

mod check;
mod evaluate;
mod field;
mod pattern;
mod slot;
mod structs;
mod time;

use cel::common::ast::IdedExpr;

use crate::schema::{MessageId, Schema};

use facts::Facts;
use message::Selection;
use mistake::Mistake;
use pattern::Pattern;
use slot::Slot;
use typing::Type;
use value::Value;

/// What the names in an expression mean, apart from those that every expression has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Environment<'s> {
    /// The type of `request`; without it there is no such variable.
    pub request: Option<(&'s Schema, MessageId)>,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    /// The tree, in which the variables are named by their slots.
    root: IdedExpr,
    slots: Box<[Slot]>,
    selections: Box<[Selection]>,
    patterns: Box<[Pattern]>,
    expected: Type,
    uses_request: bool,
    uses_auth: bool,
}

/// Why an expression came to nothing. The text holds no values of the client's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    #[error("there is no request message to look at")]
    NoRequest,
    #[error("the request's message is malformed")]
    Malformed,
    #[error("the request has {0}")]
    BeyondBounds(String),
    #[error("it takes more work than {} elements", work::MAX_WORK)]
    TooMuchWork,
    #[error("{0}")]
    Failed(String),
    #[error("found {found}, expected {expected}")]
    WrongType { found: &'static str, expected: String },
    #[error("the evaluation panicked")]
    Panicked,
}

impl Expression {
    /// Compiles `text`, which must come to a value of the type `expected`.
    ///
    /// # Errors
    ///
    /// Every mistake that was found.
    pub fn compile(text: &str, environment: &Environment<'_>, expected: Type) -> Result<Self, Vec<Mistake>> {
        let checked = check::check(text, environment, &expected)?;
        Ok(Self {
            uses_request: checked.slots.iter().any(Slot::uses_request),
            uses_auth: checked.slots.iter().any(Slot::uses_auth),
            root: checked.root,
            slots: checked.slots.into(),
            selections: checked.selections.into(),
            patterns: checked.patterns.into(),
            expected,
        })
    }

    /// Whether evaluating it needs the request's message.
    #[must_use]
    pub const fn uses_request(&self) -> bool {
        self.uses_request
    }

    /// Whether it looks at the caller.
    #[must_use]
    pub const fn uses_auth(&self) -> bool {
        self.uses_auth
    }

    /// Evaluates it over `facts`; the value is of the type that was expected.
    ///
    /// # Errors
    ///
    /// What CEL calls an error (a claim that is not there, an overflow, a wrong type of a `dyn`), a message that is
    /// malformed, and anything that is beyond a bound.
    pub fn evaluate(&self, facts: &Facts<'_>) -> Result<Value, EvaluationError> {
        evaluate::evaluate(self, facts)
    }
}

#[cfg(test)]
mod tests;
