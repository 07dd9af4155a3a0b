//! JSON strings: one scan over whole chunks, one copy where nothing needs an escape.
//!
//! RFC 8259 section 7: quote, backslash and control characters are escaped, everything else stands for itself.

use super::append::{append, append_padded};

/// That bytes which must be UTF-8 are not.
#[derive(Debug)]
pub(crate) struct NotUtf8;

/// Appends `text` in quotes; it must be UTF-8.
pub(crate) fn write(out: &mut Vec<u8>, text: &[u8]) -> Result<(), NotUtf8> {
    let plain = match text.len() {
        0..4 => write_tiny(out, text),
        4..8 => write_small(out, text),
        8..=14 => write_medium(out, text),
        15..=32 => write_half_and_half(out, text),
        _ => write_long(out, text),
    };
    if plain {
        return Ok(());
    }
    simdutf8::basic::from_utf8(text).map_err(|_| NotUtf8)?;
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
    Ok(())
}

/// Appends `text` in quotes, with U+FFFD for what is not UTF-8.
pub(crate) fn write_lossy(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    write_escaped(out, String::from_utf8_lossy(text).as_bytes());
    out.push(b'"');
}

/// The text and its quotes as one word; like the next ones, it writes nothing and says so if the text is not plain.
#[inline]
fn write_tiny(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let mut word = u32::from(b'"');
    let mut plain = true;
    let mut shift = 8;
    for &byte in text {
        plain &= is_plain_byte(byte);
        word |= u32::from(byte) << shift;
        shift += 8;
    }
    let word = u64::from(word) | u64::from(b'"') << shift;
    if plain {
        append_padded(out, &word.to_le_bytes(), text.len() + 2);
    }
    plain
}

#[inline]
fn write_small(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let Some((first, last)) = text.first_chunk().zip(text.last_chunk()) else { return false };
    let (first, last) = (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)));
    if !is_plain_word(first | last << 32) {
        return false;
    }
    let text_bits = 8 * text.len();
    let word = u128::from(first | last << (text_bits - 32)) << 8 | u128::from(b'"');
    append_padded(out, &(word | u128::from(b'"') << (text_bits + 8)).to_le_bytes(), text.len() + 2);
    true
}

#[inline]
fn write_medium(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let Some((first, last)) = text.first_chunk().zip(text.last_chunk()) else { return false };
    let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    if !is_plain_word(first) || !is_plain_word(last) {
        return false;
    }
    let text_bits = 8 * text.len();
    let word = (u128::from(first) | u128::from(last) << (text_bits - 64)) << 8 | u128::from(b'"');
    append_padded(out, &(word | u128::from(b'"') << (text_bits + 8)).to_le_bytes(), text.len() + 2);
    true
}

#[inline]
fn write_half_and_half(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let plain = match text.first_chunk::<16>().zip(text.last_chunk::<16>()) {
        Some((first, last)) => is_plain_chunk(first) && is_plain_chunk(last),
        None => text.iter().all(|&byte| is_plain_byte(byte)),
    };
    if plain {
        out.push(b'"');
        append(out, text);
        out.push(b'"');
    }
    plain
}

#[inline]
fn write_long(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let plain = text.as_chunks::<32>().0.iter().chain(text.last_chunk()).all(is_plain_chunk);
    if plain {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    }
    plain
}

/// Eight bytes at once: a byte below the one it is compared with borrows from its highest bit. Only a byte that is not
/// plain can borrow from the next one, so that the answer for all eight is exact.
#[inline]
const fn is_plain_word(word: u64) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let controls = word.wrapping_sub(ONES * 0x20);
    let quotes = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslashes = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (word | controls | quotes | backslashes) & (ONES * 0x80) == 0
}

/// As [`is_plain_word`], with bytes beyond ASCII allowed.
#[inline]
fn has_escapes(word: u64) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let (quotes, backslashes) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    (below(word, 0x20) | below(quotes, 1) | below(backslashes, 1)) & (ONES * 0x80) != 0
}

#[inline]
fn is_plain_chunk<const N: usize>(chunk: &[u8; N]) -> bool {
    !chunk.iter().fold(false, |any, &byte| any | !is_plain_byte(byte))
}

#[inline]
const fn is_plain_byte(byte: u8) -> bool {
    byte < 0x80 && !needs_escape(byte)
}

#[inline]
const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Appends UTF-8 with escapes, without quotes.
#[inline(never)]
fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let (chunks, tail) = text.as_chunks::<32>();
    for chunk in chunks {
        if !chunk.iter().fold(false, |any, &byte| any | needs_escape(byte)) {
            out.extend_from_slice(chunk);
            continue;
        }
        for &part in chunk.as_chunks().0 {
            write_word(out, part);
        }
    }
    let (parts, tail) = tail.as_chunks();
    for &part in parts {
        write_word(out, part);
    }
    for &byte in tail {
        write_byte(out, byte);
    }
}

#[inline]
fn write_word(out: &mut Vec<u8>, bytes: [u8; 8]) {
    if has_escapes(u64::from_le_bytes(bytes)) {
        bytes.iter().for_each(|&byte| write_byte(out, byte));
    } else {
        out.extend_from_slice(&bytes);
    }
}

#[inline]
fn write_byte(out: &mut Vec<u8>, byte: u8) {
    if needs_escape(byte) {
        write_escape(out, byte);
    } else {
        out.push(byte);
    }
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
