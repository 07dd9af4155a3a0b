//! Rewrites an irregular message into a regular one of the same meaning: every singular field once, the pieces of a
//! split message merged, the members of lists and maps together, one member of a oneof, every map key once.
//!
//! It costs a sort per message and is taken once for a whole answer. What is unknown is dropped, as it would not be
//! printed. Depth is counted as the printer does.

use crate::schema::{Kind, MessageId, Shape, WellKnown};

use super::super::MAX_DEPTH;
use super::super::fault::Fault;
use super::super::plan::{FieldPlan, MessagePlan, Plan, Tag};
use super::super::wire::{self, ReadTag, Reader, WireType};
use super::any;
use super::object::Print;
use super::value::NOT_UTF8;

/// Writes regular messages.
pub(super) struct Regular<'a> {
    plan: &'a Plan,
    out: &'a mut Vec<u8>,
    depth: usize,
    /// Whether what is written is thrown away.
    discarding: bool,
}

/// One value of a field.
struct Entry<'a> {
    /// The position of the field.
    index: usize,
    value: Value<'a>,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// What has a length in front, packed lists too.
    Bytes(&'a [u8]),
    /// The inside of a group.
    Group(&'a [u8]),
}

/// The member that a oneof has after all that was read.
#[derive(Clone, Copy, Default)]
struct Member {
    /// The position of the field; none was there yet if the oneof has no values.
    index: usize,
    /// Where the values begin that belong to it; what came before was cleared by another member.
    since: usize,
}

impl<'a> Regular<'a> {
    pub(super) fn new(plan: &'a Plan, out: &'a mut Vec<u8>) -> Self {
        Self { plan, out, depth: 0, discarding: false }
    }

    /// Appends the message that `segments` make up together, without tag and length.
    pub(super) fn message(&mut self, id: MessageId, segments: &[&'a [u8]]) -> Print {
        let message = self.plan.message(id);
        if !is_level(message.well_known) {
            return self.fields(message, segments);
        }
        if self.depth >= MAX_DEPTH {
            return Err(Fault::at(segments.first().copied().unwrap_or_default(), wire::TOO_DEEP));
        }
        self.depth += 1;
        match message.well_known {
            Some(WellKnown::Any) => self.any(segments)?,
            _ => self.fields(message, segments)?,
        }
        self.depth -= 1;
        Ok(())
    }

    fn any(&mut self, segments: &[&'a [u8]]) -> Print {
        let (mut type_url, mut value) = (b"".as_slice(), b"".as_slice());
        for segment in segments {
            let (next_url, next_value) = any::read(segment, self.depth)?;
            type_url = next_url.unwrap_or(type_url);
            value = next_value.unwrap_or(value);
        }
        self.bytes(1, type_url);
        let Some(id) = any::find_type(self.plan, type_url).filter(|_| !self.discarding) else {
            self.bytes(2, value);
            return Ok(());
        };
        let message = self.plan.message(id);
        self.nested(2, |this| match any::has_fields(message.well_known) {
            true => this.fields(message, &[value]),
            false => this.message(id, &[value]),
        })
    }

    fn fields(&mut self, message: &'a MessagePlan, segments: &[&'a [u8]]) -> Print {
        let mut entries = self.gather(message, segments)?;
        entries.sort_by_key(|entry| entry.index);
        for entries in entries.chunk_by(|one, other| one.index == other.index) {
            let Some(field) = entries.first().and_then(|entry| message.fields.get(entry.index)) else { continue };
            let written = match field.shape {
                Shape::Singular => self.singular(field, entries),
                Shape::Repeated => entries.iter().try_for_each(|entry| self.value(field, &[entry.value])),
                Shape::Map => self.map(field, entries),
            };
            written.map_err(|fault| fault.inside(&field.name))?;
        }
        Ok(())
    }

    /// The values of known fields in the order in which they came, without those that a oneof's later member clears.
    fn gather(&mut self, message: &'a MessagePlan, segments: &[&'a [u8]]) -> Print<Vec<Entry<'a>>> {
        let mut entries = Vec::new();
        let mut members = vec![Member::default(); message.oneofs];
        for segment in segments {
            let mut reader = Reader::new(segment);
            while !reader.is_empty() {
                let tag = reader.tag()?;
                let Some((index, value)) = self.known(message, tag, &mut reader)? else { continue };
                let oneof = message.fields.get(index).and_then(|field| field.oneof);
                if let Some(member) = oneof.and_then(|oneof| members.get_mut(usize::from(oneof)))
                    && member.index != index
                {
                    *member = Member { index, since: entries.len() };
                }
                entries.push(Entry { index, value });
            }
        }
        let mut kept = Vec::with_capacity(entries.len());
        for (at, entry) in entries.into_iter().enumerate() {
            let oneof = message.fields.get(entry.index).and_then(|field| field.oneof);
            let member = oneof.and_then(|oneof| members.get(usize::from(oneof)));
            if member.is_none_or(|member| member.index == entry.index && at >= member.since) {
                kept.push(entry);
            } else if let Some(field) = message.fields.get(entry.index) {
                self.discard(field, &[entry.value])?;
            }
        }
        Ok(kept)
    }

    /// Reads values whose place another one takes: their bytes must be legal all the same. What is in an `Any` is
    /// bytes of no type until it is printed.
    fn discard(&mut self, field: &'a FieldPlan, values: &[Value<'a>]) -> Print {
        let start = self.out.len();
        let outer = std::mem::replace(&mut self.discarding, true);
        self.value(field, values).map_err(|fault| fault.inside(&field.name))?;
        self.discarding = outer;
        self.out.truncate(start);
        Ok(())
    }

    /// The value behind `tag` and the position of its field, where it is one.
    fn known(
        &self,
        message: &'a MessagePlan,
        tag: ReadTag,
        reader: &mut Reader<'a>,
    ) -> Print<Option<(usize, Value<'a>)>> {
        if message.message_set && tag.number() == 1 && tag.is(WireType::StartGroup) {
            let item = reader.message_set_item(self.depth)?;
            return Ok(item.and_then(|(number, wire)| {
                let index = message.find_number(number)?;
                Some((index.index(), Value::Bytes(wire)))
            }));
        }
        let found = message.find_number(tag.number()).filter(|&index| message.field(index).takes(tag));
        let Some(index) = found else {
            reader.skip(tag, self.depth)?;
            return Ok(None);
        };
        let field = message.field(index);
        let value = checked(field, tag, reader, self.depth).map_err(|fault| fault.inside(&field.name))?;
        let left_out = field.shape == Shape::Singular && self.is_left_out(field, value);
        Ok((!left_out).then_some((index.index(), value)))
    }

    /// Whether it is a number that a closed enum does not list, which counts as an unknown field.
    fn is_left_out(&self, field: &FieldPlan, value: Value<'a>) -> bool {
        let (Kind::Enum(id), Value::Varint(number)) = (field.kind, value) else { return false };
        let enumeration = self.plan.enumeration(id);
        #[expect(clippy::cast_possible_truncation, reason = "protobuf cuts varints to the size of their field")]
        let number = number as i32;
        enumeration.closed && enumeration.quoted(number).is_none()
    }

    /// The last value; all of them merged for a message.
    fn singular(&mut self, field: &'a FieldPlan, entries: &[Entry<'a>]) -> Print {
        let values: Vec<Value<'a>> = entries.iter().map(|entry| entry.value).collect();
        self.value(field, &values)
    }

    fn value(&mut self, field: &'a FieldPlan, values: &[Value<'a>]) -> Print {
        let Some(&last) = values.last() else { return Ok(()) };
        let number = field.number;
        match last {
            Value::Varint(value) => {
                self.tag(number, WireType::Varint);
                self.varint(value);
            }
            Value::Fixed64(value) => {
                self.tag(number, WireType::Fixed64);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Value::Fixed32(value) => {
                self.tag(number, WireType::Fixed32);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Value::Bytes(value) => match field.kind.message() {
                None => self.bytes(number, value),
                Some(id) => self.nested(number, |this| this.message(id, &segments(values)))?,
            },
            Value::Group(_) => {
                self.tag(number, WireType::StartGroup);
                if let Some(id) = field.kind.message() {
                    self.message(id, &segments(values))?;
                }
                self.tag(number, WireType::EndGroup);
            }
        }
        Ok(())
    }

    /// Every key once, with the last entry that has it.
    fn map(&mut self, field: &'a FieldPlan, entries: &[Entry<'a>]) -> Print {
        let entry = field.kind.message().map(|id| self.plan.message(id));
        let (key, value) = entry.and_then(MessagePlan::map_entry).expect("map entries have a key and a value");
        let mut pairs = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Value::Bytes(wire) = entry.value {
                pairs.extend(self.pair(key, value, wire)?);
            }
        }
        // The sort is stable: of equal keys, the last is the last that came.
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        for same in pairs.chunk_by(|(one, _), (other, _)| one == other) {
            let Some(((at, values), others)) = same.split_last() else { continue };
            others.iter().try_for_each(|(_, values)| self.discard(value, values))?;
            self.nested(field.number, |this| {
                match *at {
                    Key::Text(text) => this.bytes(key.number, text),
                    Key::Varint(number) => this.value(key, &[Value::Varint(number)])?,
                    Key::Fixed64(number) => this.value(key, &[Value::Fixed64(number)])?,
                    Key::Fixed32(number) => this.value(key, &[Value::Fixed32(number)])?,
                }
                this.value(value, values)
            })?;
        }
        Ok(())
    }

    /// The key and the values of one entry; nothing if the entry counts as unknown.
    fn pair(&self, key: &FieldPlan, value: &FieldPlan, wire: &'a [u8]) -> Print<Option<(Key<'a>, Vec<Value<'a>>)>> {
        let mut values = Vec::new();
        let mut at = Key::default_of(key);
        let mut reader = Reader::new(wire);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            match tag.number() {
                1 if tag.is(key.wire_type) => at = Key::new(key, checked(key, tag, &mut reader, self.depth)?),
                2 if tag.is(value.wire_type) => values.push(checked(value, tag, &mut reader, self.depth)?),
                _ => reader.skip(tag, self.depth)?,
            }
        }
        let left_out = values.last().is_some_and(|&last| self.is_left_out(value, last));
        Ok((!left_out).then_some((at, values)))
    }

    fn tag(&mut self, number: u32, wire_type: WireType) {
        self.out.extend_from_slice(Tag::new(number, wire_type).as_bytes());
    }

    fn varint(&mut self, value: u64) {
        prost::encoding::encode_varint(value, self.out);
    }

    fn bytes(&mut self, number: u32, value: &[u8]) {
        self.tag(number, WireType::Length);
        self.varint(value.len() as u64);
        self.out.extend_from_slice(value);
    }

    /// A tag and a length, and in between what `write` writes. The length is five bytes wide whatever it is, which
    /// is legal and spares moving what comes behind.
    fn nested(&mut self, number: u32, write: impl FnOnce(&mut Self) -> Print) -> Print {
        self.tag(number, WireType::Length);
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 5]);
        write(self)?;
        let mut length = self.out.len() - start - 5;
        let mut slots = self.out.iter_mut().skip(start).take(5).peekable();
        while let Some(slot) = slots.next() {
            *slot = u8::try_from(length & 0x7f).expect("seven bits fit a byte");
            if slots.peek().is_some() {
                *slot |= 0x80;
            }
            length >>= 7;
        }
        Ok(())
    }
}

