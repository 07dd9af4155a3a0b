//! JSON to wire: one recursive pass over the text that writes the message as it goes.
//!
//! Fields are found by their plan, usually by being the next in the order of declaration; lengths that are known only
//! at the end go into a slot of guessed width. Nothing is read twice but the members of an `Any` whose `@type` is not
//! the first, and those once. Specification: <https://protobuf.dev/programming-guides/json/>.
//!
//! What is written is at most [`MAX_GROWTH`] times as long as the text and 16 bytes (the worst is `[0,0,…]` of
//! `google.protobuf.Value`: 15 bytes for two), and recursion ends at `MAX_DEPTH`.

mod any;
mod base64;
mod map;
mod message;
mod scalar;
mod slot;
mod structs;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod text;
mod weave;

use std::borrow::Cow;

use crate::schema::MessageId;
use crate::status::Status;

use super::MAX_DEPTH;
use super::json::{Fault, Read, Reader, TypePlace};
use super::plan::Plan;
use super::position::Position;

pub(crate) use slot::append_varint;
pub(crate) use weave::{Assignment, Source, Weave};

/// A bound of the output: bytes on the wire for one byte of JSON.
pub const MAX_GROWTH: usize = 8;

/// Decodes JSON, and binds requests; keeps scratch memory from one message to the next.
#[derive(Debug, Default)]
pub struct Decoder {
    pub(crate) scratch: Scratch,
    pub(crate) binder: super::bind::Scratch,
}

/// What may differ from one method to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    pub unknown_fields: UnknownFields,
}

/// What happens to a field that the message does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// It is an error.
    #[default]
    Reject,
    /// It is passed over, and so are enum values of unknown name.
    Ignore,
}

/// Memory that is used again.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// The width of the last length prefix at each depth.
    widths: [u8; MAX_DEPTH + 1],
    /// Seen fields and oneofs beyond the 64th of a message, a stack.
    bits: Vec<u64>,
    /// The keys of the maps that are open, a stack.
    keys: Vec<map::KeyPlace>,
    /// An unescaped string.
    text: Vec<u8>,
    /// Where the objects before `types_until` have their `@type`, sorted.
    types: Vec<TypePlace>,
    types_until: usize,
    /// Where ignored objects have theirs, for nobody.
    ignored_types: Vec<TypePlace>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            widths: [1; MAX_DEPTH + 1],
            bits: Vec::new(),
            keys: Vec::new(),
            text: Vec::new(),
            types: Vec::new(),
            types_until: 0,
            ignored_types: Vec::new(),
        }
    }
}

impl Decoder {
    /// A decoder without any memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the wire form of `json`, the text of a message of this type, to `out`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the field, the line and the column; `out` is then as long as before.
    #[expect(clippy::too_many_arguments, reason = "the plan and the options are the endpoint's, the rest the call's")]
    pub fn decode(
        &mut self,
        plan: &Plan,
        message: MessageId,
        json: &[u8],
        options: &DecodeOptions,
        out: &mut Vec<u8>,
    ) -> Result<(), Status> {
        let input = Input { plan, json, position: Position::START, options: *options };
        self.scratch.pass(input, out, |pass| pass.content(message))
    }
}

impl Scratch {
    /// Reads the whole of the text by `read`; on failure `out` stays as it was.
    pub(crate) fn pass(
        &mut self,
        input: Input<'_>,
        out: &mut Vec<u8>,
        read: impl FnOnce(&mut Pass<'_>) -> Read,
    ) -> Result<(), Status> {
        let Input { plan, json, position, options } = input;
        self.bits.clear();
        self.keys.clear();
        self.types.clear();
        self.types_until = 0;
        let start = out.len();
        out.reserve(json.len());
        let reader = Reader::new(json).map_err(|fault| fault.into_status(json, position))?;
        let mut pass = Pass { plan, json: reader, out: std::mem::take(out), scratch: self, options };
        let result = read(&mut pass).and_then(|()| pass.json.end());
        *out = pass.out;
        result.map_err(|fault| {
            out.truncate(start);
            fault.into_status(json, position)
        })
    }
}

/// A text, and what it means.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) json: &'a [u8],
    /// Where the text begins in what the client sent.
    pub(crate) position: Position,
    pub(crate) options: DecodeOptions,
}

/// One pass over one text.
pub(crate) struct Pass<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) json: Reader<'a>,
    pub(crate) out: Vec<u8>,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) options: DecodeOptions,
}

/// What is wrong with a value, without its place.
pub(crate) type Problem = Cow<'static, str>;

impl Pass<'_> {
    /// Takes a string and parses it; what is wrong with it is reported at its start.
    fn quoted<T>(
        &mut self,
        expected: &'static str,
        parse: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<T, Problem>,
    ) -> Read<T> {
        let text = self.json.string(expected)?;
        let parsed = if text.escaped {
            self.scratch.text.clear();
            text.append(&mut self.scratch.text)?;
            parse(&self.scratch.text, &mut self.out)
        } else {
            parse(text.raw, &mut self.out)
        };
        parsed.map_err(|problem| Fault::new(text.at - 1, problem))
    }
}
