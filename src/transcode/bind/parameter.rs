//! Parameters of a query or a form, and the variables of a path: text to assignments.
//!
//! A name is `field`, `field.nested` or `map[key]`, by proto or JSON names, and percent-encoded like its value; a `+`
//! is a space.

use smallvec::SmallVec;

use crate::schema::{FieldIndex, Kind, MessageId, Shape, WellKnown};
use crate::status::Status;
use crate::transcode::MAX_DEPTH;
use crate::transcode::decode::{Assignment, Problem, Source, UnknownFields, append_varint, text};
use crate::transcode::plan::{FieldPlan, Plan};

use super::{BodyTarget, Scratch, Target, UnknownParameters, dotted};

/// The largest number of parameters of a request, query and form together.
const MAX_PARAMETERS: usize = 1000;

/// The way to a field.
type Path = SmallVec<[FieldIndex; 6]>;

/// Which fields parameters may set.
struct Scope {
    /// The field of the request that names begin at; none for the request itself.
    root: Option<FieldIndex>,
    closed: Closed,
}

/// What the body has bound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    Nothing,
    Everything,
    Field(FieldIndex),
}

/// What the name of a parameter leads to.
enum Found<'a> {
    /// A field, and its key where it is a map.
    Field(Path, Option<&'a [u8]>),
    /// Nothing at all, or what the body binds.
    Unknown,
    /// Something that no parameter can set.
    Closed(&'static str),
}

impl Scratch {
    /// Assigns the value of a variable.
    pub(super) fn bind_variable(
        &mut self,
        plan: &Plan,
        target: &Target<'_>,
        path: Path,
        value: &str,
    ) -> Result<(), Status> {
        let Some(field) = last_field(plan, target.message, &path) else { return Ok(()) };
        let start = self.values.len();
        let appended = append_value(plan, field, value.as_bytes(), &mut self.values, &mut self.content);
        appended.map_err(|problem| Status::invalid_argument(dotted(plan, target.message, &path), problem))?;
        self.assign(path, Source::Path, start);
        Ok(())
    }

    /// Assigns the parameters of a query.
    pub(super) fn bind_query(&mut self, plan: &Plan, target: &Target<'_>, query: &[u8]) -> Result<(), Status> {
        let closed = match target.body {
            BodyTarget::None => Closed::Nothing,
            BodyTarget::Whole => Closed::Everything,
            BodyTarget::Field(field) => Closed::Field(field),
        };
        self.bind_parameters(plan, target, query, &Scope { root: None, closed })
    }

    /// Assigns the parameters of a form; where the body is one field, they are the fields of that.
    pub(super) fn bind_form(&mut self, plan: &Plan, target: &Target<'_>, form: &[u8]) -> Result<(), Status> {
        let root = match target.body {
            BodyTarget::Field(field) => Some(field),
            BodyTarget::Whole | BodyTarget::None => None,
        };
        self.bind_parameters(plan, target, form, &Scope { root, closed: Closed::Nothing })
    }

    fn bind_parameters(
        &mut self,
        plan: &Plan,
        target: &Target<'_>,
        parameters: &[u8],
        scope: &Scope,
    ) -> Result<(), Status> {
        for pair in parameters.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            self.parameters += 1;
            if self.parameters > MAX_PARAMETERS {
                return Err(Status::invalid_argument("", format!("more than {MAX_PARAMETERS} parameters")));
            }
            let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let (name, value) = pair.split_at_checked(equals).unwrap_or_default();
            let before = self.assignments.len();
            let (mut decoded_name, mut text) = (std::mem::take(&mut self.name), std::mem::take(&mut self.text));
            let result = decode(name, &mut decoded_name)
                .and_then(|()| decode(value.get(1..).unwrap_or_default(), &mut text))
                .map_err(|problem| Status::invalid_argument(text::bare(name), problem))
                .and_then(|()| self.bind_parameter(plan, target, scope, (&decoded_name, &text)));
            if self.assignments.len() > before
                && let Some(assignment) = self.assignments.last_mut()
            {
                let start = self.values.len();
                self.values.extend_from_slice(&decoded_name);
                assignment.name = start..self.values.len();
            }
            self.name = decoded_name;
            self.text = text;
            result?;
        }
        Ok(())
    }

    fn bind_parameter(
        &mut self,
        plan: &Plan,
        target: &Target<'_>,
        scope: &Scope,
        (name, value): (&[u8], &[u8]),
    ) -> Result<(), Status> {
        let failed = |problem: Problem| Status::invalid_argument(text::bare(name), problem);
        if target.ignored_parameters.iter().any(|ignored| ignored.as_bytes() == name) {
            return Ok(());
        }
        let (path, key) = match find(plan, target.message, scope, name) {
            Found::Field(path, key) => (path, key),
            Found::Unknown if target.unknown_parameters == UnknownParameters::Ignore => return Ok(()),
            Found::Unknown => return Err(failed("unknown parameter".into())),
            Found::Closed(problem) => return Err(failed(problem.into())),
        };
        let Some(field) = last_field(plan, target.message, &path) else { return Ok(()) };
        let start = self.values.len();
        let value_field = match key {
            None => field,
            Some(_) => match entry(plan, field) {
                Some((_, value)) => value,
                None => return Ok(()),
            },
        };
        if target.options.unknown_fields == UnknownFields::Ignore && is_unknown_enum(plan, value_field, value) {
            return Ok(());
        }
        let appended = match key {
            None => append_value(plan, field, value, &mut self.values, &mut self.content),
            Some(key) => return self.bind_entry(plan, field, (path, key), value).map_err(failed),
        };
        appended.map_err(failed)?;
        self.assign(path, Source::Parameter, start);
        Ok(())
    }

    /// Assigns one entry of a map: its key and its value as a message.
    fn bind_entry(
        &mut self,
        plan: &Plan,
        field: &FieldPlan,
        (path, key): (Path, &[u8]),
        text: &[u8],
    ) -> Result<(), Problem> {
        let Some((key_field, value_field)) = entry(plan, field) else { return Ok(()) };
        self.content.clear();
        key_field.tag.append(&mut self.content);
        text::append_scalar(plan, key_field.kind, key, &mut self.content)?;
        let key_length = self.content.len();
        value_field.tag.append(&mut self.content);
        text::append_scalar(plan, value_field.kind, text, &mut self.content)?;
        let start = self.values.len();
        text::append_bytes(&self.content, &mut self.values);
        let prefix = self.values.len() - start - self.content.len();
        self.assign(path, Source::Parameter, start);
        if let Some(assignment) = self.assignments.last_mut() {
            assignment.key = start + prefix..start + prefix + key_length;
        }
        Ok(())
    }

    /// Notes an assignment whose value was written from `start` on.
    fn assign(&mut self, path: Path, source: Source, start: usize) {
        let order = self.assignments.len();
        let value = start..self.values.len();
        self.assignments.push(Assignment { path, order, source, value, key: 0..0, name: 0..0 });
    }
}

