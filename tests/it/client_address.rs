//! Who the client is: behind proxies, by the PROXY protocol, by address; and where plain HTTP is sent.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use proxy_header::{ProxiedAddress, ProxyHeader};

use crate::support::echo;
use crate::support::gateway::{Gateway, configuration};
use crate::support::http1::{Connection, Request};
use crate::support::probe::Probe;

fn gateway(listener: &str) -> Gateway {
    let listener = format!("listeners: {{ public: {{ address: 127.0.0.1:0, {listener} }} }}");
    Gateway::configured(&configuration(echo::address(), &listener))
}

/// What the upstream and the access log are told of the client, with these headers on the request.
#[track_caller]
fn told(gateway: &Gateway, connection: &mut Connection, headers: &[&str]) -> (String, String) {
    let probe = Probe::new();
    let request = Request::new("GET /v1/echo/a").header(probe.header()).header(format!("x-request-id: {}", probe.id()));
    let request = headers.iter().fold(request, |request, header| request.header(*header));
    connection.call(&request).expect(200);
    let upstream = probe.metadata_of("x-forwarded-for").join(" | ");
    let id = probe.id().to_owned();
    let line = gateway.process.stdout.find(0, crate::support::PATIENCE, |line| line.contains(&id));
    let line: serde_json::Value = serde_json::from_str(&line.expect("it is logged")).expect("it is JSON");
    (upstream, line["client"].as_str().expect("it is told").to_owned())
}

fn both(upstream: &str, client: &str) -> (String, String) {
    (upstream.to_owned(), client.to_owned())
}

#[test]
fn nobody_is_believed_unless_trusted() {
    let gateway = gateway("client_ip: { trusted_proxies: [10.0.0.0/8] }");
    let found = told(&gateway, &mut gateway.connect(), &["x-forwarded-for: 203.0.113.7", "forwarded: for=203.0.113.8"]);
    assert_eq!(found, both("127.0.0.1", "127.0.0.1"));
}

#[test]
fn a_trusted_proxy_says_who_the_client_is_for_each_request() {
    let gateway = gateway("client_ip: { trusted_proxies: [127.0.0.1, \"10.0.0.0/8\"] }");
    let mut connection = gateway.connect();
    for (headers, upstream, client) in [
        (&["x-forwarded-for: 1.1.1.1, 203.0.113.7"][..], "203.0.113.7, 127.0.0.1", "203.0.113.7"),
        (
            &["x-forwarded-for: 203.0.113.8", "x-forwarded-for: 10.0.0.9"],
            "203.0.113.8, 10.0.0.9, 127.0.0.1",
            "203.0.113.8",
        ),
        (&["x-forwarded-for: nonsense"], "127.0.0.1", "127.0.0.1"),
        (&["forwarded: for=203.0.113.9"], "127.0.0.1", "127.0.0.1"),
        (&[], "127.0.0.1", "127.0.0.1"),
    ] {
        assert_eq!(told(&gateway, &mut connection, headers), both(upstream, client), "{headers:?}");
    }
}

#[test]
fn forwarded_is_read_where_it_is_chosen() {
    let gateway = gateway("client_ip: { trusted_proxies: [127.0.0.1], header: forwarded }");
    let headers = ["forwarded: for=1.1.1.1, for=\"[2001:db8::7]:4711\";proto=https", "x-forwarded-for: 203.0.113.7"];
    let found = told(&gateway, &mut gateway.connect(), &headers);
    assert_eq!(found, both("2001:db8::7, 127.0.0.1", "2001:db8::7"));
}

/// Header bytes of both versions that say this of the client.
fn headers_of(source: &str) -> [Vec<u8>; 2] {
    let source: SocketAddr = source.parse().unwrap();
    let destination = SocketAddr::new(
        if source.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { IpAddr::V6("::1".parse().unwrap()) },
        80,
    );
    let header = ProxyHeader::with_address(ProxiedAddress::stream(source, destination));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    header.encode_v1(&mut first).unwrap();
    header.encode_v2(&mut second).unwrap();
    [first, second]
}

#[test]
fn the_proxy_protocol_names_the_client_of_a_connection() {
    let gateway = gateway("client_ip: { trusted_proxies: [127.0.0.1], proxy_protocol: on }");
    for client in ["203.0.113.7:50000", "[2001:db8::7]:50000"] {
        for header in headers_of(client) {
            let mut connection = gateway.connect();
            connection.send(&header);
            let address = client.parse::<SocketAddr>().unwrap().ip().to_string();
            // What the client says of itself counts for nothing.
            let found = told(&gateway, &mut connection, &["x-forwarded-for: 9.9.9.9"]);
            assert_eq!(found, both(&address, &address));
        }
    }
    // A proxy that speaks for itself, as for its own health checks.
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec()] {
        let mut connection = gateway.connect();
        connection.send(&header);
        assert_eq!(told(&gateway, &mut connection, &[]), both("127.0.0.1", "127.0.0.1"));
    }
    let endless = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
    let mut too_long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec();
    too_long.extend_from_slice(&[0; 8000]);
    for bad in [Request::new("GET /v1/ping").bytes(), endless, too_long, b"PROXY TCP4 nonsense\r\n".to_vec()] {
        let mut connection = gateway.connect();
        let _ = connection.try_send(&bad);
        assert!(connection.try_head("GET").is_err(), "{}", connection.exchange());
    }
}

