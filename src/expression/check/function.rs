//! Functions and methods, and the types that they take.

use std::mem;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use super::{Checker, time};
use crate::expression::mistake::hint;
use crate::expression::pattern::{MATCHES, PATTERN, Pattern};
use crate::expression::typing::Type;
use crate::route::nearest;

/// A function: how it is called, what it takes, what it comes to.
struct Function {
    name: &'static str,
    style: Style,
    /// What each argument may be, the one before the dot first.
    parameters: &'static [&'static [Accepts]],
    result: Type,
}

/// How a function may be called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `f(x)`
    Global,
    /// `x.f()`
    Method,
    Both,
}

/// A type that an argument may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accepts {
    Any,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List,
    Map,
}

use Accepts as A;

const NUMBER_OR_TEXT: &[Accepts] = &[A::Int, A::Uint, A::Double, A::String];
const COUNTABLE: &[Accepts] = &[A::Int, A::Uint, A::Double, A::String, A::Timestamp];
const PRINTABLE: &[Accepts] = &[A::String, A::Bool, A::Int, A::Uint, A::Double, A::Bytes, A::Timestamp, A::Duration];
const SIZED: &[Accepts] = &[A::String, A::Bytes, A::List, A::Map];

const FUNCTIONS: [Function; 14] = [
    Function { name: "size", style: Style::Both, parameters: &[SIZED], result: Type::Int },
    Function {
        name: "startsWith",
        style: Style::Method,
        parameters: &[&[A::String], &[A::String]],
        result: Type::Bool,
    },
    Function { name: "endsWith", style: Style::Method, parameters: &[&[A::String], &[A::String]], result: Type::Bool },
    Function { name: "contains", style: Style::Method, parameters: &[&[A::String], &[A::String]], result: Type::Bool },
    Function { name: "matches", style: Style::Both, parameters: &[&[A::String], &[A::String]], result: Type::Bool },
    Function { name: "int", style: Style::Global, parameters: &[COUNTABLE], result: Type::Int },
    Function { name: "uint", style: Style::Global, parameters: &[NUMBER_OR_TEXT], result: Type::Uint },
    Function { name: "double", style: Style::Global, parameters: &[NUMBER_OR_TEXT], result: Type::Double },
    Function { name: "string", style: Style::Global, parameters: &[PRINTABLE], result: Type::String },
    Function { name: "bytes", style: Style::Global, parameters: &[&[A::String, A::Bytes]], result: Type::Bytes },
    Function { name: "bool", style: Style::Global, parameters: &[&[A::Bool, A::String]], result: Type::Bool },
    Function {
        name: "timestamp",
        style: Style::Global,
        parameters: &[&[A::String, A::Int, A::Timestamp]],
        result: Type::Timestamp,
    },
    Function {
        name: "duration",
        style: Style::Global,
        parameters: &[&[A::String, A::Duration]],
        result: Type::Duration,
    },
    Function { name: "type", style: Style::Global, parameters: &[&[A::Any]], result: Type::TypeName },
];

/// What the parser writes out, and what it has to be given for that.
const MACROS: [(&str, &str); 7] = [
    ("has", "has(message.field)"),
    ("all", "list.all(name, condition)"),
    ("exists", "list.exists(name, condition)"),
    ("exists_one", "list.exists_one(name, condition)"),
    ("existsOne", "list.existsOne(name, condition)"),
    ("filter", "list.filter(name, condition)"),
    ("map", "list.map(name, value) or list.map(name, condition, value)"),
];