/// The field at the end of a path.
fn last_field<'a>(plan: &'a Plan, mut message: MessageId, path: &[FieldIndex]) -> Option<&'a FieldPlan> {
    let (last, steps) = path.split_last()?;
    for step in steps {
        message = plan.message(message).field(*step).kind.message()?;
    }
    Some(plan.message(message).field(*last))
}

/// Key and value of a map's entries.
fn entry<'a>(plan: &'a Plan, field: &FieldPlan) -> Option<(&'a FieldPlan, &'a FieldPlan)> {
    let entry = plan.message(field.kind.message()?);
    let part = |number| entry.find_number(number).map(|index| entry.field(index));
    Some((part(1)?, part(2)?))
}

/// Whether a value is the name of an enum's value that the enum does not have.
fn is_unknown_enum(plan: &Plan, field: &FieldPlan, text: &[u8]) -> bool {
    match field.kind {
        Kind::Enum(id) => {
            let numeric = text.first().is_some_and(|&byte| byte == b'-' || byte.is_ascii_digit());
            !numeric && plan.enumeration(id).find_name(text).is_none()
        }
        _ => false,
    }
}

/// What a decoded name leads to.
fn find<'a>(plan: &Plan, message: MessageId, scope: &Scope, name: &'a [u8]) -> Found<'a> {
    let bracket = memchr::memchr(b'[', name).unwrap_or(name.len());
    let (dotted, key) = name.split_at_checked(bracket).unwrap_or_default();
    let key = match key {
        [] => None,
        [b'[', key @ .., b']'] => Some(key),
        _ => return Found::Unknown,
    };
    if scope.closed == Closed::Everything {
        return Found::Unknown;
    }
    let mut path = Path::new();
    let mut message = plan.message(message);
    if let Some(root) = scope.root {
        let field = message.field(root);
        match field.kind.message().map(|id| plan.message(id)) {
            Some(inside) if field.shape == Shape::Singular && !is_text(inside.well_known) => message = inside,
            _ => return Found::Closed("the body of this method can't be a form"),
        }
        path.push(root);
    }
    let mut steps = dotted.split(|&byte| byte == b'.').peekable();
    while let Some(step) = steps.next() {
        let Some(index) = message.find_name(step) else { return Found::Unknown };
        if path.is_empty() && scope.closed == Closed::Field(index) {
            return Found::Unknown;
        }
        if path.len() >= MAX_DEPTH {
            return Found::Closed("the name is too deep");
        }
        path.push(index);
        let field = message.field(index);
        if steps.peek().is_none() {
            return settable(plan, field, key).map_or_else(Found::Closed, |()| Found::Field(path, key));
        }
        match field.kind.message().map(|id| plan.message(id)) {
            Some(inside) if field.shape == Shape::Singular && !is_text(inside.well_known) => message = inside,
            _ => return Found::Unknown,
        }
    }
    Found::Unknown
}

