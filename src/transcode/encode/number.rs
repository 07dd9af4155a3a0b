//! JSON numbers and base64, as ProtoJSON prints them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Appends an integer.
#[inline]
pub(crate) fn write_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
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
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
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
    out.extend_from_slice(text.get(text.len().saturating_sub(digits)..).unwrap_or_default());
}
