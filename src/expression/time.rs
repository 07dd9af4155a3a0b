//! `google.protobuf.Timestamp` and `Duration` as CEL's timestamps and durations.
//!
//! Their values, arithmetic and accessors are the `cel` crate's. Making them of texts and numbers is ours: the crate
//! passes over what follows a duration, and counts hours in the offset that a timestamp was written with instead of UTC.
//!
//! ```text
//! timestamp('2027-01-01T00:00:00Z')    RFC 3339, or seconds since 1970
//! duration('1h30m')                    numbers with h, m, s, ms, us or ns behind them
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

use cel::ExecutionError;
use cel::common::types::{CelDuration, CelInt, CelString, CelTimestamp};
use cel::common::value::{CowVal, Val};
use chrono::{DateTime, SecondsFormat, TimeDelta};

use crate::transcode::wire::{Reader, WireType};

use super::message::{Read, Unreadable, malformed};

/// The functions that `timestamp` and `duration` become. No text can spell them.
pub(super) const TIMESTAMP: &str = "@timestamp";
pub(super) const DURATION: &str = "@duration";

/// The longest text that is tried: no timestamp is longer, nor any duration that somebody meant.
const MAX_TEXT_BYTES: usize = 64;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The years 1 to 9999, which are all that a timestamp may be in.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// The timestamp of a message.
pub(super) fn read_timestamp<'v>(pieces: &[&[u8]]) -> Read<Box<dyn Val + 'v>> {
    let (seconds, nanos) = parts(pieces)?;
    let nanos = u32::try_from(nanos).ok().filter(|nanos| i64::from(*nanos) < NANOS_PER_SECOND);
    let timestamp = nanos.and_then(|nanos| timestamp(seconds, nanos));
    Ok(Box::new(timestamp.ok_or(Unreadable::OutOfRange("timestamp"))?))
}

/// The duration of a message: at most what fits into 64 bits of nanoseconds, some 292 years.
pub(super) fn read_duration<'v>(pieces: &[&[u8]]) -> Read<Box<dyn Val + 'v>> {
    let (seconds, nanos) = parts(pieces)?;
    let nanos = i64::from(nanos);
    // The specification has both parts point the same way.
    let well_formed = nanos.abs() < NANOS_PER_SECOND && seconds.signum() * nanos.signum() >= 0;
    let whole = seconds.checked_mul(NANOS_PER_SECOND).and_then(|whole| whole.checked_add(nanos));
    let whole = whole.filter(|_| well_formed).ok_or(Unreadable::OutOfRange("duration"))?;
    Ok(Box::new(CelDuration::from(TimeDelta::nanoseconds(whole))))
}

/// The two fields that both messages have.
fn parts(pieces: &[&[u8]]) -> Read<(i64, i32)> {
    let (mut seconds, mut nanos) = (0, 0);
    for piece in pieces {
        let mut reader = Reader::new(piece);
        while !reader.is_empty() {
            let tag = reader.tag().map_err(malformed)?;
            match tag.number() {
                1 if tag.is(WireType::Varint) => seconds = reader.varint().map_err(malformed)?.cast_signed(),
                2 if tag.is(WireType::Varint) => nanos = reader.varint().map_err(malformed)? as i32,
                _ => reader.skip(tag, 1).map_err(malformed)?,
            }
        }
    }
    Ok((seconds, nanos))
}

/// The present as a timestamp; `None` for a clock that is off by centuries.
pub(super) fn present<'v>(now: SystemTime) -> Option<Box<dyn Val + 'v>> {
    let since = now.duration_since(UNIX_EPOCH).ok()?;
    Some(Box::new(timestamp(i64::try_from(since.as_secs()).ok()?, since.subsec_nanos())?))
}

fn timestamp(seconds: i64, nanos: u32) -> Option<CelTimestamp> {
    let moment = DateTime::from_timestamp(seconds, nanos).filter(|_| TIMESTAMP_SECONDS.contains(&seconds))?;
    Some(moment.fixed_offset().into())
}

