//! Bodies: `google.api.HttpBody` both ways, byte for byte and in bounded memory; encodings; sizes.

use std::io::Write as _;

use crate::support::echo::{self, content, crc32};
use crate::support::gateway::Gateway;
use crate::support::http1::{Connection, End, Request};
use crate::support::probe::{Event, Probe};
use crate::support::scripted::gzip;

const BIG: u64 = 24 << 20;

/// How much more memory a stream of any length may take: far below what would hold it.
const SOME: u64 = 16 << 20;

fn brotli(data: &[u8]) -> Vec<u8> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
    writer.write_all(data).unwrap();
    writer.into_inner()
}

#[test]
fn a_streamed_download_is_the_bytes_and_takes_little_memory() {
    let gateway = Gateway::flags(echo::address());
    gateway.get("/v1/download/100000/stream").expect(200);
    let before = gateway.resident();
    let mut connection = gateway.connect();
    let target = format!("GET /v1/download/{BIG}/stream?pieceBytes=65536&contentType=video/x-test");
    connection.send(&Request::new(&target).bytes());
    let head = connection.head();
    assert_eq!((head.status, head.get("content-type")), (200, Some("video/x-test")));
    let mut body = Vec::new();
    let mut peak = 0;
    while let Some(piece) = connection.try_piece().unwrap() {
        if body.len() / (1 << 20) != (body.len() + piece.len()) / (1 << 20) {
            peak = peak.max(gateway.resident().unwrap_or_default());
        }
        body.extend_from_slice(&piece);
    }
    assert!(body == content(BIG), "the bytes differ");
    if let Some(before) = before {
        assert!(peak < before + SOME, "{} bytes more were held", peak - before);
    }
}

#[test]
fn a_streamed_upload_is_the_bytes_and_takes_little_memory() {
    let gateway = Gateway::flags(echo::address());
    let data = content(BIG);
    // What a first call leaves for those to come is no part of an upload.
    let first = content(1 << 20);
    gateway.call(&Request::new("POST /v1/upload-stream").header("content-type: video/x-test").body(&first)).expect(200);
    for line in ["POST /v1/upload-stream", "POST /v1/upload-stream/name"] {
        let before = gateway.resident();
        let mut connection = gateway.connect();
        let request = Request::new(line).header("content-type: video/x-test").header("transfer-encoding: chunked");
        connection.send(&request.bytes());
        let mut peak = 0;
        for chunk in data.chunks(1 << 16) {
            connection.send_chunk(chunk);
            peak = peak.max(gateway.resident().unwrap_or_default());
        }
        connection.send_chunk(b"");
        let response = connection.response("POST").expect(200);
        let summary = response.json();
        assert_eq!(summary["bytes"], BIG.to_string(), "{}", response.exchange);
        assert_eq!(summary["checksum"], crc32(&data));
        assert_eq!(summary["contentType"], "video/x-test");
        if line.ends_with("name") {
            assert_eq!(summary["name"], "name");
        }
        if let Some(before) = before {
            assert!(peak < before + SOME, "{line}: {} bytes more were held", peak - before);
        }
    }
}

#[test]
fn a_streamed_upload_may_have_a_length() {
    let data = content(1 << 20);
    let request = Request::new("POST /v1/upload-stream").header("content-type: video/x-test").body(&data);
    let summary = Gateway::plain().call(&request).expect(200).json();
    assert_eq!((&summary["bytes"], &summary["checksum"]), (&(1 << 20).to_string().into(), &crc32(&data).into()));
}

#[test]
fn a_body_comes_back_byte_for_byte() {
    let data = content(3 << 20);
    let request = Request::new("POST /v1/body").header("content-type: image/x-test").body(&data);
    let response = Gateway::plain().call(&request).expect(200);
    assert_eq!(response.head.get("content-type"), Some("image/x-test"));
    assert!(response.body == data, "the bytes differ");
    let request = Request::new("POST /v1/body-stream").header("content-type: image/x-test").body(&data);
    let response = Gateway::plain().call(&request).expect(200);
    assert!(response.body == data, "the bytes of the stream differ");
}

#[test]
fn each_piece_of_a_download_is_seen_before_the_next_is_made() {
    let probe = Probe::gated();
    let mut connection = Gateway::plain().connect();
    let request = Request::new("GET /v1/download/6/stream?pieceBytes=2").header(probe.header());
    connection.send(&request.bytes());
    for number in 0..3 {
        probe.pass(1);
        if number == 0 {
            assert_eq!(connection.head().status, 200);
        }
        let piece = connection.try_piece().unwrap().unwrap();
        assert_eq!(piece, [number * 2, number * 2 + 1]);
        assert_eq!(probe.produced(), usize::from(number) + 1);
    }
    assert_eq!(connection.rest(), (Vec::new(), End::Clean));
}

