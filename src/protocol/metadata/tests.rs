//! Which headers pass, in which form, in each direction.

use proptest::prelude::*;

use super::*;

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    map
}

fn pairs(map: &HeaderMap) -> Vec<(&str, &str)> {
    let mut pairs: Vec<_> = map.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    pairs.sort_unstable();
    pairs
}

fn rules(allow: Option<&[&str]>, deny: &[&str]) -> HeaderRules {
    let owned = |list: &[&str]| list.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>();
    HeaderRules::compile(allow.map(owned).as_deref(), &owned(deny)).unwrap()
}

#[track_caller]
fn check_request(headers: &[(&str, &str)], expected: &[(&str, &str)]) {
    check_ruled(&HeaderRules::default(), headers, expected);
}

#[track_caller]
fn check_ruled(rules: &HeaderRules, headers: &[(&str, &str)], expected: &[(&str, &str)]) {
    let mut metadata = HeaderMap::new();
    request(&map(headers), rules, Bounds::default(), &mut metadata).unwrap();
    assert_eq!(pairs(&metadata), expected);
}

#[track_caller]
fn check_response(metadata: &[(&str, &str)], expected: &[(&str, &str)]) -> StatusOverride {
    let mut headers = HeaderMap::new();
    let status = response(&map(metadata), &HeaderRules::default(), &mut headers);
    assert_eq!(pairs(&headers), expected);
    status
}

#[test]
fn request_headers_become_metadata() {
    check_request(
        &[("x-tenant", "a"), ("authorization", "Bearer t"), ("cookie", "a=b"), ("last-event-id", "7"), ("x_y", "z")],
        &[("authorization", "Bearer t"), ("cookie", "a=b"), ("last-event-id", "7"), ("x-tenant", "a"), ("x_y", "z")],
    );
    check_request(&[("x-list", "1"), ("x-list", "2")], &[("x-list", "1"), ("x-list", "2")]);
    check_request(&[("origin", "https://a"), ("content", "b")], &[("content", "b"), ("origin", "https://a")]);
}

#[test]
fn headers_of_the_connection_the_body_and_the_gateway_end_here() {
    for name in [
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Host",
        "Content-Type",
        "Content-Length",
        "Content-Encoding",
        "Content-Language",
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "grpc-timeout",
        "grpc-encoding",
        "grpc-anything",
        "grpc-trace-bin",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-User-Agent",
        "Forwarded",
        "X-Request-Id",
        "Traceparent",
        "Tracestate",
        "User-Agent",
        "X-Server-Timeout",
        "Connect-Timeout-Ms",
        "Expect",
    ] {
        check_request(&[(name, "1")], &[]);
    }
}

