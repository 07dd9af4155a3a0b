//! Upstreams that do what no gRPC library does: the client gets the right status, never a success, and other calls
//! on the same connection go on.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::frames::{self, Step};
use crate::support::gateway::Gateway;
use crate::support::http1::{End, Request, Response};
use crate::support::scripted::{Call, Scripted, finish, frame, framed, gzip};
use crate::support::{block_on, listen, oracle, upstreams};

const HTML: &str = "<html><body>nope</body></html>";

/// Runs a script as a unary call's upstream.
#[track_caller]
fn call<F, D>(script: F) -> Response
where
    F: Fn(Call) -> D + Send + Sync + 'static,
    D: Future<Output = ()> + Send + 'static,
{
    let scripted = Scripted::new(script);
    let response = upstreams::scripted().call(&Request::new("GET /v1/search").header(scripted.header()));
    assert_eq!(response.end, End::Clean, "the answer broke off{}", response.exchange);
    // Whatever happened, the next call is well.
    upstreams::scripted().get("/v1/search?int32Value=1").expect(200);
    response
}

/// That a call failed with one of these codes, and with the HTTP status that goes with it.
#[track_caller]
fn failed(what: &str, response: &Response, codes: &[i64]) {
    let error = response.json();
    let code = error["code"].as_i64().unwrap_or(-1);
    assert!(codes.contains(&code), "{what}: code {code}, not one of {codes:?}{}", response.exchange);
    let statuses: &[u16] = match code {
        1 => &[499],
        4 => &[504],
        5 => &[404],
        7 => &[403],
        8 => &[429],
        12 => &[501],
        13 => &[500, 502],
        14 => &[503],
        16 => &[401],
        _ => &[500, 502],
    };
    assert!(statuses.contains(&response.status()), "{what}: status {}{}", response.status(), response.exchange);
    assert!(error["message"].is_string() && error["details"].is_array(), "{what}: {error}");
}

/// A unary answer of these frames and these trailers.
#[track_caller]
fn answered(frames: Bytes, trailers: &'static [(&'static str, &'static str)]) -> Response {
    call(move |mut call| {
        let frames = frames.clone();
        async move {
            call.read().await;
            let mut stream = call.head(&[]);
            if !frames.is_empty() {
                stream.send_data(frames, false).ok();
            }
            finish(&mut stream, trailers);
        }
    })
}

/// A unary answer whose message is these wire bytes.
#[track_caller]
fn message(wire: &[u8]) -> Response {
    answered(frame(wire), &[("grpc-status", "0")])
}

