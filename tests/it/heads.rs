//! Heads that do not come to their end, or are beyond all bounds. Those that are malformed are told in
//! [`super::ambiguity`].

use serde_json::Value;

use crate::support::gateway::{Gateway, configuration};
use crate::support::http1::{Connection, Request, Response};
use crate::support::{PATIENCE, echo};

/// That it is the gateway's own form of a failure, and the last of its connection.
#[track_caller]
pub(crate) fn refused(connection: &mut Connection, status: u16, code: i64) -> Response {
    let response = connection.response("GET").expect(status);
    assert_eq!(response.json()["code"], code, "{}", response.exchange);
    assert_eq!(response.head.get("content-type"), Some("application/json"), "{}", response.exchange);
    assert_eq!(response.head.get("connection"), Some("close"), "{}", response.exchange);
    assert!(
        response.head.get("date").is_some() && response.head.get("x-request-id").is_some(),
        "{}",
        response.exchange
    );
    connection.closed();
    response
}

#[test]
fn a_failure_of_the_gateways_own_is_not_taken_for_one() {
    let mut connection = Gateway::plain().connect();
    for (line, status) in [("GET /nothing", 404), ("DELETE /v1/ping", 405), ("HEAD /v1/search?nope=1", 400)] {
        connection.call(&Request::new(line)).expect(status);
    }
    connection.call(&Request::new("GET /v1/ping")).expect(200);
}

#[test]
fn heads_beyond_all_bounds_are_told_which() {
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000));
    let large = format!("GET /v1/ping HTTP/1.1\r\nhost: a\r\nx-large: {}\r\n\r\n", "a".repeat(200_000));
    for (request, status) in [(long, 414), (large, 431)] {
        let mut connection = Gateway::plain().connect();
        // The gateway may stop to read before all is sent.
        let _ = connection.try_send(request.as_bytes());
        refused(&mut connection, status, 8);
    }
}

#[test]
fn a_head_that_does_not_come_to_its_end_is_told_so() {
    let settings = "listeners: { public: { address: 127.0.0.1:0, limits: { header_timeout: 200ms } } }";
    let gateway = Gateway::configured(&configuration(echo::address(), settings));
    for before in ["", "GET /v1/ping HTTP/1.1\r\nhost: a\r\n\r\n"] {
        let mut connection = gateway.connect();
        connection.send(before.as_bytes());
        if !before.is_empty() {
            connection.response("GET").expect(200);
        }
        connection.send(b"GET /v1/ping HTTP/1.1\r\nhost: a\r\nx-slow: ");
        let id = refused(&mut connection, 408, 4).head.get("x-request-id").unwrap().to_owned();
        let line = gateway.process.stdout.find(0, PATIENCE, |line| line.contains(&id)).expect("it has a line");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["status"], &line["method"]), (&408.into(), &"".into()), "{line}");
    }
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let settings = "listeners: { public: { address: 127.0.0.1:0, limits: { idle: 200ms } } }";
    let gateway = Gateway::configured(&configuration(echo::address(), settings));
    let mut connection = gateway.connect();
    connection.call(&Request::new("GET /v1/ping")).expect(200);
    connection.closed();
}
