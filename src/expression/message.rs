//! The values of a message's fields, read from its wire bytes when they are asked for, and only those.
//!
//! A message is the pieces of wire bytes that make it up: what comes twice is merged by reading one piece after the
//! other, so that the last value of a field wins. Unset fields have their defaults. Everything that is read is bounded:
//! lists and maps by [`MAX_ELEMENTS`], text by [`MAX_VALUE_BYTES`].

use std::collections::HashMap;

use cel::ExecutionError;
use cel::common::traits::{Indexer, Sizer};
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt, Type,
};
use cel::common::value::{CowVal, Val};
use smallvec::SmallVec;

use crate::schema::{Kind, MessageId, Shape};
use crate::transcode::wire::{ReadTag, Reader, WireType};

use super::field::{Default, Field, Form};
use super::structs;
use super::time;
use super::work::UNIT_BYTES;

/// The most elements that one value read from a message may have, all lists and maps within it together.
pub const MAX_ELEMENTS: usize = 10_000;

/// The longest string or bytes that an expression reads from a message.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// In front of a field's name: whether the field is set. No identifier can spell it.
pub(super) const PRESENCE: char = '?';

/// The wire bytes of a message, in one piece or several.
pub(super) type Pieces<'v> = SmallVec<[&'v [u8]; 1]>;

/// Why a message can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Malformed,
    TooManyElements,
    TooLong,
    TooDeep,
    /// A timestamp or a duration that is none.
    OutOfRange(&'static str),
}

pub(super) type Read<T> = Result<T, Unreadable>;

/// Any error of the reader is the same to an expression: its wording is for the answers of upstreams.
pub(super) fn malformed<E>(_: E) -> Unreadable {
    Unreadable::Malformed
}

impl From<Unreadable> for ExecutionError {
    fn from(unreadable: Unreadable) -> Self {
        Self::function_error("request", unreadable)
    }
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed => formatter.write_str("the request's message is malformed"),
            Self::TooManyElements => write!(formatter, "a list or map of more than {MAX_ELEMENTS} elements"),
            Self::TooLong => write!(formatter, "a value of more than {MAX_VALUE_BYTES} bytes"),
            Self::TooDeep => formatter.write_str("a value that nests too deep"),
            Self::OutOfRange(what) => write!(formatter, "a {what} out of range"),
        }
    }
}

/// A field that an expression selects on messages of a type, wherever they come from.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) message: MessageId,
    /// As it is written in the text.
    pub(super) name: Box<str>,
    pub(super) field: Field,
}

/// A message as a value.
#[derive(Clone, Debug)]
pub(super) struct MessageValue<'v> {
    pieces: Pieces<'v>,
    id: MessageId,
    selections: &'v [Selection],
}

/// The reading of one value, however deep lists and maps nest in it.
pub(super) struct Walk<'v> {
    selections: &'v [Selection],
    /// How many elements more it may have.
    left: usize,
}

/// A scalar as it was read.
#[derive(Clone, Copy)]
enum Scalar<'v> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(&'v str),
    Bytes(&'v [u8]),
}

static MESSAGE_TYPE: Type = Type::new_unspecified_type("message");

impl<'v> MessageValue<'v> {
    pub(super) const fn new(pieces: Pieces<'v>, id: MessageId, selections: &'v [Selection]) -> Self {
        Self { pieces, id, selections }
    }
}

impl Val for MessageValue<'_> {
    fn get_type(&self) -> &Type {
        &MESSAGE_TYPE
    }

    fn cel_type() -> &'static Type {
        &MESSAGE_TYPE
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(self.clone())
    }
}

/// Its size in units of work. `size()` of a message does not pass the checker.
impl Sizer for MessageValue<'_> {
    fn size(&self) -> CelInt {
        let bytes: usize = self.pieces.iter().map(|piece| piece.len()).sum();
        i64::try_from(bytes / UNIT_BYTES).unwrap_or(i64::MAX).into()
    }
}

