//! The messages that ProtoJSON writes in a form of their own.

use crate::schema::WellKnown;

use super::number::write_float;
use super::object::{Print, Printer};
use super::value::Bare;
use super::{text, time};
use crate::transcode::fault::Fault;
use crate::transcode::plan::{FieldPlan, MessagePlan};
use crate::transcode::wire::{Reader, WireType};

impl<'a> Printer<'a> {
    pub(super) fn well_known(&mut self, well_known: WellKnown, message: &'a MessagePlan, wire: &'a [u8]) -> Print {
        match well_known {
            WellKnown::Any => self.any(wire),
            WellKnown::Timestamp => self.time(wire, time::write_timestamp),
            WellKnown::Duration => self.time(wire, time::write_duration),
            WellKnown::FieldMask => self.field_mask(wire),
            WellKnown::Struct => self.collection(message, wire),
            WellKnown::ListValue => self.collection(message, wire),
            WellKnown::Value => self.dynamic_value(message, wire),
            WellKnown::Wrapper => self.wrapper(message, wire),
            // They have no form of their own, and are told apart before.
            WellKnown::Empty | WellKnown::HttpBody => self.fields(message, &mut Reader::new(wire), None),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "protobuf cuts varints to the size of their field")]
    #[expect(clippy::cast_possible_wrap, reason = "protobuf's signed integers are two's complement")]
    fn time(&mut self, wire: &'a [u8], write: fn(&mut Vec<u8>, i64, i32) -> bool) -> Print {
        let (mut seconds, mut nanos) = (0, 0);
        let mut reader = Reader::new(wire);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            match tag.number() {
                1 if tag.is(WireType::Varint) => seconds = reader.varint()? as i64,
                2 if tag.is(WireType::Varint) => nanos = reader.varint()? as i32,
                _ => reader.skip(tag, self.depth)?,
            }
        }
        if write(&mut self.out, seconds, nanos) {
            return Ok(());
        }
        Err(Fault::unprintable(wire, format!("a time out of range ({seconds} seconds and {nanos} nanoseconds)")))
    }

    /// Paths in lowerCamelCase with commas between; one that would not come back the same is an error.
    fn field_mask(&mut self, wire: &'a [u8]) -> Print {
        let mut paths = std::mem::take(&mut self.scratch.path);
        paths.clear();
        let mut reader = Reader::new(wire);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            if tag.number() != 1 || !tag.is(WireType::Length) {
                reader.skip(tag, self.depth)?;
                continue;
            }
            let path = reader.bytes()?;
            if !paths.is_empty() {
                paths.push(b',');
            }
            if !write_camel(&mut paths, path) {
                return Err(Fault::unprintable(path, "a field mask path that has no form in lowerCamelCase"));
            }
        }
        text::write(&mut self.out, &paths).map_err(|_| Fault::at(wire, "a field mask that is not UTF-8"))?;
        self.scratch.path = paths;
        Ok(())
    }

    /// A Struct is its one field, a map; a `ListValue` is its one field, a list.
    fn collection(&mut self, message: &'a MessagePlan, wire: &'a [u8]) -> Print {
        self.enter(wire)?;
        let (start, keys) = (self.out.len(), self.scratch.keys.len());
        let field = only_field(message);
        let mut reader = Reader::new(wire);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            if tag.number() != 1 || !tag.is(WireType::Length) {
                reader.skip(tag, self.depth)?;
            } else if message.well_known == Some(WellKnown::Struct) {
                self.entries(field, tag, &mut reader)?;
            } else {
                self.elements(field, tag, &mut reader)?;
            }
        }
        self.unique_keys(keys)?;
        match message.well_known {
            Some(WellKnown::Struct) => self.close(start, b'{', b'}'),
            _ => self.close(start, b'[', b']'),
        }
        self.depth -= 1;
        Ok(())
    }

    /// A `Value`; one without a kind, which has no JSON form, prints as null rather than costing the whole answer.
    fn dynamic_value(&mut self, message: &'a MessagePlan, wire: &'a [u8]) -> Print {
        let mut found = false;
        let mut reader = Reader::new(wire);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            let Some(field) = message.by_number(tag.number()).filter(|field| field.takes(tag)) else {
                reader.skip(tag, self.depth)?;
                continue;
            };
            if std::mem::replace(&mut found, true) && !self.regular {
                return Err(Fault::irregular());
            }
            match field.number {
                1 => {
                    reader.varint()?;
                    self.out.extend_from_slice(b"null");
                }
                2 => {
                    let start = reader.rest();
                    let number = f64::from_bits(reader.fixed64()?);
                    if !number.is_finite() {
                        return Err(Fault::unprintable(start, "a google.protobuf.Value that is not finite"));
                    }
                    write_float(&mut self.out, number);
                }
                _ => self.value::<Bare>(field, &mut reader)?,
            }
        }
        if !found {
            self.out.extend_from_slice(b"null");
        }
        Ok(())
    }

    /// A wrapper is its value.
    fn wrapper(&mut self, message: &'a MessagePlan, wire: &'a [u8]) -> Print {
        let field = only_field(message);
        let mut value = None;
        let mut reader = Reader::new(wire);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            if field.number == tag.number() && field.takes(tag) && value.replace(reader).is_some() && !self.regular {
                return Err(Fault::irregular());
            }
            reader.skip(tag, self.depth)?;
        }
        match value {
            Some(mut reader) => self.value::<Bare>(field, &mut reader),
            None => self.default_value(field),
        }
    }
}

fn only_field(message: &MessagePlan) -> &FieldPlan {
    message.fields.first().expect("a well-known type is as its own file declares it")
}

/// Appends a path with `_x` as `X`; `false` if it would not come back the same.
fn write_camel(out: &mut Vec<u8>, path: &[u8]) -> bool {
    let mut rest = path.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'_' => match rest.next() {
                Some(letter @ b'a'..=b'z') => out.push(letter.to_ascii_uppercase()),
                _ => return false,
            },
            b'A'..=b'Z' => return false,
            _ => out.push(byte),
        }
    }
    true
}
