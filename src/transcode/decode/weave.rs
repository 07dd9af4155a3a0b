//! Fields that come from elsewhere than the JSON text, woven into the message at their place.
//!
//! Assignments are sorted by their path, so that those below one field stand together; what the body has too is
//! compared, the rest is written at the end of the message that it belongs to.

use std::ops::Range;

use smallvec::SmallVec;

use crate::schema::{FieldIndex, Kind, MessageId, Presence, Shape, WellKnown};
use crate::transcode::json::{Fault, Next, Read};
use crate::transcode::plan::{FieldPlan, MessagePlan, Tag};
use crate::transcode::wire::WireType;

use super::Pass;
use super::message::{Frame, Role};

/// A value for a field, from a path or a parameter.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// The way from the root message.
    pub(crate) path: SmallVec<[FieldIndex; 6]>,
    /// Its position among all, which breaks ties.
    pub(crate) order: usize,
    pub(crate) source: Source,
    /// Where the values have it, in its wire form without the tag.
    pub(crate) value: Range<usize>,
    /// Where the values have the key of a map's entry, which is a part of the value; else empty.
    pub(crate) key: Range<usize>,
    /// Where the values have the name of the parameter, for errors; empty for a variable of the path.
    pub(crate) name: Range<usize>,
}

/// Where an assignment comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Path,
    Parameter,
}

/// The assignments below one message or field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weave<'a> {
    /// Sorted by path.
    assignments: &'a [Assignment],
    values: &'a [u8],
    /// The number of steps that lead here.
    level: usize,
}

impl<'a> Weave<'a> {
    /// All of `assignments`, which are sorted by path; no path is the beginning of another.
    pub(crate) const fn new(assignments: &'a [Assignment], values: &'a [u8]) -> Self {
        Self { assignments, values, level: 0 }
    }

    /// Those below the field, if there are any.
    fn below(&self, index: FieldIndex) -> Option<Self> {
        let step = |assignment: &Assignment| assignment.path.get(self.level).copied();
        let start = self.assignments.partition_point(|assignment| step(assignment) < Some(index));
        let rest = self.assignments.get(start..)?;
        let count = rest.partition_point(|assignment| step(assignment) == Some(index));
        let assignments = rest.get(..count).filter(|below| !below.is_empty())?;
        Some(Self { assignments, values: self.values, level: self.level + 1 })
    }

    /// The fields that are assigned, or something below them.
    fn fields(&self) -> impl Iterator<Item = FieldIndex> + use<'a> {
        let level = self.level;
        let mut last = None;
        self.assignments.iter().filter_map(move |assignment| {
            let step = assignment.path.get(level).copied();
            let new = step != last;
            last = step;
            step.filter(|_| new)
        })
    }

    /// Whether the field itself is assigned, not something inside it.
    fn is_leaf(&self) -> bool {
        self.assignments.first().is_some_and(|assignment| assignment.path.len() == self.level)
    }

    fn values(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let values = self.values;
        self.assignments.iter().map(move |assignment| values.get(assignment.value.clone()).unwrap_or_default())
    }
}

impl<'a> Pass<'a> {
    /// Takes the JSON form of a message and appends its content and what is assigned.
    pub(crate) fn woven(&mut self, id: MessageId, weave: Weave<'_>) -> Read {
        let plan = self.plan.message(id);
        match plan.well_known {
            _ if weave.assignments.is_empty() => return self.content(id),
            None | Some(WellKnown::HttpBody | WellKnown::Empty) => {}
            Some(_) => return Err(Fault::new(self.json.at(), "a part of it is bound by the path or a parameter")),
        }
        let mut frame = self.frame(plan);
        if self.json.open(b'{', "an object")? {
            let mut expected = 0;
            loop {
                if let Some(index) = self.field(plan, expected, &mut Role::Message)? {
                    expected = index.index() + 1;
                    self.woven_member(plan, index, &mut frame, weave)?;
                }
                if self.json.next(b'}')? == Next::End {
                    break;
                }
            }
        }
        self.rest(plan, &mut frame, weave)
    }

    /// Takes the JSON form of one field of a message, and appends it and what is assigned.
    pub(crate) fn woven_body(&mut self, id: MessageId, body: FieldIndex, weave: Weave<'_>) -> Read {
        let plan = self.plan.message(id);
        let mut frame = self.frame(plan);
        self.woven_member(plan, body, &mut frame, weave)?;
        self.rest(plan, &mut frame, weave)
    }