#[test]
fn an_answer_without_a_status_is_unknown() {
    let response = call(|mut call| async move {
        call.read().await;
        call.head(&[]).send_data(frame(&[]), true).ok();
    });
    failed("no trailers", &response, &[2]);
    failed("trailers without it", &answered(frame(&[]), &[("x-a", "1")]), &[2]);
    for (what, trailers) in [
        ("a word", &[("grpc-status", "abc")] as &'static [_]),
        ("empty", &[("grpc-status", "")]),
        ("negative", &[("grpc-status", "-1")]),
        ("a fraction", &[("grpc-status", "0.0")]),
        ("very long", &[("grpc-status", "00000000000000000000000000000000000000005x")]),
    ] {
        failed(what, &answered(frame(&[]), trailers), &[2]);
    }
}

#[test]
fn an_unknown_code_is_a_server_error() {
    let response = answered(Bytes::new(), &[("grpc-status", "99"), ("grpc-message", "odd")]);
    assert_eq!(response.status(), 500, "{}", response.exchange);
    let error = response.json();
    assert!([json!(99), json!(2)].contains(&error["code"]), "{error}");
    assert_eq!(error["message"], "odd");
}

#[test]
fn trailers_alone_are_an_answer() {
    let response = call(|mut call| async move {
        call.only(200, &[("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "gone")]);
    });
    assert_eq!(response.status(), 404);
    assert_eq!(response.json(), json!({"code": 5, "message": "gone", "details": []}));
    let response = call(|mut call| async move {
        call.only(200, &[("content-type", "application/grpc"), ("grpc-status", "0")]);
    });
    failed("a success without a message", &response, &[2, 12, 13]);
    let response = call(|mut call| async move {
        call.only(200, &[("content-type", "application/grpc")]);
    });
    failed("nothing at all", &response, &[2]);
}

#[test]
fn a_success_without_a_message_is_none() {
    failed("no message", &answered(Bytes::new(), &[("grpc-status", "0")]), &[2, 12, 13]);
}

#[test]
fn a_failure_with_a_message_is_a_failure() {
    let response = answered(frame(&[24, 1]), &[("grpc-status", "5"), ("grpc-message", "gone")]);
    assert_eq!((response.status(), response.json()["code"].clone()), (404, json!(5)));
}

#[test]
fn http_errors_go_by_the_table() {
    let table: [(u16, &[i64]); 12] = [
        (400, &[13]),
        (401, &[16]),
        (403, &[7]),
        (404, &[12]),
        (429, &[14]),
        (502, &[14]),
        (503, &[14]),
        (504, &[14]),
        (418, &[2]),
        (500, &[2]),
        (302, &[2]),
        (204, &[2]),
    ];
    for (status, codes) in table {
        let response = call(move |mut call| async move { call.plain(status, &[("content-type", "text/html")], HTML) });
        failed(&format!("{status} with a page"), &response, codes);
        assert!(!response.text().contains("<html>"), "the page is shown{}", response.exchange);
        let response = call(move |mut call| async move { call.only(status, &[]) });
        failed(&format!("{status} with nothing"), &response, codes);
    }
}

#[test]
fn a_page_is_no_answer() {
    let response = call(|mut call| async move { call.plain(200, &[("content-type", "text/html")], HTML) });
    failed("a page", &response, &[2, 13]);
    let response = call(|mut call| async move { call.plain(200, &[], HTML) });
    failed("a page without a type", &response, &[2, 13]);
}

#[test]
fn a_second_message_is_one_too_many() {
    let mut two = frame(&[24, 1]).to_vec();
    two.extend_from_slice(&frame(&[24, 2]));
    failed("a second message", &answered(two.into(), &[("grpc-status", "0")]), &[2, 12, 13]);
}

#[test]
fn a_message_cut_short_is_internal() {
    let cut = [
        ("a length that is too long", framed(0, 100, &[24, 1])),
        ("three bytes of a head", Bytes::from_static(&[0, 0, 0])),
        ("a head alone", framed(0, 2, &[])),
        ("a second head", [frame(&[24, 1]).as_ref(), &[0, 0]].concat().into()),
    ];
    for (what, frames) in cut {
        failed(what, &answered(frames, &[("grpc-status", "0")]), &[13]);
    }
}

#[test]
fn a_length_beyond_all_bounds_is_not_waited_for() {
    let gateway = upstreams::scripted();
    for length in [u32::MAX, 1 << 31, 64 << 20] {
        let response = answered(framed(0, length, &[0; 1000]), &[("grpc-status", "0")]);
        failed("a giant length", &response, &[8, 13]);
    }
    let resident = gateway.resident().unwrap_or_default();
    assert!(resident < 512 << 20, "{resident} bytes are held");
}

#[test]
fn a_message_beyond_the_limit_is_refused() {
    let text = vec![b'x'; 5 << 20];
    let mut wire = vec![0x72];
    let mut length = text.len();
    while length >= 0x80 {
        wire.push(u8::try_from(length & 0x7f | 0x80).unwrap());
        length >>= 7;
    }
    wire.push(u8::try_from(length).unwrap());
    wire.extend_from_slice(&text);
    let response = message(&wire);
    failed("five megabytes", &response, &[13]);
    assert_eq!(response.status(), 502, "{}", response.exchange);
}

#[test]
fn a_reset_before_the_head_is_never_a_success() {
    for reason in 0..=13 {
        let response = call(move |mut call| async move {
            call.read().await;
            call.reset(Reason::from(reason));
        });
        let codes: &[i64] = match Reason::from(reason) {
            Reason::REFUSED_STREAM => &[14],
            Reason::CANCEL => &[1, 2, 13, 14],
            Reason::ENHANCE_YOUR_CALM => &[8, 13, 14],
            Reason::INADEQUATE_SECURITY => &[7, 13, 14],
            _ => &[2, 13, 14],
        };
        failed(&format!("reason {reason}"), &response, codes);
    }
}

#[test]
fn a_reset_midway_is_never_a_success() {
    for reason in 0..=13 {
        for data in [Bytes::new(), framed(0, 2, &[24]), frame(&[24, 1])] {
            let size = data.len();
            let response = call(move |mut call| {
                let data = data.clone();
                async move {
                    call.read().await;
                    let mut stream = call.head(&[]);
                    if !data.is_empty() {
                        stream.send_data(data, false).ok();
                    }
                    // A reset drops what was not sent yet; a moment lets it out.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    stream.send_reset(Reason::from(reason));
                }
            });
            failed(&format!("reason {reason} after {size} bytes"), &response, &[1, 2, 7, 8, 13, 14]);
        }
    }
}

#[test]
fn a_refused_stream_is_tried_once_more() {
    let scripted = Scripted::new(|mut call| async move {
        if call.number == 1 { call.reset(Reason::REFUSED_STREAM) } else { call.answer(&[24, 7]).await }
    });
    let request = Request::new("POST /v1/part/a/scalar").header(scripted.header()).json("5");
    let response = upstreams::scripted().call(&request).expect(200);
    assert_eq!(response.json(), json!({"int32Value": 7}));
    assert_eq!(scripted.calls(), 2);
}

#[test]
fn a_refused_stream_is_not_tried_forever() {
    let scripted = Scripted::new(|mut call| async move { call.reset(Reason::REFUSED_STREAM) });
    let request = Request::new("POST /v1/part/a/scalar").header(scripted.header()).json("5");
    failed("always refused", &upstreams::scripted().call(&request), &[14]);
    assert_eq!(scripted.calls(), 2);
}

#[test]
fn a_refused_stream_of_messages_is_tried_once_more() {
    let scripted = Scripted::new(|mut call| async move {
        if call.number == 1 {
            // After some of the messages came.
            let _ = call.request.body_mut().data().await;
            return call.reset(Reason::REFUSED_STREAM);
        }
        let size = call.read_to_end().await.map_or(99, |sent| u8::try_from(sent.len()).unwrap());
        let mut stream = call.head(&[]);
        stream.send_data(frame(&[8, size]), false).ok();
        finish(&mut stream, &[("grpc-status", "0")]);
    });
    let request = Request::new("POST /v1/collect").header("content-type: application/x-ndjson");
    let request = request.header(scripted.header()).body("{\"int32Value\":1}\n{\"int32Value\":2}\n");
    let response = upstreams::scripted().call(&request).expect(200);
    // Two frames with two bytes in each.
    assert_eq!(response.json(), json!({"count": 14}));
    assert_eq!(scripted.calls(), 2);
}

#[test]
fn a_refused_stream_both_ways_goes_on_where_the_client_is() {
    let again = Arc::new(Notify::new());
    let notify = Arc::clone(&again);
    let scripted = Scripted::new(move |mut call| {
        let notify = Arc::clone(&notify);
        async move {
            let _ = call.request.body_mut().data().await;
            if call.number == 1 {
                return call.reset(Reason::REFUSED_STREAM);
            }
            notify.notify_one();
            // The first message has come again; the answer is the one behind it.
            let mut stream = call.head(&[]);
            let rest = call.read_to_end().await.unwrap();
            stream.send_data(rest.into(), false).ok();
            finish(&mut stream, &[("grpc-status", "0")]);
        }
    });
    let mut connection = upstreams::scripted().connect();
    let request = Request::new("POST /v1/chat").header("content-type: application/x-ndjson");
    let request = request.header("accept: application/x-ndjson").header("transfer-encoding: chunked");
    connection.send(&request.header(scripted.header()).bytes());
    connection.send_chunk(b"{\"int32Value\":1}\n");
    block_on(again.notified());
    connection.send_chunk(b"{\"int32Value\":2}\n");
    connection.send_chunk(b"");
    assert_eq!(connection.response("POST").expect(200).text(), "{\"int32Value\":2}\n");
    assert_eq!(scripted.calls(), 2);
}

#[test]
fn a_refused_stream_of_messages_is_not_tried_forever() {
    for line in ["POST /v1/collect", "POST /v1/chat"] {
        let scripted = Scripted::new(|mut call| async move { call.reset(Reason::REFUSED_STREAM) });
        let request = Request::new(line).header("content-type: application/x-ndjson").header(scripted.header());
        failed(line, &upstreams::scripted().call(&request.body("{}\n{}\n")), &[14]);
        assert_eq!(scripted.calls(), 2, "{line}");
    }
}

#[test]
fn messages_that_are_not_held_any_more_are_not_sent_again() {
    let scripted = Scripted::new(|mut call| async move {
        let mut left: usize = 100_000;
        while let Some(Ok(data)) = call.request.body_mut().data().await
            && left > data.len()
        {
            left -= data.len();
            let _ = call.request.body_mut().flow_control().release_capacity(data.len());
        }
        call.reset(Reason::REFUSED_STREAM);
    });
    let line = format!("{{\"stringValue\":\"{}\"}}\n", "x".repeat(1000));
    let request = Request::new("POST /v1/collect").header("content-type: application/x-ndjson");
    let response = upstreams::scripted().call(&request.header(scripted.header()).body(line.repeat(200)));
    failed("refused after more than is held", &response, &[14]);
    assert_eq!(scripted.calls(), 1);
}

#[test]
fn what_may_have_been_processed_is_not_tried_again() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let scripted = Scripted::new(move |mut call| async move { call.reset(reason) });
        let request = Request::new("POST /v1/part/a/scalar").header(scripted.header()).json("5");
        assert!(upstreams::scripted().call(&request).status() >= 400);
        assert_eq!(scripted.calls(), 1, "{reason:?}");
    }
}

/// One unary call through a gateway of its own in front of a server that follows a plan.
fn planned(plan: &'static [Step]) -> (frames::Server, Gateway, Response) {
    let server = frames::Server::start(plan);
    let gateway = Gateway::flags(server.address);
    let response = gateway.call(&Request::new("POST /v1/part/a/scalar").json("5"));
    (server, gateway, response)
}

#[test]
fn a_goaway_that_leaves_a_request_unprocessed_sends_it_once_more() {
    let (server, gateway, response) = planned(&[Step::GoawayUnprocessed]);
    assert_eq!(response.expect(200).json(), json!({"stringValue": "a", "int64Value": "5"}));
    assert_eq!((server.requests(), server.connections()), (1, 2));
    gateway.get("/v1/search").expect(200);
}

#[test]
fn a_goaway_that_leaves_messages_unprocessed_sends_them_once_more() {
    let server = frames::Server::start(&[Step::GoawayUnprocessed]);
    let gateway = Gateway::flags(server.address);
    let request = Request::new("POST /v1/collect").header("content-type: application/x-ndjson");
    let response = gateway.call(&request.body("{\"int32Value\":7}\n")).expect(200);
    // It is answered with what was sent, whose field has no name in a summary.
    assert_eq!(response.json(), json!({}));
    assert_eq!((server.requests(), server.connections()), (1, 2));
}

#[test]
fn a_goaway_each_time_sends_it_no_more_than_twice() {
    let (server, gateway, response) = planned(&[Step::GoawayUnprocessed, Step::GoawayUnprocessed]);
    failed("two goaways", &response, &[14]);
    assert_eq!(server.requests(), 2);
    gateway.get("/v1/search").expect(200);
}

#[test]
fn a_goaway_after_processing_does_not_send_it_again() {
    let (server, gateway, response) = planned(&[Step::GoawayProcessed]);
    failed("processed", &response, &[2, 13, 14]);
    assert_eq!((server.requests(), server.connections()), (1, 1));
    gateway.get("/v1/search").expect(200);
}

#[test]
fn a_connection_that_is_cut_fails_its_calls_and_no_later_ones() {
    let (server, gateway, response) = planned(&[Step::Cut]);
    failed("cut", &response, &[14, 2]);
    assert_eq!((server.requests(), server.connections()), (1, 1));
    gateway.get("/v1/search").expect(200);
}

#[test]
fn an_upstream_that_does_not_speak_http2_is_unavailable() {
    for plan in [&[Step::Garbage] as &'static [_], &[Step::OldHttp]] {
        let (_, gateway, response) = planned(plan);
        if response.status() != 200 {
            // Whether a connection that never worked is tried again is left open.
            failed("no HTTP/2", &response, &[2, 13, 14]);
        }
        gateway
            .within(Duration::from_secs(5), "a good connection", |gateway| gateway.get("/v1/search").status() == 200);
    }
}

#[test]
fn an_upstream_that_is_not_there_is_unavailable_and_not_named() {
    // A port that was free a moment ago.
    let address = listen("127.0.0.1:0").1;
    let gateway = Gateway::flags(address);
    let response = gateway.get("/v1/search");
    failed("not there", &response, &[14]);
    let text = response.text();
    assert!(!text.contains(&address.port().to_string()) && !text.contains("127.0.0.1"), "{text}");
}

#[test]
fn large_trailers_are_read() {
    let big = "x".repeat(60 << 10);
    let response = call(move |mut call| {
        let big = big.clone();
        async move {
            call.read().await;
            let mut stream = call.head(&[]);
            finish(&mut stream, &[("grpc-status", "5"), ("grpc-message", "gone"), ("x-big", &big)]);
        }
    });
    assert_eq!(response.status(), 404, "{}", response.exchange);
    assert_eq!(response.json()["message"], "gone");
}

#[test]
fn trailers_beyond_all_bounds_fail_one_call_alone() {
    let response = call(|mut call| async move {
        call.read().await;
        let mut stream = call.head(&[]);
        let big = "x".repeat(30 << 10);
        let names: Vec<_> = (0..20).map(|number| format!("x-big-{number}")).collect();
        let mut trailers: Vec<_> = names.iter().map(|name| (name.as_str(), big.as_str())).collect();
        trailers.push(("grpc-status", "5"));
        finish(&mut stream, &trailers);
    });
    assert!(response.status() >= 400, "{}", response.exchange);
}

#[test]
fn details_that_can_not_be_read_do_not_hide_the_failure() {
    for details in ["***", "AA", "/////w==", "CgAKAAo", "not base64 at all", ""] {
        let response = call(move |mut call| async move {
            let head = [("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "gone")];
            call.only(200, &[&head[..], &[("grpc-status-details-bin", details)]].concat());
        });
        assert_eq!(response.status(), 404, "{details}{}", response.exchange);
        assert_eq!(response.json()["message"], "gone", "{details}");
        assert!(response.json()["details"].is_array(), "{details}");
    }
}

#[test]
fn a_detail_of_unknown_type_does_not_cost_the_others() {
    use base64::Engine as _;
    use prost::Message as _;
    let any = |name: &str, value: Vec<u8>| prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value };
    let duration = oracle::wire("google.protobuf.Duration", r#""1s""#);
    let status = lockgate::pb::google::rpc::Status {
        code: 5,
        message: "gone".to_owned(),
        details: vec![
            any("nope.Nope", vec![1, 2, 255]),
            any("google.protobuf.Duration", duration),
            any("google.rpc.ErrorInfo", vec![0xff, 0xff, 0xff]),
            any("lockgate.test.v1.Everything", vec![0x72, 1, 0xff]),
        ],
    };
    let details = base64::engine::general_purpose::STANDARD_NO_PAD.encode(status.encode_to_vec());
    let response = call(move |mut call| {
        let details = details.clone();
        async move {
            call.read().await;
            let mut stream = call.head(&[]);
            finish(
                &mut stream,
                &[("grpc-status", "5"), ("grpc-message", "gone"), ("grpc-status-details-bin", &details)],
            );
        }
    });
    assert_eq!(response.status(), 404);
    let error = response.json();
    let details = error["details"].as_array().unwrap();
    assert_eq!(details.len(), 4, "{error}");
    assert_eq!(details[0], json!({"@type": "type.googleapis.com/nope.Nope", "value": "AQL/"}));
    assert_eq!(details[1], json!({"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}));
    assert_eq!(details[2], json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "value": "////"}));
    assert_eq!(details[3]["value"], "cgH/");
}

#[test]
fn compressed_messages_are_understood() {
    let compressed = gzip(&[24, 7]);
    let send = |encoding: Option<&'static str>, frames: Bytes| {
        call(move |mut call| {
            let frames = frames.clone();
            async move {
                call.read().await;
                let encoding: Vec<_> = encoding.iter().map(|encoding| ("grpc-encoding", *encoding)).collect();
                let mut stream = call.head(&encoding);
                stream.send_data(frames, false).ok();
                finish(&mut stream, &[("grpc-status", "0")]);
            }
        })
    };
    let length = u32::try_from(compressed.len()).unwrap();
    let good = framed(1, length, &compressed);
    let response = send(Some("gzip"), good.clone()).expect(200);
    assert_eq!(response.json(), json!({"int32Value": 7}));
    assert_eq!(response.head.get("grpc-encoding"), None);
    assert_eq!(send(Some("gzip"), frame(&[24, 7])).expect(200).json(), json!({"int32Value": 7}));
    assert_eq!(send(Some("identity"), frame(&[24, 7])).expect(200).json(), json!({"int32Value": 7}));

    failed("the flag without an encoding", &send(None, good.clone()), &[13]);
    failed("the flag with no encoding", &send(Some("identity"), good.clone()), &[13]);
    failed("an unknown encoding", &send(Some("nope"), good), &[12, 13]);
    failed("an unknown flag", &send(Some("gzip"), framed(2, 2, &[24, 7])), &[13]);
    failed("no gzip", &send(Some("gzip"), framed(1, 2, &[24, 7])), &[13]);
    let cut = &compressed[..compressed.len() - 4];
    failed("gzip cut short", &send(Some("gzip"), framed(1, length - 4, cut)), &[13]);
    let bomb = gzip(&vec![0; 64 << 20]);
    let bomb = framed(1, u32::try_from(bomb.len()).unwrap(), &bomb);
    failed("a bomb", &send(Some("gzip"), bomb), &[8, 13]);
}

#[test]
fn the_gateway_says_which_encodings_it_takes() {
    let scripted = Scripted::new(|mut call| async move {
        let header = |name| call.request.headers().get(name).map_or("", |value| value.to_str().unwrap_or("?"));
        let seen = format!("{}|{}|{}", header("grpc-accept-encoding"), header("te"), header("content-type"));
        call.read().await;
        let mut stream = call.head(&[("x-seen", &seen)]);
        stream.send_data(frame(&[]), false).ok();
        finish(&mut stream, &[("grpc-status", "0")]);
    });
    let response = upstreams::scripted().call(&Request::new("GET /v1/search").header(scripted.header())).expect(200);
    let seen = response.head.get("x-seen").unwrap_or_default();
    assert!(seen.contains("gzip|trailers|application/grpc"), "{seen}");
}

#[test]
fn messages_of_failures_are_decoded_as_far_as_they_can() {
    for (sent, shown) in [("%C3%BC%20%0A%25", "ü \n%"), ("100%", "100%"), ("%zz", "%zz"), ("a+b", "a+b"), ("", "")] {
        let response = call(move |mut call| async move {
            call.only(200, &[("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", sent)]);
        });
        assert_eq!(response.json()["message"], shown, "{sent}{}", response.exchange);
    }
    let response = call(|mut call| async move {
        call.only(200, &[("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "a%FFb")]);
    });
    assert_eq!(response.status(), 404);
    assert!(response.json()["message"].as_str().is_some_and(|text| text.starts_with('a') && text.ends_with('b')));
}

#[test]
fn metadata_of_any_kind_pass_or_do_not_and_break_nothing() {
    let response = call(|mut call| async move {
        call.read().await;
        let odd = [("x-a-bin", "not base64!"), ("x-empty", ""), ("x-long", "y"), ("x-http-code", "999"), ("date", "x")];
        let mut stream = call.head(&odd);
        stream.send_data(frame(&[24, 7]), false).ok();
        finish(&mut stream, &[("grpc-status", "0"), ("content-length", "3"), ("x-b", "2")]);
    });
    let response = response.expect(200);
    assert_eq!(response.json(), json!({"int32Value": 7}));
    assert_eq!(response.head.get("x-b"), Some("2"));
    assert_eq!(response.head.all("content-length").count(), 1);
}

/// A varint in the fewest bytes.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f | 0x80).unwrap());
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

fn tag(number: u32, kind: u64) -> Vec<u8> {
    varint(u64::from(number) << 3 | kind)
}

/// A field of length-delimited bytes.
fn bytes(number: u32, content: &[u8]) -> Vec<u8> {
    [tag(number, 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// A field that is a varint.
fn number(field: u32, value: u64) -> Vec<u8> {
    [tag(field, 0), varint(value)].concat()
}

#[test]
fn any_legal_wire_form_is_understood() {
    let table: [(&str, Vec<u8>, Value); 18] = [
        ("fields in any order", [bytes(14, b"a"), number(3, 1)].concat(), json!({"int32Value": 1, "stringValue": "a"})),
        ("the last of a field wins", [number(3, 1), number(3, 2)].concat(), json!({"int32Value": 2})),
        ("a default that is sent last wins", [number(3, 1), number(3, 0)].concat(), json!({})),
        (
            "messages in parts merge",
            [bytes(17, &number(3, 1)), number(3, 5), bytes(17, &bytes(14, b"a"))].concat(),
            json!({"int32Value": 5, "child": {"int32Value": 1, "stringValue": "a"}}),
        ),
        (
            "lists in parts follow one another",
            [bytes(23, &[1, 2]), number(23, 3), number(3, 9), bytes(23, &[4]), bytes(23, &[])].concat(),
            json!({"int32Value": 9, "int32s": [1, 2, 3, 4]}),
        ),
        ("packed where it need not be", bytes(38, &[1, 2]), json!({"unpackedInt32s": [1, 2]})),
        ("not packed where it might", [number(23, 1), number(23, 2)].concat(), json!({"int32s": [1, 2]})),
        ("an entry without a value", bytes(51, &bytes(1, b"a")), json!({"stringMap": {"a": ""}})),
        ("an entry without a key", bytes(51, &bytes(2, b"a")), json!({"stringMap": {"": "a"}})),
        ("an entry of nothing", bytes(52, &[]), json!({"int32Map": {"0": ""}})),
        ("an entry of a message without it", bytes(63, &bytes(1, b"a")), json!({"messageMap": {"a": {}}})),
        (
            "the last entry of a key wins",
            [
                bytes(51, &[bytes(1, b"a"), bytes(2, b"x")].concat()),
                bytes(51, &[bytes(2, b"y"), bytes(1, b"a")].concat()),
            ]
            .concat(),
            json!({"stringMap": {"a": "y"}}),
        ),
        (
            "varints with more bytes than needed",
            vec![0x98, 0x80, 0x00, 0x81, 0x80, 0x80, 0x00],
            json!({"int32Value": 1}),
        ),
        ("a bool of more than one bit", number(13, 300), json!({"boolValue": true})),
        ("an int32 in ten bytes", number(3, u64::MAX), json!({"int32Value": -1})),
        ("an int32 of too many bits", number(3, 0x1_0000_0005), json!({"int32Value": 5})),
        (
            "unknown fields of every kind",
            [
                number(900, 5),
                bytes(901, b"x"),
                [tag(902, 1), vec![0; 8]].concat(),
                [tag(903, 5), vec![0; 4]].concat(),
                [tag(904, 3), number(1, 1), tag(905, 3), tag(905, 4), tag(904, 4)].concat(),
                number(3, 1),
            ]
            .concat(),
            json!({"int32Value": 1}),
        ),
        ("the last member of a oneof wins", [bytes(71, b"a"), number(72, 5)].concat(), json!({"choiceInt32": 5})),
    ];
    for (what, wire, expected) in table {
        let response = message(&wire);
        assert_eq!(response.status(), 200, "{what}{}", response.exchange);
        assert_eq!(response.json(), expected, "{what}{}", response.exchange);
        let text = response.text();
        for name in ["int32Value", "stringMap", "int32s", "child"] {
            assert!(text.matches(&format!("\"{name}\"")).count() <= 2, "{what}: a name comes twice: {text}");
        }
    }
}

#[test]
fn illegal_bytes_are_a_bad_gateway() {
    let deep = |depth: usize| {
        let mut wire = Vec::new();
        for _ in 0..depth {
            wire = bytes(17, &wire);
        }
        wire
    };
    let groups = [tag(900, 3).repeat(10_000), tag(900, 4).repeat(10_000)].concat();
    let table: [(&str, Vec<u8>); 20] = [
        ("a varint that does not end", vec![0x18, 0xff]),
        ("a varint of eleven bytes", [vec![0x18], vec![0x80; 10], vec![0]].concat()),
        ("a tag that does not end", vec![0x80]),
        ("field number 0", vec![0x00, 0x00]),
        ("wire type 6", vec![0x1e, 0x00]),
        ("wire type 7", vec![0x1f, 0x00]),
        ("a length beyond the end", vec![0x72, 5, b'a']),
        ("a length of 64 bits", [vec![0x72], varint(u64::MAX)].concat()),
        ("fixed32 cut short", vec![0x4d, 0, 0]),
        ("fixed64 cut short", vec![0x51, 0, 0, 0, 0]),
        ("an end without its group", tag(900, 4)),
        ("a group without its end", tag(900, 3)),
        ("a group with another's end", [tag(900, 3), tag(901, 4)].concat()),
        ("groups ten thousand deep", groups),
        ("messages two hundred deep", deep(200)),
        ("messages ten thousand deep", deep(10_000)),
        ("packed fixed32 of odd length", bytes(29, &[0; 5])),
        ("packed varints cut short", bytes(23, &[0x80])),
        ("a message in it cut short", bytes(17, &[0x72, 5])),
        ("a string that is no UTF-8", bytes(14, &[0xff])),
    ];
    for (what, wire) in table {
        let response = message(&wire);
        failed(what, &response, &[13]);
        assert_eq!(response.status(), 502, "{what}{}", response.exchange);
    }
    for (what, wire) in [
        ("in a list", bytes(34, &[b'a', 0xc3])),
        ("in a key", bytes(51, &bytes(1, &[0xff]))),
        ("in a value", bytes(51, &bytes(2, &[0xed, 0xa0, 0x80]))),
        ("in a message", bytes(17, &bytes(14, &[0xc0, 0xaf]))),
        ("in a struct", bytes(97, &bytes(1, &bytes(1, &[0xff])))),
    ] {
        let response = message(&wire);
        failed(what, &response, &[13]);
        assert_eq!(response.status(), 502, "{what}{}", response.exchange);
    }
}

#[test]
fn ten_thousand_any_in_one_another_are_a_bad_gateway() {
    let mut wire = Vec::new();
    for _ in 0..10_000 {
        wire = [bytes(1, b"type.googleapis.com/google.protobuf.Any"), bytes(2, &wire)].concat();
    }
    let response = message(&bytes(91, &wire));
    failed("nested Any", &response, &[13]);
    assert_eq!(response.status(), 502);
}

#[test]
fn an_any_of_unknown_type_is_shown_as_its_bytes() {
    let any = [bytes(1, b"type.googleapis.com/nope.Nope"), bytes(2, &[1])].concat();
    let response = message(&bytes(91, &any)).expect(200);
    assert_eq!(response.json(), json!({"any": {"@type": "type.googleapis.com/nope.Nope", "value": "AQ=="}}));
}

#[test]
fn well_known_types_out_of_range_are_a_bad_gateway() {
    for (what, wire) in [
        ("a timestamp after its end", bytes(98, &number(1, 253_402_300_800))),
        ("a timestamp before its start", bytes(98, &number(1, (-62_135_596_801_i64).cast_unsigned()))),
        ("a timestamp with negative nanos", bytes(98, &number(2, u64::MAX))),
        ("a duration that is too long", bytes(92, &number(1, 315_576_000_001))),
        ("a duration of two signs", bytes(92, &[number(1, 1), number(2, u64::MAX)].concat())),
        ("a value that is not a number", bytes(99, &[tag(2, 1), f64::NAN.to_le_bytes().to_vec()].concat())),
    ] {
        let response = message(&wire);
        // ProtoJSON has no form for these; an answer must not be a success that is not valid.
        assert_eq!(response.status(), 502, "{what}{}", response.exchange);
    }
}

#[test]
fn a_small_message_that_prints_as_much_is_stopped() {
    let response = message(&bytes(36, &vec![0; 4_000_000]));
    failed("many names", &response, &[13]);
    assert_eq!(response.status(), 502, "{}", response.exchange);
    let resident = upstreams::scripted().resident().unwrap_or_default();
    assert!(resident < 512 << 20, "{resident} bytes are held");
}

#[test]
fn a_message_that_comes_byte_by_byte_is_a_message() {
    let response = call(|mut call| async move {
        call.read().await;
        let mut stream = call.head(&[]);
        for byte in frame(&[24, 7, 114, 1, b'a']) {
            stream.send_data(Bytes::copy_from_slice(&[byte]), false).ok();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stream.send_data(Bytes::new(), false).ok();
        finish(&mut stream, &[("grpc-status", "0")]);
    });
    assert_eq!(response.expect(200).json(), json!({"int32Value": 7, "stringValue": "a"}));
}

#[test]
fn a_hundred_levels_of_a_struct_go_through() {
    let mut text = String::new();
    write!(text, "{{\"struct\":{}{{}}{}}}", "{\"a\":".repeat(98), "}".repeat(98)).unwrap();
    let response = upstreams::scripted().call(&Request::new("POST /v1/echo").json(&text)).expect(200);
    assert_eq!(response.json(), serde_json::from_str::<Value>(&text).unwrap());
    let text = format!("{{\"listValue\":{}{}}}", "[".repeat(99), "]".repeat(99));
    let response = upstreams::scripted().call(&Request::new("POST /v1/echo").json(&text)).expect(200);
    assert_eq!(response.json(), serde_json::from_str::<Value>(&text).unwrap());
}

#[test]
fn extensions_go_through_by_their_names_in_brackets() {
    // The usual backend forgets what its types do not know; this one keeps the bytes.
    let text = r#"{"id":"a","[lockgate.test.v1.extended_number]":"5","[lockgate.test.v1.extended_texts]":["x"],
        "[lockgate.test.v1.extended_message]":{"note":"n","numbers":["-1"]},
        "[lockgate.test.v1.extended_priority]":"PRIORITY_LOW","[lockgate.test.v1.Legacy.scoped_text]":"s"}"#;
    let response = upstreams::scripted().call(&Request::new("POST /v1/legacy").json(text)).expect(200);
    assert_eq!(response.json(), serde_json::from_str::<Value>(text).unwrap());
}

#[test]
fn hostile_depth_is_refused_before_the_upstream_is_called() {
    for text in [
        "[".repeat(100_000),
        "{\"child\":".repeat(100_000),
        format!("{{\"struct\":{}", "{\"a\":".repeat(100_000)),
        format!("{{\"value\":{}", "[".repeat(100_000)),
        format!("{{\"nope\":{}", "[".repeat(100_000)),
        format!("{{\"any\":{}", "{\"@type\":\"type.googleapis.com/google.protobuf.Any\",\"value\":".repeat(10_000)),
        format!("{{\"any\":{}", "{\"value\":".repeat(100_000)),
    ] {
        let scripted = Scripted::new(|mut call| async move { call.answer(&[]).await });
        let request = Request::new("POST /v1/echo").header(scripted.header()).json(&text);
        upstreams::scripted().call(&request).expect(400);
        assert_eq!(scripted.calls(), 0);
    }
}

/// How a script ends a stream that has begun.
type Ending = &'static (dyn Fn(&mut h2::SendStream<Bytes>) + Sync);

#[test]
fn a_stream_that_breaks_off_can_be_told() {
    let scripts: [(&str, Ending); 5] = [
        ("reset", &|stream| stream.send_reset(Reason::INTERNAL_ERROR)),
        ("no trailers", &|stream| drop(stream.send_data(Bytes::new(), true))),
        ("no status", &|stream| finish(stream, &[("x-a", "1")])),
        ("a message cut short", &|stream| {
            drop(stream.send_data(framed(0, 9, &[1]), false));
            finish(stream, &[("grpc-status", "0")]);
        }),
        ("an illegal message", &|stream| {
            drop(stream.send_data(frame(&[0x18]), false));
            finish(stream, &[("grpc-status", "0")]);
        }),
    ];
    for (what, end) in scripts {
        for accept in ["application/json", "application/x-ndjson", "text/event-stream"] {
            let go = Arc::new(Notify::new());
            let wait = Arc::clone(&go);
            let scripted = Scripted::new(move |mut call| {
                let wait = Arc::clone(&wait);
                async move {
                    call.read().await;
                    let mut stream = call.head(&[]);
                    stream.send_data(frame(&[24, 7]), false).ok();
                    wait.notified().await;
                    end(&mut stream);
                }
            });
            let mut connection = upstreams::scripted().connect();
            let request = Request::new("GET /v1/stream/1").header(scripted.header());
            connection.send(&request.header(format!("accept: {accept}")).bytes());
            assert_eq!(connection.head().status, 200, "{what}");
            let first = connection.until("{\"int32Value\":7}");
            go.notify_one();
            let (rest, how) = connection.rest();
            let text = first + &String::from_utf8_lossy(&rest);
            match accept {
                "application/json" => {
                    assert_eq!(how, End::Cut, "{what}: {text}");
                    assert!(!text.trim_end().ends_with(']'), "{what}: {text}");
                }
                "application/x-ndjson" => {
                    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
                    assert!(last["@error"]["code"].as_i64().is_some_and(|code| code > 0), "{what}: {text}");
                }
                _ => {
                    assert!(text.contains("event: error"), "{what}: {text}");
                    assert!(!text.contains("event: end"), "{what}: {text}");
                }
            }
        }
    }
}

/// The raw body of a call that breaks off, or ends, once the client has seen its beginning.
#[track_caller]
fn raw_body(version: &str, end: Ending) -> End {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let scripted = Scripted::new(move |mut call| {
        let wait = Arc::clone(&wait);
        async move {
            call.read().await;
            let mut stream = call.head(&[]);
            stream.send_data(frame(&[bytes(1, b"text/x-test"), bytes(2, b"hello")].concat()), false).ok();
            wait.notified().await;
            end(&mut stream);
        }
    });
    let mut connection = upstreams::scripted().connect();
    let script = scripted.header();
    connection.send(format!("GET /v1/download/9/stream {version}\r\nhost: a\r\n{script}\r\n\r\n").as_bytes());
    let head = connection.head();
    assert_eq!((head.status, head.get("content-type")), (200, Some("text/x-test")));
    assert_eq!(connection.until("hello"), "hello");
    go.notify_one();
    connection.rest().1
}

#[test]
fn a_raw_body_that_breaks_off_can_be_told() {
    // HTTP/1.0 ends a body by closing, so that it is broken off by a reset.
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        assert_eq!(raw_body(version, &|stream| stream.send_reset(Reason::NO_ERROR)), End::Cut, "{version}");
        assert_eq!(raw_body(version, &|stream| finish(stream, &[("grpc-status", "5")])), End::Cut, "{version}");
        assert_eq!(raw_body(version, &|stream| finish(stream, &[("grpc-status", "0")])), End::Clean, "{version}");
    }
}

#[test]
fn one_call_waits_while_others_go_wrong_beside_it() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let waiting = Scripted::new(move |mut call| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            call.answer(&[24, 7]).await;
        }
    });
    let mut connection = upstreams::scripted().connect();
    connection.send(&Request::new("GET /v1/search").header(waiting.header()).bytes());
    while waiting.calls() == 0 {
        block_on(tokio::task::yield_now());
    }
    for reason in [Reason::PROTOCOL_ERROR, Reason::INTERNAL_ERROR, Reason::CANCEL] {
        call(move |mut call| async move { call.reset(reason) });
    }
    message(&[0xff; 100]);
    answered(framed(9, u32::MAX, &[1]), &[]);
    call(|mut call| async move { call.plain(500, &[("content-type", "text/html")], HTML) });
    go.notify_one();
    assert_eq!(connection.response("GET").expect(200).json(), json!({"int32Value": 7}));
}
