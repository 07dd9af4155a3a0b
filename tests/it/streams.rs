//! Streams of messages: their framing, that they flow as they come, how they fail, who is told when the other side
//! goes, and that nothing piles up between.

use std::time::Duration;

use h2::Reason;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::gateway::{Gateway, configuration};
use crate::support::http1::{Connection, End, Request, Response};
use crate::support::http2::Client;
use crate::support::probe::{Event, Probe};
use crate::support::scripted::{self, Scripted};
use crate::support::{block_on, upstreams};

/// "Within a second", and as much again for a busy machine.
const SOON: Duration = Duration::from_secs(2);

const NDJSON: &str = "application/x-ndjson";
const SSE: &str = "text/event-stream";

fn ask(target: &str, accept: &str, probe: &Probe) -> Vec<u8> {
    let line = format!("GET {target}");
    Request::new(&line).header(format!("accept: {accept}")).header(probe.header()).bytes()
}

fn fetch(gateway: &Gateway, target: &str, accept: &str) -> Response {
    let line = format!("GET {target}");
    gateway.call(&Request::new(&line).header(format!("accept: {accept}")))
}

/// One event of a server-sent stream: its fields by name, `data` lines joined.
#[derive(Debug, Default, PartialEq)]
struct Sent {
    event: Option<String>,
    id: Option<String>,
    data: String,
}

