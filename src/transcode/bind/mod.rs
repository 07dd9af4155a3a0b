//! Requests to messages: path variables, parameters, form and body woven into one message in its wire form.
//!
//! Every value from outside the JSON text becomes an assignment: the path of its field and its value on the wire.
//! Sorted, they are checked against each other, and the decoder writes them at their places. Which part of a request
//! may set which field is said by `google/api/http.proto`.

mod parameter;
#[cfg(test)]
pub(crate) mod tests;

use smallvec::SmallVec;

use crate::schema::{FieldIndex, FieldPath, MessageId, Shape};
use crate::status::Status;

use super::decode::{Assignment, DecodeOptions, Decoder, Input, Source, Weave};
use super::mask;
use super::plan::Plan;
use super::position::Position;

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyTarget {
    /// There is none.
    None,
    /// The whole message.
    Whole,
    /// One field of it.
    Field(FieldIndex),
}

/// What happens to a parameter that is no field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownParameters {
    /// It is an error.
    #[default]
    Reject,
    /// It is passed over.
    Ignore,
}

/// What happens to the field mask of a request that leaves it unset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PatchMask {
    /// It stays unset.
    #[default]
    Leave,
    /// This field, which [`mask::find`] found, is filled with the fields that the body names.
    Fill(FieldIndex),
}

/// What a request is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The request message.
    pub message: MessageId,
    pub body: BodyTarget,
    /// The fields that the path binds.
    pub variables: &'a [FieldPath],
    pub unknown_parameters: UnknownParameters,
    /// Names of parameters that are passed over in any case.
    pub ignored_parameters: &'a [Box<str>],
    pub options: DecodeOptions,
    pub patch_mask: PatchMask,
}

/// The parts of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'a> {
    /// The values of the path's variables, decoded; parallel to [`Target::variables`].
    pub variables: &'a [&'a str],
    /// The query, raw.
    pub query: Option<&'a str>,
    /// A body in `application/x-www-form-urlencoded`.
    pub form: Option<&'a [u8]>,
    /// A body in JSON.
    pub json: Option<&'a [u8]>,
    /// Where the JSON begins in what the client sent.
    pub position: Position,
}

/// Memory that is used again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    assignments: Vec<Assignment>,
    /// The wire forms of all values.
    values: Vec<u8>,
    /// The content of a message that is being made.
    content: Vec<u8>,
    /// The name and the value of a parameter, decoded.
    name: Vec<u8>,
    text: Vec<u8>,
    /// The number of parameters so far.
    parameters: usize,
}

impl Decoder {
    /// Appends the message that the parts of a request make, in its wire form, to `out`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the field, variable or parameter; `out` is then as long as before.
    pub fn bind(
        &mut self,
        plan: &Plan,
        target: &Target<'_>,
        parts: &Parts<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Status> {
        let json = parts.json.unwrap_or_default();
        let form = parts.form.unwrap_or_default();
        if target.body == BodyTarget::None && !(json.is_empty() && form.is_empty()) {
            return Err(Status::invalid_argument("", "this method takes no request body"));
        }
        self.binder.collect(plan, target, parts)?;
        let binder = &self.binder;
        let weave = Weave::new(&binder.assignments, &binder.values);
        let start = out.len();
        let input = Input { plan, json, position: parts.position, options: target.options };
        self.scratch.pass(input, out, |pass| match target.body {
            _ if json.is_empty() => pass.assigned(target.message, weave),
            BodyTarget::None => pass.assigned(target.message, weave),
            BodyTarget::Whole => pass.woven(target.message, weave),
            BodyTarget::Field(body) => pass.woven_body(target.message, body, weave),
        })?;
        if let (PatchMask::Fill(mask), BodyTarget::Field(body)) = (target.patch_mask, target.body)
            && !binder.assigns(mask)
        {
            if json.is_empty() {
                mask::append_paths(plan, (target.message, mask), &binder.paths_in(plan, target.message, body), out);
                return Ok(());
            }
            let appended = mask::append(plan, target.message, (body, mask), (json, parts.position), out);
            return appended.inspect_err(|_| out.truncate(start));
        }
        Ok(())
    }
}

impl Scratch {
    /// Makes assignments of all but the JSON body, sorted and free of contradictions.
    fn collect(&mut self, plan: &Plan, target: &Target<'_>, parts: &Parts<'_>) -> Result<(), Status> {
        self.assignments.clear();
        self.values.clear();
        self.parameters = 0;
        for (variable, text) in target.variables.iter().zip(parts.variables) {
            let path = SmallVec::from_slice(&variable.0);
            self.bind_variable(plan, target, path, text)?;
        }
        if let Some(query) = parts.query.filter(|query| !query.is_empty()) {
            self.bind_query(plan, target, query.as_bytes())?;
        }
        if let Some(form) = parts.form.filter(|form| !form.is_empty()) {
            // What `curl -d` sends unless it is told otherwise; no name of a field begins so.
            if form.starts_with(b"{") {
                let message = "this is JSON, sent as application/x-www-form-urlencoded: expected application/json";
                return Err(Status::invalid_argument("", message));
            }
            self.bind_form(plan, target, form)?;
        }
        if self.assignments.len() > 1 {
            self.settle(plan, target.message)?;
        }
        Ok(())
    }

