//! Scalars out of their text, as JSON has it in quotes and as paths and parameters have it without.

use crate::schema::Kind;
use crate::transcode::json::{self, Integer, NotInteger};
use crate::transcode::plan::Plan;
use crate::transcode::well_known::decode_time::Time;
use crate::transcode::well_known::{decode_mask, decode_time};

use super::slot::append_varint;
use super::{Problem, base64};

/// Quotes what a client sent, cut short.
#[cold]
pub(crate) fn shown(text: &[u8]) -> String {
    const LIMIT: usize = 64;
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(LIMIT) {
        Some((at, _)) => format!("\"{}…\"", text.get(..at).unwrap_or_default().escape_debug()),
        None => format!("\"{}\"", text.escape_debug()),
    }
}

/// Appends the value of a scalar that is not an enum, without its tag.
pub(crate) fn append_scalar(plan: &Plan, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    match kind {
        Kind::Double => out.extend_from_slice(&double(text)?.to_le_bytes()),
        Kind::Float => out.extend_from_slice(&float(text)?.to_le_bytes()),
        Kind::Bool => out.push(boolean(text)?.into()),
        Kind::String => append_bytes(text, out),
        Kind::Bytes => append_base64(text, out)?,
        Kind::Enum(id) => {
            let number = match plan.enumeration(id).find_name(text) {
                Some(number) => number,
                None => enum_number(plan, id, text)?,
            };
            append_enum(number, out);
        }
        Kind::Message(_) | Kind::Group(_) => return Err("a message has no text".into()),
        Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Fixed32
        | Kind::Fixed64
        | Kind::Sfixed32
        | Kind::Sfixed64 => append_number(kind, integer(kind, text)?, out),
    }
    Ok(())
}

/// The bits on the wire of an integer: the text is a JSON number and nothing else.
pub(crate) fn integer(kind: Kind, text: &[u8]) -> Result<u64, Problem> {
    if json::number_length(text) != Some(text.len()) {
        return Err(format!("expected {}, found {}", article(kind), shown(text)).into());
    }
    match json::integer(text) {
        Ok(integer) => bits(kind, integer).ok_or_else(|| out_of_range(kind, text)),
        Err(NotInteger::Fraction) => {
            Err(format!("expected {}, found the fraction {}", article(kind), bare(text)).into())
        }
        Err(NotInteger::Range) => Err(out_of_range(kind, text)),
    }
}

/// An enum's number in digits, if the enum takes it.
fn enum_number(plan: &Plan, id: crate::schema::EnumId, text: &[u8]) -> Result<i32, Problem> {
    let number = integer(Kind::Int32, text).map_err(|_| unknown_enum(text))?;
    let number = i32::try_from(number.cast_signed()).map_err(|_| unknown_enum(text))?;
    let enumeration = plan.enumeration(id);
    if enumeration.closed && enumeration.quoted(number).is_none() { Err(unknown_enum(text)) } else { Ok(number) }
}

#[cold]
pub(crate) fn unknown_enum(text: &[u8]) -> Problem {
    format!("unknown enum value {}", shown(text)).into()
}

#[cold]
pub(crate) fn out_of_range(kind: Kind, text: &[u8]) -> Problem {
    format!("{} is out of range for {}", bare(text), name(kind)).into()
}

pub(crate) fn bare(text: &[u8]) -> String {
    shown(text).trim_matches('"').to_owned()
}

/// The bits on the wire of an integer, if it is in the range of its type.
#[inline]
pub(crate) fn bits(kind: Kind, integer: Integer) -> Option<u64> {
    let Integer { negative, size } = integer;
    let unsigned = || if negative && size != 0 { None } else { Some(size) };
    let signed = || {
        let limit = (1 << 63) - u64::from(!negative);
        let value = if negative { size.wrapping_neg() } else { size };
        (size <= limit).then_some(value.cast_signed())
    };
    let small = || i32::try_from(signed()?).ok();
    Some(match kind {
        Kind::Int32 | Kind::Enum(_) => i64::from(small()?).cast_unsigned(),
        Kind::Sfixed32 => small()?.cast_unsigned().into(),
        Kind::Sint32 => {
            let value = small()?;
            ((value << 1) ^ (value >> 31)).cast_unsigned().into()
        }
        Kind::Int64 | Kind::Sfixed64 => signed()?.cast_unsigned(),
        Kind::Sint64 => {
            let value = signed()?;
            ((value << 1) ^ (value >> 63)).cast_unsigned()
        }
        Kind::Uint32 | Kind::Fixed32 => u32::try_from(unsigned()?).ok()?.into(),
        _ => unsigned()?,
    })
}

