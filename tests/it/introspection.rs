//! Tokens that their issuer is asked about: the program before a real endpoint.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::guard::{bearer, guarded, now, refused};
use crate::support::PATIENCE;
use crate::support::gateway::Gateway;
use crate::support::probe::Probe;

/// An introspection endpoint on loopback, a connection for each question.
struct Endpoint {
    url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    answer: Value,
    down: bool,
    /// Whether answers wait.
    held: bool,
    /// The forms that were sent, with the head before them.
    asked: Vec<(String, String)>,
}

impl Endpoint {
    fn start(answer: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/introspect", listener.local_addr().unwrap());
        let state = Arc::new((Mutex::new(State { answer, ..State::default() }), Condvar::new()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), shared) = (stream, shared.clone()) else { return };
                // A client that has left is none that waits.
                std::thread::spawn(move || drop(answer_one(stream, &shared)));
            }
        });
        Self { url, state }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
    }

    fn asked(&self) -> Vec<(String, String)> {
        self.state.0.lock().unwrap().asked.clone()
    }

    fn gateway(&self, more: &str) -> Gateway {
        let url = &self.url;
        guarded(
            &[],
            &format!(
                "
auth:
  providers:
    opaque: {{ introspection: {{ endpoint: \"{url}\", client_id: gateway, client_secret: not-a-secret{more} }} }}
  forward: {{ x-user: =auth.id }}
defaults: {{ auth: [opaque] }}
services: {{ lockgate.test.v1.Echo: {{ Search: {{ roles: [admin] }} }} }}
"
            ),
        )
    }
}

fn answer_one(mut stream: std::net::TcpStream, shared: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        head.push_str(&line);
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form)?;
    let mut state = shared.0.lock().unwrap();
    state.asked.push((head, String::from_utf8_lossy(&form).into_owned()));
    let state = shared.1.wait_while(state, |state| state.held).unwrap();
    let (status, body) = if state.down { ("503 Down", String::new()) } else { ("200 OK", state.answer.to_string()) };
    drop(state);
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len())
}

fn good() -> Value {
    json!({
        "active": true, "sub": "mira", "iss": "https://issuer.test", "aud": ["other", "api"], "groups": ["admin"],
        "exp": now() + 300,
    })
}

const RULES: &str = ", issuer: 'https://issuer.test', audience: [api], roles_claim: groups, leeway: 0s";

#[test]
fn the_endpoint_says_who_calls_and_is_asked_once() {
    let endpoint = Endpoint::start(good());
    let gateway = endpoint.gateway(RULES);
    for _ in 0..3 {
        let probe = Probe::new();
        gateway.call(&bearer("GET /v1/search", "opaque-1").header(probe.header())).expect(200);
        assert_eq!(probe.metadata_of("x-user"), ["opaque:mira"]);
        assert!(probe.metadata_of("authorization").is_empty());
    }
    let asked = endpoint.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].1, "token=opaque-1&token_type_hint=access_token");
    assert!(asked[0].0.to_lowercase().contains("authorization: basic "), "{}", asked[0].0);
    let log = gateway.process.output();
    assert!(!log.contains("not-a-secret") && !log.contains("opaque-1"), "{log}");
}

#[test]
fn answers_are_held_to_issuer_audience_and_end() {
    let endpoint = Endpoint::start(Value::Null);
    let gateway = endpoint.gateway(RULES);
    let wrong = [
        ("active", json!(false), "inactive"),
        ("iss", json!("https://other.test"), "wrong_issuer"),
        ("aud", json!("other"), "wrong_audience"),
        ("exp", json!(now() - 5), "expired"),
    ];
    for (number, (name, value, reason)) in wrong.into_iter().enumerate() {
        let mut answer = good();
        answer[name] = value;
        endpoint.change(|state| state.answer = answer);
        refused(gateway.call(&bearer("GET /v1/search", &format!("token-{number}"))), 401, 16);
        let label = format!("reason=\"{reason}\"");
        assert_eq!(gateway.metric("lockgate_refused_requests_total", &[&label]), 1.0, "{reason}");
    }
    let mut answer = good();
    answer["groups"] = json!(["reader"]);
    endpoint.change(|state| state.answer = answer);
    refused(gateway.call(&bearer("GET /v1/search", "reader")), 403, 7);
}

#[test]
fn many_requests_with_a_new_token_ask_once() {
    const REQUESTS: usize = 100;
    let endpoint = Endpoint::start(good());
    endpoint.change(|state| state.held = true);
    let gateway = endpoint.gateway(RULES);
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..REQUESTS)
            .map(|_| scope.spawn(|| gateway.call(&bearer("GET /v1/search", "opaque-1")).status()))
            .collect();
        gateway.within(PATIENCE, "all of them wait", |gateway| {
            gateway.metric("lockgate_requests_in_flight", &[]) >= REQUESTS as f64
        });
        endpoint.change(|state| state.held = false);
        for call in calls {
            assert_eq!(call.join().unwrap(), 200);
        }
    });
    assert_eq!(endpoint.asked().len(), 1);
}

#[test]
fn while_the_endpoint_is_down_nobody_new_is_let_in() {
    let endpoint = Endpoint::start(good());
    let gateway = endpoint.gateway(", ttl: 20ms");
    let call = |token: &str| gateway.call(&bearer("GET /v1/ping", token));
    call("opaque-1").expect(200);
    endpoint.change(|state| state.down = true);
    gateway.within(PATIENCE, "what is known is forgotten", |_| call("opaque-1").status() == 503);
    let response = call("opaque-1").expect(503);
    assert_eq!(response.json()["code"], 14);
    assert!(!response.text().contains("127.0.0.1"), "{}", response.text());
    assert!(gateway.metric("lockgate_introspection_failures", &["provider=\"opaque\""]) >= 2.0);
    endpoint.change(|state| state.down = false);
    call("opaque-1").expect(200);
}

#[test]
fn with_stale_a_good_answer_outlasts_the_endpoint() {
    let endpoint = Endpoint::start(good());
    let gateway = endpoint.gateway(", ttl: 20ms, stale: 5m");
    let call = |token: &str| gateway.call(&bearer("GET /v1/ping", token)).status();
    assert_eq!(call("opaque-1"), 200);
    endpoint.change(|state| state.down = true);
    let asked = endpoint.asked().len();
    gateway.within(PATIENCE, "it is asked again, in vain", |_| {
        assert_eq!(call("opaque-1"), 200);
        endpoint.asked().len() > asked
    });
    assert_eq!(call("opaque-1"), 200);
    assert_eq!(call("opaque-2"), 503, "of another token nothing is known");
}

#[test]
fn no_stale_answer_outlives_its_token() {
    let endpoint = Endpoint::start(good());
    let gateway = endpoint.gateway(", ttl: 20ms, stale: 5m, leeway: 0s");
    // Its end is counted from here: a program may take its time to start.
    endpoint.change(|state| state.answer["exp"] = json!(now() + 4));
    let call = || gateway.call(&bearer("GET /v1/ping", "opaque-1")).status();
    assert_eq!(call(), 200);
    endpoint.change(|state| state.down = true);
    gateway.within(Duration::from_secs(8), "the token ends", |_| call() == 503);
}