/// A map key; equal keys are equal values of their type, however they were written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Text(&'a [u8]),
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
}

impl<'a> Key<'a> {
    fn default_of(field: &FieldPlan) -> Self {
        match field.wire_type {
            WireType::Fixed64 => Self::Fixed64(0),
            WireType::Fixed32 => Self::Fixed32(0),
            WireType::Varint => Self::Varint(0),
            WireType::Length | WireType::StartGroup | WireType::EndGroup => Self::Text(b""),
        }
    }

    fn new(field: &FieldPlan, value: Value<'a>) -> Self {
        match value {
            Value::Bytes(text) | Value::Group(text) => Self::Text(text),
            Value::Fixed64(number) => Self::Fixed64(number),
            Value::Fixed32(number) => Self::Fixed32(number),
            Value::Varint(number) => Self::Varint(match field.kind {
                Kind::Bool => u64::from(number != 0),
                Kind::Int32 | Kind::Uint32 | Kind::Sint32 => number & u64::from(u32::MAX),
                _ => number,
            }),
        }
    }
}

/// Whether the message counts as a level of nesting: whether it prints as an object or an array.
const fn is_level(well_known: Option<WellKnown>) -> bool {
    match well_known {
        None => true,
        Some(well_known) => match well_known {
            WellKnown::Any | WellKnown::Struct | WellKnown::ListValue | WellKnown::Empty | WellKnown::HttpBody => true,
            WellKnown::Timestamp | WellKnown::Duration | WellKnown::FieldMask => false,
            WellKnown::Value | WellKnown::Wrapper => false,
        },
    }
}

