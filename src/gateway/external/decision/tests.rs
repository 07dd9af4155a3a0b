//! Answers of deciders and what becomes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::OnError;
use super::*;
use crate::pb::envoy::config::core::v3::HeaderValue as Said;
use crate::pb::envoy::r#type::v3::HttpStatus;

fn config() -> Config {
    Config {
        name: "policy".to_owned(),
        upstream: "authz".to_owned(),
        timeout: Duration::from_millis(200),
        on_error: OnError::Deny,
        headers: None,
        forward: vec![HeaderName::from_static("x-tier"), HeaderName::from_static("x-team")],
        context: BTreeMap::new(),
    }
}

fn option(name: &str, value: &str) -> HeaderValueOption {
    let header = Said { key: name.to_owned(), value: value.to_owned(), ..Said::default() };
    HeaderValueOption { header: Some(header), ..HeaderValueOption::default() }
}

fn with(name: &str, value: &str, action: HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption { append_action: action.into(), ..option(name, value) }
}

fn status(code: i32) -> Option<rpc::Status> {
    Some(rpc::Status { code, ..rpc::Status::default() })
}

fn denial(http: i32, headers: Vec<HeaderValueOption>) -> DeniedHttpResponse {
    DeniedHttpResponse { status: Some(HttpStatus { code: http }), headers, ..DeniedHttpResponse::default() }
}

