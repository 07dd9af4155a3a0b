//! How a gateway ends: no request is lost, and it does end.

use std::time::Duration;

use crate::support::gateway::{Gateway, configuration};
use crate::support::http1::{Connection, End, Request};
use crate::support::http2::Client;
use crate::support::probe::{Event, Probe};
use crate::support::process::Signal;
use crate::support::{PATIENCE, block_on, echo};

/// "Within a second", and as much again for a busy machine.
const SOON: Duration = Duration::from_secs(2);

/// A request that the upstream holds until the test lets it go.
fn held(gateway: &Gateway, target: &str) -> (Connection, Probe) {
    let probe = Probe::gated();
    let mut connection = gateway.connect();
    let line = format!("GET {target}");
    connection.send(&Request::new(&line).header("accept: application/x-ndjson").header(probe.header()).bytes());
    probe.expect(|event| matches!(event, Event::Message(_)));
    (connection, probe)
}

#[track_caller]
fn unready(gateway: &Gateway) {
    gateway.within(SOON, "/readyz is 503", |gateway| {
        Connection::try_open(gateway.admin()).is_ok_and(|mut connection| {
            connection.try_send(&Request::new("GET /readyz").bytes()).is_ok()
                && connection.try_head("GET").is_ok_and(|head| head.status == 503)
        })
    });
}

#[test]
fn an_idle_gateway_ends_at_once() {
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let gateway = Gateway::flags(echo::address());
        gateway.get("/v1/ping").expect(200);
        gateway.process.signal(signal);
        let status = gateway.process.wait(SOON);
        assert_eq!(status.code(), Some(0), "{}", gateway.process.output());
        assert!(Connection::try_open(gateway.address).is_err());
    }
}

#[test]
fn a_request_in_flight_is_finished() {
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let gateway = Gateway::flags(echo::address());
        let (mut connection, probe) = held(&gateway, "/v1/echo/a");
        gateway.process.signal(signal);
        unready(&gateway);
        assert_eq!(gateway.ask("/livez").status(), 200);
        gateway.within(SOON, "new connections are refused", |gateway| Connection::try_open(gateway.address).is_err());
        assert!(gateway.process.ended().is_none());
        probe.pass(1);
        let response = connection.response("GET").expect(200);
        assert_eq!(response.text(), "{\"stringValue\":\"a\"}");
        connection.closed();
        assert_eq!(gateway.process.wait(SOON).code(), Some(0), "{}", gateway.process.output());
    }
}

#[test]
fn a_stream_in_flight_is_finished() {
    let gateway = Gateway::flags(echo::address());
    let (mut connection, probe) = held(&gateway, "/v1/stream/2");
    assert_eq!(connection.head().status, 200);
    gateway.process.signal(Signal::Terminate);
    unready(&gateway);
    probe.pass(2);
    let (body, end) = connection.rest();
    assert_eq!((String::from_utf8(body).unwrap().as_str(), end), ("{}\n{\"int32Value\":1}\n", End::Clean));
    assert_eq!(gateway.process.wait(SOON).code(), Some(0));
}

#[test]
fn a_call_over_http2_is_finished_and_the_connection_told() {
    let gateway = Gateway::flags(echo::address());
    let probe = Probe::gated();
    block_on(async {
        let mut client = Client::connect(gateway.address).await;
        let mut exchange = client.get("/v1/echo/a", &[("x-probe", probe.id())]).await;
        while probe.messages().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        gateway.process.signal(Signal::Terminate);
        tokio::task::block_in_place(|| unready(&gateway));
        probe.pass(1);
        let mut answer = exchange.head().await.unwrap();
        assert_eq!((answer.status(), answer.rest().await.0), (200, b"{\"stringValue\":\"a\"}".to_vec()));
    });
    assert_eq!(gateway.process.wait(SOON).code(), Some(0));
}

#[test]
fn a_connection_between_requests_is_closed() {
    let gateway = Gateway::flags(echo::address());
    let mut idle = gateway.connect();
    idle.call(&Request::new("GET /v1/ping")).expect(200);
    let mut fresh = gateway.connect();
    gateway.process.signal(Signal::Terminate);
    idle.closed();
    fresh.closed();
    assert_eq!(gateway.process.wait(SOON).code(), Some(0));
}

#[test]
fn what_goes_on_beyond_the_drain_is_cut_so_that_the_client_can_tell() {
    let settings = "runtime: { workers: 1, drain: 300ms }";
    let gateway = Gateway::configured(&configuration(echo::address(), settings));
    let (mut unary, _first) = held(&gateway, "/v1/echo/a");
    let (mut stream, second) = held(&gateway, "/v1/stream/5");
    assert_eq!(stream.head().status, 200);
    second.pass(1);
    stream.until("{}");
    gateway.process.signal(Signal::Terminate);
    assert_eq!(gateway.process.wait(SOON).code(), Some(0), "{}", gateway.process.output());
    // Cut, or ended with an error: never as if it were whole.
    if let Ok(head) = unary.try_head("GET") {
        assert!(head.status >= 500, "{}", unary.exchange());
    }
    let (rest, end) = stream.rest();
    assert!(end == End::Cut || String::from_utf8_lossy(&rest).contains("@error"), "{}", stream.exchange());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let gateway = Gateway::flags(echo::address());
        let (_connection, _probe) = held(&gateway, "/v1/echo/a");
        gateway.process.signal(signal);
        unready(&gateway);
        assert!(gateway.process.ended().is_none());
        gateway.process.signal(signal);
        gateway.process.wait(SOON);
    }
}

#[test]
fn connections_are_taken_until_the_grace_is_over() {
    let settings = "runtime: { workers: 1, grace: 1500ms }";
    let gateway = Gateway::configured(&configuration(echo::address(), settings));
    gateway.process.signal(Signal::Terminate);
    unready(&gateway);
    gateway.get("/v1/ping").expect(200);
    assert_eq!(gateway.process.wait(PATIENCE).code(), Some(0));
}

#[test]
fn the_clients_of_the_next_gateway_find_the_port_free() {
    let first = Gateway::flags(echo::address());
    let mut connection = first.connect();
    connection.call(&Request::new("GET /v1/ping")).expect(200);
    first.process.signal(Signal::Terminate);
    first.process.wait(SOON);
    let settings = format!("listeners: {{ public: {{ address: \"{}\" }} }}", first.address);
    let second = Gateway::configured(&configuration(echo::address(), &settings));
    assert_eq!(second.address, first.address);
    second.get("/v1/ping").expect(200);
}
