//! The fields of messages that an expression names, compiled to what reading them from wire bytes needs.

use std::sync::Arc;

use crate::schema::{EnumId, FieldIndex, Kind, MessageId, Presence, Schema, Shape, WellKnown};
use crate::transcode::wire::WireType;

use super::typing::Type;

/// A field as it is read.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// How one unpacked value is written.
    pub(super) wire_type: WireType,
    pub(super) form: Form,
    pub(super) shape: Shape,
    /// Whether unset and default are the same.
    pub(super) implicit: bool,
    /// The other members of its oneof: one that comes later unsets the field.
    pub(super) siblings: Box<[(u32, WireType)]>,
}

/// What one value of a field becomes.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Scalar {
        kind: Kind,
        /// The known numbers of a closed enum: others are unknown fields.
        closed: Option<Arc<[i32]>>,
        default: Default,
    },
    Message(MessageId),
    /// The key and the value of a map's entry.
    Entry(Arc<(Field, Field)>),
    /// The field within a wrapper.
    Wrapper(Arc<Field>),
    Struct,
    Value,
    ListValue,
    Timestamp,
    Duration,
}

/// The value of a scalar that is not set.
#[derive(Clone, Debug)]
pub(super) enum Default {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
}

impl Field {
    /// Compiles a field; the error is the name of a message that expressions can't read.
    pub(super) fn compile(schema: &Schema, message: MessageId, index: FieldIndex) -> Result<Self, Box<str>> {
        let declared = schema.message(message);
        let field = declared.field(index);
        let siblings = declared.fields.iter().filter(|other| {
            field.oneof.is_some() && other.oneof == field.oneof && other.number != field.number && !other.extension
        });
        Ok(Self {
            number: field.number,
            wire_type: WireType::of(field.kind),
            form: Form::compile(schema, field)?,
            shape: field.shape,
            implicit: field.presence == Presence::Implicit,
            siblings: siblings.map(|other| (other.number, WireType::of(other.kind))).collect(),
        })
    }

    /// The type of the field's value.
    pub(super) fn value_type(&self, schema: &Schema) -> Type {
        let one = self.form.value_type(schema);
        if self.shape == Shape::Repeated { Type::list(one) } else { one }
    }
}

impl Form {
    fn compile(schema: &Schema, field: &crate::schema::Field) -> Result<Self, Box<str>> {
        let Some(id) = field.kind.message() else {
            let closed = match field.kind {
                Kind::Enum(id) if schema.enumeration(id).closed => {
                    Some(schema.enumeration(id).values.iter().map(|value| value.number).collect())
                }
                _ => None,
            };
            return Ok(Self::Scalar { kind: field.kind, closed, default: Default::compile(schema, field) });
        };
        let message = schema.message(id);
        let entry = |number: u32| {
            let position = message.fields.iter().position(|field| field.number == number);
            let position = position.and_then(|position| u16::try_from(position).ok());
            position.map(|position| Field::compile(schema, id, FieldIndex(position)))
        };
        if field.shape == Shape::Map {
            let (Some(key), Some(value)) = (entry(1), entry(2)) else { return Err(message.full_name.clone()) };
            return Ok(Self::Entry(Arc::new((key?, value?))));
        }
        match message.well_known {
            Some(WellKnown::Wrapper) => {
                let Some(value) = entry(1) else { return Err(message.full_name.clone()) };
                Ok(Self::Wrapper(Arc::new(value?)))
            }
            Some(WellKnown::Struct) => Ok(Self::Struct),
            Some(WellKnown::Value) => Ok(Self::Value),
            Some(WellKnown::ListValue) => Ok(Self::ListValue),
            Some(WellKnown::Timestamp) => Ok(Self::Timestamp),
            Some(WellKnown::Duration) => Ok(Self::Duration),
            // What is in an `Any` is not looked into: it has the two fields that it is declared with.
            Some(WellKnown::Any | WellKnown::Empty | WellKnown::FieldMask | WellKnown::HttpBody) | None => {
                Ok(Self::Message(id))
            }
        }
    }

    fn value_type(&self, schema: &Schema) -> Type {
        match self {
            Self::Scalar { kind, .. } => match kind {
                Kind::Double | Kind::Float => Type::Double,
                Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => Type::Uint,
                Kind::Bool => Type::Bool,
                Kind::String => Type::String,
                Kind::Bytes => Type::Bytes,
                Kind::Int32 | Kind::Int64 | Kind::Sint32 | Kind::Sint64 | Kind::Sfixed32 | Kind::Sfixed64 => Type::Int,
                Kind::Enum(_) => Type::Int,
                Kind::Message(_) | Kind::Group(_) => Type::Dyn,
            },
            Self::Message(id) => Type::Message(*id, (&*schema.message(*id).full_name).into()),
            Self::Entry(entry) => Type::map(entry.0.value_type(schema), entry.1.value_type(schema)),
            Self::Wrapper(inner) => Type::Nullable(Box::new(inner.value_type(schema))),
            Self::Struct => Type::map(Type::String, Type::Dyn),
            Self::Value => Type::Dyn,
            Self::ListValue => Type::list(Type::Dyn),
            Self::Timestamp => Type::Timestamp,
            Self::Duration => Type::Duration,
        }
    }
}

impl Default {
    fn compile(schema: &Schema, field: &crate::schema::Field) -> Self {
        let text = field.default.as_deref().unwrap_or_default();
        match field.kind {
            Kind::Bool => Self::Bool(text == "true"),
            Kind::Double | Kind::Float => Self::Double(text.parse().unwrap_or(0.0)),
            Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => Self::Uint(text.parse().unwrap_or(0)),
            Kind::Int32 | Kind::Int64 | Kind::Sint32 | Kind::Sint64 | Kind::Sfixed32 | Kind::Sfixed64 => {
                Self::Int(text.parse().unwrap_or(0))
            }
            Kind::Enum(id) => Self::Int(enum_default(schema, id, text)),
            Kind::String => Self::String(text.into()),
            Kind::Bytes => Self::Bytes(unescape(text).into()),
            Kind::Message(_) | Kind::Group(_) => Self::Int(0),
        }
    }
}

/// The number of the value of this name, or else of the first one.
fn enum_default(schema: &Schema, id: EnumId, name: &str) -> i64 {
    let values = &schema.enumeration(id).values;
    let value = values.iter().find(|value| *value.name == *name).or_else(|| values.first());
    value.map_or(0, |value| value.number.into())
}

/// The bytes of a default as descriptors spell them: C escapes.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let [escape, behind @ ..] = rest else { break };
        let (digits, radix, most) = match escape {
            b'x' | b'X' => (behind, 16, 2),
            b'0'..=b'7' => (rest, 8, 3),
            _ => {
                bytes.push(match escape {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    b'f' => 12,
                    b'v' => 11,
                    other => *other,
                });
                rest = behind;
                continue;
            }
        };
        let count = digits.iter().take(most).take_while(|digit| char::from(**digit).is_digit(radix)).count();
        let (number, behind) = digits.split_at_checked(count).unwrap_or_default();
        let number =
            number.iter().fold(0u32, |sum, digit| sum * radix + char::from(*digit).to_digit(radix).unwrap_or(0));
        bytes.push((number & 0xff) as u8);
        rest = behind;
    }
    bytes
}
