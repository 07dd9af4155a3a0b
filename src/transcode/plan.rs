//! The plan: a schema's messages as flat tables, in the form in which the transcoder asks for them.
//!
//! A field is found by its number (wire to JSON) or by its name (JSON to wire), and carries everything that the loops
//! need: its tag as bytes, its keys as they are printed, its kind and its presence.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::schema::{EnumId, FieldIndex, Kind, MessageId, Presence, Schema, Shape, WellKnown};

use super::wire::{ReadTag, WireType};

/// Every message and enum of a schema, as tables.
#[derive(Debug)]
pub struct Plan {
    messages: Box<[MessagePlan]>,
    enums: Box<[EnumPlan]>,
    /// Message types by full name, for `Any`.
    types: HashMap<Box<str>, MessageId>,
}

/// A message type as tables.
#[derive(Debug)]
pub(crate) struct MessagePlan {
    pub(crate) full_name: Box<str>,
    pub(crate) well_known: Option<WellKnown>,
    pub(crate) message_set: bool,
    /// Parallel to `schema::Message::fields`.
    pub(crate) fields: Box<[FieldPlan]>,
    /// The number of oneofs.
    pub(crate) oneofs: usize,
    /// The positions of required fields.
    pub(crate) required: Box<[FieldIndex]>,
    numbers: NumberTable,
    names: HashMap<Box<[u8]>, FieldIndex, FixedState>,
}

/// A field as the loops want it.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    pub(crate) presence: Presence,
    pub(crate) oneof: Option<u16>,
    /// The bit that says that the field was seen; the members of a oneof share one.
    pub(crate) seen_bit: u32,
    pub(crate) packed: bool,
    pub(crate) utf8: bool,
    /// The wire type of one unpacked value.
    pub(crate) wire_type: WireType,
    /// The tag in front of a value as it is written: of the packed list where the field is packed.
    pub(crate) tag: Tag,
    /// The proto name; `[full.name]` for an extension.
    pub(crate) name: Box<str>,
    /// The ProtoJSON name.
    pub(crate) json_name: Box<str>,
    /// `,"jsonName":`
    pub(crate) json_key: Box<[u8]>,
    /// `,"proto_name":`
    pub(crate) proto_key: Box<[u8]>,
}

/// A tag as the varint that it is on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    bytes: [u8; 5],
    len: u8,
}

/// An enum type as tables.
#[derive(Debug)]
pub(crate) struct EnumPlan {
    pub(crate) closed: bool,
    pub(crate) null_value: bool,
    /// The first declared value's number, which is the default of a closed enum.
    pub(crate) first: i32,
    by_name: HashMap<Box<[u8]>, i32, FixedState>,
    /// The names of 0, 1, 2, …, quoted; empty where there is none.
    dense: Box<[Box<[u8]>]>,
    /// The other names, quoted.
    sparse: HashMap<i32, Box<[u8]>, FixedState>,
}

/// Field positions by field number.
#[derive(Debug)]
struct NumberTable {
    /// Position + 1 at the number; 0 where there is none.
    dense: Box<[u16]>,
    /// The numbers beyond, sorted.
    sparse: Box<[(u32, FieldIndex)]>,
}

/// Field and enum numbers below this go into a dense table, if they use a quarter of it or more.
const DENSE_LIMIT: usize = 1024;

impl Plan {
    /// Compiles every message and enum of `schema`.
    #[must_use]
    pub fn compile(schema: &Schema) -> Self {
        let types =
            (0u32..).zip(schema.messages()).map(|(id, message)| (message.full_name.clone(), MessageId(id))).collect();
        Self {
            messages: schema.messages().iter().map(MessagePlan::compile).collect(),
            enums: schema.enums().iter().map(EnumPlan::compile).collect(),
            types,
        }
    }

    pub(crate) fn message(&self, id: MessageId) -> &MessagePlan {
        self.messages.get(id.index()).expect("a plan has every message of its schema")
    }

    pub(crate) fn enumeration(&self, id: EnumId) -> &EnumPlan {
        self.enums.get(id.index()).expect("a plan has every enum of its schema")
    }

