//! What browsers are told of answers, whichever they are.

use crate::guard::guarded;
use crate::support::echo;
use crate::support::folder::Folder;
use crate::support::gateway::{Gateway, configuration, lockgate};
use crate::support::http1::{Connection, Head, Request};
use crate::support::tls::Authority;

const SET: [(&str, &str); 6] = [
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

#[track_caller]
fn has_all(head: &Head, what: &str) {
    for (name, value) in SET {
        assert_eq!(head.all(name).collect::<Vec<_>>(), [value], "{name} of {what}");
    }
    assert_eq!(head.get("strict-transport-security"), None, "in the clear, of {what}");
}

#[test]
fn every_answer_has_the_security_headers_errors_too() {
    let gateway = guarded(&[], "defaults: { security_headers: true, cors: { origins: [https://app.test] } }");
    for (line, status) in [
        ("GET /v1/ping", 200),
        ("HEAD /v1/ping", 200),
        ("GET /v1/stream/3", 200),
        ("GET /v1/fail/5", 404),
        ("GET /nothing", 404),
        ("DELETE /v1/ping", 405),
        ("OPTIONS /v1/ping", 204),
        ("GET /v1/ping?unknown=1", 400),
    ] {
        has_all(&gateway.call(&Request::new(line)).expect(status).head, line);
    }
    let preflight = Request::new("OPTIONS /v1/ping")
        .header("origin: https://app.test")
        .header("access-control-request-method: GET");
    has_all(&gateway.call(&preflight).expect(204).head, "a preflight");
    // What the gate refuses, what the library does not read, and what is too large.
    let long = format!("GET /v1/ping HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(40 << 10));
    for (bytes, status) in [
        ("GET /v1/ping HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("GET /v1/ping HTTP/1.1\r\nhost: a\r\nx: \x7f\r\n\r\n", 400),
        (&long, 431),
    ] {
        let mut connection = gateway.connect();
        connection.send(bytes.as_bytes());
        let head = connection.head();
        assert_eq!(head.status, status);
        has_all(&head, bytes.get(..40).unwrap_or(bytes));
    }
}

#[test]
fn the_answer_to_a_head_that_does_not_come_has_them_too() {
    let gateway = guarded(
        &[],
        "listeners: { public: { address: 127.0.0.1:0, limits: { header_timeout: 300ms } } }
defaults: { security_headers: true }",
    );
    let mut connection = gateway.connect();
    connection.send(b"GET /v1/pi");
    let head = connection.head();
    assert_eq!(head.status, 408);
    has_all(&head, "a head that does not come");
}

#[test]
fn headers_of_the_set_are_changed_left_out_and_inherited() {
    let gateway = guarded(
        &[],
        "
defaults: { security_headers: { x-frame-options: off, referrer-policy: origin } }
services:
  lockgate.test.v1.Echo:
    security_headers: { cache-control: private }
    Search: { security_headers: false }
    Plain: { security_headers: { x-frame-options: SAMEORIGIN } }
",
    );
    let head = |line: &str| gateway.call(&Request::new(line)).head;
    let ping = head("GET /v1/ping");
    assert_eq!(ping.get("x-frame-options"), None);
    assert_eq!(ping.get("referrer-policy"), Some("origin"));
    assert_eq!(ping.get("cache-control"), Some("private"));
    assert_eq!(ping.get("x-content-type-options"), Some("nosniff"));
    assert_eq!(head("GET /nothing").get("cache-control"), Some("no-store"));
    for (name, _) in SET {
        assert_eq!(head("GET /v1/search").get(name), None, "{name}");
    }
    let plain = head("POST /lockgate.test.v1.Echo/Plain");
    assert_eq!((plain.get("x-frame-options"), plain.get("referrer-policy")), (Some("SAMEORIGIN"), Some("origin")));
}

#[test]
fn without_them_nothing_is_added() {
    let head = Gateway::plain().get("/v1/ping").expect(200).head;
    for (name, _) in SET {
        assert_eq!(head.get(name), None, "{name}");
    }
}

#[test]
fn what_the_upstream_says_itself_wins() {
    let gateway = guarded(&[], "defaults: { security_headers: true }");
    let asked = Request::new("POST /v1/metadata").json(r#"{"initial":{"cache-control":"max-age=60"}}"#);
    let response = gateway.call(&asked).expect(200);
    assert_eq!(response.head.all("cache-control").collect::<Vec<_>>(), ["max-age=60"]);
    assert_eq!(response.head.get("x-frame-options"), Some("DENY"));
}

#[test]
fn over_tls_browsers_are_kept_to_it() {
    let (authority, folder) = (Authority::new(), Folder::new());
    authority.issue(&["api.test"]).write(&folder, "api");
    let text = "
listeners:
  public: { address: 127.0.0.1:0, tls: { certificates: [{ cert: api.crt, key: api.key }] } }
defaults: { security_headers: true }
";
    let file = folder.write("lockgate.yaml", configuration(echo::address(), text));
    let gateway = Gateway::start(lockgate().arg("serve").arg("-c").arg(file));
    for line in ["GET /v1/ping", "GET /nothing"] {
        let stream = authority.client().connect(gateway.address, "api.test").expect("the handshake succeeds");
        let head = Connection::over(stream).call(&Request::new(line)).head;
        assert_eq!(head.get("strict-transport-security"), Some("max-age=63072000"), "{line}");
    }
}
