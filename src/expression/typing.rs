//! The types of values, as the checker knows them.

use std::fmt;
use std::sync::Arc;

use crate::schema::MessageId;

/// The type of an expression or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only when it is evaluated; it goes with every other type.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    /// What `type(x)` is.
    TypeName,
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    /// A message with its full name.
    Message(MessageId, Arc<str>),
    /// A wrapper such as `google.protobuf.StringValue`: null where it is not set.
    Nullable(Box<Type>),
}

impl Type {
    pub(super) fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    pub(super) fn map(key: Self, value: Self) -> Self {
        Self::Map(Box::new(key), Box::new(value))
    }

    /// The type as an operand: a wrapper counts as what it wraps.
    pub(super) fn operand(&self) -> &Self {
        match self {
            Self::Nullable(inner) => inner,
            other => other,
        }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self.operand(), Self::Int | Self::Uint | Self::Double)
    }

    /// Whether a value is of constant size, so that an operation on it is too.
    pub(super) fn is_small(&self) -> bool {
        match self.operand() {
            Self::Null | Self::Bool | Self::Int | Self::Uint | Self::Double | Self::TypeName => true,
            Self::Timestamp | Self::Duration => true,
            Self::Dyn | Self::String | Self::Bytes | Self::List(_) | Self::Map(..) => false,
            Self::Message(..) | Self::Nullable(_) => false,
        }
    }

    /// Whether a value may be both.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::Nullable(_), Self::Null) | (Self::Null, Self::Nullable(_)) => true,
            (Self::Nullable(inner), other) | (other, Self::Nullable(inner)) => inner.agrees(other.operand()),
            (Self::List(left), Self::List(right)) => left.agrees(right),
            (Self::Map(key, value), Self::Map(other_key, other_value)) => {
                key.agrees(other_key) && value.agrees(other_value)
            }
            (left, right) => left == right,
        }
    }

    /// Whether two values can be equal: numbers are compared by value, whatever their types.
    pub(super) fn comparable(&self, other: &Self) -> bool {
        self.is_number() && other.is_number() || self.agrees(other)
    }

    /// Whether there is a message in it.
    pub(super) fn holds_message(&self) -> bool {
        match self {
            Self::Message(..) => true,
            Self::List(inner) | Self::Nullable(inner) => inner.holds_message(),
            Self::Map(key, value) => key.holds_message() || value.holds_message(),
            Self::Dyn | Self::Null | Self::Bool | Self::Int | Self::Uint | Self::Double => false,
            Self::String | Self::Bytes | Self::Timestamp | Self::Duration | Self::TypeName => false,
        }
    }

    /// The type of a value that is of one or the other.
    pub(super) fn join(self, other: &Self) -> Self {
        match (&self, other) {
            (left, right) if left == right => self,
            (Self::Null, Self::Nullable(_)) => other.clone(),
            (Self::Nullable(_), Self::Null) => self,
            _ => Self::Dyn,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => formatter.write_str("dyn"),
            Self::Null => formatter.write_str("null"),
            Self::Bool => formatter.write_str("bool"),
            Self::Int => formatter.write_str("int"),
            Self::Uint => formatter.write_str("uint"),
            Self::Double => formatter.write_str("double"),
            Self::String => formatter.write_str("string"),
            Self::Bytes => formatter.write_str("bytes"),
            Self::Timestamp => formatter.write_str("timestamp"),
            Self::Duration => formatter.write_str("duration"),
            Self::TypeName => formatter.write_str("type"),
            Self::List(of) => write!(formatter, "list({of})"),
            Self::Map(key, value) => write!(formatter, "map({key}, {value})"),
            Self::Message(_, full_name) => formatter.write_str(full_name),
            Self::Nullable(inner) => write!(formatter, "{inner} or null"),
        }
    }
}