/// Reads a server-sent stream as the HTML standard says.
#[track_caller]
fn events(text: &str) -> Vec<Sent> {
    assert!(text.is_empty() || text.ends_with("\n\n"), "an event is not terminated: {text:?}");
    let event = |block: &str| {
        let mut sent = Sent::default();
        let mut data = Vec::new();
        for line in block.lines().filter(|line| !line.starts_with(':')) {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match name {
                "event" => sent.event = Some(value),
                "id" => sent.id = Some(value),
                "data" => data.push(value),
                _ => {}
            }
        }
        sent.data = data.join("\n");
        (sent != Sent::default()).then_some(sent)
    };
    text.split("\n\n").filter_map(event).collect()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

#[test]
fn lines_are_framed_by_their_ends_alone() {
    let response = fetch(Gateway::plain(), "/v1/stream/3?message.stringValue=a%0Ab", NDJSON).expect(200);
    let expected = "{\"stringValue\":\"a\\nb\"}\n{\"int32Value\":1,\"stringValue\":\"a\\nb\"}\n\
                    {\"int32Value\":2,\"stringValue\":\"a\\nb\"}\n";
    assert_eq!(response.text(), expected);
}

#[test]
fn a_line_is_one_line_whatever_the_indent() {
    let gateway = Gateway::shared("defaults: { json: { indent: 2 } }");
    let response = fetch(gateway, "/v1/stream/2?message.stringValue=a", NDJSON).expect(200);
    assert_eq!(response.text().lines().count(), 2, "{}", response.exchange);
    for line in response.text().lines() {
        assert_eq!(parsed(line)["stringValue"], "a");
    }
}

#[test]
fn an_event_of_several_lines_is_several_data_lines() {
    let gateway = Gateway::shared("defaults: { json: { indent: 2 } }");
    let response = fetch(gateway, "/v1/stream/1?message.stringValue=a", SSE).expect(200);
    let events = events(response.text());
    assert_eq!(parsed(&events[0].data), json!({"stringValue": "a"}));
}

#[test]
fn events_end_with_an_end() {
    let response = fetch(Gateway::plain(), "/v1/stream/2?message.stringValue=a", SSE).expect(200);
    let events = events(response.text());
    assert_eq!(events.len(), 3, "{}", response.exchange);
    assert_eq!(parsed(&events[0].data), json!({"stringValue": "a"}));
    assert_eq!(parsed(&events[1].data), json!({"stringValue": "a", "int32Value": 1}));
    assert_eq!(events[2].event.as_deref(), Some("end"));
    assert!(events[..2].iter().all(|event| event.event.is_none()), "{}", response.exchange);
}

#[test]
fn fields_of_a_message_become_the_id_and_the_name_of_an_event() {
    let gateway = Gateway::shared("defaults: { sse: { id_field: int32_value, event_field: string_value } }");
    let response = fetch(gateway, "/v1/stream/2?message.stringValue=tick", SSE).expect(200);
    let events = events(response.text());
    assert_eq!(events[1].id.as_deref(), Some("1"), "{}", response.exchange);
    assert_eq!(events[1].event.as_deref(), Some("tick"), "{}", response.exchange);
}

#[test]
fn an_event_can_not_be_forged_by_a_field() {
    let gateway = Gateway::shared("defaults: { sse: { id_field: int32_value, event_field: string_value } }");
    let response = fetch(gateway, "/v1/stream/1?message.stringValue=a%0Adata:%20forged%0D%0A%0D%0Aevent:%20x", SSE);
    let events = events(response.expect(200).text());
    assert!(events.iter().all(|event| !event.data.contains("forged\n") && event.event.as_deref() != Some("x")));
    assert_eq!(events.len(), 2, "{events:?}");
}

#[test]
fn the_last_event_id_becomes_metadata() {
    let probe = Probe::new();
    let request = Request::new("GET /v1/stream/1").header("accept: text/event-stream").header("Last-Event-ID: 41");
    Gateway::plain().call(&request.header(probe.header())).expect(200);
    assert_eq!(probe.metadata_of("last-event-id"), ["41"]);
}

#[test]
fn each_message_is_seen_before_the_next_is_made() {
    for accept in ["application/json", NDJSON, SSE] {
        let probe = Probe::gated();
        let mut connection = Gateway::plain().connect();
        connection.send(&ask("/v1/stream/3?message.stringValue=m", accept, &probe));
        let head = connection.head();
        assert_eq!((head.status, probe.produced()), (200, 0), "the head waits for a message: {accept}");
        for number in 0..3 {
            probe.pass(1);
            let wanted = if number == 0 { "\"m\"".to_owned() } else { format!("\"int32Value\":{number}") };
            connection.until(&wanted);
            assert_eq!(probe.produced(), number + 1, "more was asked for than the client saw: {accept}");
        }
        assert_eq!(connection.rest().1, End::Clean);
    }
}

#[test]
fn an_idle_event_stream_is_kept_alive() {
    let gateway = Gateway::shared("defaults: { keep_alive: 100ms }");
    let probe = Probe::gated();
    let mut connection = gateway.connect();
    connection.send(&ask("/v1/stream/1", SSE, &probe));
    assert_eq!(connection.head().status, 200);
    assert!(connection.until(":").starts_with(':'));
    connection.until(":");
    probe.pass(1);
    connection.until("event: end");
}

#[test]
fn failing_later_ends_lines_with_an_error() {
    let response = fetch(Gateway::plain(), "/v1/stream/2?end.code=5&end.message=gone", NDJSON).expect(200);
    let lines: Vec<_> = response.text().lines().map(parsed).collect();
    assert_eq!(lines.len(), 3, "{}", response.exchange);
    assert_eq!(lines[2], json!({"@error": {"code": 5, "message": "gone", "details": []}}));
    assert!(response.text().ends_with('\n'));
}

#[test]
fn failing_later_ends_events_with_an_error() {
    let response = fetch(Gateway::plain(), "/v1/stream/1?end.code=5&end.message=gone", SSE).expect(200);
    let events = events(response.text());
    assert_eq!(events.len(), 2, "{}", response.exchange);
    assert_eq!(events[1].event.as_deref(), Some("error"));
    let error = parsed(&events[1].data);
    assert_eq!((&error["code"], &error["message"]), (&json!(5), &json!("gone")));
}

#[test]
fn failing_later_leaves_an_array_open_and_breaks_off() {
    let response = fetch(Gateway::plain(), "/v1/stream/2?end.code=5", "application/json");
    assert_eq!((response.status(), response.end), (200, End::Cut), "{}", response.exchange);
    assert!(serde_json::from_slice::<Value>(&response.body).is_err(), "the array is complete{}", response.exchange);
}

#[test]
fn failing_later_resets_an_array_over_http2() {
    block_on(async {
        let mut client = Client::connect(Gateway::plain().address).await;
        let mut answer = client.get("/v1/stream/2?end.code=5", &[]).await.head().await.unwrap();
        assert_eq!(answer.status(), 200);
        let (body, end) = answer.rest().await;
        assert!(end.is_err(), "the stream ended well");
        assert!(serde_json::from_slice::<Value>(&body).is_err(), "the array is complete");
        // The connection goes on.
        let mut answer = client.get("/v1/ping", &[]).await.head().await.unwrap();
        assert_eq!((answer.status(), answer.rest().await.0), (200, b"{}".to_vec()));
    });
}

#[test]
fn failing_before_the_head_is_as_for_one_message() {
    for accept in ["application/json", NDJSON, SSE] {
        let response = fetch(Gateway::plain(), "/v1/stream/0?end.code=7&end.message=no", accept).expect(403);
        assert_eq!(response.json(), json!({"code": 7, "message": "no", "details": []}), "{accept}");
    }
}

#[test]
fn a_refused_request_for_a_stream_is_an_error_as_for_one_message() {
    for accept in ["application/json", NDJSON, SSE] {
        let response = fetch(Gateway::plain(), "/v1/stream/many", accept).expect(400);
        assert_eq!(response.json()["code"], 3, "{accept}");
    }
}

#[test]
fn a_deadline_ends_a_stream_in_a_way_that_the_client_can_tell() {
    let gateway = Gateway::plain();
    let probe = Probe::gated();
    probe.pass(1);
    let request = Request::new("GET /v1/stream/5").header("accept: application/x-ndjson");
    let response = gateway.call(&request.header("x-server-timeout: 0.3").header(probe.header())).expect(200);
    let last = response.text().lines().last().map(parsed).unwrap();
    assert_eq!(last["@error"]["code"], 4, "{}", response.exchange);
    assert!(probe.find(SOON, |event| *event == Event::Cancelled).is_some(), "{:?}", probe.events());
}

#[test]
fn a_client_that_leaves_a_stream_cancels_it() {
    for accept in ["application/json", NDJSON, SSE] {
        let probe = Probe::gated();
        let mut connection = Gateway::plain().connect();
        connection.send(&ask("/v1/stream/3", accept, &probe));
        assert_eq!(connection.head().status, 200);
        drop(connection);
        assert!(probe.find(SOON, |event| *event == Event::Cancelled).is_some(), "{accept}: {:?}", probe.events());
    }
}

#[test]
fn a_client_that_leaves_a_unary_call_cancels_it() {
    let probe = Probe::new();
    let mut connection = Gateway::plain().connect();
    connection.send(&ask("/v1/sleep/60s", "application/json", &probe));
    probe.expect(|event| matches!(event, Event::Message(_)));
    drop(connection);
    assert!(probe.find(SOON, |event| *event == Event::Cancelled).is_some(), "{:?}", probe.events());
}

#[test]
fn a_client_that_resets_a_stream_cancels_the_call_behind_it() {
    for target in ["/v1/sleep/60s", "/v1/stream/3"] {
        let probe = Probe::gated();
        block_on(async {
            let mut client = Client::connect(Gateway::plain().address).await;
            let mut exchange = client.open("GET", target, &[("x-probe", probe.id())]).await;
            exchange.end();
            while probe.messages().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            exchange.reset(Reason::CANCEL);
            let found = tokio::task::block_in_place(|| probe.find(SOON, |event| *event == Event::Cancelled));
            assert!(found.is_some(), "{target}: {:?}", probe.events());
        });
    }
}

#[test]
fn a_client_that_does_not_read_holds_the_upstream_back_and_nobody_else() {
    const TOTAL: usize = 40_000;
    let gateway = Gateway::flags(crate::support::echo::address());
    for accept in [NDJSON, "application/json"] {
        let probe = Probe::new();
        let filler = "x".repeat(2000);
        let mut connection = gateway.connect();
        connection.send(&ask(&format!("/v1/stream/{TOTAL}?message.stringValue={filler}"), accept, &probe));
        assert_eq!(connection.head().status, 200);
        // It stalls once nothing more is produced for a while.
        let mut produced = 0;
        while probe.find(Duration::from_millis(700), |event| *event == Event::Produced(produced)).is_some() {
            produced = u32::try_from(probe.produced()).unwrap();
        }
        assert!(probe.produced() < TOTAL / 2, "the upstream went on to {}", probe.produced());
        assert!(!probe.events().contains(&Event::Finished));
        let resident = gateway.resident().unwrap_or_default();
        assert!(resident < 256 << 20, "{resident} bytes are held");
        for _ in 0..20 {
            gateway.get("/v1/echo/a").expect(200);
        }
        drop(connection);
        assert!(probe.find(SOON, |event| *event == Event::Cancelled).is_some());
    }
}

#[test]
fn what_was_held_back_comes_whole_once_the_client_reads() {
    let filler = "x".repeat(1000);
    let mut connection = Gateway::plain().connect();
    connection.send(&ask(&format!("/v1/stream/5000?message.stringValue={filler}"), NDJSON, &Probe::new()));
    let (body, end) = {
        assert_eq!(connection.head().status, 200);
        connection.rest()
    };
    assert_eq!(end, End::Clean);
    let lines: Vec<_> = body.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 5001);
    for (number, line) in lines.iter().take(5000).enumerate().step_by(499) {
        let message: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(message["int32Value"].as_u64().unwrap_or(0), number as u64);
    }
}