/// The timestamp that a text tells.
pub(super) fn parse_timestamp(text: &str) -> Option<CelTimestamp> {
    let moment = DateTime::parse_from_rfc3339(Some(text).filter(|text| text.len() <= MAX_TEXT_BYTES)?).ok()?;
    timestamp(moment.timestamp(), moment.timestamp_subsec_nanos())
}

/// The timestamp of a number of seconds since 1970.
pub(super) fn timestamp_at(seconds: i64) -> Option<CelTimestamp> {
    timestamp(seconds, 0)
}

/// The duration that a text tells, as in Go: `1h30m`, `-1.5s`, `0`.
pub(super) fn parse_duration(text: &str) -> Option<CelDuration> {
    let text = Some(text).filter(|text| text.len() <= MAX_TEXT_BYTES)?;
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut whole: i128 = 0;
    if rest == "0" {
        rest = "";
    } else if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = split_digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), split_digits);
        let has_dot = rest.len() - after.len() > number.len();
        if number.is_empty() || has_dot && fraction.is_empty() {
            return None;
        }
        let (unit, after) = unit(after)?;
        whole = whole.checked_add(number.parse::<i128>().ok()?.checked_mul(unit)?)?;
        let mut place = unit;
        for digit in fraction.bytes() {
            place /= 10;
            whole += i128::from(digit - b'0') * place;
        }
        rest = after;
    }
    let nanos = i64::try_from(if negative { -whole } else { whole }).ok()?;
    Some(TimeDelta::nanoseconds(nanos).into())
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or_default()
}

/// The unit that a text begins with, in nanoseconds, and what is behind it.
fn unit(text: &str) -> Option<(i128, &str)> {
    const UNITS: [(&str, i128); 6] = [
        ("h", 3_600_000_000_000),
        ("ms", 1_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    UNITS.iter().find_map(|(name, nanos)| Some((*nanos, text.strip_prefix(name)?)))
}

/// `@timestamp(x)`
pub(super) fn to_timestamp<'b, 'v>(mut arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let Some(value) = arguments.pop() else { return Err(ExecutionError::missing_argument_or_target()) };
    let made = if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        parse_timestamp(text.inner())
    } else if let Some(seconds) = value.downcast_ref::<CelInt>() {
        timestamp_at(*seconds.inner())
    } else if value.downcast_ref::<CelTimestamp>().is_some() {
        return Ok(value);
    } else {
        return Err(ExecutionError::no_such_overload("timestamp", vec![value.get_type().name().to_owned()]));
    };
    made.map(CowVal::owned).ok_or_else(|| ExecutionError::function_error("timestamp", "no timestamp"))
}

/// `@duration(x)`
pub(super) fn to_duration<'b, 'v>(mut arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let Some(value) = arguments.pop() else { return Err(ExecutionError::missing_argument_or_target()) };
    let made = if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        parse_duration(text.inner())
    } else if value.downcast_ref::<CelDuration>().is_some() {
        return Ok(value);
    } else {
        return Err(ExecutionError::no_such_overload("duration", vec![value.get_type().name().to_owned()]));
    };
    made.map(CowVal::owned).ok_or_else(|| ExecutionError::function_error("duration", "no duration"))
}

/// A timestamp or a duration as ProtoJSON spells it.
pub(super) fn print(value: &dyn Val) -> Option<String> {
    if let Some(timestamp) = value.downcast_ref::<CelTimestamp>() {
        return Some(timestamp.inner().to_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true));
    }
    let duration = value.downcast_ref::<CelDuration>()?.inner();
    let sign = if *duration < TimeDelta::zero() { "-" } else { "" };
    let (seconds, nanos) = (duration.num_seconds().unsigned_abs(), duration.subsec_nanos().unsigned_abs());
    Some(match nanos {
        0 => format!("{sign}{seconds}s"),
        nanos if nanos % 1_000_000 == 0 => format!("{sign}{seconds}.{:03}s", nanos / 1_000_000),
        nanos if nanos % 1_000 == 0 => format!("{sign}{seconds}.{:06}s", nanos / 1_000),
        nanos => format!("{sign}{seconds}.{nanos:09}s"),
    })
}
