//! Messages that are legal, and in pieces or out of order.

use super::wire_bytes::*;
use super::*;

const ALL: &str = "three.All";

#[test]
fn the_last_of_a_singular_field_wins() {
    check(ALL, &[int(3, 1), int(3, 2)].concat(), r#"{"int32Field":2}"#);
    check(ALL, &[int(3, 1), int(3, 0)].concat(), "{}");
    check(ALL, &[int(3, 1), int(5, 7), int(3, 2)].concat(), r#"{"int32Field":2,"uint32Field":7}"#);
    check(ALL, &[bytes(5000, "a"), bytes(5000, "b")].concat(), r#"{"far":"b"}"#);
    check(
        ALL,
        &[bytes(81, int(1, 0)), bytes(80, []), bytes(81, int(4, 1))].concat(),
        r#"{"manyTimes":["1970-01-01T00:00:00Z"],"manyValues":[null,true]}"#,
    );
}

#[test]
fn split_messages_merge() {
    check(
        ALL,
        &[bytes(17, [int(3, 1), bytes(22, "a")].concat()), bytes(17, [int(5, 2), bytes(22, "b")].concat())].concat(),
        r#"{"child":{"int32Field":1,"uint32Field":2,"strings":["a","b"]}}"#,
    );
    check(
        ALL,
        &[bytes(17, bytes(17, int(3, 1))), bytes(17, bytes(17, int(5, 2)))].concat(),
        r#"{"child":{"child":{"int32Field":1,"uint32Field":2}}}"#,
    );
    check(ALL, &[bytes(61, int(1, 5)), bytes(61, int(2, 1000))].concat(), r#"{"time":"1970-01-01T00:00:05.000001Z"}"#);
    check("two.All", &[group(8, int(1, 5)), group(8, int(1, 6))].concat(), r#"{"inner":{"depth":6}}"#);
    check(
        "two.All",
        &[group(8, bytes(2, int(1, 5))), group(8, bytes(2, bytes(13, "x")))].concat(),
        r#"{"inner":{"child":{"number":5,"text":"x"}}}"#,
    );
}

#[test]
fn lists_and_maps_gather() {
    check(ALL, &[int(21, 1), int(3, 7), bytes(21, [2, 3])].concat(), r#"{"int32Field":7,"int32s":[1,2,3]}"#);
    check(
        ALL,
        &[bytes(23, int(3, 1)), int(3, 7), bytes(23, [])].concat(),
        r#"{"int32Field":7,"children":[{"int32Field":1},{}]}"#,
    );
    check(
        ALL,
        &[entry(41, bytes(1, "b"), bytes(2, "x")), int(3, 7), entry(41, bytes(1, "a"), [])].concat(),
        r#"{"int32Field":7,"labels":{"b":"x","a":""}}"#,
    );
    // An unknown field between is no interruption that matters, but may be one.
    check(ALL, &[int(21, 1), int(999, 7), int(21, 2)].concat(), r#"{"int32s":[1,2]}"#);
}

#[test]
fn the_last_of_equal_map_keys_wins() {
    let pair = |key: &str, value: &str| entry(41, bytes(1, key), bytes(2, value));
    check(ALL, &[pair("a", "1"), pair("b", "2"), pair("a", "3")].concat(), r#"{"labels":{"b":"2","a":"3"}}"#);
    check(
        ALL,
        &[entry(43, int(1, 1), int(2, 1)), entry(43, int(1, 2), [])].concat(),
        r#"{"byBool":{"true":"COLOR_UNSPECIFIED"}}"#,
    );
    check(
        ALL,
        &[entry(42, int(1, 1), bytes(2, int(3, 1))), entry(42, int(1, 1 | 1 << 32), bytes(2, int(5, 2)))].concat(),
        r#"{"byNumber":{"1":{"uint32Field":2}}}"#,
    );
    check(
        ALL,
        &[entry(41, [], bytes(2, "x")), entry(41, bytes(1, ""), bytes(2, "y"))].concat(),
        r#"{"labels":{"":"y"}}"#,
    );
}

#[test]
fn entries_may_lack_anything_and_have_it_twice() {
    check(ALL, &entry(41, [], []), r#"{"labels":{"":""}}"#);
    check(ALL, &entry(42, [], []), r#"{"byNumber":{"0":{}}}"#);
    check(ALL, &entry(43, [], []), r#"{"byBool":{"false":"COLOR_UNSPECIFIED"}}"#);
    check(ALL, &entry(45, [], []), r#"{"times":{"":"1970-01-01T00:00:00Z"}}"#);
    check(ALL, &entry(46, [], []), r#"{"byFixed":{"0":0}}"#);
    check(ALL, &entry(47, [], []), r#"{"values":{"":null}}"#);
    check(ALL, &entry(41, bytes(2, "x"), bytes(1, "k")), r#"{"labels":{"k":"x"}}"#);
    check(
        ALL,
        &bytes(41, [bytes(1, "a"), bytes(1, "b"), bytes(2, "x"), bytes(2, "y"), int(3, 3)].concat()),
        r#"{"labels":{"b":"y"}}"#,
    );
    check(
        ALL,
        &entry(42, bytes(2, int(3, 1)), bytes(2, int(5, 2))),
        r#"{"byNumber":{"0":{"int32Field":1,"uint32Field":2}}}"#,
    );
}

#[test]
fn the_last_member_of_a_oneof_wins() {
    check(ALL, &[int(51, 1), bytes(52, "x")].concat(), r#"{"choiceText":"x"}"#);
    check(ALL, &[bytes(52, "x"), int(51, 0)].concat(), r#"{"choiceNumber":0}"#);
    check(
        ALL,
        &[bytes(53, int(3, 1)), bytes(53, int(5, 2))].concat(),
        r#"{"choiceChild":{"int32Field":1,"uint32Field":2}}"#,
    );
    check(
        ALL,
        &[bytes(53, int(3, 1)), int(51, 1), bytes(53, int(5, 2))].concat(),
        r#"{"choiceChild":{"uint32Field":2}}"#,
    );
    check(ALL, &[int(51, 1), int(55, 0)].concat(), r#"{"choiceNothing":null}"#);
}

#[test]
fn other_wire_types_are_unknown_fields() {
    check(ALL, &[bytes(3, "x"), int(14, 1), fixed32(3, 1), int(17, 1), group(3, int(3, 5))].concat(), "{}");
    check(ALL, &[bytes(22, "a"), int(22, 1), bytes(22, "b")].concat(), r#"{"strings":["a","b"]}"#);
    check(ALL, &fixed32(21, 1), "{}");
    check("two.All", &bytes(8, int(1, 5)), "{}");
    check(ALL, &int(41, 1), "{}");
}

#[test]
fn wide_varints_are_cut() {
    check(ALL, &int(3, u64::MAX - 1), r#"{"int32Field":-2}"#);
    check(ALL, &int(5, 1 << 32 | 5), r#"{"uint32Field":5}"#);
    check(ALL, &int(7, 1 << 33 | 1), r#"{"sint32Field":-1}"#);
    check(ALL, &int(13, 1 << 40), r#"{"boolField":true}"#);
    check(ALL, &int(16, 1 << 32 | 1), r#"{"color":"RED"}"#);
    check(ALL, b"\x18\x85\x80\x80\x80\x80\x80\x80\x80\x80\x00", r#"{"int32Field":5}"#);
    check(ALL, b"\x98\x80\x80\x00\x05", r#"{"int32Field":5}"#);
}

#[test]
fn values_in_pieces() {
    let text = |text: &str| bytes(3, text);
    check(ALL, &bytes(65, [text("a"), double(2, 1.0)].concat()), r#"{"value":1}"#);
    check(ALL, &[bytes(65, text("a")), bytes(65, int(4, 1))].concat(), r#"{"value":true}"#);
    let field = |key: &str, value: Vec<u8>| entry(1, bytes(1, key), bytes(2, value));
    check(ALL, &bytes(64, [field("a", text("x")), field("a", int(1, 0))].concat()), r#"{"struct":{"a":null}}"#);
    check(
        ALL,
        &[bytes(64, field("a", text("x"))), bytes(64, field("b", int(1, 0)))].concat(),
        r#"{"struct":{"a":"x","b":null}}"#,
    );
    check(
        ALL,
        &bytes(64, [field("a", text("x")), int(9, 9), field("b", text("y"))].concat()),
        r#"{"struct":{"a":"x","b":"y"}}"#,
    );
    check(
        ALL,
        &bytes(65, [bytes(5, field("a", text("x"))), bytes(5, field("b", text("y")))].concat()),
        r#"{"value":{"a":"x","b":"y"}}"#,
    );
    check(ALL, &[bytes(66, bytes(1, text("a"))), bytes(66, bytes(1, text("b")))].concat(), r#"{"list":["a","b"]}"#);
    check(ALL, &[bytes(71, int(1, 1)), bytes(71, int(1, 2))].concat(), r#"{"int64Value":"2"}"#);
    check(
        ALL,
        &[any(63, "x/three.All", int(3, 1)), bytes(63, bytes(2, int(5, 2)))].concat(),
        r#"{"any":{"@type":"x/three.All","uint32Field":2}}"#,
    );
    check(
        ALL,
        &any(63, "x/three.All", [int(3, 1), int(3, 2)].concat()),
        r#"{"any":{"@type":"x/three.All","int32Field":2}}"#,
    );
    check(ALL, &bytes(67, [bytes(1, "a_b"), bytes(1, "c")].concat()), r#"{"mask":"aB,c"}"#);
    check(ALL, &[bytes(67, bytes(1, "a_b")), bytes(67, bytes(1, "c"))].concat(), r#"{"mask":"aB,c"}"#);
}

#[test]
fn what_is_overwritten_must_be_legal_all_the_same() {
    for bad in [bytes(22, [0xff]), bytes(21, [0x80]), bytes(26, [1]), bytes(14, [0xff]), bytes(63, bytes(1, [0xff]))] {
        assert!(print(ALL, &[bytes(53, &bad), int(51, 1)].concat(), &EncodeOptions::default()).is_err(), "{bad:x?}");
        assert!(print_rewritten(ALL, &[bytes(53, &bad), int(51, 1)].concat()).is_err(), "{bad:x?}");
    }
    // The bytes in an `Any` have no type before it is printed.
    let times = [any(63, "x/google.protobuf.Timestamp", [0xff]), any(63, "x/google.protobuf.Timestamp", [])].concat();
    check(ALL, &times, r#"{"any":{"@type":"x/google.protobuf.Timestamp","value":"1970-01-01T00:00:00Z"}}"#);
}
