//! Percent-encoding in paths (RFC 3986, section 2.1): decoded once, after the path is split.
//!
//! `+` is a plus here; only in a query string is it a space.

/// What becomes of an encoded slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncodedSlash {
    /// It is a slash: the text is one segment, so it can't be taken for a separator.
    Decode,
    /// It stays as it came (`%2F` or `%2f`): the text is several segments, and real slashes separate them.
    Keep,
}

/// Appends `text` to `out`, decoded. An escape without two hexadecimal digits is an error: its offset in `text`.
pub(crate) fn decode(text: &str, slash: EncodedSlash, out: &mut Vec<u8>) -> Result<(), usize> {
    let mut rest = text.as_bytes();
    while let Some(position) = memchr::memchr(b'%', rest) {
        let (plain, escape) = rest.split_at(position);
        out.extend_from_slice(plain);
        let Some((&[percent, high, low], after)) = escape.split_first_chunk::<3>() else {
            return Err(text.len() - escape.len());
        };
        let (Some(high_digit), Some(low_digit)) = (digit(high), digit(low)) else {
            return Err(text.len() - escape.len());
        };
        match high_digit << 4 | low_digit {
            b'/' if slash == EncodedSlash::Keep => out.extend([percent, high, low]),
            byte => out.push(byte),
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    Ok(())
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Whether a decoded segment is `.` or `..`, which a path on the way to an upstream must not hold.
pub(crate) fn is_dot_segment(text: &str) -> bool {
    matches!(text, "." | "..")
}

#[cfg(test)]
mod tests;