/// A chunked request that stays open.
fn begin(gateway: &Gateway, line: &str, headers: &[String]) -> Connection {
    let mut request = Request::new(line).header("transfer-encoding: chunked");
    for header in headers {
        request = request.header(header);
    }
    let mut connection = gateway.connect();
    connection.send(&request.bytes());
    connection
}

#[test]
fn lines_are_sent_on_as_they_come() {
    let probe = Probe::new();
    let headers = [probe.header(), format!("content-type: {NDJSON}")];
    let mut connection = begin(Gateway::plain(), "POST /v1/collect", &headers);
    for number in 1..4 {
        // A line may come in pieces, and pieces may hold more than a line.
        connection.send_chunk(b"{\"int32Va");
        connection.send_chunk(format!("lue\":{number}}}\n").as_bytes());
        probe.expect(|event| *event == Event::Message(json!({"int32Value": number})));
    }
    connection.send_chunk(b"{}\n\n{}\n");
    connection.send_chunk(b"");
    let response = connection.response("POST").expect(200);
    let _ = response.json();
    assert!(probe.events().contains(&Event::RequestEnded));
}

#[test]
fn items_of_an_array_are_sent_on_as_they_come() {
    let probe = Probe::new();
    let headers = [probe.header(), "content-type: application/json".to_owned()];
    let mut connection = begin(Gateway::plain(), "POST /v1/collect", &headers);
    connection.send_chunk(b" [ {\"stringValue\":\"],[{}\\\"");
    connection.send_chunk(b"\"}");
    connection.send_chunk(b",");
    probe.expect(|event| *event == Event::Message(json!({"stringValue": "],[{}\""})));
    connection.send_chunk(b"{\"child\":{\"strings\":[\"a\"]}} , {}");
    probe.expect(|event| *event == Event::Message(json!({"child": {"strings": ["a"]}})));
    connection.send_chunk(b" ] ");
    connection.send_chunk(b"");
    let response = connection.response("POST").expect(200);
    assert_eq!(response.json()["count"], 3, "{}", response.exchange);
}