impl Indexer for MessageValue<'_> {
    fn get<'b, 'w>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let name = index.downcast_ref::<CelString<'_>>().map(CelString::inner).unwrap_or_default();
        let (asks_presence, name) = name.strip_prefix(PRESENCE).map_or((false, name), |name| (true, name));
        let found = self.selections.iter().find(|selection| selection.message == self.id && *selection.name == *name);
        let Some(Selection { field, .. }) = found else { return Err(ExecutionError::no_such_key(name)) };
        if asks_presence {
            return Ok(CowVal::owned(CelBool::from(field.is_set(&self.pieces)?)));
        }
        Ok(CowVal::Owned(field.read(&self.pieces, self.selections)?))
    }

    fn steal<'w>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        // What `get` returns borrows the wire, never the message value.
        self.get(index).map(CowVal::into_owned)
    }
}

impl Field {
    /// The value of the field in a message.
    pub(super) fn read<'v>(&'v self, pieces: &[&'v [u8]], selections: &'v [Selection]) -> Read<Box<dyn Val + 'v>> {
        self.walk(pieces, &mut Walk::new(selections))
    }

    fn walk<'v>(&'v self, pieces: &[&'v [u8]], walk: &mut Walk<'v>) -> Read<Box<dyn Val + 'v>> {
        match (self.shape, &self.form) {
            (Shape::Map, Form::Entry(entry)) => self.read_map(pieces, &entry.0, &entry.1, walk),
            (Shape::Repeated | Shape::Map, _) => self.read_list(pieces, walk),
            (Shape::Singular, Form::Scalar { kind, closed, default }) => {
                let last = self.last_scalar(pieces, *kind, closed.as_deref())?;
                last.unwrap_or_else(|| Scalar::of(default)).into_value()
            }
            (Shape::Singular, _) => self.form.value(self.find(pieces)?, walk),
        }
    }

    /// Whether the field is set: not its default, where that can't be told from being unset.
    pub(super) fn is_set(&self, pieces: &[&[u8]]) -> Read<bool> {
        match (self.shape, &self.form) {
            (Shape::Repeated | Shape::Map, _) => {
                let mut any = false;
                self.scan(pieces, |tag, reader| {
                    let packed = tag.is(WireType::Length) && self.wire_type != WireType::Length;
                    let empty = packed && reader.bytes().map_err(malformed)?.is_empty();
                    any |= !empty;
                    if packed { Ok(()) } else { reader.skip(tag, 1).map_err(malformed) }
                })?;
                Ok(any)
            }
            (Shape::Singular, Form::Scalar { kind, closed, .. }) => {
                let last = self.last_scalar(pieces, *kind, closed.as_deref())?;
                Ok(last.is_some_and(|last| !self.implicit || !last.is_zero()))
            }
            (Shape::Singular, _) => Ok(self.find(pieces)?.is_some()),
        }
    }

    /// The pieces of a singular message; `None` where it is not set.
    pub(super) fn find<'v>(&self, pieces: &[&'v [u8]]) -> Read<Option<Pieces<'v>>> {
        let mut found: Option<Pieces<'v>> = None;
        self.scan_all(pieces, |event| {
            match event {
                Event::Unset => found = None,
                Event::Value(tag, reader) => found.get_or_insert_default().push(message(tag, reader)?),
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn last_scalar<'v>(&self, pieces: &[&'v [u8]], kind: Kind, closed: Option<&[i32]>) -> Read<Option<Scalar<'v>>> {
        let mut last = None;
        self.scan_all(pieces, |event| {
            match event {
                Event::Unset => last = None,
                Event::Value(_, reader) => {
                    let scalar = Scalar::read(reader, kind)?;
                    if scalar.is_known(closed) {
                        last = Some(scalar);
                    }
                }
            }
            Ok(())
        })?;
        Ok(last)
    }

    fn read_list<'v>(&'v self, pieces: &[&'v [u8]], walk: &mut Walk<'v>) -> Read<Box<dyn Val + 'v>> {
        let mut list: Vec<Box<dyn Val + 'v>> = Vec::new();
        self.scan(pieces, |tag, reader| {
            let Form::Scalar { kind, closed, .. } = &self.form else {
                walk.count()?;
                list.push(self.form.value(Some(Pieces::from_buf([message(tag, reader)?])), walk)?);
                return Ok(());
            };
            let mut packed = match self.wire_type {
                WireType::Length => None,
                _ if tag.is(WireType::Length) => Some(Reader::new(reader.bytes().map_err(malformed)?)),
                _ => None,
            };
            let mut one = |reader: &mut Reader<'v>| {
                let scalar = Scalar::read(reader, *kind)?;
                walk.count()?;
                if scalar.is_known(closed.as_deref()) {
                    list.push(scalar.into_value()?);
                }
                Ok(())
            };
            let Some(packed) = &mut packed else { return one(reader) };
            while !packed.is_empty() {
                one(packed)?;
            }
            Ok(())
        })?;
        Ok(Box::new(CelList::from(list)))
    }

    fn read_map<'v>(
        &self,
        pieces: &[&'v [u8]],
        key: &'v Self,
        value: &'v Self,
        walk: &mut Walk<'v>,
    ) -> Read<Box<dyn Val + 'v>> {
        let mut map: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = HashMap::new();
        self.scan(pieces, |tag, reader| {
            walk.count()?;
            let entry = [message(tag, reader)?];
            let key = CelMapKey::try_from(key.walk(&entry, walk)?).map_err(malformed)?;
            map.insert(key, value.walk(&entry, walk)?);
            Ok(())
        })?;
        Ok(Box::new(CelMap::from(map)))
    }

    /// Calls `visit` with every value of the field.
    fn scan<'v>(&self, pieces: &[&'v [u8]], mut visit: impl FnMut(ReadTag, &mut Reader<'v>) -> Read<()>) -> Read<()> {
        self.scan_all(pieces, |event| match event {
            Event::Unset => Ok(()),
            Event::Value(tag, reader) => visit(tag, reader),
        })
    }

    /// Calls `visit` with every value of the field, and with every value of another member of its oneof.
    fn scan_all<'v>(&self, pieces: &[&'v [u8]], mut visit: impl FnMut(Event<'_, 'v>) -> Read<()>) -> Read<()> {
        for piece in pieces {
            let mut reader = Reader::new(piece);
            while !reader.is_empty() {
                let tag = reader.tag().map_err(malformed)?;
                if tag.number() == self.number && self.takes(tag) {
                    visit(Event::Value(tag, &mut reader))?;
                    continue;
                }
                if self.siblings.iter().any(|(number, wire_type)| tag.number() == *number && tag.is(*wire_type)) {
                    visit(Event::Unset)?;
                }
                reader.skip(tag, 1).map_err(malformed)?;
            }
        }
        Ok(())
    }

    /// Whether the value behind the tag is the field's: lists of numbers come packed or not.
    fn takes(&self, tag: ReadTag) -> bool {
        let packable = matches!(self.wire_type, WireType::Varint | WireType::Fixed32 | WireType::Fixed64);
        tag.is(self.wire_type) || self.shape == Shape::Repeated && packable && tag.is(WireType::Length)
    }
}

