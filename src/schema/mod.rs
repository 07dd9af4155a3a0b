//! The schema: every message, enum and method of the loaded descriptors, resolved and immutable.
//!
//! Names become ids, features of editions become plain facts of a field (presence, packing, UTF-8 checks, closed
//! enums), and nothing above this module needs to know which syntax a file was written in.
//! Specification: <https://protobuf.dev/editions/features/>, `google/protobuf/descriptor.proto`.

pub mod compile;
pub mod error;
pub mod load;
pub mod path;

mod census;
mod declarations;
mod descriptor;
mod editions;
mod fields;
mod json_name;
mod messages;
mod sources;
mod symbols;
mod well_known;

#[cfg(test)]
pub(crate) mod testing;

use std::collections::HashMap;

use crate::pb::google::api::HttpRule;

/// A message type of a [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub(crate) u32);

/// An enum type of a [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnumId(pub(crate) u32);

/// A method of a [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MethodId(pub(crate) u32);

/// The position of a field in its message's [`Message::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldIndex(pub(crate) u16);

/// The way from a message down to a field: every step but the last is a singular message field.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(pub(crate) Box<[FieldIndex]>);

impl MessageId {
    /// The position in [`Schema::messages`].
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl EnumId {
    /// The position in [`Schema::enums`].
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl MethodId {
    /// The position in [`Schema::methods`].
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl FieldIndex {
    /// The position in [`Message::fields`].
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// All that the loaded descriptors declare.
#[derive(Debug, Default)]
pub struct Schema {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    methods: Vec<Method>,
    message_names: HashMap<Box<str>, MessageId>,
    method_names: HashMap<Box<str>, MethodId>,
}

/// A message type.
#[derive(Debug)]
pub struct Message {
    /// The full name, without a leading dot.
    pub full_name: Box<str>,
    /// The declared fields in the order of their declaration, then every known extension of this message.
    pub fields: Box<[Field]>,
    /// The names of the oneofs; those that proto3 `optional` makes are left out.
    pub oneofs: Box<[Box<str>]>,
    /// What ProtoJSON treats specially.
    pub well_known: Option<WellKnown>,
    /// Whether it is the entry of a map: field 1 the key, field 2 the value.
    pub map_entry: bool,
    /// Whether it is in the old MessageSet wire format.
    pub message_set: bool,
    /// The file that declares it.
    pub file: Box<str>,
}

/// A field or an extension.
#[derive(Debug)]
pub struct Field {
    /// The name in the `.proto` file; the full name for an extension.
    pub name: Box<str>,
    /// The ProtoJSON name: `json_name`, or lowerCamelCase; `[full.name]` for an extension.
    pub json_name: Box<str>,
    /// The number on the wire.
    pub number: u32,
    /// The type of one value; for a map, the entry message.
    pub kind: Kind,
    /// One value, a list or a map.
    pub shape: Shape,
    /// Whether an unset field can be told from a default one. Lists and maps are [`Presence::Implicit`].
    pub presence: Presence,
    /// The position of its oneof in [`Message::oneofs`].
    pub oneof: Option<u16>,
    /// Whether a list of scalars is written packed. Both forms are always read.
    pub packed: bool,
    /// Whether a string must be valid UTF-8 on the wire.
    pub utf8: bool,
    /// Whether it is an extension.
    pub extension: bool,
    /// The default as the descriptor spells it, where one is declared.
    pub default: Option<Box<str>>,
}

/// The type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(EnumId),
    /// A message with a length before it.
    Message(MessageId),
    /// A message between a start and an end tag: a proto2 group, or `message_encoding = DELIMITED`.
    Group(MessageId),
}

impl Kind {
    /// The message type, where it is one.
    #[must_use]
    pub const fn message(self) -> Option<MessageId> {
        match self {
            Self::Message(id) | Self::Group(id) => Some(id),
            _ => None,
        }
    }
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Singular,
    Repeated,
    Map,
}

/// Whether a field's absence is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Unset and default are the same.
    Implicit,
    /// Unset is told from default; members of oneofs and messages too.
    Explicit,
    /// It must be there.
    Required,
}

/// The messages that ProtoJSON writes in a form of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WellKnown {
    Any,
    Duration,
    Empty,
    FieldMask,
    ListValue,
    Struct,
    Timestamp,
    Value,
    /// `google.protobuf.DoubleValue` and its like: one field, number 1.
    Wrapper,
    /// `google.api.HttpBody`: ordinary in JSON, but a body of its own in HTTP.
    HttpBody,
}

/// An enum type.
#[derive(Debug)]
pub struct Enum {
    /// The full name, without a leading dot.
    pub full_name: Box<str>,
    /// The values in the order of their declaration; the first of a number is its name, later ones are aliases.
    pub values: Box<[EnumValue]>,
    /// Whether numbers that it does not list are unknown fields.
    pub closed: bool,
    /// Whether it is `google.protobuf.NullValue`.
    pub null_value: bool,
    /// The file that declares it.
    pub file: Box<str>,
}

/// One value of an enum.
#[derive(Debug)]
pub struct EnumValue {
    pub name: Box<str>,
    pub number: i32,
}

/// A method of a service.
#[derive(Debug)]
pub struct Method {
    /// `package.Service.Method`.
    pub full_name: Box<str>,
    /// `package.Service`.
    pub service: Box<str>,
    /// The method's own name.
    pub name: Box<str>,
    /// `/package.Service/Method`, as gRPC calls it.
    pub path: Box<str>,
    pub input: MessageId,
    pub output: MessageId,
    pub client_streaming: bool,
    pub server_streaming: bool,
    /// The `google.api.http` annotation.
    pub http: Option<HttpRule>,
    /// Whether the method says that it changes nothing (`NO_SIDE_EFFECTS`).
    pub no_side_effects: bool,
    /// Whether the method says that it may be repeated (`IDEMPOTENT` or `NO_SIDE_EFFECTS`).
    pub idempotent: bool,
    /// The file that declares it.
    pub file: Box<str>,
}

impl Schema {
    /// Every message type; an id is a position in here.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Every enum type; an id is a position in here.
    #[must_use]
    pub fn enums(&self) -> &[Enum] {
        &self.enums
    }

