//! JSON strings: one scan over whole chunks, one copy where nothing needs an escape.
//!
//! RFC 8259 section 7: quote, backslash and control characters are escaped, everything else stands for itself.

/// That bytes which must be UTF-8 are not.
#[derive(Debug)]
pub(crate) struct NotUtf8;

/// Appends `text` in quotes; it must be UTF-8.
#[inline]
pub(crate) fn write(out: &mut Vec<u8>, text: &[u8]) -> Result<(), NotUtf8> {
    out.push(b'"');
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        simdutf8::basic::from_utf8(text).map_err(|_| NotUtf8)?;
        write_escaped(out, text);
    }
    out.push(b'"');
    Ok(())
}

/// Appends `text` in quotes, with U+FFFD for what is not UTF-8.
pub(crate) fn write_lossy(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    write_escaped(out, String::from_utf8_lossy(text).as_bytes());
    out.push(b'"');
}

/// Whether `text` is ASCII without anything to escape.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let (chunks, tail) = text.as_chunks::<32>();
    chunks.iter().all(|chunk| chunk.iter().fold(false, |any, &byte| any | !is_plain_byte(byte)) == false)
        && tail.iter().fold(false, |any, &byte| any | !is_plain_byte(byte)) == false
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
    let mut rest = text;
    while let Some(position) = find_escape(rest) {
        let (clean, tail) = rest.split_at_checked(position).unwrap_or((rest, &[]));
        out.extend_from_slice(clean);
        let Some((&byte, tail)) = tail.split_first() else { return };
        write_escape(out, byte);
        rest = tail;
    }
    out.extend_from_slice(rest);
}

#[inline]
fn find_escape(text: &[u8]) -> Option<usize> {
    let mut start = 0;
    for chunk in text.chunks(32) {
        if chunk.iter().fold(false, |any, &byte| any | needs_escape(byte)) {
            return chunk.iter().position(|&byte| needs_escape(byte)).map(|position| start + position);
        }
        start += chunk.len();
    }
    None
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
