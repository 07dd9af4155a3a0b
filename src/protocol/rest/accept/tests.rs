use super::*;

#[track_caller]
fn check(values: &[&str], default: Framing, expected: StreamType) {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(ACCEPT, value.parse().unwrap());
    }
    assert_eq!(StreamType::negotiate(&headers, default), expected, "{values:?}");
}

#[test]
fn no_wish_means_the_default() {
    for (default, expected) in [
        (Framing::Array, StreamType::Json),
        (Framing::Ndjson, StreamType::Ndjson),
        (Framing::Sse, StreamType::EventStream),
    ] {
        for values in [&[][..], &["*/*"], &[""], &["text/html"], &["*/*;q=0.1"], &["text/html, */*;q=0.8"]] {
            check(values, default, expected);
        }
    }
}

#[test]
fn named_type_beats_the_default() {
    check(&["application/json"], Framing::Sse, StreamType::Json);
    check(&["application/x-ndjson"], Framing::Array, StreamType::Ndjson);
    check(&["Application/JSONL"], Framing::Array, StreamType::Jsonl);
    check(&["text/event-stream"], Framing::Array, StreamType::EventStream);
    check(&["application/json; charset=utf-8"], Framing::Sse, StreamType::Json);
    check(&["text/event-stream, */*"], Framing::Array, StreamType::EventStream);
    check(&["text/html;a=\"b,c\", application/x-ndjson"], Framing::Array, StreamType::Ndjson);
}

#[test]
fn quality_decides_then_order() {
    check(&["application/json;q=0.5, text/event-stream"], Framing::Array, StreamType::EventStream);
    check(&["application/json;q=0.5, application/x-ndjson;q=0.501"], Framing::Array, StreamType::Ndjson);
    check(&["application/json;q=0.5", "text/event-stream;q=0.9"], Framing::Array, StreamType::EventStream);
    check(&["application/x-ndjson, application/json"], Framing::Array, StreamType::Ndjson);
    check(&["application/json, text/event-stream"], Framing::Sse, StreamType::Json);
    check(&["*/*, application/x-ndjson;q=0.9"], Framing::Array, StreamType::Json);
    check(&["application/json;Q=0.2, application/jsonl; q=0.3"], Framing::Array, StreamType::Jsonl);
}

#[test]
fn zero_quality_refuses() {
    check(&["application/json;q=0, */*"], Framing::Array, StreamType::Ndjson);
    check(&["application/json;q=0, text/event-stream;q=0.1"], Framing::Array, StreamType::EventStream);
    check(&["*/*;q=0"], Framing::Ndjson, StreamType::Ndjson);
}

#[test]
fn type_wildcards_cover_the_default_or_the_first_of_their_own() {
    check(&["text/*"], Framing::Array, StreamType::EventStream);
    check(&["application/*"], Framing::Ndjson, StreamType::Ndjson);
    check(&["application/*"], Framing::Sse, StreamType::Json);
    check(&["image/*"], Framing::Array, StreamType::Json);
}

#[test]
fn unreadable_quality_says_nothing() {
    for bad in ["2", "1.001", "-1", "0.1234", "x", "", "0,5", "1.0.0"] {
        check(&[&format!("text/event-stream;q={bad}")], Framing::Array, StreamType::Json);
    }
    check(&["text/event-stream;q=1.000"], Framing::Array, StreamType::EventStream);
}

#[test]
fn types_have_names_and_framings() {
    for kind in StreamType::ALL {
        let named = [kind.content_type().to_str().unwrap().to_owned()];
        check(&[&named[0]], Framing::Array, kind);
    }
    assert_eq!(StreamType::Jsonl.framing(), Framing::Ndjson);
}