    /// Whether the field of the request message is assigned.
    fn assigns(&self, index: FieldIndex) -> bool {
        self.assignments.iter().any(|assignment| assignment.path.first() == Some(&index))
    }

    /// The paths below the body's field that a form names, each once, in proto names.
    fn paths_in(&self, plan: &Plan, message: MessageId, body: FieldIndex) -> Vec<String> {
        let named = self.assignments.iter().filter(|assignment| !assignment.name.is_empty());
        let inside = named.filter_map(|assignment| match assignment.path.split_first() {
            Some((first, rest)) if *first == body && !rest.is_empty() => Some(rest),
            _ => None,
        });
        let root = plan.message(message).field(body).kind.message();
        let mut paths: Vec<_> =
            root.map_or_else(Vec::new, |root| inside.map(|path| dotted(plan, root, path)).collect());
        // Assignments are sorted by their paths: a list's elements follow each other.
        paths.dedup();
        paths
    }

    /// Sorts the assignments, drops parameters that say what the path says, and rejects all that contradict.
    fn settle(&mut self, plan: &Plan, message: MessageId) -> Result<(), Status> {
        let values = &self.values;
        let bytes = |range: &std::ops::Range<usize>| values.get(range.clone()).unwrap_or_default();
        self.assignments.sort_unstable_by(|one, other| {
            let keys = || bytes(&one.key).cmp(bytes(&other.key));
            one.path.cmp(&other.path).then_with(keys).then_with(|| one.order.cmp(&other.order))
        });
        let mut problem = None;
        self.assignments.dedup_by(|later, earlier| {
            if problem.is_some() || !later.path.starts_with(&earlier.path) {
                return false;
            }
            if later.path.len() > earlier.path.len() {
                let text = "the request sets the message around it as well";
                problem = Some((later.path.clone(), later.name.clone(), text));
                return false;
            }
            let shape = shape(plan, message, &later.path);
            if shape == Shape::Repeated
                || (shape == Shape::Map && later.key != earlier.key && bytes(&later.key) != bytes(&earlier.key))
            {
                return false;
            }
            let agreed = earlier.source == Source::Path && bytes(&later.value) == bytes(&earlier.value);
            if !agreed {
                let text = match earlier.source {
                    Source::Path => "the path of the request has another value",
                    Source::Parameter => "the parameter is given twice",
                };
                problem = Some((later.path.clone(), later.name.clone(), text));
            }
            // A second parameter is one too many, whatever it says.
            earlier.source = Source::Parameter;
            // What the body names is in the mask, even if the path says it too.
            earlier.name = later.name.clone();
            agreed
        });
        match problem {
            Some((path, name, text)) => {
                // A parameter is called what the client called it.
                let name = match String::from_utf8_lossy(bytes(&name)) {
                    name if name.is_empty() => dotted(plan, message, &path),
                    name => name.into_owned(),
                };
                Err(Status::invalid_argument(name, text))
            }
            None => Ok(()),
        }
    }
}

/// The shape of the field at the end of a path.
fn shape(plan: &Plan, message: MessageId, path: &[FieldIndex]) -> Shape {
    let mut message = Some(message);
    let mut shape = Shape::Singular;
    for step in path {
        let Some(id) = message else { break };
        let field = plan.message(id).field(*step);
        shape = field.shape;
        message = field.kind.message();
    }
    shape
}

/// The proto names along a path.
fn dotted(plan: &Plan, message: MessageId, path: &[FieldIndex]) -> String {
    let mut message = Some(message);
    let mut names = Vec::new();
    for step in path {
        let Some(id) = message else { break };
        let field = plan.message(id).field(*step);
        names.push(&*field.name);
        message = field.kind.message();
    }
    names.join(".")
}
