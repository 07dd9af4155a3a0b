//! The framing of NDJSON.

use super::*;
use crate::status::{Blame, Code};

#[test]
fn message_becomes_one_line() {
    let mut out = b"before\n{\n  \"a\": \"b\\n\"\r\n}".to_vec();
    close(7, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "before\n{   \"a\": \"b\\n\"  }\n");
}

#[test]
fn error_is_a_line_of_its_own() {
    let status = Status::new(Code::Aborted, Blame::Upstream, "no\nmore")
        .with_detail(Detail { type_url: String::new(), value: Vec::new().into() });
    let mut out = b"{}\n".to_vec();
    write_error(&status, &mut |_, out| out.extend_from_slice(b"{\n}"), &mut out);
    let expected = "{}\n{\"@error\":{\"code\":10,\"message\":\"no\\nmore\",\"details\":[{ }]}}\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
