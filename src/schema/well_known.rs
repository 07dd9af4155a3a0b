//! The messages that ProtoJSON treats specially, and the fields they must have for it.

use super::error::{Errors, LoadError};
use super::{Field, Kind, Schema, Shape, WellKnown};

/// A well-known message and its fields: number and type as [`type_text`] writes it.
type Row = (&'static str, Option<WellKnown>, &'static [(u32, &'static str)]);

const ROWS: [Row; 19] = [
    ("google.protobuf.Any", Some(WellKnown::Any), &[(1, "string"), (2, "bytes")]),
    ("google.protobuf.Duration", Some(WellKnown::Duration), &[(1, "int64"), (2, "int32")]),
    ("google.protobuf.Empty", Some(WellKnown::Empty), &[]),
    ("google.protobuf.FieldMask", Some(WellKnown::FieldMask), &[(1, "repeated string")]),
    ("google.protobuf.ListValue", Some(WellKnown::ListValue), &[(1, "repeated google.protobuf.Value")]),
    ("google.protobuf.Struct", Some(WellKnown::Struct), &[(1, "map google.protobuf.Struct.FieldsEntry")]),
    ("google.protobuf.Struct.FieldsEntry", None, &[(1, "string"), (2, "google.protobuf.Value")]),
    ("google.protobuf.Timestamp", Some(WellKnown::Timestamp), &[(1, "int64"), (2, "int32")]),
    (
        "google.protobuf.Value",
        Some(WellKnown::Value),
        &[
            (1, "google.protobuf.NullValue"),
            (2, "double"),
            (3, "string"),
            (4, "bool"),
            (5, "google.protobuf.Struct"),
            (6, "google.protobuf.ListValue"),
        ],
    ),
    ("google.protobuf.DoubleValue", Some(WellKnown::Wrapper), &[(1, "double")]),
    ("google.protobuf.FloatValue", Some(WellKnown::Wrapper), &[(1, "float")]),
    ("google.protobuf.Int64Value", Some(WellKnown::Wrapper), &[(1, "int64")]),
    ("google.protobuf.UInt64Value", Some(WellKnown::Wrapper), &[(1, "uint64")]),
    ("google.protobuf.Int32Value", Some(WellKnown::Wrapper), &[(1, "int32")]),
    ("google.protobuf.UInt32Value", Some(WellKnown::Wrapper), &[(1, "uint32")]),
    ("google.protobuf.BoolValue", Some(WellKnown::Wrapper), &[(1, "bool")]),
    ("google.protobuf.StringValue", Some(WellKnown::Wrapper), &[(1, "string")]),
    ("google.protobuf.BytesValue", Some(WellKnown::Wrapper), &[(1, "bytes")]),
    (
        "google.api.HttpBody",
        Some(WellKnown::HttpBody),
        &[(1, "string"), (2, "bytes"), (3, "repeated google.protobuf.Any")],
    ),
];

/// The special treatment of the message of this name.
pub(crate) fn find(full_name: &str) -> Option<WellKnown> {
    ROWS.iter().find(|(name, ..)| *name == full_name).and_then(|(_, well_known, _)| *well_known)
}

/// Reports well-known messages that lack what their treatment rests on. More fields are harmless.
pub(crate) fn check(schema: &Schema, errors: &mut Errors) {
    for (name, _, fields) in ROWS {
        let Some(id) = schema.find_message(name) else { continue };
        let message = schema.message(id);
        for (number, expected) in fields {
            let field = message.fields.iter().find(|field| field.number == *number);
            let found = field.map_or_else(|| "no such field".to_owned(), |field| type_text(schema, field));
            if found != *expected {
                errors.push(|| LoadError::MalformedWellKnown {
                    file: message.file.to_string(),
                    message: name,
                    number: *number,
                    found,
                    expected,
                });
            }
        }
    }
}

/// The type of a field as a `.proto` file spells it.
fn type_text(schema: &Schema, field: &Field) -> String {
    let name = match field.kind {
        Kind::Double => "double",
        Kind::Float => "float",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Uint32 => "uint32",
        Kind::Uint64 => "uint64",
        Kind::Sint32 => "sint32",
        Kind::Sint64 => "sint64",
        Kind::Fixed32 => "fixed32",
        Kind::Fixed64 => "fixed64",
        Kind::Sfixed32 => "sfixed32",
        Kind::Sfixed64 => "sfixed64",
        Kind::Bool => "bool",
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Enum(id) => &schema.enumeration(id).full_name,
        Kind::Message(id) => &schema.message(id).full_name,
        Kind::Group(id) => return format!("group {}", schema.message(id).full_name),
    };
    match field.shape {
        Shape::Singular => name.to_owned(),
        Shape::Repeated => format!("repeated {name}"),
        Shape::Map => format!("map {name}"),
    }
}