/// What a scan comes across.
enum Event<'r, 'v> {
    /// A value of the field, which is to be read.
    Value(ReadTag, &'r mut Reader<'v>),
    /// A value of another member of the field's oneof.
    Unset,
}

impl Form {
    /// The value of a message in these pieces, or of one that is not set.
    fn value<'v>(&'v self, pieces: Option<Pieces<'v>>, walk: &mut Walk<'v>) -> Read<Box<dyn Val + 'v>> {
        Ok(match (self, pieces) {
            (Self::Message(id), pieces) => {
                Box::new(MessageValue::new(pieces.unwrap_or_default(), *id, walk.selections))
            }
            (Self::Wrapper(inner), Some(pieces)) => return inner.walk(&pieces, walk),
            (Self::Struct, pieces) => return structs::structure(&pieces.unwrap_or_default(), 0, walk),
            (Self::ListValue, pieces) => return structs::list(&pieces.unwrap_or_default(), 0, walk),
            (Self::Timestamp, pieces) => return time::read_timestamp(&pieces.unwrap_or_default()),
            (Self::Duration, pieces) => return time::read_duration(&pieces.unwrap_or_default()),
            (Self::Value, Some(pieces)) => return structs::value(&pieces, 0, walk),
            (Self::Wrapper(_) | Self::Value, None) => Box::new(CelNull),
            // Read by `read_map` and `last_scalar`.
            (Self::Entry(_) | Self::Scalar { .. }, _) => Box::new(CelNull),
        })
    }
}

