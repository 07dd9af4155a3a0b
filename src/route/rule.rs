//! From rules to bindings: what `google.api.HttpRule` says about a method, checked against the schema.
//!
//! A rule comes from the method's annotation, from the configuration (which overrides the annotation as a whole), or
//! is made for a method that has neither: `POST /package.Service/Method` with body `*`. All mistakes of all rules are
//! reported at once.
//!
//! What http.proto leaves open: GET and HEAD bindings have no body (as protoc-gen-grpc-gateway has it; Envoy would
//! take one), DELETE bindings may have one (as Envoy has it). A custom kind is the HTTP method as it is spelled, `*`
//! is any. A variable may name its field by the proto name or the JSON name.

use std::collections::HashMap;
use std::fmt;

use crate::pb::google::api::HttpRule;
use crate::pb::google::api::http_rule::Pattern;
use crate::schema::{
    Field, FieldIndex, FieldPath, Kind, Message, MessageId, Method, MethodId, Schema, Shape, WellKnown,
};
use crate::transcode::bind::BodyTarget;

use super::template::{PathTemplate, Variable};
use super::{Mistake, RouteError, nearest};

/// One way to call one method: method × rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub method: MethodId,
    /// The method's full name, for tables and messages.
    pub full_name: Box<str>,
    pub verb: Verb,
    pub template: PathTemplate,
    /// The field of each of the template's variables.
    pub variables: Box<[FieldPath]>,
    pub body: BodyTarget,
    /// The field of the response message that is the answer's body; `None` for the whole message.
    pub response_body: Option<FieldIndex>,
    pub source: Source,
}

/// The HTTP method of a binding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Any,
    Only(http::Method),
}

/// Where a binding comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The method's `google.api.http` option, in this file.
    Annotation { file: Box<str> },
    /// A rule of the configuration, at `file:line:column`.
    Configuration { place: Box<str> },
    /// No rule at all; the method is in this file.
    Unannotated { file: Box<str> },
}

/// A rule of the configuration.
#[derive(Clone, Debug)]
pub struct ConfiguredRule {
    /// The full name of a method.
    pub selector: String,
    pub rule: HttpRule,
    /// `file:line:column`
    pub place: String,
}

/// What becomes of a method that has no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unannotated {
    /// `POST /package.Service/Method` with body `*`.
    Expose,
    /// No route.
    Hide,
}

impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("*"),
            Self::Only(method) => formatter.write_str(method.as_str()),
        }
    }
}

impl Source {
    /// The file, with line and column where they are known.
    #[must_use]
    pub fn place(&self) -> &str {
        match self {
            Self::Annotation { file } | Self::Unannotated { file } => file,
            Self::Configuration { place } => place,
        }
    }
}

/// Makes the bindings of every method of `schema`; `unannotated` decides for each method that has no rule.
///
/// Of several rules for one selector the last counts, as in a Google service configuration.
///
/// # Errors
///
/// Every mistake of every rule.
pub fn bindings(
    schema: &Schema,
    configured: &[ConfiguredRule],
    unannotated: impl Fn(MethodId) -> Unannotated,
) -> Result<Vec<Binding>, Vec<RouteError>> {
    let mut errors = Vec::new();
    let mut overrides = HashMap::new();
    for rule in configured {
        match select(schema, rule) {
            Ok(method) => drop(overrides.insert(method, rule)),
            Err(mistake) => errors.push(RouteError {
                place: rule.place.as_str().into(),
                method: rule.selector.as_str().into(),
                template: None,
                column: None,
                mistake,
            }),
        }
    }
    let mut collected = Collected { schema, bindings: Vec::new(), errors };
    for id in schema.method_ids() {
        let method = schema.method(id);
        match (overrides.get(&id), &method.http) {
            (Some(configured), _) => {
                let source = Source::Configuration { place: configured.place.as_str().into() };
                collected.expand(id, &configured.rule, &source);
            }
            (None, Some(annotation)) => {
                collected.expand(id, annotation, &Source::Annotation { file: method.file.clone() });
            }
            (None, None) => match unannotated(id) {
                Unannotated::Expose => collected.expose(id),
                Unannotated::Hide => {}
            },
        }
    }
    if collected.errors.is_empty() { Ok(collected.bindings) } else { Err(collected.errors) }
}

