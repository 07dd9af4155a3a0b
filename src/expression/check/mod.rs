//! The type checker: it walks a tree, says what is wrong with it, and makes it ready to be evaluated.
//!
//! On the way it replaces variables by slots, `matches` by compiled patterns, and puts charges around what costs more
//! than a constant. A part with a mistake counts as `dyn`, so that one mistake is reported once.

mod comprehension;
mod function;
mod operator;
mod select;
mod time;

use std::mem;
use std::ops::Range;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SourceInfo, operators};

use crate::schema::{MessageId, Schema};

use super::Environment;
use super::message::{PRESENCE, Selection};
use super::mistake::Mistake;
use super::pattern::Pattern;
use super::slot::Slot;
use super::syntax::{self, Parsed};
use super::typing::Type;
use super::work::{BUDGET, SPEND};

/// How many different variables one expression may use: each is looked for in the whole of a message.
pub(super) const MAX_VARIABLES: usize = 32;

/// A tree without mistakes, and what it needs.
pub(super) struct Checked {
    pub(super) root: IdedExpr,
    pub(super) slots: Vec<Slot>,
    pub(super) selections: Vec<Selection>,
    pub(super) patterns: Vec<Pattern>,
}

/// Parses and checks `text`.
pub(super) fn check(text: &str, environment: &Environment<'_>, expected: &Type) -> Result<Checked, Vec<Mistake>> {
    let Parsed { mut root, places } = syntax::parse(text)?;
    let mut checker = Checker {
        text,
        places,
        request: environment.request,
        slots: Vec::new(),
        selections: Vec::new(),
        patterns: Vec::new(),
        locals: Vec::new(),
        nesting: 0,
        loops: 0,
        mistakes: Vec::new(),
    };
    let found = checker.check(&mut root);
    if !expected.agrees(&found) {
        checker.report(checker.range(&root), format!("found {found}, expected {expected}"));
    } else if found.holds_message() {
        checker.report(checker.range(&root), format!("found {found}, expected a value: select a field of the message"));
    }
    if !checker.mistakes.is_empty() {
        return Err(checker.mistakes);
    }
    let slots = checker.slots.into_iter().map(|(_, slot)| slot).collect();
    Ok(Checked { root, slots, selections: checker.selections, patterns: checker.patterns })
}

struct Checker<'t> {
    text: &'t str,
    places: SourceInfo,
    request: Option<(&'t Schema, MessageId)>,
    /// The slots, each with the variable as it is spelled.
    slots: Vec<(String, Slot)>,
    selections: Vec<Selection>,
    patterns: Vec<Pattern>,
    /// The variables of the loops around, the innermost last.
    locals: Vec<(String, Type)>,
    /// How many loops' bodies are around.
    nesting: usize,
    /// How many loops there are in all.
    loops: usize,
    mistakes: Vec<Mistake>,
}

