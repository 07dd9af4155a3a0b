//! Functions of timestamps and durations: `timestamp`, `duration`, and the methods that take a part out of one.

use cel::common::ast::{CallExpr, Expr, LiteralValue};

use super::Checker;
use crate::expression::evaluate::is_zone;
use crate::expression::time::{self, DURATION, TIMESTAMP};
use crate::expression::typing::Type;

/// The methods that a timestamp has, in a time zone that may be named, and whether a duration has them too.
const ACCESSORS: [(&str, bool); 10] = [
    ("getFullYear", false),
    ("getMonth", false),
    ("getDayOfYear", false),
    ("getDayOfMonth", false),
    ("getDate", false),
    ("getDayOfWeek", false),
    ("getHours", true),
    ("getMinutes", true),
    ("getSeconds", true),
    ("getMilliseconds", true),
];

/// Their names.
pub(super) fn accessors() -> impl Iterator<Item = &'static str> {
    ACCESSORS.iter().map(|(name, _)| *name)
}

/// What a method comes to, if it takes these arguments; `None` for any other function.
pub(super) fn accessor(call: &CallExpr, found: &[Type]) -> Option<Result<Type, String>> {
    let (name, of_durations) = ACCESSORS.iter().find(|(name, _)| *name == call.func_name)?;
    let expected = if *of_durations { "timestamp or duration" } else { "timestamp" };
    Some(match (call.target.is_some(), found) {
        (false, _) => Err(format!("{name} is a method, expected {expected}.{name}(…)")),
        (true, [of, arguments @ ..]) => match (of.operand(), arguments) {
            (Type::Timestamp | Type::Dyn, [] | [Type::String | Type::Dyn]) => Ok(Type::Int),
            (Type::Duration, []) if *of_durations => Ok(Type::Int),
            (Type::Duration, [_]) if *of_durations => {
                Err(format!("{name} of a duration in a time zone, expected none"))
            }
            (Type::Timestamp | Type::Dyn, [zone]) => Err(format!("{name} in {zone}, expected a time zone as string")),
            (Type::Timestamp | Type::Dyn, more) => {
                Err(format!("{name} with {} arguments, expected a time zone or none", more.len()))
            }
            (other, _) => Err(format!("{name} of {other}, expected {expected}")),
        },
        (true, []) => Err(format!("{name} of nothing, expected {expected}")),
    })
}

/// How a mistake goes on where one side is a time and the other might be made one.
pub(super) fn hint(found: &Type, other: &Type) -> &'static str {
    match (found.operand(), other.operand()) {
        (Type::Timestamp, Type::String | Type::Int) | (Type::String | Type::Int, Type::Timestamp) => {
            ": timestamp(…) makes one of the other"
        }
        (Type::Duration, Type::String) | (Type::String, Type::Duration) => ": duration(…) makes one of the other",
        _ => "",
    }
}

/// What an arithmetic of times comes to; `None` where there is none.
pub(super) fn arithmetic(adds: bool, left: &Type, right: &Type) -> Option<Type> {
    match (left, right) {
        (Type::Timestamp, Type::Duration) => Some(Type::Timestamp),
        (Type::Duration, Type::Timestamp) if adds => Some(Type::Timestamp),
        (Type::Timestamp, Type::Timestamp) if !adds => Some(Type::Duration),
        (Type::Duration, Type::Duration) => Some(Type::Duration),
        (Type::Timestamp, Type::Dyn) | (Type::Dyn, Type::Timestamp) if adds => Some(Type::Timestamp),
        (Type::Dyn, Type::Timestamp) => Some(Type::Duration),
        (Type::Timestamp | Type::Duration, Type::Dyn) | (Type::Dyn, Type::Duration) => Some(Type::Dyn),
        _ => None,
    }
}

impl Checker<'_> {
    /// Puts our functions in the place of those of the same name, and looks at what is literal.
    pub(super) fn time(&mut self, mut call: CallExpr) -> Expr {
        let literal = call.args.first().and_then(|argument| match &argument.expr {
            Expr::Literal(literal) => Some((self.range(argument), literal)),
            _ => None,
        });
        let mistake = literal.and_then(|(range, literal)| Some((range, mistake(&call.func_name, literal)?)));
        if let Some((range, message)) = mistake {
            self.report(range, message);
        }
        match call.func_name.as_str() {
            "timestamp" => TIMESTAMP.clone_into(&mut call.func_name),
            "duration" => DURATION.clone_into(&mut call.func_name),
            _ => {}
        }
        Expr::Call(call)
    }
}

/// What is wrong with a literal argument of a function.
fn mistake(function: &str, literal: &LiteralValue) -> Option<String> {
    match (function, literal) {
        ("timestamp", LiteralValue::String(text)) if time::parse_timestamp(text.inner()).is_none() => Some(format!(
            "found {:?}, expected a time as RFC 3339 has it, such as \"2027-01-01T00:00:00Z\"",
            text.inner()
        )),
        ("timestamp", LiteralValue::Int(seconds)) if time::timestamp_at(*seconds.inner()).is_none() => {
            Some(format!("found {}, expected seconds since 1970 within the years 1 to 9999", seconds.inner()))
        }
        ("duration", LiteralValue::String(text)) if time::parse_duration(text.inner()).is_none() => {
            Some(format!("found {:?}, expected a duration such as \"1h30m\" or \"90s\"", text.inner()))
        }
        (name, LiteralValue::String(zone)) if accessors().any(|other| other == name) && !is_zone(zone.inner()) => {
            Some(format!("found {:?}, expected a time zone such as \"Europe/Berlin\" or \"+02:00\"", zone.inner()))
        }
        _ => None,
    }
}