#[test]
fn the_proxy_protocol_is_not_spoken_with_strangers() {
    let gateway = gateway("client_ip: { trusted_proxies: [10.0.0.0/8], proxy_protocol: on }");
    gateway.get("/v1/ping").expect(200);
    let mut connection = gateway.connect();
    connection.send(b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n");
    connection.send(&Request::new("GET /v1/ping").bytes());
    assert_eq!(connection.head().status, 400);
}

#[test]
fn an_address_that_is_not_served_is_told_so() {
    for (rules, served) in [
        ("addresses: { deny: [127.0.0.0/8] }", false),
        ("addresses: { allow: [10.0.0.0/8] }", false),
        ("addresses: { allow: [127.0.0.1], deny: [10.0.0.0/8] }", true),
    ] {
        let gateway = gateway(rules);
        gateway.get("/v1/ping").expect(if served { 200 } else { 403 });
    }
    // It is the client who counts, not the proxy.
    let gateway = gateway("client_ip: { trusted_proxies: [127.0.0.1] }, addresses: { deny: [203.0.113.0/24] }");
    let mut connection = gateway.connect();
    for (client, status) in [("203.0.113.7", 403), ("203.0.114.7", 200)] {
        connection.call(&Request::new("GET /v1/ping").header(format!("x-forwarded-for: {client}"))).expect(status);
    }
}

#[test]
fn one_address_has_so_many_connections() {
    let gateway = gateway("limits: { per_ip: 2 }");
    let mut first = gateway.connect();
    first.call(&Request::new("GET /v1/ping")).expect(200);
    let mut second = gateway.connect();
    second.call(&Request::new("GET /v1/ping")).expect(200);
    gateway.connect().closed();
    first.call(&Request::new("GET /v1/ping").header("connection: close")).expect(200);
    gateway.within(crate::support::PATIENCE, "its place is free", |gateway| {
        let mut connection = gateway.connect();
        let _ = connection.try_send(&Request::new("GET /v1/ping").bytes());
        connection.try_head("GET").is_ok()
    });
}

#[test]
fn plain_http_is_sent_to_https() {
    for (redirect, location) in
        [("https", "https://gateway.test/v1/ping?a=b"), ("\"https:8443\"", "https://gateway.test:8443/v1/ping?a=b")]
    {
        let gateway = gateway(&format!("redirect: {redirect}"));
        let answer = gateway.get("/v1/ping?a=b").expect(308);
        assert_eq!(answer.head.get("location"), Some(location));
        let posted = gateway.call(&Request::new("POST /nowhere").header("host: a.test:80").json("{}"));
        assert!(posted.head.get("location").is_some_and(|location| location.ends_with("/nowhere")));
    }
}

/// What the upstream is told of the scheme, by both of its names.
#[track_caller]
fn schemes(gateway: &Gateway, headers: &[&str]) -> (String, bool) {
    let probe = Probe::new();
    let request = Request::new("GET /v1/echo/a").header(probe.header());
    let request = headers.iter().fold(request, |request, header| request.header(*header));
    gateway.call(&request).expect(200);
    let is_https = probe.metadata_of("forwarded").join(" ").ends_with("proto=https");
    (probe.metadata_of("x-forwarded-proto").join(" | "), is_https)
}

#[test]
fn a_trusted_proxy_says_by_which_scheme_the_client_came() {
    let trusting = gateway("client_ip: { trusted_proxies: [127.0.0.1] }");
    let https = ("https".to_owned(), true);
    let http = ("http".to_owned(), false);
    assert_eq!(schemes(&trusting, &["x-forwarded-proto: https", "x-forwarded-for: 203.0.113.7"]), https);
    assert_eq!(schemes(&trusting, &["x-forwarded-proto: https"]), https);
    for headers in [
        &["x-forwarded-proto: http"][..],
        &["x-forwarded-proto: https, http"],
        &["x-forwarded-proto: https", "x-forwarded-proto: https"],
        &["x-forwarded-proto: gopher"],
        &["forwarded: for=203.0.113.7;proto=https"],
    ] {
        assert_eq!(schemes(&trusting, headers), http, "{headers:?}");
    }
    let forwarded = gateway("client_ip: { trusted_proxies: [127.0.0.1], header: forwarded }");
    assert_eq!(schemes(&forwarded, &["forwarded: for=203.0.113.7;proto=https"]), https);
    assert_eq!(schemes(&forwarded, &["x-forwarded-proto: https"]), http);
    let doubting = gateway("client_ip: { trusted_proxies: [10.0.0.0/8] }");
    assert_eq!(schemes(&doubting, &["x-forwarded-proto: https", "forwarded: for=1.1.1.1;proto=https"]), http);
}

#[test]
fn what_a_trusted_proxy_took_by_https_is_served_and_kept_to_it() {
    let of = |proxies: &str| {
        let text = format!(
            "listeners: {{ public: {{ address: 127.0.0.1:0, redirect: https, client_ip: {{ trusted_proxies: {proxies} }} }} }}
defaults: {{ security_headers: true }}"
        );
        Gateway::configured(&configuration(echo::address(), &text))
    };
    let call = |gateway: &Gateway, header: &str| gateway.call(&Request::new("GET /v1/ping").header(header));
    let trusting = of("[127.0.0.1]");
    let served = call(&trusting, "x-forwarded-proto: https").expect(200);
    assert!(served.head.get("strict-transport-security").is_some());
    let sent_on = call(&trusting, "x-forwarded-proto: http").expect(308);
    assert!(sent_on.head.get("strict-transport-security").is_none());
    call(&trusting, "x-none: a").expect(308);
    let doubting = of("[10.0.0.0/8]");
    let forged = call(&doubting, "x-forwarded-proto: https").expect(308);
    assert!(forged.head.get("strict-transport-security").is_none());
}