impl<'v> Scalar<'v> {
    fn of(default: &'v Default) -> Self {
        match default {
            Default::Bool(value) => Self::Bool(*value),
            Default::Int(value) => Self::Int(*value),
            Default::Uint(value) => Self::Uint(*value),
            Default::Double(value) => Self::Double(*value),
            Default::String(value) => Self::String(value),
            Default::Bytes(value) => Self::Bytes(value),
        }
    }

    fn read(reader: &mut Reader<'v>, kind: Kind) -> Read<Self> {
        let scalar = match kind {
            Kind::Double => reader.fixed64().map(|bits| Self::Double(f64::from_bits(bits))),
            Kind::Float => reader.fixed32().map(|bits| Self::Double(f32::from_bits(bits).into())),
            Kind::Int32 | Kind::Enum(_) => reader.varint().map(|bits| Self::Int((bits as i32).into())),
            Kind::Int64 => reader.varint().map(|bits| Self::Int(bits.cast_signed())),
            Kind::Uint32 => reader.varint().map(|bits| Self::Uint((bits as u32).into())),
            Kind::Uint64 => reader.varint().map(Self::Uint),
            Kind::Sint32 => reader.varint().map(|bits| Self::Int((zigzag((bits as u32).into()) as i32).into())),
            Kind::Sint64 => reader.varint().map(|bits| Self::Int(zigzag(bits))),
            Kind::Fixed32 => reader.fixed32().map(|bits| Self::Uint(bits.into())),
            Kind::Fixed64 => reader.fixed64().map(Self::Uint),
            Kind::Sfixed32 => reader.fixed32().map(|bits| Self::Int(bits.cast_signed().into())),
            Kind::Sfixed64 => reader.fixed64().map(|bits| Self::Int(bits.cast_signed())),
            Kind::Bool => reader.varint().map(|bits| Self::Bool(bits != 0)),
            Kind::Bytes => reader.bytes().map(Self::Bytes),
            Kind::String => {
                let text = reader.bytes().map_err(malformed)?;
                return simdutf8::basic::from_utf8(text).map(Self::String).map_err(malformed);
            }
            Kind::Message(_) | Kind::Group(_) => return Err(Unreadable::Malformed),
        };
        scalar.map_err(malformed)
    }

    fn is_zero(self) -> bool {
        match self {
            Self::Bool(value) => !value,
            Self::Int(value) => value == 0,
            Self::Uint(value) => value == 0,
            // -0 is not the default.
            Self::Double(value) => value.to_bits() == 0,
            Self::String(value) => value.is_empty(),
            Self::Bytes(value) => value.is_empty(),
        }
    }

    /// Whether a closed enum has this number.
    fn is_known(self, closed: Option<&[i32]>) -> bool {
        match (self, closed) {
            (Self::Int(number), Some(known)) => known.iter().any(|known| i64::from(*known) == number),
            _ => true,
        }
    }

    fn into_value(self) -> Read<Box<dyn Val + 'v>> {
        Ok(match self {
            Self::Bool(value) => Box::new(CelBool::from(value)),
            Self::Int(value) => Box::new(CelInt::from(value)),
            Self::Uint(value) => Box::new(CelUInt::from(value)),
            Self::Double(value) => Box::new(CelDouble::from(value)),
            Self::String(value) if value.len() <= MAX_VALUE_BYTES => Box::new(CelString::from(value)),
            Self::Bytes(value) if value.len() <= MAX_VALUE_BYTES => Box::new(CelBytes::from(value)),
            Self::String(_) | Self::Bytes(_) => return Err(Unreadable::TooLong),
        })
    }
}

const fn zigzag(bits: u64) -> i64 {
    (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed()
}

/// The inside of the message behind a tag.
fn message<'v>(tag: ReadTag, reader: &mut Reader<'v>) -> Read<&'v [u8]> {
    if tag.is(WireType::StartGroup) { reader.group(tag.number(), 1) } else { reader.bytes() }.map_err(malformed)
}

impl<'v> Walk<'v> {
    const fn new(selections: &'v [Selection]) -> Self {
        Self { selections, left: MAX_ELEMENTS }
    }

    /// Counts an element before it is read.
    pub(super) fn count(&mut self) -> Read<()> {
        self.left = self.left.checked_sub(1).ok_or(Unreadable::TooManyElements)?;
        Ok(())
    }
}
