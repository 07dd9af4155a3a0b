//! Clients that are slow in every way, that flood, or that are too many: gone by their limit, and nobody else notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use crate::support::folder::Folder;
use crate::support::gateway::{Gateway, configuration, lockgate};
use crate::support::http1::Request;
use crate::support::http2::Client;
use crate::support::tls::Authority;
use crate::support::{PATIENCE, block_on, echo};

/// Every limit of these gateways.
const LIMIT: Duration = Duration::from_secs(1);

/// How much later a client may be gone, and as much again for a busy machine.
const LATER: Duration = Duration::from_secs(2);

/// Each limit is short when it is the one that is tested, and long otherwise.
fn limited(limit: &str) -> Gateway {
    let listener = format!("listeners: {{ public: {{ address: 127.0.0.1:0, limits: {{ {limit}: 1s }} }} }}");
    Gateway::configured(&configuration(echo::address(), &listener))
}

/// Sends these bytes and reads until the connection is closed; what came.
#[track_caller]
fn gone(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let begun = Instant::now();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset is an end as well.
    let ended = stream.read_to_end(&mut answer);
    let timed_out = matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!timed_out, "it is still open");
    let elapsed = begun.elapsed();
    assert!(elapsed > LIMIT / 2, "it is closed after {elapsed:?}");
    assert!(elapsed < LIMIT + LATER, "it is closed after {elapsed:?}");
    String::from_utf8_lossy(&answer).into_owned()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn a_client_that_says_nothing_is_gone() {
    assert_eq!(gone(&limited("first_byte"), b""), "");
}

#[test]
fn half_a_preface_and_half_a_head_are_gone() {
    let gateway = limited("header_timeout");
    for bytes in [&b"PRI * HTTP/2.0\r\n"[..], b"GET /v1/ping HTTP/1.1\r\nhost: a\r\n", b"G", b"\r\n"] {
        let answer = gone(&gateway, bytes);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

/// How a client of HTTP/2 begins.
fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &[])[..]].concat()
}

/// The header block of a `GET`, with static names and nothing compressed.
fn get(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x01, 1, b'a', 0x04, u8::try_from(path.len()).unwrap()];
    block.extend_from_slice(path.as_bytes());
    block
}

