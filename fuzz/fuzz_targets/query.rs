//! Parameters, variables and bodies: no panic, and what is bound is a message that prints, as what is taken again.
//!
//! The input is a query and, each behind a line feed, the text of two variables and a JSON body.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lockgate::schema::{FieldIndex, FieldPath};
use lockgate::transcode::bind::{BodyTarget, Parts, PatchMask, Target, UnknownParameters};
use lockgate::transcode::decode::{DecodeOptions, Decoder, UnknownFields};
use lockgate::transcode::encode::{EncodeOptions, Encoder};
use lockgate_fuzz::{EVERYTHING, PLAN, SCHEMA};

/// The field that is the body where there is a query too.
static CHILD: LazyLock<FieldIndex> = LazyLock::new(|| path("child").steps()[0]);

/// Variables in the message itself and inside the body; the second one for texts that begin with a digit.
static VARIABLES: LazyLock<[[FieldPath; 2]; 2]> = LazyLock::new(|| {
    [[path("string_value"), path("child.string_value")], [path("optional_string"), path("child.optional_int32")]]
});

fn path(text: &str) -> FieldPath {
    SCHEMA.find_path(*EVERYTHING, text).expect("the tests' message has the field")
}

fuzz_target!(|input: &str| {
    let mut lines = input.splitn(3, '\n');
    let (query, variable, json) = (lines.next().unwrap_or(""), lines.next(), lines.next().unwrap_or(""));
    let body = match (query, json) {
        (_, "") => BodyTarget::None,
        ("", _) => BodyTarget::Whole,
        _ => BodyTarget::Field(*CHILD),
    };
    let digits = variable.is_some_and(|text| text.starts_with(|first: char| first.is_ascii_digit()));
    let variables = variable.map_or(&[] as &[FieldPath], |_| &VARIABLES[usize::from(digits)]);
    let values = [variable.unwrap_or(""); 2];
    let target = Target {
        message: *EVERYTHING,
        body,
        variables,
        unknown_parameters: UnknownParameters::Reject,
        ignored_parameters: &[],
        options: DecodeOptions { unknown_fields: UnknownFields::Reject },
        patch_mask: PatchMask::Leave,
    };
    let parts = Parts {
        variables: &values[..variables.len()],
        query: Some(query),
        json: Some(json.as_bytes()),
        ..Parts::default()
    };
    let mut wire = Vec::new();
    if Decoder::new().bind(&PLAN, &target, &parts, &mut wire).is_err() {
        assert!(wire.is_empty(), "a failure leaves nothing behind");
        return;
    }
    // The message around a body of full depth is one level more than what prints.
    if json.matches(['{', '[']).count() < 100 {
        assert_prints(&wire);
    }
});

fn assert_prints(wire: &[u8]) {
    let print = |wire: &[u8]| {
        let mut json = Vec::new();
        Encoder::new()
            .encode(&PLAN, *EVERYTHING, wire, &EncodeOptions::default(), &mut json)
            .expect("what was bound can be printed");
        json
    };
    let json = print(wire);
    let mut again = Vec::new();
    Decoder::new()
        .decode(&PLAN, *EVERYTHING, &json, &DecodeOptions::default(), &mut again)
        .expect("what was printed can be decoded");
    assert_eq!(String::from_utf8_lossy(&json), String::from_utf8_lossy(&print(&again)));
}
