//! JSON numbers and base64, as ProtoJSON prints them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::append::{append, append_padded};

/// Appends an integer.
#[inline]
pub(crate) fn write_signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_unsigned(out, value.unsigned_abs());
}

/// Appends an integer.
#[inline]
pub(crate) fn write_unsigned(out: &mut Vec<u8>, value: u64) {
    match u16::try_from(value) {
        Ok(value @ 0..10_000) => write_four_digits(out, value, None),
        _ => append(out, itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Appends up to four digits, by far the most common integers, without a branch; and a byte in front.
#[inline]
pub(crate) fn write_four_digits(out: &mut Vec<u8>, value: u16, lead: Option<u8>) {
    const ZEROS: u32 = u32::from_le_bytes(*b"0000");
    let value = u32::from(value);
    let (high, low) = (value / 100, value % 100);
    // The tens of a number below a hundred are its 103/1024.
    let tens = ((high * 103) >> 10) | (((low * 103) >> 10) << 16);
    let ones = (high | (low << 16)) - tens * 10;
    let digits = tens | ones << 8;
    // The last digit is there even if it is zero.
    let zeros = (digits | 1 << 24).trailing_zeros() / 8;
    let text = u64::from((digits | ZEROS) >> (zeros * 8));
    let len = 4 - zeros as usize;
    match lead {
        Some(lead) => append_padded(out, &(text << 8 | u64::from(lead)).to_le_bytes(), len + 1),
        None => append_padded(out, &text.to_le_bytes(), len),
    }
}

/// Appends a floating-point number in the fewest digits that read back as the same; what JSON has no number for in
/// quotes.
#[inline]
pub(crate) fn write_float(out: &mut Vec<u8>, value: impl zmij::Float + Into<f64> + Copy) {
    let wide: f64 = value.into();
    if !wide.is_finite() {
        out.extend_from_slice(match () {
            () if wide.is_nan() => b"\"NaN\"".as_slice(),
            () if wide > 0.0 => b"\"Infinity\"",
            () => b"\"-Infinity\"",
        });
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    append(out, text.strip_suffix(".0").unwrap_or(text).as_bytes());
}

/// Appends bytes as base64 in quotes.
pub(crate) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    if let Some(room) = out.get_mut(start..) {
        STANDARD.encode_slice(bytes, room).expect("base64 takes four characters for three bytes");
    }
    out.push(b'"');
}

/// Appends `value` with `digits` digits.
#[inline]
pub(crate) fn write_padded(out: &mut Vec<u8>, value: u32, digits: usize) {
    let mut text = *b"000000000";
    let mut rest = value;
    for slot in text.iter_mut().rev().take(digits) {
        *slot = b'0' + u8::try_from(rest % 10).expect("a digit is below ten");
        rest /= 10;
    }
    append(out, text.get(text.len().saturating_sub(digits)..).unwrap_or_default());
}
