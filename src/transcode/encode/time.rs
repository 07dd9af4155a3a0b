//! `google.protobuf.Timestamp` and `google.protobuf.Duration` as text.
//!
//! A timestamp is RFC 3339 in UTC, a duration seconds with an `s` behind; both with 0, 3, 6 or 9 fractional digits.
//! Ranges as in `timestamp.proto` and `duration.proto`.

use super::number::{write_padded, write_unsigned};
use crate::calendar;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// 10,000 years.
const MAX_DURATION_SECONDS: u64 = 315_576_000_000;

const MAX_NANOS: u32 = 999_999_999;

const SECONDS_PER_DAY: i64 = 86_400;

/// Appends a timestamp in quotes; `false` if it is out of range.
pub(super) fn write_timestamp(out: &mut Vec<u8>, seconds: i64, nanos: i32) -> bool {
    let Some(nanos) = u32::try_from(nanos).ok().filter(|&nanos| nanos <= MAX_NANOS) else { return false };
    if !TIMESTAMP_SECONDS.contains(&seconds) {
        return false;
    }
    let (year, month, day) = calendar::civil(seconds.div_euclid(SECONDS_PER_DAY));
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    let small = |value: i64| u32::try_from(value).expect("a second of a day is small and not negative");
    let (hour, minute, second) = (small(second / 3600), small(second / 60 % 60), small(second % 60));
    let mut text = *b"\"0000-00-00T00:00:00";
    let parts = [(1, year / 100), (3, year % 100), (6, month), (9, day), (12, hour), (15, minute), (18, second)];
    for (at, value) in parts {
        let digits = text.get_mut(at..).and_then(|rest| rest.first_chunk_mut());
        let digits: &mut [u8; 2] = digits.expect("every position lies within the text");
        *digits = two_digits(value);
    }
    out.extend_from_slice(&text);
    write_fraction(out, nanos);
    out.extend_from_slice(b"Z\"");
    true
}

/// Appends a duration in quotes; `false` if it is out of range or its parts differ in sign.
pub(super) fn write_duration(out: &mut Vec<u8>, seconds: i64, nanos: i32) -> bool {
    let contrary = seconds > 0 && nanos < 0 || seconds < 0 && nanos > 0;
    if contrary || seconds.unsigned_abs() > MAX_DURATION_SECONDS || nanos.unsigned_abs() > MAX_NANOS {
        return false;
    }
    out.push(b'"');
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    write_unsigned(out, seconds.unsigned_abs());
    write_fraction(out, nanos.unsigned_abs());
    out.extend_from_slice(b"s\"");
    true
}

fn write_fraction(out: &mut Vec<u8>, nanos: u32) {
    let (value, digits) = match nanos {
        0 => return,
        _ if nanos.is_multiple_of(1_000_000) => (nanos / 1_000_000, 3),
        _ if nanos.is_multiple_of(1_000) => (nanos / 1_000, 6),
        _ => (nanos, 9),
    };
    out.push(b'.');
    write_padded(out, value, digits);
}

fn two_digits(value: u32) -> [u8; 2] {
    let digit = |value: u32| u8::try_from(value % 10).expect("a digit is below ten") + b'0';
    [digit(value / 10), digit(value)]
}
