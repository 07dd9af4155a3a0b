//! Wire to JSON: what its tests share.

mod differential;
mod illegal;
mod irregular;
mod kinds;
mod well_known;
mod wire_bytes;

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

use super::*;
use crate::schema::{Schema, testing};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    testing::pool(&[
        ("three.proto", include_str!("tests/three.proto")),
        ("two.proto", include_str!("tests/two.proto")),
        ("google/api/httpbody.proto", include_str!("../../../proto/google/api/httpbody.proto")),
    ])
});
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| testing::schema(&POOL));
static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::compile(&SCHEMA));

fn id(message: &str) -> MessageId {
    SCHEMA.find_message(message).unwrap_or_else(|| panic!("no message {message}"))
}

fn field(message: &str, name: &str) -> FieldIndex {
    SCHEMA.message(id(message)).find_field(name).unwrap().0
}

fn print(message: &str, wire: &[u8], options: &EncodeOptions) -> Result<String, Status> {
    let mut out = b"before".to_vec();
    let printed = Encoder::new().encode(&PLAN, id(message), wire, options, &mut out);
    let text = String::from_utf8(out).unwrap();
    match printed {
        Ok(()) => Ok(text.strip_prefix("before").unwrap().to_owned()),
        Err(status) => {
            assert_eq!(text, "before", "nothing is left of a failure");
            assert_eq!(status.http(), 502);
            Err(status)
        }
    }
}

/// The same by way of the rewriting that only irregular messages go otherwise.
fn print_rewritten(message: &str, wire: &[u8]) -> Result<String, Status> {
    let (options, mut regular, mut out) = (EncodeOptions::default(), Vec::new(), Vec::new());
    let rewritten = Regular::new(&PLAN, &mut regular).message(id(message), &[wire]);
    let source = Source { plan: &PLAN, message: id(message), wire: &regular, options: &options };
    let printed =
        rewritten.and_then(|()| Printer::print(&source, Part::Whole, Form::Regular, &mut Scratch::default(), &mut out));
    printed.map_err(|fault| fault.into_status(wire))?;
    Ok(String::from_utf8(out).unwrap())
}

#[track_caller]
fn check(message: &str, wire: &[u8], expected: &str) {
    assert_eq!(print(message, wire, &EncodeOptions::default()).unwrap(), expected);
    let rewritten = print_rewritten(message, wire).unwrap();
    let value = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(&rewritten), value(expected), "rewritten");
}

#[track_caller]
fn check_with(options: EncodeOptions, message: &str, wire: &[u8], expected: &str) {
    assert_eq!(print(message, wire, &options).unwrap(), expected);
}

#[track_caller]
fn check_fails(message: &str, wire: &[u8], expected: &str) {
    let status = print(message, wire, &EncodeOptions::default()).unwrap_err();
    assert_eq!(status.cause().unwrap().to_string(), expected);
}
