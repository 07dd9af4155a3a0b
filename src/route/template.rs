//! Path templates, as `google/api/http.proto` defines them.
//!
//! ```text
//! Template  = "/" [ Segments ] [ ":" Verb ]
//! Segments  = Segment { "/" Segment }
//! Segment   = "*" | "**" | LITERAL | "{" FieldPath [ "=" Segments ] "}"
//! FieldPath = IDENT { "." IDENT }
//! Verb      = LITERAL
//! ```
//!
//! `*` is one segment and `**` any number, also none, which is why it can only stand last. Variables do not nest.
//! `/v1/{name=shelves/*/books/*}:archive` has four segments after `v1`, one variable and a verb.
//!
//! `/` alone, the root, is not in http.proto's grammar; it is accepted because deployed APIs have it and every gateway
//! serves it. A verb begins at the last colon behind the last slash or brace; other colons belong to their literal, and
//! `%3A` never begins a verb. Literals and verbs are kept percent-decoded.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

use super::escape::{EncodedSlash, decode, is_dot_segment};

/// The longest template in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 4096;

/// The most segments in a template; it also bounds the depth of a lookup.
pub const MAX_SEGMENTS: usize = 128;

/// A parsed path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    /// The text as it was written; messages and tables show it.
    text: Box<str>,
    segments: Box<[Segment]>,
    variables: Box<[Variable]>,
    verb: Option<Box<str>>,
}

/// One segment with the variables' braces taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text, percent-decoded.
    Literal(Box<str>),
    /// `*`: any one segment.
    One,
    /// `**`: any number of segments.
    Rest,
}

/// A variable, and the segments whose text it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The field path as it was written, such as `book.name`.
    pub path: Box<str>,
    /// Its segments' positions in [`PathTemplate::segments`].
    pub segments: Range<usize>,
    pub extent: Extent,
    /// Where the field path begins in the template's text: 1-based, in characters.
    pub column: usize,
}

/// How many segments a variable takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One: its text is decoded wholly.
    One,
    /// A fixed number above one: encoded slashes are kept, as in [`Extent::Open`].
    Several,
    /// All to the end of the path, also none.
    Open,
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("column {column}: {message}")]
pub struct TemplateError {
    /// 1-based, in characters.
    pub column: usize,
    pub message: String,
}

impl PathTemplate {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// The first place at which the text leaves the grammar, or passes a limit.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let error = |column, message: String| Err(TemplateError { column, message });
        if text.len() > MAX_TEMPLATE_BYTES {
            return error(1, format!("a template has at most {MAX_TEMPLATE_BYTES} bytes, this one has {}", text.len()));
        }
        if let Some((at, found)) = text.char_indices().find(|&(_, found)| is_forbidden(found)) {
            let hint = "a template is a path without query or fragment; encode the character as %XX";
            return error(column(text, at), format!("unexpected {found:?}: {hint}"));
        }
        if !text.starts_with('/') {
            return error(1, format!("a template begins with \"/\", found {text:?}"));
        }
        let (path, verb) = split_verb(text);
        let mut parser = Parser { text, path, position: 0, segments: Vec::new(), variables: Vec::new(), rest: None };
        if path != "/" || verb.is_some() {
            parser.template()?;
        }
        let verb = verb.map(|verb| parser.literal(path.len() + 1, verb)).transpose()?;
        Ok(Self { text: text.into(), segments: parser.segments.into(), variables: parser.variables.into(), verb })
    }

    /// The segments, with the variables' braces taken away.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The variables in the order in which they stand.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The verb behind the colon, percent-decoded.
    #[must_use]
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Splits `:verb` off: the last colon, if no slash or brace stands behind it.
fn split_verb(text: &str) -> (&str, Option<&str>) {
    match text.rfind(['/', '}', ':']).and_then(|at| text.split_at_checked(at)) {
        Some((path, tail)) if tail.starts_with(':') => (path, tail.get(1..)),
        _ => (text, None),
    }
}

/// Whether a character can't stand in a path as it is.
fn is_forbidden(found: char) -> bool {
    matches!(found, '?' | '#') || found.is_control() || found.is_whitespace()
}

/// The 1-based column, in characters, of a byte offset.
fn column(text: &str, offset: usize) -> usize {
    text.char_indices().take_while(|&(at, _)| at < offset).count() + 1
}

struct Parser<'t> {
    /// The whole template, for columns.
    text: &'t str,
    /// The template without its verb.
    path: &'t str,
    /// The byte offset of what is read next.
    position: usize,
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    /// Where `**` stands.
    rest: Option<usize>,
}

impl<'t> Parser<'t> {
    fn template(&mut self) -> Result<(), TemplateError> {
        while self.position < self.path.len() {
            if !self.take('/') {
                return Err(self.error(self.position, "a variable fills its segment: expected \"/\" or the end"));
            }
            if self.take('{') {
                self.variable()?;
            } else {
                self.segment()?;
            }
        }
        Ok(())
    }

