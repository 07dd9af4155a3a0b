//! Strings: scanned eight bytes at a time, copied straight where nothing is escaped.

use super::{Fault, Read, Reader};

const ONES: u64 = u64::MAX / 0xff;
const HIGH: u64 = ONES * 0x80;

/// The inside of a string token, still escaped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// The bytes between the quotes.
    pub(crate) raw: &'a [u8],
    /// The offset of the first of them.
    pub(crate) at: usize,
    /// Whether there is a backslash in it. If so, the escapes are not yet checked.
    pub(crate) escaped: bool,
}

impl<'a> Reader<'a> {
    /// Takes a string token.
    #[inline]
    pub(crate) fn string(&mut self, expected: &'static str) -> Read<Text<'a>> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected(expected));
        }
        let start = self.at + 1;
        let end = start + plain_prefix(self.text.get(start..).unwrap_or_default());
        match self.text.get(end) {
            Some(b'"') => {
                self.at = end + 1;
                Ok(Text { raw: self.slice(start, end), at: start, escaped: false })
            }
            Some(b'\\') => self.escaped_string(start, end),
            _ => Err(unfinished(self.text, end)),
        }
    }

    /// Finds the end of a string whose first escape is at `at`.
    fn escaped_string(&mut self, start: usize, mut at: usize) -> Read<Text<'a>> {
        loop {
            match self.text.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Text { raw: self.slice(start, at), at: start, escaped: true });
                }
                // Whatever is escaped, a quote too, is passed over here and checked when it is unescaped.
                Some(b'\\') if self.text.get(at + 1).is_some_and(|&byte| byte >= b' ') => at += 2,
                _ => return Err(unfinished(self.text, at)),
            }
            at += plain_prefix(self.text.get(at..).unwrap_or_default());
        }
    }
}

#[cold]
fn unfinished(text: &[u8], at: usize) -> Fault {
    let at = if text.get(at) == Some(&b'\\') { at + 1 } else { at };
    match text.get(at) {
        None => Fault::new(text.len(), "the text ends inside a string"),
        Some(byte) => Fault::new(at, format!("control character U+{byte:04X} in a string: it must be escaped")),
    }
}

impl Text<'_> {
    /// Checks the escapes.
    pub(crate) fn check(&self) -> Read {
        if self.escaped { self.unescape(&mut |_: &[u8]| ()) } else { Ok(()) }
    }

    /// Whether the string is this one. Wrong escapes are unlike everything.
    pub(crate) fn is(&self, other: &[u8]) -> bool {
        if !self.escaped {
            return self.raw == other;
        }
        let mut rest = Some(other);
        let whole = self.unescape(&mut |piece: &[u8]| rest = rest.and_then(|rest| rest.strip_prefix(piece)));
        whole.is_ok() && rest == Some(&[])
    }

    /// Appends the string to `out`.
    #[inline]
    pub(crate) fn append(&self, out: &mut Vec<u8>) -> Read {
        if self.escaped {
            self.unescape(&mut |piece: &[u8]| out.extend_from_slice(piece))
        } else {
            out.extend_from_slice(self.raw);
            Ok(())
        }
    }

    /// Hands over the string in pieces.
    fn unescape(&self, sink: &mut impl FnMut(&[u8])) -> Read {
        let mut rest = self.raw;
        loop {
            let Some(backslash) = memchr::memchr(b'\\', rest) else {
                sink(rest);
                return Ok(());
            };
            let (plain, escape) = rest.split_at_checked(backslash).unwrap_or_default();
            if !plain.is_empty() {
                sink(plain);
            }
            let at = self.at + self.raw.len() - escape.len();
            let (found, length) = match escape.get(1) {
                Some(b'"') => ('"', 2),
                Some(b'\\') => ('\\', 2),
                Some(b'/') => ('/', 2),
                Some(b'b') => ('\u{8}', 2),
                Some(b'f') => ('\u{c}', 2),
                Some(b'n') => ('\n', 2),
                Some(b'r') => ('\r', 2),
                Some(b't') => ('\t', 2),
                Some(b'u') => unicode(escape, at)?,
                _ => return Err(Fault::new(at, "unknown escape in a string")),
            };
            sink(found.encode_utf8(&mut [0; 4]).as_bytes());
            rest = escape.get(length..).unwrap_or_default();
        }
    }
}

/// The character of a `\uXXXX` escape, or of two that are a surrogate pair, and the length of what stands for it.
fn unicode(escape: &[u8], at: usize) -> Read<(char, usize)> {
    let unit = |from: usize| -> Option<u32> {
        let (head, digits) = escape.get(from..from + 6)?.split_at_checked(2)?;
        let digits = digits.iter().map(|&byte| char::from(byte).to_digit(16));
        if head != b"\\u" { None } else { digits.fold(Some(0), |value, digit| Some((value? << 4) | digit?)) }
    };
    let Some(first) = unit(0) else {
        return Err(Fault::new(at, "`\\u` must be followed by four hexadecimal digits"));
    };
    if !(0xd800..0xe000).contains(&first) {
        return Ok((char::from_u32(first).unwrap_or_default(), 6));
    }
    let second = unit(6).filter(|unit| (0xdc00..0xe000).contains(unit) && first < 0xdc00);
    let found = second.and_then(|second| char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)));
    found.map(|found| (found, 12)).ok_or_else(|| Fault::new(at, "lone surrogate in a string"))
}

/// The number of bytes before the first quote, backslash or control character.
#[inline]
fn plain_prefix(text: &[u8]) -> usize {
    let (words, tail) = text.as_chunks::<8>();
    for (word, index) in words.iter().zip(0usize..) {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let in_tail = tail.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'));
    words.len() * 8 + in_tail.unwrap_or(tail.len())
}

/// The high bit of the first byte that is special; bits above it may be wrong.
#[inline]
const fn special(word: u64) -> u64 {
    // With bit 1 flipped the quote stands right behind the control characters: one comparison finds both.
    let low = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    // A byte above 0x7f is never special.
    (low | backslash) & !word & HIGH
}