#[test]
fn each_piece_of_an_upload_is_sent_on_as_it_comes() {
    let probe = Probe::new();
    let mut connection = Gateway::plain().connect();
    let request = Request::new("POST /v1/upload-stream").header("content-type: text/x-test").header(probe.header());
    connection.send(&request.header("transfer-encoding: chunked").bytes());
    connection.send_chunk(b"one");
    probe.expect(|event| matches!(event, Event::Message(message) if message["data"] == "b25l"));
    connection.send_chunk(b"two");
    probe.expect(|event| matches!(event, Event::Message(message) if message["data"] == "dHdv"));
    connection.send_chunk(b"");
    assert_eq!(connection.response("POST").expect(200).json()["bytes"], "6");
}

#[test]
fn a_download_that_breaks_off_never_looks_complete() {
    let response = Gateway::plain().get("/v1/download/100000/stream?pieceBytes=1000&failAfterBytes=5000");
    assert_eq!((response.status(), response.end), (200, End::Cut), "{}", response.exchange);
    assert!(response.body == content(5000)[..response.body.len()]);
}

#[test]
fn bodies_are_decoded() {
    let json = br#"{"stringValue":"hello","int32Value":5}"#;
    let bodies = [
        ("gzip", gzip(json)),
        ("x-gzip", gzip(json)),
        ("br", brotli(json)),
        ("zstd", zstd::encode_all(&json[..], 3).unwrap()),
        ("identity", json.to_vec()),
        ("GZIP", gzip(json)),
        ("br, gzip", gzip(&brotli(json))),
    ];
    for (encoding, body) in bodies {
        let request = Request::new("POST /v1/echo").header(format!("content-encoding: {encoding}")).json(body);
        let response = Gateway::plain().call(&request);
        // Neither the old name of gzip nor encodings on one another are promised; if not taken they are 415.
        if response.status() == 415 && ["x-gzip", "br, gzip"].contains(&encoding) {
            continue;
        }
        let response = response.expect(200);
        assert_eq!(response.json()["stringValue"], "hello", "{encoding}");
    }
}

#[test]
fn streams_of_messages_are_decoded_as_well() {
    let lines = b"{\"int32Value\":1}\n{\"int32Value\":2}\n";
    for (encoding, body) in
        [("gzip", gzip(lines)), ("br", brotli(lines)), ("zstd", zstd::encode_all(&lines[..], 3).unwrap())]
    {
        let request = Request::new("POST /v1/collect").header("content-type: application/x-ndjson");
        let response = Gateway::plain().call(&request.header(format!("content-encoding: {encoding}")).body(body));
        assert_eq!(response.expect(200).json()["count"], 2, "{encoding}");
    }
}

#[test]
fn a_body_that_does_not_decode_is_refused() {
    let json = br#"{"stringValue":"hello"}"#;
    let mut short = gzip(json);
    short.truncate(short.len() - 6);
    let mut wrong = gzip(json);
    let middle = wrong.len() - 6;
    wrong[middle] ^= 0xff;
    let zstd_short = zstd::encode_all(&json[..], 3).unwrap()[..10].to_vec();
    let bodies =
        [("gzip", short), ("gzip", wrong), ("br", vec![0xff; 20]), ("zstd", zstd_short), ("zstd", json.to_vec())];
    for (encoding, body) in bodies {
        let probe = Probe::new();
        let request = Request::new("POST /v1/echo").header(format!("content-encoding: {encoding}"));
        let response = Gateway::plain().call(&request.header(probe.header()).json(body)).expect(400);
        assert_eq!(response.json()["code"], 3, "{encoding}");
        assert_eq!(probe.calls(), 0, "{encoding}");
    }
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let probe = Probe::new();
    let large = format!("{{\"stringValue\":\"{}\"}}", "x".repeat(5 << 20));
    let request = Request::new("POST /v1/echo").header(probe.header()).json(&large);
    // The gateway may answer and close before all is sent.
    let mut connection = Gateway::plain().connect();
    let _ = connection.try_send(&request.bytes());
    let head = connection.head();
    assert_eq!(head.status, 413, "{}", connection.exchange());
    assert_eq!(probe.calls(), 0);
}

#[test]
fn a_body_that_grows_too_large_when_decoded_is_refused() {
    let large = format!("{{\"stringValue\":\"{}\"}}", "x".repeat(64 << 20));
    let gateway = Gateway::flags(echo::address());
    let bodies = [
        ("gzip", gzip(large.as_bytes())),
        ("br", brotli(large.as_bytes())),
        ("zstd", zstd::encode_all(large.as_bytes(), 3).unwrap()),
    ];
    for (encoding, body) in bodies {
        let request = Request::new("POST /v1/echo").header(format!("content-encoding: {encoding}")).json(body);
        let response = gateway.call(&request).expect(413);
        assert!(response.json()["message"].is_string(), "{encoding}");
    }
    let resident = gateway.resident().unwrap_or_default();
    assert!(resident < 128 << 20, "{resident} bytes are held");
}

#[test]
fn a_client_that_asks_for_leave_gets_it() {
    let mut connection: Connection = Gateway::plain().connect();
    let request = Request::new("POST /v1/echo").header("expect: 100-continue").header("content-length: 2");
    connection.send(&request.json("").bytes());
    let head = connection.head();
    assert_eq!(head.status, 100, "{}", connection.exchange());
    connection.send(b"{}");
    connection.response("POST").expect(200);
}