/// The method that a configured rule is for.
fn select(schema: &Schema, rule: &ConfiguredRule) -> Result<MethodId, Mistake> {
    let selector = rule.selector.as_str();
    if selector.contains('*') {
        return Err(Mistake::WildcardSelector(selector.into()));
    }
    schema.find_method(selector).ok_or_else(|| {
        let names = schema.methods().iter().map(|method| &*method.full_name);
        Mistake::UnknownMethod { selector: selector.into(), suggestion: nearest::name(selector, names).map(Box::from) }
    })
}

/// What has been made of the rules so far.
struct Collected<'a> {
    schema: &'a Schema,
    bindings: Vec<Binding>,
    errors: Vec<RouteError>,
}

impl Collected<'_> {
    /// Adds the bindings of one rule: its own, and those of its `additional_bindings`.
    fn expand(&mut self, id: MethodId, rule: &HttpRule, source: &Source) {
        let method = self.schema.method(id);
        for (depth, rule) in std::iter::once((0, rule)).chain(rule.additional_bindings.iter().map(|rule| (1, rule))) {
            let mut checker = Checker { schema: self.schema, method, source, template: None, errors: &mut self.errors };
            self.bindings.extend(checker.binding(id, rule));
            if depth > 0 && !rule.additional_bindings.is_empty() {
                checker.error(None, Mistake::NestedBindings);
            }
        }
    }

    /// Adds the binding of a method that has no rule.
    fn expose(&mut self, id: MethodId) {
        let method = self.schema.method(id);
        let pattern = Some(Pattern::Post(method.path.to_string()));
        let rule = HttpRule { pattern, body: "*".to_owned(), ..HttpRule::default() };
        self.expand(id, &rule, &Source::Unannotated { file: method.file.clone() });
    }
}

/// The HTTP method and the path of a rule.
fn pattern(rule: &HttpRule) -> Option<(&str, &str)> {
    let (kind, path) = match rule.pattern.as_ref()? {
        Pattern::Get(path) => ("GET", path),
        Pattern::Put(path) => ("PUT", path),
        Pattern::Post(path) => ("POST", path),
        Pattern::Delete(path) => ("DELETE", path),
        Pattern::Patch(path) => ("PATCH", path),
        Pattern::Custom(custom) => (custom.kind.as_str(), &custom.path),
    };
    Some((kind, path.as_str())).filter(|(_, path)| !path.is_empty())
}

/// Checks one rule, and goes on after a mistake to find the others.
struct Checker<'a> {
    schema: &'a Schema,
    method: &'a Method,
    source: &'a Source,
    /// The rule's template, as soon as it is known.
    template: Option<&'a str>,
    errors: &'a mut Vec<RouteError>,
}

impl<'a> Checker<'a> {
    fn binding(&mut self, id: MethodId, rule: &'a HttpRule) -> Option<Binding> {
        let Some((kind, path)) = pattern(rule) else {
            self.error(None, Mistake::NoPattern);
            return None;
        };
        self.template = Some(path);
        let verb = self.verb(kind);
        let template = match PathTemplate::parse(path) {
            Ok(template) => Some(template),
            Err(error) => {
                self.error(Some(error.column), Mistake::Template(error.message));
                None
            }
        };
        let variables = template.as_ref().map(|template| self.variables(template));
        let body = self.body(&rule.body, verb.as_ref());
        let response_body = match rule.response_body.as_str() {
            "" => Some(None),
            name => self.top_level("response_body", self.method.output, name).map(Some),
        };
        Some(Binding {
            method: id,
            full_name: self.method.full_name.clone(),
            verb: verb?,
            template: template?,
            variables: variables??,
            body: body?,
            response_body: response_body?,
            source: self.source.clone(),
        })
    }

    fn verb(&mut self, kind: &str) -> Option<Verb> {
        if kind == "*" {
            return Some(Verb::Any);
        }
        match http::Method::from_bytes(kind.as_bytes()) {
            Ok(method) => Some(Verb::Only(method)),
            Err(_) => {
                self.error(None, Mistake::CustomKind(kind.into()));
                None
            }
        }
    }

