//! A count of what a serialized descriptor set holds, before any of it is decoded.
//!
//! An empty submessage costs two bytes on the wire and hundreds in memory, so that a hostile set of a few megabytes
//! could take all memory there is. The count walks the wire format alone, with a stack of its own.

use prost::encoding::{WireType, decode_key, decode_varint};

/// How many elements (files, messages, fields, values, methods, imports, …) one load may hold. All of googleapis has
/// about 300,000.
pub(crate) const MAX_ELEMENTS: usize = 2_000_000;

/// How deep messages may nest; protoc allows 32. Safely below what prost decodes.
pub(crate) const MAX_NESTING: usize = 64;

/// What cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uncountable {
    /// There are more elements than the caller allows.
    TooMany,
    /// Messages are nested deeper than [`MAX_NESTING`].
    TooDeep,
    /// Not wire format; decoding tells why.
    Malformed,
}

/// A message of the descriptor format that has elements below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Set,
    File,
    Message,
    Enum,
    Service,
    Method,
    MethodOptions,
    HttpRule,
    /// An element without elements.
    Leaf,
}

impl Node {
    /// What field `number` of this message is, where it is an element.
    const fn child(self, number: u32) -> Option<Self> {
        Some(match (self, number) {
            (Self::Set, 1) => Self::File,
            (Self::File, 4) | (Self::Message, 3) => Self::Message,
            (Self::File, 5) | (Self::Message, 4) => Self::Enum,
            (Self::File, 6) => Self::Service,
            (Self::File, 3 | 7) | (Self::Message, 2 | 6 | 8) | (Self::Enum, 2) => Self::Leaf,
            (Self::Service, 2) => Self::Method,
            (Self::Method, 4) => Self::MethodOptions,
            (Self::MethodOptions, 72_295_728) | (Self::HttpRule, 11) => Self::HttpRule,
            _ => return None,
        })
    }
}

/// How many elements the serialized `FileDescriptorSet` holds, if no more than `limit`.
pub(crate) fn count(set: &[u8], limit: usize) -> Result<usize, Uncountable> {
    let mut elements = 0;
    let mut stack = vec![(Node::Set, set)];
    while let Some((node, bytes)) = stack.last_mut() {
        if bytes.is_empty() {
            stack.pop();
            continue;
        }
        let node = *node;
        let Some((number, value)) = next_field(bytes)? else { continue };
        let Some(child) = node.child(number) else { continue };
        elements += 1;
        if elements > limit {
            return Err(Uncountable::TooMany);
        }
        if child != Node::Leaf {
            stack.push((child, value));
        }
        // Set and file are above the messages.
        if stack.len() > MAX_NESTING + 2 {
            return Err(Uncountable::TooDeep);
        }
    }
    Ok(elements)
}

/// Takes one field off `bytes`; its number and content, if it has a length.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Result<Option<(u32, &'a [u8])>, Uncountable> {
    let malformed = |_| Uncountable::Malformed;
    let (number, wire_type) = decode_key(bytes).map_err(malformed)?;
    let skip = match wire_type {
        WireType::Varint => {
            decode_varint(bytes).map_err(malformed)?;
            return Ok(None);
        }
        WireType::ThirtyTwoBit => 4,
        WireType::SixtyFourBit => 8,
        // A group's fields are walked as if they were the message's own: no descriptor has one.
        WireType::StartGroup | WireType::EndGroup => return Ok(None),
        WireType::LengthDelimited => decode_varint(bytes).map_err(malformed)?,
    };
    let skip = usize::try_from(skip).map_err(|_| Uncountable::Malformed)?;
    let (value, rest) = bytes.split_at_checked(skip).ok_or(Uncountable::Malformed)?;
    *bytes = rest;
    Ok((wire_type == WireType::LengthDelimited).then_some((number, value)))
}