    /// Every method; an id is a position in here.
    #[must_use]
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The full names of the services that have methods, in the order of their declaration.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        // A service's methods stand together.
        self.methods
            .chunk_by(|first, second| first.service == second.service)
            .flat_map(|methods| methods.first().map(|method| &*method.service))
    }

    /// The message type of this id.
    #[must_use]
    pub fn message(&self, id: MessageId) -> &Message {
        self.messages.get(id.index()).expect("ids are made for the messages of their schema")
    }

    /// The enum type of this id.
    #[must_use]
    pub fn enumeration(&self, id: EnumId) -> &Enum {
        self.enums.get(id.index()).expect("ids are made for the enums of their schema")
    }

    /// The method of this id.
    #[must_use]
    pub fn method(&self, id: MethodId) -> &Method {
        self.methods.get(id.index()).expect("ids are made for the methods of their schema")
    }

    /// The message type of this full name, without a leading dot.
    #[must_use]
    pub fn find_message(&self, full_name: &str) -> Option<MessageId> {
        self.message_names.get(full_name).copied()
    }

    /// The method of this full name, `package.Service.Method`.
    #[must_use]
    pub fn find_method(&self, full_name: &str) -> Option<MethodId> {
        self.method_names.get(full_name).copied()
    }

    /// The ids of all methods, in the order of their declaration.
    pub fn method_ids(&self) -> impl Iterator<Item = MethodId> + use<> {
        (0..u32::try_from(self.methods.len()).expect("ids are 32 bits")).map(MethodId)
    }
}

impl Message {
    /// The field at this position.
    #[must_use]
    pub fn field(&self, index: FieldIndex) -> &Field {
        self.fields.get(index.index()).expect("indexes are made for the fields of their message")
    }

    /// The declared field of this name, by its proto name or its JSON name.
    #[must_use]
    pub fn find_field(&self, name: &str) -> Option<(FieldIndex, &Field)> {
        let by = |matches: fn(&Field, &str) -> bool| {
            self.fields.iter().position(|field| !field.extension && matches(field, name))
        };
        let position =
            by(|field, name| *field.name == *name).or_else(|| by(|field, name| *field.json_name == *name))?;
        Some((FieldIndex(u16::try_from(position).ok()?), self.fields.get(position)?))
    }
}

#[cfg(test)]
mod tests;
