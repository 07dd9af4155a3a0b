//! Runs the scenarios of `tests/cases/`: requests and what becomes of them, told as data. The format is described in
//! the README there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::support::gateway::{Gateway, repository};
use crate::support::http1::{Connection, End, Request, Response};
use crate::support::oracle;
use crate::support::probe::{Event, Probe};

/// A file of scenarios about one topic.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    /// What it is about, in a sentence.
    #[allow(dead_code, reason = "it is for readers of the file")]
    about: String,
    /// More configuration (top-level YAML); empty for a gateway by flags alone.
    #[serde(default)]
    configuration: String,
    cases: Vec<Case>,
}

/// One scenario.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    claim: String,
    #[serde(default)]
    configuration: Option<String>,

    #[serde(default)]
    request: Option<String>,
    #[serde(default)]
    requests: Vec<String>,
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    bodies: Vec<String>,
    #[serde(default)]
    body_base64: Option<String>,

    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    refused: Option<String>,
    #[serde(default)]
    code: Option<i64>,
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    answer: Vec<String>,
    #[serde(default)]
    absent: Vec<String>,
    #[serde(default)]
    json: Option<String>,
    #[serde(default)]
    text: Option<String>,

    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    received: Option<String>,
    #[serde(default, rename = "type")]
    message: Option<String>,
    #[serde(default)]
    metadata: Vec<String>,
    #[serde(default)]
    no_metadata: Vec<String>,
    #[serde(default)]
    untouched: bool,
}

/// One request of a scenario with its answer.
struct Outcome<'a> {
    case: &'a Case,
    probe: &'a Probe,
    response: &'a Response,
    complaints: Vec<String>,
}

macro_rules! topics {
    ($($name:ident),* $(,)?) => {
        const TOPICS: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*
    };
}

topics! {
    addresses, answers, answers_settings, binding_body, binding_parameters, binding_path, binding_patch, compression,
    content_types, cors, deadlines, errors, headers_settings, http_bodies, json_accepted, json_refused, legacy, metadata,
    problem, routes, routes_settings, settings_of_a_service, stream_choice,
}

#[test]
fn every_file_is_run() {
    let entries = fs::read_dir(repository("tests/cases")).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("it can be listed").file_name().into_string().expect("it is text"));
    let files: BTreeSet<_> = names.filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned)).collect();
    assert_eq!(files, TOPICS.iter().map(|topic| (*topic).to_owned()).collect());
}

#[test]
fn every_file_is_sound() {
    for topic in TOPICS {
        for case in read(topic).cases {
            assert!(!case.requests().is_empty(), "{topic}: {:?} has no request", case.claim);
            for text in [&case.json, &case.received].into_iter().flatten() {
                let parsed = serde_json::from_str::<Value>(text);
                assert!(parsed.is_ok(), "{topic}: {:?} expects what is no JSON: {text}", case.claim);
            }
            if let Some(received) = &case.received {
                oracle::canonical(&case.message_name(), received);
            }
        }
    }
}

