//! Messages: an object's members become fields in the order in which they come.

use crate::schema::{FieldIndex, Kind, MessageId, Presence, Shape, WellKnown};
use crate::transcode::json::{Fault, Next, Read, Step};
use crate::transcode::plan::{FieldPlan, MessagePlan, Tag};
use crate::transcode::wire::WireType;

use super::scalar::Written;
use super::{Pass, UnknownFields, text};

/// What of a message was there already.
#[derive(Debug)]
pub(super) struct Frame {
    /// One bit for each of the first 64 fields.
    seen: u64,
    /// One bit for each of the first 64 oneofs.
    oneofs: u64,
    /// Where the bits of later fields begin in the scratch memory, and behind them those of later oneofs.
    bits: usize,
}

/// Whether an object is a message, or one inside an `Any`, which has a `@type` beside its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Message,
    /// Its `@type` is still to come.
    InsideAny,
    /// Its `@type` was there.
    Typed,
}

/// The number of words for the bits beyond the first 64.
fn extra_words(bits: usize) -> usize {
    bits.div_ceil(64).saturating_sub(1)
}

impl Frame {
    pub(super) fn saw(&self, index: FieldIndex, bits: &[u64]) -> bool {
        match index.index() {
            index @ 0..64 => self.seen >> index & 1 == 1,
            index => bits.get(self.bits + index / 64 - 1).is_some_and(|word| word >> (index % 64) & 1 == 1),
        }
    }
}

/// Sets a bit; whether it was set already.
fn set(word: &mut u64, bit: usize) -> bool {
    let mask = 1 << (bit % 64);
    let was = *word & mask != 0;
    *word |= mask;
    was
}

impl<'a> Pass<'a> {
    /// Takes the JSON form of a message and appends its content, without tag and length.
    pub(crate) fn content(&mut self, id: MessageId) -> Read {
        let plan = self.plan.message(id);
        match plan.well_known {
            None | Some(WellKnown::HttpBody | WellKnown::Empty) => self.members(plan, Role::Message),
            Some(well_known) => self.well_known(plan, well_known),
        }
    }

    /// Takes the JSON form of a well-known type.
    pub(super) fn well_known(&mut self, plan: &'a MessagePlan, well_known: WellKnown) -> Read {
        match well_known {
            WellKnown::Timestamp => self.quoted("a timestamp", text::append_timestamp),
            WellKnown::Duration => self.quoted("a duration", text::append_duration),
            WellKnown::FieldMask => self.quoted("a field mask", text::append_mask),
            WellKnown::Wrapper => match plan.fields.first() {
                Some(value) => self.singular(value),
                None => self.members(plan, Role::Message),
            },
            WellKnown::Any => self.any(),
            WellKnown::Struct => self.structure(),
            WellKnown::ListValue => self.list_value(),
            WellKnown::Value => self.value(),
            WellKnown::Empty | WellKnown::HttpBody => self.members(plan, Role::Message),
        }
    }

    /// Takes an object and appends the fields that its members are.
    pub(super) fn members(&mut self, plan: &'a MessagePlan, mut role: Role) -> Read {
        let mut frame = self.frame(plan);
        if self.json.open(b'{', "an object")? {
            let mut expected = 0;
            loop {
                if let Some(index) = self.field(plan, expected, &mut role)? {
                    expected = index.index() + 1;
                    self.member(plan, index, &mut frame)?;
                }
                if self.json.next(b'}')? == Next::End {
                    break;
                }
            }
        }
        self.finish(plan, &frame)
    }

    /// Begins a message.
    #[inline]
    pub(super) fn frame(&mut self, plan: &MessagePlan) -> Frame {
        let bits = self.scratch.bits.len();
        let extra = extra_words(plan.fields.len()) + extra_words(plan.oneofs);
        if extra > 0 {
            self.scratch.bits.resize(bits + extra, 0);
        }
        Frame { seen: 0, oneofs: 0, bits }
    }

    /// Ends a message: all that is required must have been there.
    #[inline]
    pub(super) fn finish(&mut self, plan: &MessagePlan, frame: &Frame) -> Read {
        for &index in &plan.required {
            if !frame.saw(index, &self.scratch.bits) {
                let missing = Fault::new(self.json.at().saturating_sub(1), "the required field is missing");
                return Err(missing.under(&plan.field(index).json_name));
            }
        }
        self.scratch.bits.truncate(frame.bits);
        Ok(())
    }

