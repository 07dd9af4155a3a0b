//! The framing of a JSON array.

use super::*;

#[track_caller]
fn check(messages: &[&str], expected: &str) {
    let (mut writer, mut out) = (ArrayWriter::default(), Vec::new());
    for message in messages {
        writer.open(&mut out);
        out.extend_from_slice(message.as_bytes());
    }
    writer.end(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn messages_become_elements() {
    check(&[], "[]");
    check(&["1"], "[1]");
    check(&["{}", "null", "[]"], "[{},null,[]]");
}