#[test]
fn a_stream_of_messages_that_is_broken_is_refused_and_never_looks_complete() {
    let bodies: [(&str, &str); 9] = [
        (NDJSON, "{}\n{nope}\n"),
        (NDJSON, "{}\n{\"int32Value\":\"x\"}\n"),
        (NDJSON, "{}\n{\"int32Value\":1"),
        (NDJSON, "{} {}\n"),
        ("application/json", "[{},{\"nope\":1}]"),
        ("application/json", "[{},"),
        ("application/json", "[{}"),
        ("application/json", "[{} {}]"),
        ("application/json", "[{}]x"),
    ];
    for (kind, body) in bodies {
        let (sender, mut ends) = mpsc::unbounded_channel();
        let scripted = Scripted::new(move |mut call| {
            let sender = sender.clone();
            async move {
                let end = call.read_to_end().await;
                let _ = sender.send(end.is_ok());
                if end.is_ok() {
                    let mut stream = call.head(&[]);
                    stream.send_data(scripted::frame(&[]), false).ok();
                    scripted::finish(&mut stream, &[("grpc-status", "0")]);
                }
            }
        });
        let request = Request::new("POST /v1/collect").header(format!("content-type: {kind}")).body(body);
        let response = upstreams::scripted().call(&request.header(scripted.header())).expect(400);
        assert_eq!(response.json()["code"], 3, "{body}");
        // Whatever the upstream was told, it was not that the stream is complete.
        if scripted.calls() > 0 {
            assert_eq!(block_on(ends.recv()), Some(false), "{body}: the upstream saw a clean end");
        }
    }
}

