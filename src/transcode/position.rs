//! Where something stands in the text that a client sent.

use std::fmt;

use memchr::{memchr_iter, memrchr};

/// Line and column, both from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    line: usize,
    column: usize,
}

impl Position {
    /// Where a text begins.
    pub const START: Self = Self { line: 1, column: 1 };

    /// Goes on behind these bytes, which may end within a character.
    pub fn advance(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if let Some(last) = memrchr(b'\n', bytes) {
            self.line += memchr_iter(b'\n', bytes).count();
            self.column = 1;
            rest = bytes.get(last + 1..).unwrap_or_default();
        }
        // A character is counted by its first byte: every one of UTF-8 but a continuation.
        self.column += rest.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
    }
}

impl Default for Position {
    fn default() -> Self {
        Self::START
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)
    }
}
