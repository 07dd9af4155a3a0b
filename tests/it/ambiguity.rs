//! HTTP/1 requests that two readers may understand differently: refused, and the connection closed.

use crate::heads;
use crate::support::gateway::{Gateway, configuration};
use crate::support::http1::Request;
use crate::support::http2::Client;
use crate::support::probe::Probe;
use crate::support::{block_on, echo};

fn gateway() -> &'static Gateway {
    Gateway::shared("defaults: { timeout: 5s }")
}

/// That these bytes are answered with this status in the usual form, that the request before them is served, and that
/// nothing behind them is.
#[track_caller]
fn refused(bytes: &[u8], status: u16) {
    let code = match status {
        400 => 3,
        405 => 12,
        _ => 8,
    };
    for piece in [bytes.len(), 1, 40] {
        let mut connection = gateway().connect();
        connection.send(&Request::new("GET /v1/echo/first").bytes());
        for bytes in bytes.chunks(piece) {
            // It may be closed before all is sent.
            if connection.try_send(bytes).is_err() {
                break;
            }
        }
        let _ = connection.try_send(b"GET /v1/ping HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(connection.response("GET").expect(200).text(), "{\"stringValue\":\"first\"}");
        let answer = heads::refused(&mut connection, status, code);
        assert_eq!(status == 400, answer.text().contains("google.rpc.BadRequest"), "{}", answer.exchange);
    }
}

#[test]
fn ambiguous_framing_is_refused() {
    for headers in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 3",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: gzip",
        "transfer-encoding : chunked",
        "content-length: 3\r\ncontent-length: 4",
        "content-length: 3, 3",
        "content-length: +3",
        "content-length: -3",
        "content-length: 3\r\n folded: x",
        "x: y\r\n\tz",
    ] {
        refused(format!("POST /v1/echo HTTP/1.1\r\nhost: a\r\n{headers}\r\n\r\n{{ }}").as_bytes(), 400);
    }
}

#[test]
fn bare_line_feeds_and_odd_bytes_are_refused() {
    for request in [
        &b"GET /v1/ping HTTP/1.1\nhost: a\n\n"[..],
        b"GET /v1/ping HTTP/1.1\r\nhost: a\n\r\n",
        b"GET /v1/ping HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
        b"GET /v1/ping HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n",
        b"GET /v1/ping#x HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /v1\\ping HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /v1/ping\0 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /v1/\xc3\xa9 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /v1/\x01 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /v1/ping\r\n\r\n",
        b"GET  /v1/ping HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /v1/ping  HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /v1/ping HTTP/1.2\r\nhost: a\r\n\r\n",
        b"GET v1/ping HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /v1/ping HTTP/9.9\r\nhost: a\r\n\r\n",
        b"GET /v1/ping HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n",
        b"GET /v1/ping HTTP/1.1\r\nhost: a\r\nspace : b\r\n\r\n",
    ] {
        refused(request, 400);
    }
}

#[test]
fn a_host_that_is_not_one_is_refused() {
    for hosts in ["x: y", "host: a\r\nhost: a", "host: a b", "host: u@a", "host: a/b", "host:"] {
        refused(format!("GET /v1/ping HTTP/1.1\r\n{hosts}\r\n\r\n").as_bytes(), 400);
    }
}