    /// Appends what is assigned of a message.
    pub(crate) fn assigned(&mut self, id: MessageId, weave: Weave<'_>) -> Read {
        let plan = self.plan.message(id);
        let mut frame = self.frame(plan);
        self.rest(plan, &mut frame, weave)
    }

    /// Appends what is assigned and was not in the text, and ends the message.
    fn rest(&mut self, plan: &'a MessagePlan, frame: &mut Frame, weave: Weave<'_>) -> Read {
        for index in weave.fields() {
            if !self.see(frame, index)
                && let Some(below) = weave.below(index)
            {
                self.assign(plan, index, frame, below)?;
            }
        }
        self.finish(plan, frame)
    }

    /// Takes the value of a field.
    fn woven_member(&mut self, plan: &'a MessagePlan, index: FieldIndex, frame: &mut Frame, weave: Weave<'_>) -> Read {
        let Some(below) = weave.below(index) else { return self.member(plan, index, frame) };
        let field = plan.field(index);
        self.contested(plan, index, frame, below).map_err(|fault| fault.under(&field.json_name))
    }

    /// Takes the value of a field that is assigned too, or something inside it.
    fn contested(&mut self, plan: &'a MessagePlan, index: FieldIndex, frame: &mut Frame, below: Weave<'_>) -> Read {
        let field = plan.field(index);
        self.json.peek();
        let at = self.json.at();
        if self.json.take(b"null") {
            if self.see(frame, index) {
                return Err(Fault::new(at, "the field is there twice"));
            }
            return self.assign(plan, index, frame, below);
        }
        if !self.set_by(plan, index, frame)? {
            return Ok(());
        }
        match field.kind {
            Kind::Message(id) | Kind::Group(id) if !below.is_leaf() => {
                self.enclose(field, |pass| pass.woven(id, below))
            }
            _ => {
                let start = self.out.len();
                self.field_value(field)?;
                let end = self.out.len();
                self.append_values(field, below);
                let (found, expected) =
                    self.out.get(start..).unwrap_or_default().split_at_checked(end - start).unwrap_or_default();
                if found != expected {
                    return Err(Fault::new(at, "the path of the request has another value"));
                }
                self.out.truncate(end);
                Ok(())
            }
        }
    }

    /// Appends a field that is assigned, or a message of what is assigned inside it.
    fn assign(&mut self, plan: &'a MessagePlan, index: FieldIndex, frame: &mut Frame, below: Weave<'_>) -> Read {
        let field = plan.field(index);
        if let Some(oneof) = field.oneof
            && self.see_oneof(plan, frame, oneof)
        {
            return Err(Fault::nowhere("another field of the same oneof is set").under(&field.json_name));
        }
        match field.kind {
            Kind::Message(id) | Kind::Group(id) if !below.is_leaf() => {
                let assigned = self.enclose(field, |pass| pass.assigned(id, below));
                assigned.map_err(|fault| fault.under(&field.json_name))
            }
            _ => {
                self.append_values(field, below);
                Ok(())
            }
        }
    }

    /// Appends a message: its tag, its length or its end, and between them the content.
    fn enclose(&mut self, field: &FieldPlan, content: impl FnOnce(&mut Self) -> Read) -> Read {
        field.tag.append(&mut self.out);
        if let Kind::Group(_) = field.kind {
            content(self)?;
            Tag::new(field.number, WireType::EndGroup).append(&mut self.out);
            return Ok(());
        }
        let slot = self.open_slot();
        content(self)?;
        self.close_slot(slot);
        Ok(())
    }

    /// Appends the values that are assigned to a field.
    fn append_values(&mut self, field: &FieldPlan, below: Weave<'_>) {
        if field.packed {
            field.tag.append(&mut self.out);
            let slot = self.open_slot();
            below.values().for_each(|value| self.out.extend_from_slice(value));
            self.close_slot(slot);
            return;
        }
        let implicit = field.presence == Presence::Implicit && field.shape == Shape::Singular;
        for value in below.values() {
            if !(implicit && value.iter().all(|&byte| byte == 0)) {
                field.tag.append(&mut self.out);
                self.out.extend_from_slice(value);
            }
        }
    }
}
