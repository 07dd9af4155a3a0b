//! Fields of every kind as they are printed.

use super::wire_bytes::*;
use super::*;

const ALL: &str = "three.All";

#[test]
fn every_kind_has_its_form() {
    check(ALL, &[], "{}");
    check(ALL, &double(1, 1.5), r#"{"doubleField":1.5}"#);
    check(ALL, &double(1, 1e300), r#"{"doubleField":1e+300}"#);
    check(ALL, &double(1, 100.0), r#"{"doubleField":100}"#);
    check(ALL, &double(1, -0.0), r#"{"doubleField":-0}"#);
    check(ALL, &double(1, f64::NAN), r#"{"doubleField":"NaN"}"#);
    check(ALL, &double(1, f64::NEG_INFINITY), r#"{"doubleField":"-Infinity"}"#);
    check(ALL, &float(2, 0.1), r#"{"floatField":0.1}"#);
    check(ALL, &float(2, f32::INFINITY), r#"{"floatField":"Infinity"}"#);
    check(ALL, &float(2, f32::MAX), r#"{"floatField":3.4028235e+38}"#);
    check(ALL, &int(3, 5), r#"{"int32Field":5}"#);
    check(ALL, &int(3, -5_i64 as u64), r#"{"int32Field":-5}"#);
    check(ALL, &int(3, i32::MIN as u64), r#"{"int32Field":-2147483648}"#);
    check(ALL, &int(4, i64::MIN as u64), r#"{"int64Field":"-9223372036854775808"}"#);
    check(ALL, &int(5, u32::MAX.into()), r#"{"uint32Field":4294967295}"#);
    check(ALL, &int(6, u64::MAX), r#"{"uint64Field":"18446744073709551615"}"#);
    check(ALL, &int(7, 1), r#"{"sint32Field":-1}"#);
    check(ALL, &int(7, u32::MAX.into()), r#"{"sint32Field":-2147483648}"#);
    check(ALL, &int(8, u64::MAX), r#"{"sint64Field":"-9223372036854775808"}"#);
    check(ALL, &fixed32(9, u32::MAX), r#"{"fixed32Field":4294967295}"#);
    check(ALL, &fixed64(10, u64::MAX), r#"{"fixed64Field":"18446744073709551615"}"#);
    check(ALL, &fixed32(11, u32::MAX), r#"{"sfixed32Field":-1}"#);
    check(ALL, &fixed64(12, u64::MAX), r#"{"sfixed64Field":"-1"}"#);
    check(ALL, &int(13, 1), r#"{"boolField":true}"#);
    check(ALL, &bytes(14, "a"), r#"{"stringField":"a"}"#);
    check(ALL, &bytes(15, [0xfb, 0xff, 1, 2]), r#"{"bytesField":"+/8BAg=="}"#);
    check(ALL, &int(16, 1), r#"{"color":"RED"}"#);
    check(ALL, &int(16, -1_i64 as u64), r#"{"color":"NEGATIVE"}"#);
    check(ALL, &int(16, 9), r#"{"color":9}"#);
    check(ALL, &bytes(17, bytes(17, [])), r#"{"child":{"child":{}}}"#);
    check(ALL, &int(18, 0), r#"{"maybe":0}"#);
    check(ALL, &bytes(20, "x"), r#"{"other name":"x"}"#);
    check(ALL, &bytes(5000, "x"), r#"{"far":"x"}"#);
    check(ALL, &[int(3, 1), int(5, 2), int(13, 1)].concat(), r#"{"int32Field":1,"uint32Field":2,"boolField":true}"#);
}

#[test]
fn defaults_without_presence_are_left_out() {
    let zeros = [
        double(1, 0.0),
        float(2, 0.0),
        int(3, 0),
        int(3 + 1, 0),
        int(8, 0),
        fixed32(9, 0),
        fixed64(10, 0),
        int(13, 0),
        bytes(14, []),
        bytes(15, []),
        int(16, 0),
        int(19, 0),
        bytes(21, []),
    ];
    check(ALL, &zeros.concat(), "{}");
    check(ALL, &int(3, 1 << 32), "{}");
}

#[test]
fn lists_take_both_forms() {
    check(ALL, &bytes(21, [1, 2, 3]), r#"{"int32s":[1,2,3]}"#);
    check(ALL, &[int(21, 1), bytes(21, [2, 3]), bytes(21, []), int(21, 4)].concat(), r#"{"int32s":[1,2,3,4]}"#);
    check(ALL, &[int(31, 1), bytes(31, [2, 3])].concat(), r#"{"unpacked":["1","2","3"]}"#);
    check(ALL, &[bytes(22, "a"), bytes(22, "")].concat(), r#"{"strings":["a",""]}"#);
    check(ALL, &[bytes(23, []), bytes(23, int(3, 1))].concat(), r#"{"children":[{},{"int32Field":1}]}"#);
    check(ALL, &bytes(24, 0.5_f64.to_le_bytes()), r#"{"doubles":[0.5]}"#);
    check(ALL, &bytes(25, [0, 1, 7]), r#"{"colors":["COLOR_UNSPECIFIED","RED",7]}"#);
    check(ALL, &bytes(26, [1, 0, 0, 0, 2, 0, 0, 0]), r#"{"fixed32s":[1,2]}"#);
    check(ALL, &bytes(27, [0, 1]), r#"{"bools":[false,true]}"#);
    check(ALL, &bytes(28, [0, 1, 2]), r#"{"sint64s":["0","-1","1"]}"#);
    check(ALL, &[bytes(29, [1]), bytes(29, [])].concat(), r#"{"manyBytes":["AQ==",""]}"#);
    check(ALL, &bytes(30, f32::NAN.to_le_bytes()), r#"{"floats":["NaN"]}"#);
}

#[test]
fn maps_are_objects() {
    check(
        ALL,
        &[entry(41, bytes(1, "a"), bytes(2, "x")), entry(41, bytes(1, "\""), bytes(2, "y"))].concat(),
        r#"{"labels":{"a":"x","\"":"y"}}"#,
    );
    check(ALL, &entry(42, int(1, -3_i64 as u64), bytes(2, int(3, 1))), r#"{"byNumber":{"-3":{"int32Field":1}}}"#);
    check(ALL, &entry(43, int(1, 1), int(2, 1)), r#"{"byBool":{"true":"RED"}}"#);
    check(ALL, &entry(44, int(1, u64::MAX), bytes(2, [1])), r#"{"byWide":{"18446744073709551615":"AQ=="}}"#);
    check(ALL, &entry(46, fixed32(1, u32::MAX), double(2, 1.0)), r#"{"byFixed":{"-1":1}}"#);
    check(ALL, &entry(47, bytes(1, "a"), bytes(2, int(1, 0))), r#"{"values":{"a":null}}"#);
}

#[test]
fn strings_are_escaped() {
    check(
        ALL,
        &bytes(14, "\"\\/\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}"),
        "{\"stringField\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f}\"}",
    );
    check(ALL, &bytes(14, "é\u{2028}😀<>"), "{\"stringField\":\"é\u{2028}😀<>\"}");
    for length in 0..200 {
        for at in 0..=length {
            for special in ["\"", "é", "\n"] {
                let text = format!("{}{special}{}", "x".repeat(at), "y".repeat(length - at));
                let json = format!("{{\"stringField\":{}}}", serde_json::to_string(&text).unwrap());
                assert_eq!(print(ALL, &bytes(14, &text), &EncodeOptions::default()).unwrap(), json);
            }
        }
    }
}

#[test]
fn closed_enums_leave_out_what_they_do_not_list() {
    check("two.All", &int(3, 4), r#"{"closed":"SECOND"}"#);
    check("two.All", &int(3, 100_000), r#"{"closed":"FAR"}"#);
    check("two.All", &int(3, 9), "{}");
    check("two.All", &[int(3, 4), int(3, 9)].concat(), r#"{"closed":"SECOND"}"#);
    check("two.All", &[int(4, 9), int(4, 4), int(4, 8)].concat(), r#"{"closeds":["SECOND"]}"#);
    check("two.All", &bytes(4, [9]), "{}");
    check("two.All", &entry(5, bytes(1, "a"), int(2, 9)), "{}");
    check("two.All", &entry(5, bytes(1, "a"), []), r#"{"byName":{"a":"FIRST"}}"#);
    check(
        "two.All",
        &[entry(5, bytes(1, "a"), int(2, 4)), entry(5, bytes(1, "a"), int(2, 9))].concat(),
        r#"{"byName":{"a":"SECOND"}}"#,
    );
    check("two.All", &[int(7, 1), int(6, 9)].concat(), r#"{"other":1}"#);
    check("two.All", &[int(7, 1), int(6, 4)].concat(), r#"{"one":"SECOND"}"#);
}

#[test]
fn groups_extensions_and_message_sets() {
    check("two.All", &group(8, int(1, 5)), r#"{"inner":{"depth":5}}"#);
    let deeper = group(8, [group(8, bytes(1, "x")), group(8, [])].concat());
    check("two.All", &deeper, r#"{"inner":{"deeper":[{"text":"x"},{}]}}"#);
    check("two.All", &int(100, 5), r#"{"[two.extra]":5}"#);
    check("two.All", &bytes(101, bytes(1, "x")), r#"{"[two.items]":[{"name":"x"}]}"#);
    let item = |number: u64, wire: Vec<u8>| group(1, [int(2, number), bytes(3, wire)].concat());
    let set = [item(1000, bytes(1, "x")), item(2000, int(1, 7)), item(99, vec![])].concat();
    check("two.All", &bytes(12, &set), r#"{"set":{"[two.Item.item]":{"name":"x"},"[two.Other.other]":{"number":7}}}"#);
    let split = [item(2000, int(1, 7)), item(2000, vec![])].concat();
    check("two.All", &bytes(12, &split), r#"{"set":{"[two.Other.other]":{"number":7}}}"#);
    let message_first = group(1, [bytes(3, int(1, 7)), int(2, 2000)].concat());
    check("two.All", &bytes(12, &message_first), r#"{"set":{"[two.Other.other]":{"number":7}}}"#);
}

#[test]
fn options_change_the_form() {
    let plain = EncodeOptions::default();
    let names = EncodeOptions { names: Names::Proto, ..plain };
    check_with(names, ALL, &[int(3, 5), bytes(20, "x")].concat(), r#"{"int32_field":5,"renamed":"x"}"#);
    let enums = EncodeOptions { enums: Enums::Number, ..plain };
    check_with(enums, ALL, &int(16, 1), r#"{"color":1}"#);
    check_with(enums, ALL, &bytes(65, int(1, 0)), r#"{"value":null}"#);
    let int64 = EncodeOptions { int64: Int64::Number, ..plain };
    check_with(int64, ALL, &[int(4, 5), bytes(71, int(1, 6))].concat(), r#"{"int64Field":5,"int64Value":6}"#);
    let indent = EncodeOptions { indent: 2, ..plain };
    check_with(
        indent,
        ALL,
        &[bytes(14, "a{\"\\"), bytes(21, [1, 2]), bytes(17, []), bytes(66, [])].concat(),
        "{\n  \"stringField\": \"a{\\\"\\\\\",\n  \"int32s\": [\n    1,\n    2\n  ],\n  \"child\": {},\n  \"list\": []\n}",
    );
}

#[test]
fn emitting_unset_fields_prints_those_without_presence() {
    let emit = EncodeOptions { unset: Unset::Emit, ..EncodeOptions::default() };
    check_with(emit, "three.All", &bytes(17, int(3, 5)), &{
        let rest = |int32: &str| {
            format!(
                r#"{int32}"doubleField":0,"floatField":0,{}"int64Field":"0","uint32Field":0,"uint64Field":"0","sint32Field":0,"sint64Field":"0","fixed32Field":0,"fixed64Field":"0","sfixed32Field":0,"sfixed64Field":"0","boolField":false,"stringField":"","bytesField":"","color":"COLOR_UNSPECIFIED","nothing":null,"other name":"","int32s":[],"strings":[],"children":[],"doubles":[],"colors":[],"fixed32s":[],"bools":[],"sint64s":[],"manyBytes":[],"floats":[],"unpacked":[],"labels":{{}},"byNumber":{{}},"byBool":{{}},"byWide":{{}},"times":{{}},"byFixed":{{}},"values":{{}},"manyTimes":[],"manyValues":[],"manyAny":[],"far":"""#,
                if int32.is_empty() { r#""int32Field":0,"# } else { "" }
            )
        };
        format!(r#"{{"child":{{{}}},{}}}"#, rest(r#""int32Field":5,"#), rest(""))
    });
    check_with(emit, "two.All", &bytes(10, []), r#"{"packed":[],"closeds":[],"byName":{},"numbers":[],"texts":{}}"#);
    check_with(emit, "two.Item", &[], "{}");
}

#[test]
fn one_field_prints_alone() {
    #[track_caller]
    fn check(wire: &[u8], name: &str, expected: &str) {
        let options = EncodeOptions::default();
        let source = Source { plan: &PLAN, message: id(ALL), wire, options: &options };
        let mut out = Vec::new();
        Encoder::new().encode_field(&source, field(ALL, name), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    check(&[], "int32_field", "0");
    check(&[], "string_field", r#""""#);
    check(&[], "color", r#""COLOR_UNSPECIFIED""#);
    check(&[], "child", "{}");
    check(&[], "maybe", "null");
    check(&[], "time", "null");
    check(&[], "list", "[]");
    check(&[], "struct", "{}");
    check(&[], "strings", "[]");
    check(&[], "labels", "{}");
    check(&[int(3, 9), bytes(17, int(3, 1))].concat(), "child", r#"{"int32Field":1}"#);
    check(
        &[bytes(17, int(3, 1)), int(3, 9), bytes(17, int(5, 1))].concat(),
        "child",
        r#"{"int32Field":1,"uint32Field":1}"#,
    );
    check(&[int(3, 9), int(3, 8)].concat(), "int32_field", "8");
    check(&[bytes(21, [1]), int(3, 8), int(21, 2)].concat(), "int32s", "[1,2]");
    check(&[entry(41, bytes(1, "a"), bytes(2, "b")), int(3, 1)].concat(), "labels", r#"{"a":"b"}"#);
    check(&[int(51, 1), bytes(52, "x")].concat(), "choice_number", "null");
    check(&[int(51, 1), bytes(52, "x")].concat(), "choice_text", r#""x""#);
}

#[test]
fn one_field_prints_as_text() {
    #[track_caller]
    fn check(wire: &[u8], name: &str, expected: Option<&str>) {
        let options = EncodeOptions::default();
        let source = Source { plan: &PLAN, message: id(ALL), wire, options: &options };
        let mut out = Vec::new();
        let printed = Encoder::new().encode_text(&source, field(ALL, name), &mut out).unwrap();
        assert_eq!(printed.then_some(String::from_utf8(out).unwrap().as_str()), expected);
    }
    check(&bytes(14, "a\"b"), "string_field", Some("a\"b"));
    check(&[bytes(14, "a"), bytes(14, "b")].concat(), "string_field", Some("b"));
    check(&[], "string_field", None);
    check(&int(4, 5), "int64_field", Some("5"));
    check(&int(16, 1), "color", Some("RED"));
    check(&int(13, 1), "bool_field", Some("true"));
    check(&bytes(61, int(1, 0)), "time", Some("1970-01-01T00:00:00Z"));
    check(&[], "time", None);
    check(&[], "maybe", None);
}

#[test]
fn details_never_fail() {
    #[track_caller]
    fn check(type_url: &str, value: Vec<u8>, expected: &str) {
        let detail = Detail { type_url: type_url.into(), value: value.into() };
        let mut out = b"[".to_vec();
        Encoder::new().encode_detail(&PLAN, &detail, &EncodeOptions::default(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("[{expected}"));
    }
    check("type.googleapis.com/three.All", int(3, 5), r#"{"@type":"type.googleapis.com/three.All","int32Field":5}"#);
    check(
        "type.googleapis.com/three.All",
        [int(3, 5), int(3, 6)].concat(),
        r#"{"@type":"type.googleapis.com/three.All","int32Field":6}"#,
    );
    check("x/google.protobuf.Duration", int(1, 5), r#"{"@type":"x/google.protobuf.Duration","value":"5s"}"#);
    check("x/nobody.Knows", vec![1, 2], r#"{"@type":"x/nobody.Knows","value":"AQI="}"#);
    check("x/three.All", vec![0xff], r#"{"@type":"x/three.All","value":"/w=="}"#);
    check(
        "x/google.protobuf.Duration",
        [int(1, 5), int(2, -1_i64 as u64)].concat(),
        r#"{"@type":"x/google.protobuf.Duration","value":"CAUQ////////////AQ=="}"#,
    );
}