    /// The message type of this full name.
    pub(crate) fn find_type(&self, full_name: &str) -> Option<MessageId> {
        self.types.get(full_name).copied()
    }
}

impl MessagePlan {
    fn compile(message: &crate::schema::Message) -> Self {
        let indexes = || (0u16..).map(FieldIndex).zip(message.fields.iter());
        let mut names = HashMap::default();
        for (index, field) in indexes() {
            names.insert(field.json_name.as_bytes().into(), index);
        }
        // A proto name never hides another field's JSON name.
        for (index, field) in indexes().filter(|(_, field)| !field.extension) {
            names.entry(field.name.as_bytes().into()).or_insert(index);
        }
        Self {
            full_name: message.full_name.clone(),
            well_known: message.well_known,
            message_set: message.message_set,
            fields: indexes()
                .map(|(index, field)| FieldPlan::compile(field, seen_bit(message, index, field)))
                .collect(),
            oneofs: message.oneofs.len(),
            required: indexes()
                .filter(|(_, field)| field.presence == Presence::Required)
                .map(|(index, _)| index)
                .collect(),
            numbers: NumberTable::compile(indexes().map(|(index, field)| (field.number, index)).collect()),
            names,
        }
    }

    pub(crate) fn field(&self, index: FieldIndex) -> &FieldPlan {
        self.fields.get(index.index()).expect("indexes are made for the fields of their message")
    }

    /// The field of this proto name or JSON name.
    pub(crate) fn find_name(&self, name: &[u8]) -> Option<FieldIndex> {
        self.names.get(name).copied()
    }

    /// The field of this number.
    #[inline]
    pub(crate) fn find_number(&self, number: u32) -> Option<FieldIndex> {
        self.numbers.find(number)
    }

    /// The field of this number.
    #[inline]
    pub(crate) fn by_number(&self, number: u32) -> Option<&FieldPlan> {
        self.fields.get(self.numbers.find(number)?.index())
    }

    /// The key and the value, where it is the entry of a map.
    pub(crate) fn map_entry(&self) -> Option<(&FieldPlan, &FieldPlan)> {
        Some((self.by_number(1)?, self.by_number(2)?))
    }
}

impl FieldPlan {
    fn compile(field: &crate::schema::Field, seen_bit: u32) -> Self {
        let wire_type = WireType::of(field.kind);
        let written = if field.packed { WireType::Length } else { wire_type };
        let name = if field.extension { field.json_name.clone() } else { field.name.clone() };
        Self {
            number: field.number,
            kind: field.kind,
            shape: field.shape,
            presence: field.presence,
            oneof: field.oneof,
            seen_bit,
            packed: field.packed,
            utf8: field.utf8,
            wire_type,
            tag: Tag::new(field.number, written),
            json_key: key(&field.json_name),
            proto_key: key(&name),
            name,
            json_name: field.json_name.clone(),
        }
    }
}

impl FieldPlan {
    /// Whether the value behind this tag is one of the field's: a list of scalars comes packed or not, whatever it
    /// says itself.
    #[inline]
    pub(crate) fn takes(&self, tag: ReadTag) -> bool {
        tag.is(self.wire_type) || self.shape == Shape::Repeated && tag.is(WireType::Length) && self.is_packable()
    }

    const fn is_packable(&self) -> bool {
        matches!(self.wire_type, WireType::Varint | WireType::Fixed64 | WireType::Fixed32)
    }

    /// `"jsonName":`
    #[inline]
    pub(crate) fn quoted_key(&self) -> &[u8] {
        self.json_key.get(1..).unwrap_or_default()
    }

    pub(crate) fn is_extension(&self) -> bool {
        self.name.starts_with('[')
    }
}

/// Fields outside of oneofs have the bit of their position, oneofs the bits behind them.
fn seen_bit(message: &crate::schema::Message, index: FieldIndex, field: &crate::schema::Field) -> u32 {
    match field.oneof {
        Some(oneof) => u32::try_from(message.fields.len()).expect("field positions are 16 bits") + u32::from(oneof),
        None => index.0.into(),
    }
}