#[test]
fn a_request_that_its_client_cuts_short_is_reset_upstream() {
    let targets = [
        ("POST /v1/collect", NDJSON, "{\"int32Value\":1}\n"),
        ("POST /v1/collect", "application/json", "[{\"int32Value\":1},"),
        ("POST /v1/chat", NDJSON, "{\"int32Value\":1}\n"),
        ("POST /v1/upload-stream", "text/x-test", "hello"),
        ("POST /v1/upload-stream/a", "text/x-test", "hello"),
    ];
    for (line, kind, body) in targets {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let scripted = Scripted::new(move |mut call| {
            let sender = sender.clone();
            async move {
                let first = call.request.body_mut().data().await;
                let _ = sender.send(first.is_some_and(|data| data.is_ok()));
                let _ = sender.send(call.read_to_end().await.is_ok());
            }
        });
        let headers = [scripted.header(), format!("content-type: {kind}")];
        let mut connection = begin(upstreams::scripted(), line, &headers);
        connection.send_chunk(body.as_bytes());
        assert_eq!(block_on(seen.recv()), Some(true), "{line}: nothing is sent on");
        drop(connection);
        assert_eq!(block_on(seen.recv()), Some(false), "{line}: the upstream saw a clean end");
    }
}

#[test]
fn a_request_that_is_reset_over_http2_is_reset_upstream() {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let scripted = Scripted::new(move |mut call| {
        let sender = sender.clone();
        async move {
            let _ = sender.send(call.request.body_mut().data().await.is_some_and(|data| data.is_ok()));
            let _ = sender.send(call.read_to_end().await.is_ok());
        }
    });
    let header = scripted.header();
    let (name, value) = header.split_once(": ").unwrap();
    block_on(async {
        let mut client = Client::connect(upstreams::scripted().address).await;
        let mut exchange = client.open("POST", "/v1/collect", &[("content-type", NDJSON), (name, value)]).await;
        exchange.write("{\"int32Value\":1}\n");
        assert_eq!(seen.recv().await, Some(true));
        exchange.reset(Reason::CANCEL);
        assert_eq!(seen.recv().await, Some(false), "the upstream saw a clean end");
    });
}

#[test]
fn a_unary_request_that_is_cut_short_is_never_sent() {
    let probe = Probe::new();
    for line in ["POST /v1/echo", "POST /v1/upload"] {
        let request = Request::new(line).header("content-length: 100").header(probe.header()).body("{}");
        let mut connection = Gateway::plain().connect();
        connection.send(&request.bytes());
        connection.finish();
        // A refusal or nothing: both will do.
        if let Ok(head) = connection.try_head("POST") {
            assert!(head.status >= 400, "{}", connection.exchange());
        }
        assert!(!probe.messages().iter().any(|message| message.is_object()), "{line}: {:?}", probe.events());
    }
}

