//! Bytes that are no message, and messages beyond the bounds.

use std::fmt::Write as _;

use super::wire_bytes::*;
use super::*;
use crate::transcode::MAX_DEPTH;

const ALL: &str = "three.All";

#[test]
fn illegal_bytes_are_named_with_their_place() {
    check_fails(ALL, b"\x18", "the message ends within a value in field \"int32_field\" at offset 1");
    check_fails(ALL, b"\x80", "the message ends within a value at offset 0");
    check_fails(ALL, b"\x00\x01", "field number 0 at offset 0");
    check_fails(ALL, b"\x1e\x01", "an unknown wire type at offset 0");
    check_fails(ALL, b"\x80\x80\x80\x80\x10\x00", "a field number out of range at offset 0");
    check_fails(
        ALL,
        b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "a varint of more than ten bytes in field \"int32_field\" at offset 1",
    );
    check_fails(ALL, b"\x09\x01", "the message ends within a value in field \"double_field\" at offset 1");
    check_fails(ALL, b"\x15\x01", "the message ends within a value in field \"float_field\" at offset 1");
    check_fails(ALL, b"\x72\x05abc", "the message ends within a value in field \"string_field\" at offset 1");
    check_fails(
        ALL,
        b"\x72\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "the message ends within a value in field \"string_field\" at offset 1",
    );
    check_fails(ALL, &bytes(14, [b'a', 0xff]), "a string that is not UTF-8 in field \"string_field\" at offset 2");
    check_fails(
        ALL,
        &bytes(14, [0xed, 0xa0, 0x80]),
        "a string that is not UTF-8 in field \"string_field\" at offset 2",
    );
    check_fails(
        ALL,
        &bytes(17, bytes(22, [0xff])),
        "a string that is not UTF-8 in field \"child.strings\" at offset 6",
    );
    check_fails(ALL, &entry(41, bytes(1, [0xff]), []), "a string that is not UTF-8 in field \"labels\" at offset 5");
    check_fails(
        ALL,
        &entry(41, [], bytes(2, [0xff])),
        "a string that is not UTF-8 in field \"labels.value\" at offset 5",
    );
    check_fails(ALL, &tag(3, 4), "an end group without its start at offset 1");
    check_fails(ALL, &tag(999, 3), "the message ends within a value at offset 2");
    check_fails(
        "two.All",
        &[tag(8, 3), tag(9, 4)].concat(),
        "an end group without its start in field \"inner\" at offset 2",
    );
    check_fails("two.All", &tag(8, 3), "the message ends within a value in field \"inner\" at offset 1");
    check_fails(
        ALL,
        &any(63, "x/three.All", [0x18]),
        "the message ends within a value in field \"any.three.All.int32_field\" at offset 19",
    );
    check_fails(
        ALL,
        &bytes(63, [bytes(1, [0xff]), bytes(2, [1])].concat()),
        "a string that is not UTF-8 in field \"any\" at offset 5",
    );
    check_fails(
        ALL,
        &[int(3, 1), int(3, 2), bytes(14, [0xff])].concat(),
        "a string that is not UTF-8 in field \"string_field\" at offset 6",
    );
}

#[test]
fn unchecked_strings_are_repaired() {
    check("two.All", &bytes(13, [b'a', 0xff, b'"']), "{\"text\":\"a\u{fffd}\\\"\"}");
    check("two.All", &entry(14, bytes(1, [0xff]), bytes(2, [0xfe])), "{\"texts\":{\"\u{fffd}\":\"\u{fffd}\"}}");
}

/// `depth` messages within each other, the outermost included.
fn nested(depth: usize, inner: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    (1..depth).fold(Vec::new(), |wire, _| inner(wire))
}

#[test]
fn a_hundred_levels_are_the_limit() {
    #[track_caller]
    fn check_limit(message: &str, levels: fn(usize) -> Vec<u8>) {
        assert!(print(message, &levels(MAX_DEPTH), &EncodeOptions::default()).is_ok());
        assert!(print_rewritten(message, &levels(MAX_DEPTH)).is_ok());
        for depth in [MAX_DEPTH + 1, 10_000] {
            let wire = levels(depth);
            let status = print(message, &wire, &EncodeOptions::default()).unwrap_err();
            let cause = status.cause().unwrap().to_string();
            assert!(cause.contains("nested deeper than 100 levels"), "{cause}");
            assert!(print_rewritten(message, &wire).is_err());
        }
    }
    check_limit(ALL, |depth| nested(depth, |wire| bytes(17, wire)));
    check_limit(ALL, |depth| nested(depth, |wire| bytes(23, wire)));
    check_limit(ALL, |depth| nested(depth, |wire| entry(42, int(1, 1), bytes(2, wire))));
    check_limit("google.protobuf.ListValue", |depth| nested(depth, |wire| bytes(1, bytes(6, wire))));
    check_limit("google.protobuf.Struct", |depth| nested(depth, |wire| entry(1, [], bytes(2, bytes(5, wire)))));
    check_limit("google.protobuf.Any", |depth| {
        nested(depth, |wire| [bytes(1, "x/google.protobuf.Any"), bytes(2, wire)].concat())
    });
    check_limit("google.protobuf.Any", |depth| {
        nested(depth, |wire| [bytes(1, "x/three.All"), bytes(2, bytes(63, wire))].concat())
    });
    check_limit("two.All", |depth| nested(depth, |wire| group(999, wire)));
    check_limit("two.All", |depth| bytes(11, nested(depth - 1, |wire| group(999, wire))));
}

#[test]
fn a_deep_any_does_not_overflow_a_small_stack() {
    let deep = || {
        let wire = nested(10_000, |wire| [bytes(1, "x/google.protobuf.Any"), bytes(2, wire)].concat());
        assert!(print("google.protobuf.Any", &wire, &EncodeOptions::default()).is_err());
        let wire = nested(100, |wire| [bytes(1, "x/three.All"), bytes(2, bytes(63, wire))].concat());
        assert!(print("google.protobuf.Any", &wire, &EncodeOptions::default()).is_ok());
        assert!(print_rewritten("google.protobuf.Any", &wire).is_ok());
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(deep).unwrap().join().unwrap();
}

#[test]
fn output_stops_at_its_limit() {
    let options = EncodeOptions { max_bytes: 1_000_000, ..EncodeOptions::default() };
    let mut out = Vec::new();
    let wire = bytes(25, vec![0; 10_000_000]);
    let status = Encoder::new().encode(&PLAN, id(ALL), &wire, &options, &mut out).unwrap_err();
    assert!(status.cause().unwrap().to_string().starts_with("the message prints as more bytes than allowed"));
    assert!(out.capacity() < 20_000_000, "{}", out.capacity());
    let mut text = String::new();
    write!(text, "{{\"stringField\":\"{}\"}}", "x".repeat(100)).unwrap();
    let exact = EncodeOptions { max_bytes: text.len(), ..options };
    check_with(exact, ALL, &bytes(14, "x".repeat(100)), &text);
    let less = EncodeOptions { max_bytes: text.len() - 1, ..options };
    assert!(print(ALL, &bytes(14, "x".repeat(100)), &less).is_err());
}