/// Appends the bits of an integer in the form of its type.
#[inline]
pub(crate) fn append_number(kind: Kind, bits: u64, out: &mut Vec<u8>) {
    match kind {
        Kind::Fixed32 | Kind::Sfixed32 => out.extend_from_slice(&(bits as u32).to_le_bytes()),
        Kind::Fixed64 | Kind::Sfixed64 => out.extend_from_slice(&bits.to_le_bytes()),
        _ => append_varint(bits, out),
    }
}

/// Appends an enum's number: negative ones are as long as an `int64`.
pub(crate) fn append_enum(number: i32, out: &mut Vec<u8>) {
    append_varint(i64::from(number).cast_unsigned(), out);
}

/// Appends a length and so many bytes.
#[inline]
pub(crate) fn append_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    append_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends the bytes that a base64 text stands for, and their length before them.
pub(crate) fn append_base64(text: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    let problem = || Problem::from(format!("invalid base64 {}", shown(text)));
    let unpadded = base64::unpadded(text).ok_or_else(problem)?;
    append_varint(base64::decoded_length(unpadded) as u64, out);
    if base64::decode(unpadded, out) { Ok(()) } else { Err(problem()) }
}

pub(crate) fn boolean(text: &[u8]) -> Result<bool, Problem> {
    match text {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(format!("expected true or false, found {}", shown(text)).into()),
    }
}

/// The double of a JSON number or of one of the three names.
pub(crate) fn double(text: &[u8]) -> Result<f64, Problem> {
    match text {
        b"NaN" => Ok(f64::NAN),
        b"Infinity" => Ok(f64::INFINITY),
        b"-Infinity" => Ok(f64::NEG_INFINITY),
        _ if json::number_length(text) != Some(text.len()) => Err(not_float(Kind::Double, text)),
        _ => json::double(text).ok_or_else(|| out_of_range(Kind::Double, text)),
    }
}

/// The float of a JSON number or of one of the three names.
pub(crate) fn float(text: &[u8]) -> Result<f32, Problem> {
    match text {
        b"NaN" => Ok(f32::NAN),
        b"Infinity" => Ok(f32::INFINITY),
        b"-Infinity" => Ok(f32::NEG_INFINITY),
        _ if json::number_length(text) != Some(text.len()) => Err(not_float(Kind::Float, text)),
        _ => json::float(text).ok_or_else(|| out_of_range(Kind::Float, text)),
    }
}

#[cold]
fn not_float(kind: Kind, text: &[u8]) -> Problem {
    format!("expected {}, found {}", article(kind), shown(text)).into()
}

/// Appends the content of a `google.protobuf.Timestamp`.
pub(crate) fn append_timestamp(text: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    let time = decode_time::timestamp(text).ok_or_else(|| {
        format!("expected a time like \"2026-03-14T15:09:26.5Z\" of the years 0001 to 9999, found {}", shown(text))
    })?;
    append_time(time, out);
    Ok(())
}

/// Appends the content of a `google.protobuf.Duration`.
pub(crate) fn append_duration(text: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    let time = decode_time::duration(text)
        .ok_or_else(|| format!("expected a duration like \"1.5s\" of at most 315576000000s, found {}", shown(text)))?;
    append_time(time, out);
    Ok(())
}

fn append_time(time: Time, out: &mut Vec<u8>) {
    if time.seconds != 0 {
        out.push(0x08);
        append_varint(time.seconds.cast_unsigned(), out);
    }
    if time.nanos != 0 {
        out.push(0x10);
        append_varint(i64::from(time.nanos).cast_unsigned(), out);
    }
}

/// Appends the content of a `google.protobuf.FieldMask`.
pub(crate) fn append_mask(text: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    decode_mask::paths(text, out, |out, length| {
        out.push(0x0a);
        append_varint(length as u64, out);
    })
    .map_err(Problem::from)
}

/// The name of a scalar type, with its article.
pub(crate) const fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Double => "a double",
        Kind::Float => "a float",
        Kind::Int32 => "an int32",
        Kind::Int64 => "an int64",
        Kind::Uint32 => "a uint32",
        Kind::Uint64 => "a uint64",
        Kind::Sint32 => "a sint32",
        Kind::Sint64 => "a sint64",
        Kind::Fixed32 => "a fixed32",
        Kind::Fixed64 => "a fixed64",
        Kind::Sfixed32 => "a sfixed32",
        Kind::Sfixed64 => "a sfixed64",
        Kind::Bool => "a boolean",
        Kind::String => "a string",
        Kind::Bytes => "bytes in base64",
        Kind::Enum(_) => "an enum value",
        Kind::Message(_) | Kind::Group(_) => "a message",
    }
}

/// The name of a scalar type.
pub(crate) fn name(kind: Kind) -> &'static str {
    let article = article(kind);
    article.split_once(' ').map_or(article, |(_, name)| name)
}
