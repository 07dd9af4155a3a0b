//! The protobuf wire format: varints, tags and the skipping of what is not known.
//!
//! Specification: <https://protobuf.dev/programming-guides/encoding/>.

use crate::schema::Kind;

use super::MAX_DEPTH;
use super::fault::Fault;

/// The form of a value behind its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint,
    Fixed64,
    Length,
    StartGroup,
    EndGroup,
    Fixed32,
}

impl WireType {
    /// The form in which one value of this kind is written.
    pub(crate) const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Sint32 | Kind::Sint64 => Self::Varint,
            Kind::Bool | Kind::Enum(_) => Self::Varint,
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Self::Fixed64,
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Self::Fixed32,
            Kind::String | Kind::Bytes | Kind::Message(_) => Self::Length,
            Kind::Group(_) => Self::StartGroup,
        }
    }

    /// The lowest three bits of a tag.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Varint => 0,
            Self::Fixed64 => 1,
            Self::Length => 2,
            Self::StartGroup => 3,
            Self::EndGroup => 4,
            Self::Fixed32 => 5,
        }
    }
}

/// A tag as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadTag(u32);

impl ReadTag {
    /// The tag that is this byte.
    #[inline]
    pub(crate) const fn of_byte(tag: u8) -> Self {
        Self(tag as u32)
    }

    /// The field number.
    #[inline]
    pub(crate) const fn number(self) -> u32 {
        self.0 >> 3
    }

    /// Whether the value behind has this form.
    #[inline]
    pub(crate) const fn is(self, wire_type: WireType) -> bool {
        self.0 & 7 == wire_type.number() as u32
    }

    /// Whether it ends the group of this field.
    #[inline]
    pub(crate) const fn ends(self, group: Option<u32>) -> bool {
        match group {
            Some(number) => self.0 == number << 3 | WireType::EndGroup.number() as u32,
            None => false,
        }
    }
}

/// Reads wire bytes from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

