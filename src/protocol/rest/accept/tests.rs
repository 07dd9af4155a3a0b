//! The form of a stream by what the client accepts.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(values: &[&str], default: StreamFormat, expected: StreamType) {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(ACCEPT, value.parse().unwrap());
    }
    assert_eq!(StreamType::negotiate(&headers, default), expected, "{values:?}");
}

#[test]
fn no_wish_means_the_default() {
    for (default, expected) in [
        (StreamFormat::Array, StreamType::Json),
        (StreamFormat::Ndjson, StreamType::Ndjson),
        (StreamFormat::Sse, StreamType::EventStream),
    ] {
        for values in [&[][..], &["*/*"], &[""], &["text/html"], &["*/*;q=0.1"], &["text/html, */*;q=0.8"]] {
            check(values, default, expected);
        }
    }
}

#[test]
fn named_type_beats_the_default() {
    check(&["application/json"], StreamFormat::Sse, StreamType::Json);
    check(&["application/x-ndjson"], StreamFormat::Array, StreamType::Ndjson);
    check(&["Application/JSONL"], StreamFormat::Array, StreamType::Jsonl);
    check(&["text/event-stream"], StreamFormat::Array, StreamType::EventStream);
    check(&["application/json; charset=utf-8"], StreamFormat::Sse, StreamType::Json);
    check(&["text/event-stream, */*"], StreamFormat::Array, StreamType::EventStream);
    check(&["text/html;a=\"b,c\", application/x-ndjson"], StreamFormat::Array, StreamType::Ndjson);
}

#[test]
fn quality_decides_then_order() {
    check(&["application/json;q=0.5, text/event-stream"], StreamFormat::Array, StreamType::EventStream);
    check(&["application/json;q=0.5, application/x-ndjson;q=0.501"], StreamFormat::Array, StreamType::Ndjson);
    check(&["application/json;q=0.5", "text/event-stream;q=0.9"], StreamFormat::Array, StreamType::EventStream);
    check(&["application/x-ndjson, application/json"], StreamFormat::Array, StreamType::Ndjson);
    check(&["application/json, text/event-stream"], StreamFormat::Sse, StreamType::Json);
    check(&["*/*, application/x-ndjson;q=0.9"], StreamFormat::Array, StreamType::Json);
    check(&["application/json;Q=0.2, application/jsonl; q=0.3"], StreamFormat::Array, StreamType::Jsonl);
}

#[test]
fn zero_quality_refuses() {
    check(&["application/json;q=0, */*"], StreamFormat::Array, StreamType::Ndjson);
    check(&["application/json;q=0, text/event-stream;q=0.1"], StreamFormat::Array, StreamType::EventStream);
    check(&["*/*;q=0"], StreamFormat::Ndjson, StreamType::Ndjson);
}

#[test]
fn type_wildcards_cover_the_default_or_the_first_of_their_own() {
    check(&["text/*"], StreamFormat::Array, StreamType::EventStream);
    check(&["application/*"], StreamFormat::Ndjson, StreamType::Ndjson);
    check(&["application/*"], StreamFormat::Sse, StreamType::Json);
    check(&["image/*"], StreamFormat::Array, StreamType::Json);
}

#[test]
fn unreadable_quality_says_nothing() {
    for bad in ["2", "1.001", "-1", "0.1234", "x", "", "0,5", "1.0.0"] {
        check(&[&format!("text/event-stream;q={bad}")], StreamFormat::Array, StreamType::Json);
    }
    check(&["text/event-stream;q=1.000"], StreamFormat::Array, StreamType::EventStream);
}

#[test]
fn types_have_names_and_formats() {
    for kind in StreamType::ALL {
        let named = [kind.content_type().to_str().unwrap().to_owned()];
        check(&[&named[0]], StreamFormat::Array, kind);
    }
    assert_eq!(StreamType::Jsonl.format(), StreamFormat::Ndjson);
}

proptest! {
    #[test]
    fn no_value_makes_it_panic(value in "[a-z*/;=,.\"q01 ]{0,40}") {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, value.parse().unwrap());
        let _ = StreamType::negotiate(&headers, StreamFormat::Array);
    }
}
