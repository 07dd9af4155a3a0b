//! What is wrong with wire bytes, and where: the field path and the offset that the log shows.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::status::Status;

/// Why wire bytes could not be read or printed. Boxed, so that a `Result` stays two words.
#[derive(Debug)]
pub(crate) struct Fault {
    cause: Cause,
    /// The address of the first byte that could not be read.
    address: usize,
    /// The names of the fields on the way, the innermost first.
    path: Vec<Box<str>>,
}

#[derive(Debug)]
enum Cause {
    /// The bytes are legal, but can't be printed in one pass: something comes twice, or in pieces.
    Irregular,
    /// A value has no JSON form; another one may come behind that takes its place.
    Unprintable(Cow<'static, str>),
    Illegal(Cow<'static, str>),
}

impl Fault {
    /// Illegal bytes at `rest`.
    #[cold]
    #[inline(never)]
    pub(crate) fn at(rest: &[u8], cause: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self { cause: Cause::Illegal(cause.into()), address: rest.as_ptr() as usize, path: Vec::new() })
    }

    /// A value at `rest` that JSON has no form for.
    #[cold]
    #[inline(never)]
    pub(crate) fn unprintable(rest: &[u8], cause: impl Into<Cow<'static, str>>) -> Box<Self> {
        let cause = Cause::Unprintable(cause.into());
        Box::new(Self { cause, address: rest.as_ptr() as usize, path: Vec::new() })
    }

    /// A legal message that one pass can't print.
    #[cold]
    #[inline(never)]
    pub(crate) fn irregular() -> Box<Self> {
        Box::new(Self { cause: Cause::Irregular, address: 0, path: Vec::new() })
    }

    /// The same, seen from the message around the field of this name.
    #[cold]
    #[inline(never)]
    pub(crate) fn inside(mut self: Box<Self>, field: &str) -> Box<Self> {
        if !self.is_irregular() {
            self.path.push(field.into());
        }
        self
    }

    /// The same, seen from the `Any` around a message of this type: another value may take its place, unread.
    #[cold]
    pub(crate) fn inside_any(mut self: Box<Self>, full_name: &str) -> Box<Self> {
        self.cause = match self.cause {
            Cause::Illegal(cause) | Cause::Unprintable(cause) => Cause::Unprintable(cause),
            Cause::Irregular => Cause::Irregular,
        };
        self.inside(full_name)
    }

    fn is_irregular(&self) -> bool {
        matches!(self.cause, Cause::Irregular)
    }

    /// Whether making the message regular is of no use.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.cause, Cause::Illegal(_))
    }

    /// What is to be said of a message that failed like this, and then, as a regular one, like `later`.
    pub(crate) fn or(self: Box<Self>, later: Box<Self>) -> Box<Self> {
        if self.is_irregular() { later } else { self }
    }

    /// The failure of the call whose upstream sent `wire`.
    #[cold]
    pub(crate) fn into_status(self: Box<Self>, wire: &[u8]) -> Status {
        let mut text = match self.cause {
            Cause::Irregular => "the message changed its meaning while it was read".to_owned(),
            Cause::Illegal(cause) | Cause::Unprintable(cause) => cause.into_owned(),
        };
        let path: Vec<&str> = self.path.iter().rev().map(|name| &**name).collect();
        if !path.is_empty() {
            let _infallible = write!(text, " in field \"{}\"", path.join("."));
        }
        // A merged message was read out of another buffer, where an offset would say nothing.
        let offset = self.address.wrapping_sub(wire.as_ptr() as usize);
        if offset <= wire.len() {
            let _infallible = write!(text, " at offset {offset}");
        }
        Status::bad_upstream(text)
    }
}
