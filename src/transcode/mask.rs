//! The field mask of a `PATCH`: which fields the body names.
//!
//! Paths are proto names, as deep as the body goes; what is `null` or `{}` counts itself; lists, maps and the
//! well-known types are not looked into. The walk is a second one over a text that is decoded already, and only of
//! endpoints that ask for it.

use crate::schema::{FieldIndex, Kind, MessageId, Shape, WellKnown};
use crate::status::Status;

use super::decode::append_varint;
use super::json::{Fault, Next, Read, Reader};
use super::plan::{FieldPlan, MessagePlan, Plan};
use super::position::Position;

#[cfg(test)]
mod tests;

/// The longest mask, in bytes: nesting multiplies names.
const MAX_MASK_BYTES: usize = 64 * 1024;

/// The field for the mask of a `PATCH` whose body is the field `body`: the only field mask of the request, beside a
/// body that is an ordinary message.
#[must_use]
pub fn find(plan: &Plan, message: MessageId, body: FieldIndex) -> Option<FieldIndex> {
    let message = plan.message(message);
    inside(plan, message.field(body))?;
    let masks = |field: &FieldPlan| match field.kind {
        Kind::Message(id) => plan.message(id).well_known == Some(WellKnown::FieldMask),
        _ => false,
    };
    let mut found = (0u16..).map(FieldIndex).zip(&message.fields).filter(|(_, field)| masks(field));
    let (index, field) = found.next()?;
    let usable = field.shape == Shape::Singular && field.oneof.is_none() && found.next().is_none();
    usable.then_some(index)
}

/// The message that a path of a mask can lead into.
fn inside(plan: &Plan, field: &FieldPlan) -> Option<MessageId> {
    let id = field.kind.message().filter(|_| field.shape == Shape::Singular)?;
    matches!(plan.message(id).well_known, None | Some(WellKnown::HttpBody)).then_some(id)
}

/// Appends the field `mask` of `message` to `out`, with the paths that `json`, the text of the field `body`, names.
/// Without any it stays unset.
pub(crate) fn append(
    plan: &Plan,
    message: MessageId,
    (body, mask): (FieldIndex, FieldIndex),
    (json, position): (&[u8], Position),
    out: &mut Vec<u8>,
) -> Result<(), Status> {
    let message = plan.message(message);
    let Some(body) = inside(plan, message.field(body)) else { return Ok(()) };
    let walked = Reader::new(json).and_then(|mut json| {
        let mut walk = Walk { plan, path: Vec::new(), name: Vec::new(), mask: Vec::new() };
        if json.peek() == Some(b'{') {
            walk.members(&mut json, plan.message(body))?;
        }
        Ok(walk.mask)
    });
    let paths = walked.map_err(|fault| fault.into_status(json, position))?;
    if !paths.is_empty() {
        message.field(mask).tag.append(out);
        append_varint(paths.len() as u64, out);
        out.extend_from_slice(&paths);
    }
    Ok(())
}

/// Appends the field `mask` of `message` to `out`, with these paths. Without any it stays unset.
pub(crate) fn append_paths(plan: &Plan, (message, mask): (MessageId, FieldIndex), paths: &[String], out: &mut Vec<u8>) {
    let mut content = Vec::new();
    for path in paths {
        // `FieldMask.paths`: field 1, with a length.
        content.push(0x0a);
        append_varint(path.len() as u64, &mut content);
        content.extend_from_slice(path.as_bytes());
    }
    if !content.is_empty() {
        plan.message(message).field(mask).tag.append(out);
        append_varint(content.len() as u64, out);
        out.extend_from_slice(&content);
    }
}

struct Walk<'a> {
    plan: &'a Plan,
    /// The path of where the walk is.
    path: Vec<u8>,
    /// The name of a member, unescaped.
    name: Vec<u8>,
    /// The content of the mask.
    mask: Vec<u8>,
}

impl Walk<'_> {
    /// Takes an object and notes its members.
    fn members(&mut self, json: &mut Reader<'_>, message: &MessagePlan) -> Read {
        if !json.open(b'{', "an object")? {
            return Ok(());
        }
        loop {
            let key = json.key()?;
            self.name.clear();
            key.append(&mut self.name)?;
            match message.find_name(&self.name).map(|index| message.field(index)) {
                // A path can't lead to an extension.
                Some(field) if !field.name.starts_with('[') => self.member(json, field)?,
                _ => json.skip(&mut Vec::new())?,
            }
            if json.next(b'}')? == Next::End {
                return Ok(());
            }
        }
    }

    fn member(&mut self, json: &mut Reader<'_>, field: &FieldPlan) -> Read {
        let length = self.path.len();
        if length > 0 {
            self.path.push(b'.');
        }
        self.path.extend_from_slice(field.name.as_bytes());
        let deeper = inside(self.plan, field).filter(|_| json.peek() == Some(b'{'));
        let mask = self.mask.len();
        match deeper {
            Some(id) => self.members(json, self.plan.message(id))?,
            None => json.skip(&mut Vec::new())?,
        }
        if self.mask.len() == mask {
            self.mask.push(0x0a);
            append_varint(self.path.len() as u64, &mut self.mask);
            self.mask.extend_from_slice(&self.path);
            if self.mask.len() > MAX_MASK_BYTES {
                return Err(Fault::new(
                    json.at(),
                    format!("the field mask would be longer than {MAX_MASK_BYTES} bytes"),
                ));
            }
        }
        self.path.truncate(length);
        Ok(())
    }
}
