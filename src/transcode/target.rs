//! Where a request's body goes in the request message.

use crate::schema::FieldIndex;

/// What an HTTP body fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyTarget {
    /// Nothing: the binding has no body.
    None,
    /// Every field that the path does not bind.
    Whole,
    /// One field of the request message.
    Field(FieldIndex),
}