#[test]
fn bidi_goes_both_ways_at_once_over_http2() {
    let probe = Probe::new();
    block_on(async {
        let mut client = Client::connect(Gateway::plain().address).await;
        let headers = [("content-type", NDJSON), ("accept", NDJSON), ("x-probe", probe.id())];
        let mut exchange = client.open("POST", "/v1/chat", &headers).await;
        exchange.write("{\"int32Value\":1}\n");
        let mut answer = exchange.head().await.unwrap();
        assert_eq!((answer.status(), answer.header("content-type")), (200, Some(NDJSON)));
        assert_eq!(answer.line().await, "{\"int32Value\":1}");
        for number in 2..20 {
            exchange.write(format!("{{\"int32Value\":{number}}}\n"));
            assert_eq!(answer.line().await, format!("{{\"int32Value\":{number}}}"));
        }
        exchange.end();
        let (rest, end) = answer.rest().await;
        assert!(rest.is_empty() && end.is_ok(), "{:?} {end:?}", String::from_utf8_lossy(&rest));
    });
    assert!(probe.events().contains(&Event::RequestEnded));
}

#[test]
fn a_mistake_in_a_message_is_told_by_its_place_in_the_body() {
    let lines = "{}\n\n{\"int32Value\": 1}\r\n {\"int32Value\": \"x\"}\n";
    let array = "\n[{},\n {\"stringValue\": \"\u{fc}\"}, {\"int32Value\": \"x\"}]";
    let split = "\n[{}, {\n\"int32Value\":\n \"x\"}]";
    let single = " \n\n {\"int32Value\": \"x\"}";
    for (kind, body, place) in [
        (NDJSON, lines, "line 4, column 17"),
        ("application/json", array, "line 3, column 39"),
        ("application/json", split, "line 4, column 2"),
        ("application/json", single, "line 3, column 17"),
    ] {
        for size in [1, 5, body.len()] {
            let headers = [format!("content-type: {kind}")];
            let mut connection = begin(Gateway::plain(), "POST /v1/collect", &headers);
            for chunk in body.as_bytes().chunks(size) {
                connection.send_chunk(chunk);
            }
            // The refusal may come before the end.
            let _ = connection.try_send(b"0\r\n\r\n");
            let response = connection.response("POST").expect(400);
            let message = response.json()["message"].as_str().unwrap().to_owned();
            assert!(message.starts_with("int32Value: ") && message.ends_with(place), "{message}, not {place}");
        }
    }
}

#[test]
fn uploads_that_nobody_reads_do_not_hold_up_the_clients_other_requests() {
    const UPSTREAM_WINDOW: usize = 1 << 20;
    let (stalled, mut stalls) = mpsc::unbounded_channel();
    let scripted = Scripted::new(move |mut call| {
        let stalled = stalled.clone();
        async move {
            // As much as the window allows, which is not opened again.
            let mut received = 0;
            while received < UPSTREAM_WINDOW
                && let Some(Ok(data)) = call.request.body_mut().data().await
            {
                received += data.len();
            }
            stalled.send(()).unwrap();
            std::future::pending::<()>().await;
        }
    });
    // Of its own: the windows of its connection are used up.
    let gateway = Gateway::flags(scripted::start());
    let (name, value) = scripted.header_pair();
    block_on(async {
        let mut client = Client::connect(gateway.address).await;
        let mut uploads = Vec::new();
        for _ in 0..8 {
            let headers = [("content-type", "text/x-test"), (name, value.as_str())];
            let mut upload = client.open("POST", "/v1/upload-stream", &headers).await;
            upload.write(vec![b'x'; 2 * UPSTREAM_WINDOW]);
            uploads.push(upload);
            stalls.recv().await.unwrap();
        }
        // Often enough for the uploads to have filled what there is to fill. The gateway itself refuses it.
        for _ in 0..50 {
            let mut request = client.open("POST", "/v1/part/a/scalar", &[("content-type", "application/json")]).await;
            request.write("\"no number\"");
            request.end();
            assert_eq!(request.head().await.unwrap().status(), 400);
        }
    });
}

