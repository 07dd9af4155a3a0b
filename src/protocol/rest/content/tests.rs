//! What a body is by its content type.

use http::header::HeaderValue;

use super::*;

fn headers(values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (CONTENT_TYPE, HeaderValue::from_str(value).unwrap())).fold(
        HeaderMap::new(),
        |mut map, (name, value)| {
            map.append(name, value);
            map
        },
    )
}

#[track_caller]
fn check(values: &[&str], expected: Content) {
    assert_eq!(Content::of(&headers(values)), expected, "{values:?}");
}

#[test]
fn json_is_json_or_a_suffix_or_nothing() {
    check(&[], Content::Json);
    for value in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "application/json; charset=utf8",
        "application/vnd.api+json",
        "application/merge-patch+json ; a=b",
        "model/gltf+json",
        "application/json;",
        "application/json; odata",
    ] {
        check(&[value], Content::Json);
    }
}

#[test]
fn forms_and_lines_are_told_apart() {
    check(&["application/x-www-form-urlencoded"], Content::Form);
    check(&["application/x-www-form-urlencoded; charset=UTF-8"], Content::Form);
    check(&["application/x-ndjson"], Content::Lines);
    check(&["Application/JSONL; charset=utf-8"], Content::Lines);
}

#[test]
fn all_else_is_other() {
    for value in [
        "text/plain",
        "text/json",
        "application/jsonp",
        "json",
        "+json",
        "application/octet-stream",
        "application/json; charset=iso-8859-1",
        "application/x-ndjson; charset=utf-16",
        "multipart/form-data; boundary=x",
    ] {
        check(&[value], Content::Other);
    }
    check(&["application/json", "application/json"], Content::Other);
    check(&[""], Content::Json);
    check(&[" "], Content::Json);
}

#[test]
fn unsupported_is_415_and_too_large_is_413() {
    let status = unsupported(&headers(&["text/plain"]));
    assert_eq!(status.http().as_u16(), 415);
    assert!(status.message().contains("`text/plain`"));
    assert_eq!(too_large(9).http().as_u16(), 413);
}
