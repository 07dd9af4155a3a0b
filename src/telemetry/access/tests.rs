//! The access log's lines.

use std::time::{Duration, SystemTime};

use http::StatusCode;

use super::{Caller, Record};
use crate::status::Code;

fn record<'a>(route: &'a str, cause: Option<&'a str>) -> Record<'a> {
    Record {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_773_500_966_535),
        request_id: "r-1",
        trace_id: 0xab,
        client: "127.0.0.1",
        verb: "GET",
        route,
        rpc: "a.B/C",
        status: StatusCode::OK,
        code: Code::Ok,
        request_bytes: 7,
        response_bytes: 8,
        duration: Duration::from_micros(1234),
        upstream: Some(Duration::from_micros(1000)),
        caller: None,
        refused: None,
        cause,
    }
}

#[test]
fn a_line_is_one_json_object() {
    let mut out = Vec::new();
    record("/v1/{id}", None).print_json(&mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"time\":\"2026-03-14T15:09:26.535Z\",\"request_id\":\"r-1\",\
         \"trace_id\":\"000000000000000000000000000000ab\",\"client\":\"127.0.0.1\",\"method\":\"GET\",\
         \"route\":\"/v1/{id}\",\"rpc\":\"a.B/C\",\"status\":200,\"code\":\"OK\",\"request_bytes\":7,\
         \"response_bytes\":8,\"duration_us\":1234,\"upstream_us\":1000}\n"
    );
}

#[test]
fn a_line_names_the_caller_and_why_it_was_refused() {
    let mut out = Vec::new();
    let caller = Some(Caller { provider: "users", subject: "mira\n" });
    Record { caller, refused: Some("require"), ..record("/", None) }.print_json(&mut out);
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!([&value["provider"], &value["subject"], &value["refused"]], ["users", "mira\n", "require"]);
    out.clear();
    Record { caller, refused: Some("require"), ..record("/", None) }.print_text(&mut out);
    assert!(String::from_utf8(out).unwrap().ends_with(" by=\"users:mira\\u000a\" refused=require\n"));
}

#[test]
fn nothing_forges_a_line() {
    let hostile = "a\"}\n{\"x\":\"\\\u{7f}\u{2028}\u{85}";
    let mut out = Vec::new();
    record(hostile, Some(hostile)).print_json(&mut out);
    let text = String::from_utf8(out.clone()).unwrap();
    assert_eq!(text.matches('\n').count(), 1);
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["route"], hostile);
    assert_eq!(value["cause"], hostile);
    out.clear();
    record(hostile, Some(hostile)).print_text(&mut out);
    assert_eq!(out.iter().filter(|&&byte| byte == b'\n').count(), 1);
}