#[test]
fn the_path_is_woven_into_the_first_message_of_bidi() {
    let request = Request::new("POST /v1/chat/a?color=COLOR_RED").header(format!("content-type: {NDJSON}"));
    let request = request.header(format!("accept: {NDJSON}")).body("{\"int32Value\":1}\n{\"int32Value\":2}\n");
    let response = Gateway::plain().call(&request).expect(200);
    let lines: Vec<_> = response.text().lines().map(parsed).collect();
    assert_eq!(lines[0], json!({"stringValue": "a", "color": "COLOR_RED", "child": {"int32Value": 1}}));
    assert_eq!(lines[1], json!({"child": {"int32Value": 2}}));
}

#[test]
fn bidi_over_http1_answers_everything() {
    let body: String = (1..=100).map(|number| format!("{{\"int32Value\":{number}}}\n")).collect();
    let request = Request::new("POST /v1/chat").header(format!("content-type: {NDJSON}")).body(&body);
    let response = Gateway::plain().call(&request.header(format!("accept: {NDJSON}"))).expect(200);
    assert_eq!(response.text(), body);
}

#[test]
fn bidi_that_the_upstream_ends_early_tells_the_client() {
    block_on(async {
        let mut client = Client::connect(Gateway::plain().address).await;
        let headers = [("content-type", NDJSON), ("accept", NDJSON)];
        let mut exchange = client.open("POST", "/v1/chat", &headers).await;
        exchange.write("{\"int32Value\":1}\n");
        let mut answer = exchange.head().await.unwrap();
        assert_eq!(answer.line().await, "{\"int32Value\":1}");
        // The client has not ended its side, and never will.
        exchange.write("{\"int32Value\":-9,\"stringValue\":\"enough\"}\n");
        let error = parsed(&answer.line().await);
        assert_eq!(error["@error"]["code"], 9);
        assert_eq!(error["@error"]["message"], "enough");
        assert!(answer.rest().await.0.is_empty());
    });
}

#[test]
fn a_broken_message_within_bidi_ends_it_with_an_error() {
    block_on(async {
        let probe = Probe::new();
        let mut client = Client::connect(Gateway::plain().address).await;
        let headers = [("content-type", NDJSON), ("accept", NDJSON), ("x-probe", probe.id())];
        let mut exchange = client.open("POST", "/v1/chat", &headers).await;
        exchange.write("{\"int32Value\":1}\n");
        let mut answer = exchange.head().await.unwrap();
        assert_eq!(answer.line().await, "{\"int32Value\":1}");
        exchange.write("{\"nope\":1}\n");
        let error = parsed(&answer.line().await);
        assert_eq!(error["@error"]["code"], 3);
    });
}

#[test]
fn the_initial_metadata_of_a_stream_become_headers() {
    let scripted = Scripted::new(|mut call| async move {
        call.read().await;
        let mut stream = call.head(&[("x-a", "1"), ("x-a-bin", "AAEC"), ("grpc-encoding", "identity")]);
        stream.send_data(scripted::frame(&[]), false).ok();
        scripted::finish(&mut stream, &[("grpc-status", "0")]);
    });
    let request = Request::new("GET /v1/stream/1").header(scripted.header());
    let response = upstreams::scripted().call(&request).expect(200);
    assert_eq!(response.head.get("x-a"), Some("1"));
    assert_eq!(response.head.get("x-a-bin"), Some("AAEC"));
    assert_eq!(response.head.get("grpc-encoding"), None);
}

#[test]
fn a_deadline_covers_the_time_that_the_client_takes() {
    let gateway = Gateway::configured(&configuration(crate::support::echo::address(), "defaults: { timeout: 300ms }"));
    let headers = [format!("content-type: {NDJSON}")];
    let mut connection = begin(&gateway, "POST /v1/collect", &headers);
    connection.send_chunk(b"{}\n");
    // The deadline covers the whole call, the time that the client takes included.
    let response = connection.response("POST");
    assert_eq!(response.status(), 504, "{}", response.exchange);
}
