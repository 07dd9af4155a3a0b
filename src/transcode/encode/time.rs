//! `google.protobuf.Timestamp` and `google.protobuf.Duration` as text.
//!
//! A timestamp is RFC 3339 in UTC, a duration seconds with an `s` behind; both with 0, 3, 6 or 9 fractional digits.
//! Ranges as in `timestamp.proto` and `duration.proto`.

use super::number::{write_integer, write_padded};

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
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_PER_DAY));
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
    write_integer(out, seconds.unsigned_abs());
    write_fraction(out, nanos.unsigned_abs());
    out.extend_from_slice(b"s\"");
    true
}

fn write_fraction(out: &mut Vec<u8>, nanos: u32) {
    let (value, digits) = match nanos {
        0 => return,
        _ if nanos % 1_000_000 == 0 => (nanos / 1_000_000, 3),
        _ if nanos % 1_000 == 0 => (nanos / 1_000, 6),
        _ => (nanos, 9),
    };
    out.push(b'.');
    write_padded(out, value, digits);
}

fn two_digits(value: u32) -> [u8; 2] {
    let digit = |value: u32| u8::try_from(value % 10).expect("a digit is below ten") + b'0';
    [digit(value / 10), digit(value)]
}

/// Year, month and day of the days since 1970-01-01, in the proleptic Gregorian calendar: Howard Hinnant's
/// `civil_from_days`, with years that begin in March, so that the leap day is the last of its year.
fn civil(days: i64) -> (u32, u32, u32) {
    const DAYS_TO_1970: i64 = 719_468;
    const DAYS_PER_ERA: u32 = 146_097;
    let days = u32::try_from(days + DAYS_TO_1970).expect("the range of timestamps begins in the year 1");
    let (era, day) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (400 * era + year + u32::from(month <= 2), month, day)
}
