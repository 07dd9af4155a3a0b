//! The tests' own tools, tried on one another without a gateway between: a tool that lies makes every test lie.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use bytes::Bytes;
use h2::Reason;
use http::Request;
use lockgate::pb::lockgate::test::v1::echo_client::EchoClient;
use lockgate::pb::lockgate::test::v1::{Everything, FailRequest, MetadataRequest, StreamRequest};
use serde_json::json;
use tokio::net::TcpStream;
use tonic::Code;

use crate::support::frames::{self, Step};
use crate::support::http1::{Connection, End};
use crate::support::probe::{Event, Probe};
use crate::support::process::run;
use crate::support::scripted::{self, Scripted};
use crate::support::{PATIENCE, block_on, echo, oracle};

async fn client() -> EchoClient<tonic::transport::Channel> {
    let endpoint = tonic::transport::Endpoint::new(format!("http://{}", echo::address())).expect("it is an address");
    EchoClient::new(endpoint.connect().await.expect("the backend listens"))
}

fn probed<T>(message: T, probe: &Probe) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("x-probe", probe.id().parse().unwrap());
    request
}

#[test]
fn the_backend_answers_with_what_it_was_asked_and_tells_the_probe() {
    let probe = Probe::new();
    let message = Everything { int64_value: 5, ..Everything::default() };
    let request = probed(message.clone(), &probe);
    let answer = block_on(async { client().await.unary(request).await }).unwrap();
    assert_eq!(answer.into_inner(), message);
    assert_eq!(probe.messages(), [json!({"int64Value": "5"})]);
    assert_eq!(probe.metadata_of("x-probe"), [probe.id()]);
    assert!(probe.events().contains(&Event::Finished));
}

#[test]
fn the_backend_fails_as_it_is_told() {
    let detail = prost_types::Any { type_url: "type.googleapis.com/a.B".to_owned(), value: vec![1] };
    let request = FailRequest { code: 5, message: "gone".to_owned(), details: vec![detail] };
    let status = block_on(async { client().await.fail(request).await }).unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "gone"));
    assert!(!status.details().is_empty());
}

#[test]
fn the_backend_sends_metadata_before_and_after() {
    let one = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let request = MetadataRequest { initial: one("x-a", "1"), trailing: one("x-b", "2") };
    let answer = block_on(async { client().await.metadata(request).await }).unwrap();
    assert_eq!(answer.metadata().get("x-a").unwrap(), "1");
    assert_eq!(answer.metadata().get("x-b").unwrap(), "2");
}

#[test]
fn a_gated_stream_goes_on_when_it_is_let_and_tells_when_it_is_cancelled() {
    let probe = Probe::gated();
    let request = probed(StreamRequest { count: 3, ..StreamRequest::default() }, &probe);
    block_on(async {
        let mut stream = client().await.server_stream(request).await.unwrap().into_inner();
        assert_eq!(probe.produced(), 0);
        probe.pass(1);
        assert_eq!(stream.message().await.unwrap().unwrap().int32_value, 0);
        assert_eq!(probe.produced(), 1);
    });
    probe.expect(|event| *event == Event::Cancelled);
}

#[test]
fn a_script_tells_a_cut_request_from_one_that_ended() {
    let (sender, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let scripted = Scripted::new(move |mut call| {
        let sender = sender.clone();
        async move { sender.send(call.read_to_end().await.map_err(|error| error.reason())).unwrap() }
    });
    let header = scripted.header();
    let (name, value) = header.split_once(": ").unwrap();
    block_on(async {
        let stream = TcpStream::connect(scripted::address()).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = || Request::post("http://backend.test/a/b").header(name, value).body(()).unwrap();
        let mut sender = sender.ready().await.unwrap();
        let (_response, mut body) = sender.send_request(request(), false).unwrap();
        body.send_data(Bytes::from_static(b"x"), true).unwrap();
        assert_eq!(ends.recv().await.unwrap(), Ok(b"x".to_vec()));
        let (_response, mut body) = sender.send_request(request(), false).unwrap();
        body.send_data(Bytes::from_static(b"x"), false).unwrap();
        body.send_reset(Reason::CANCEL);
        assert_eq!(ends.recv().await.unwrap(), Err(Some(Reason::CANCEL)));
    });
}

#[test]
fn a_script_decides_what_becomes_of_a_call() {
    let scripted = Scripted::new(|mut call| async move { call.answer(&[8, 1]).await });
    let (name, value) = scripted.header().split_once(": ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    block_on(async {
        let stream = TcpStream::connect(scripted::address()).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post("http://backend.test/a/b").header(name, value).body(()).unwrap();
        let (response, mut body) = sender.ready().await.unwrap().send_request(request, false).unwrap();
        body.send_data(scripted::frame(b"x"), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]));
        assert_eq!(body.trailers().await.unwrap().unwrap().get("grpc-status").unwrap(), "0");
    });
    assert_eq!(scripted.calls(), 1);
}

#[test]
fn a_connection_can_be_told_to_go_away_unprocessed() {
    let server = frames::Server::start(&[Step::GoawayUnprocessed]);
    let call = async || {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post("http://backend.test/a/b").body(()).unwrap();
        let (response, _) = sender.ready().await.unwrap().send_request(request, true).unwrap();
        response.await.map(|response| response.status())
    };
    let first = block_on(call()).unwrap_err();
    assert!(first.is_go_away(), "{first}");
    assert_eq!(block_on(call()).unwrap(), 200);
    assert_eq!((server.connections(), server.requests()), (2, 1));
}

/// A server that reads a request and answers with these bytes, then closes.
fn fixed(answer: &'static [u8]) -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(answer).unwrap();
    });
    let mut connection = Connection::open(address);
    connection.send(b"GET / HTTP/1.1\r\n\r\n");
    connection
}

#[test]
fn the_client_shows_headers_in_their_order_and_case() {
    let response = fixed(b"HTTP/1.1 200 OK\r\nX-B: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nhi").response("GET");
    assert_eq!(response.head.headers[0], ("X-B".to_owned(), "1".to_owned()));
    assert_eq!(response.head.headers[1], ("x-a".to_owned(), "2".to_owned()));
    assert_eq!((response.text(), response.end), ("hi", End::Clean));
}

#[test]
fn the_client_knows_a_body_that_was_cut() {
    let response = fixed(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi").response("GET");
    assert_eq!((response.text(), response.end), ("hi", End::Cut));
    let response = fixed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n").response("GET");
    assert_eq!((response.text(), response.end), ("hi", End::Cut));
    let response = fixed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n").response("GET");
    assert_eq!((response.text(), response.end), ("hi", End::Clean));
}

#[test]
fn the_oracle_reads_and_prints() {
    let json = oracle::canonical("lockgate.test.v1.Everything", r#"{"int64_value": 5, "color": 3, "strings": []}"#);
    assert_eq!(json, json!({"int64Value": "5", "color": "COLOR_BLUE"}));
}

#[test]
fn a_process_that_ends_is_reported_whole() {
    let finished = run(std::process::Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]));
    assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (Some(3), "out", "err"));
}

#[test]
fn a_process_is_gone_once_its_owner_is() {
    let process = crate::support::process::Process::start(
        std::process::Command::new("sh").args(["-c", "echo up; cat; sleep 1000"]),
    );
    assert!(process.stdout.find(0, PATIENCE, |line| line == "up").is_some());
    let pid = process.pid();
    assert!(process.ended().is_none());
    drop(process);
    let alive =
        std::process::Command::new("kill").args(["-0", &pid.to_string()]).stderr(std::process::Stdio::null()).status();
    assert!(!alive.unwrap().success());
}
