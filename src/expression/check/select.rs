//! Names: variables, their fields, and the fields of messages.

use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use http::header::HeaderName;

use super::Checker;
use crate::expression::field::{Field, Form};
use crate::expression::message::{PRESENCE, Selection};
use crate::expression::mistake::hint;
use crate::expression::slot::{Part, Path, Slot, variables};
use crate::expression::typing::Type;
use crate::route::nearest;
use crate::schema::{MessageId, Shape, WellKnown};

/// The variable of the request's message.
const REQUEST: &str = "request";

/// The variable of the present moment.
const NOW: &str = "now";

/// The names of types, which are values too.
const TYPES: [&str; 10] = ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];

/// What a chain of selects on a variable names.
enum Named {
    /// `auth`, `client` or `http` itself.
    Variable(&'static str),
    /// The request's message, or a singular message in it.
    Message { fields: Vec<Field>, id: MessageId },
    /// What a slot holds.
    Slot(Slot, Type),
    /// A mistake that was reported.
    Mistaken,
}

impl Checker<'_> {
    /// Checks a name, or a select on anything.
    pub(super) fn name(&mut self, node: &mut IdedExpr) -> Type {
        match self.resolve(node) {
            Some(named) => self.put(node, named),
            None => match &node.expr {
                Expr::Ident(name) => {
                    let name = name.clone();
                    self.identifier(node, &name)
                }
                _ => self.select(node),
            },
        }
    }

    /// Checks `auth.claims["…"]` and `http.headers["…"]`, which take one thing out of a map that need not be built.
    pub(super) fn known_element(&mut self, node: &mut IdedExpr) -> Option<Type> {
        let Expr::Call(call) = &node.expr else { return None };
        let ([container, index], operators::INDEX) = (call.args.as_slice(), call.func_name.as_str()) else {
            return None;
        };
        let Expr::Literal(LiteralValue::String(key)) = &index.expr else { return None };
        let Some(Named::Slot(slot, _)) = self.resolve_quietly(container) else { return None };
        let (key, place) = (key.inner().to_owned(), index.clone());
        let named = self.element(&slot, &key, &place)?;
        Some(self.put(node, named))
    }

    /// Puts the slot of what was named in the node's place.
    fn put(&mut self, node: &mut IdedExpr, named: Named) -> Type {
        let (slot, found) = match named {
            Named::Mistaken => return Type::Dyn,
            Named::Variable(name) => {
                let fields = fields_of(name).map(|(field, ..)| field).collect::<Vec<_>>().join(", ");
                return self
                    .report(self.range(node), format!("{name} is no value, expected one of its fields: {fields}"));
            }
            Named::Slot(slot, found) => (slot, found),
            Named::Message { mut fields, id } => {
                let full_name = self.full_name(id);
                let slot = match fields.pop() {
                    Some(field) => Slot::Field(Path { messages: fields, field }),
                    None => Slot::Request(id),
                };
                (slot, Type::Message(id, full_name))
            }
        };
        let spelling = spelling(&slot);
        self.put_slot(node, spelling, slot);
        found
    }

    /// What a chain of selects on one of our variables names; `None` where it is another expression.
    fn resolve(&mut self, node: &IdedExpr) -> Option<Named> {
        match &node.expr {
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => {
                let operand = self.resolve(&select.operand)?;
                let named = match operand {
                    Named::Mistaken => return Some(Named::Mistaken),
                    Named::Variable(variable) => self.field_of(variable, &select.field, node),
                    Named::Message { fields, id } => self.field(fields, id, &select.field, node),
                    Named::Slot(slot, _) => self.element(&slot, &select.field, node)?,
                };
                Some(if select.test { presence(named) } else { named })
            }
            _ => None,
        }
    }

    /// The same, if it is without a mistake.
    fn resolve_quietly(&mut self, node: &IdedExpr) -> Option<Named> {
        let reported = self.mistakes.len();
        let named = self.resolve(node);
        self.mistakes.truncate(reported);
        named
    }

    fn variable(&self, name: &str) -> Option<Named> {
        if self.locals.iter().any(|(local, _)| local == name) {
            return None;
        }
        if let Some((name, _)) = variables().into_iter().find(|(variable, _)| *variable == name) {
            return Some(Named::Variable(name));
        }
        if name == NOW {
            return Some(Named::Slot(Slot::Now, Type::Timestamp));
        }
        let (_, id) = self.request.filter(|_| name == REQUEST)?;
        Some(Named::Message { fields: Vec::new(), id })
    }

    /// A field of `auth`, `client` or `http`.
    fn field_of(&mut self, variable: &'static str, field: &str, node: &IdedExpr) -> Named {
        if let Some((_, found, slot)) = fields_of(variable).find(|(name, ..)| *name == field) {
            return Named::Slot(slot, found);
        }
        let hint = hint(nearest::name(field, fields_of(variable).map(|(name, ..)| name)));
        self.report(self.selected(node), format!("{variable} has no field {field:?}{hint}"));
        Named::Mistaken
    }

    /// A field of a singular message in the request.
    fn field(&mut self, mut fields: Vec<Field>, id: MessageId, name: &str, node: &IdedExpr) -> Named {
        let Some((field, found)) = self.compile(id, name, node) else { return Named::Mistaken };
        match (&field.form, field.shape) {
            (Form::Message(below), Shape::Singular) => {
                let id = *below;
                fields.push(field);
                Named::Message { fields, id }
            }
            _ => Named::Slot(Slot::Field(Path { messages: fields, field }), found),
        }
    }

