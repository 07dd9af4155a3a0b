//! Paths, parameters, forms and bodies as one message, held against prost-reflect.

use proptest::prelude::*;
use prost_reflect::{DynamicMessage, Value};

use super::*;
use crate::transcode::decode::tests::differential::Random;
use crate::transcode::decode::tests::{IGNORE, PLAN, POOL, REJECT, decode_with, dynamic};

/// A request, told as its parts.
#[derive(Clone, Copy)]
struct Request<'a> {
    message: &'a str,
    /// The variables of the path, dotted, with their values.
    path: &'a [(&'a str, &'a str)],
    /// `*`, a field, or nothing.
    body: &'a str,
    query: &'a str,
    json: &'a str,
    form: &'a str,
    unknown_parameters: UnknownParameters,
    options: DecodeOptions,
    mask: PatchMask,
}

const REQUEST: Request<'static> = Request {
    message: "test.Kinds",
    path: &[],
    body: "",
    query: "",
    json: "",
    form: "",
    unknown_parameters: UnknownParameters::Reject,
    options: REJECT,
    mask: PatchMask::Leave,
};

pub(crate) fn field(message: &str, name: &str) -> FieldIndex {
    PLAN.message(PLAN.find_type(message).unwrap()).find_name(name.as_bytes()).unwrap()
}

fn path(message: &str, dotted: &str) -> FieldPath {
    let mut id = PLAN.find_type(message);
    let steps = dotted.split('.').map(|name| {
        let plan = PLAN.message(id.unwrap());
        let index = plan.find_name(name.as_bytes()).unwrap();
        id = plan.field(index).kind.message();
        index
    });
    FieldPath(steps.collect())
}

fn bind(request: Request<'_>) -> Result<Vec<u8>, Status> {
    let variables: Vec<FieldPath> = request.path.iter().map(|(name, _)| path(request.message, name)).collect();
    let values: Vec<&str> = request.path.iter().map(|(_, value)| *value).collect();
    let target = Target {
        message: PLAN.find_type(request.message).unwrap(),
        body: match request.body {
            "" => BodyTarget::None,
            "*" => BodyTarget::Whole,
            name => BodyTarget::Field(field(request.message, name)),
        },
        variables: &variables,
        unknown_parameters: request.unknown_parameters,
        ignored_parameters: &["key".into(), "$.xgafv".into()],
        options: request.options,
        patch_mask: request.mask,
    };
    let parts = Parts {
        variables: &values,
        query: Some(request.query).filter(|query| !query.is_empty()),
        form: Some(request.form.as_bytes()).filter(|form| !form.is_empty()),
        json: Some(request.json.as_bytes()).filter(|json| !json.is_empty()),
        position: Position::START,
    };
    let mut out = b"head".to_vec();
    let result = Decoder::new().bind(&PLAN, &target, &parts, &mut out);
    assert!(out.starts_with(b"head"));
    assert!(result.is_ok() || out.len() == 4);
    result.map(|()| out.split_off(4))
}

fn oracle(message: &str, json: &str) -> DynamicMessage {
    let descriptor = POOL.get_message_by_name(message).unwrap();
    let parsed = DynamicMessage::deserialize(descriptor, &mut serde_json::Deserializer::from_str(json)).unwrap();
    dynamic(message, &prost::Message::encode_to_vec(&parsed))
}

/// The request means `expected`, and every message of it is there once.
#[track_caller]
fn check(request: Request<'_>, expected: &str) {
    let wire = bind(request).unwrap_or_else(|status| panic!("{expected}: {status}"));
    let found = dynamic(request.message, &wire);
    let oracle = oracle(request.message, expected);
    assert!(found == oracle, "{found}, not {expected}");
    assert_eq!(wire.len(), prost::Message::encode_to_vec(&oracle).len(), "no message is split in two: {expected}");
}

#[track_caller]
fn check_error(request: Request<'_>, expected: &str) {
    match bind(request) {
        Ok(wire) => panic!("taken: {}", dynamic(request.message, &wire)),
        Err(status) => {
            assert_eq!(status.code(), crate::status::Code::InvalidArgument);
            assert_eq!(status.message(), expected);
            assert_eq!(status.details().len(), 1);
        }
    }
}