#[test]
fn a_target_whose_host_is_none_or_another_is_refused() {
    for (target, host) in
        [("http://a@b", "b"), ("http://a@b", "c"), ("http://b", "c"), ("https://a:b", "a"), ("http://", "a")]
    {
        refused(format!("GET {target}/v1/ping HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes(), 400);
    }
    gateway().call(&Request::new("GET http://API.test:80/v1/ping").header("host: api.test:80")).expect(200);
}

#[test]
fn too_much_of_a_head_is_refused() {
    let fields = "x: y\r\n".repeat(100);
    refused(format!("GET /v1/ping HTTP/1.1\r\nhost: a\r\n{fields}\r\n").as_bytes(), 431);
    let mut connection = gateway().connect();
    let _ = connection.try_send(format!("GET /v1/ping HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(1 << 20)).as_bytes());
    assert_eq!(connection.head().status, 431);
}

#[test]
fn what_no_path_allows_is_405() {
    refused(b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n", 405);
    for request in [
        Request::new("TRACE /v1/ping"),
        Request::new("GET /v1/ping").header("connection: keep-alive, Upgrade").header("upgrade: websocket"),
        Request::new("GET /v1/ping").header("connection: upgrade, http2-settings").header("upgrade: h2c"),
    ] {
        let answer = gateway().call(&request);
        assert_eq!(answer.status(), 405, "{}", answer.exchange);
        assert!(answer.head.get("allow").is_some(), "{}", answer.exchange);
    }
    gateway().call(&Request::new("GET /v1/ping").header("upgrade: h2c")).expect(200);
}

#[test]
fn what_is_well_formed_is_served_however_it_comes() {
    let requests = b"\r\nPOST /v1/echo HTTP/1.1\r\nHost: a:80\r\nContent-Type: application/json\r\nTransfer-Encoding: Chunked\r\n\r\n\
        2;x=y\r\n{ \r\n1\r\n}\r\n0\r\nt: u\r\n\r\nGET http://a/v1/ping HTTP/1.1\r\nhost: a\r\n\r\n\
        POST /v1/echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n{\n\n\n}GET /v1/ping HTTP/1.0\r\n\r\n";
    for piece in [1, 3, requests.len()] {
        let mut connection = gateway().connect();
        for bytes in requests.chunks(piece) {
            connection.send(bytes);
        }
        for _ in 0..4 {
            connection.response("GET").expect(200);
        }
        connection.closed();
    }
}

#[test]
fn a_malformed_chunk_is_refused_and_the_connection_closed() {
    for body in ["1\n{", "x\r\n{}", "2\r\n{}x", "-2\r\n{}", "2 \r\n{}\r\n0\r\n\r\n"] {
        let mut connection = gateway().connect();
        let head =
            "POST /v1/echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        connection.send(format!("{head}{body}").as_bytes());
        let answer = connection.response("POST");
        assert_eq!(answer.status(), 400, "{}", answer.exchange);
        connection.closed();
    }
}

#[test]
fn header_names_with_underscores_are_dropped_refused_or_left_alone() {
    for (setting, status, passes) in [
        ("underscore_headers: drop", 200, false),
        ("underscore_headers: reject", 400, false),
        ("underscore_headers: allow", 200, true),
    ] {
        let listener = format!("listeners: {{ public: {{ address: 127.0.0.1:0, {setting} }} }}");
        let gateway = Gateway::configured(&configuration(echo::address(), &listener));
        let probe = Probe::new();
        let request = Request::new("GET /v1/echo/a").header(probe.header()).header("x_user: a").header("x_user: b");
        gateway.call(&request.header("x-other: c")).expect(status);
        if status == 200 {
            assert_eq!(probe.metadata_of("x_user").len(), if passes { 2 } else { 0 });
            assert_eq!(probe.metadata_of("x-other"), ["c"]);
        }
    }
}

#[test]
fn http2_is_held_to_the_same() {
    block_on(async {
        let mut client = Client::connect(gateway().address).await;
        let authority = gateway().address.to_string();
        for (target, host, status) in [
            ("/v1/ping", None, 200),
            ("/v1/ping", Some(authority.as_str()), 200),
            ("/v1/ping", Some("other.test"), 400),
            ("/v1\\ping", None, 400),
            ("/v1/\u{e9}", None, 400),
        ] {
            let headers: Vec<_> = host.map(|host| ("host", host)).into_iter().collect();
            let mut exchange = client.get(target, &headers).await;
            assert_eq!(exchange.head().await.unwrap().status(), status, "{target} {host:?}");
        }
    });
}

#[test]
fn verbs_are_never_overridden() {
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        gateway().call(&Request::new("GET /v1/ping").header(format!("{name}: DELETE"))).expect(200);
    }
}
