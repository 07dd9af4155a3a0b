//! JSON to wire, kind by kind, held against prost-reflect.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};

use super::*;
use crate::schema::testing;

pub(crate) mod differential;

/// Messages with every kind of field, also for the tests of `bind` and `mask`.
pub(crate) const SOURCES: &[(&str, &str)] =
    &[("kinds.proto", include_str!("tests/kinds.proto")), ("old.proto", include_str!("tests/old.proto"))];

pub(crate) static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| testing::pool(SOURCES));
pub(crate) static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::compile(&testing::schema(&POOL)));

pub(crate) const REJECT: DecodeOptions = DecodeOptions { unknown_fields: UnknownFields::Reject };
pub(crate) const IGNORE: DecodeOptions = DecodeOptions { unknown_fields: UnknownFields::Ignore };

pub(crate) fn decode_with(message: &str, json: &[u8], options: DecodeOptions) -> Result<Vec<u8>, Status> {
    let id = PLAN.find_type(message).unwrap();
    let mut out = b"head".to_vec();
    let result = Decoder::new().decode(&PLAN, id, json, &options, &mut out);
    assert!(out.starts_with(b"head"));
    if result.is_err() {
        assert_eq!(out, b"head");
    } else {
        assert!(out.len() - 4 <= json.len() * MAX_GROWTH + 16, "{} bytes of {json:?}", out.len());
    }
    result.map(|()| out.split_off(4))
}

pub(crate) fn dynamic(message: &str, wire: &[u8]) -> DynamicMessage {
    DynamicMessage::decode(POOL.get_message_by_name(message).unwrap(), wire).unwrap()
}

fn oracle(message: &str, json: &str) -> DynamicMessage {
    let descriptor = POOL.get_message_by_name(message).unwrap();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    // Through the wire once, where a default that need not be there is not there.
    let parsed = DynamicMessage::deserialize(descriptor, &mut deserializer).unwrap();
    dynamic(message, &parsed.encode_to_vec())
}

/// `json` means what the canonical text `expected` means to prost-reflect.
#[track_caller]
fn check(message: &str, json: &str, expected: &str) {
    check_with(message, json, REJECT, expected);
}

#[track_caller]
fn check_with(message: &str, json: &str, options: DecodeOptions, expected: &str) {
    match decode_with(message, json.as_bytes(), options) {
        Ok(wire) => {
            let expected = oracle(message, expected);
            // No `assert_eq`: the messages' `Debug` never ends where a type contains itself.
            let found = dynamic(message, &wire);
            assert!(found == expected || json.contains("NaN"), "{json}: {found}, not {expected}");
            if !json.contains("NaN") && !json.contains(",") {
                assert_eq!(wire, expected.encode_to_vec(), "{json} is canonical on the wire");
            }
        }
        Err(status) => panic!("{json}: {}", status.message()),
    }
}

#[track_caller]
fn check_wire(message: &str, json: &str, expected: &[u8]) {
    match decode_with(message, json.as_bytes(), REJECT) {
        Ok(wire) => assert_eq!(wire, expected, "{json}"),
        Err(status) => panic!("{json}: {}", status.message()),
    }
}

#[track_caller]
fn check_error(message: &str, json: &str, expected: &str) {
    match decode_with(message, json.as_bytes(), REJECT) {
        Ok(wire) => panic!("{json} was taken: {wire:?}"),
        Err(status) => {
            assert_eq!(status.code(), crate::status::Code::InvalidArgument);
            assert_eq!(status.message(), expected, "{json}");
        }
    }
}