fn read(topic: &str) -> Topic {
    let path = repository(&format!("tests/cases/{topic}.yaml"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("tests/cases/{topic}.yaml: {error}"))
}

fn run(name: &str) {
    let topic = read(name);
    let mut failures = String::new();
    let (mut total, mut failed) = (0, 0);
    for case in &topic.cases {
        let configuration = case.configuration.as_ref().unwrap_or(&topic.configuration);
        let gateway = if configuration.is_empty() { Gateway::plain() } else { Gateway::shared(configuration) };
        for (line, body) in case.exchanges() {
            total += 1;
            let complaints = run_one(gateway, case, &line, body.as_deref());
            if !complaints.is_empty() {
                failed += 1;
                writeln!(failures, "\n=== {name}: {}\n{complaints}", case.claim)
                    .expect("writing to a string never fails");
            }
        }
    }
    assert!(failures.is_empty(), "{failed} of {total} requests failed\n{failures}");
}

fn run_one(gateway: &Gateway, case: &Case, line: &str, body: Option<&[u8]>) -> String {
    let probe = Probe::new();
    let mut request = Request::new(line).header(probe.header());
    for header in &case.headers {
        request = request.header(header);
    }
    if let Some(body) = body {
        request = request.body(body);
    }
    let response = match Connection::try_open(gateway.address) {
        Ok(mut connection) => connection.call(&request),
        Err(error) => return format!("the gateway is gone: {error}\n{}", gateway.process.output()),
    };
    let mut outcome = Outcome { case, probe: &probe, response: &response, complaints: Vec::new() };
    outcome.check_head();
    outcome.check_body();
    outcome.check_upstream();
    if outcome.complaints.is_empty() {
        return String::new();
    }
    let seen = probe.events().iter().map(|event| format!("{event:?}")).collect::<Vec<_>>().join("\n");
    format!("* {}{}--- the upstream saw\n{seen}", outcome.complaints.join("\n* "), response.exchange)
}

impl Case {
    fn requests(&self) -> Vec<String> {
        self.request.iter().chain(&self.requests).cloned().collect()
    }

    /// Every request line with every body.
    fn exchanges(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let mut bodies: Vec<_> =
            self.body.iter().chain(&self.bodies).map(|body| Some(body.clone().into_bytes())).collect();
        if let Some(body) = &self.body_base64 {
            bodies.push(Some(STANDARD.decode(body).expect("body_base64 is base64")));
        }
        if bodies.is_empty() {
            bodies.push(None);
        }
        let pairs = |line: String| bodies.iter().map(move |body| (line.clone(), body.clone()));
        self.requests().into_iter().flat_map(pairs).collect()
    }

    fn message_name(&self) -> String {
        match &self.message {
            None => "lockgate.test.v1.Everything".to_owned(),
            Some(name) if name.contains('.') => name.clone(),
            Some(name) => format!("lockgate.test.v1.{name}"),
        }
    }

    fn expected_status(&self) -> u16 {
        self.status.unwrap_or(if self.refused.is_some() { 400 } else { 200 })
    }
}

impl Outcome<'_> {
    fn complain(&mut self, complaint: impl Into<String>) {
        self.complaints.push(complaint.into());
    }

    fn check_head(&mut self) {
        let (case, head) = (self.case, &self.response.head);
        let expected = case.expected_status();
        if head.status != expected {
            self.complain(format!("status {} instead of {expected}", head.status));
        }
        for wanted in &case.answer {
            if let Some((name, part)) = wanted.split_once(" ~ ") {
                let all = head.all(name).collect::<Vec<_>>().join(", ");
                if !all.to_ascii_lowercase().contains(&part.to_ascii_lowercase()) {
                    self.complain(format!("the header {name} is {all:?} and does not contain {part:?}"));
                }
            } else {
                let (name, value) = wanted.split_once(": ").unwrap_or((wanted, "*"));
                let found: Vec<_> = head.all(name).collect();
                if found.is_empty() || value != "*" && !found.contains(&value) {
                    self.complain(format!("the header {name} is {found:?} instead of {value:?}"));
                }
            }
        }
        for name in &case.absent {
            if head.get(name).is_some() {
                self.complain(format!("there is a header {name}"));
            }
        }
    }

    fn check_body(&mut self) {
        let (case, response) = (self.case, self.response);
        if response.end != End::Clean {
            self.complain("the body broke off");
        }
        let body = String::from_utf8_lossy(&response.body);
        let json = serde_json::from_str::<Value>(&body);
        if let Some(text) = &case.text
            && *text != body
        {
            self.complain(format!("the body is {body:?} instead of {text:?}"));
        }
        if let Some(expected) = &case.json {
            match &json {
                Ok(json) if same(json, &serde_json::from_str(expected).expect("it is JSON")) => {}
                _ => self.complain(format!("the body is {body} instead of {expected}")),
            }
        }
        if response.status() >= 400 && !response.body.is_empty() {
            self.check_error(json.as_ref().unwrap_or(&Value::Null));
        }
    }

    fn check_error(&mut self, error: &Value) {
        let case = self.case;
        let message = error["message"].as_str().or_else(|| error["detail"].as_str());
        if message.is_none() {
            self.complain("the error has no message");
        }
        let code = case.code.or(case.refused.as_ref().map(|_| 3));
        if code.is_some_and(|code| error["code"].as_i64() != Some(code)) {
            self.complain(format!("the code is {} instead of {}", error["code"], code.unwrap_or_default()));
        }
        let text = error.to_string();
        for part in &case.says {
            if !text.contains(part.as_str()) {
                self.complain(format!("the error does not say {part:?}"));
            }
        }
        if let Some(field) = &case.refused {
            let bad_request =
                error["details"].as_array().into_iter().flatten().find(|detail| {
                    detail["@type"].as_str().is_some_and(|name| name.ends_with("/google.rpc.BadRequest"))
                });
            let violations = bad_request.and_then(|detail| {
                detail["fieldViolations"].as_array().or_else(|| detail["field_violations"].as_array())
            });
            let violations = violations.map(Vec::as_slice).unwrap_or_default();
            if !violations.iter().any(|violation| names(violation["field"].as_str().unwrap_or_default(), field)) {
                self.complain(format!("no BadRequest detail names {field:?}"));
            }
        }
    }

    fn check_upstream(&mut self) {
        let case = self.case;
        let calls = self.probe.calls();
        if case.untouched || case.refused.is_some() {
            if calls > 0 {
                self.complain("the upstream was called");
            }
            return;
        }
        let wanted = case.method.is_some() || case.received.is_some() || !case.metadata.is_empty();
        if wanted && calls != 1 {
            self.complain(format!("the upstream was called {calls} times"));
            return;
        }
        for event in self.probe.events() {
            match event {
                Event::Called { method, metadata } => self.check_call(&method, &metadata),
                Event::Message(message) => self.check_message(&message),
                _ => {}
            }
        }
    }

    fn check_call(&mut self, called: &str, metadata: &[(String, String)]) {
        let case = self.case;
        if case.method.as_ref().is_some_and(|method| method != called) {
            self.complain(format!("the method {called} was called"));
        }
        for wanted in &case.metadata {
            let (name, value) = wanted.split_once(": ").unwrap_or((wanted, "*"));
            let found: Vec<_> =
                metadata.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
            if found.is_empty() || value != "*" && !found.contains(&value) {
                self.complain(format!("the metadata {name} is {found:?} instead of {value:?}"));
            }
        }
        for wanted in &case.no_metadata {
            let (name, value) = wanted.split_once(": ").unwrap_or((wanted, "*"));
            if metadata.iter().any(|(key, found)| key == name && (value == "*" || value == found)) {
                self.complain(format!("there is metadata {wanted}"));
            }
        }
    }

    fn check_message(&mut self, message: &Value) {
        let Some(received) = &self.case.received else { return };
        let expected = oracle::canonical(&self.case.message_name(), received);
        if *message != expected {
            self.complain(format!("the upstream received {message} instead of {expected}"));
        }
    }
}

/// Whether a violation names this field: by its JSON path, its parameter or its variable, however that is spelled.
fn names(found: &str, wanted: &str) -> bool {
    let plain = |text: &str| text.trim_start_matches("$.").replace('_', "").to_ascii_lowercase();
    wanted.is_empty() || plain(found) == plain(wanted)
}

/// Whether two JSON values say the same: numbers by value, objects in any order.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let equal = |(key, value): (&String, &Value)| right.get(key).is_some_and(|other| same(value, other));
            left.len() == right.len() && left.iter().all(equal)
        }
        _ => left == right,
    }
}
