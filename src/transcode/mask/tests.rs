//! Which fields a body names.

use super::*;
use crate::transcode::bind::tests::field;
use crate::transcode::decode::tests::PLAN;

/// The paths that the body names.
#[track_caller]
fn check(json: &str, expected: &[&str]) {
    let message = PLAN.find_type("test.Update").unwrap();
    let fields = (field("test.Update", "item"), field("test.Update", "update_mask"));
    let mut out = Vec::new();
    append(&PLAN, message, fields, (json.as_bytes(), Position::START), &mut out).unwrap();
    let update: prost_types::FieldMask = match &*out {
        [] => prost_types::FieldMask::default(),
        [0x12, rest @ ..] => prost::Message::decode_length_delimited(rest).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(update.paths, expected, "{json}");
}

#[test]
fn leaves_are_named_by_proto_names() {
    check("{}", &[]);
    check(r#"{"int32":0,"snakeCase":null,"renamed":1}"#, &["int32", "snake_case", "renamed"]);
    check(r#"{"custom":1,"maybe\u0049nt32":1}"#, &["renamed", "maybe_int32"]);
    check(
        r#"{"kind":{"int32":1,"kind":{"bool":false,"string":"a"}},"bool":true}"#,
        &["kind.int32", "kind.kind.bool", "kind.kind.string", "bool"],
    );
    check(r#"{"kind":{},"pickKind":null}"#, &["kind", "pick_kind"]);
    check(r#"{"kind":{"kind":{}}}"#, &["kind.kind"]);
    check(r#"{ "kind" : { "int32" : 1 } }"#, &["kind.int32"]);
    check(r#"{"unknown":{"int32":1},"int32":1}"#, &["int32"]);
    check(r#"{"kind":{"unknown":1}}"#, &["kind"]);
}

#[test]
fn lists_maps_and_well_known_types_are_leaves() {
    check(r#"{"kinds":[{"int32":1}],"int32s":[]}"#, &["kinds", "int32s"]);
    check(r#"{"stringMap":{"a":"b"},"kindMap":{"a":{"int32":1}}}"#, &["string_map", "kind_map"]);
    check(r#"{"any":{"@type":"x/test.Kinds","int32":1}}"#, &["any"]);
    check(r#"{"structure":{"a":{}},"value":{"a":1},"listValue":[1]}"#, &["structure", "value", "list_value"]);
    check(
        r#"{"timestamp":"1970-01-01T00:00:00Z","duration":"1s","int32Value":5,"empty":{},"mask":"a"}"#,
        &["timestamp", "duration", "int32_value", "empty", "mask"],
    );
}

#[test]
fn only_the_single_mask_of_a_request_is_filled() {
    let found = |message: &str, body: &str| {
        find(&PLAN, PLAN.find_type(message).unwrap(), field(message, body)).map(|index| index.0)
    };
    assert_eq!(found("test.Update", "item"), Some(1));
    assert_eq!(found("test.Update", "name"), None);
    assert_eq!(found("test.UpdateTwo", "item"), None);
    assert_eq!(found("test.Kinds", "kinds"), None);
    assert!(found("test.Kinds", "kind").is_some());
    assert_eq!(found("test.Kinds", "timestamp"), None);
}

#[test]
fn a_mask_is_bounded() {
    let mut json = r#"{"kind":{"pickKind":0},"pickKind":1}"#.to_owned();
    for _ in 0..9 {
        json = format!(r#"{{"kind":{json},"pickKind":{json},"string":1,"int32":2}}"#);
    }
    let message = PLAN.find_type("test.Update").unwrap();
    let fields = (field("test.Update", "item"), field("test.Update", "update_mask"));
    let status = append(&PLAN, message, fields, (json.as_bytes(), Position::START), &mut Vec::new()).unwrap_err();
    assert!(status.message().contains("the field mask would be longer than 65536 bytes"), "{status}");
}
