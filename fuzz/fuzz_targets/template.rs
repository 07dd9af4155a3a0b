//! Path templates: one that parses is found by a path that it describes, and any other path ends without a panic.
//!
//! The input is a template and, behind a line feed, a path.
#![no_main]

use std::fmt::Write as _;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lockgate::route::captures::Captures;
use lockgate::route::router::{Router, TrailingSlash};
use lockgate::route::rule::{self, Binding, Unannotated, Verb};
use lockgate::route::template::{Extent, PathTemplate, Segment};
use lockgate_fuzz::SCHEMA;

/// A binding whose template is replaced.
static BINDING: LazyLock<Binding> = LazyLock::new(|| {
    let bindings = rule::bindings(&SCHEMA, &[], |_| Unannotated::Hide).expect("the tests' rules are legal");
    bindings.into_iter().next().expect("the tests have rules")
});

fuzz_target!(|input: &str| {
    let (text, other) = input.split_once('\n').unwrap_or((input, ""));
    let Ok(template) = PathTemplate::parse(text) else { return };
    let path = describe(&template);
    let binding = Binding { verb: Verb::Any, template, ..BINDING.clone() };
    let router = Router::compile(vec![binding], |_| TrailingSlash::Strict).expect("one template conflicts with none");
    let mut captures = Captures::new();
    let found = router.find(&http::Method::GET, &path, &mut captures);
    assert!(matches!(found, Ok(0)), "{path} is not found by {text}: {found:?}");
    let variables = router.bindings()[0].template.variables();
    assert_eq!(captures.len(), variables.len());
    for (variable, value) in variables.iter().zip(captures.iter()) {
        let plain = router.bindings()[0].template.segments()[variable.segments.clone()] == [Segment::One];
        assert!(variable.extent != Extent::One || !plain || value == "a", "{} is {value}", variable.path);
    }
    drop(router.find(&http::Method::GET, other, &mut captures));
    drop(router.nearest(other));
});

/// A path that the template describes, with everything escaped that can be.
fn describe(template: &PathTemplate) -> String {
    let mut path = String::new();
    for segment in template.segments() {
        path.push('/');
        match segment {
            Segment::Literal(text) => escape(text, &mut path),
            Segment::One => path.push('a'),
            Segment::Rest => path.push_str("b/c"),
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    if let Some(verb) = template.verb() {
        path.push(':');
        escape(verb, &mut path);
    }
    path
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").expect("writing to a String never fails"),
        }
    }
}
