//! The access log: one line a request, and nothing in it that a client could forge; and logs that nobody takes.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use serde_json::Value;

use crate::support::folder::Folder;
use crate::support::gateway::{Gateway, configuration, descriptors, lockgate};
use crate::support::http1::Request;
use crate::support::process::Signal;
use crate::support::{PATIENCE, echo};

/// The line of the request with this id, when it comes.
#[track_caller]
fn line(gateway: &Gateway, id: &str) -> Value {
    let found = gateway.process.stdout.find(0, PATIENCE, |line| line.contains(id));
    let found = found.unwrap_or_else(|| panic!("no line has {id}\n{}", gateway.process.output()));
    serde_json::from_str(&found).unwrap_or_else(|error| panic!("{error}: {found}"))
}

/// Whether any value in the line is this one.
fn has(line: &Value, wanted: &Value) -> bool {
    match line {
        Value::Object(fields) => fields.values().any(|value| has(value, wanted)),
        Value::Array(items) => items.iter().any(|value| has(value, wanted)),
        value => value == wanted,
    }
}

#[test]
fn a_request_has_one_line_with_what_it_was() {
    let gateway = Gateway::flags(echo::address());
    gateway.call(&Request::new("GET /v1/echo/a?int32Value=5").header("x-request-id: log-one")).expect(200);
    let first = line(&gateway, "log-one");
    assert!(has(&first, &200.into()), "{first}");
    assert!(has(&first, &"GET".into()), "{first}");
    assert!(first.to_string().contains("lockgate.test.v1.Echo"), "{first}");
    assert!(first.to_string().contains("/v1/echo/{string_value}"), "{first}");
    gateway.call(&Request::new("GET /v1/fail/5").header("x-request-id: log-two")).expect(404);
    let second = line(&gateway, "log-two");
    assert!(has(&second, &404.into()), "{second}");
    gateway.call(&Request::new("GET /nothing").header("x-request-id: log-three")).expect(404);
    line(&gateway, "log-three");
    let lines: Vec<_> = gateway.process.stdout.all().into_iter().filter(|line| line.contains("log-")).collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
}

#[test]
fn a_stream_has_its_line_when_it_ends() {
    let gateway = Gateway::flags(echo::address());
    gateway.call(&Request::new("GET /v1/stream/3?end.code=5").header("x-request-id: log-stream"));
    let line = line(&gateway, "log-stream");
    assert!(line.to_string().contains("ServerStream"), "{line}");
}

#[test]
fn nothing_can_be_forged() {
    let gateway = Gateway::flags(echo::address());
    let requests = [
        "GET /v1/echo/a%0A%7B%22forged%22:1%7D",
        "GET /v1/echo/a%0D%0A%1B[31m",
        "GET /v1/echo/%22,%22status%22:500,%22x%22:%22",
        "GET /nothing\"}{\"forged\":1}",
    ];
    for (number, request) in requests.iter().enumerate() {
        let header = format!("x-request-id: forge-{number}");
        gateway.call(&Request::new(request).header(header).header("user-agent: \"}\u{e9}\\"));
    }
    line(&gateway, "forge-3");
    for line in gateway.process.stdout.all().iter().skip(1) {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(parsed.get("forged").is_none(), "{line}");
        assert!(!line.bytes().any(|byte| byte < 0x20), "{line:?}");
    }
}