    fn body(&mut self, name: &str, verb: Option<&Verb>) -> Option<BodyTarget> {
        if name.is_empty() {
            return Some(BodyTarget::None);
        }
        if let Some(Verb::Only(method)) = verb
            && (method == http::Method::GET || method == http::Method::HEAD)
        {
            self.error(None, Mistake::BodyNotAllowed(method.clone()));
            return None;
        }
        match name {
            "*" => Some(BodyTarget::Whole),
            _ => self.top_level("body", self.method.input, name).map(BodyTarget::Field),
        }
    }

    /// A field of `message` itself, which is what `body` and `response_body` name.
    fn top_level(&mut self, option: &'static str, message: MessageId, name: &str) -> Option<FieldIndex> {
        let message = self.schema.message(message);
        if let Some((index, _)) = message.find_field(name) {
            return Some(index);
        }
        let mistake = if name.contains('.') {
            Mistake::NotTopLevel { option, message: message.full_name.clone(), field: name.into() }
        } else {
            unknown_field(message, name)
        };
        self.error(None, mistake);
        None
    }

    /// The fields of a template's variables; `None` if one has a mistake.
    fn variables(&mut self, template: &PathTemplate) -> Option<Box<[FieldPath]>> {
        let mut found: Vec<FieldPath> = Vec::new();
        let mut whole = true;
        for (position, variable) in template.variables().iter().enumerate() {
            let Some(path) = self.variable(variable) else {
                whole = false;
                continue;
            };
            let earlier = template.variables().iter().take(position);
            // Positions differ once a variable has failed, but then nothing is returned.
            for (known, earlier) in found.iter().zip(earlier).filter(|_| whole) {
                let (variable_name, earlier) = (variable.path.clone(), earlier.path.clone());
                if *known == path {
                    self.error(Some(variable.column), Mistake::SameField { variable: variable_name, earlier });
                } else if known.0.starts_with(&path.0) || path.0.starts_with(&known.0) {
                    self.error(Some(variable.column), Mistake::Overlap { variable: variable_name, earlier });
                } else {
                    continue;
                }
                whole = false;
                break;
            }
            found.push(path);
        }
        whole.then(|| found.into())
    }

    /// The field that a variable names, from the request message down.
    fn variable(&mut self, variable: &Variable) -> Option<FieldPath> {
        let mut message = Some(self.schema.message(self.method.input));
        let mut before = "";
        let mut column = variable.column;
        let mut last: Option<&Field> = None;
        let mut path = Vec::new();
        for name in variable.path.split('.') {
            let Some(parent) = message else {
                let mistake = Mistake::Scalar { field: before.into(), below: name.into() };
                return self.refuse(column, mistake);
            };
            let Some((index, field)) = parent.find_field(name) else {
                return self.refuse(column, unknown_field(parent, name));
            };
            if field.shape != Shape::Singular {
                return self.refuse(column, Mistake::Repeated { field: name.into() });
            }
            message = field.kind.message().map(|id| self.schema.message(id));
            path.push(index);
            column += name.len() + 1;
            (before, last) = (name, Some(field));
        }
        let field = last?;
        if let Some(message) = message.filter(|message| !is_text(message, field.kind)) {
            let mistake = Mistake::Message { field: variable.path.clone(), message: message.full_name.clone() };
            return self.refuse(variable.column, mistake);
        }
        Some(FieldPath(path.into()))
    }

    fn refuse<T>(&mut self, column: usize, mistake: Mistake) -> Option<T> {
        self.error(Some(column), mistake);
        None
    }

    fn error(&mut self, column: Option<usize>, mistake: Mistake) {
        self.errors.push(RouteError {
            place: self.source.place().into(),
            method: self.method.full_name.clone(),
            template: self.template.map(Box::from),
            column,
            mistake,
        });
    }
}

/// Whether a message has a form as text, so that one path variable can be it.
fn is_text(message: &Message, kind: Kind) -> bool {
    let is_string_like = matches!(
        message.well_known,
        Some(WellKnown::Timestamp | WellKnown::Duration | WellKnown::FieldMask | WellKnown::Wrapper)
    );
    is_string_like && matches!(kind, Kind::Message(_))
}

fn unknown_field(message: &Message, name: &str) -> Mistake {
    let names = message.fields.iter().filter(|field| !field.extension).map(|field| &*field.name);
    let suggestion = nearest::name(name, names).map(Box::from);
    Mistake::UnknownField { message: message.full_name.clone(), field: name.into(), suggestion }
}

#[cfg(test)]
mod tests;
