//! Messages as JSON objects: fields in the order of the wire, lists and maps as runs.
//!
//! Every key and every element is written with a comma in front; the bracket then replaces the first comma, which
//! spares the hot loop a branch and tells an empty list from a full one.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::fast::FixedState;

use crate::schema::{FieldIndex, Kind, MessageId, Presence, Shape, WellKnown};

use super::super::MAX_DEPTH;
use super::super::fault::Fault;
use super::super::plan::{FieldPlan, MessagePlan, Plan};
use super::super::wire::{self, ReadTag, Reader, WireType};
use super::value::{Bare, Element, Keyed};
use super::{EncodeOptions, Names, Part, Scratch, Unset};

pub(super) type Print<T = ()> = Result<T, Box<Fault>>;

/// One message on its way to JSON.
pub(super) struct Printer<'a> {
    pub(super) plan: &'a Plan,
    pub(super) options: &'a EncodeOptions,
    pub(super) scratch: &'a mut Scratch,
    pub(super) out: &'a mut Vec<u8>,
    /// The length that `out` may have.
    end: usize,
    /// How many objects and arrays are open; those of repeated fields and maps do not count.
    pub(super) depth: usize,
    /// Whether the message is known to be regular.
    pub(super) regular: bool,
}

/// The fields of one message that were seen.
struct Seen {
    low: u64,
    /// Where the bits beyond the first 64 are.
    high: usize,
}

