//! Evaluating: the slots are filled, the `cel` crate walks the tree, and what it says becomes ours.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, LazyLock};

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};
use cel::common::types::DYN_TYPE;
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Value as CelValue};
use smallvec::SmallVec;

use super::facts::Facts;
use super::message::Unreadable;
use super::pattern::{self, MATCHES, PATTERN, Pattern};
use super::time::{self, DURATION, TIMESTAMP};
use super::value::Value;
use super::work::{self, BUDGET, Budget, SPEND};
use super::{EvaluationError, Expression};

/// The functions of every expression. Optional values and their syntax are left out.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::default().with_optional_support(false).with_stdlib();
    for (name, function) in [(SPEND, work::spend as cel::common::functions::Function), (MATCHES, pattern::matches)] {
        environment
            .add_overload(name, name, vec![DYN_TYPE, DYN_TYPE], function)
            .expect("no function of the standard library begins with @");
    }
    for (name, function) in
        [(TIMESTAMP, time::to_timestamp as cel::common::functions::Function), (DURATION, time::to_duration)]
    {
        environment
            .add_overload(name, name, vec![DYN_TYPE], function)
            .expect("no function of the standard library begins with @");
    }
    Arc::new(environment)
});

/// The values of one evaluation, by the names that the checker gave them.
struct Scope<'v> {
    slots: SmallVec<[Option<Box<dyn Val + 'v>>; 4]>,
    patterns: &'v [Pattern],
    budget: Budget,
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let slot = name.strip_prefix('@')?;
        if let Ok(slot) = slot.parse::<usize>() {
            return Some(CowVal::Borrowed(self.slots.get(slot)?.as_deref()?));
        }
        if let Some(pattern) = name.strip_prefix(PATTERN) {
            return Some(CowVal::Borrowed(self.patterns.get(pattern.parse::<usize>().ok()?)?));
        }
        (name == BUDGET).then_some(CowVal::Borrowed(&self.budget))
    }
}

/// Evaluates `expression` over `facts`.
pub(super) fn evaluate(expression: &Expression, facts: &Facts<'_>) -> Result<Value, EvaluationError> {
    let wire = match facts.request {
        None if expression.uses_request => return Err(EvaluationError::NoRequest),
        request => request.unwrap_or_default(),
    };
    let mut scope = Scope { slots: SmallVec::new(), patterns: &expression.patterns, budget: Budget::new() };
    for slot in &expression.slots {
        scope.slots.push(slot.fill(facts, wire, &expression.selections)?);
    }
    // No panic of the crate's evaluator is known. If there is one, it must cost a request and not its worker.
    let result = panic::catch_unwind(AssertUnwindSafe(|| walk(expression, &scope)));
    let value = result.unwrap_or(Err(EvaluationError::Panicked))?;
    if value.is(&expression.expected) {
        return Ok(value);
    }
    Err(EvaluationError::WrongType { found: value.kind(), expected: expression.expected.to_string() })
}

fn walk(expression: &Expression, scope: &Scope<'_>) -> Result<Value, EvaluationError> {
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    context.set_variable_resolver(scope);
    match CelValue::resolve_val(&expression.root, &context) {
        Ok(value) => Value::of(value.as_ref()).ok_or_else(|| EvaluationError::Failed("a message".to_owned())),
        Err(_) if scope.budget.is_spent() => Err(EvaluationError::TooMuchWork),
        Err(error) => Err(EvaluationError::Failed(reason(expression, &error))),
    }
}

/// Whether there is a time zone of this name, or at this offset.
pub(super) fn is_zone(zone: &str) -> bool {
    let context = Context::with_env(Arc::clone(&ENVIRONMENT));
    let call = |func_name: &str, target, argument| {
        let argument = IdedExpr { id: 0, expr: Expr::Literal(argument) };
        let call = CallExpr { func_name: func_name.to_owned(), target, args: vec![argument] };
        IdedExpr { id: 0, expr: Expr::Call(call) }
    };
    let epoch = call(TIMESTAMP, None, LiteralValue::Int(0.into()));
    let hours = call("getHours", Some(Box::new(epoch)), LiteralValue::String(zone.to_owned().into()));
    panic::catch_unwind(AssertUnwindSafe(|| CelValue::resolve_val(&hours, &context).is_ok())).unwrap_or(false)
}

/// What went wrong, without the values: they are the client's, and this goes to logs.
fn reason(expression: &Expression, error: &ExecutionError) -> String {
    match error {
        ExecutionError::UndeclaredReference(name) => {
            let slot = name.strip_prefix('@').and_then(|slot| slot.parse::<usize>().ok());
            let slot = slot.and_then(|slot| expression.slots.get(slot));
            slot.map_or_else(|| "an unknown name".to_owned(), super::slot::Slot::spelling)
        }
        // The key may be a value.
        ExecutionError::NoSuchKey(_) => "no such key".to_owned(),
        ExecutionError::NoSuchOverload(error) => error.to_string(),
        ExecutionError::UnexpectedType { got, want } => format!("found {got}, expected {want}"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
        ExecutionError::Overflow(operator, ..) => format!("overflow in {operator}"),
        ExecutionError::IndexOutOfBounds(_) => "an index out of bounds".to_owned(),
        ExecutionError::ValuesNotComparable(..) => "values that can't be compared".to_owned(),
        ExecutionError::UnsupportedBinaryOperator(operator, ..) => format!("operands that {operator} does not take"),
        ExecutionError::UnsupportedKeyType(_) | ExecutionError::UnsupportedIndex(..) => {
            "a key or an index of a wrong type".to_owned()
        }
        ExecutionError::DuplicateKey(_) => "a key that comes twice in a map".to_owned(),
        ExecutionError::FunctionError { function, message } if function == "request" => message.clone(),
        ExecutionError::FunctionError { function, .. } => format!("{function}() does not take this value"),
        _ => "an operation failed".to_owned(),
    }
}

impl From<Unreadable> for EvaluationError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Malformed => Self::Malformed,
            Unreadable::TooManyElements | Unreadable::TooLong | Unreadable::TooDeep | Unreadable::OutOfRange(_) => {
                Self::BeyondBounds(unreadable.to_string())
            }
        }
    }
}
