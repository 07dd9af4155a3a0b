//! `google.protobuf.Struct`, `Value` and `ListValue` as CEL's maps, values and lists.

use std::collections::HashMap;

use cel::common::types::{CelBool, CelDouble, CelList, CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::Val;

use crate::transcode::MAX_DEPTH;
use crate::transcode::wire::{Reader, WireType};

use super::message::{MAX_VALUE_BYTES, Pieces, Read, Unreadable, Walk, malformed};

/// The map of a `Struct`.
pub(super) fn structure<'v>(pieces: &[&'v [u8]], depth: usize, walk: &mut Walk<'v>) -> Read<Box<dyn Val + 'v>> {
    let mut map: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = HashMap::new();
    each(pieces, |number, reader| {
        let Some(mut entry) = (number == 1).then(|| reader.bytes()).transpose().map_err(malformed)?.map(Reader::new)
        else {
            return Ok(false);
        };
        walk.count()?;
        let (mut key, mut inside) = ("", Pieces::new());
        while !entry.is_empty() {
            let tag = entry.tag().map_err(malformed)?;
            match tag.number() {
                1 if tag.is(WireType::Length) => key = text(&mut entry)?,
                2 if tag.is(WireType::Length) => inside.push(entry.bytes().map_err(malformed)?),
                _ => entry.skip(tag, 1).map_err(malformed)?,
            }
        }
        map.insert(CelMapKey::from(key), value(&inside, depth + 1, walk)?);
        Ok(true)
    })?;
    Ok(Box::new(CelMap::from(map)))
}

/// The list of a `ListValue`.
pub(super) fn list<'v>(pieces: &[&'v [u8]], depth: usize, walk: &mut Walk<'v>) -> Read<Box<dyn Val + 'v>> {
    let mut list = Vec::new();
    each(pieces, |number, reader| {
        if number == 1 {
            walk.count()?;
            list.push(value(&[reader.bytes().map_err(malformed)?], depth + 1, walk)?);
        }
        Ok(number == 1)
    })?;
    Ok(Box::new(CelList::from(list)))
}

/// What a `Value` holds: the last member of its oneof.
pub(super) fn value<'v>(pieces: &[&'v [u8]], depth: usize, walk: &mut Walk<'v>) -> Read<Box<dyn Val + 'v>> {
    if depth > MAX_DEPTH {
        return Err(Unreadable::TooDeep);
    }
    let mut scalar: Box<dyn Val + 'v> = Box::new(CelNull);
    // The pieces of a struct (5) or a list (6), as long as it is the last member.
    let mut inside: (u32, Pieces<'v>) = (0, Pieces::new());
    for piece in pieces {
        let mut reader = Reader::new(piece);
        while !reader.is_empty() {
            let tag = reader.tag().map_err(malformed)?;
            match tag.number() {
                1 if tag.is(WireType::Varint) => {
                    reader.varint().map_err(malformed)?;
                    scalar = Box::new(CelNull);
                }
                2 if tag.is(WireType::Fixed64) => {
                    scalar = Box::new(CelDouble::from(f64::from_bits(reader.fixed64().map_err(malformed)?)));
                }
                3 if tag.is(WireType::Length) => scalar = Box::new(CelString::from(text(&mut reader)?)),
                4 if tag.is(WireType::Varint) => {
                    scalar = Box::new(CelBool::from(reader.varint().map_err(malformed)? != 0));
                }
                number @ (5 | 6) if tag.is(WireType::Length) => {
                    if inside.0 != number {
                        inside = (number, Pieces::new());
                    }
                    inside.1.push(reader.bytes().map_err(malformed)?);
                    continue;
                }
                _ => {
                    reader.skip(tag, 1).map_err(malformed)?;
                    continue;
                }
            }
            inside = (0, Pieces::new());
        }
    }
    match inside {
        (5, pieces) => structure(&pieces, depth + 1, walk),
        (6, pieces) => list(&pieces, depth + 1, walk),
        _ => Ok(scalar),
    }
}

/// Calls `visit` with the number of every value that has a length in front, and passes over the others and over those
/// that it does not take.
fn each<'v>(pieces: &[&'v [u8]], mut visit: impl FnMut(u32, &mut Reader<'v>) -> Read<bool>) -> Read<()> {
    for piece in pieces {
        let mut reader = Reader::new(piece);
        while !reader.is_empty() {
            let tag = reader.tag().map_err(malformed)?;
            if !tag.is(WireType::Length) || !visit(tag.number(), &mut reader)? {
                reader.skip(tag, 1).map_err(malformed)?;
            }
        }
    }
    Ok(())
}

fn text<'v>(reader: &mut Reader<'v>) -> Read<&'v str> {
    let text = simdutf8::basic::from_utf8(reader.bytes().map_err(malformed)?).map_err(malformed)?;
    if text.len() <= MAX_VALUE_BYTES { Ok(text) } else { Err(Unreadable::TooLong) }
}
