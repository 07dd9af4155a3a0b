//! External deciders, as a client meets them, as the upstream does, and as they are asked themselves.

use std::fmt::Display;
use std::time::{Duration, Instant};

use lockgate::pb::envoy::config::core::v3::address::Address as Kind;
use lockgate::pb::envoy::service::auth::v3::CheckResponse;

use crate::guard::api_key;
use crate::support::decider::{Decider, Reply, allow, allow_with, deny};
use crate::support::folder::Folder;
use crate::support::gateway::{Gateway, configuration, lockgate};
use crate::support::http1::{Connection, Request};
use crate::support::http2::Client;
use crate::support::probe::Probe;
use crate::support::process::run;
use crate::support::tls::Authority;
use crate::support::{PATIENCE, block_on, echo, scripted};

/// A change is live within two seconds, and as much again for a busy machine.
const LIVE: Duration = Duration::from_secs(4);

/// A configuration of one decider, `policy`, at this address, that every method is asked about. Both upstreams leave it
/// to `services: []` which of them serves the tests' services.
fn asking(address: impl Display, policy: &str, more: &str) -> String {
    let defaults = if more.contains("defaults:") { "" } else { "defaults: { external: [policy] }\n" };
    let external = format!("{{ policy: {{ upstream: authz, {policy} }} }}");
    let auth = if more.contains("auth: {") || more.contains("auth:\n") {
        String::new()
    } else {
        format!("auth: {{ external: {external} }}\n")
    };
    let upstreams = format!(
        "upstreams:\n  echo: {{ address: \"{}\" }}\n  authz: {{ services: [], address: \"{address}\" }}\n",
        echo::address()
    );
    configuration(echo::address(), &format!("{upstreams}{auth}{defaults}{}", more.replace("AUTH", &external)))
}

fn gateway(decider: &Decider, policy: &str, more: &str) -> Gateway {
    Gateway::configured(&asking(decider.address, &format!("timeout: 10s, {policy}"), more))
}

fn reason(gateway: &Gateway, reason: &str) -> f64 {
    gateway.metric("lockgate_refused_requests_total", &[&format!("reason=\"{reason}\"")])
}

fn errors(gateway: &Gateway) -> f64 {
    gateway.metric("lockgate_external_errors_total", &["decider=\"policy\""])
}

#[test]
fn a_decider_is_told_the_request_and_lets_it_pass() {
    let decider = Decider::start(|_| allow());
    let gateway = gateway(&decider, "context: { stage: test }", "");
    // What comes of it does not matter: it is asked about first.
    let request = Request::new("POST /v1/echo?unused")
        .header("Host: shop.test:80")
        .header("X-Request-Id: the-id")
        .header("Authorization: Bearer secret")
        .header("X-Many: 1")
        .header("x-many: 2")
        .header("x-bytes: ä")
        .json("{}");
    gateway.call(&request);
    let question = decider.question();

    let source = question.source.unwrap();
    let Some(Kind::SocketAddress(socket)) = source.address.unwrap().address else { panic!("no address") };
    assert_eq!((socket.address.as_str(), source.principal.as_str()), ("127.0.0.1", ""));
    assert_eq!(question.destination.unwrap().service, "lockgate.test.v1.Echo");
    let context = question.context_extensions;
    let context: Vec<_> = ["stage", "service", "method", "principal"].map(|key| context.get(key).cloned()).into();
    let expected = [Some("test"), Some("lockgate.test.v1.Echo"), Some("Unary"), None];
    assert_eq!(context, expected.map(|text| text.map(str::to_owned)));

    let request = question.request.unwrap();
    assert!(request.time.unwrap().seconds > 1_700_000_000);
    let http = request.http.unwrap();
    let told = [&http.id, &http.method, &http.path, &http.host, &http.scheme, &http.protocol];
    assert_eq!(told, ["the-id", "POST", "/v1/echo?unused", "shop.test:80", "http", "HTTP/1.1"]);
    assert_eq!(http.size, 2);
    let header = |name: &str| http.headers.get(name).map(String::as_str);
    assert_eq!(header("authorization"), Some("Bearer secret"));
    assert_eq!(header("x-many"), Some("1,2"));
    assert_eq!(header("x-bytes"), Some("ä"));
}