impl Checker<'_> {
    /// Checks the call of a function at `node`.
    pub(super) fn function(&mut self, node: &mut IdedExpr) -> Type {
        let range = self.range(node);
        let Expr::Call(call) = &mut node.expr else { return Type::Dyn };
        let mut call = mem::take(call);
        // The arguments are checked in any case: their mistakes are mistakes of their own.
        let mut found: Vec<Type> = call.target.as_deref_mut().into_iter().map(|target| self.check(target)).collect();
        if let Some((name, usage)) = MACROS.iter().find(|(name, _)| *name == call.func_name) {
            return self.report(range, format!("{name} that is not called as {usage}"));
        }
        found.extend(call.args.iter_mut().map(|argument| self.check(argument)));
        let result = match self.find(&call, &found) {
            Ok(result) => result,
            Err(message) => return self.report(range, message),
        };
        let nodes = call.target.as_deref_mut().into_iter().chain(&mut call.args);
        for (node, found) in nodes.zip(&found) {
            self.charge_in_loop(node, found);
        }
        node.expr = if call.func_name == "matches" { self.pattern(call) } else { self.time(call) };
        result
    }

    /// What the function of a call comes to, if it takes these arguments.
    fn find(&self, call: &CallExpr, found: &[Type]) -> Result<Type, String> {
        let name = call.func_name.as_str();
        if name == "dyn" && call.target.is_none() && found.len() == 1 {
            return Ok(Type::Dyn);
        }
        if let Some(result) = time::accessor(call, found) {
            return result;
        }
        let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) else {
            let known = FUNCTIONS.iter().map(|function| function.name).chain(MACROS.iter().map(|(name, _)| *name));
            let known = known.chain(time::accessors());
            return Err(format!("unknown function {name:?}{}", hint(nearest::name(name, known))));
        };
        let first = function.parameters.first().copied().unwrap_or_default();
        let rest = function.parameters.len() - 1;
        match (function.style, call.target.is_some()) {
            (Style::Global, true) => return Err(format!("{name} is a function, expected {name}(…)")),
            (Style::Method, false) => return Err(format!("{name} is a method, expected {}.{name}(…)", names(first))),
            (Style::Global | Style::Both, false) | (Style::Method | Style::Both, true) => {}
        }
        if found.len() != function.parameters.len() {
            let (given, expected) =
                if call.target.is_some() { (found.len() - 1, rest) } else { (found.len(), rest + 1) };
            return Err(format!("{name} with {given} arguments, expected {expected}"));
        }
        for (found, accepts) in found.iter().zip(function.parameters) {
            if !accepts.iter().any(|accepts| accepts.takes(found)) {
                return Err(format!("{name} of {found}, expected {}", names(accepts)));
            }
        }
        Ok(function.result.clone())
    }

    /// `text.matches('…')` with its pattern compiled.
    fn pattern(&mut self, call: CallExpr) -> Expr {
        let CallExpr { func_name, target, mut args } = call;
        let Some(pattern) = args.pop() else { return Expr::Unspecified };
        let compiled = match &pattern.expr {
            Expr::Literal(LiteralValue::String(text)) => Pattern::compile(text.inner()),
            _ => Err("found a pattern that is computed, expected a literal".to_owned()),
        };
        match compiled {
            Ok(compiled) => self.patterns.push(compiled),
            Err(message) => {
                self.report(self.range(&pattern), format!("{func_name}: {message}"));
            }
        }
        let place = self.patterns.len().saturating_sub(1);
        let name = IdedExpr { id: pattern.id, expr: Expr::Ident(format!("{PATTERN}{place}")) };
        let text = target.map(|target| *target).or_else(|| args.pop());
        let args = text.into_iter().chain([name]).collect();
        Expr::Call(CallExpr { func_name: MATCHES.to_owned(), target: None, args })
    }
}

impl Accepts {
    fn takes(self, found: &Type) -> bool {
        match found.operand() {
            Type::Dyn => true,
            Type::Bool => matches!(self, Self::Any | Self::Bool),
            Type::Int => matches!(self, Self::Any | Self::Int),
            Type::Uint => matches!(self, Self::Any | Self::Uint),
            Type::Double => matches!(self, Self::Any | Self::Double),
            Type::String => matches!(self, Self::Any | Self::String),
            Type::Bytes => matches!(self, Self::Any | Self::Bytes),
            Type::Timestamp => matches!(self, Self::Any | Self::Timestamp),
            Type::Duration => matches!(self, Self::Any | Self::Duration),
            Type::List(_) => matches!(self, Self::Any | Self::List),
            Type::Map(..) => matches!(self, Self::Any | Self::Map),
            Type::Null | Type::TypeName | Type::Message(..) | Type::Nullable(_) => self == Self::Any,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Any => "value",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::List => "list",
            Self::Map => "map",
        }
    }
}

/// `string, bytes or list`
fn names(accepts: &[Accepts]) -> String {
    let names: Vec<&str> = accepts.iter().map(|accepts| accepts.name()).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} or {last}", before.join(", ")),
        None => String::new(),
    }
}
