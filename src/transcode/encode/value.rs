//! One value behind its tag, as JSON.

use crate::schema::{EnumId, Kind, Presence};

use super::super::fault::Fault;
use super::super::plan::FieldPlan;
use super::super::wire::Reader;
use super::number::{write_base64, write_float, write_integer};
use super::object::{Print, Printer};
use super::{Enums, Int64, Unset, text};

pub(super) const NOT_UTF8: &str = "a string that is not UTF-8";

/// What goes in front of a value.
pub(super) trait Lead {
    /// Writes it; `false` where the value is a default that is left out.
    fn write(printer: &mut Printer<'_>, field: &FieldPlan, default: bool) -> bool;
}

/// The field's key; defaults of fields without presence are left out.
pub(super) struct Keyed;

/// A comma.
pub(super) struct Element;

/// Nothing.
pub(super) struct Bare;

impl Lead for Keyed {
    #[inline(always)]
    fn write(printer: &mut Printer<'_>, field: &FieldPlan, default: bool) -> bool {
        if default && field.presence == Presence::Implicit && printer.options.unset == Unset::Omit {
            return false;
        }
        printer.key(field);
        true
    }
}

impl Lead for Element {
    #[inline(always)]
    fn write(printer: &mut Printer<'_>, _: &FieldPlan, _: bool) -> bool {
        printer.out.push(b',');
        true
    }
}

impl Lead for Bare {
    #[inline(always)]
    fn write(_: &mut Printer<'_>, _: &FieldPlan, _: bool) -> bool {
        true
    }
}

impl<'a> Printer<'a> {
    /// The value that `reader` is at. Prints nothing for a number that a closed enum does not list.
    #[expect(clippy::cast_possible_truncation, reason = "protobuf cuts varints to the size of their field")]
    #[expect(clippy::cast_possible_wrap, reason = "protobuf's signed integers are two's complement")]
    #[inline]
    pub(super) fn value<L: Lead>(&mut self, field: &'a FieldPlan, reader: &mut Reader<'a>) -> Print {
        match field.kind {
            Kind::String => {
                let value = reader.bytes()?;
                if L::write(self, field, value.is_empty()) {
                    self.string(field, value)?;
                }
            }
            Kind::Int32 => self.small::<L>(field, i64::from(reader.varint()? as i32)),
            Kind::Uint32 => self.small::<L>(field, i64::from(reader.varint()? as u32)),
            Kind::Sint32 => self.small::<L>(field, i64::from(zigzag(u64::from(reader.varint()? as u32)) as i32)),
            Kind::Fixed32 => self.small::<L>(field, i64::from(reader.fixed32()?)),
            Kind::Sfixed32 => self.small::<L>(field, i64::from(reader.fixed32()? as i32)),
            Kind::Int64 => self.signed::<L>(field, reader.varint()? as i64),
            Kind::Sint64 => self.signed::<L>(field, zigzag(reader.varint()?)),
            Kind::Sfixed64 => self.signed::<L>(field, reader.fixed64()? as i64),
            Kind::Uint64 => self.unsigned::<L>(field, reader.varint()?),
            Kind::Fixed64 => self.unsigned::<L>(field, reader.fixed64()?),
            Kind::Bool => {
                let value = reader.varint()? != 0;
                if L::write(self, field, !value) {
                    self.out.extend_from_slice(if value { b"true" } else { b"false" });
                }
            }
            Kind::Double => {
                let bits = reader.fixed64()?;
                if L::write(self, field, bits == 0) {
                    write_float(self.out, f64::from_bits(bits));
                }
            }
            Kind::Float => {
                let bits = reader.fixed32()?;
                if L::write(self, field, bits == 0) {
                    write_float(self.out, f32::from_bits(bits));
                }
            }
            Kind::Bytes => {
                let value = reader.bytes()?;
                if L::write(self, field, value.is_empty()) {
                    write_base64(self.out, value);
                }
            }
            Kind::Enum(id) => self.enumeration::<L>(field, id, reader.varint()? as i32),
            Kind::Message(id) => {
                let wire = reader.bytes()?;
                L::write(self, field, false);
                self.message(id, wire)?;
            }
            Kind::Group(id) => {
                L::write(self, field, false);
                self.group(id, reader, field.number)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn small<L: Lead>(&mut self, field: &FieldPlan, value: i64) {
        if L::write(self, field, value == 0) {
            write_integer(self.out, value);
        }
    }

    #[inline]
    fn signed<L: Lead>(&mut self, field: &FieldPlan, value: i64) {
        if L::write(self, field, value == 0) {
            self.wide(value);
        }
    }

    #[inline]
    fn unsigned<L: Lead>(&mut self, field: &FieldPlan, value: u64) {
        if L::write(self, field, value == 0) {
            self.wide(value);
        }
    }

    #[inline]
    fn wide(&mut self, value: impl itoa::Integer) {
        match self.options.int64 {
            Int64::Number => write_integer(self.out, value),
            Int64::String => {
                self.out.push(b'"');
                write_integer(self.out, value);
                self.out.push(b'"');
            }
        }
    }

    #[inline]
    fn enumeration<L: Lead>(&mut self, field: &FieldPlan, id: EnumId, number: i32) {
        let enumeration = self.plan.enumeration(id);
        let name = enumeration.quoted(number);
        if enumeration.closed && name.is_none() || !L::write(self, field, number == 0) {
            return;
        }
        match name {
            _ if enumeration.null_value => self.out.extend_from_slice(b"null"),
            Some(name) if self.options.enums == Enums::Name => self.out.extend_from_slice(name),
            _ => write_integer(self.out, number),
        }
    }

    /// A string in quotes.
    #[inline]
    pub(super) fn string(&mut self, field: &FieldPlan, value: &[u8]) -> Print {
        let start = self.out.len();
        match text::write(self.out, value) {
            Ok(()) => Ok(()),
            Err(text::NotUtf8) if field.utf8 => Err(Fault::at(value, NOT_UTF8)),
            Err(text::NotUtf8) => {
                self.out.truncate(start);
                text::write_lossy(self.out, value);
                Ok(())
            }
        }
    }

    /// The default of one value.
    pub(super) fn default_value(&mut self, field: &'a FieldPlan) -> Print {
        match field.kind {
            Kind::String | Kind::Bytes => self.out.extend_from_slice(b"\"\""),
            Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => self.wide(0_u64),
            Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Fixed32 | Kind::Sfixed32 | Kind::Double | Kind::Float => {
                self.out.push(b'0');
            }
            Kind::Bool => self.out.extend_from_slice(b"false"),
            Kind::Enum(id) => {
                let enumeration = self.plan.enumeration(id);
                let number = if enumeration.closed { enumeration.first } else { 0 };
                self.enumeration::<Bare>(field, id, number);
            }
            Kind::Message(id) | Kind::Group(id) => self.message(id, b"")?,
        }
        Ok(())
    }
}

#[expect(clippy::cast_possible_wrap, reason = "zigzag maps unsigned to signed numbers bit by bit")]
#[inline]
const fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