#[track_caller]
fn check_kind(field: &str, good: &[(&str, &str)], bad: &[&str]) {
    for (json, canonical) in good {
        check("test.Kinds", &format!(r#"{{"{field}":{json}}}"#), &format!(r#"{{"{field}":{canonical}}}"#));
        check("test.Kinds", &format!(r#"{{"{field}s":[{json}]}}"#), &format!(r#"{{"{field}s":[{canonical}]}}"#));
    }
    for json in bad {
        for text in [format!(r#"{{"{field}":{json}}}"#), format!(r#"{{"{field}s":[{json}]}}"#)] {
            let status = decode_with("test.Kinds", text.as_bytes(), REJECT).expect_err(&text);
            assert!(status.message().contains(" at line 1, column "), "{text}: {}", status.message());
        }
        let in_list = format!(r#"{{"{field}s":[{json}]}}"#);
        let status = decode_with("test.Kinds", in_list.as_bytes(), REJECT).unwrap_err();
        let syntax = ["`,` or", "a value", "escape"].iter().any(|text| status.message().contains(text));
        assert!(syntax || status.message().starts_with(&format!("{field}s[0]: ")), "{in_list}: {}", status.message());
    }
    check("test.Kinds", &format!(r#"{{"{field}":null}}"#), "{}");
    check("test.Kinds", &format!(r#"{{"{field}s":null}}"#), "{}");
    check("test.Kinds", &format!(r#"{{"{field}s":[]}}"#), "{}");
    check_error(
        "test.Kinds",
        &format!(r#"{{"{field}s":1}}"#),
        &format!("{field}s: expected a list, found a number at line 1, column {}", field.len() + 6),
    );
}

#[test]
fn integers_accept_exact_forms_within_their_range() {
    let common: &[(&str, &str)] = &[
        ("0", "0"),
        ("-0", "0"),
        ("1", "1"),
        ("127", "127"),
        ("128", "128"),
        ("5.0", "5"),
        ("5.000", "5"),
        ("1e5", "100000"),
        ("1E+5", "100000"),
        ("1.5e1", "15"),
        ("150e-1", "15"),
        ("0e99999999999999999999", "0"),
        ("0.0e-5", "0"),
        (r#""5""#, "5"),
        (r#""5.0""#, "5"),
        (r#""1e2""#, "100"),
        (r#""\u0035""#, "5"),
        ("2147483647", "2147483647"),
        ("2147483647.0", "2147483647"),
        (" \t\r\n7 ", "7"),
    ];
    let bad = [
        "01",
        "+1",
        "1.",
        ".5",
        "5.5",
        "1e-1",
        "0x1",
        "1e",
        "1e+",
        "-",
        "--1",
        r#""""#,
        r#"" 5""#,
        r#""5 ""#,
        r#""5x""#,
        r#""+5""#,
        r#""0x5""#,
        r#""01""#,
        r#""5.5""#,
        "true",
        "{}",
        "[]",
        "[1]",
        "1e20",
        "1e99999999999999999999",
        "99999999999999999999",
        "-99999999999999999999",
        r#""18446744073709551616""#,
        r#""NaN""#,
        "NaN",
        "1_000",
        r#""null""#,
        r#""\u00""#,
    ];
    for field in
        ["int32", "sint32", "sfixed32", "uint32", "fixed32", "int64", "sint64", "sfixed64", "uint64", "fixed64"]
    {
        check_kind(field, common, &bad);
    }
    for field in ["int32", "sint32", "sfixed32"] {
        check_kind(field, &[("-2147483648", "-2147483648"), ("-1", "-1")], &["2147483648", "-2147483649", "1e10"]);
    }
    for field in ["uint32", "fixed32"] {
        check_kind(field, &[("4294967295", "4294967295"), ("429496729.5e1", "4294967295")], &["-1", "4294967296"]);
    }
    for field in ["int64", "sint64", "sfixed64"] {
        let good = [
            ("9223372036854775807", r#""9223372036854775807""#),
            ("-9223372036854775808", r#""-9223372036854775808""#),
            (r#""-9223372036854775808""#, r#""-9223372036854775808""#),
            ("9223372036854775807.0", r#""9223372036854775807""#),
            ("9007199254740993", r#""9007199254740993""#),
            ("9.223372036854775807e18", r#""9223372036854775807""#),
        ];
        check_kind(field, &good, &["9223372036854775808", "-9223372036854775809", "9223372036854775807.5"]);
    }
    for field in ["uint64", "fixed64"] {
        let good = [
            ("18446744073709551615", r#""18446744073709551615""#),
            ("18446744073709551615.0", r#""18446744073709551615""#),
            (r#""18446744073709551615""#, r#""18446744073709551615""#),
            ("1844674407370955161.5e1", r#""18446744073709551615""#),
        ];
        check_kind(field, &good, &["-1", "18446744073709551616", "1.8446744073709551616e19"]);
    }
}

#[test]
fn floats_are_rounded_once_and_kept_in_range() {
    let good = [
        ("0", "0"),
        ("1", "1"),
        ("-1.5", "-1.5"),
        ("0.1", "0.1"),
        ("1e-7", "1e-7"),
        ("1E3", "1000"),
        (r#""1.5""#, "1.5"),
        (r#""-1e3""#, "-1000"),
        (r#""NaN""#, r#""NaN""#),
        (r#""Infinity""#, r#""Infinity""#),
        (r#""-Infinity""#, r#""-Infinity""#),
        ("123456789012345678", "123456789012345678"),
        ("1e-400", "0"),
        ("3.4028234e38", "3.4028234e38"),
    ];
    let bad = [
        "NaN",
        "Infinity",
        "-Infinity",
        r#""nan""#,
        r#""inf""#,
        r#""infinity""#,
        r#""+Infinity""#,
        r#""""#,
        r#"" 1""#,
        r#""1 ""#,
        r#""1_0""#,
        "01",
        "1.",
        ".5",
        "1e400",
        "-1e400",
        r#""1e400""#,
        "true",
        "{}",
        "[]",
        r#""0x1p3""#,
    ];
    check_kind("double", &good, &bad);
    check_kind("float", &good, &bad);
    check_kind("double", &[("1.7976931348623157e308", "1.7976931348623157e308"), ("5e-324", "5e-324")], &["1.8e308"]);
    check_kind(
        "double",
        &[("9007199254740993", "9007199254740993"), ("0.30000000000000004", "0.30000000000000004")],
        &[],
    );
    check_kind("float", &[("16777217", "16777217")], &["3.5e38", "-3.5e38"]);
    // A negative zero is not the default.
    check_wire("test.Kinds", r#"{"double":-0}"#, &[0x09, 0, 0, 0, 0, 0, 0, 0, 0x80]);
}

#[test]
fn booleans_are_never_quoted() {
    check_kind(
        "bool",
        &[("true", "true"), ("false", "false")],
        &[r#""true""#, "0", "1", "True", "TRUE", "truex", "tru", "[]"],
    );
}

#[test]
fn strings_are_strict() {
    let good = [
        (r#""""#, r#""""#),
        (r#""a""#, r#""a""#),
        (r#""\"\\\/\b\f\n\r\t""#, r#""\"\\/\b\f\n\r\t""#),
        (r#""\u00e9\u20AC""#, r#""é€""#),
        (r#""\ud83d\uDE00x""#, r#""😀x""#),
        (r#""\u0000""#, r#""\u0000""#),
        ("\"\u{7f}é\u{10ffff}\"", "\"\u{7f}é\u{10ffff}\""),
        (r#""0123456789abcdef\"0123456789abcdef\"""#, r#""0123456789abcdef\"0123456789abcdef\"""#),
    ];
    let bad = [
        "'a'",
        "a",
        "1",
        "true",
        "{}",
        "[]",
        r#""\x""#,
        r#""\U0041""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\ud83d""#,
        r#""\ud83dx""#,
        r#""\ud83d\n""#,
        r#""\ude00""#,
        r#""\ud83d\ud83d""#,
        "\"\n\"",
        "\"a\tb\"",
        "\"\0\"",
        "\"",
        "\"a",
        "\"\\",
        "\"\\\"",
        "\"01234567\u{1f}\"",
        r#""\u+123""#,
    ];
    check_kind("string", &good, &bad);
    for length in 0..70 {
        let text = "é".repeat(length) + &"x".repeat(length);
        check_kind("string", &[(&format!("\"{text}\""), &format!("\"{text}\""))], &[&format!("\"{text}\u{1}\"")]);
        let escaped = format!("{}\\n{text}", "y".repeat(length));
        check_kind(
            "string",
            &[(&format!("\"{escaped}\""), &format!("\"{escaped}\""))],
            &[&format!("\"{escaped}\\q\"")],
        );
    }
    let status = decode_with("test.Kinds", b"{\"string\":\"\xff\"}", REJECT).unwrap_err();
    assert_eq!(status.message(), "invalid UTF-8 at line 1, column 12");
}

#[test]
fn escapes_that_shrink_across_a_length_boundary_keep_their_prefix_right() {
    for count in [20, 21, 22, 25, 127, 128, 2730, 2731, 16383, 16384] {
        let json = format!(r#"{{"string":"{}"}}"#, r"\u0041".repeat(count));
        check("test.Kinds", &json, &format!(r#"{{"string":"{}"}}"#, "A".repeat(count)));
    }
}

#[test]
fn bytes_take_either_alphabet_with_padding_or_without() {
    let good = [
        (r#""""#, r#""""#),
        (r#""AQI=""#, r#""AQI=""#),
        (r#""AQI""#, r#""AQI=""#),
        (r#""AQ==""#, r#""AQ==""#),
        (r#""AQ""#, r#""AQ==""#),
        (r#""+/+/""#, r#""+/+/""#),
        (r#""-_-_""#, r#""+/+/""#),
        (r#""-_""#, r#""+w==""#),
        (r#""\/\/\/\/""#, r#""////""#),
        (r#""AAECAwQFBgcICQoLDA0ODw==""#, r#""AAECAwQFBgcICQoLDA0ODw==""#),
    ];
    let bad = [
        r#""A""#,
        r#""AQ=""#,
        r#""AQI==""#,
        r#""A===""#,
        r#""=""#,
        r#""====""#,
        r#""A Q""#,
        r#""AQ\n""#,
        r#""é""#,
        r#""AQ==AQ==""#,
        "1",
        "[]",
        r#""A*==""#,
    ];
    check_kind("bytes", &good, &bad);
}

#[test]
fn enums_are_names_or_numbers() {
    let good = [
        (r#""ZERO""#, "0"),
        (r#""ONE""#, "1"),
        (r#""UNO""#, "1"),
        (r#""NEGATIVE""#, "-1"),
        (r#""\u004fNE""#, "1"),
        ("1", "1"),
        ("1.0", "1"),
        ("7", "7"),
        ("-2147483648", "-2147483648"),
    ];
    let bad = [r#""one""#, r#""""#, r#""1""#, "1.5", "2147483648", "true", "[]", "{}", "ONE"];
    check_kind("enum", &good, &bad);
    check("test.Old", r#"{"closed":"A","need":1}"#, r#"{"closed":"A","need":1}"#);
    check_error("test.Old", r#"{"closed":7}"#, "closed: unknown enum value \"7\" at line 1, column 11");
    check_error("test.Kinds", r#"{"enum":"TWO"}"#, "enum: unknown enum value \"TWO\" at line 1, column 9");
}

#[test]
fn unknown_enum_names_are_passed_over_on_demand() {
    let json = r#"{"enum":"TWO","enums":["ONE","TWO",7],"enumMap":{"a":"TWO","b":"ONE"},"pickEnum":"TWO"}"#;
    check_with("test.Kinds", json, IGNORE, r#"{"enums":[1,7],"enumMap":{"b":1}}"#);
    check_with("test.Kinds", r#"{"enums":["TWO"]}"#, IGNORE, "{}");
}

#[test]
fn unknown_fields_are_rejected_or_passed_over() {
    check_error("test.Kinds", r#"{"nope":1}"#, "nope: unknown field at line 1, column 2");
    check_error("test.Kinds", "{\n \"kind\": {\n  \"é\":1, \"nope\": 2}}", "kind.é: unknown field at line 3, column 3");
    check_error("test.Kinds", r#"{"kinds":[{},{"nope":1}]}"#, "kinds[1].nope: unknown field at line 1, column 15");
    check_error(
        "test.Kinds",
        r#"{"kindMap":{"a\"":{"x":1}}}"#,
        r#"kindMap["a\""].x: unknown field at line 1, column 20"#,
    );
    let json = r#"{"nope":{"a":[1,2,{"b":"\n"}],"a":null,"@type":true},"int32":1,"x":false,"y":-1.5e3,"z":[]}"#;
    check_with("test.Kinds", json, IGNORE, r#"{"int32":1}"#);
    for broken in
        [r#"{"x":01}"#, r#"{"x":"\q"}"#, r#"{"x":[1,]}"#, r#"{"x":{"a":1,}}"#, r#"{"x":nul}"#, r#"{"x":{"\q":1}}"#]
    {
        decode_with("test.Kinds", broken.as_bytes(), IGNORE).expect_err(broken);
    }
}

#[test]
fn names_are_json_names_or_proto_names_and_never_twice() {
    check("test.Kinds", r#"{"snake_case":1}"#, r#"{"snakeCase":1}"#);
    check("test.Kinds", r#"{"\u0073nakeCase":1}"#, r#"{"snakeCase":1}"#);
    check("test.Kinds", r#"{"custom":1}"#, r#"{"custom":1}"#);
    check("test.Kinds", r#"{"renamed":1}"#, r#"{"custom":1}"#);
    check_error("test.Kinds", r#"{"SNAKE_CASE":1}"#, "SNAKE_CASE: unknown field at line 1, column 2");
    check_error("test.Kinds", r#"{"int32":1,"int32":1}"#, "int32: the field is there twice at line 1, column 20");
    check_error("test.Kinds", r#"{"int32":null,"int32":1}"#, "int32: the field is there twice at line 1, column 23");
    check_error(
        "test.Kinds",
        r#"{"snake_case":1,"snakeCase":1}"#,
        "snakeCase: the field is there twice at line 1, column 29",
    );
}

#[test]
fn oneofs_have_one_member() {
    check("test.Kinds", r#"{"pickInt32":0}"#, r#"{"pickInt32":0}"#);
    check("test.Kinds", r#"{"pickString":""}"#, r#"{"pickString":""}"#);
    check("test.Kinds", r#"{"pickNull":null}"#, r#"{"pickNull":null}"#);
    check("test.Kinds", r#"{"pickNull":"NULL_VALUE"}"#, r#"{"pickNull":null}"#);
    check("test.Kinds", r#"{"pickKind":{}}"#, r#"{"pickKind":{}}"#);
    check("test.Kinds", r#"{"pickInt32":null,"pickString":"a"}"#, r#"{"pickString":"a"}"#);
    check("test.Kinds", r#"{"pickString":"a","pickInt32":null}"#, r#"{"pickString":"a"}"#);
    check_error(
        "test.Kinds",
        r#"{"pickString":"a","pickInt32":0}"#,
        "pickInt32: another field of the same oneof is set at line 1, column 31",
    );
}

#[test]
fn presence_decides_whether_a_default_is_written() {
    check_wire(
        "test.Kinds",
        r#"{"int32":0,"string":"","bool":false,"double":0.0,"enum":"ZERO","bytes":"","sint64":"0"}"#,
        &[],
    );
    check("test.Kinds", r#"{"maybeInt32":0}"#, r#"{"maybeInt32":0}"#);
    check("test.Kinds", r#"{"maybeString":""}"#, r#"{"maybeString":""}"#);
    check("test.Kinds", r#"{"kind":{}}"#, r#"{"kind":{}}"#);
    check("test.Kinds", r#"{"string":"\u0000"}"#, r#"{"string":"\u0000"}"#);
}

#[test]
fn lists_are_lists() {
    check("test.Kinds", r#"{"int32s":[1,2,300]}"#, r#"{"int32s":[1,2,300]}"#);
    check("test.Kinds", r#"{"unpacked":[1,2,300]}"#, r#"{"unpacked":[1,2,300]}"#);
    check_wire("test.Kinds", r#"{"int32s":[1,0,300]}"#, &[0x9a, 0x03, 4, 1, 0, 0xac, 0x02]);
    check("test.Kinds", r#"{"kinds":[{},{"int32":1}]}"#, r#"{"kinds":[{},{"int32":1}]}"#);
    let long = vec!["1"; 1000].join(",");
    check("test.Kinds", &format!(r#"{{"int32s":[{long}]}}"#), &format!(r#"{{"int32s":[{long}]}}"#));
    check_error(
        "test.Kinds",
        r#"{"int32s":[1,null]}"#,
        "int32s[1]: expected an int32, found null at line 1, column 14",
    );
    check_error("test.Kinds", r#"{"kinds":[null]}"#, "kinds[0]: expected an object, found null at line 1, column 11");
    check_error("test.Kinds", r#"{"int32s":[1,]}"#, "int32s[1]: expected an int32, found `]` at line 1, column 14");
    check_error(
        "test.Kinds",
        r#"{"int32s":[1 2]}"#,
        "int32s: expected `,` or `]`, found a number at line 1, column 14",
    );
    check_error("test.Kinds", r#"{"int32s":[,1]}"#, "int32s[0]: expected an int32, found `,` at line 1, column 12");
    check_error("test.Kinds", r#"{"int32s":[1}"#, "int32s: expected `,` or `]`, found `}` at line 1, column 13");
}

#[test]
fn maps_have_keys_of_every_kind_and_none_twice() {
    check("test.Kinds", r#"{"stringMap":{"a":"b"}}"#, r#"{"stringMap":{"a":"b"}}"#);
    check("test.Kinds", r#"{"stringMap":{"":"","\u0061":"c"}}"#, r#"{"stringMap":{"":"","a":"c"}}"#);
    check("test.Kinds", r#"{"boolMap":{"true":1,"false":0}}"#, r#"{"boolMap":{"true":1,"false":0}}"#);
    check("test.Kinds", r#"{"boolMap":{"\u0074rue":1}}"#, r#"{"boolMap":{"true":1}}"#);
    for kind in ["int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64"]
    {
        check(
            "test.Kinds",
            &format!(r#"{{"{kind}Map":{{"0":1,"7":2}}}}"#),
            &format!(r#"{{"{kind}Map":{{"0":1,"7":2}}}}"#),
        );
        for key in ["", " 1", "x", "1.5", "99999999999999999999", "true"] {
            decode_with("test.Kinds", format!(r#"{{"{kind}Map":{{"{key}":1}}}}"#).as_bytes(), REJECT).expect_err(key);
        }
        let twice = format!(r#"{{"{kind}Map":{{"1":1,"1.0":2}}}}"#);
        assert!(
            decode_with("test.Kinds", twice.as_bytes(), REJECT)
                .unwrap_err()
                .message()
                .contains("the key is there twice")
        );
    }
    check("test.Kinds", r#"{"kindMap":{"a":{},"b":{"int32":1}}}"#, r#"{"kindMap":{"a":{},"b":{"int32":1}}}"#);
    check("test.Kinds", r#"{"valueMap":{"a":null}}"#, r#"{"valueMap":{"a":null}}"#);
    check_error(
        "test.Kinds",
        r#"{"boolMap":{"True":1}}"#,
        "boolMap: expected true or false, found \"True\" at line 1, column 13",
    );
    check_error(
        "test.Kinds",
        r#"{"boolMap":{true:1}}"#,
        "boolMap: expected a field name in quotes, found a boolean at line 1, column 13",
    );
    check_error(
        "test.Kinds",
        r#"{"stringMap":{"a":null}}"#,
        r#"stringMap["a"]: expected a string, found null at line 1, column 19"#,
    );
    check_error(
        "test.Kinds",
        r#"{"kindMap":{"a":null}}"#,
        r#"kindMap["a"]: expected an object, found null at line 1, column 17"#,
    );
    check_error(
        "test.Kinds",
        r#"{"stringMap":[]}"#,
        "stringMap: expected an object, found a list at line 1, column 14",
    );
    check_error(
        "test.Kinds",
        r#"{"stringMap":{"a":"","\u0061":""}}"#,
        r#"stringMap["\u0061"]: the key is there twice at line 1, column 22"#,
    );
    let many = |last: &str| {
        let entries: Vec<String> = (0..100).map(|key| format!(r#""{key}":"v""#)).chain([last.to_owned()]).collect();
        format!(r#"{{"stringMap":{{{}}},"structure":{{{}}}}}"#, entries.join(","), entries.join(","))
    };
    check("test.Kinds", &many(r#""last":"v""#), &many(r#""last":"v""#));
    assert!(
        decode_with("test.Kinds", many(r#""50":"v""#).as_bytes(), REJECT)
            .unwrap_err()
            .message()
            .contains("the key is there twice")
    );
}

#[test]
fn maps_inside_maps_keep_their_keys_apart() {
    let inner: Vec<String> = (0..20).map(|key| format!(r#""{key}":"{}""#, "v".repeat(key * 10))).collect();
    let outer: Vec<String> = (0..20).map(|key| format!(r#""{key}":{{"stringMap":{{{}}}}}"#, inner.join(","))).collect();
    let json = format!(r#"{{"kindMap":{{{}}}}}"#, outer.join(","));
    check("test.Kinds", &json, &json);
}

#[test]
fn syntax_errors_name_line_and_column() {
    let cases = [
        ("", "expected an object, found the end of the text"),
        ("null", "expected an object, found null at line 1, column 1"),
        ("[]", "expected an object, found a list at line 1, column 1"),
        ("{", "expected a field name in quotes, found the end of the text at line 1, column 2"),
        ("{}x", "expected the end of the text, found `x` at line 1, column 3"),
        ("{}{}", "expected the end of the text, found an object at line 1, column 3"),
        ("{,}", "expected a field name in quotes, found `,` at line 1, column 2"),
        (r#"{"int32":1,}"#, "expected a field name in quotes, found `}` at line 1, column 12"),
        (r#"{"int32" 1}"#, "expected `:`, found a number at line 1, column 10"),
        (r#"{"int32":1 "bool":true}"#, "expected `,` or `}`, found a string at line 1, column 12"),
        ("{int32:1}", "expected a field name in quotes, found `i` at line 1, column 2"),
        ("{'int32':1}", "expected a field name in quotes, found `'` at line 1, column 2"),
        ("{/**/}", "expected a field name in quotes, found `/` at line 1, column 2"),
        ("\u{feff}{}", "expected an object, found `\\u{feff}` at line 1, column 1"),
        ("\u{a0}{}", "expected an object, found `\\u{a0}` at line 1, column 1"),
        ("{\n\n  \"é\u{1}\":1}", "control character U+0001 in a string: it must be escaped at line 3, column 5"),
        (r#"{"int32":1"#, "expected `,` or `}`, found the end of the text at line 1, column 11"),
    ];
    for (json, expected) in cases {
        check_error("test.Kinds", json, expected);
    }
    check("test.Kinds", " {\r\n\t\"int32\" : 1 , \"bool\"\n:\ntrue } \n", r#"{"int32":1,"bool":true}"#);
}

#[test]
fn hundred_levels_are_the_limit() {
    let nested = |open: &str, core: &str, close: &str, count: usize| {
        format!("{}{core}{}", open.repeat(count), close.repeat(count))
    };
    for (open, core, close, levels, fits) in [
        (r#"{"kind":"#, "{}", "}", 1, 99),
        (r#"{"kinds":["#, "{}", "]}", 2, 49),
        (r#"{"kindMap":{"a":"#, "{}", "}}", 2, 49),
        (r#"{"group":{"tree":"#, "{}", "}}", 2, 49),
    ] {
        let message = if open.contains("group") { "test.OldTree" } else { "test.Kinds" };
        decode_with(message, nested(open, core, close, fits).as_bytes(), REJECT).unwrap();
        let status =
            decode_with(message, nested(open, core, close, fits + 2 - levels + levels.div_ceil(2)).as_bytes(), REJECT)
                .unwrap_err();
        assert!(status.message().contains("nested deeper than 100 levels"), "{}", status.message());
    }
    let fitting = |prefix: &str, open: &str, core: &str, close: &str, suffix: &str, count: usize| {
        format!("{prefix}{}{suffix}", nested(open, core, close, count))
    };
    for (open, core, close) in [("[", "[]", "]"), (r#"{"a":"#, "{}", "}")] {
        for (options, name) in [(REJECT, "value"), (IGNORE, "unknown")] {
            let prefix = format!(r#"{{"{name}":"#);
            decode_with("test.Kinds", fitting(&prefix, open, core, close, "}", 98).as_bytes(), options).unwrap();
            let status = decode_with("test.Kinds", fitting(&prefix, open, core, close, "}", 99).as_bytes(), options);
            assert!(status.unwrap_err().message().contains("nested deeper than 100 levels"), "{name}");
        }
    }
    let any = r#"{"@type":"type.googleapis.com/google.protobuf.Any","value":"#;
    decode_with("google.protobuf.Any", nested(any, "{}", "}", 99).as_bytes(), REJECT).unwrap();
    decode_with("google.protobuf.Any", nested(any, "{}", "}", 100).as_bytes(), REJECT).unwrap_err();
}

#[test]
fn timestamps_and_durations_are_strict() {
    let good = [
        ("1970-01-01T00:00:00Z", 0, 0),
        ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
        ("9999-12-31T23:59:59.999999999Z", 253_402_300_799, 999_999_999),
        ("2026-03-14T15:09:26.5Z", 1_773_500_966, 500_000_000),
        ("2026-03-14T15:09:26.000000001+00:00", 1_773_500_966, 1),
        ("2026-03-14T16:09:26+01:00", 1_773_500_966, 0),
        ("2026-03-14T14:39:26-00:30", 1_773_500_966, 0),
        ("2000-02-29T00:00:00Z", 951_782_400, 0),
        ("1969-12-31T23:59:59.5Z", -1, 500_000_000),
        ("2026-03-14T15:09:26.535897Z", 1_773_500_966, 535_897_000),
    ];
    for (text, seconds, nanos) in good {
        let wire = decode_with("google.protobuf.Timestamp", format!("\"{text}\"").as_bytes(), REJECT).unwrap();
        assert_eq!(
            prost_types::Timestamp::decode(&*wire).unwrap(),
            prost_types::Timestamp { seconds, nanos },
            "{text}"
        );
    }
    for text in [
        "",
        "2026",
        "2026-03-14",
        "2026-03-14T15:09:26",
        "2026-03-14t15:09:26Z",
        "2026-03-14T15:09:26z",
        "2026-03-14 15:09:26Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.1234567890Z",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00+01",
        " 2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z ",
        "2026-1-01T00:00:00Z",
        "-026-01-01T00:00:00Z",
        "2026-01-01T00:00:00,5Z",
    ] {
        decode_with("google.protobuf.Timestamp", format!("\"{text}\"").as_bytes(), REJECT).expect_err(text);
    }
    let good = [
        ("0s", 0, 0),
        ("1s", 1, 0),
        ("-1s", -1, 0),
        ("1.5s", 1, 500_000_000),
        ("-0.5s", 0, -500_000_000),
        ("-1.000000001s", -1, -1),
        ("315576000000s", 315_576_000_000, 0),
        ("-315576000000.000s", -315_576_000_000, 0),
        ("315576000000.999999999s", 315_576_000_000, 999_999_999),
        ("-315576000000.999999999s", -315_576_000_000, -999_999_999),
        ("1.010s", 1, 10_000_000),
    ];
    for (text, seconds, nanos) in good {
        let wire = decode_with("google.protobuf.Duration", format!("\"{text}\"").as_bytes(), REJECT).unwrap();
        assert_eq!(prost_types::Duration::decode(&*wire).unwrap(), prost_types::Duration { seconds, nanos }, "{text}");
    }
    for text in [
        "",
        "s",
        "1",
        "1.s",
        ".5s",
        "-s",
        "--1s",
        "+1s",
        "1 s",
        "1S",
        "1e3s",
        "315576000001s",
        "-315576000001s",
        "1.0000000000s",
        "0x1s",
        " 1s",
        "1s ",
        "1ms",
        "1.-5s",
        "99999999999999999999s",
    ] {
        decode_with("google.protobuf.Duration", format!("\"{text}\"").as_bytes(), REJECT).expect_err(text);
    }
    check_error(
        "test.Kinds",
        r#"{"timestamp":"x"}"#,
        "timestamp: expected a time like \"2026-03-14T15:09:26.5Z\" of the years 0001 to 9999, found \"x\" at line 1, column 14",
    );
    check("test.Kinds", r#"{"timestamp":"1970-01-01T00:00:00Z"}"#, r#"{"timestamp":"1970-01-01T00:00:00Z"}"#);
}

#[test]
fn field_masks_are_lower_camel_case() {
    check("test.Kinds", r#"{"mask":""}"#, r#"{"mask":""}"#);
    check("test.Kinds", r#"{"mask":"foo"}"#, r#"{"mask":"foo"}"#);
    check("test.Kinds", r#"{"mask":"fooBar.bazQux2,x"}"#, r#"{"mask":"fooBar.bazQux2,x"}"#);
    check_wire("google.protobuf.FieldMask", r#""aB,c""#, b"\x0a\x03a_b\x0a\x01c");
    for text in ["foo_bar", "foo,", ",foo", "a,,b", "foo bar", "foo-bar", "é", "a,"] {
        decode_with("google.protobuf.FieldMask", format!("\"{text}\"").as_bytes(), REJECT).expect_err(text);
    }
}

#[test]
fn structs_values_and_lists_are_any_json() {
    for json in [
        r#"{"value":null}"#,
        r#"{"value":1.5}"#,
        r#"{"value":"NaN"}"#,
        r#"{"value":true}"#,
        r#"{"value":[]}"#,
        r#"{"value":{}}"#,
        r#"{"value":[null,1,"a",[[]],{"a":{"b":[false]}}]}"#,
        r#"{"values":[null,1]}"#,
        r#"{"structure":{}}"#,
        r#"{"structure":{"a":null,"b":{"c":[1,2,{"d":"\u0065"}]}}}"#,
        r#"{"listValue":[]}"#,
        r#"{"listValue":[null,[]]}"#,
        r#"{"structure":null,"listValue":null}"#,
    ] {
        check("test.Kinds", json, json);
    }
    check_wire("google.protobuf.Value", "null", &[8, 0]);
    check_error(
        "test.Kinds",
        r#"{"structure":{"a":1,"a":2}}"#,
        r#"structure["a"]: the key is there twice at line 1, column 21"#,
    );
    check_error(
        "test.Kinds",
        r#"{"structure":{"a":[1,x]}}"#,
        r#"structure["a"][1]: expected a value, found `x` at line 1, column 22"#,
    );
    check_error("test.Kinds", r#"{"value":1e999}"#, "value: 1e999 is out of range for double at line 1, column 10");
    check_error(
        "test.Kinds",
        r#"{"listValue":{}}"#,
        "listValue: expected a list, found an object at line 1, column 14",
    );
    let long = format!(r#"{{"structure":{{"a":"{}","b":[{}]}}}}"#, "x".repeat(300), vec!["1"; 3000].join(","));
    check("test.Kinds", &long, &long);
}

#[test]
fn wrappers_are_their_value() {
    for (field, value, default) in [
        ("doubleValue", "1.5", "0"),
        ("floatValue", "1.5", "0"),
        ("int32Value", "-1", "0"),
        ("int64Value", r#""-1""#, "0"),
        ("uint32Value", "1", "0"),
        ("uint64Value", r#""18446744073709551615""#, "0"),
        ("boolValue", "true", "false"),
        ("stringValue", r#""a""#, r#""""#),
        ("bytesValue", r#""AQ==""#, r#""""#),
    ] {
        for value in [value, default, "null"] {
            let json = format!(r#"{{"{field}":{value}}}"#);
            check("test.Kinds", &json, &json);
        }
        decode_with("test.Kinds", format!(r#"{{"{field}":{{}}}}"#).as_bytes(), REJECT).expect_err(field);
    }
    check_wire("google.protobuf.Int32Value", "5", &[8, 5]);
    check_wire("google.protobuf.Int32Value", "0", &[]);
}

#[test]
fn any_is_the_message_of_its_type() {
    let at = "type.googleapis.com/";
    let cases = [
        "{}".to_owned(),
        format!(r#"{{"@type":"{at}test.Kinds","int32":1}}"#),
        format!(r#"{{"int32":1,"@type":"{at}test.Kinds","kind":{{"bool":true}}}}"#),
        format!(r#"{{"int32":1,"any":{{"int32":2,"@type":"{at}test.Kinds"}},"@type":"{at}test.Kinds"}}"#),
        format!(r#"{{"@type":"{at}google.protobuf.Duration","value":"1.5s"}}"#),
        format!(r#"{{"value":{{"a":[1]}},"@type":"{at}google.protobuf.Struct"}}"#),
        format!(r#"{{"@type":"{at}google.protobuf.Value","value":null}}"#),
        format!(r#"{{"@type":"{at}google.protobuf.Int32Value","value":7}}"#),
        format!(r#"{{"@type":"{at}google.protobuf.Empty","value":{{}}}}"#),
        format!(r#"{{"value":{{"@type":"{at}test.Kinds","int32":1}},"@type":"{at}google.protobuf.Any"}}"#),
    ];
    for any in cases {
        let json = format!(r#"{{"any":{any}}}"#);
        let wire = decode_with("test.Kinds", json.as_bytes(), REJECT).unwrap_or_else(|error| panic!("{json}: {error}"));
        let found = dynamic("test.Kinds", &wire);
        // prost-reflect reads nested members of any order, but wants the first form of all.
        if any != "{}" {
            let expected = oracle("test.Kinds", &json);
            assert!(found == expected, "{json}: {found}, not {expected}");
        }
    }
    check_wire("test.Kinds", r#"{"any":{}}"#, &[0xe2, 0x05, 0]);
    check_wire("google.protobuf.Any", r#"{"@type":"x.y/google.protobuf.Empty"}"#, b"\x0a\x19x.y/google.protobuf.Empty");
    check_wire("google.protobuf.Any", r#"{"value":"AQI","@type":"x/no.Such"}"#, b"\x0a\x09x/no.Such\x12\x02\x01\x02");
    check_wire(
        "google.protobuf.Any",
        "{\"@type\"\n: \"x/test.Kind\\u0073\" , \"int32\":5}",
        b"\x0a\x0cx/test.Kinds\x12\x02\x28\x05",
    );
    let errors = [
        (r#"{"a":1}"#, "an Any needs its \"@type\" at line 1, column 1"),
        (r#"{"@type":""}"#, "@type: \"\" is no type URL at line 1, column 10"),
        (r#"{"@type":"test.Kinds"}"#, "@type: \"test.Kinds\" is no type URL at line 1, column 10"),
        (r#"{"@type":"x/"}"#, "@type: \"x/\" is no type URL at line 1, column 10"),
        (r#"{"@type":1}"#, "expected a type URL, found a number at line 1, column 10"),
        (
            r#"{"@type":"x/no.Such"}"#,
            "unknown type \"x/no.Such\": only its bytes in base64 as \"value\" can be taken at line 1, column 1",
        ),
        (
            r#"{"@type":"x/no.Such","a":1}"#,
            "a: unknown type \"x/no.Such\": only its bytes in base64 as \"value\" can be taken at line 1, column 22",
        ),
        (
            r#"{"@type":"x/no.Such","value":{}}"#,
            "value: unknown type \"x/no.Such\": only its bytes in base64 as \"value\" can be taken at line 1, column 30",
        ),
        (r#"{"@type":"x/test.Kinds","@type":"x/test.Kinds"}"#, "@type: the field is there twice at line 1, column 25"),
        (
            r#"{"int32":1,"@type":"x/test.Kinds","@type":"x/test.Kinds"}"#,
            "@type: the field is there twice at line 1, column 35",
        ),
        (r#"{"@type":"x/test.Kinds","value":{}}"#, "value: expected a value, found an object"),
        (
            r#"{"@type":"x/google.protobuf.Duration"}"#,
            "an Any of google.protobuf.Duration needs a \"value\" at line 1, column 1",
        ),
        (r#"{"@type":"x/google.protobuf.Duration","value":"1s","a":1}"#, "a: unknown field at line 1, column 52"),
        (
            r#"{"@type":"x/google.protobuf.Duration","value":"1s","value":"1s"}"#,
            "value: the field is there twice at line 1, column 52",
        ),
    ];
    for (json, expected) in errors {
        if !json.contains(r#"Kinds","value""#) {
            check_error("google.protobuf.Any", json, expected);
        }
    }
}

#[test]
fn any_with_its_type_last_is_read_in_linear_time() {
    let mut json = "{}".to_owned();
    for _ in 0..99 {
        json = format!(r#"{{"value":{json},"@type":"x/google.protobuf.Any"}}"#);
    }
    decode_with("google.protobuf.Any", json.as_bytes(), REJECT).unwrap();
}

#[test]
fn old_syntax_has_groups_extensions_and_required_fields() {
    check("test.Old", r#"{"need":1,"part":{"a":5}}"#, r#"{"need":1,"part":{"a":5}}"#);
    check("test.Old", r#"{"need":1,"parts":[{"a":5},{}]}"#, r#"{"need":1,"parts":[{"a":5},{}]}"#);
    check("test.Old", r#"{"need":1,"[test.extra]":"x"}"#, r#"{"need":1,"[test.extra]":"x"}"#);
    check("test.Old", r#"{"need":0}"#, r#"{"need":0}"#);
    check_error("test.Old", "{}", "need: the required field is missing at line 1, column 2");
    check_error("test.Old", r#"{"need":null}"#, "need: the required field is missing at line 1, column 13");
    check_error("test.Old", r#"{"need":1,"old":{}}"#, "old.need: the required field is missing at line 1, column 18");
    check_error("test.Old", r#"{"need":1,"[test.none]":"x"}"#, "[test.none]: unknown field at line 1, column 11");
    check_wire("test.Set", r#"{"[test.Item.item]":{"text":"a"}}"#, &[0x0b, 0x10, 0x64, 0x1a, 3, 0x0a, 1, b'a', 0x0c]);
}

#[test]
fn messages_with_many_fields_and_oneofs_know_what_they_saw() {
    check("test.Wide", r#"{"f99":1,"f98":2,"f64":3,"f0":4,"f63":5}"#, r#"{"f99":1,"f98":2,"f64":3,"f0":4,"f63":5}"#);
    check_error("test.Wide", r#"{"f99":1,"f99":2}"#, "f99: the field is there twice at line 1, column 16");
    check_error("test.Wide", r#"{"f64":1,"f64":2}"#, "f64: the field is there twice at line 1, column 16");
    check("test.Wide", r#"{"wide":{"f99":1},"f99":2}"#, r#"{"wide":{"f99":1},"f99":2}"#);
}

#[test]
fn a_decoder_is_as_good_after_a_failure() {
    let id = PLAN.find_type("test.Kinds").unwrap();
    let mut decoder = Decoder::new();
    let mut out = Vec::new();
    let long = format!(r#"{{"kinds":[{{"string":"{}"}}]}}"#, "x".repeat(20000));
    let texts = [
        r#"{"kindMap":{"a":{"stringMap":{"a":"b","c":1}}}}"#,
        &long,
        r#"{"kinds":[{"int32":1}]}"#,
        r#"{"wide":"#,
        "{}",
    ];
    for text in texts.iter().cycle().take(20) {
        out.clear();
        let result = decoder.decode(&PLAN, id, text.as_bytes(), &REJECT, &mut out);
        let fresh = decode_with("test.Kinds", text.as_bytes(), REJECT);
        assert_eq!(result.is_ok(), fresh.is_ok());
        if let Ok(fresh) = fresh {
            assert_eq!(out, fresh);
        }
    }
}
