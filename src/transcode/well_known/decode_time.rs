//! `google.protobuf.Timestamp` and `google.protobuf.Duration` from their text.
//!
//! A timestamp is RFC 3339 with an upper case `T` and `Z` or an offset, years 0001 to 9999; a duration is seconds with
//! an `s` behind them, up to 10000 years of 365.25 days. Both have up to nine digits behind the point.

use crate::calendar;

/// Seconds and nanoseconds of both types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) seconds: i64,
    pub(crate) nanos: i32,
}

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z in seconds of the Unix epoch.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// The longest duration, in whole seconds; a fraction may come on top, says the conformance suite.
const MAX_DURATION: i64 = 315_576_000_000;

/// The instant that `text` writes; `None` where it is not the text of a timestamp.
pub(crate) fn timestamp(text: &[u8]) -> Option<Time> {
    let (date, rest) = text.split_first_chunk::<19>()?;
    let [a, b, c, d, b'-', e, f, b'-', g, h, b'T', i, j, b':', k, l, b':', m, n] = *date else { return None };
    let year = number(&[a, b, c, d])?;
    let month = number(&[e, f])?;
    let day = number(&[g, h])?;
    let hour = number(&[i, j])?;
    let minute = number(&[k, l])?;
    let second = number(&[m, n])?;
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_of(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, rest) = fraction(rest)?;
    let offset = match *rest {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), a, b, b':', c, d] => {
            let (hours, minutes) = (number(&[a, b])?, number(&[c, d])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let size = i64::from(hours * 3600 + minutes * 60);
            if sign == b'-' { -size } else { size }
        }
        _ => return None,
    };
    let seconds = calendar::days(year, month, day) * 86_400 + i64::from(hour * 3600 + minute * 60 + second) - offset;
    TIMESTAMPS.contains(&seconds).then_some(Time { seconds, nanos })
}

/// The time span that `text` writes; `None` where it is not the text of a duration.
pub(crate) fn duration(text: &[u8]) -> Option<Time> {
    let text = text.strip_suffix(b"s")?;
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let point = text.iter().position(|&byte| byte == b'.').unwrap_or(text.len());
    let (whole, rest) = text.split_at_checked(point)?;
    if whole.is_empty() || whole.len() > 12 {
        return None;
    }
    let seconds = whole.iter().try_fold(0i64, |seconds, byte| Some(seconds * 10 + i64::from(digit(*byte)?)))?;
    let (nanos, rest) = fraction(rest)?;
    if !rest.is_empty() || seconds > MAX_DURATION {
        return None;
    }
    Some(if negative { Time { seconds: -seconds, nanos: -nanos } } else { Time { seconds, nanos } })
}

fn digit(byte: u8) -> Option<u32> {
    let digit = byte.wrapping_sub(b'0');
    (digit < 10).then_some(digit.into())
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, byte| Some(number * 10 + digit(*byte)?))
}

/// The nanoseconds of `.123…`, one to nine digits, and what follows; none at all is zero.
fn fraction(text: &[u8]) -> Option<(i32, &[u8])> {
    let Some(text) = text.strip_prefix(b".") else { return Some((0, text)) };
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(count)?;
    if !(1..=9).contains(&count) {
        return None;
    }
    let scale = 10i32.pow(9 - u32::try_from(count).ok()?);
    Some((i32::try_from(number(digits)?).ok()? * scale, rest))
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