    /// Notes that a field is there; whether it was before.
    #[inline]
    pub(super) fn see(&mut self, frame: &mut Frame, index: FieldIndex) -> bool {
        match index.index() {
            index @ 0..64 => set(&mut frame.seen, index),
            index => self.scratch.bits.get_mut(frame.bits + index / 64 - 1).is_some_and(|word| set(word, index)),
        }
    }

    /// Notes that a oneof is set; whether it was before.
    #[inline]
    pub(super) fn see_oneof(&mut self, plan: &MessagePlan, frame: &mut Frame, oneof: u16) -> bool {
        match usize::from(oneof) {
            oneof @ 0..64 => set(&mut frame.oneofs, oneof),
            oneof => {
                let word = frame.bits + extra_words(plan.fields.len()) + oneof / 64 - 1;
                self.scratch.bits.get_mut(word).is_some_and(|word| set(word, oneof))
            }
        }
    }

    /// Takes the name of a member and its colon. Most come in the order of declaration, hence the guess.
    ///
    /// `None` if the member was passed over, its value too.
    #[inline]
    pub(super) fn field(&mut self, plan: &MessagePlan, expected: usize, role: &mut Role) -> Read<Option<FieldIndex>> {
        self.json.peek();
        if let Some(field) = plan.fields.get(expected)
            && self.json.take(field.quoted_key())
        {
            return Ok(u16::try_from(expected).ok().map(FieldIndex));
        }
        self.find_field(plan, role)
    }

    fn find_field(&mut self, plan: &MessagePlan, role: &mut Role) -> Read<Option<FieldIndex>> {
        let key = self.json.key()?;
        let mut name = std::mem::take(&mut self.scratch.text);
        name.clear();
        key.append(&mut name)?;
        let found = plan.find_name(&name);
        let result = match found {
            Some(index) => Ok(Some(index)),
            None if *role == Role::InsideAny && name == b"@type" => {
                *role = Role::Typed;
                self.json.string("a type URL").map(|_| None)
            }
            None if *role == Role::Typed && name == b"@type" => {
                Err(Fault::new(key.at - 1, "the field is there twice").under("@type"))
            }
            None if self.options.unknown_fields == UnknownFields::Ignore => self.skip().map(|()| None),
            None => Err(Fault::new(key.at - 1, "unknown field").under(&String::from_utf8_lossy(&name))),
        };
        self.scratch.text = name;
        result
    }

    /// Takes a value that nobody wants.
    pub(super) fn skip(&mut self) -> Read {
        let mut types = std::mem::take(&mut self.scratch.ignored_types);
        let result = self.json.skip(&mut types);
        types.clear();
        self.scratch.ignored_types = types;
        result
    }

    /// Takes the value of a field and appends it.
    #[inline]
    pub(super) fn member(&mut self, plan: &'a MessagePlan, index: FieldIndex, frame: &mut Frame) -> Read {
        let field = plan.field(index);
        let result = match self.set_by(plan, index, frame) {
            Ok(true) if plan.message_set => self.message_set_item(field),
            Ok(true) => self.field_value(field),
            Ok(false) => Ok(()),
            Err(fault) => Err(fault),
        };
        result.map_err(|fault| fault.under(&field.json_name))
    }

    /// Whether the value that comes next sets the field. A `null` that leaves it unset is taken.
    #[inline]
    pub(super) fn set_by(&mut self, plan: &MessagePlan, index: FieldIndex, frame: &mut Frame) -> Read<bool> {
        let field = plan.field(index);
        if self.see(frame, index) {
            return Err(Fault::new(self.json.at(), "the field is there twice"));
        }
        if self.json.peek() == Some(b'n') && !self.has_null(field) {
            self.json.null()?;
            if field.presence == Presence::Required {
                return Err(Fault::new(self.json.at(), "the required field is missing"));
            }
            return Ok(false);
        }
        match field.oneof {
            Some(oneof) if self.see_oneof(plan, frame, oneof) => {
                Err(Fault::new(self.json.at(), "another field of the same oneof is set"))
            }
            _ => Ok(true),
        }
    }