#[test]
fn a_head_that_is_refused_has_a_line_with_its_own_method() {
    let gateway = Gateway::flags(echo::address());
    let large = format!("PUT /v1/ping HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(200 << 10));
    for (whole, bytes, status, method) in [
        (true, "DELETE /v1/ping HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "DELETE"),
        (false, "PATCH /v1/ping HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n", 400, "PATCH"),
        (true, "CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", 405, "CONNECT"),
        (true, &large, 431, "PUT"),
        (true, "hello\r\n", 400, ""),
        (true, "G\u{e9}T / HTTP/1.1\r\n", 400, ""),
    ] {
        let mark = gateway.process.stdout.mark();
        let mut connection = gateway.connect();
        // What came before on the connection has a line of its own.
        connection.send(b"GET /v1/ping HTTP/1.1\r\nhost: a\r\n\r\n");
        connection.response("GET").expect(200);
        match whole {
            true => drop(connection.try_send(bytes.as_bytes())),
            false => bytes.as_bytes().chunks(7).for_each(|piece| connection.send(piece)),
        }
        assert_eq!(connection.head().status, status, "{bytes:.40}");
        let wanted = format!("\"status\":{status},");
        let line = gateway.process.stdout.find(mark, PATIENCE, |line| line.contains(&wanted));
        let line: Value = serde_json::from_str(&line.expect("it is logged")).expect("it is JSON");
        assert_eq!(line["method"], method, "{line}");
        assert!(gateway.process.stdout.find(mark, PATIENCE, |line| line.contains("\"GET\"")).is_some());
    }
}

#[test]
fn secrets_are_not_in_it() {
    let gateway = Gateway::flags(echo::address());
    let request = Request::new("GET /v1/echo/a").header("authorization: Bearer sesame-1").header("cookie: s=sesame-2");
    gateway.call(&request.header("x-request-id: log-secret")).expect(200);
    line(&gateway, "log-secret");
    assert!(!gateway.process.output().contains("sesame"));
}

#[test]
fn it_can_be_turned_off() {
    let gateway = Gateway::configured(&configuration(echo::address(), "telemetry: { access_log: off }"));
    for _ in 0..3 {
        gateway.get("/v1/ping").expect(200);
    }
    gateway.process.signal(Signal::Terminate);
    gateway.process.wait(PATIENCE);
    gateway.process.stdout.closed();
    assert_eq!(gateway.process.stdout.all().len(), 1, "{}", gateway.process.output());
}

#[test]
fn no_line_is_lost_at_the_end() {
    let gateway = Gateway::flags(echo::address());
    let mut connection = gateway.connect();
    for number in 0..200 {
        let id = format!("x-request-id: end-{number}.");
        connection.call(&Request::new("GET /v1/ping").header(id)).expect(200);
    }
    gateway.process.signal(Signal::Terminate);
    gateway.process.wait(PATIENCE);
    gateway.process.stdout.closed();
    let all = gateway.process.stdout.all();
    let lines = all.iter().filter(|line| line.contains("end-")).count();
    assert_eq!(lines, 200);
}

/// The gateway with its standard error going elsewhere.
fn with_log_to(target: &str) -> Gateway {
    let mut command = Command::new("sh");
    command.args(["-c", "target=$1; shift; exec \"$@\" 2>\"$target\"", "sh", target]);
    command.arg(lockgate().get_program()).args(["serve", "--log-level", "debug", "--workers", "1", "--listen"]);
    command.args(["127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", &echo::address().to_string()]);
    Gateway::start(command.arg("--descriptors").arg(descriptors()))
}

#[track_caller]
fn serves_and_ends(gateway: &Gateway) {
    for _ in 0..3 {
        gateway.get("/v1/ping").expect(200);
    }
    gateway.ask("/readyz").expect(200);
    gateway.process.signal(Signal::Terminate);
    let status = gateway.process.wait(PATIENCE);
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn a_log_on_a_full_disk_costs_nothing() {
    serves_and_ends(&with_log_to("/dev/full"));
}

#[test]
fn a_log_that_nobody_reads_costs_nothing() {
    /// Of Linux: a write that would wait fails instead.
    const O_NONBLOCK: i32 = 0o4000;
    let folder = Folder::new();
    let path = folder.path().join("log");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut pipe = OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open(&path).unwrap();
    // Full before the gateway begins: its first line waits for a reader that never comes.
    let full = loop {
        match pipe.write_all(b"\n") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    serves_and_ends(&with_log_to(path.to_str().unwrap()));
}
