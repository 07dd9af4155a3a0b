//! Wire to JSON: one pass over the bytes, printing as it reads.
//!
//! Almost every message is regular: a singular field comes once, a list in one run. One that is not (legal, but with
//! a field in pieces) is noticed by bits per field; it is then rewritten into a regular one ([`regular`]) and printed
//! again, once for the whole message, so that no input costs more than a small factor.
//!
//! Specification: <https://protobuf.dev/programming-guides/json/>.

mod any;
mod append;
mod indent;
mod number;
mod object;
mod regular;
mod text;
mod time;
mod value;
mod well_known;

#[cfg(test)]
mod tests;

use crate::schema::{FieldIndex, Kind, MessageId, Shape};
use crate::status::{Detail, Status};

use self::object::Printer;
use self::regular::Regular;
use super::fault::Fault;
use super::plan::Plan;
use super::wire;

/// Prints wire bytes as JSON. Holds scratch memory only: one per worker, used again and again.
#[derive(Debug, Default)]
pub struct Encoder {
    scratch: Scratch,
    /// A message rewritten into a regular one.
    regular: Vec<u8>,
}

/// How JSON is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeOptions {
    /// The keys of fields.
    pub names: Names,
    /// The values of enums.
    pub enums: Enums,
    /// 64-bit integers.
    pub int64: Int64,
    /// Fields that are not there.
    pub unset: Unset,
    /// Spaces a level; 0 prints everything in one line.
    pub indent: u8,
    /// How many bytes one message may print; what a later value takes the place of can count too.
    pub max_bytes: usize,
}

/// The keys of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// lowerCamelCase, or what `json_name` says.
    #[default]
    Json,
    /// As in the `.proto` file.
    Proto,
}

/// The values of enums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enums {
    #[default]
    Name,
    Number,
}

/// 64-bit integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Int64 {
    /// In quotes, so that readers with doubles keep every digit.
    #[default]
    String,
    Number,
}

/// Fields that are not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unset {
    #[default]
    Omit,
    /// Fields without presence are printed with their default, lists and maps as empty.
    Emit,
}

/// Memory that is kept between messages.
#[derive(Debug, Default)]
struct Scratch {
    /// The bits of seen fields beyond the first 64, of every message that is being printed.
    seen: Vec<u64>,
    /// The hashes of the keys of every map that is being printed.
    keys: Vec<u64>,
    /// One path of a field mask in camelCase.
    path: Vec<u8>,
}

/// What of a message is printed.
#[derive(Clone, Copy)]
enum Part<'a> {
    Whole,
    Field(FieldIndex),
    /// The whole, as what an `Any` of this type URL holds.
    Any(&'a [u8]),
}

/// Whether a message is known to be regular.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Unknown,
    Regular,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            names: Names::Json,
            enums: Enums::Name,
            int64: Int64::String,
            unset: Unset::Omit,
            indent: 0,
            max_bytes: usize::MAX,
        }
    }
}

impl Encoder {
    /// An encoder without any memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the JSON of the `message` that is in `wire`; on failure `out` is as before.
    ///
    /// # Errors
    /// INTERNAL, HTTP 502, for illegal bytes, nesting beyond 100 levels and output beyond `max_bytes`.
    #[expect(clippy::too_many_arguments, reason = "the hot call: a struct would only be taken apart again")]
    pub fn encode(
        &mut self,
        plan: &Plan,
        message: MessageId,
        wire: &[u8],
        options: &EncodeOptions,
        out: &mut Vec<u8>,
    ) -> Result<(), Status> {
        self.print(&Source { plan, message, wire, options }, Part::Whole, out)
    }

    /// Appends the JSON of one field of the message, as `response_body` asks for.
    ///
    /// An unset field prints as its default: `[]`, `{}`, the scalar's default; one with presence prints `null`, but
    /// for messages that are objects or lists in JSON, which print as empty ones.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_field(&mut self, source: &Source<'_>, field: FieldIndex, out: &mut Vec<u8>) -> Result<(), Status> {
        self.print(source, Part::Field(field), out)
    }

    /// Appends one field as bare text, without quotes and escapes, as the id and the event of SSE want it; whether
    /// there was anything to print.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_text(&mut self, source: &Source<'_>, field: FieldIndex, out: &mut Vec<u8>) -> Result<bool, Status> {
        let start = out.len();
        let plan = source.plan.message(source.message).field(field);
        if plan.kind == Kind::String && plan.shape == Shape::Singular {
            let text = wire::last_bytes(source.wire, plan.number).map_err(|fault| fault.into_status(source.wire))?;
            let text = String::from_utf8_lossy(text);
            out.extend_from_slice(text.as_bytes());
            return Ok(out.len() > start);
        }
        self.print(source, Part::Field(field), out)?;
        let printed = out.get(start..).unwrap_or_default();
        if printed == b"null" {
            out.truncate(start);
        } else if printed.first() == Some(&b'"') {
            // What is quoted besides strings (numbers, enums, times, base64) has no escapes.
            out.pop();
            out.remove(start);
        }
        Ok(out.len() > start)
    }

    /// Appends one `Any` of a status' details: by its descriptor where it is known and legal, else with its bytes as
    /// base64. Never fails.
    pub fn encode_detail(&mut self, plan: &Plan, detail: &Detail, options: &EncodeOptions, out: &mut Vec<u8>) {
        let (start, type_url) = (out.len(), detail.type_url.as_bytes());
        let printed = any::find_type(plan, type_url).map(|message| {
            let source = Source { plan, message, wire: &detail.value, options };
            self.print_compact(&source, Part::Any(type_url), out)
        });
        if !matches!(printed, Some(Ok(()))) {
            out.truncate(start);
            any::write_opaque(out, type_url, &detail.value);
        }
        if options.indent > 0 {
            indent::apply(out, start, options.indent);
        }
    }

    fn print(&mut self, source: &Source<'_>, part: Part<'_>, out: &mut Vec<u8>) -> Result<(), Status> {
        let start = out.len();
        if let Err(fault) = self.print_compact(source, part, out) {
            out.truncate(start);
            return Err(fault.into_status(source.wire));
        }
        if source.options.indent > 0 {
            indent::apply(out, start, source.options.indent);
        }
        Ok(())
    }

    fn print_compact(&mut self, source: &Source<'_>, part: Part<'_>, out: &mut Vec<u8>) -> Result<(), Box<Fault>> {
        let start = out.len();
        out.reserve(source.wire.len() + source.wire.len() / 2 + 64);
        let fault = match Printer::print(source, part, Form::Unknown, &mut self.scratch, out) {
            Err(fault) if !fault.is_final() => fault,
            other => return other,
        };
        out.truncate(start);
        self.regular.clear();
        let rewritten = Regular::new(source.plan, &mut self.regular).message(source.message, &[source.wire]);
        let source = Source { wire: &self.regular, ..*source };
        let printed = rewritten.and_then(|()| Printer::print(&source, part, Form::Regular, &mut self.scratch, out));
        printed.map_err(|later| fault.or(later))
    }
}

/// What is printed, and how.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub plan: &'a Plan,
    /// The type of the message.
    pub message: MessageId,
    /// Its bytes.
    pub wire: &'a [u8],
    pub options: &'a EncodeOptions,
}
