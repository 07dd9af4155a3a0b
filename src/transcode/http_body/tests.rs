//! HttpBody on the wire.

use super::*;

#[track_caller]
fn check(wire: &[u8], content_type: &str, data: &[u8]) {
    let body = read(wire).unwrap();
    assert_eq!(wire.get(body.content_type).unwrap(), content_type.as_bytes());
    assert_eq!(wire.get(body.data).unwrap(), data);
}

#[test]
fn parts_are_found_wherever_they_are() {
    check(b"", "", b"");
    check(b"\x0a\x01a\x12\x02\x00\xff", "a", b"\x00\xff");
    check(b"\x12\x02\x00\xff\x0a\x01a", "a", b"\x00\xff");
    check(b"\x1a\x03\x0a\x01a\x12\x01d", "", b"d");
}

#[test]
fn the_last_of_each_part_wins() {
    check(b"\x0a\x01a\x12\x01d\x12\x02ee\x0a\x01b", "b", b"ee");
    check(b"\x12\x01d\x12\x00", "", b"");
}

#[test]
fn other_wire_types_are_unknown_fields() {
    check(b"\x08\x01\x10\x01\x0b\x0c\x12\x01d", "", b"d");
}

#[test]
fn illegal_bytes_are_the_upstreams_fault() {
    for wire in [b"\x12\x05d".as_slice(), b"\x12", b"\x00\x00", b"\x0c", b"\x0a\x01\xff"] {
        assert_eq!(read(wire).unwrap_err().http(), 502, "{wire:x?}");
    }
}

#[test]
fn what_is_written_is_read() {
    for (content_type, data) in [("text/plain", b"\x00data".as_slice()), ("", b""), ("a", &[7; 300])] {
        let mut wire = Vec::new();
        write(content_type, data, &mut wire);
        check(&wire, content_type, data);
    }
}
