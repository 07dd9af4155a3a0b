//! How long a call may take: what the client asks for, and what the upstream is told.
//!
//! `grpc-timeout` (gRPC: 1 to 8 digits and a unit), `connect-timeout-ms` (Connect: 1 to 10 digits), `x-server-timeout`
//! (seconds, with decimals). The shortest holds. There is no clock in here: a duration comes in, a duration goes out.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::status::Status;

/// The header in which gRPC carries a deadline, as the time that remains.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const CONNECT_TIMEOUT_MS: HeaderName = HeaderName::from_static("connect-timeout-ms");
const X_SERVER_TIMEOUT: HeaderName = HeaderName::from_static("x-server-timeout");

const MAX_GRPC_DIGITS: usize = 8;
const MAX_CONNECT_DIGITS: usize = 10;
/// The largest number that `grpc-timeout` can carry.
const MAX_GRPC_VALUE: u128 = 99_999_999;

/// In nanoseconds.
const MILLISECOND: u128 = 1_000_000;
/// In nanoseconds.
const SECOND: u128 = 1_000_000_000;
/// Units of `grpc-timeout`, the finest first, with their length in nanoseconds.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// The time that a call may take: the shortest of `configured` and what the headers ask for; `None` is no limit.
///
/// # Errors
/// 400 that names the header, for one that is malformed.
pub fn timeout(headers: &HeaderMap, configured: Option<Duration>) -> Result<Option<Duration>, Status> {
    let mut shortest = configured;
    for (name, parse, expected) in &READERS {
        for value in headers.get_all(name) {
            let asked = parse(value.as_bytes()).ok_or_else(|| malformed(name, value, expected))?;
            shortest = Some(shortest.map_or(asked, |shortest| shortest.min(asked)));
        }
    }
    Ok(shortest)
}

/// The value of `grpc-timeout` for the time that remains: rounded down, never zero, in the finest unit that it fits, but
/// from a second on in milliseconds at the finest, so that calls say the same and header compression can know it.
#[must_use]
pub fn grpc_timeout(remaining: Duration) -> HeaderValue {
    let nanos = remaining.as_nanos().max(1);
    let finest = if nanos < SECOND { 1 } else { MILLISECOND };
    let fits = UNITS.iter().find(|(_, unit)| *unit >= finest && nanos / unit <= MAX_GRPC_VALUE);
    let (unit, value) = match fits {
        Some((letter, unit)) => (*letter, nanos / unit),
        None => (b'H', MAX_GRPC_VALUE),
    };
    let value = u32::try_from(value).expect("eight digits fit into 32 bits");
    let mut text = [0; MAX_GRPC_DIGITS + 1];
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(value).as_bytes();
    for (to, from) in text.iter_mut().zip(digits.iter().chain([&unit])) {
        *to = *from;
    }
    let text = text.get(..=digits.len()).expect("at most eight digits and the unit");
    HeaderValue::from_bytes(text).expect("digits and a letter are legal in a header value")
}

type Reader = fn(&[u8]) -> Option<Duration>;

/// The headers, how each is read, and what it should have said.
const READERS: [(HeaderName, Reader, &str); 3] = [
    (GRPC_TIMEOUT, parse_grpc, "1 to 8 digits and one of H, M, S, m, u, n"),
    (CONNECT_TIMEOUT_MS, parse_connect, "1 to 10 digits, in milliseconds"),
    (X_SERVER_TIMEOUT, parse_seconds, "seconds, such as 1.5"),
];

fn parse_grpc(text: &[u8]) -> Option<Duration> {
    let (letter, digits) = text.split_last()?;
    let value = parse_digits(digits, MAX_GRPC_DIGITS)?;
    Some(match letter {
        b'H' => Duration::from_secs(value * 3600),
        b'M' => Duration::from_secs(value * 60),
        b'S' => Duration::from_secs(value),
        b'm' => Duration::from_millis(value),
        b'u' => Duration::from_micros(value),
        b'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

fn parse_connect(text: &[u8]) -> Option<Duration> {
    parse_digits(text, MAX_CONNECT_DIGITS).map(Duration::from_millis)
}

/// Seconds with an optional fraction, of which what is finer than a nanosecond is cut off.
fn parse_seconds(text: &[u8]) -> Option<Duration> {
    let point = memchr::memchr(b'.', text);
    let (whole, fraction) = match point {
        Some(point) => (text.get(..point)?, text.get(point + 1..)?),
        None => (text, &b""[..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { parse_digits(whole, MAX_CONNECT_DIGITS)? };
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanos = digits.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Some(Duration::new(whole, nanos))
}

/// One digit to `max` digits; the number fits 64 bits, and so does the number of hours in seconds.
fn parse_digits(text: &[u8], max: usize) -> Option<u64> {
    if text.is_empty() || text.len() > max || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

fn malformed(name: &HeaderName, value: &HeaderValue, expected: &str) -> Status {
    let shown: String = String::from_utf8_lossy(value.as_bytes()).chars().take(40).collect();
    Status::invalid_argument(name.as_str(), format!("malformed timeout `{shown}`, expected {expected}"))
}

#[cfg(test)]
mod tests;
