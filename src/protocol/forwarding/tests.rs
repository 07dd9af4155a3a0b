//! What the gateway says about the client and the request.

use super::*;

const FRESH: Trace = Trace { trace_id: 0xabc, span_id: 0xdef, flags: 1, origin: Origin::Gateway };

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    map
}

struct Case<'a> {
    headers: &'a [(&'a str, &'a str)],
    peer: &'a str,
    chain: &'a [IpAddr],
    host: Option<&'a str>,
}

const PLAIN: Case<'_> = Case { headers: &[], peer: "192.0.2.1", chain: &[], host: Some("api") };

#[track_caller]
fn check(case: &Case<'_>, name: &str, expected: &[&str]) {
    let headers = map(case.headers);
    let id = request_id(&headers, 7);
    let forwarding = Forwarding {
        peer: case.peer.parse().unwrap(),
        chain: case.chain,
        scheme: Scheme::Https,
        host: case.host,
        request_id: &id,
        trace: Trace::of(&headers, FRESH),
    };
    let mut metadata = HeaderMap::new();
    forward(&headers, &forwarding, &mut metadata);
    let found: Vec<_> = metadata.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(found, expected);
}

#[test]
fn forwarding_headers_tell_of_the_peer() {
    check(&PLAIN, "x-forwarded-for", &["192.0.2.1"]);
    check(&PLAIN, "x-forwarded-proto", &["https"]);
    check(&PLAIN, "x-forwarded-host", &["api"]);
    check(&PLAIN, "forwarded", &["for=192.0.2.1;host=api;proto=https"]);
    check(&Case { host: None, ..PLAIN }, "x-forwarded-host", &[]);
    check(&Case { host: None, ..PLAIN }, "forwarded", &["for=192.0.2.1;proto=https"]);
}

#[test]
fn ipv6_and_hosts_with_ports_are_quoted() {
    let case = Case { peer: "2001:db8::1", host: Some("[::1]:8443"), ..PLAIN };
    check(&case, "x-forwarded-for", &["2001:db8::1"]);
    check(&case, "forwarded", &["for=\"[2001:db8::1]\";host=\"[::1]:8443\";proto=https"]);
    check(&Case { peer: "::ffff:192.0.2.1", ..PLAIN }, "x-forwarded-for", &["192.0.2.1"]);
    check(&Case { host: Some("a\"b\\c"), ..PLAIN }, "forwarded", &["for=192.0.2.1;host=\"a\\\"b\\\\c\";proto=https"]);
}

#[test]
fn host_that_is_none_is_left_out() {
    for host in ["a\nb", "a b", "", "é"] {
        check(&Case { host: Some(host), ..PLAIN }, "x-forwarded-host", &[]);
        check(&Case { host: Some(host), ..PLAIN }, "forwarded", &["for=192.0.2.1;proto=https"]);
    }
}

#[test]
fn client_chain_is_ignored_unless_trusted() {
    let spoofed = [("x-forwarded-for", "10.0.0.1"), ("forwarded", "for=10.0.0.1")];
    check(&Case { headers: &spoofed, ..PLAIN }, "x-forwarded-for", &["192.0.2.1"]);
    let chain = &["203.0.113.7".parse().unwrap(), "fd00::1".parse().unwrap()][..];
    let case = Case { headers: &spoofed, chain, ..PLAIN };
    check(&case, "x-forwarded-for", &["203.0.113.7, fd00::1, 192.0.2.1"]);
    let forwarded = "for=203.0.113.7, for=\"[fd00::1]\", for=192.0.2.1;host=api;proto=https";
    check(&case, "forwarded", &[forwarded]);
}

#[test]
fn sane_request_id_is_kept_and_any_other_replaced() {
    let made = "00000000000000000000000000000007";
    let long = "a".repeat(129);
    check(&PLAIN, "x-request-id", &[made]);
    for sane in ["a", "4bf92f35-77b3:4d/a6+_.=", &long[1..]] {
        check(&Case { headers: &[("x-request-id", sane)], ..PLAIN }, "x-request-id", &[sane]);
    }
    for odd in ["", "a b", "a,b", "<x>", &long] {
        check(&Case { headers: &[("x-request-id", odd)], ..PLAIN }, "x-request-id", &[made]);
    }
    check(&Case { headers: &[("x-request-id", "a"), ("x-request-id", "b")], ..PLAIN }, "x-request-id", &[made]);
}

#[test]
fn valid_trace_goes_on_under_a_new_span() {
    let trace = |text: &str, expected: &str| {
        let headers = [("traceparent", text), ("tracestate", "a=1"), ("tracestate", "b=2")];
        check(&Case { headers: &headers, ..PLAIN }, "traceparent", &[expected]);
        check(&Case { headers: &headers, ..PLAIN }, "tracestate", &["a=1", "b=2"]);
    };
    let kept = "00-0af7651916cd43dd8448eb211c80319c-0000000000000def-01";
    trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", kept);
    trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fd", kept);
    trace("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-brings", kept);
    trace("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", kept);
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-0000000000000def-00";
    trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", unsampled);
}

#[test]
fn invalid_trace_is_replaced_and_its_state_dropped() {
    let fresh = "00-00000000000000000000000000000abc-0000000000000def-01";
    for text in [
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
        "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ] {
        let headers = [("traceparent", text), ("tracestate", "a=1")];
        check(&Case { headers: &headers, ..PLAIN }, "traceparent", &[fresh]);
        check(&Case { headers: &headers, ..PLAIN }, "tracestate", &[]);
    }
    let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    check(&Case { headers: &[("traceparent", valid), ("traceparent", valid)], ..PLAIN }, "traceparent", &[fresh]);
}

#[test]
fn zero_is_no_identifier() {
    let trace = Trace::of(&HeaderMap::new(), Trace { trace_id: 0, span_id: 0, ..FRESH });
    assert_eq!((trace.trace_id, trace.span_id), (1, 1));
}

#[test]
fn user_agent_is_the_gateway_and_the_client_is_told_beside_it() {
    let case = Case { headers: &[("user-agent", "curl/8")], ..PLAIN };
    check(&case, "user-agent", &[concat!("lockgate/", env!("CARGO_PKG_VERSION"))]);
    check(&case, "x-forwarded-user-agent", &["curl/8"]);
    check(&PLAIN, "x-forwarded-user-agent", &[]);
}