    /// One claim or header; `None` for what is in any other slot.
    fn element(&mut self, slot: &Slot, key: &str, node: &IdedExpr) -> Option<Named> {
        match slot {
            Slot::Claims => Some(Named::Slot(Slot::Claim(key.into()), Type::Dyn)),
            Slot::Headers => match HeaderName::from_lowercase(key.as_bytes()) {
                Ok(name) => Some(Named::Slot(Slot::Header(name), Type::String)),
                Err(_) => {
                    let message = format!("found {key:?}, expected the name of a header in lower case");
                    self.report(self.range(node), message);
                    Some(Named::Mistaken)
                }
            },
            Slot::Text(_) | Slot::Texts(_) | Slot::Claim(_) | Slot::Header(_) => None,
            Slot::Request(_) | Slot::Field(_) | Slot::Now | Slot::Has(_) => None,
        }
    }

    /// The field of this name of a message, compiled, and its type.
    fn compile(&mut self, id: MessageId, name: &str, node: &IdedExpr) -> Option<(Field, Type)> {
        let (schema, _) = self.request?;
        let message = schema.message(id);
        let Some((index, _)) = message.find_field(name) else {
            let names = message.fields.iter().filter(|field| !field.extension).map(|field| &*field.name);
            let hint = match message.well_known {
                Some(WellKnown::Any) => ": what is in it is not looked into, only type_url and value".to_owned(),
                _ => hint(nearest::name(name, names)),
            };
            self.report(self.selected(node), format!("{} has no field {name:?}{hint}", message.full_name));
            return None;
        };
        match Field::compile(schema, id, index) {
            Ok(field) => {
                let found = field.value_type(schema);
                Some((field, found))
            }
            Err(full_name) => {
                self.report(self.selected(node), format!("{name:?} is a {full_name}, which expressions can't read"));
                None
            }
        }
    }

    /// A name that is none of our variables' names.
    fn identifier(&mut self, node: &IdedExpr, name: &str) -> Type {
        if let Some((_, found)) = self.locals.iter().rev().find(|(local, _)| local == name) {
            return found.clone();
        }
        if TYPES.contains(&name) {
            return Type::TypeName;
        }
        if name == REQUEST {
            return self.report(self.range(node), "there is no request message to look at here".to_owned());
        }
        let known = variables().map(|(name, _)| name);
        let locals = self.locals.iter().map(|(local, _)| local.as_str());
        let request = self.request.map(|_| REQUEST);
        let hint = hint(nearest::name(name, known.into_iter().chain([NOW]).chain(request).chain(locals)));
        self.report(self.range(node), format!("unknown variable {name:?}{hint}"))
    }

    /// A select on any other expression.
    fn select(&mut self, node: &mut IdedExpr) -> Type {
        let selected = self.selected(node);
        let Expr::Select(select) = &mut node.expr else { return Type::Dyn };
        let found = self.check(&mut select.operand);
        let of = match found.operand() {
            Type::Dyn => Type::Dyn,
            Type::Map(key, value) if key.agrees(&Type::String) => (**value).clone(),
            Type::Message(id, _) => {
                self.charge_in_loop(&mut select.operand, &found);
                let (id, name) = (*id, select.field.clone());
                let known = self.selections.iter().any(|other| other.message == id && *other.name == *name);
                let Some((field, of)) = self.compile(id, &name, node) else { return Type::Dyn };
                if !known {
                    self.selections.push(Selection { message: id, name: name.into(), field });
                }
                return self.presence_of_selection(node, of);
            }
            other => {
                let hint = match other {
                    Type::Timestamp => ": int(…) is its seconds since 1970",
                    Type::Duration => ": getSeconds() is its whole seconds",
                    _ => "",
                };
                return self.report(selected, format!("found {other}, which has no field {:?}{hint}", select.field));
            }
        };
        if select.test { Type::Bool } else { of }
    }

    /// `has(item.field)` reads another name, as a message with a default can't be told from one that isn't set.
    fn presence_of_selection(&mut self, node: &mut IdedExpr, of: Type) -> Type {
        match &mut node.expr {
            Expr::Select(select) if select.test => {
                select.test = false;
                select.field.insert(0, PRESENCE);
                Type::Bool
            }
            _ => of,
        }
    }

    /// Where the name stands that a node selects.
    fn selected(&self, node: &IdedExpr) -> std::ops::Range<usize> {
        match &node.expr {
            Expr::Select(select) => self.field_range(&select.operand, &select.field),
            _ => self.range(node),
        }
    }

    fn full_name(&self, id: MessageId) -> Arc<str> {
        self.request.map_or_else(Arc::default, |(schema, _)| (&*schema.message(id).full_name).into())
    }
}

fn fields_of(variable: &str) -> impl Iterator<Item = Part> + use<> {
    let found = variables().into_iter().find(|(name, _)| *name == variable);
    found.into_iter().flat_map(|(_, fields)| fields)
}

/// Whether what was named is there.
fn presence(named: Named) -> Named {
    let slot = match named {
        Named::Slot(slot, _) => slot,
        Named::Message { mut fields, id } => match fields.pop() {
            Some(field) => Slot::Field(Path { messages: fields, field }),
            None => Slot::Request(id),
        },
        Named::Variable(_) | Named::Mistaken => return named,
    };
    Named::Slot(Slot::Has(Box::new(slot)), Type::Bool)
}

/// What tells a slot from others: the same variable has one slot, however often it is named.
fn spelling(slot: &Slot) -> String {
    match slot {
        Slot::Field(path) => {
            let numbers = path.messages.iter().chain([&path.field]).map(|field| field.number.to_string());
            format!("Field({})", numbers.collect::<Vec<_>>().join("."))
        }
        Slot::Has(slot) => format!("Has({})", spelling(slot)),
        other => format!("{other:?}"),
    }
}