impl<'a> Printer<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        options: &'a EncodeOptions,
        scratch: &'a mut Scratch,
        out: &'a mut Vec<u8>,
        end: usize,
    ) -> Self {
        scratch.seen.clear();
        scratch.keys.clear();
        Self { plan, options, scratch, out, end, depth: 0, regular: false }
    }

    /// The same for a message that was made regular.
    pub(super) fn again(mut self) -> Self {
        self.regular = true;
        self
    }

    pub(super) fn part(&mut self, message: MessageId, wire: &'a [u8], part: Part) -> Print {
        match part {
            Part::Whole => self.message(message, wire)?,
            Part::Field(field) => self.single_field(self.plan.message(message), field, wire)?,
        }
        self.check_size(wire)
    }

    /// A message as its type is printed.
    #[inline]
    pub(super) fn message(&mut self, id: MessageId, wire: &'a [u8]) -> Print {
        let message = self.plan.message(id);
        match message.well_known {
            None | Some(WellKnown::HttpBody | WellKnown::Empty) => self.object(message, &mut Reader::new(wire), None),
            Some(well_known) => self.well_known(well_known, message, wire),
        }
    }

    /// A group, whose start tag was read.
    pub(super) fn group(&mut self, id: MessageId, reader: &mut Reader<'a>, number: u32) -> Print {
        let message = self.plan.message(id);
        match message.well_known {
            None | Some(WellKnown::HttpBody | WellKnown::Empty) => self.object(message, reader, Some(number)),
            Some(well_known) => {
                let wire = reader.group(number, self.depth + 1)?;
                self.well_known(well_known, message, wire)
            }
        }
    }

    fn object(&mut self, message: &'a MessagePlan, reader: &mut Reader<'a>, group: Option<u32>) -> Print {
        self.enter(reader.rest())?;
        let start = self.out.len();
        self.fields(message, reader, group)?;
        self.close(start, b'{', b'}');
        self.depth -= 1;
        Ok(())
    }

    /// Counts one level more.
    #[inline]
    pub(super) fn enter(&mut self, at: &[u8]) -> Print {
        if self.depth >= MAX_DEPTH {
            return Err(Fault::at(at, wire::TOO_DEEP));
        }
        self.depth += 1;
        Ok(())
    }

    /// Puts brackets around what was printed since `start`, which begins with a comma or is nothing.
    #[inline]
    pub(super) fn close(&mut self, start: usize, open: u8, close: u8) {
        match self.out.get_mut(start) {
            Some(comma) => *comma = open,
            None => self.out.push(open),
        }
        self.out.push(close);
    }

    /// Fails once more was printed than may be.
    #[inline]
    pub(super) fn check_size(&self, at: &[u8]) -> Print {
        if self.out.len() <= self.end {
            return Ok(());
        }
        Err(Fault::at(at, "the message prints as more bytes than allowed"))
    }

    #[inline]
    pub(super) fn key(&mut self, field: &FieldPlan) {
        self.out.extend_from_slice(match self.options.names {
            Names::Json => &field.json_key,
            Names::Proto => &field.proto_key,
        });
    }

    /// The fields of a message up to the end of its bytes or its group, each with a comma in front.
    pub(super) fn fields(&mut self, message: &'a MessagePlan, reader: &mut Reader<'a>, group: Option<u32>) -> Print {
        let mut seen = Seen::enter(message, self.scratch);
        while !reader.is_empty() || group.is_some() {
            let tag = reader.tag()?;
            let Some(field) = message.find_number(tag.number()).map(|index| message.field(index)) else {
                if tag.ends(group) {
                    break;
                }
                self.unknown(message, tag, reader, &mut seen)?;
                continue;
            };
            if !field.takes(tag) {
                if tag.ends(group) {
                    break;
                }
                reader.skip(tag, self.depth)?;
                continue;
            }
            self.mark(&mut seen, field)?;
            self.field(field, tag, reader).map_err(|fault| fault.inside(&field.name))?;
            self.check_size(reader.rest())?;
        }
        if self.options.unset == Unset::Emit {
            self.unset(message, &seen)?;
        }
        seen.leave(self.scratch);
        Ok(())
    }

    #[inline]
    fn mark(&mut self, seen: &mut Seen, field: &FieldPlan) -> Print {
        if seen.mark(self.scratch, field.seen_bit) && !self.regular {
            return Err(Fault::irregular());
        }
        Ok(())
    }

    #[inline]
    fn field(&mut self, field: &'a FieldPlan, tag: ReadTag, reader: &mut Reader<'a>) -> Print {
        match field.shape {
            Shape::Singular => self.value::<Keyed>(field, reader),
            Shape::Repeated | Shape::Map => {
                let start = self.out.len();
                self.key(field);
                if !self.run(field, tag, reader)? && self.options.unset == Unset::Omit {
                    self.out.truncate(start);
                }
                Ok(())
            }
        }
    }

    /// A list or a map with its brackets; whether there is anything in it.
    fn run(&mut self, field: &'a FieldPlan, tag: ReadTag, reader: &mut Reader<'a>) -> Print<bool> {
        let start = self.out.len();
        let (open, close) = match field.shape {
            Shape::Map => {
                let keys = self.scratch.keys.len();
                self.entries(field, tag, reader)?;
                self.unique_keys(keys)?;
                (b'{', b'}')
            }
            Shape::Repeated | Shape::Singular => {
                self.elements(field, tag, reader)?;
                (b'[', b']')
            }
        };
        let any = self.out.len() > start;
        self.close(start, open, close);
        Ok(any)
    }

    /// The elements of a list as long as they follow each other, each with a comma in front.
    pub(super) fn elements(&mut self, field: &'a FieldPlan, tag: ReadTag, reader: &mut Reader<'a>) -> Print {
        let mut next = Some(tag);
        while let Some(tag) = next {
            if tag.is(field.wire_type) {
                self.value::<Element>(field, reader)?;
            } else if field.takes(tag) {
                let mut packed = Reader::new(reader.bytes()?);
                while !packed.is_empty() {
                    self.value::<Element>(field, &mut packed)?;
                    self.check_size(packed.rest())?;
                }
            } else {
                reader.skip(tag, self.depth)?;
            }
            self.check_size(reader.rest())?;
            next = reader.tag_of(field.number);
        }
        Ok(())
    }

    /// The entries of a map as long as they follow each other, each with a comma in front. The hashes of their keys
    /// are left on the stack.
    pub(super) fn entries(&mut self, field: &'a FieldPlan, tag: ReadTag, reader: &mut Reader<'a>) -> Print {
        let entry = field.kind.message().map(|id| self.plan.message(id));
        let (key, value) = entry.and_then(MessagePlan::map_entry).expect("map entries have a key and a value");
        let mut next = Some(tag);
        while let Some(tag) = next {
            if field.takes(tag) {
                let start = self.out.len();
                let entry = reader.bytes()?;
                let hash = self.entry(key, value, entry)?;
                match hash {
                    Some(hash) => self.scratch.keys.push(hash),
                    None => self.out.truncate(start),
                }
            } else {
                reader.skip(tag, self.depth)?;
            }
            self.check_size(reader.rest())?;
            next = reader.tag_of(field.number);
        }
        Ok(())
    }

    /// One entry; nothing if its value has to be left out.
    fn entry(&mut self, key: &'a FieldPlan, value: &'a FieldPlan, wire: &'a [u8]) -> Print<Option<u64>> {
        let (mut key_at, mut value_at) = (None, None);
        let mut reader = Reader::new(wire);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            let slot = match tag.number() {
                1 if tag.is(key.wire_type) => Some(&mut key_at),
                2 if tag.is(value.wire_type) => Some(&mut value_at),
                _ => None,
            };
            if slot.is_some_and(|slot| slot.replace(reader).is_some()) && !self.regular {
                return Err(Fault::irregular());
            }
            reader.skip(tag, self.depth)?;
        }
        self.out.push(b',');
        let hash = self.map_key(key, key_at)?;
        self.out.push(b':');
        let start = self.out.len();
        match value_at {
            Some(mut reader) => self.value::<Bare>(value, &mut reader).map_err(|fault| fault.inside("value"))?,
            None => self.default(value)?,
        }
        Ok((self.out.len() > start).then_some(hash))
    }

    /// A key in quotes, and its hash.
    fn map_key(&mut self, key: &'a FieldPlan, reader: Option<Reader<'a>>) -> Print<u64> {
        if key.kind == Kind::String {
            let text = match reader {
                Some(mut reader) => reader.bytes()?,
                None => b"",
            };
            self.string(key, text)?;
            let mut hasher = FixedState::with_seed(0).build_hasher();
            hasher.write(text);
            return Ok(hasher.finish());
        }
        // Integers and booleans, some of which are quoted already.
        let start = self.out.len();
        match reader {
            Some(mut reader) => self.value::<Bare>(key, &mut reader)?,
            None => self.default(key)?,
        }
        let mut hasher = FixedState::with_seed(0).build_hasher();
        let quoted = self.out.get(start) == Some(&b'"');
        if !quoted {
            self.out.insert(start, b'"');
            self.out.push(b'"');
        }
        hasher.write(self.out.get(start..).unwrap_or_default());
        Ok(hasher.finish())
    }

    /// Takes the key hashes since `start` off the stack; the same key twice makes the message irregular.
    pub(super) fn unique_keys(&mut self, start: usize) -> Print {
        let keys = self.scratch.keys.get_mut(start..).unwrap_or_default();
        let twice = match keys {
            [] | [_] => false,
            _ => {
                keys.sort_unstable();
                keys.windows(2).any(|pair| pair.first() == pair.last())
            }
        };
        self.scratch.keys.truncate(start);
        if twice && !self.regular { Err(Fault::irregular()) } else { Ok(()) }
    }

    #[cold]
    fn unknown(&mut self, message: &'a MessagePlan, tag: ReadTag, reader: &mut Reader<'a>, seen: &mut Seen) -> Print {
        if !message.message_set || tag.number() != 1 || !tag.is(WireType::StartGroup) {
            return reader.skip(tag, self.depth);
        }
        let Some((number, wire)) = reader.message_set_item(self.depth)? else { return Ok(()) };
        let Some(field) = message.by_number(number) else { return Ok(()) };
        let Kind::Message(id) = field.kind else { return Ok(()) };
        self.mark(seen, field)?;
        self.key(field);
        self.message(id, wire).map_err(|fault| fault.inside(&field.name))?;
        self.check_size(reader.rest())
    }

    /// The fields without presence that did not come.
    #[cold]
    fn unset(&mut self, message: &'a MessagePlan, seen: &Seen) -> Print {
        let implicit = |field: &&FieldPlan| field.presence == Presence::Implicit && !field.is_extension();
        for field in message.fields.iter().filter(implicit) {
            if seen.has(self.scratch, field.seen_bit) {
                continue;
            }
            self.key(field);
            self.default(field)?;
        }
        self.check_size(&[])
    }

    /// What an unset field means.
    pub(super) fn default(&mut self, field: &'a FieldPlan) -> Print {
        match field.shape {
            Shape::Repeated => self.out.extend_from_slice(b"[]"),
            Shape::Map => self.out.extend_from_slice(b"{}"),
            Shape::Singular => self.default_value(field)?,
        }
        Ok(())
    }

    /// One field without its key.
    fn single_field(&mut self, message: &'a MessagePlan, index: FieldIndex, wire: &'a [u8]) -> Print {
        let wanted = message.field(index);
        let start = self.out.len();
        let mut found = false;
        let mut reader = Reader::new(wire);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            let field = message.by_number(tag.number()).filter(|field| field.takes(tag));
            match field {
                Some(field) if field.number == wanted.number => {
                    if found && !self.regular {
                        return Err(Fault::irregular());
                    }
                    found = true;
                    let printed = match field.shape {
                        Shape::Singular => self.value::<Bare>(field, &mut reader),
                        Shape::Repeated | Shape::Map => self.run(field, tag, &mut reader).map(|_| ()),
                    };
                    printed.map_err(|fault| fault.inside(&field.name))?;
                    self.check_size(reader.rest())?;
                }
                Some(field) if field.oneof.is_some() && field.oneof == wanted.oneof && found && !self.regular => {
                    return Err(Fault::irregular());
                }
                _ => reader.skip(tag, self.depth)?,
            }
        }
        if self.out.len() == start {
            self.unset_field(wanted)?;
        }
        Ok(())
    }

    /// An unset field, printed alone.
    fn unset_field(&mut self, field: &'a FieldPlan) -> Print {
        if field.shape != Shape::Singular || field.presence == Presence::Implicit {
            return self.default(field);
        }
        let well_known = field.kind.message().map(|id| self.plan.message(id).well_known);
        match well_known {
            Some(None | Some(WellKnown::HttpBody | WellKnown::Empty | WellKnown::Any | WellKnown::Struct)) => {
                self.out.extend_from_slice(b"{}");
            }
            Some(Some(WellKnown::ListValue)) => self.out.extend_from_slice(b"[]"),
            _ => self.out.extend_from_slice(b"null"),
        }
        Ok(())
    }
}