    /// Whether `null` is a value of the field's own.
    #[cold]
    fn has_null(&self, field: &FieldPlan) -> bool {
        field.shape == Shape::Singular
            && match field.kind {
                Kind::Enum(id) => self.plan.enumeration(id).null_value,
                Kind::Message(id) => self.plan.message(id).well_known == Some(WellKnown::Value),
                _ => false,
            }
    }

    #[inline]
    pub(super) fn field_value(&mut self, field: &'a FieldPlan) -> Read {
        match field.shape {
            Shape::Singular => self.singular(field),
            Shape::Repeated => self.list(field),
            Shape::Map => self.map(field),
        }
    }

    /// Takes one value and appends the field; a default that need not be on the wire is left out.
    #[inline]
    pub(super) fn singular(&mut self, field: &'a FieldPlan) -> Read {
        let start = self.out.len();
        field.tag.append(&mut self.out);
        if let Some(id) = field.kind.message() {
            return self.submessage(field, id);
        }
        let value = self.out.len();
        let written = self.scalar(field.kind)?;
        if written == Written::Ignored || (field.presence == Presence::Implicit && self.is_default(value)) {
            self.out.truncate(start);
        }
        Ok(())
    }

    /// Whether all that was written from this offset on is a scalar's default: of every type that is zeros.
    #[inline]
    fn is_default(&self, from: usize) -> bool {
        let value = self.out.get(from..).unwrap_or_default();
        value.first() == Some(&0) && value.iter().all(|&byte| byte == 0)
    }

    /// Takes a message; its tag is written already.
    #[inline]
    pub(super) fn submessage(&mut self, field: &FieldPlan, id: MessageId) -> Read {
        if let Kind::Group(_) = field.kind {
            self.content(id)?;
            Tag::new(field.number, WireType::EndGroup).append(&mut self.out);
            return Ok(());
        }
        let slot = self.open_slot();
        self.content(id)?;
        self.close_slot(slot);
        Ok(())
    }

    fn list(&mut self, field: &'a FieldPlan) -> Read {
        if !self.json.open(b'[', "a list")? {
            return Ok(());
        }
        if field.packed { self.packed(field) } else { self.unpacked(field) }
    }

    fn packed(&mut self, field: &FieldPlan) -> Read {
        let start = self.out.len();
        field.tag.append(&mut self.out);
        let slot = self.open_slot();
        let content = self.out.len();
        let mut index = 0;
        loop {
            self.scalar(field.kind).map_err(|fault| fault.below(Step::Index(index)))?;
            index += 1;
            if self.json.next(b']')? == Next::End {
                break;
            }
        }
        if self.out.len() == content {
            self.out.truncate(start);
        } else {
            self.close_slot(slot);
        }
        Ok(())
    }

    fn unpacked(&mut self, field: &FieldPlan) -> Read {
        let mut index = 0;
        loop {
            self.item(field).map_err(|fault| fault.below(Step::Index(index)))?;
            index += 1;
            if self.json.next(b']')? == Next::End {
                return Ok(());
            }
        }
    }

    /// One item of a list that is not packed, or the value of a map's entry.
    #[inline]
    pub(super) fn item(&mut self, field: &FieldPlan) -> Read<Written> {
        let start = self.out.len();
        field.tag.append(&mut self.out);
        if let Some(id) = field.kind.message() {
            return self.submessage(field, id).map(|()| Written::Yes);
        }
        let written = self.scalar(field.kind)?;
        if written == Written::Ignored {
            self.out.truncate(start);
        }
        Ok(written)
    }

    /// An extension of a message in the MessageSet format: a group of its number and its content.
    fn message_set_item(&mut self, field: &'a FieldPlan) -> Read {
        let Kind::Message(id) = field.kind else { return self.field_value(field) };
        Tag::new(1, WireType::StartGroup).append(&mut self.out);
        Tag::new(2, WireType::Varint).append(&mut self.out);
        super::append_varint(field.number.into(), &mut self.out);
        Tag::new(3, WireType::Length).append(&mut self.out);
        self.submessage(field, id)?;
        Tag::new(1, WireType::EndGroup).append(&mut self.out);
        Ok(())
    }
}
