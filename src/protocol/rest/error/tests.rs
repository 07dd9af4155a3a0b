//! A status as a body, in both formats.

use super::*;
use crate::status::{Blame, Code};

#[track_caller]
fn check(format: ErrorFormat, status: &Status, expected: &str) {
    let mut out = Vec::new();
    let mut print = |detail: &Detail, out: &mut Vec<u8>| {
        out.extend_from_slice(format!("{{\"@type\":\"{}\"}}", detail.type_url).as_bytes());
    };
    format.write(status, &mut print, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

fn detail(type_url: &str) -> Detail {
    Detail { type_url: type_url.into(), value: Vec::new().into() }
}

#[test]
fn status_is_code_message_and_details() {
    let status = Status::new(Code::NotFound, Blame::Upstream, "no \"such\"\nuser €");
    check(ErrorFormat::Status, &status, r#"{"code":5,"message":"no \"such\"\nuser €","details":[]}"#);
    let status = Status::from_upstream(77, String::new(), vec![detail("a/B"), detail("a/C")]);
    check(ErrorFormat::Status, &status, r#"{"code":77,"message":"","details":[{"@type":"a/B"},{"@type":"a/C"}]}"#);
}

#[test]
fn problem_has_the_members_of_rfc_9457_first() {
    let status = Status::new(Code::NotFound, Blame::Upstream, "gone").with_detail(detail("a/B"));
    check(
        ErrorFormat::Problem,
        &status,
        r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"gone","code":5,"details":[{"@type":"a/B"}]}"#,
    );
    let status = Status::new(Code::Cancelled, Blame::Client, "left");
    check(
        ErrorFormat::Problem,
        &status,
        r#"{"type":"about:blank","title":"Client Closed Request","status":499,"detail":"left","code":1,"details":[]}"#,
    );
    let status = Status::new(Code::InvalidArgument, Blame::Client, "b").with_http(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    check(
        ErrorFormat::Problem,
        &status,
        r#"{"type":"about:blank","title":"Unsupported Media Type","status":415,"detail":"b","code":3,"details":[]}"#,
    );
}

#[test]
fn formats_have_their_media_types() {
    assert_eq!(ErrorFormat::Status.content_type(), "application/json");
    assert_eq!(ErrorFormat::Problem.content_type(), "application/problem+json");
}