#[test]
fn headers_named_in_connection_end_here() {
    check_request(
        &[
            ("connection", "close, X-Hop ,x-other"),
            ("connection", "x-third"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("x-third", "1"),
            ("x-stays", "1"),
        ],
        &[("x-stays", "1")],
    );
}

#[test]
fn binary_request_values_lose_their_padding_and_must_be_base64() {
    check_request(
        &[("a-bin", "AQ=="), ("b-bin", "AQ"), ("c-bin", "AQID"), ("d-bin", "")],
        &[("a-bin", "AQ"), ("b-bin", "AQ"), ("c-bin", "AQID"), ("d-bin", "")],
    );
    check_request(&[("a-bin", "AQ==, AgM=")], &[("a-bin", "AQ"), ("a-bin", "AgM")]);
    for bad in ["!", "A", "AQ=", "AQ===", "AR", "A Q", "AQ==AQ", "_-8=", "=", "AQID="] {
        let mut metadata = HeaderMap::new();
        let headers = map(&[("a-bin", bad)]);
        let status = request(&headers, &HeaderRules::default(), Bounds::default(), &mut metadata).expect_err(bad);
        assert_eq!((status.code(), status.http().as_u16()), (Code::InvalidArgument, 400));
        assert!(status.message().contains("a-bin"), "{status}");
    }
}

#[test]
fn rules_allow_and_deny_by_name_and_by_prefix() {
    let headers = [("x-a", "1"), ("x-b", "1"), ("y", "1")];
    check_ruled(&rules(Some(&["X-*"]), &["x-b"]), &headers, &[("x-a", "1")]);
    check_ruled(&rules(None, &["x-*"]), &headers, &[("y", "1")]);
    check_ruled(&rules(Some(&[]), &[]), &headers, &[]);
    check_ruled(&rules(Some(&["*"]), &["y"]), &headers, &[("x-a", "1"), ("x-b", "1")]);
    // A rule can't let through what the gateway sets.
    check_ruled(&rules(Some(&["x-request-id", "user-agent"]), &[]), &[("x-request-id", "1"), ("user-agent", "c")], &[]);
}

#[test]
fn every_bad_rule_is_reported() {
    let owned = |list: &[&str]| list.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>();
    let errors = HeaderRules::compile(Some(&owned(&["a b", "ok"])), &owned(&["", "é*"])).unwrap_err();
    let entries: Vec<_> = errors.iter().map(|error| error.entry.as_str()).collect();
    assert_eq!(entries, ["a b", "", "é*"]);
}

#[test]
fn metadata_beyond_its_bounds_is_431() {
    let check = |bounds| {
        let headers = map(&[("x-a", "12345"), ("x-a", "12345")]);
        request(&headers, &HeaderRules::default(), bounds, &mut HeaderMap::new())
    };
    assert!(check(Bounds { max_count: 2, max_bytes: 16 }).is_ok());
    for bounds in [Bounds { max_count: 1, max_bytes: 99 }, Bounds { max_count: 9, max_bytes: 15 }] {
        assert_eq!(check(bounds).unwrap_err().http().as_u16(), 431);
    }
}

#[test]
fn response_metadata_becomes_headers() {
    let status = check_response(
        &[("x-a", "1"), ("x-a", "2"), ("set-cookie", "a"), ("set-cookie", "b"), ("content-disposition", "inline")],
        &[("content-disposition", "inline"), ("set-cookie", "a"), ("set-cookie", "b"), ("x-a", "1"), ("x-a", "2")],
    );
    assert_eq!(status, StatusOverride::None);
    for name in [
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
        "grpc-encoding",
        "grpc-accept-encoding",
        "accept-encoding",
        "content-type",
        "content-length",
        "content-encoding",
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        check_response(&[(name, "1")], &[]);
    }
}

#[test]
fn binary_response_values_are_canonical_base64() {
    check_response(
        &[("a-bin", "AQ"), ("a-bin", "AgM="), ("b-bin", "AQID"), ("c-bin", "AQ,AgM"), ("d-bin", "")],
        &[("a-bin", "AQ=="), ("a-bin", "AgM="), ("b-bin", "AQID"), ("c-bin", "AQ=="), ("c-bin", "AgM="), ("d-bin", "")],
    );
    check_response(&[("a-bin", "?,AQ")], &[("a-bin", "AQ==")]);
}

#[test]
fn upstream_sets_success_and_redirect_statuses_only() {
    let set = |value: &str| check_response(&[("x-http-code", value)], &[]);
    for good in [200, 201, 204, 302, 399] {
        assert_eq!(set(&good.to_string()), StatusOverride::Set(StatusCode::from_u16(good).unwrap()));
    }
    for bad in ["100", "400", "404", "500", "0", "", "2000", "20", "abc", "-201", " 201"] {
        assert_eq!(set(bad), StatusOverride::Ignored, "{bad}");
    }
    let twice = check_response(&[("x-http-code", "201"), ("x-http-code", "404"), ("x-http-code", "202")], &[]);
    assert_eq!(twice, StatusOverride::Set(StatusCode::ACCEPTED));
    assert_eq!(twice.or_later(StatusOverride::Ignored), twice);
    assert_eq!(StatusOverride::None.or_later(twice), twice);
}

#[test]
fn binary_values_are_read_in_any_form() {
    let name = HeaderName::from_static("a-bin");
    for text in ["AQI=", "AQI", "!,AQI="] {
        assert_eq!(binary(&map(&[("a-bin", text)]), &name).as_deref(), Some(&[1, 2][..]));
    }
    assert_eq!(binary(&map(&[("a-bin", "!")]), &name), None);
}

proptest! {
    #[test]
    fn binary_values_survive_both_directions(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let sent = BASE64.encode(&bytes);
        let (mut metadata, mut headers) = (HeaderMap::new(), HeaderMap::new());
        request(&map(&[("a-bin", &sent)]), &HeaderRules::default(), Bounds::default(), &mut metadata).unwrap();
        prop_assert!(!metadata["a-bin"].as_bytes().contains(&b'='));
        response(&metadata, &HeaderRules::default(), &mut headers);
        prop_assert_eq!(headers["a-bin"].to_str().unwrap(), sent);
    }

    #[test]
    fn digits_are_base64_exactly_if_they_decode(text in "[A-D+/=9z_!]{0,9}") {
        let decodes = BASE64.decode(&text).is_ok();
        // The decoder forgives padding that is only begun; the metadata's reader does not.
        let padding = text.bytes().rev().take_while(|&byte| byte == b'=').count();
        let whole = padding == 0 || text.len() % 4 == 0;
        prop_assert_eq!(base64_digits(text.as_bytes()).is_some(), decodes && whole);
    }
}