/// The pieces of a split message.
fn segments<'a>(values: &[Value<'a>]) -> Vec<&'a [u8]> {
    let inside = |value: &Value<'a>| match *value {
        Value::Bytes(bytes) | Value::Group(bytes) => Some(bytes),
        Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32(_) => None,
    };
    values.iter().filter_map(inside).collect()
}

fn read<'a>(tag: ReadTag, reader: &mut Reader<'a>, depth: usize) -> Print<Value<'a>> {
    Ok(match () {
        () if tag.is(WireType::Varint) => Value::Varint(reader.varint()?),
        () if tag.is(WireType::Fixed64) => Value::Fixed64(reader.fixed64()?),
        () if tag.is(WireType::Fixed32) => Value::Fixed32(reader.fixed32()?),
        () if tag.is(WireType::Length) => Value::Bytes(reader.bytes()?),
        () => Value::Group(reader.group(tag.number(), depth + 1)?),
    })
}

/// The value behind `tag`. A string is checked even if another one takes its place, as parsers do.
fn checked<'a>(field: &FieldPlan, tag: ReadTag, reader: &mut Reader<'a>, depth: usize) -> Print<Value<'a>> {
    let value = read(tag, reader, depth)?;
    match value {
        Value::Bytes(text) if field.kind == Kind::String && field.utf8 && simdutf8::basic::from_utf8(text).is_err() => {
            Err(Fault::at(text, NOT_UTF8))
        }
        _ => Ok(value),
    }
}
