//! Numbers: the grammar of RFC 8259, exact integers, and floats rounded once.

/// An integer of up to 64 bits and a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Integer {
    pub(crate) negative: bool,
    pub(crate) size: u64,
}

/// Why a number is no integer of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotInteger {
    /// It has a part behind the point.
    Fraction,
    /// It is too large.
    Range,
}

/// Up to this power, tens are exact as `f64`.
const EXACT_TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// The length of the JSON number that `text` begins with.
pub(crate) fn length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        (count > 0).then_some(from + count)
    };
    let start = usize::from(text.first() == Some(&b'-'));
    let mut at = if text.get(start) == Some(&b'0') { start + 1 } else { digits(start)? };
    // A digit behind a leading zero is no number at all.
    if text.get(at).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at = digits(at + 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-'))))?;
    }
    Some(at)
}

/// The integer and its length, if `text` begins with a number of at most 19 digits without point or exponent.
#[inline]
pub(crate) fn plain(text: &[u8]) -> Option<(Integer, usize)> {
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let mut size = 0u64;
    let mut at = start;
    while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        // What wraps is longer than 19 digits, and given up below.
        size = size.wrapping_mul(10).wrapping_add(digit.into());
        at += 1;
    }
    let count = at - start;
    let leading_zero = count > 1 && text.get(start) == Some(&b'0');
    let longer = matches!(text.get(at), Some(b'.' | b'e' | b'E'));
    ((1..=19).contains(&count) && !leading_zero && !longer).then_some((Integer { negative, size }, at))
}

/// The integer that the whole of `text` is, if it is written with digits alone.
#[inline]
pub(crate) fn plain_integer(text: &[u8]) -> Option<Integer> {
    plain(text).filter(|(_, length)| *length == text.len()).map(|(integer, _)| integer)
}

/// The integer that a JSON number is exactly, in whatever form it is written.
pub(crate) fn integer(number: &[u8]) -> Result<Integer, NotInteger> {
    let (negative, number) = match number.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, number),
    };
    let mut parts = number.splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let mantissa = parts.next().unwrap_or_default();
    let exponent = parts.next().map_or(0, exponent);
    let point = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
    let mut digits = mantissa.iter().filter(|&&byte| byte != b'.').map(|&byte| u64::from(byte.wrapping_sub(b'0')));

    // Digits before the point once the exponent has moved it.
    let whole = i64::try_from(point).unwrap_or(i64::MAX).saturating_add(exponent);
    let mut size = 0u64;
    let mut taken = 0;
    while taken < whole {
        let Some(digit) = digits.next() else { break };
        size = size.checked_mul(10).and_then(|size| size.checked_add(digit)).ok_or(NotInteger::Range)?;
        taken += 1;
    }
    if digits.any(|digit| digit != 0) {
        return Err(NotInteger::Fraction);
    }
    while taken < whole && size != 0 {
        size = size.checked_mul(10).ok_or(NotInteger::Range)?;
        taken += 1;
    }
    Ok(Integer { negative, size })
}

/// The exponent of a number; one that is beyond all bounds stays there.
fn exponent(text: &[u8]) -> i64 {
    let digits = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    let size = digits.iter().fold(0i64, |size, byte| {
        size.saturating_mul(10).saturating_add(i64::from(byte.wrapping_sub(b'0'))).min(i64::MAX / 4)
    });
    if text.first() == Some(&b'-') { -size } else { size }
}

/// The double nearest to a JSON number; `None` if it is out of range.
pub(crate) fn double(number: &[u8]) -> Option<f64> {
    if let Some(exact) = exact_double(number) {
        return Some(exact);
    }
    let value: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// The float nearest to a JSON number; `None` if it is out of range.
pub(crate) fn float(number: &[u8]) -> Option<f32> {
    let value: f32 = std::str::from_utf8(number).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// A number whose digits fit 53 bits, without exponent, and with few digits behind the point: one division of two exact
/// doubles rounds it correctly (Clinger 1990).
#[inline]
fn exact_double(number: &[u8]) -> Option<f64> {
    let (negative, number) = match number.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, number),
    };
    if number.len() > 16 {
        return None;
    }
    let mut mantissa = 0u64;
    let mut fraction = None;
    for (&byte, at) in number.iter().zip(1usize..) {
        match byte {
            b'0'..=b'9' => mantissa = mantissa * 10 + u64::from(byte - b'0'),
            b'.' => fraction = Some(number.len() - at),
            _ => return None,
        }
    }
    if mantissa > 1 << 53 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let value = mantissa as f64 / EXACT_TENS.get(fraction.unwrap_or(0))?;
    Some(if negative { -value } else { value })
}
