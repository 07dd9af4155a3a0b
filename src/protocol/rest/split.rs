//! A streamed request body, cut into its JSON messages as it arrives.
//!
//! Two forms: one message a line (NDJSON; blank lines are passed over, CRLF is a line break, the last line needs none),
//! and one JSON array. Only the array's own brackets, commas and white space are judged here, strictly by RFC 8259; a
//! message is handed on as it came, and its decoder judges it. Nesting is a counter, and one message is held at most.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr2};

use crate::protocol::rest::content;
use crate::status::Status;
use crate::transcode::position::Position;

/// Cuts a body into messages: [`Self::push`] what came, take [`Self::next`] until there is none, and when the body is
/// over say [`Self::end`] and take the rest.
#[derive(Debug)]
pub struct Splitter {
    max_message_bytes: usize,
    state: State,
    chunks: VecDeque<Bytes>,
    /// The beginning of a message that is not whole yet.
    partial: BytesMut,
    position: Position,
    /// Where the message begins that is being read, or was read last.
    began: Position,
    input: Input,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Open,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a body of lines, always.
    Line,
    /// Before the array's `[`.
    Start,
    /// Behind it: an element or `]`.
    First,
    /// Within an element.
    Element(Scan),
    /// Behind an element: `,` or `]`.
    Behind,
    /// Behind a comma: an element.
    Next,
    /// Behind the array's `]`.
    Done,
}

/// How far an element has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scan {
    /// Brackets of either kind that are open.
    depth: usize,
    lexeme: Lexeme,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lexeme {
    Plain,
    Text,
    /// Behind a backslash in a text.
    Escape,
}

impl Splitter {
    /// For a body of lines.
    #[must_use]
    pub fn lines(max_message_bytes: usize) -> Self {
        Self::new(State::Line, Position::START, max_message_bytes)
    }

    /// For a JSON array, of whose body as much was passed over.
    #[must_use]
    pub fn array(position: Position, max_message_bytes: usize) -> Self {
        Self::new(State::Start, position, max_message_bytes)
    }

    fn new(state: State, position: Position, max_message_bytes: usize) -> Self {
        Self {
            max_message_bytes,
            state,
            chunks: VecDeque::new(),
            partial: BytesMut::new(),
            position,
            began: position,
            input: Input::Open,
        }
    }

    /// Take in what came.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// The body is over.
    pub fn end(&mut self) {
        self.input = Input::Ended;
    }

