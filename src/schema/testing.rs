//! A schema for tests straight from prost-reflect's pool, so that the transcoder is tested without the loader.
//!
//! proto2 and proto3 only, as prost-reflect knows no editions.

use std::collections::HashMap;

use prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, MessageDescriptor, Syntax};
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, File, FileResolver, GoogleFileResolver};

use super::{Enum, EnumId, EnumValue, Field, Kind, Message, MessageId, Presence, Schema, Shape, WellKnown};

/// Compiles `.proto` sources, given as (name, text); `google/protobuf`, `google/api` and `google/rpc` may be imported.
pub(crate) fn pool(sources: &'static [(&'static str, &'static str)]) -> DescriptorPool {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources(sources));
    resolver.add(GoogleFileResolver::new());
    resolver.add(DescriptorSetFileResolver::new(prost::Message::decode(crate::pb::DESCRIPTORS).unwrap()));
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    for (name, _) in sources {
        compiler.open_file(name).unwrap_or_else(|error| panic!("{error:?}"));
    }
    compiler.descriptor_pool()
}

/// The same types as a schema; message and enum ids follow the pool's order.
pub(crate) fn schema(pool: &DescriptorPool) -> Schema {
    let names = Names {
        messages: (0..).map(MessageId).zip(pool.all_messages()).map(|(id, it)| (it.full_name().into(), id)).collect(),
        enums: (0..).map(EnumId).zip(pool.all_enums()).map(|(id, it)| (it.full_name().into(), id)).collect(),
    };
    Schema {
        messages: pool.all_messages().map(|message| names.message(&message)).collect(),
        enums: pool.all_enums().map(|enumeration| self::enumeration(&enumeration)).collect(),
        methods: Vec::new(),
        message_names: names.messages,
        enum_names: names.enums,
        method_names: HashMap::new(),
    }
}

#[derive(Debug)]
struct Sources(&'static [(&'static str, &'static str)]);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|(at, _)| *at == name) {
            Some((name, source)) => File::from_source(name, source),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

struct Names {
    messages: HashMap<Box<str>, MessageId>,
    enums: HashMap<Box<str>, EnumId>,
}

impl Names {
    fn message(&self, message: &MessageDescriptor) -> Message {
        let proto3 = message.parent_file().syntax() == Syntax::Proto3;
        let mut oneofs: Vec<Box<str>> = Vec::new();
        let mut positions = HashMap::new();
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            positions.insert(oneof.full_name().to_owned(), u16::try_from(oneofs.len()).unwrap());
            oneofs.push(oneof.name().into());
        }
        let declared = message.descriptor_proto().field.iter();
        let fields = declared.map(|field| message.get_field(u32::try_from(field.number()).unwrap()).unwrap());
        let mut fields: Vec<Field> = fields
            .map(|field| {
                let oneof = field.containing_oneof().and_then(|oneof| positions.get(oneof.full_name()).copied());
                self.field(&field, proto3, oneof)
            })
            .collect();
        fields.extend(message.extensions().map(|extension| Field {
            name: extension.full_name().into(),
            json_name: extension.json_name().into(),
            number: extension.number(),
            kind: self.kind(&extension.kind(), extension.is_group()),
            shape: if extension.is_list() { Shape::Repeated } else { Shape::Singular },
            presence: if extension.is_list() { Presence::Implicit } else { Presence::Explicit },
            oneof: None,
            packed: extension.is_packed(),
            utf8: extension.parent_file().syntax() == Syntax::Proto3,
            extension: true,
            default: extension.field_descriptor_proto().default_value.as_deref().map(Into::into),
        }));
        Message {
            full_name: message.full_name().into(),
            fields: fields.into(),
            oneofs: oneofs.into(),
            well_known: well_known(message.full_name()),
            map_entry: message.is_map_entry(),
            message_set: message.descriptor_proto().options.as_ref().is_some_and(|it| it.message_set_wire_format()),
            file: message.parent_file().name().into(),
        }
    }

    fn field(&self, field: &FieldDescriptor, proto3: bool, oneof: Option<u16>) -> Field {
        let shape = match () {
            () if field.is_map() => Shape::Map,
            () if field.is_list() => Shape::Repeated,
            () => Shape::Singular,
        };
        let presence = match () {
            () if field.cardinality() == Cardinality::Required => Presence::Required,
            () if field.supports_presence() => Presence::Explicit,
            () => Presence::Implicit,
        };
        Field {
            name: field.name().into(),
            json_name: field.json_name().into(),
            number: field.number(),
            kind: self.kind(&field.kind(), field.is_group()),
            shape,
            presence,
            oneof,
            packed: field.is_packed(),
            utf8: proto3,
            extension: false,
            default: field.field_descriptor_proto().default_value.as_deref().map(Into::into),
        }
    }

    fn kind(&self, kind: &prost_reflect::Kind, group: bool) -> Kind {
        use prost_reflect::Kind as Other;
        match kind {
            Other::Double => Kind::Double,
            Other::Float => Kind::Float,
            Other::Int32 => Kind::Int32,
            Other::Int64 => Kind::Int64,
            Other::Uint32 => Kind::Uint32,
            Other::Uint64 => Kind::Uint64,
            Other::Sint32 => Kind::Sint32,
            Other::Sint64 => Kind::Sint64,
            Other::Fixed32 => Kind::Fixed32,
            Other::Fixed64 => Kind::Fixed64,
            Other::Sfixed32 => Kind::Sfixed32,
            Other::Sfixed64 => Kind::Sfixed64,
            Other::Bool => Kind::Bool,
            Other::String => Kind::String,
            Other::Bytes => Kind::Bytes,
            Other::Message(message) if group => Kind::Group(self.messages[message.full_name()]),
            Other::Message(message) => Kind::Message(self.messages[message.full_name()]),
            Other::Enum(enumeration) => Kind::Enum(self.enums[enumeration.full_name()]),
        }
    }
}

fn enumeration(enumeration: &EnumDescriptor) -> Enum {
    let declared = enumeration.enum_descriptor_proto().value.iter();
    Enum {
        full_name: enumeration.full_name().into(),
        values: declared.map(|value| EnumValue { name: value.name().into(), number: value.number() }).collect(),
        closed: enumeration.parent_file().syntax() == Syntax::Proto2,
        null_value: enumeration.full_name() == "google.protobuf.NullValue",
        file: enumeration.parent_file().name().into(),
    }
}

fn well_known(full_name: &str) -> Option<WellKnown> {
    let name = match full_name {
        "google.api.HttpBody" => return Some(WellKnown::HttpBody),
        _ => full_name.strip_prefix("google.protobuf.")?,
    };
    Some(match name {
        "Any" => WellKnown::Any,
        "Duration" => WellKnown::Duration,
        "Empty" => WellKnown::Empty,
        "FieldMask" => WellKnown::FieldMask,
        "ListValue" => WellKnown::ListValue,
        "Struct" => WellKnown::Struct,
        "Timestamp" => WellKnown::Timestamp,
        "Value" => WellKnown::Value,
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value" | "BoolValue"
        | "StringValue" | "BytesValue" => WellKnown::Wrapper,
        _ => return None,
    })
}
