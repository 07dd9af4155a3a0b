//! The framing of server-sent events, and what may not forge it.

use super::*;
use crate::status::{Blame, Code};

#[track_caller]
fn check(labels: Labels<'_>, json: &str, expected: &str) {
    let mut out = Vec::new();
    let start = open(labels, &mut out);
    out.extend_from_slice(json.as_bytes());
    close(start, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

fn labels<'a>(id: &'a str, event: &'a str) -> Labels<'a> {
    Labels { id: Some(id), event: Some(event) }
}

#[test]
fn message_is_the_data_of_an_event() {
    check(Labels::default(), "{}", "data: {}\n\n");
    check(labels("7", "shipped"), "{}", "id: 7\nevent: shipped\ndata: {}\n\n");
    check(labels("", ""), "{}", "id: \ndata: {}\n\n");
}

#[test]
fn indented_message_is_several_lines_of_data() {
    check(Labels::default(), "{\n  \"a\": 1\n}", "data: {\ndata:   \"a\": 1\ndata: }\n\n");
}

#[test]
fn labels_can_neither_begin_a_field_nor_end_the_stream() {
    check(labels("1\ndata: x\r\0", "a\r\nb"), "{}", "id: 1data: x\nevent: ab\ndata: {}\n\n");
    for name in ["end", "error", " end", "error "] {
        check(labels("1", name), "{}", "id: 1\ndata: {}\n\n");
    }
    for name in ["e\nnd", "err\0or", "\rend"] {
        check(labels("1", name), "{}", "id: 1\ndata: {}\n\n");
    }
}

#[test]
fn failed_stream_ends_with_an_error_event() {
    let mut out = Vec::new();
    write_error(&Status::new(Code::Aborted, Blame::Upstream, "a\nb"), &mut |_, _| {}, &mut out);
    let expected = "event: error\ndata: {\"code\":10,\"message\":\"a\\nb\",\"details\":[]}\n\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
