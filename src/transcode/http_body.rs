//! `google.api.HttpBody` on the wire: a body of any content type, passed on byte by byte.
//!
//! Its extensions are metadata of no standard meaning, and are passed over. Specification:
//! `google/api/httpbody.proto`.

#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::schema::{FieldIndex, Kind, MessageId};
use crate::status::Status;

use super::fault::Fault;
use super::plan::{Plan, Tag};
use super::wire::{self, Reader, WireType};

const CONTENT_TYPE: u32 = 1;
const DATA: u32 = 2;

/// Where the parts of a body are within its wire bytes; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpBody {
    pub content_type: Range<usize>,
    pub data: Range<usize>,
}

/// Finds the parts of the body in `wire`; of each, the last one that is there.
///
/// # Errors
/// INTERNAL, HTTP 502, for illegal bytes.
pub fn read(wire: &[u8]) -> Result<HttpBody, Status> {
    find(wire).map_err(|fault| fault.into_status(wire))
}

fn find(wire: &[u8]) -> Result<HttpBody, Box<Fault>> {
    let mut body = HttpBody::default();
    let mut reader = Reader::new(wire);
    while !reader.is_empty() {
        let tag = reader.tag()?;
        let part = match tag.number() {
            CONTENT_TYPE if tag.is(WireType::Length) => &mut body.content_type,
            DATA if tag.is(WireType::Length) => &mut body.data,
            _ => {
                reader.skip(tag, 1)?;
                continue;
            }
        };
        let length = reader.bytes()?.len();
        let end = wire.len() - reader.rest().len();
        *part = end - length..end;
    }
    let content_type = wire.get(body.content_type.clone()).unwrap_or_default();
    if std::str::from_utf8(content_type).is_err() {
        return Err(Fault::at(content_type, "a content type that is not UTF-8"));
    }
    Ok(body)
}

/// Appends a body's wire bytes.
pub fn write(content_type: &str, data: &[u8], out: &mut Vec<u8>) {
    out.reserve(content_type.len() + data.len() + 16);
    for (number, bytes) in [(CONTENT_TYPE, content_type.as_bytes()), (DATA, data)] {
        if !bytes.is_empty() {
            out.extend_from_slice(Tag::new(number, WireType::Length).as_bytes());
            prost::encoding::encode_varint(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
    }
}

/// Appends a body as one field of a message.
pub fn write_field(
    plan: &Plan,
    (message, field): (MessageId, FieldIndex),
    (content_type, data): (&str, &[u8]),
    out: &mut Vec<u8>,
) {
    let field = plan.message(message).field(field);
    let mut body = Vec::with_capacity(content_type.len() + data.len() + 16);
    write(content_type, data, &mut body);
    out.extend_from_slice(field.tag.as_bytes());
    if let Kind::Group(_) = field.kind {
        out.extend_from_slice(&body);
        out.extend_from_slice(Tag::new(field.number, WireType::EndGroup).as_bytes());
    } else {
        prost::encoding::encode_varint(body.len() as u64, out);
        out.extend_from_slice(&body);
    }
}

/// The wire bytes of a field that is a body; empty where it is not there.
///
/// # Errors
/// INTERNAL, HTTP 502, for illegal bytes.
pub fn find_field<'a>(
    plan: &Plan,
    (message, field): (MessageId, FieldIndex),
    wire: &'a [u8],
) -> Result<&'a [u8], Status> {
    let number = plan.message(message).field(field).number;
    wire::last_bytes(wire, number).map_err(|fault| fault.into_status(wire))
}