type Read<T> = Result<T, Box<Fault>>;

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(wire: &'a [u8]) -> Self {
        Self { rest: wire }
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What was not read yet.
    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A varint; bits beyond the 64th are dropped, as protobuf's own parsers do.
    #[inline]
    pub(crate) fn varint(&mut self) -> Read<u64> {
        match *self.rest {
            [first @ 0..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(first.into())
            }
            [first, second @ 0..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(first & 0x7f) | u64::from(second) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Read<u64> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().take(MAX_VARINT_BYTES).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        let cause = if self.rest.len() < MAX_VARINT_BYTES { TRUNCATED } else { "a varint of more than ten bytes" };
        Err(Fault::at(self.rest, cause))
    }

    /// A tag.
    #[inline]
    pub(crate) fn tag(&mut self) -> Read<ReadTag> {
        let start = self.rest;
        match u32::try_from(self.varint()?) {
            Ok(tag) if tag >= 8 && tag & 7 <= 5 => Ok(ReadTag(tag)),
            Ok(0..8) => Err(Fault::at(start, "field number 0")),
            Ok(_) => Err(Fault::at(start, "an unknown wire type")),
            Err(_) => Err(Fault::at(start, "a field number out of range")),
        }
    }

    /// Passes over the tag if it is this byte.
    #[inline]
    pub(crate) fn starts_with(&mut self, tag: u8) -> bool {
        match *self.rest {
            [first, ref rest @ ..] if first == tag && tag != 0 => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Passes over a value that is not a group.
    #[inline]
    pub(crate) fn skip_scalar(&mut self, wire_type: WireType) -> Read<()> {
        match wire_type {
            WireType::Length => self.bytes().map(|_| ()),
            WireType::Varint => self.varint().map(|_| ()),
            WireType::Fixed64 => self.fixed64().map(|_| ()),
            WireType::Fixed32 => self.fixed32().map(|_| ()),
            WireType::StartGroup | WireType::EndGroup => Err(Fault::at(self.rest, "a group in the entry of a map")),
        }
    }

    /// The next tag if it is another one of this field, and does not end a group.
    #[inline]
    pub(crate) fn tag_of(&mut self, number: u32) -> Option<ReadTag> {
        match *self.rest {
            [] => None,
            [first @ 0..0x80, ..] if u32::from(first >> 3) != number => None,
            _ => self.long_tag_of(number),
        }
    }

    fn long_tag_of(&mut self, number: u32) -> Option<ReadTag> {
        let mut ahead = *self;
        let tag = ahead.tag().ok().filter(|tag| tag.number() == number && !tag.is(WireType::EndGroup))?;
        *self = ahead;
        Some(tag)
    }

    #[inline]
    pub(crate) fn fixed32(&mut self) -> Read<u32> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| Fault::at(self.rest, TRUNCATED))?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn fixed64(&mut self) -> Read<u64> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| Fault::at(self.rest, TRUNCATED))?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// Bytes with their length in front.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Read<&'a [u8]> {
        let start = self.rest;
        let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| Fault::at(start, TRUNCATED))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The inside of the group whose start tag was just read; its end tag is passed over.
    pub(crate) fn group(&mut self, number: u32, depth: usize) -> Read<&'a [u8]> {
        let start = self.rest;
        loop {
            let before = self.rest;
            let tag = self.tag()?;
            if tag.ends(Some(number)) {
                return Ok(start.get(..start.len() - before.len()).unwrap_or_default());
            }
            self.skip(tag, depth)?;
        }
    }

    /// The inside of a MessageSet's item, whose start tag was just read: the type's number and the message.
    pub(crate) fn message_set_item(&mut self, depth: usize) -> Read<Option<(u32, &'a [u8])>> {
        let (mut number, mut message) = (None, None);
        let mut item = Reader::new(self.group(MESSAGE_SET_ITEM, depth + 1)?);
        while !item.is_empty() {
            let tag = item.tag()?;
            match tag.number() {
                2 if tag.is(WireType::Varint) => number = u32::try_from(item.varint()?).ok(),
                3 if tag.is(WireType::Length) => message = Some(item.bytes()?),
                _ => item.skip(tag, depth + 1)?,
            }
        }
        Ok(number.zip(message))
    }

    /// Passes over the value behind `tag`. `depth` is how deep the message around it lies.
    pub(crate) fn skip(&mut self, tag: ReadTag, depth: usize) -> Read<()> {
        let start = self.rest;
        match tag.0 & 7 {
            0 => self.varint().map(|_| ()),
            1 => self.fixed64().map(|_| ()),
            2 => self.bytes().map(|_| ()),
            3 if depth >= MAX_DEPTH => Err(Fault::at(start, TOO_DEEP)),
            3 => self.group(tag.number(), depth + 1).map(|_| ()),
            5 => self.fixed32().map(|_| ()),
            _ => Err(Fault::at(start, "an end group without its start")),
        }
    }
}

/// The bytes of the last value of this field that has a length before it; empty where there is none.
pub(crate) fn last_bytes(wire: &[u8], number: u32) -> Read<&[u8]> {
    let mut last = b"".as_slice();
    let mut reader = Reader::new(wire);
    while !reader.is_empty() {
        let tag = reader.tag()?;
        if tag.number() == number && tag.is(WireType::Length) {
            last = reader.bytes()?;
        } else {
            reader.skip(tag, 1)?;
        }
    }
    Ok(last)
}

/// The group of a MessageSet that holds one message.
const MESSAGE_SET_ITEM: u32 = 1;

/// The longest varint.
const MAX_VARINT_BYTES: usize = 10;

/// The cause of a message that ends within a value.
pub(crate) const TRUNCATED: &str = "the message ends within a value";

/// The cause of a message that is nested too deep.
pub(crate) const TOO_DEEP: &str = "nested deeper than 100 levels";
