//! Parameters, variables and bodies: no panic, and what is bound is a message that prints, as what is taken again.
//!
//! The input is a byte of options, a query and, each behind a line feed, the text of two variables and a body, which is
//! JSON or a form.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lockgate::schema::{FieldIndex, FieldPath, MessageId};
use lockgate::transcode::bind::{BodyTarget, Parts, PatchMask, Target, UnknownParameters};
use lockgate::transcode::decode::{DecodeOptions, Decoder, UnknownFields};
use lockgate::transcode::encode::{EncodeOptions, Encoder};
use lockgate::transcode::mask;
use lockgate::transcode::position::Position;
use lockgate_fuzz::{EVERYTHING, PLAN, SCHEMA, has_null_value};
use prost::Message as _;
use prost_types::FieldMask;

/// The field that is the body where there is a query too.
static CHILD: LazyLock<FieldIndex> = LazyLock::new(|| path(*EVERYTHING, "child").steps()[0]);

/// Variables in the message itself and inside the body; the second one for texts that begin with a digit.
static VARIABLES: LazyLock<[[FieldPath; 2]; 2]> = LazyLock::new(|| {
    [["string_value", "child.string_value"], ["optional_string", "child.optional_int32"]]
        .map(|texts| texts.map(|text| path(*EVERYTHING, text)))
});

/// The message of a `PATCH` whose mask is filled.
static UPDATE: LazyLock<MessageId> = LazyLock::new(|| {
    SCHEMA.find_message("lockgate.test.v1.UpdateRequest").expect("the tests' messages are in their set")
});

/// Its body.
static UPDATED: LazyLock<FieldIndex> = LazyLock::new(|| path(*UPDATE, "everything").steps()[0]);

/// Its variables, again two each.
static UPDATE_VARIABLES: LazyLock<[[FieldPath; 2]; 2]> = LazyLock::new(|| {
    [["everything.string_value", "everything.child.string_value"], ["everything.optional_string", "allow_missing"]]
        .map(|texts| texts.map(|text| path(*UPDATE, text)))
});

/// `UpdateRequest`, as far as it is looked at.
#[derive(Clone, PartialEq, prost::Message)]
struct Update {
    #[prost(message, optional, tag = "2")]
    update_mask: Option<FieldMask>,
}

fn path(message: MessageId, text: &str) -> FieldPath {
    SCHEMA.find_path(message, text).expect("the tests' message has the field")
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let bit = |bit: u8| choice >> bit & 1 == 1;
    let (form, lenient, patch) = (bit(0), bit(1), bit(2));
    let mut lines = rest.splitn(3, |&byte| byte == b'\n');
    let mut text = || lines.next().map(|line| std::str::from_utf8(line).ok());
    let (query, variable) = (text().flatten(), text().flatten());
    let body = lines.next().unwrap_or_default();
    let target = match (query.unwrap_or(""), body) {
        _ if patch => BodyTarget::Field(*UPDATED),
        (_, []) => BodyTarget::None,
        ("", _) => BodyTarget::Whole,
        _ => BodyTarget::Field(*CHILD),
    };
    let digits = variable.is_some_and(|text| text.starts_with(|first: char| first.is_ascii_digit()));
    let variables = if patch { &UPDATE_VARIABLES } else { &VARIABLES };
    let variables = variable.map_or(&[] as &[FieldPath], |_| &variables[usize::from(digits)]);
    let values = [variable.unwrap_or(""); 2];
    let target = Target {
        message: if patch { *UPDATE } else { *EVERYTHING },
        body: target,
        variables,
        unknown_parameters: if lenient { UnknownParameters::Ignore } else { UnknownParameters::Reject },
        ignored_parameters: &[],
        options: DecodeOptions { unknown_fields: if lenient { UnknownFields::Ignore } else { UnknownFields::Reject } },
        patch_mask: match mask::find(&PLAN, *UPDATE, *UPDATED) {
            Some(mask) if patch => PatchMask::Fill(mask),
            _ => PatchMask::Leave,
        },
    };
    let parts = Parts {
        variables: &values[..variables.len()],
        query,
        form: Some(body).filter(|_| form),
        json: Some(body).filter(|_| !form),
        position: Position::START,
    };
    let mut wire = Vec::new();
    if Decoder::new().bind(&PLAN, &target, &parts, &mut wire).is_err() {
        assert!(wire.is_empty(), "a failure leaves nothing behind");
        return;
    }
    if patch {
        // A query can set the mask itself, to anything.
        if query.is_none_or(str::is_empty) {
            let mut alone = Vec::new();
            Decoder::new()
                .bind(&PLAN, &Target { variables: &[], ..target }, &Parts { variables: &[], ..parts }, &mut alone)
                .expect("a body is taken without the path as well");
            assert_masked(&wire, &alone);
        }
        return;
    }
    // The message around a body of full depth is one level more than what prints, and so is a map in JSON at the end
    // of a name of full length.
    if data.iter().filter(|byte| matches!(byte, b'{' | b'[' | b'.')).count() < 98 {
        assert_prints(&wire);
    }
});

/// A mask is filled with paths of the body, whatever the path of the request binds.
fn assert_masked(wire: &[u8], alone: &[u8]) {
    let mask = |wire| Update::decode(wire).expect("what was bound is a message").update_mask.unwrap_or_default();
    let FieldMask { paths } = mask(wire);
    assert_eq!(paths, mask(alone).paths);
    for path in paths {
        SCHEMA.find_path(*EVERYTHING, &path).expect("a mask holds paths of the body");
    }
}

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
    if !has_null_value(&json) {
        assert_eq!(String::from_utf8_lossy(&json), String::from_utf8_lossy(&print(&again)));
    }
}