#[track_caller]
fn check_query(query: &str, expected: &str) {
    check(Request { query, ..REQUEST }, expected);
    check(Request { form: query, body: "*", ..REQUEST }, expected);
}

#[track_caller]
fn check_bad_query(query: &str, expected: &str) {
    check_error(Request { query, ..REQUEST }, expected);
    check_error(Request { form: query, body: "*", ..REQUEST }, expected);
}

#[test]
fn parameters_are_scalars_without_quotes() {
    for (query, json) in [
        ("int32=5", r#"{"int32":5}"#),
        (
            "int32=5.0&int64=1e3&uint64=18446744073709551615",
            r#"{"int32":5,"int64":1000,"uint64":"18446744073709551615"}"#,
        ),
        ("sint32=-7&sfixed64=-1&fixed32=1", r#"{"sint32":-7,"sfixed64":-1,"fixed32":1}"#),
        ("double=1.5&float=-Infinity", r#"{"double":1.5,"float":"-Infinity"}"#),
        ("bool=true", r#"{"bool":true}"#),
        ("bool=false&int32=0&string=&bytes=", "{}"),
        ("string=a+b%20c%2B%C3%A9", r#"{"string":"a b c+é"}"#),
        ("string=a=b", r#"{"string":"a=b"}"#),
        ("string", "{}"),
        ("maybeString", r#"{"maybeString":""}"#),
        ("maybe_int32=0", r#"{"maybeInt32":0}"#),
        ("bytes=-_8", r#"{"bytes":"+/8="}"#),
        ("bytes=%2B%2F8%3D", r#"{"bytes":"+/8="}"#),
        ("enum=ONE", r#"{"enum":1}"#),
        ("enum=7", r#"{"enum":7}"#),
        ("snake_case=1", r#"{"snakeCase":1}"#),
        ("snakeCase=1", r#"{"snakeCase":1}"#),
        ("custom=1", r#"{"custom":1}"#),
        ("renamed=1", r#"{"custom":1}"#),
        ("&&int32=1&", r#"{"int32":1}"#),
        ("s%74ring=a", r#"{"string":"a"}"#),
        ("key=1&%24.xgafv=2", "{}"),
        ("pickInt32=0", r#"{"pickInt32":0}"#),
        ("pickNull=NULL_VALUE", r#"{"pickNull":null}"#),
    ] {
        check_query(query, json);
    }
    for (query, error) in [
        ("int32=", "int32: expected an int32, found \"\""),
        ("int32=x", "int32: expected an int32, found \"x\""),
        ("int32=+5", "int32: expected an int32, found \" 5\""),
        ("int32=5.5", "int32: expected an int32, found the fraction 5.5"),
        ("int32=2147483648", "int32: 2147483648 is out of range for int32"),
        ("uint32=-1", "uint32: -1 is out of range for uint32"),
        ("bool=True", "bool: expected true or false, found \"True\""),
        ("bool=1", "bool: expected true or false, found \"1\""),
        ("bool=", "bool: expected true or false, found \"\""),
        ("double=1e400", "double: 1e400 is out of range for double"),
        ("float=nan", "float: expected a float, found \"nan\""),
        ("enum=TWO", "enum: unknown enum value \"TWO\""),
        ("bytes=*", "bytes: invalid base64 \"*\""),
        ("string=%", "string: broken percent-encoding"),
        ("string=%2", "string: broken percent-encoding"),
        ("string=%zz", "string: broken percent-encoding"),
        ("string=%ff", "string: invalid UTF-8 behind percent-encoding"),
        ("%ff=1", "%ff: invalid UTF-8 behind percent-encoding"),
        ("nope=1", "nope: unknown parameter"),
        ("=1", "unknown parameter"),
        ("kind.nope=1", "kind.nope: unknown parameter"),
        ("kind..int32=1", "kind..int32: unknown parameter"),
        ("kind.=1", "kind.: unknown parameter"),
        (".kind=1", ".kind: unknown parameter"),
        ("int32.x=1", "int32.x: unknown parameter"),
        ("kinds.int32=1", "kinds.int32: unknown parameter"),
        ("kind=1", "kind: a message can't be a parameter, only its fields can"),
        ("structure=1", "structure: a message can't be a parameter, only its fields can"),
    ] {
        check_bad_query(query, error);
    }
}

#[test]
fn lists_are_given_by_repetition_and_others_once() {
    check_query("int32s=1&int32s=300&int32s=0", r#"{"int32s":[1,300,0]}"#);
    check_query("strings=b&strings=a&int32=1&strings=", r#"{"strings":["b","a",""],"int32":1}"#);
    // The oracle packs what says that it is not packed.
    assert_eq!(bind(Request { query: "unpacked=3&unpacked=2", ..REQUEST }).unwrap(), [0x90, 0x04, 3, 0x90, 0x04, 2]);
    check_query(
        "times=1970-01-01T00:00:01Z&times=1970-01-01T00:00:00Z",
        r#"{"times":["1970-01-01T00:00:01Z","1970-01-01T00:00:00Z"]}"#,
    );
    check_bad_query("int32=1&int32=1", "int32: the parameter is given twice");
    check_bad_query("int32=1&int32=2", "int32: the parameter is given twice");
    check_bad_query("snake_case=1&snakeCase=1", "snakeCase: the parameter is given twice");
    check_bad_query("kind.int32=1&kind.int32=1", "kind.int32: the parameter is given twice");
    check_bad_query("int32s=1,2", "int32s: expected an int32, found \"1,2\"");
}

#[test]
fn dots_lead_into_messages() {
    check_query("kind.int32=1", r#"{"kind":{"int32":1}}"#);
    check_query(
        "kind.kind.kind.string=a&kind.int32=1&int32=2&kind.kind.bool=true",
        r#"{"kind":{"int32":1,"kind":{"bool":true,"kind":{"string":"a"}}},"int32":2}"#,
    );
    check_query("kind.int32=0", r#"{"kind":{}}"#);
    check_query("kind.int32s=1&kind.int32s=2", r#"{"kind":{"int32s":[1,2]}}"#);
    check_query("any.type_url=x/test.Kinds", r#"{"any":{"@type":"x/test.Kinds"}}"#);
    check_query("list_value.values=a&list_value.values=b", r#"{"listValue":["a","b"]}"#);
    let deep = format!("{}int32=1", "kind.".repeat(99));
    check_query(&deep, &format!("{}{}{}", r#"{"kind":"#.repeat(99), r#"{"int32":1}"#, "}".repeat(99)));
    let deeper = "kind.".repeat(100);
    check_bad_query(
        &format!("{deeper}int32=1"),
        &format!("{}: the name is too deep", shortened(&format!("{deeper}int32"))),
    );
}

fn shortened(name: &str) -> String {
    format!("{}…", &name[..64])
}

#[test]
fn well_known_types_are_text() {
    for (query, json) in [
        ("timestamp=2026-03-14T15:09:26.5Z", r#"{"timestamp":"2026-03-14T15:09:26.5Z"}"#),
        ("timestamp=2026-03-14T15:09:26%2B01:00", r#"{"timestamp":"2026-03-14T14:09:26Z"}"#),
        ("timestamp=1970-01-01T00:00:00Z", r#"{"timestamp":"1970-01-01T00:00:00Z"}"#),
        ("duration=1.5s", r#"{"duration":"1.5s"}"#),
        ("mask=fooBar,baz", r#"{"mask":"fooBar,baz"}"#),
        ("mask=", r#"{"mask":""}"#),
        ("value=abc", r#"{"value":"abc"}"#),
        ("int32Value=0", r#"{"int32Value":0}"#),
        ("int32_value=5", r#"{"int32Value":5}"#),
        ("stringValue=", r#"{"stringValue":""}"#),
        ("bytes_value=AQ", r#"{"bytesValue":"AQ=="}"#),
        ("boolValue=true", r#"{"boolValue":true}"#),
        ("uint64Value=18446744073709551615", r#"{"uint64Value":"18446744073709551615"}"#),
    ] {
        check_query(query, json);
    }
    check_bad_query(
        "timestamp=yesterday",
        "timestamp: expected a time like \"2026-03-14T15:09:26.5Z\" of the years 0001 to 9999, found \"yesterday\"",
    );
    check_bad_query("mask=foo_bar", "mask: \"foo_bar\" is no path of a field mask in lowerCamelCase");
    check_bad_query("timestamp.seconds=1", "timestamp.seconds: unknown parameter");
    check_bad_query("int32Value.value=1", "int32Value.value: unknown parameter");
}

#[test]
fn maps_are_given_by_their_keys() {
    check_query("stringMap[a]=b&string_map[c.d]=e+f", r#"{"stringMap":{"a":"b","c.d":"e f"}}"#);
    assert_eq!(bind(Request { query: "stringMap[]=", ..REQUEST }).unwrap(), [0xea, 0x04, 4, 0x0a, 0, 0x12, 0]);
    check_query("stringMap%5Ba%5D=b", r#"{"stringMap":{"a":"b"}}"#);
    check_query("stringMap[a]b]=c", r#"{"stringMap":{"a]b":"c"}}"#);
    check_query(
        "int32Map[7]=8&boolMap[true]=1&enumMap[x]=ONE",
        r#"{"int32Map":{"7":8},"boolMap":{"true":1},"enumMap":{"x":1}}"#,
    );
    check_query("kind.stringMap[a]=b", r#"{"kind":{"stringMap":{"a":"b"}}}"#);
    check_bad_query("stringMap[a]=b&stringMap[a]=b", "stringMap[a]: the parameter is given twice");
    check_bad_query("int32Map[1]=1&int32Map[1.0]=2", "int32Map[1.0]: the parameter is given twice");
    check_bad_query("int32Map[x]=1", "int32Map[x]: expected an int32, found \"x\"");
    check_bad_query("int32Map[1]=x", "int32Map[1]: expected an int32, found \"x\"");
    check_bad_query("stringMap=1", "stringMap: a parameter for a map needs a key, as in `labels[key]=value`");
    check_bad_query("stringMap[a=1", "stringMap[a: unknown parameter");
    check_bad_query("string[a]=1", "string[a]: only a map has a key in brackets");
    check_bad_query("kindMap[a]=1", "kindMap[a]: a map of messages can't be set by parameters");
    check_bad_query("[a]=1", "[a]: unknown parameter");
}

#[test]
fn oneofs_have_one_member_across_all_parts() {
    check_bad_query("pickInt32=1&pickString=a", "pickString: another field of the same oneof is set");
    check_bad_query("kind.pickInt32=1&kind.pickString=a", "kind.pickString: another field of the same oneof is set");
    check_query("pickKind.int32=1&pickKind.bool=true", r#"{"pickKind":{"int32":1,"bool":true}}"#);
    check_bad_query("pickKind.int32=1&pickString=a", "pickKind: another field of the same oneof is set");
    let path = &[("pick_int32", "1")];
    check_error(
        Request { path, body: "*", json: r#"{"pickString":"a"}"#, ..REQUEST },
        "pickInt32: another field of the same oneof is set",
    );
    check_error(
        Request { path, query: "pickString=a", ..REQUEST },
        "pickString: another field of the same oneof is set",
    );
    check_error(
        Request { body: "pick_kind", json: "{}", query: "pickString=a", ..REQUEST },
        "pickString: another field of the same oneof is set",
    );
    check(Request { path, body: "*", json: r#"{"pickString":null,"pickInt32":1}"#, ..REQUEST }, r#"{"pickInt32":1}"#);
}

#[test]
fn the_path_must_not_be_contradicted() {
    let path = &[("int32", "5"), ("kind.string", "a/b"), ("timestamp", "1970-01-01T00:00:01Z")];
    let bound = r#"{"int32":5,"kind":{"string":"a/b"},"timestamp":"1970-01-01T00:00:01Z"}"#;
    check(Request { path, ..REQUEST }, bound);
    check(
        Request { path, query: "int32=5.0&kind.string=a%2Fb&timestamp=1970-01-01T01:00:01%2B01:00", ..REQUEST },
        bound,
    );
    check(Request { path, body: "*", ..REQUEST }, bound);
    check(Request { path, body: "*", json: "{}", ..REQUEST }, bound);
    check(Request { path, body: "*", json: bound, ..REQUEST }, bound);
    check(Request { path, body: "*", json: r#"{"kind":null,"int32":null}"#, ..REQUEST }, bound);
    check(Request { path, body: "*", json: r#"{"kind":{},"int32":"5"}"#, ..REQUEST }, bound);
    check(
        Request { path, body: "*", json: r#"{"kind":{"bool":true,"kind":{"int32":9}},"bool":true}"#, ..REQUEST },
        r#"{"int32":5,"kind":{"string":"a/b","bool":true,"kind":{"int32":9}},"timestamp":"1970-01-01T00:00:01Z","bool":true}"#,
    );
    check(
        Request { path, body: "kind", json: r#"{"bool":true}"#, query: "bool=true", ..REQUEST },
        r#"{"int32":5,"kind":{"string":"a/b","bool":true},"timestamp":"1970-01-01T00:00:01Z","bool":true}"#,
    );
    check(
        Request { path, body: "*", form: "int32=5&bool=true&kind.bool=true", ..REQUEST },
        r#"{"int32":5,"kind":{"string":"a/b","bool":true},"timestamp":"1970-01-01T00:00:01Z","bool":true}"#,
    );
    for (request, error) in [
        (Request { query: "int32=6", ..REQUEST }, "int32: the path of the request has another value"),
        (Request { query: "kind.string=b", ..REQUEST }, "kind.string: the path of the request has another value"),
        (Request { query: "int32=5&int32=6", ..REQUEST }, "int32: the parameter is given twice"),
        (Request { query: "kind.string=a/b&kind.string=a/b", ..REQUEST }, "kind.string: the parameter is given twice"),
        (Request { body: "*", form: "int32=6", ..REQUEST }, "int32: the path of the request has another value"),
        (
            Request { body: "*", json: r#"{"int32":6}"#, ..REQUEST },
            "int32: the path of the request has another value at line 1, column 10",
        ),
        (
            Request { body: "*", json: r#"{"int32":0}"#, ..REQUEST },
            "int32: the path of the request has another value at line 1, column 10",
        ),
        (
            Request { body: "*", json: r#"{"kind":{"string":"b"}}"#, ..REQUEST },
            "kind.string: the path of the request has another value at line 1, column 19",
        ),
        (
            Request { body: "kind", json: r#"{"string":"b"}"#, ..REQUEST },
            "kind.string: the path of the request has another value at line 1, column 11",
        ),
        (
            Request { body: "*", json: r#"{"kind":1}"#, ..REQUEST },
            "kind: expected an object, found a number at line 1, column 9",
        ),
        (
            Request { body: "*", json: r#"{"kind":{"string":"a/b","string":"a/b"}}"#, ..REQUEST },
            "kind.string: the field is there twice at line 1, column 34",
        ),
    ] {
        check_error(Request { path, ..request }, error);
    }
    check_error(Request { path: &[("int32", "x")], ..REQUEST }, "int32: expected an int32, found \"x\"");
    check(Request { path: &[("int32", "0")], body: "*", json: r#"{"int32":0}"#, ..REQUEST }, "{}");
    check_error(
        Request {
            path: &[("timestamp.seconds", "5")],
            body: "*",
            json: r#"{"timestamp":"1970-01-01T00:00:05Z"}"#,
            ..REQUEST
        },
        "timestamp: a part of it is bound by the path or a parameter at line 1, column 14",
    );
    check_error(
        Request { path: &[("timestamp.seconds", "5")], query: "timestamp=1970-01-01T00:00:05Z", ..REQUEST },
        "timestamp.seconds: the request sets the message around it as well",
    );
}

#[test]
fn null_for_what_the_path_binds_is_there_once_too() {
    let path: &[(&str, &str)] = &[("int32", "5"), ("kind.string", "a")];
    for (json, error) in [
        (r#"{"int32":null,"int32":null}"#, "int32: the field is there twice at line 1, column 23"),
        (r#"{"int32":5,"int32":null}"#, "int32: the field is there twice at line 1, column 20"),
        (r#"{"int32":null,"int32":5}"#, "int32: the field is there twice at line 1, column 23"),
        (r#"{"kind":{"bool":true},"kind":null}"#, "kind: the field is there twice at line 1, column 30"),
    ] {
        check_error(Request { path, body: "*", json, ..REQUEST }, error);
    }
}

#[test]
fn the_body_and_parameters_keep_apart() {
    check_error(Request { body: "*", json: "{}", query: "int32=1", ..REQUEST }, "int32: unknown parameter");
    check_error(Request { body: "*", query: "int32=1", ..REQUEST }, "int32: unknown parameter");
    check(Request { body: "*", query: "int32=1", unknown_parameters: UnknownParameters::Ignore, ..REQUEST }, "{}");
    check(
        Request { query: "nope=1&int32=1", unknown_parameters: UnknownParameters::Ignore, ..REQUEST },
        r#"{"int32":1}"#,
    );
    check_error(
        Request { body: "kind", json: "{}", query: "kind.int32=1", ..REQUEST },
        "kind.int32: unknown parameter",
    );
    check(Request { body: "kind", json: "{}", query: "int32=1", ..REQUEST }, r#"{"kind":{},"int32":1}"#);
    check(Request { body: "kind", query: "int32=1", ..REQUEST }, r#"{"int32":1}"#);
    check_error(Request { json: "{}", ..REQUEST }, "this method takes no request body");
    check_error(Request { form: "int32=1", ..REQUEST }, "this method takes no request body");
    check_error(
        Request { body: "*", json: " ", ..REQUEST },
        "expected an object, found the end of the text at line 1, column 2",
    );
    check(Request { query: "enum=TWO&int32=1", options: IGNORE, ..REQUEST }, r#"{"int32":1}"#);
    check(Request { body: "*", json: r#"{"nope":1}"#, options: IGNORE, ..REQUEST }, "{}");
}

#[test]
fn the_body_may_be_any_field() {
    for (body, json) in [
        ("int32", "5"),
        ("string", "\"a\""),
        ("kind", r#"{"int32":1}"#),
        ("kinds", r#"[{"int32":1},{}]"#),
        ("stringMap", r#"{"a":"b"}"#),
        ("timestamp", "\"1970-01-01T00:00:01Z\""),
        ("value", "null"),
        ("kind", "null"),
        ("pickInt32", "0"),
        ("structure", r#"{"a":[1]}"#),
    ] {
        let expected = format!(r#"{{"{body}":{json},"bool":true}}"#);
        check(Request { body, json, query: "bool=true", ..REQUEST }, &expected);
    }
    check_error(
        Request { body: "kind", json: "{\n\"int32\":x}", ..REQUEST },
        "kind.int32: expected an int32, found `x` at line 2, column 9",
    );
    check_error(
        Request { body: "int32", json: "5 6", ..REQUEST },
        "expected the end of the text, found a number at line 1, column 3",
    );
    check(
        Request { body: "kind", form: "int32=1&kind.bool=true", ..REQUEST },
        r#"{"kind":{"int32":1,"kind":{"bool":true}}}"#,
    );
    check_error(
        Request { body: "int32", form: "int32=1", ..REQUEST },
        "int32: the body of this method can't be a form",
    );
}

#[test]
fn required_fields_may_come_from_anywhere() {
    let old = Request { message: "test.Old", ..REQUEST };
    check(Request { query: "need=0", ..old }, r#"{"need":0}"#);
    check(Request { path: &[("need", "1")], body: "*", json: "{}", ..old }, r#"{"need":1}"#);
    check(
        Request { path: &[("need", "1")], body: "old", json: r#"{"need":2}"#, ..old },
        r#"{"need":1,"old":{"need":2}}"#,
    );
    check(Request { query: "need=0&part.a=5", ..old }, r#"{"need":0,"part":{"a":5}}"#);
    check(
        Request { query: "need=0&numbers=5&numbers=6&closed=A", ..old },
        r#"{"need":0,"numbers":[5,6],"closed":"A"}"#,
    );
    check_error(Request { query: "need=0&closed=7", ..old }, "closed: unknown enum value \"7\"");
    check_error(Request { ..old }, "need: the required field is missing");
    check_error(Request { query: "need=0&old.closed=A", ..old }, "old.need: the required field is missing");
}

#[test]
fn parameters_are_bounded_in_number() {
    let thousand = vec!["int32s=1"; 1000].join("&");
    assert!(bind(Request { query: &thousand, ..REQUEST }).is_ok());
    check_error(Request { query: &format!("{thousand}&bool=true"), ..REQUEST }, "more than 1000 parameters");
}

/// A `PATCH` of an item whose `string` is in the path.
fn patch() -> Request<'static> {
    let message = PLAN.find_type("test.Update").unwrap();
    let body = field("test.Update", "item");
    let mask = mask::find(&PLAN, message, body).unwrap();
    assert_eq!(mask, field("test.Update", "update_mask"));
    Request {
        message: "test.Update",
        body: "item",
        mask: PatchMask::Fill(mask),
        path: &[("item.string", "x")],
        ..REQUEST
    }
}

#[test]
fn a_patch_fills_the_mask() {
    let patch = patch();
    check(
        Request { json: r#"{"int32":1,"snakeCase":null}"#, ..patch },
        r#"{"item":{"int32":1,"string":"x"},"updateMask":"int32,snakeCase"}"#,
    );
    check(Request { json: "{}", ..patch }, r#"{"item":{"string":"x"}}"#);
    check(Request { json: "null", ..patch }, r#"{"item":{"string":"x"}}"#);
    check(Request { ..patch }, r#"{"item":{"string":"x"}}"#);
    check(
        Request { json: r#"{"int32":1}"#, query: "updateMask=bool", ..patch },
        r#"{"item":{"int32":1,"string":"x"},"updateMask":"bool"}"#,
    );
    check(
        Request { json: r#"{"int32":1}"#, query: "updateMask=", ..patch },
        r#"{"item":{"int32":1,"string":"x"},"updateMask":""}"#,
    );
    check(Request { json: r#"{"int32":1}"#, mask: PatchMask::Leave, ..patch }, r#"{"item":{"int32":1,"string":"x"}}"#);
    check(
        Request { form: "int32=1&snakeCase=2&int32s=1&int32s=2&kind.bool=true", ..patch },
        r#"{"item":{"int32":1,"snakeCase":2,"string":"x","int32s":[1,2],"kind":{"bool":true}},
            "updateMask":"int32,kind.bool,int32s,snakeCase"}"#,
    );
}

#[test]
fn the_mask_has_what_the_path_says_too() {
    for (json, form) in [(r#"{"int32":1,"string":"x"}"#, ""), ("", "int32=1&string=x")] {
        check(Request { json, form, ..patch() }, r#"{"item":{"int32":1,"string":"x"},"updateMask":"int32,string"}"#);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn weaving_is_decoding_and_then_setting_fields(seed in any::<u64>()) {
        let json = Random(seed).kinds(3);
        let path: &[(&str, &str)] = &[("int32", "5"), ("kind.kind.string", "a"), ("kind.maybe_int32", "0")];
        let bound = bind(Request { path, body: "*", json: &json, ..REQUEST });
        let body = decode_with("test.Kinds", json.as_bytes(), REJECT);
        let (wire, body) = match (bound, body) {
            (Ok(wire), Ok(body)) => (wire, body),
            (Err(status), Ok(_)) => {
                prop_assert!(status.message().contains("the path of the request has another value"), "{json}: {status}");
                return Ok(());
            }
            (bound, Err(_)) => {
                prop_assert!(bound.is_err());
                return Ok(());
            }
        };
        let mut expected = dynamic("test.Kinds", &body);
        expected.set_field_by_name("int32", Value::I32(5));
        let kind = expected.get_field_by_name_mut("kind").and_then(Value::as_message_mut).unwrap();
        kind.set_field_by_name("maybe_int32", Value::I32(0));
        let inner = kind.get_field_by_name_mut("kind").and_then(Value::as_message_mut).unwrap();
        inner.set_field_by_name("string", Value::String("a".into()));
        prop_assert!(dynamic("test.Kinds", &wire) == expected, "{json}");
    }

    #[test]
    fn any_query_is_bound_or_refused(seed in any::<u64>()) {
        let mut random = Random(seed);
        let pieces = [
            "int32", "string", "kind", "stringMap", "int32Map", "strings", "any", "value", "timestamp", "=", "=", "&", ".", "[", "]",
            "%", "%41", "%ff", "+", "1", "-1", "true", "a", "1970-01-01T00:00:00Z", "%5B", "%00", "\u{e9}",
        ];
        let query: String = (0..random.next(12)).map(|_| random.pick(&pieces)).collect();
        for (body, json) in [("", ""), ("kind", "{}"), ("*", "")] {
            let form = if body == "*" { &*query } else { "" };
            if let Ok(wire) = bind(Request { query: if form.is_empty() { &query } else { "" }, form, body, json, ..REQUEST }) {
                dynamic("test.Kinds", &wire);
            }
        }
    }
}