    /// The next message that is whole; `None` if there is none yet, or, once the body is over, no more.
    ///
    /// # Errors
    /// 413 for a message beyond the limit; 400 for what is no array, and for one that was cut short.
    #[expect(clippy::should_implement_trait, reason = "it is asked again after more was pushed")]
    pub fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let message = match self.state {
            State::Line => self.next_line()?,
            State::Start | State::First | State::Element(_) | State::Behind | State::Next | State::Done => {
                self.next_element()?
            }
        };
        match (message, self.input) {
            (Some(message), _) => Ok(Some(message)),
            (None, Input::Open) => Ok(None),
            (None, Input::Ended) => self.last(),
        }
    }

    /// Where the message that was taken last begins in the body.
    #[must_use]
    pub fn began(&self) -> Position {
        self.began
    }

    fn next_line(&mut self) -> Result<Option<Bytes>, Status> {
        while let Some(chunk) = self.chunks.front() {
            let Some(end) = memchr(b'\n', chunk) else {
                self.keep_chunk()?;
                continue;
            };
            let mut line = self.take(end)?;
            self.skip(1);
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if !is_blank(&line) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    fn next_element(&mut self) -> Result<Option<Bytes>, Status> {
        while let Some(chunk) = self.chunks.front() {
            if let State::Element(scan) = self.state {
                match scan.run(chunk) {
                    Progress::Ends(length) => {
                        self.state = State::Behind;
                        return self.take(length).map(Some);
                    }
                    Progress::GoesOn(scan) => {
                        self.state = State::Element(scan);
                        self.keep_chunk()?;
                    }
                }
                continue;
            }
            let blank = chunk.iter().take_while(|byte| is_white_space(**byte)).count();
            let byte = chunk.get(blank).copied();
            self.skip(blank);
            if let Some(byte) = byte {
                self.step(byte)?;
            }
        }
        Ok(None)
    }

    /// Over one byte of the array's own.
    fn step(&mut self, byte: u8) -> Result<(), Status> {
        self.state = match (self.state, byte) {
            (State::Start, b'[') => State::First,
            (State::First | State::Behind, b']') => State::Done,
            (State::Behind, b',') => State::Next,
            (State::First | State::Next, b',' | b']' | b'}' | b':') => {
                return Err(illegal(self.position, "expected a message", byte));
            }
            (State::First | State::Next, _) => {
                // The byte is the element's own.
                self.state = State::Element(Scan { depth: 0, lexeme: Lexeme::Plain });
                return Ok(());
            }
            (State::Start, _) => return Err(illegal(self.position, "expected `[`, the start of an array", byte)),
            (State::Behind, _) => return Err(illegal(self.position, "expected `,` or `]`", byte)),
            (State::Done, _) => return Err(illegal(self.position, "expected nothing behind the array", byte)),
            (State::Line | State::Element(_), _) => self.state,
        };
        self.skip(1);
        Ok(())
    }

    /// What remains of a body that is over.
    fn last(&mut self) -> Result<Option<Bytes>, Status> {
        match self.state {
            State::Line if is_blank(&self.partial) => Ok(None),
            State::Line => Ok(Some(self.partial.split().freeze())),
            State::Done => Ok(None),
            // Not even one byte: a stream without messages.
            State::Start if self.position == self.began => Ok(None),
            State::Start | State::First | State::Element(_) | State::Behind | State::Next => {
                Err(Status::invalid_argument("", format!("the array was cut short at {}", self.position)))
            }
        }
    }

    /// The message that ends this far into the first chunk: a slice of it, or gathered.
    fn take(&mut self, length: usize) -> Result<Bytes, Status> {
        self.check_size(length)?;
        self.note_beginning();
        let Some(chunk) = self.chunks.front_mut() else { return Ok(Bytes::new()) };
        let piece = chunk.split_to(length);
        self.position.advance(&piece);
        self.drop_empty();
        if self.partial.is_empty() {
            return Ok(piece);
        }
        self.partial.extend_from_slice(&piece);
        Ok(self.partial.split().freeze())
    }

    /// All of the first chunk belongs to a message that goes on.
    fn keep_chunk(&mut self) -> Result<(), Status> {
        let Some(chunk) = self.chunks.pop_front() else { return Ok(()) };
        self.check_size(chunk.len())?;
        self.note_beginning();
        self.position.advance(&chunk);
        self.partial.extend_from_slice(&chunk);
        Ok(())
    }

    fn note_beginning(&mut self) {
        if self.partial.is_empty() {
            self.began = self.position;
        }
    }

    fn skip(&mut self, length: usize) {
        if let Some(chunk) = self.chunks.front_mut() {
            self.position.advance(chunk.get(..length).unwrap_or_default());
            chunk.advance(length);
        }
        self.drop_empty();
    }

    fn drop_empty(&mut self) {
        if self.chunks.front().is_some_and(Bytes::is_empty) {
            self.chunks.pop_front();
        }
    }

    fn check_size(&self, more: usize) -> Result<(), Status> {
        let fits = self.partial.len().saturating_add(more) <= self.max_message_bytes;
        if fits { Ok(()) } else { Err(content::too_large(self.max_message_bytes)) }
    }
}

enum Progress {
    /// The element ends before this index.
    Ends(usize),
    GoesOn(Scan),
}

impl Scan {
    /// Read on until the element ends: at once with its last bracket or quote, so that nobody waits for the comma.
    /// Whether its brackets match is its decoder's business.
    fn run(mut self, bytes: &[u8]) -> Progress {
        let mut index = 0;
        while let Some(&byte) = bytes.get(index) {
            match (self.lexeme, byte) {
                (Lexeme::Escape, _) => self.lexeme = Lexeme::Text,
                (Lexeme::Text, _) => {
                    let rest = bytes.get(index..).unwrap_or_default();
                    let Some(skipped) = memchr2(b'"', b'\\', rest) else { return Progress::GoesOn(self) };
                    index += skipped;
                    match bytes.get(index) {
                        Some(b'\\') => self.lexeme = Lexeme::Escape,
                        Some(_) | None if self.depth == 0 => return Progress::Ends(index + 1),
                        Some(_) | None => self.lexeme = Lexeme::Plain,
                    }
                }
                (Lexeme::Plain, b'"') => self.lexeme = Lexeme::Text,
                (Lexeme::Plain, b'{' | b'[') => self.depth += 1,
                // The array's own: the element ended before it.
                (Lexeme::Plain, b']' | b',') if self.depth == 0 => return Progress::Ends(index),
                (Lexeme::Plain, b'}' | b']') if self.depth <= 1 => return Progress::Ends(index + 1),
                (Lexeme::Plain, b'}' | b']') => self.depth -= 1,
                (Lexeme::Plain, _) if self.depth == 0 && is_white_space(byte) => return Progress::Ends(index),
                (Lexeme::Plain, _) => {}
            }
            index += 1;
        }
        Progress::GoesOn(self)
    }
}

fn illegal(position: Position, expected: &str, byte: u8) -> Status {
    let found = char::from(byte).escape_default();
    Status::invalid_argument("", format!("{expected}, found `{found}` at {position}"))
}

const fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|&byte| is_white_space(byte))
}

#[cfg(test)]
mod tests;