impl Seen {
    #[inline]
    fn enter(message: &MessagePlan, scratch: &mut Scratch) -> Self {
        let high = scratch.seen.len();
        let bits = message.fields.len() + message.oneofs;
        if bits > 64 {
            scratch.seen.resize(high + (bits - 64).div_ceil(64), 0);
        }
        Self { low: 0, high }
    }

    #[inline]
    fn leave(self, scratch: &mut Scratch) {
        scratch.seen.truncate(self.high);
    }

    /// Marks a bit; whether it was before.
    #[inline]
    fn mark(&mut self, scratch: &mut Scratch, bit: u32) -> bool {
        let word = match bit.checked_sub(64) {
            None => &mut self.low,
            Some(high) => {
                let word = scratch.seen.get_mut(self.high + high as usize / 64);
                word.expect("there is a bit for every field")
            }
        };
        let mask = 1 << (bit % 64);
        let before = *word & mask != 0;
        *word |= mask;
        before
    }

    fn has(&self, scratch: &Scratch, bit: u32) -> bool {
        let word = match bit.checked_sub(64) {
            None => Some(&self.low),
            Some(high) => scratch.seen.get(self.high + high as usize / 64),
        };
        word.is_some_and(|word| word & 1 << (bit % 64) != 0)
    }
}