impl Checker<'_> {
    /// Checks a node and everything below: its type.
    fn check(&mut self, node: &mut IdedExpr) -> Type {
        let range = self.range(node);
        let found = match &mut node.expr {
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(_) | Expr::Select(_) => self.name(node),
            Expr::Call(_) => self.call(node),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, &range),
            Expr::Struct(literal) => {
                let message = format!("{}{{…}}: expressions don't make messages", literal.type_name);
                self.report(range.clone(), message)
            }
            Expr::Unspecified => self.report(range.clone(), "nothing, expected a value".to_owned()),
        };
        // What a node is replaced by stands where the node stood, with all its parts.
        self.place(node.id, &range);
        found
    }

    fn call(&mut self, node: &mut IdedExpr) -> Type {
        if let Some(found) = self.known_element(node) {
            return found;
        }
        match &mut node.expr {
            Expr::Call(call) if is_operator(&call.func_name) => {
                let mut call = mem::take(call);
                let found = self.operator(&mut call, node);
                node.expr = Expr::Call(call);
                found
            }
            _ => self.function(node),
        }
    }

    fn list(&mut self, list: &mut ListExpr) -> Type {
        let mut of = None;
        for element in &mut list.elements {
            let found = self.check(element);
            charge_element(element, &found);
            of = Some(match of {
                None => found,
                Some(of) => Type::join(of, &found),
            });
        }
        Type::list(of.unwrap_or(Type::Dyn))
    }

    fn map(&mut self, map: &mut MapExpr) -> Type {
        let mut of = None;
        for entry in &mut map.entries {
            let EntryExpr::MapEntry(entry) = &mut entry.expr else { continue };
            let key = self.check(&mut entry.key);
            if !matches!(key, Type::Bool | Type::Int | Type::Uint | Type::String | Type::Dyn) {
                self.report(
                    self.range(&entry.key),
                    format!("found {key} as a key, expected bool, int, uint or string"),
                );
            }
            let value = self.check(&mut entry.value);
            charge_element(&mut entry.value, &value);
            of = Some(match of {
                None => (key, value),
                Some((keys, values)) => (Type::join(keys, &key), Type::join(values, &value)),
            });
        }
        let (key, value) = of.unwrap_or((Type::Dyn, Type::Dyn));
        Type::map(key, value)
    }

    /// Checks a node that has to be a bool.
    fn condition(&mut self, node: &mut IdedExpr) {
        let found = self.check(node);
        self.expect(node, &found, &Type::Bool);
    }

    fn expect(&mut self, node: &IdedExpr, found: &Type, expected: &Type) {
        if !expected.agrees(found) {
            self.report(self.range(node), format!("found {found}, expected {expected}"));
        }
    }

    /// Reports a mistake; what it is about counts as `dyn`.
    fn report(&mut self, range: Range<usize>, message: String) -> Type {
        self.mistakes.push(Mistake { range, message });
        Type::Dyn
    }

    /// Replaces a node by the slot of a variable that is spelled like this.
    fn put_slot(&mut self, node: &mut IdedExpr, spelling: String, slot: Slot) {
        let known = self.slots.iter().position(|(other, _)| *other == spelling);
        let at = known.unwrap_or(self.slots.len());
        if known.is_none() {
            if self.slots.len() == MAX_VARIABLES {
                let message = format!("more than {MAX_VARIABLES} different variables: split the expression");
                self.report(self.range(node), message);
                return;
            }
            self.slots.push((spelling, slot));
        }
        node.expr = Expr::Ident(format!("@{at}"));
    }

    /// Puts a charge around a node whose size makes an operation of a loop's body expensive.
    fn charge_in_loop(&self, node: &mut IdedExpr, found: &Type) {
        if self.nesting > 0 && !found.is_small() {
            charge(node);
        }
    }

    /// The bytes that a node and all below it take in the text.
    fn range(&self, node: &IdedExpr) -> Range<usize> {
        let mut range = self.places.offset_for(node.id).map(|(start, stop)| start as usize..stop as usize + 1);
        // Of a select's operand, this is what stands in front of the field's name.
        let mut operand_end = 0;
        syntax::children(&node.expr, &mut |child| {
            let child = self.range(child);
            operand_end = child.end;
            range = Some(match range.take() {
                None => child,
                Some(range) => range.start.min(child.start)..range.end.max(child.end),
            });
        });
        let mut range = range.unwrap_or(0..self.text.len());
        match &node.expr {
            Expr::Select(select) if select.field.starts_with(PRESENCE) => {}
            Expr::Select(select) => {
                range.end = range.end.max(self.word_behind(operand_end, &select.field).end);
                if select.test {
                    range = self.with_brackets(range, operators::HAS);
                }
            }
            Expr::Call(call) if is_operator(&call.func_name) && call.func_name != operators::INDEX => {}
            Expr::Call(call) => range = self.with_brackets(range, &call.func_name),
            Expr::List(_) | Expr::Map(_) | Expr::Comprehension(_) => range = self.with_brackets(range, ""),
            Expr::Struct(literal) => range = self.with_brackets(range, &literal.type_name),
            Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
        }
        range.start.min(self.text.len())..range.end.min(self.text.len())
    }

    /// The same with the name of the function in front and the closing bracket behind, which the parser leaves out.
    fn with_brackets(&self, range: Range<usize>, name: &str) -> Range<usize> {
        let before = self.text.get(..range.start).filter(|before| before.ends_with(name));
        let start = before.map_or(range.start, |before| before.len() - name.len());
        let behind = self.text.get(range.end..).unwrap_or_default();
        let is_closed = behind.trim_start().starts_with([')', ']', '}']);
        let closing = if is_closed { behind.len() - behind.trim_start().len() + 1 } else { 0 };
        start..range.end + closing
    }

    /// Where the name of a field stands that is selected on `operand`.
    fn field_range(&self, operand: &IdedExpr, field: &str) -> Range<usize> {
        self.word_behind(self.range(operand).end, field)
    }

    fn word_behind(&self, start: usize, word: &str) -> Range<usize> {
        let start = self.text.get(start..).and_then(|rest| rest.find(word)).map_or(start, |at| start + at);
        start..(start + word.len()).min(self.text.len())
    }

    fn place(&mut self, id: u64, range: &Range<usize>) {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        if id != 0 && !range.is_empty() {
            self.places.add_offset(id, offset(range.start), offset(range.end - 1));
        }
    }
}

/// Whether a call is of an operator, whose name has characters that no function's has.
fn is_operator(name: &str) -> bool {
    name.contains(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

/// Puts a charge around an element of a list or a map: it is copied, whatever its size.
fn charge_element(node: &mut IdedExpr, found: &Type) {
    if !found.is_small() {
        charge(node);
    }
}

/// `node` becomes `@spend(node, @budget)`.
fn charge(node: &mut IdedExpr) {
    // A literal's size is bounded by the text.
    if matches!(node.expr, Expr::Literal(_)) {
        return;
    }
    let inner = IdedExpr { id: node.id, expr: mem::take(&mut node.expr) };
    let budget = IdedExpr { id: node.id, expr: Expr::Ident(BUDGET.to_owned()) };
    node.expr = Expr::Call(CallExpr { func_name: SPEND.to_owned(), target: None, args: vec![inner, budget] });
}

const fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}