/// `,"name":`, with the name escaped.
fn key(name: &str) -> Box<[u8]> {
    let quoted = serde_json::to_string(name).expect("a string is always JSON");
    format!(",{quoted}:").into_bytes().into()
}

impl Tag {
    pub(crate) fn new(number: u32, wire_type: WireType) -> Self {
        let mut value = (number << 3) | u32::from(wire_type.number());
        let mut tag = Self { bytes: [0; 5], len: 0 };
        for byte in &mut tag.bytes {
            tag.len += 1;
            *byte = u8::try_from(value & 0x7f).expect("seven bits fit a byte");
            value >>= 7;
            if value == 0 {
                break;
            }
            *byte |= 0x80;
        }
        tag
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Appends the tag.
    #[inline]
    pub(crate) fn append(&self, out: &mut Vec<u8>) {
        if let ([byte, ..], 1) = (self.bytes, self.len) {
            out.push(byte);
        } else {
            out.extend_from_slice(self.as_bytes());
        }
    }
}

impl EnumPlan {
    fn compile(enumeration: &crate::schema::Enum) -> Self {
        let mut dense: Vec<Box<[u8]>> = Vec::new();
        let mut sparse = HashMap::default();
        let quoted = |name: &str| -> Box<[u8]> { format!("\"{name}\"").into_bytes().into() };
        for value in &enumeration.values {
            let position = usize::try_from(value.number).ok().filter(|&number| number < DENSE_LIMIT);
            let Some(position) = position.filter(|&number| number < 4 * enumeration.values.len() + 16) else {
                sparse.entry(value.number).or_insert_with(|| quoted(&value.name));
                continue;
            };
            if dense.len() <= position {
                dense.resize(position + 1, Box::default());
            }
            if let Some(slot) = dense.get_mut(position).filter(|slot| slot.is_empty()) {
                *slot = quoted(&value.name);
            }
        }
        Self {
            closed: enumeration.closed,
            null_value: enumeration.null_value,
            first: enumeration.values.first().map_or(0, |value| value.number),
            by_name: enumeration.values.iter().map(|value| (value.name.as_bytes().into(), value.number)).collect(),
            dense: dense.into(),
            sparse,
        }
    }

    /// The number of the value of this name.
    pub(crate) fn find_name(&self, name: &[u8]) -> Option<i32> {
        self.by_name.get(name).copied()
    }

    /// The name of this number, in quotes.
    #[inline]
    pub(crate) fn quoted(&self, number: i32) -> Option<&[u8]> {
        let dense = usize::try_from(number).ok().and_then(|position| self.dense.get(position));
        match dense.filter(|name| !name.is_empty()) {
            Some(name) => Some(name),
            None => self.sparse.get(&number).map(|name| &**name),
        }
    }
}

impl NumberTable {
    fn compile(mut numbers: Vec<(u32, FieldIndex)>) -> Self {
        numbers.sort_unstable_by_key(|&(number, _)| number);
        let limit = DENSE_LIMIT.min(4 * numbers.len() + 16);
        let is_dense = |number: u32| usize::try_from(number).is_ok_and(|number| number < limit);
        let size = numbers.iter().filter(|(number, _)| is_dense(*number)).map(|(number, _)| *number as usize + 1).max();
        let mut dense = vec![0; size.unwrap_or(0)];
        for (number, index) in numbers.iter().filter(|(number, _)| is_dense(*number)) {
            if let Some(slot) = dense.get_mut(*number as usize) {
                *slot = index.0 + 1;
            }
        }
        numbers.retain(|(number, _)| !is_dense(*number));
        Self { dense: dense.into(), sparse: numbers.into() }
    }

    #[inline]
    fn find(&self, number: u32) -> Option<FieldIndex> {
        match self.dense.get(number as usize) {
            Some(0) => None,
            Some(position) => Some(FieldIndex(position - 1)),
            None => {
                let at = self.sparse.binary_search_by_key(&number, |&(number, _)| number).ok()?;
                self.sparse.get(at).map(|&(_, index)| index)
            }
        }
    }
}