#[test]
fn over_http2_it_is_asked_the_same() {
    let decider = Decider::start(|http| if http.path == "/v1/ping" { allow() } else { deny(401, &[("x-why", "no")]) });
    let gateway = gateway(&decider, "", "");
    block_on(async {
        let mut client = Client::connect(gateway.address).await;
        let answer = client.get("/v1/ping", &[]).await.head().await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut answer = client.get("/v1/search", &[("cookie", "a=1"), ("cookie", "b=2")]).await.head().await.unwrap();
        assert_eq!((answer.status(), answer.header("x-why")), (401, Some("no")));
        let body: serde_json::Value = serde_json::from_slice(&answer.rest().await.0).unwrap();
        assert_eq!(body["code"], 16);
    });
    let http = decider.asked().remove(1).request.unwrap().http.unwrap();
    assert_eq!((http.protocol.as_str(), http.size), ("HTTP/2", -1));
    assert_eq!(http.host, gateway.address.to_string());
    assert_eq!(http.headers.get("cookie").map(String::as_str), Some("a=1; b=2"));
}

#[test]
fn a_denial_never_reaches_the_upstream_and_has_our_body() {
    let headers = [
        ("www-authenticate", "Custom"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("content-type", "text/html"),
        ("content-length", "3"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("x-bad", "a\r\nb: c"),
    ];
    let decider = Decider::start(move |http| deny(http.headers["x-status"].parse().unwrap(), &headers));
    let gateway = gateway(&decider, "headers: [x-status]", "");
    let mut connection = gateway.connect();
    for (asked, status, code) in
        [(401, 401, 16), (302, 302, 7), (500, 500, 7), (200, 403, 7), (304, 403, 7), (0, 403, 7)]
    {
        let probe = Probe::new();
        let request = Request::new("GET /v1/ping").header(probe.header()).header(format!("x-status: {asked}"));
        // The connection stays what it was: the next request on it is answered as well.
        let response = connection.call(&request).expect(status);
        assert_eq!(response.json()["code"], code, "{asked}");
        assert_eq!(response.json()["message"], "permission denied");
        assert_eq!(response.head.get("content-type"), Some("application/json"));
        assert_eq!(response.head.get("www-authenticate"), Some("Custom"));
        assert_eq!(response.head.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!(
            (response.head.get("connection"), response.head.get("x-bad"), response.head.get("b")),
            (None, None, None)
        );
        assert_eq!(probe.calls(), 0, "{asked}");
    }
    assert!(reason(&gateway, "external") >= 6.0);
    let told = decider.asked().remove(0).request.unwrap().http.unwrap().headers;
    assert_eq!(told.keys().collect::<Vec<_>>(), ["x-status"]);
    let line = gateway.process.stdout.find(0, PATIENCE, |line| line.contains("\"refused\":\"external\""));
    assert!(line.is_some_and(|line| line.contains("because of rule 17")), "{}", gateway.process.output());
}

#[test]
fn a_decider_sets_what_it_may_and_nothing_else_does() {
    let decider = Decider::start(|_| {
        let metadata = [("X-Tier", "gold"), ("x-team", "a"), ("x-other", "no"), ("authorization", "no"), ("te", "no")];
        allow_with(&metadata, &["X-Secret", "host", ":path", "not a name"], &[])
    });
    let more = "services: { lockgate.test.v1.Echo: { Search: { external: { names: [], inherit: false } } } }";
    let gateway = gateway(&decider, "forward: [x-tier, X-Team, x-unset]", more);
    let forged = |line, probe: &Probe| {
        ["x-tier: forged", "X-TEAM: forged", "x-unset: forged", "x-secret: 1", "x-kept: 1", "authorization: mine"]
            .into_iter()
            .fold(Request::new(line).header(probe.header()), Request::header)
    };
    let probe = Probe::new();
    gateway.call(&forged("GET /v1/ping", &probe)).expect(200);
    assert_eq!(probe.metadata_of("x-tier"), ["gold"]);
    assert_eq!(probe.metadata_of("x-team"), ["a"]);
    for name in ["x-unset", "x-secret", "x-other"] {
        assert!(probe.metadata_of(name).is_empty(), "{name}");
    }
    assert_eq!(probe.metadata_of("x-kept"), ["1"]);
    assert_eq!(probe.metadata_of("authorization"), ["mine"]);
    let told = decider.question().request.unwrap().http.unwrap().headers;
    for name in ["x-tier", "x-team", "x-unset"] {
        assert!(!told.contains_key(name), "the decider might believe it: {name}");
    }

    // Where it is not asked, nobody may say it at all.
    let probe = Probe::new();
    gateway.call(&forged("GET /v1/search", &probe)).expect(200);
    for name in ["x-tier", "x-team", "x-unset"] {
        assert!(probe.metadata_of(name).is_empty(), "{name}");
    }
    assert_eq!(probe.metadata_of("x-secret"), ["1"]);
    assert_eq!(decider.asked().len(), 1);
}

#[test]
fn a_forged_name_with_underscores_does_not_pass_either() {
    let decider = Decider::start(|_| allow_with(&[("x-user-tier", "gold")], &["x-secret-key"], &[]));
    let more = "listeners: { public: { address: 127.0.0.1:0, underscore_headers: allow } }";
    let gateway = gateway(&decider, "forward: [x-user-tier]", more);
    let probe = Probe::new();
    let request = ["x_user_tier: forged", "X_User-Tier: forged", "x_secret_key: 1", "x_kept: 1"]
        .into_iter()
        .fold(Request::new("GET /v1/ping").header(probe.header()), Request::header);
    gateway.call(&request).expect(200);
    let metadata = probe.metadata();
    let of = |part: &str| metadata.iter().filter(|(name, _)| name.contains(part)).cloned().collect::<Vec<_>>();
    assert_eq!(of("tier"), [("x-user-tier".to_owned(), "gold".to_owned())]);
    assert_eq!(of("secret"), []);
    assert_eq!(of("kept").len(), 1);
}

#[test]
fn headers_for_the_answer_are_on_it_however_it_ends() {
    let answer = [("x-quota", "7"), ("content-type", "text/html"), ("x-request-id", "no"), ("connection", "close")];
    let decider = Decider::start(move |_| allow_with(&[], &[], &answer));
    let gateway = gateway(&decider, "", "");
    let mut connection = gateway.connect();
    for (line, status) in [("GET /v1/ping", 200), ("GET /v1/fail/5", 404), ("GET /v1/stream/2", 200)] {
        let response = connection.call(&Request::new(line)).expect(status);
        assert_eq!(response.head.all("x-quota").collect::<Vec<_>>(), ["7"], "{line}");
        assert_eq!(response.head.all("content-type").collect::<Vec<_>>(), ["application/json"], "{line}");
        assert_ne!(response.head.get("x-request-id"), Some("no"), "{line}");
    }
}

/// That with this decider a request is answered 503, or passes where `on_error: allow` says so.
#[track_caller]
fn gives_no_decision(address: impl Display, timeout: &str) {
    let configured = |on_error| {
        Gateway::configured(&asking(
            &address,
            &format!("timeout: {timeout}, forward: [x-tier], on_error: {on_error}"),
            "",
        ))
    };
    let (denying, allowing) = (configured("deny"), configured("allow"));
    let request = |probe: &Probe| Request::new("GET /v1/ping").header(probe.header()).header("x-tier: forged");
    let probe = Probe::new();
    let begun = Instant::now();
    let refused = denying.call(&request(&probe)).expect(503);
    assert!(begun.elapsed() < PATIENCE / 2);
    assert_eq!(refused.json()["code"], 14);
    assert_eq!(refused.json()["message"], "the request can't be authorized at the moment");
    assert_eq!(probe.calls(), 0);
    assert_eq!((reason(&denying, "external_unavailable"), errors(&denying)), (1.0, 1.0));
    let line = denying.process.stdout.find(0, PATIENCE, |line| line.contains("\"refused\":\"external_unavailable\""));
    assert!(line.is_some_and(|line| line.contains("policy")), "{}", denying.process.output());

    allowing.call(&request(&probe)).expect(200);
    assert!(probe.metadata_of("x-tier").is_empty());
    assert_eq!((reason(&allowing, "external_unavailable"), errors(&allowing)), (0.0, 1.0));
    let told = |line: &str| line.contains("gives no decision") && line.contains("policy");
    assert!(allowing.process.stderr.find(0, PATIENCE, told).is_some(), "{}", allowing.process.output());
}

#[test]
fn a_decider_that_never_answers_is_waited_for_as_long_as_its_timeout() {
    gives_no_decision(Decider::start(|_| Reply::Hangs).address, "100ms");
}

#[test]
fn a_decider_that_is_away_gives_no_decision() {
    let folder = Folder::new();
    gives_no_decision(format!("unix:{}", folder.join("nobody.sock").display()), "10s");
}

#[test]
fn a_decider_that_fails_gives_no_decision() {
    gives_no_decision(Decider::start(|_| Reply::Fails(tonic::Status::permission_denied("no"))).address, "10s");
}

#[test]
fn an_answer_that_says_nothing_is_no_decision() {
    gives_no_decision(Decider::start(|_| Reply::Says(CheckResponse::default())).address, "10s");
}

#[test]
fn an_answer_that_is_garbage_is_no_decision() {
    // It sends the question back.
    gives_no_decision(scripted::address(), "10s");
}

#[test]
fn a_service_of_another_kind_is_no_decider() {
    gives_no_decision(echo::address(), "10s");
}

#[test]
fn it_is_asked_only_about_who_may_call_otherwise() {
    let (key, hash) = api_key();
    let folder = Folder::new();
    folder.write("keys.yaml", format!("keys: [{{ id: acme-1, hash: \"{hash}\", roles: [reader] }}]\n"));
    let decider = Decider::start(|_| allow_with(&[("x-tier", "gold")], &["x-api-key"], &[]));
    let text = asking(
        decider.address,
        "timeout: 10s, forward: [x-tier]",
        "
auth:
  providers: { keys: { api_key: { keys: keys.yaml } } }
  forward: { x-caller: =auth.id }
  external: AUTH
defaults: { auth: [keys], external: [policy] }
services:
  lockgate.test.v1.Echo:
    Search: { auth: none }
    Nested: { roles: [admin] }
",
    );
    let file = folder.write("lockgate.yaml", text);
    let mut gateway = Gateway::start(lockgate().arg("serve").arg("-c").arg(file));
    gateway.folder = Some(folder);
    let with_key = |line| Request::new(line).header(format!("x-api-key: {key}"));
    gateway.get("/v1/ping").expect(401);
    gateway.call(&with_key("GET /v1/nested/a")).expect(403);
    assert_eq!(decider.asked().len(), 0);

    let probe = Probe::new();
    gateway.call(&with_key("GET /v1/ping").header(probe.header()).header("x-caller: forged")).expect(200);
    assert_eq!([probe.metadata_of("x-tier"), probe.metadata_of("x-caller")], [["gold"], ["keys:acme-1"]]);
    let question = decider.question();
    assert_eq!(question.source.unwrap().principal, "keys:acme-1");
    assert_eq!(question.context_extensions["principal"], "keys:acme-1");
    assert!(!question.request.unwrap().http.unwrap().headers.contains_key("x-caller"), "it is forged");

    // `auth: none` asks for no credential; the decider is asked all the same.
    gateway.get("/v1/search").expect(200);
    assert_eq!(decider.asked().len(), 2);
}

#[test]
fn a_client_certificate_is_the_principal() {
    let (authority, folder) = (Authority::new(), Folder::new());
    authority.issue(&["api.test"]).write(&folder, "api");
    folder.write("ca.crt", &authority.pem);
    let decider = Decider::start(|_| allow());
    let text = asking(
        decider.address,
        "timeout: 10s",
        "
listeners:
  public:
    address: 127.0.0.1:0
    tls: { certificates: [{ cert: api.crt, key: api.key }], client_certificates: { ca: ca.crt, mode: optional } }
",
    );
    let file = folder.write("lockgate.yaml", text);
    let gateway = Gateway::start(lockgate().arg("serve").arg("-c").arg(file));
    let client = authority.client().showing(&authority.issue(&["acme.partners.test"]));
    let stream = client.connect(gateway.address, "api.test").expect("the handshake succeeds");
    assert_eq!(Connection::over(stream).call(&Request::new("GET /v1/ping")).status(), 200);
    let question = decider.question();
    assert_eq!(question.source.unwrap().principal, "acme.partners.test");
    assert_eq!(question.request.unwrap().http.unwrap().scheme, "https");
}

#[test]
fn several_deciders_are_asked_in_order_and_all_must_allow() {
    let first = Decider::start(|http| match http.headers.contains_key("x-first-denies") {
        true => deny(401, &[("x-by", "first")]),
        false => allow_with(&[("x-tier", "1"), ("x-one", "1")], &[], &[("x-by", "first")]),
    });
    let second = Decider::start(|http| match http.headers.contains_key("x-second-denies") {
        true => deny(404, &[("x-by", "second")]),
        false => allow_with(&[("x-tier", "2"), ("x-one", "2")], &[], &[("x-by", "second")]),
    });
    let upstream =
        |name, decider: &Decider| format!("  {name}: {{ services: [], address: \"{}\" }}\n", decider.address);
    let text = format!(
        "upstreams:\n  echo: {{ address: \"{}\" }}\n{}{}
auth:
  external:
    one: {{ upstream: a, timeout: 10s, forward: [x-tier, x-one] }}
    two: {{ upstream: b, timeout: 10s, forward: [x-tier] }}
defaults: {{ external: [one] }}
services: {{ lockgate.test.v1.Echo: {{ external: [two, one], Search: {{ external: {{ names: [two], inherit: false }} }} }} }}
",
        echo::address(),
        upstream("a", &first),
        upstream("b", &second),
    );
    let gateway = Gateway::configured(&configuration(echo::address(), &text));
    let probe = Probe::new();
    let response = gateway.call(&Request::new("GET /v1/ping").header(probe.header())).expect(200);
    assert_eq!([probe.metadata_of("x-tier"), probe.metadata_of("x-one")], [["2"], ["1"]]);
    assert_eq!(response.head.all("x-by").collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!((first.asked().len(), second.asked().len()), (1, 1), "each once, however many levels name it");

    let denied = gateway.call(&Request::new("GET /v1/ping").header("x-first-denies: 1")).expect(401);
    assert_eq!(denied.head.get("x-by"), Some("first"));
    assert_eq!((first.asked().len(), second.asked().len()), (2, 1));
    let denied = gateway.call(&Request::new("GET /v1/ping").header("x-second-denies: 1")).expect(404);
    assert_eq!(denied.head.all("x-by").collect::<Vec<_>>(), ["second"]);
    gateway.call(&Request::new("GET /v1/search").header("x-first-denies: 1")).expect(200);
    assert_eq!((first.asked().len(), second.asked().len()), (3, 3));

    let file = gateway.folder.as_ref().unwrap().join("lockgate.yaml");
    let explained = run(lockgate().args(["explain", "GET", "/v1/ping", "-c"]).arg(file)).stdout;
    assert!(explained.contains("external: one, two\n"), "{explained}");
}

#[test]
fn a_preflight_is_answered_without_it() {
    let decider = Decider::start(|_| deny(403, &[("access-control-allow-origin", "*")]));
    let more = "defaults: { external: [policy], cors: { origins: [https://app.test] } }";
    let gateway = gateway(&decider, "", more);
    let origin = "origin: https://app.test";
    let preflight = Request::new("OPTIONS /v1/ping").header(origin).header("access-control-request-method: GET");
    gateway.call(&preflight).expect(204);
    assert_eq!(decider.asked().len(), 0);
    let denied = gateway.call(&Request::new("GET /v1/ping").header(origin)).expect(403);
    assert_eq!(denied.head.all("access-control-allow-origin").collect::<Vec<_>>(), ["https://app.test"]);
    let stranger = gateway.call(&Request::new("GET /v1/ping").header("origin: https://other.test")).expect(403);
    assert_eq!(stranger.head.get("access-control-allow-origin"), None, "what pages may read is `cors`' to say");
}

#[test]
fn a_decider_is_said_to_guard() {
    let decider = Decider::start(|_| allow());
    let gateway = gateway(&decider, "", "");
    let warned = |gateway: &Gateway| gateway.process.end().contains("no authentication");
    assert!(!warned(&gateway), "{}", gateway.process.output());
    let open = Gateway::configured(&asking(decider.address, "timeout: 1s", "defaults: {}"));
    assert!(warned(&open), "{}", open.process.output());
}

#[test]
fn what_is_left_open_beside_a_decider_is_named() {
    let decider = Decider::start(|_| deny(403, &[]));
    let more =
        "defaults: {}\nservices: { lockgate.test.v1.Echo: { Ping: { external: [policy] }, Search: { auth: none } } }";
    let gateway = gateway(&decider, "", more);
    gateway.get("/v1/ping").expect(403);
    gateway.get("/v1/metadata").expect(200);
    let log = gateway.process.end();
    let named = |method: &str| {
        let name = format!("lockgate.test.v1.Echo.{method}\"");
        log.lines().any(|line| line.contains("everybody may call this method") && line.contains(&name))
    };
    assert!(named("Metadata") && !named("Ping") && !named("Search"), "{log}");
}

#[test]
fn a_reload_changes_who_decides_and_how() {
    let (first, second) = (Decider::start(|_| deny(401, &[])), Decider::start(|_| deny(404, &[])));
    let gateway = gateway(&first, "", "");
    gateway.get("/v1/ping").expect(401);
    let folder = gateway.folder.as_ref().unwrap();
    folder.replace("lockgate.yaml", asking(second.address, "timeout: 10s", ""));
    gateway.within(LIVE, "the other decides", |gateway| gateway.get("/v1/ping").status() == 404);
    folder.replace("lockgate.yaml", asking(second.address, "timeout: 10s", "defaults: {}"));
    gateway.within(LIVE, "nobody decides", |gateway| gateway.get("/v1/ping").status() == 200);
    let asked = second.asked().len();
    gateway.get("/v1/ping").expect(200);
    assert_eq!(second.asked().len(), asked);
}

#[test]
fn mistakes_are_found_when_loading() {
    let folder = Folder::new();
    let check = |policy: &str, more: &str| {
        let text = asking("127.0.0.1:1", policy, more);
        let file = folder.write("lockgate.yaml", text);
        let checked = run(lockgate().arg("check").arg("-c").arg(file));
        assert_ne!(checked.code, Some(0), "{policy} {more}");
        checked.stderr + &checked.stdout
    };
    for (policy, expected) in [
        ("timeout: 0s", "a time longer than zero"),
        ("on_error: local", "`deny` or `allow`"),
        ("forward: [grpc-timeout]", "`grpc-timeout` is no metadata that a decider may set"),
        ("forward: [x-request-id]", "`x-request-id` is no metadata that a decider may set"),
        ("forward: [x-tier-bin]", "`x-tier-bin` is no metadata that a decider may set"),
        ("forward: ['x tier']", "`x tier` is no header name"),
        ("headers: ['x*y:']", "`x*y:` is no header name"),
        ("context: { method: x }", "`method` is told by the gateway itself"),
        ("header: [a]", "did you mean `headers`?"),
    ] {
        let said = check(policy, "");
        assert!(said.contains(expected) && said.contains("lockgate.yaml:"), "{policy}: {said}");
    }
    let said = check("timeout: 1s", "defaults: { external: [polcy] }");
    let parts = ["lockgate.yaml:", "there is no decider `polcy` under `auth.external`", "did you mean `policy`?"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    let said = check("timeout: 1s", "auth: { external: { policy: { upstream: auhtz } } }");
    assert!(said.contains("there is no upstream `auhtz`") && said.contains("did you mean `authz`?"), "{said}");
    let said = check("forward: [x_user]", "auth: { forward: { x-user: a }, external: AUTH }");
    assert!(said.contains("`x_user` is set by `auth.forward`"), "{said}");
    let many: Vec<_> = (0..257).map(|number| format!("x-{number}")).collect();
    let said = check(&format!("headers: [{}]", many.join(", ")), "");
    assert!(said.contains("the list has more than 256 headers"), "{said}");
}
