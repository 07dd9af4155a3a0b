//! `google.protobuf.Any`: `{"@type": …}` with the fields of the message it holds, or with its own JSON form as
//! `"value"`.
//!
//! A type that is not loaded prints as its bytes in base64, which loses nothing and is no reason to fail an answer.

use crate::schema::{MessageId, WellKnown};

use super::super::fault::Fault;
use super::super::plan::Plan;
use super::super::wire::{Reader, WireType};
use super::number::write_base64;
use super::object::{Print, Printer};
use super::text;

/// The loaded type of a type URL: what stands behind the last slash.
pub(super) fn find_type(plan: &Plan, type_url: &[u8]) -> Option<MessageId> {
    let name = type_url.rsplit(|&byte| byte == b'/').next()?;
    plan.find_type(std::str::from_utf8(name).ok()?)
}

/// Whether a message in an `Any` has its fields beside `@type`, rather than a JSON form of its own as `value`.
pub(super) const fn has_fields(well_known: Option<WellKnown>) -> bool {
    matches!(well_known, None | Some(WellKnown::HttpBody | WellKnown::Empty))
}

/// The type URL and the value of an `Any`; of each, the last one that is there.
pub(super) fn read(wire: &[u8], depth: usize) -> Print<(Option<&[u8]>, Option<&[u8]>)> {
    let (mut type_url, mut value) = (None, None);
    let mut reader = Reader::new(wire);
    while !reader.is_empty() {
        let tag = reader.tag()?;
        match tag.number() {
            1 if tag.is(WireType::Length) => type_url = Some(reader.bytes()?),
            2 if tag.is(WireType::Length) => value = Some(reader.bytes()?),
            _ => reader.skip(tag, depth)?,
        }
    }
    Ok((type_url, value))
}

/// Appends an `Any` of a type that is not known or whose bytes are not legal.
pub(super) fn write_opaque(out: &mut Vec<u8>, type_url: &[u8], value: &[u8]) {
    out.extend_from_slice(b"{\"@type\":");
    text::write_lossy(out, type_url);
    out.extend_from_slice(b",\"value\":");
    write_base64(out, value);
    out.push(b'}');
}

impl<'a> Printer<'a> {
    pub(super) fn any(&mut self, wire: &'a [u8]) -> Print {
        let (type_url, value) = read(wire, self.depth)?;
        self.any_of(type_url.unwrap_or_default(), value.unwrap_or_default())
    }

    pub(super) fn any_of(&mut self, type_url: &'a [u8], value: &'a [u8]) -> Print {
        self.enter(value)?;
        if type_url.is_empty() && value.is_empty() {
            self.out.extend_from_slice(b"{}");
        } else if let Some(id) = find_type(self.plan, type_url) {
            self.known(id, type_url, value).map_err(|fault| fault.inside_any(&self.plan.message(id).full_name))?;
        } else if std::str::from_utf8(type_url).is_ok() {
            write_opaque(self.out, type_url, value);
        } else {
            return Err(Fault::at(type_url, "a type URL that is not UTF-8"));
        }
        self.depth -= 1;
        Ok(())
    }

    fn known(&mut self, id: MessageId, type_url: &'a [u8], value: &'a [u8]) -> Print {
        let start = self.out.len();
        self.out.extend_from_slice(b",\"@type\":");
        text::write(self.out, type_url).map_err(|_| Fault::at(type_url, "a type URL that is not UTF-8"))?;
        let message = self.plan.message(id);
        if has_fields(message.well_known) {
            self.fields(message, &mut Reader::new(value), None)?;
        } else {
            self.out.extend_from_slice(b",\"value\":");
            self.message(id, value)?;
        }
        self.close(start, b'{', b'}');
        Ok(())
    }
}