/// Whether a parameter can set the field, or an entry of it.
fn settable(plan: &Plan, field: &FieldPlan, key: Option<&[u8]>) -> Result<(), &'static str> {
    match (field.shape, key) {
        (Shape::Map, None) => return Err("a parameter for a map needs a key, as in `labels[key]=value`"),
        (Shape::Map, Some(_)) => {
            return match entry(plan, field) {
                Some((_, value)) if value.kind.message().is_none() => Ok(()),
                _ => Err("a map of messages can't be set by parameters"),
            };
        }
        (Shape::Singular | Shape::Repeated, Some(_)) => return Err("only a map has a key in brackets"),
        (Shape::Singular | Shape::Repeated, None) => {}
    }
    match field.kind.message() {
        Some(id) if !is_text(plan.message(id).well_known) => Err("a message can't be a parameter, only its fields can"),
        _ => Ok(()),
    }
}

/// Whether a message is one text.
fn is_text(well_known: Option<WellKnown>) -> bool {
    match well_known {
        Some(WellKnown::Timestamp | WellKnown::Duration | WellKnown::FieldMask | WellKnown::Wrapper) => true,
        Some(WellKnown::Value) => true,
        Some(WellKnown::Any | WellKnown::Empty | WellKnown::ListValue | WellKnown::Struct | WellKnown::HttpBody) => {
            false
        }
        None => false,
    }
}

/// Appends the value of a field, without its tag; `content` is memory for a while.
fn append_value(
    plan: &Plan,
    field: &FieldPlan,
    text: &[u8],
    out: &mut Vec<u8>,
    content: &mut Vec<u8>,
) -> Result<(), Problem> {
    let Some(id) = field.kind.message() else { return text::append_scalar(plan, field.kind, text, out) };
    content.clear();
    let message = plan.message(id);
    match message.well_known {
        Some(WellKnown::Timestamp) => text::append_timestamp(text, content)?,
        Some(WellKnown::Duration) => text::append_duration(text, content)?,
        Some(WellKnown::FieldMask) => text::append_mask(text, content)?,
        Some(WellKnown::Value) => {
            content.push(0x1a);
            text::append_bytes(text, content);
        }
        Some(WellKnown::Wrapper) => {
            if let Some(value) = message.fields.first() {
                value.tag.append(content);
                let tag = content.len();
                text::append_scalar(plan, value.kind, text, content)?;
                if content.get(tag..).unwrap_or_default().iter().all(|&byte| byte == 0) {
                    content.clear();
                }
            }
        }
        _ => return Err("a message has no text".into()),
    }
    append_varint(content.len() as u64, out);
    out.extend_from_slice(content);
    Ok(())
}

/// Replaces `out` by the text that a name or a value stands for.
fn decode(encoded: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    out.clear();
    let mut rest = encoded.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut digit = || rest.next().and_then(|&byte| char::from(byte).to_digit(16));
                let decoded = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
                out.push(decoded.ok_or("broken percent-encoding")?);
            }
            _ => out.push(byte),
        }
    }
    match std::str::from_utf8(out) {
        Ok(_) => Ok(()),
        Err(_) => Err("invalid UTF-8 behind percent-encoding".into()),
    }
}