fn pairs(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

#[track_caller]
fn denied_as(answer: CheckResponse) -> Status {
    match read(answer, &config(), &mut Changes::default()) {
        Ok(Decision::Denied(status)) => status,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn allowed_with(response: OkHttpResponse) -> Changes {
    let mut changes = Changes::default();
    let answer = CheckResponse { status: status(0), http_response: Some(HttpResponse::OkResponse(response)) };
    assert!(matches!(read(answer, &config(), &mut changes), Ok(Decision::Allowed)));
    changes
}

#[test]
fn only_a_word_lets_pass() {
    let read =
        |status, http_response| read(CheckResponse { status, http_response }, &config(), &mut Changes::default());
    let ok = || Some(HttpResponse::OkResponse(OkHttpResponse::default()));
    let no = || Some(HttpResponse::DeniedResponse(DeniedHttpResponse::default()));
    assert!(matches!(read(status(0), None), Ok(Decision::Allowed)));
    assert!(matches!(read(status(0), ok()), Ok(Decision::Allowed)));
    assert!(matches!(read(None, ok()), Ok(Decision::Allowed)));
    assert!(read(None, None).is_err());
    for (code, response) in [(Some(7), None), (Some(7), ok()), (Some(-1), ok()), (Some(0), no()), (None, no())] {
        assert!(
            matches!(read(code.and_then(status), response.clone()), Ok(Decision::Denied(_))),
            "{code:?} {response:?}"
        );
    }
}

#[test]
fn a_denial_has_a_status_of_its_own_or_403() {
    for (asked, expected, code) in [
        (401, 401, Code::Unauthenticated),
        (404, 404, Code::NotFound),
        (302, 302, Code::PermissionDenied),
        (503, 503, Code::Unavailable),
        (599, 599, Code::PermissionDenied),
        (300, 300, Code::PermissionDenied),
        (200, 403, Code::PermissionDenied),
        (299, 403, Code::PermissionDenied),
        (304, 403, Code::PermissionDenied),
        (600, 403, Code::PermissionDenied),
        (0, 403, Code::PermissionDenied),
        (-1, 403, Code::PermissionDenied),
        (65_536 + 401, 403, Code::PermissionDenied),
    ] {
        let response = Some(HttpResponse::DeniedResponse(denial(asked, Vec::new())));
        let denied = denied_as(CheckResponse { status: status(7), http_response: response });
        assert_eq!((denied.http().as_u16(), denied.code()), (expected, code), "{asked}");
    }
}

#[test]
fn what_is_of_the_connection_or_the_content_is_left_out() {
    let names = [
        "connection",
        "keep-alive",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "proxy-authenticate",
        "grpc-status",
        "content-length",
        "content-type",
        "Content-Encoding",
        "date",
        "host",
        "x-request-id",
        "access-control-allow-origin",
        ":status",
        "two words",
        "",
    ];
    let headers = names.map(|name| option(name, "1")).into_iter().chain([option("Location", "/login")]).collect();
    let response = Some(HttpResponse::DeniedResponse(denial(302, headers)));
    let denied = denied_as(CheckResponse { status: status(16), http_response: response });
    assert_eq!(pairs(denied.headers()), [("location", "/login")]);
    let changes = allowed_with(OkHttpResponse {
        response_headers_to_add: names.map(|name| option(name, "1")).into(),
        ..OkHttpResponse::default()
    });
    assert!(changes.answer.is_empty());
}

#[test]
fn metadata_is_set_under_the_allowed_names_alone() {
    let headers = ["x-tier", "X-Team", "x-other", "authorization", "grpc-timeout", "x_tier"];
    let headers = headers.map(|name| option(name, "1")).into();
    let changes = allowed_with(OkHttpResponse { headers, ..OkHttpResponse::default() });
    assert_eq!(pairs(&changes.metadata), [("x-tier", "1"), ("x-team", "1")]);
    let headers = ["a\r\nx-admin: 1", "\u{e4}", "\0"].map(|value| option("x-tier", value)).into();
    let changes = allowed_with(OkHttpResponse { headers, ..OkHttpResponse::default() });
    assert!(changes.metadata.is_empty(), "{:?}", changes.metadata);
}

#[test]
fn headers_are_set_by_their_action() {
    use HeaderAppendAction::{AddIfAbsent, OverwriteIfExists, OverwriteIfExistsOrAdd};
    #[track_caller]
    fn check(there: &[&str], said: HeaderValueOption, unsaid: Action, expected: &[&str]) {
        let mut headers = HeaderMap::new();
        for value in there {
            headers.append("x-a", HeaderValue::try_from(*value).unwrap());
        }
        edits(vec![said], unsaid).for_each(|edit| edit.apply(&mut headers));
        assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), expected);
    }
    let old = |append| HeaderValueOption { append: Some(append), ..with("x-a", "3", AddIfAbsent) };
    for there in [&[][..], &["1", "2"]] {
        let appended = [there, &["3"]].concat();
        check(there, option("x-a", "3"), Action::Append, &appended);
        check(there, option("x-a", "3"), Action::Overwrite, &["3"]);
        check(there, with("x-a", "3", OverwriteIfExistsOrAdd), Action::Append, &["3"]);
        check(there, old(true), Action::Overwrite, &appended);
        check(there, old(false), Action::Append, &["3"]);
        check(there, HeaderValueOption { append_action: 9, ..option("x-a", "3") }, Action::Append, there);
    }
    check(&["1"], with("x-a", "3", AddIfAbsent), Action::Append, &["1"]);
    check(&[], with("x-a", "3", AddIfAbsent), Action::Append, &["3"]);
    check(&["1"], with("x-a", "3", OverwriteIfExists), Action::Append, &["3"]);
    check(&[], with("x-a", "3", OverwriteIfExists), Action::Append, &[]);
}

#[test]
fn raw_values_go_before_texts() {
    let header = Said { key: "x-tier".to_owned(), value: "text".to_owned(), raw_value: b"raw".to_vec() };
    let headers =
        vec![HeaderValueOption { header: Some(header), ..HeaderValueOption::default() }, HeaderValueOption::default()];
    let changes = allowed_with(OkHttpResponse { headers, ..OkHttpResponse::default() });
    assert_eq!(pairs(&changes.metadata), [("x-tier", "raw")]);
}

#[test]
fn a_list_is_bounded_in_number() {
    let many = |count: usize| (0..count).map(|index| option(&format!("x-{index}"), "1")).collect::<Vec<_>>();
    assert_eq!(edits(many(MAX_HEADERS), Action::Append).count(), MAX_HEADERS);
    assert_eq!(edits(many(MAX_HEADERS + 1), Action::Append).count(), MAX_HEADERS);
    let headers_to_remove = vec!["x-a".to_owned(); MAX_HEADERS + 1];
    let changes = allowed_with(OkHttpResponse { headers_to_remove, ..OkHttpResponse::default() });
    assert_eq!(changes.withheld.len(), MAX_HEADERS);
}

#[test]
fn a_list_is_bounded_in_size() {
    let long = |bytes: usize| vec![option("x-a", &"v".repeat(bytes - 3))];
    assert_eq!(edits(long(MAX_HEADER_BYTES), Action::Append).count(), 1);
    assert_eq!(edits(long(MAX_HEADER_BYTES + 1), Action::Append).count(), 0);
    let two = [long(MAX_HEADER_BYTES - 3), long(4)].concat();
    assert_eq!(edits(two, Action::Append).count(), 1);
}

#[test]
fn the_log_keeps_the_beginning_of_what_a_decider_says() {
    let message = "é".repeat(MAX_MESSAGE_CHARS + 1);
    let status = Some(rpc::Status { code: 7, message, ..rpc::Status::default() });
    let denied = denied_as(CheckResponse { status, http_response: None });
    let cause = denied.cause().unwrap().to_string();
    assert_eq!(cause.matches('é').count(), MAX_MESSAGE_CHARS);
    assert_eq!(denied.message(), "permission denied");
}