#[test]
fn half_a_head_of_http2_is_gone_whatever_else_is_served() {
    let gateway = limited("header_timeout");
    let (block, ping) = (get("/v1/ping"), frame(PING, 0, 0, &[0; 8]));
    let served = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/v1/sleep/20s"));
    let unfinished = [
        frame(HEADERS, END_STREAM, 3, &block),
        [frame(HEADERS, END_STREAM, 3, &block[..4]), frame(CONTINUATION, 0, 3, &block[4..])].concat(),
        frame(HEADERS, END_HEADERS | END_STREAM, 3, &block)[..12].to_vec(),
        ping[..5].to_vec(),
        ping[..12].to_vec(),
    ];
    // Each at once: they are slow.
    std::thread::scope(|scope| {
        scope.spawn(|| gone(&gateway, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        for unfinished in &unfinished {
            scope.spawn(|| gone(&gateway, &[&preface()[..], unfinished].concat()));
            scope.spawn(|| gone(&gateway, &[&preface()[..], &served, unfinished].concat()));
        }
    });
}

#[test]
fn half_a_head_behind_a_request_is_gone() {
    let gateway = limited("header_timeout");
    for half in ["G", "GET /v1/ping HTTP/1.1\r\nhost: a\r\n"] {
        let answer = gone(&gateway, format!("GET /v1/ping HTTP/1.1\r\nhost: a\r\n\r\n{half}").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("HTTP/1.1 408"), "{answer}");
    }
}

#[test]
fn half_a_handshake_is_gone() {
    let folder = Folder::new();
    Authority::new().issue(&["api.test"]).write(&folder, "api");
    let listener = "listeners: { public: { address: 127.0.0.1:0, tls: { certificates: [{ cert: api.crt, key: api.key }] }, \
                    limits: { handshake_timeout: 1s } } }";
    let file = folder.write("lockgate.yaml", configuration(echo::address(), listener));
    let gateway = Gateway::start(lockgate().arg("serve").arg("-c").arg(file));
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
        assert_eq!(gone(&gateway, bytes), "");
    }
}

#[test]
fn half_a_body_is_408() {
    let gateway = limited("body_timeout");
    let head = "POST /v1/echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    for body in ["content-length: 10\r\n\r\n{", "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"] {
        let answer = gone(&gateway, format!("{head}{body}").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

/// Whether a connection ends by itself in time.
async fn ends<F: Future>(connection: F) -> bool {
    tokio::time::timeout(LIMIT + LATER, connection).await.is_ok()
}

/// A client of HTTP/2 that takes so much of each answer, and no more; what it asks by, and the connection.
async fn taking(window: u32, gateway: &Gateway) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (sender, connection) = builder.initial_window_size(window).handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// Asks for a body of at least so many bytes.
async fn ask(sender: &mut SendRequest<Bytes>, bytes: usize) -> Result<http::Response<RecvStream>, h2::Error> {
    let request = http::Request::post("http://gateway.test/v1/echo").header("content-type", "application/json");
    let (response, mut body) = sender.clone().ready().await?.send_request(request.body(()).unwrap(), false)?;
    body.send_data(format!("{{\"stringValue\":\"{}\"}}", "x".repeat(bytes)).into(), true)?;
    response.await
}

#[test]
fn a_client_of_http2_that_takes_nothing_is_gone() {
    let gateway = limited("write_stall");
    block_on(async {
        for bytes in [1, 50_000] {
            let (mut sender, connection) = taking(0, &gateway).await;
            let answer = ask(&mut sender, bytes).await.unwrap();
            assert_eq!(answer.status(), 200);
            assert!(ends(connection).await, "it is still open");
        }
    });
}

#[test]
fn a_client_of_http2_that_takes_only_its_other_answers_is_gone() {
    let gateway = limited("write_stall");
    block_on(async {
        let (mut sender, connection) = taking(1000, &gateway).await;
        let held = ask(&mut sender, 50_000).await.unwrap();
        let mut small = 0;
        let busy = async {
            while let Ok(answer) = ask(&mut sender, 10).await {
                let mut body = answer.into_body();
                while let Some(Ok(_)) = body.data().await {}
                small += 1;
            }
        };
        assert!(ends(busy).await, "it is still open");
        assert!(ends(connection).await, "it is still open");
        assert!(small > 1, "nothing else was taken");
        drop(held);
    });
}

#[test]
fn a_client_of_http2_that_takes_a_large_answer_slowly_gets_all_of_it() {
    const BYTES: usize = 300_000;
    let gateway = limited("write_stall");
    block_on(async {
        let (mut sender, _connection) = taking(20_000, &gateway).await;
        let answer = ask(&mut sender, BYTES).await.unwrap();
        let announced = answer.headers()["content-length"].to_str().unwrap().parse::<usize>().unwrap();
        let (mut body, mut taken, mut held) = (answer.into_body(), 0, 0);
        let begun = Instant::now();
        let mut turn = tokio::time::interval(LIMIT / 8);
        while let Some(data) = body.data().await {
            let length = data.expect("it is not cut").len();
            (taken, held) = (taken + length, held + length);
            // Half of what it lets come.
            if held >= 10_000 {
                turn.tick().await;
                body.flow_control().release_capacity(std::mem::take(&mut held)).unwrap();
            }
        }
        assert!(begun.elapsed() > LIMIT, "it is not slow");
        assert!(taken > BYTES);
        assert_eq!(taken, announced);
    });
}

/// That the gateway soon has so many connections.
#[track_caller]
fn left(gateway: &Gateway, connections: u32) {
    gateway.within(LIMIT + LATER, "the connection is gone", |gateway| {
        gateway.metric("lockgate_connections", &[]) == f64::from(connections)
    });
}

/// Asks for more than any kernel holds.
fn endless() -> Vec<u8> {
    let target = format!("GET /v1/stream/40000?message.stringValue={}", "x".repeat(2000));
    Request::new(&target).header("accept: application/x-ndjson").bytes()
}

#[test]
fn a_client_of_http1_that_takes_nothing_is_gone() {
    let gateway = limited("write_stall");
    let mut connection = gateway.connect();
    connection.send(&endless());
    assert_eq!(connection.head().status, 200);
    left(&gateway, 0);
}

#[test]
fn a_client_of_a_socket_file_is_served_and_gone_when_it_takes_nothing() {
    let folder = Folder::new();
    let path = folder.join("s");
    let listeners = format!(
        "listeners: {{ local: {{ address: \"unix:{}\", limits: {{ write_stall: 1s }} }}, public: {{ address: 127.0.0.1:0 }} }}",
        path.display()
    );
    let gateway = Gateway::configured(&configuration(echo::address(), &listeners));
    let connect = || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut stream = connect();
    stream.write_all(&Request::new("GET /v1/echo/a").header("connection: close").bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("{\"stringValue\":\"a\"}"), "{answer}");
    drop(stream);
    left(&gateway, 0);
    let mut stream = connect();
    stream.write_all(&endless()).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    assert_eq!(gateway.metric("lockgate_connections", &[]), 1.0);
    left(&gateway, 0);
}

#[test]
fn connections_beyond_the_limit_are_closed_and_those_within_it_served() {
    let listener = "listeners: { public: { address: 127.0.0.1:0, limits: { connections: 2 } } }";
    let gateway = Gateway::configured(&configuration(echo::address(), listener));
    let ping = Request::new("GET /v1/ping");
    let mut held = [gateway.connect(), gateway.connect()];
    held.iter_mut().for_each(|connection| drop(connection.call(&ping).expect(200)));
    gateway.connect().closed();
    held.iter_mut().for_each(|connection| drop(connection.call(&ping).expect(200)));
    let [first, mut second] = held;
    drop(first);
    left(&gateway, 1);
    gateway.connect().call(&ping).expect(200);
    second.call(&ping).expect(200);
}

#[test]
fn streams_beyond_the_limit_are_refused_and_those_within_it_served() {
    let listener = "listeners: { public: { address: 127.0.0.1:0, limits: { streams: 2 } } }";
    let gateway = Gateway::configured(&configuration(echo::address(), listener));
    let open = |stream, path| frame(HEADERS, END_HEADERS | END_STREAM, stream, &get(path));
    let client = TcpStream::connect(gateway.address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = |wanted: u8| loop {
        let mut head = [0; 9];
        (&client).read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        (&client).read_exact(&mut payload).unwrap();
        if head[3] == wanted {
            return (head[8], payload);
        }
    };
    (&client)
        .write_all(&[preface(), open(1, "/v1/sleep/1s"), open(3, "/v1/sleep/1s"), open(5, "/v1/ping")].concat())
        .unwrap();
    assert_eq!(next(RST_STREAM), (5, vec![0, 0, 0, 7]), "REFUSED_STREAM");
    let answered = [next(DATA).0, next(DATA).0];
    assert!(answered == [1, 3] || answered == [3, 1], "{answered:?}");
    (&client).write_all(&open(7, "/v1/ping")).unwrap();
    assert_eq!(next(DATA).0, 7);
}

/// Sends so much of a body behind a request that was answered before it; whether the gateway took it.
fn takes(gateway: &Gateway, bytes: usize) -> bool {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(format!("POST /nothing HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", 1 << 20).as_bytes())
        .unwrap();
    let mut answer = String::new();
    // Up to its end: nothing more is said.
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404") && answer.ends_with('}'), "{answer}");
    // Its own end is not told: it would hide from the client that something was not taken.
    let sent = stream.write_all(&vec![b'x'; bytes]);
    left(gateway, 0);
    sent.is_ok() && stream.take_error().unwrap().is_none()
}

#[test]
fn what_is_left_of_a_body_is_taken_after_an_early_answer_up_to_a_bound() {
    let gateway = Gateway::configured(&configuration(echo::address(), ""));
    assert!(takes(&gateway, 1));
    assert!(takes(&gateway, (64 << 10) - 1));
    assert!(!takes(&gateway, 65 << 10));
}

#[test]
fn a_connection_without_requests_or_of_some_age_is_gone() {
    for limit in ["idle", "age"] {
        let gateway = limited(limit);
        assert_eq!(gone(&gateway, b"GET /v1/ping HTTP/1.1\r\nhost: a\r\n\r\n").matches("HTTP/1.1 200").count(), 1);
        block_on(async {
            let stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
            let (_sender, connection) = h2::client::handshake(stream).await.unwrap();
            assert!(ends(connection).await, "it is still open");
        });
    }
}

#[test]
fn a_client_of_http2_that_only_pings_is_idle() {
    let gateway = limited("idle");
    block_on(async {
        let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(&preface()).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let ended = tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
        // Not so many that it is a flood: their answers come in one write.
        let pings = frame(PING, 0, 0, &[0; 8]).repeat(12);
        tokio::spawn(async move {
            let mut turn = tokio::time::interval(LIMIT / 8);
            while writer.write_all(&pings).await.is_ok() {
                turn.tick().await;
            }
        });
        assert!(ends(ended).await, "it is still open");
    });
    assert!(!gateway.process.output().contains(FLOOD), "it is idle, and no flood");
}

#[test]
fn what_began_before_a_connection_is_too_old_is_answered() {
    let gateway = limited("age");
    let mut connection = gateway.connect();
    connection.call(&Request::new("GET /v1/sleep/2s")).expect(200);
    connection.closed();
}

#[test]
fn a_flood_of_cancelled_requests_is_cut() {
    let gateway = Gateway::flags(echo::address());
    let mut beside = gateway.connect();
    block_on(async {
        let mut client = Client::connect(gateway.address).await;
        for _ in 0..100 {
            // The connection's end shows in a request that can't be sent.
            let flooding = tokio::spawn(async move {
                for _ in 0..10 {
                    let mut exchange = client.open("GET", "/v1/sleep/20s", &[]).await;
                    // It has arrived.
                    tokio::task::yield_now().await;
                    exchange.reset(Reason::CANCEL);
                    drop(exchange);
                }
                client.sync().await;
                client
            });
            match flooding.await {
                Ok(next) => client = next,
                Err(_) => return,
            }
        }
        panic!("a thousand cancelled requests are taken");
    });
    beside.call(&Request::new("GET /v1/ping")).expect(200);
}

/// Asks so often, two dozen times at once, and tells the gateway of each frame of an answer that it is taken; how many
/// frames that were. It is as chatty as an honest client gets.
#[track_caller]
fn take_chattily(gateway: &Gateway, requests: usize) -> usize {
    let id = |number: usize| u32::try_from(2 * number + 1).unwrap().to_be_bytes();
    let on =
        |kind, flags, stream: &[u8], payload: &[u8]| [&frame(kind, flags, 0, payload)[..5], stream, payload].concat();
    let open = |number| on(HEADERS, END_HEADERS | END_STREAM, &id(number), &get("/v1/ping"));
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut opened = requests.min(24);
    stream.write_all(&(0..opened).fold(preface(), |all, number| [all, open(number)].concat())).unwrap();
    let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
    let (mut frames, mut ended) = (0, 0);
    while ended < requests {
        let mut head = [0; 9];
        reader.read_exact(&mut head).expect("it is not cut");
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        reader.read_exact(&mut payload).expect("it is not cut");
        let mut next = Vec::new();
        if head[3] == DATA && !payload.is_empty() {
            frames += 1;
            let taken = u32::try_from(payload.len()).unwrap().to_be_bytes();
            next = [on(WINDOW_UPDATE, 0, &head[5..], &taken), on(WINDOW_UPDATE, 0, &[0; 4], &taken)].concat();
        }
        if head[3] == DATA && head[4] & END_STREAM != 0 {
            ended += 1;
            if opened < requests {
                next.extend(open(opened));
                opened += 1;
            }
        }
        stream.write_all(&next).unwrap();
    }
    frames
}

#[test]
fn honest_clients_are_no_flood() {
    const MANY: usize = 2000;
    let gateway = Gateway::configured(&configuration(echo::address(), ""));
    assert!(take_chattily(&gateway, MANY) >= MANY);
    // With little room: it opens its window for every few hundred bytes.
    block_on(async {
        let (mut sender, _connection) = taking(1000, &gateway).await;
        let mut body = ask(&mut sender, 2_000_000).await.unwrap().into_body();
        let mut frames = 0;
        while let Some(data) = body.data().await {
            let length = data.expect("it is not cut").len();
            body.flow_control().release_capacity(length).unwrap();
            frames += 1;
        }
        assert!(frames > MANY, "{frames}");
    });
}

/// What is told of a client whose frames carry nothing.
const FLOOD: &str = "too many frames that carry nothing";

/// Sends a frame so often, and a ping behind; whether the ping is answered before the connection ends.
fn is_answered(gateway: &Gateway, frame_: &[u8], times: usize) -> bool {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let last = frame(PING, 0, 0, b"the last");
    let reading = std::thread::spawn(move || {
        let (mut all, mut some) = (Vec::new(), [0; 1 << 12]);
        loop {
            match reader.read(&mut some) {
                Ok(count @ 1..) => all.extend_from_slice(&some[..count]),
                Ok(0) => return false,
                Err(error) => {
                    assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it is neither answered nor cut");
                    return false;
                }
            }
            if all.windows(8).any(|window| window == b"the last") {
                return true;
            }
        }
    });
    // It may be cut before all is sent.
    let _ = stream.write_all(&[&preface()[..], &frame_.repeat(times), &last].concat());
    reading.join().unwrap()
}

#[test]
fn a_flood_of_frames_that_carry_nothing_is_cut() {
    let gateway = Gateway::configured(&configuration(echo::address(), ""));
    let mut beside = gateway.connect();
    let open = frame(HEADERS, END_HEADERS, 1, &get("/v1/ping"));
    for flood in [
        frame(PING, 0, 0, &[0; 8]),
        frame(PING, 1, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 0]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(0xee, 0, 0, &[]),
    ] {
        let before = gateway.process.output().matches(FLOOD).count();
        // The frame with which the connection begins and the last count as well.
        assert!(is_answered(&gateway, &flood, 990), "{flood:?}");
        assert!(!is_answered(&gateway, &flood, 2000), "{flood:?}");
        gateway.within(PATIENCE, "one line tells", |gateway| {
            gateway.process.output().matches(FLOOD).count() == before + 1
        });
    }
    let empty = frame(DATA, 0, 1, &[]).repeat(2000);
    assert!(!is_answered(&gateway, &[open, empty].concat(), 1));
    beside.call(&Request::new("GET /v1/ping")).expect(200);
}

#[test]
fn a_flood_of_control_frames_takes_no_others_turn() {
    let gateway = Gateway::configured(&configuration(echo::address(), ""));
    for flood in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[]), frame(PRIORITY, 0, 0, &[0, 0, 0, 1, 0])] {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, stopping) = (gateway.address, Arc::clone(&stop));
        let flooding = std::thread::spawn(move || {
            let many = flood.repeat(4096);
            // It may be cut, and comes again.
            while !stopping.load(Ordering::Relaxed) {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_write_timeout(Some(LIMIT)).unwrap();
                let _ = stream.write_all(&preface());
                let mut answers = stream.try_clone().unwrap();
                let reading = std::thread::spawn(move || while matches!(answers.read(&mut [0; 1 << 16]), Ok(1..)) {});
                while !stopping.load(Ordering::Relaxed) && stream.write_all(&many).is_ok() {}
                let _ = stream.shutdown(std::net::Shutdown::Both);
                let _ = reading.join();
            }
        });
        let mut connection = gateway.connect();
        let mut slowest = Duration::ZERO;
        for _ in 0..100 {
            let begun = Instant::now();
            connection.call(&Request::new("GET /v1/ping")).expect(200);
            slowest = slowest.max(begun.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
        flooding.join().unwrap();
        assert!(slowest < LIMIT, "a request took {slowest:?}");
    }
}

#[test]
fn bodies_that_are_held_at_once_are_bounded() {
    const PART: usize = 600 << 10;
    let listener = "listeners: { public: { address: 127.0.0.1:0, limits: { body: 1MiB, buffered: 1MiB } } }";
    let gateway = Gateway::configured(&configuration(echo::address(), listener));
    let json = [("content-type", "application/json")];
    block_on(async {
        let mut client = Client::connect(gateway.address).await;
        let begun = format!("{{\"stringValue\":\"{}", "x".repeat(PART));
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut exchange = client.open("POST", "/v1/echo", &json).await;
            exchange.body.send_data(begun.clone().into(), false).unwrap();
            held.push(exchange);
        }
        let (mut second, mut first) = (held.pop().unwrap(), held.pop().unwrap());
        // There is room for either.
        let (refused, mut other) = tokio::select! {
            refused = first.head() => (refused, second),
            refused = second.head() => (refused, first),
        };
        let refused = refused.unwrap();
        assert_eq!(refused.head.status(), 503);
        assert_eq!(refused.head.headers()["retry-after"], "1");
        client.sync().await;
        let mut small = client.open("POST", "/v1/echo", &json).await;
        small.body.send_data("{\"stringValue\":\"a\"}".into(), true).unwrap();
        assert_eq!(small.head().await.unwrap().head.status(), 200);
        other.body.send_data("\"}".into(), true).unwrap();
        assert_eq!(other.head().await.unwrap().rest().await.0.len(), begun.len() + 2);
        // What both held is given back.
        let mut next = client.open("POST", "/v1/echo", &json).await;
        next.body.send_data((begun + "\"}").into(), true).unwrap();
        assert_eq!(next.head().await.unwrap().head.status(), 200);
    });
}

#[test]
fn a_process_without_descriptors_closes_what_it_can_not_serve_and_recovers() {
    let folder = Folder::new();
    let file = folder.write("lockgate.yaml", configuration(echo::address(), ""));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 48; exec \"$0\" serve -c \"$1\""]).arg(env!("CARGO_BIN_EXE_lockgate")).arg(file);
    let gateway = Gateway::start(&mut command);
    let mut streams: Vec<_> = (0..60).map(|_| TcpStream::connect(gateway.address).unwrap()).collect();
    let shed = streams.iter_mut().rev().take(5).all(|stream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Closed, or reset.
        !matches!(stream.read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    });
    assert!(shed, "they wait for nobody");
    drop(streams);
    gateway.within(PATIENCE, "it serves again", |gateway| {
        let mut connection = gateway.connect();
        connection.try_send(&Request::new("GET /v1/ping").bytes()).is_ok()
            && connection.try_head("GET").is_ok_and(|head| head.status == 200)
    });
}
