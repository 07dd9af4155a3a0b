//! Wire to JSON: no panic; the output stays within its limit, is JSON, and what is taken of it again prints the same.
//! One field alone prints as it does within its message, or as unset.
//!
//! The input is a byte of options, the position of a field and a message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::schema::{Field, FieldIndex, MessageId};
use lockgate::transcode::decode::{DecodeOptions, Decoder};
use lockgate::transcode::encode::{EncodeOptions, Encoder, Source, Unset};
use lockgate_fuzz::{EVERYTHING, LEGACY, PLAN, SCHEMA, has_null_value};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// A small limit, so that the fuzzer finds its edge.
const MAX_BYTES: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let Some((&[choice, position], wire)) = data.split_first_chunk() else { return };
    let message = if choice & 1 == 0 { *EVERYTHING } else { *LEGACY };
    let unset = if choice & 2 == 0 { Unset::Omit } else { Unset::Emit };
    let options = EncodeOptions { unset, max_bytes: MAX_BYTES, ..EncodeOptions::default() };
    let source = Source { plan: &PLAN, message, wire, options: &options };
    let (index, field) = find(message, position);
    let alone = print_alone(&source, index);
    let mut json = Vec::new();
    if Encoder::new().encode(&PLAN, message, wire, &options, &mut json).is_err() {
        assert!(json.is_empty(), "a failure leaves nothing behind");
        return;
    }
    assert!(json.len() <= MAX_BYTES);
    assert_is_json(&json);
    // What is printed before another value takes its place counts towards the limit.
    let unlimited = EncodeOptions { max_bytes: usize::MAX, ..options };
    let alone = alone.or_else(|| print_alone(&Source { options: &unlimited, ..source }, index));
    let alone = alone.expect("a field of what can be printed can be printed");
    let empty = print_alone(&Source { wire: b"", ..source }, index).expect("an unset field can be printed");
    assert_is_member(&field.json_name, &json, &alone, &empty);
    // Unset fields go behind those that are there, which is another order the second time.
    if unset == Unset::Omit && !has_null_value(&json) {
        assert_prints_the_same(message, &json);
    }
});

/// The field at a position; an extension can't be the body of a response.
fn find(message: MessageId, position: u8) -> (FieldIndex, &'static Field) {
    let message = SCHEMA.message(message);
    let declared = message.fields.iter().filter(|field| !field.extension).count();
    let field = &message.fields[usize::from(position) % declared];
    message.find_field(&field.name).expect("a declared field is found by its name")
}

/// One field, if it can be printed.
fn print_alone(source: &Source<'_>, field: FieldIndex) -> Option<Vec<u8>> {
    let mut json = Vec::new();
    if Encoder::new().encode_field(source, field, &mut json).is_err() {
        assert!(json.is_empty(), "a failure leaves nothing behind");
        return None;
    }
    assert!(json.len() <= source.options.max_bytes);
    assert_is_json(&json);
    Some(json)
}

fn assert_is_json(json: &[u8]) {
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(json) {
        // serde_json ends at 128 brackets; ours count messages, and lists come on top.
        assert!(error.to_string().starts_with("recursion limit"), "{error}");
    }
}

/// A field alone is what the whole message has under its name, or what it is in an empty message. The order of members
/// can be another: the whole is rewritten if anything in it is irregular.
fn assert_is_member(name: &str, json: &[u8], alone: &[u8], empty: &[u8]) {
    let Ok(members) = serde_json::from_slice::<Map<String, Value>>(json) else { return };
    let alone: Value = serde_json::from_slice(alone).expect("it nests no deeper than the whole");
    let empty = serde_json::from_slice(empty).expect("it is JSON");
    assert_eq!(&alone, members.get(name).unwrap_or(&empty), "{name}");
}

/// Not all that prints is taken: required fields can be missing, and types unknown.
fn assert_prints_the_same(message: MessageId, json: &[u8]) {
    let mut wire = Vec::new();
    if Decoder::new().decode(&PLAN, message, json, &DecodeOptions::default(), &mut wire).is_ok() {
        let mut again = Vec::new();
        Encoder::new()
            .encode(&PLAN, message, &wire, &EncodeOptions::default(), &mut again)
            .expect("what was decoded can be printed");
        assert_eq!(String::from_utf8_lossy(json), String::from_utf8_lossy(&again));
    }
}
