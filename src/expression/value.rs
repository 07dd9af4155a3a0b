//! What an expression comes to.

use cel::common::types::{CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelNull, CelString, CelType, CelUInt};
use cel::common::value::Val;

use super::time;
use super::typing::Type;

/// The value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    /// The entries in no particular order; keys are strings, bools, ints or uints.
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// The truth value, if it is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value in our form; `None` for what has none, such as a message.
    pub(super) fn of(value: &dyn Val) -> Option<Self> {
        Some(if let Some(text) = value.downcast_ref::<CelString<'_>>() {
            Self::String(text.inner().to_owned())
        } else if let Some(value) = value.downcast_ref::<CelBool>() {
            Self::Bool(*value.inner())
        } else if let Some(value) = value.downcast_ref::<CelInt>() {
            Self::Int(*value.inner())
        } else if let Some(value) = value.downcast_ref::<CelUInt>() {
            Self::Uint(*value.inner())
        } else if let Some(value) = value.downcast_ref::<CelDouble>() {
            Self::Double(*value.inner())
        } else if let Some(value) = value.downcast_ref::<CelBytes<'_>>() {
            Self::Bytes(value.inner().to_vec())
        } else if value.downcast_ref::<CelNull>().is_some() {
            Self::Null
        } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
            Self::List(list.inner().iter().map(|element| Self::of(element.as_ref())).collect::<Option<_>>()?)
        } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
            let entries = map.inner().iter();
            let entries = entries.map(|(key, value)| Some((Self::of(key.inner())?, Self::of(value.as_ref())?)));
            Self::Map(entries.collect::<Option<_>>()?)
        } else if let Some(text) = time::print(value) {
            Self::String(text)
        } else {
            Self::String(value.downcast_ref::<CelType>()?.name().to_owned())
        })
    }

    /// Whether it is of this type, lists and maps whatever is in them.
    pub(super) fn is(&self, expected: &Type) -> bool {
        match expected {
            Type::Dyn => true,
            Type::Null => matches!(self, Self::Null),
            Type::Bool => matches!(self, Self::Bool(_)),
            Type::Int => matches!(self, Self::Int(_)),
            Type::Uint => matches!(self, Self::Uint(_)),
            Type::Double => matches!(self, Self::Double(_)),
            // Times are printed.
            Type::String | Type::TypeName | Type::Timestamp | Type::Duration => matches!(self, Self::String(_)),
            Type::Bytes => matches!(self, Self::Bytes(_)),
            Type::List(_) => matches!(self, Self::List(_)),
            Type::Map(..) => matches!(self, Self::Map(_)),
            Type::Message(..) => false,
            Type::Nullable(inner) => matches!(self, Self::Null) || self.is(inner),
        }
    }

    /// What it is, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }
}
