//! A reader of JSON text: strict RFC 8259 tokens out of one slice, without a tree and without copies.
//!
//! The text is checked to be UTF-8 once, up front; from then on the reader works on bytes. It knows the depth of
//! nesting and where it stands, and nothing of protobuf. Every failure is a [`Fault`] that knows its byte offset.

mod fault;
mod number;
mod string;
#[cfg(test)]
mod tests;

use super::MAX_DEPTH;

pub(crate) use fault::{Fault, Step};
pub(crate) use number::{Integer, NotInteger, double, float, integer, length as number_length, plain_integer};
pub(crate) use string::Text;

/// What reading gives.
pub(crate) type Read<T = ()> = Result<T, Fault>;

/// A place in a JSON text.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

/// What follows a member of an object or an item of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    More,
    End,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `text`, which must be UTF-8.
    pub(crate) fn new(text: &'a [u8]) -> Read<Self> {
        match simdutf8::basic::from_utf8(text) {
            Ok(_) => Ok(Self { text, at: 0, depth: 0 }),
            Err(_) => {
                let valid = std::str::from_utf8(text).err().map_or(0, |error| error.valid_up_to());
                Err(Fault::new(valid, "invalid UTF-8"))
            }
        }
    }

    /// The byte offset of what is read next.
    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// How many objects and arrays are open.
    #[inline]
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Goes back to an offset that [`Reader::at`] gave, at the depth of that time.
    pub(crate) fn rewind(&mut self, at: usize, depth: usize) {
        self.at = at;
        self.depth = depth;
    }

    /// The text between two offsets.
    pub(crate) fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.text.get(from..to).unwrap_or_default()
    }

    /// The next byte, whatever it is.
    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The first byte of the next token.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let byte = self.byte()?;
        if byte > b' ' { Some(byte) } else { self.peek_behind_space() }
    }

    fn peek_behind_space(&mut self) -> Option<u8> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let space = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\t' | b'\r'));
        self.at += space.unwrap_or(rest.len());
        self.byte()
    }

    /// Takes `literal` if it comes next, to the byte.
    #[inline]
    pub(crate) fn take(&mut self, literal: &[u8]) -> bool {
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(literal));
        if found {
            self.at += literal.len();
        }
        found
    }

    /// Takes a `{` or `[`; false if the container is empty, and then it is closed already.
    #[inline]
    pub(crate) fn open(&mut self, open: u8, expected: &'static str) -> Read<bool> {
        if self.peek() != Some(open) {
            return Err(self.unexpected(expected));
        }
        if self.depth >= MAX_DEPTH {
            return Err(Fault::new(self.at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.at += 1;
        if self.peek() == Some(open + 2) {
            self.at += 1;
            return Ok(false);
        }
        self.depth += 1;
        Ok(true)
    }

    /// Takes the `,` behind a member or an item, or the end of its container.
    #[inline]
    pub(crate) fn next(&mut self, close: u8) -> Read<Next> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(Next::More)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(Next::End)
            }
            _ if close == b'}' => Err(self.unexpected("`,` or `}`")),
            _ => Err(self.unexpected("`,` or `]`")),
        }
    }

    /// Takes the name of a member and the colon behind it.
    #[inline]
    pub(crate) fn key(&mut self) -> Read<Text<'a>> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a field name in quotes"));
        }
        let key = self.string("a field name in quotes")?;
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.at += 1;
        Ok(key)
    }

    /// Takes `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Read<bool> {
        match self.peek() {
            Some(b't') if self.take(b"true") => Ok(true),
            Some(b'f') if self.take(b"false") => Ok(false),
            _ => Err(self.unexpected("a boolean")),
        }
    }

    /// Takes `null`.
    pub(crate) fn null(&mut self) -> Read {
        match self.peek() {
            Some(b'n') if self.take(b"null") => Ok(()),
            _ => Err(self.unexpected("null")),
        }
    }

    /// Takes a number; its text.
    pub(crate) fn number(&mut self) -> Read<&'a [u8]> {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        match number::length(rest) {
            Some(length) => {
                self.at += length;
                Ok(rest.get(..length).unwrap_or_default())
            }
            None => Err(self.unexpected("a number")),
        }
    }

    /// Takes an integer that is written with digits alone: whether it is negative, and its size. Nothing is taken if
    /// the number is written in another way or is too long.
    #[inline]
    pub(crate) fn plain_integer(&mut self) -> Option<Integer> {
        let rest = self.text.get(self.at..)?;
        let (integer, length) = number::plain(rest)?;
        self.at += length;
        Some(integer)
    }

    /// Takes any value, and checks its grammar and depth. `types` collects where objects have their `@type`.
    pub(crate) fn skip(&mut self, types: &mut Vec<TypePlace>) -> Read {
        match self.peek() {
            Some(b'{') => self.skip_object(types),
            Some(b'[') => {
                if !self.open(b'[', "a list")? {
                    return Ok(());
                }
                loop {
                    self.skip(types)?;
                    if self.next(b']')? == Next::End {
                        return Ok(());
                    }
                }
            }
            Some(b'"') => self.string("a string")?.check(),
            Some(b't' | b'f') => self.boolean().map(drop),
            Some(b'n') => self.null(),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn skip_object(&mut self, types: &mut Vec<TypePlace>) -> Read {
        self.peek();
        let object = self.at;
        if !self.open(b'{', "an object")? {
            return Ok(());
        }
        loop {
            let key = self.key()?;
            key.check()?;
            if key.is(b"@type") {
                types.push(TypePlace { object, value: self.at });
            }
            self.skip(types)?;
            if self.next(b'}')? == Next::End {
                return Ok(());
            }
        }
    }

    /// Nothing but white space may be left.
    pub(crate) fn end(&mut self) -> Read {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end of the text")),
        }
    }

    /// The failure to find what was expected where the reader stands.
    #[cold]
    pub(crate) fn unexpected(&mut self, expected: &'static str) -> Fault {
        let found = match self.peek() {
            None => "the end of the text",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "a string",
            Some(b'-' | b'0'..=b'9') => "a number",
            Some(b't') if self.starts(b"true") => "a boolean",
            Some(b'f') if self.starts(b"false") => "a boolean",
            Some(b'n') if self.starts(b"null") => "null",
            Some(_) => {
                let rest = self.text.get(self.at..).and_then(|rest| rest.utf8_chunks().next());
                let found = rest.and_then(|chunk| chunk.valid().chars().next()).unwrap_or_default();
                let visible = !found.is_control() && !found.is_whitespace() && found != '\u{feff}';
                let found = if visible { found.to_string() } else { found.escape_unicode().to_string() };
                return Fault::new(self.at, format!("expected {expected}, found `{found}`"));
            }
        };
        Fault::new(self.at, format!("expected {expected}, found {found}"))
    }

    fn starts(&self, literal: &[u8]) -> bool {
        self.text.get(self.at..).is_some_and(|rest| rest.starts_with(literal))
    }
}

/// Where an object has a member `@type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TypePlace {
    /// The offset of the object's `{`.
    pub(crate) object: usize,
    /// The offset behind the colon.
    pub(crate) value: usize,
}
