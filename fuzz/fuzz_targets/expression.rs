//! Expressions: no panic, mistakes stand within the text, and what compiles comes to a value of the expected type or an
//! error, the same each time.
//!
//! The input is a byte for the expected type, a text, a zero byte, claims as a JSON object, a zero byte, a header's value,
//! a zero byte, and a message.
#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use lockgate::expression::facts::{Auth, Facts, Http};
use lockgate::expression::typing::Type;
use lockgate::expression::value::Value;
use lockgate::expression::{Environment, EvaluationError, Expression};
use lockgate_fuzz::{EVERYTHING, SCHEMA};

fn expected(choice: u8) -> Type {
    match choice % 8 {
        0 => Type::Bool,
        1 => Type::String,
        2 => Type::Int,
        3 => Type::Double,
        4 => Type::List(Box::new(Type::String)),
        5 => Type::Timestamp,
        6 => Type::Nullable(Box::new(Type::Int)),
        _ => Type::Dyn,
    }
}

fn is(value: &Value, expected: &Type) -> bool {
    match expected {
        Type::Bool => matches!(value, Value::Bool(_)),
        Type::String | Type::Timestamp => matches!(value, Value::String(_)),
        Type::Int => matches!(value, Value::Int(_)),
        Type::Double => matches!(value, Value::Double(_)),
        Type::List(_) => matches!(value, Value::List(_)),
        Type::Nullable(inner) => *value == Value::Null || is(value, inner),
        _ => true,
    }
}

/// A value as text, maps in order.
fn print(value: &Value) -> String {
    match value {
        Value::List(values) => format!("{:?}", values.iter().map(print).collect::<Vec<_>>()),
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().map(|(key, value)| (print(key), print(value))).collect();
            entries.sort();
            format!("{entries:?}")
        }
        other => format!("{other:?}"),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let mut parts = rest.splitn(4, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let Ok(text) = std::str::from_utf8(part()) else { return };
    let claims = serde_json::from_slice(part()).unwrap_or_default();
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(part()) {
        headers.append("accept", value);
    }
    let wire = part();

    let expected = expected(*choice);
    let environment = Environment { request: Some((&SCHEMA, *EVERYTHING)) };
    let expression = match Expression::compile(text, &environment, expected.clone()) {
        Ok(expression) => expression,
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                assert!(text.get(mistake.range.clone()).is_some(), "{mistake:?} is outside of the text");
            }
            return;
        }
    };
    let facts = Facts {
        auth: Some(Auth {
            subject: "jo",
            id: "users:jo",
            provider: "users",
            plan: "",
            roles: &["admin".to_owned()],
            scopes: &[],
            claims: &claims,
        }),
        request: Some(wire),
        client_address: "192.0.2.7",
        http: Http { method: "GET", path: "/v1/things", host: "h", headers: &headers },
        now: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    };
    let evaluate = || expression.evaluate(&facts);
    let found = evaluate();
    match &found {
        Ok(value) => assert!(is(value, &expected), "found {value:?}, expected {expected}"),
        Err(EvaluationError::NoRequest) => unreachable!("there is a request"),
        Err(EvaluationError::Panicked) => panic!("the evaluation panicked"),
        Err(_) => {}
    }
    // The order of a map's keys is nobody's to know, but a loop sees it.
    let loops = ["all(", "exists", "map(", "filter("].iter().any(|name| text.contains(name));
    if !loops {
        let same = |left: &Value, right: &Value| print(left) == print(right);
        match (&found, evaluate()) {
            (Ok(value), Ok(again)) => assert!(same(value, &again), "found {value:?}, then {again:?}"),
            (found, again) => assert_eq!(*found, again),
        }
    }
});