    /// What stands between `{` and `}`.
    fn variable(&mut self) -> Result<(), TemplateError> {
        let start = self.position;
        let path = self.take_until(&['=', '}', '{', '/', ':']);
        self.check_field_path(start, path)?;
        if self.variables.iter().any(|variable| *variable.path == *path) {
            return Err(self.error(start, format!("the variable {path:?} stands here a second time")));
        }
        let first = self.segments.len();
        if self.take('=') {
            self.segment()?;
            while self.take('/') {
                self.segment()?;
            }
        } else {
            self.push(start, Segment::One)?;
        }
        if !self.take('}') {
            let message = match self.peek() {
                Some(found) => format!("expected \"}}\" to end the variable {path:?}, found {found:?}"),
                None => format!("expected \"}}\" to end the variable {path:?}"),
            };
            return Err(self.error(self.position, message));
        }
        let segments = first..self.segments.len();
        let extent = match self.segments.last() {
            Some(Segment::Rest) => Extent::Open,
            _ if segments.len() > 1 => Extent::Several,
            _ => Extent::One,
        };
        self.variables.push(Variable { path: path.into(), segments, extent, column: column(self.text, start) });
        Ok(())
    }

    fn check_field_path(&self, start: usize, path: &str) -> Result<(), TemplateError> {
        let mut offset = start;
        for name in path.split('.') {
            let Some(first) = name.chars().next() else {
                return Err(self.error(offset, "expected the name of a field"));
            };
            if !first.is_ascii_alphabetic() && first != '_' {
                return Err(self.error(offset, format!("a field's name can't begin with {first:?}")));
            }
            if let Some((at, found)) = name.char_indices().find(|(_, c)| !c.is_ascii_alphanumeric() && *c != '_') {
                return Err(self.error(offset + at, format!("unexpected {found:?} in the name of a field")));
            }
            offset += name.len() + 1;
        }
        Ok(())
    }

    /// `*`, `**` or a literal.
    fn segment(&mut self) -> Result<(), TemplateError> {
        let start = self.position;
        if self.peek() == Some('{') {
            return Err(self.error(start, "variables do not nest"));
        }
        let text = self.take_until(&['/', '{', '}']);
        let segment = match text {
            "" => return Err(self.error(start, "a segment is empty: it could never match")),
            "*" => Segment::One,
            "**" => Segment::Rest,
            _ => Segment::Literal(self.literal(start, text)?),
        };
        match self.peek() {
            Some('{') if self.in_variable() => return Err(self.error(self.position, "variables do not nest")),
            Some('{') => {
                return Err(self.error(self.position, "a variable fills its segment: expected \"/\" before it"));
            }
            Some('}') if !self.in_variable() => return Err(self.error(self.position, "\"}\" without its \"{\"")),
            _ => {}
        }
        self.push(start, segment)
    }

    /// Whether the last brace behind us opens a variable.
    fn in_variable(&self) -> bool {
        let read = self.path.get(..self.position).unwrap_or_default();
        read.rfind(['{', '}']).is_some_and(|at| read.get(at..).is_some_and(|tail| tail.starts_with('{')))
    }

    fn push(&mut self, start: usize, segment: Segment) -> Result<(), TemplateError> {
        if let Some(rest) = self.rest {
            return Err(self.error(rest, "\"**\" must be the last segment"));
        }
        if self.segments.len() == MAX_SEGMENTS {
            return Err(self.error(start, format!("a template has at most {MAX_SEGMENTS} segments")));
        }
        if segment == Segment::Rest {
            self.rest = Some(start);
        }
        self.segments.push(segment);
        Ok(())
    }

    /// A literal at this offset, decoded.
    fn literal(&self, start: usize, text: &str) -> Result<Box<str>, TemplateError> {
        if text.is_empty() {
            return Err(self.error(start, "the verb behind \":\" is empty"));
        }
        if let Some(at) = text.find('*') {
            return Err(self.error(start + at, "\"*\" and \"**\" stand alone in their segment; a literal one is %2A"));
        }
        if let Some(at) = text.find(['{', '}', '/']) {
            return Err(self.error(start + at, "a verb is plain text"));
        }
        let mut bytes = Vec::with_capacity(text.len());
        if let Err(offset) = decode(text, EncodedSlash::Decode, &mut bytes) {
            return Err(self.error(start + offset, "\"%\" needs two hexadecimal digits behind it"));
        }
        let Ok(text) = String::from_utf8(bytes) else {
            return Err(self.error(start, "the escapes do not decode to UTF-8"));
        };
        if is_dot_segment(&text) {
            return Err(self.error(start, format!("the segment {text:?} could never match: such requests are refused")));
        }
        Ok(text.into())
    }

    fn peek(&self) -> Option<char> {
        self.path.get(self.position..)?.chars().next()
    }

    fn take(&mut self, expected: char) -> bool {
        let taken = self.peek() == Some(expected);
        if taken {
            self.position += expected.len_utf8();
        }
        taken
    }

    fn take_until(&mut self, stops: &[char]) -> &'t str {
        let rest = self.path.get(self.position..).unwrap_or_default();
        let (taken, _) = rest.split_at_checked(rest.find(stops).unwrap_or(rest.len())).unwrap_or((rest, ""));
        self.position += taken.len();
        taken
    }

    fn error(&self, offset: usize, message: impl Into<String>) -> TemplateError {
        TemplateError { column: column(self.text, offset), message: message.into() }
    }
}

#[cfg(test)]
mod tests;
