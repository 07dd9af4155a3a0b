//! The regular expressions of `matches`, compiled when the expression is.
//!
//! The `cel` crate compiles them anew at each evaluation. Ours are linear in the text by construction: the `regex`
//! crate has no backtracking, and what a pattern compiles to is bounded.

use std::any::Any;

use cel::ExecutionError;
use cel::common::types::{CelBool, CelString, DYN_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use regex::{Regex, RegexBuilder};

/// The most memory that a compiled pattern may take.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// How deep groups may nest in a pattern.
const MAX_NESTING: u32 = 50;

/// The function that `matches` becomes, and the beginning of the names of the patterns. No text can spell them.
pub(super) const MATCHES: &str = "@matches";
pub(super) const PATTERN: &str = "@pattern";

/// A compiled pattern, as a value that `@matches` takes.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles `text`; the error says what is wrong with it.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let compiled = RegexBuilder::new(text).size_limit(MAX_COMPILED_BYTES).nest_limit(MAX_NESTING).build();
        // The library's message draws the pattern over several lines; the last one says what is wrong.
        compiled.map(Self).map_err(|error| {
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        })
    }
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        Self::cel_type()
    }

    fn cel_type() -> &'static Type {
        &DYN_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

/// `@matches(text, @pattern0)`: whether the pattern is anywhere in the text.
pub(super) fn matches<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [text, pattern] = arguments.as_slice() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    match (text.downcast_ref::<CelString<'_>>(), pattern.downcast_ref::<Pattern>()) {
        (Some(text), Some(pattern)) => Ok(CowVal::owned(CelBool::from(pattern.0.is_match(text.inner())))),
        _ => Err(ExecutionError::no_such_overload("matches", vec![text.get_type().name().to_owned()])),
    }
}
