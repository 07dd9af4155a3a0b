//! Who is let in where levels, lists and addresses meet: what nobody spoke for, what belongs together, what is told.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::guard::{Signer, api_key, bearer, guarded};
use crate::support::gateway::{Gateway, configuration, lockgate};
use crate::support::http1::Request;
use crate::support::http2::Client;
use crate::support::probe::Probe;
use crate::support::process::run;
use crate::support::{PATIENCE, block_on, echo};

const PROVIDERS: &str = "
auth:
  providers: { users: { jwt: { issuer: 'https://issuer.test', audience: [api], jwks: keys.json } } }
";

/// A gateway that knows the issuer's tokens, and the issuer.
#[track_caller]
fn with_users(more: &str) -> (Gateway, Signer) {
    let signer = Signer::new("one");
    (guarded(&[("keys.json", &signer.set())], &format!("{PROVIDERS}{more}")), signer)
}

#[test]
fn what_no_level_speaks_of_is_denied_once_any_asks_for_credentials() {
    let more = "services: { lockgate.test.v1.Echo: { Search: { auth: [users] }, Metadata: { auth: none } } }\n";
    let (gateway, signer) = with_users(more);
    gateway.get("/v1/search").expect(401);
    gateway.get("/v1/metadata").expect(200);
    let probe = Probe::new();
    let denied = gateway.call(&bearer("GET /v1/ping", &signer.token("mira", &json!({}))).header(probe.header()));
    assert_eq!(denied.expect(403).json()["code"], 7);
    assert_eq!(probe.calls(), 0);
    let warned =
        gateway.process.stderr.find(0, PATIENCE, |line| line.contains("nobody may call") && line.contains("Ping"));
    assert!(warned.is_some(), "{}", gateway.process.output());
    let metrics = gateway.ask("/metrics");
    let metrics = metrics.text();
    assert!(metrics.contains("lockgate_refused_requests_total{reason=\"no_rule\"} 1"), "{metrics}");
    let file = gateway.folder.as_ref().unwrap().path().join("lockgate.yaml");
    let explained = run(lockgate().arg("explain").arg("-c").arg(file).args(["GET", "/v1/ping"]));
    assert!(explained.stdout.contains("auth: nobody may call"), "{}", explained.stdout);
}

#[test]
fn optional_needs_something_that_could_be_missing() {
    let signer = Signer::new("one");
    let gateway = guarded(&[("keys.json", &signer.set())], "");
    let folder = gateway.folder.as_ref().unwrap();
    for rule in ["auth: optional", "auth: { any: [], optional: true }"] {
        let more = format!("{PROVIDERS}defaults: {{ {rule} }}\n");
        let file = folder.write("other.yaml", configuration(echo::address(), &more));
        let checked = run(lockgate().arg("check").arg("-c").arg(file));
        assert_eq!(checked.code, Some(1), "{rule}");
        assert!((checked.stdout + &checked.stderr).contains("no level above names a provider"), "{rule}");
    }
}

#[test]
fn an_ipv6_client_is_its_64_for_limits_and_itself_for_rules() {
    let gateway = guarded(
        &[],
        "
listeners: { http: { address: 127.0.0.1:0, client_ip: { trusted_proxies: [127.0.0.1] } } }
rate_limits: { per_ip: { key: =client.ip, rate: 1/h }, per_message: { key: =client.ip + request.string_value, rate: 1/h } }
defaults: { require: \"=client.ip != '2001:db8::bad'\" }
services: { lockgate.test.v1.Echo: { Ping: { limits: [per_ip] }, Unary: { limits: [per_message] } } }
",
    );
    let ask = |target: &str, from: &str| {
        gateway.call(&Request::new(target).header(format!("x-forwarded-for: {from}"))).head.status
    };
    for target in ["GET /v1/ping", "GET /v1/echo/a"] {
        assert_eq!(ask(target, "2001:db8::1"), 200);
        assert_eq!(ask(target, "2001:db8::2"), 429, "another address of the same customer");
        assert_eq!(ask(target, "2001:db8:0:1::1"), 200);
        assert_eq!(ask(target, "192.0.2.1"), 200);
        assert_eq!(ask(target, "192.0.2.2"), 200);
    }
    assert_eq!(ask("GET /v1/search", "2001:db8::bad"), 403);
    assert_eq!(ask("GET /v1/search", "2001:db8::1"), 200);
}

#[test]
fn what_a_message_refuses_is_logged_and_counted_like_the_rest() {
    let gateway = guarded(
        &[],
        "services: { lockgate.test.v1.Echo: { Unary: { require: \"=request.string_value != 'secret-word'\" } } }\n",
    );
    gateway.call(&Request::new("GET /v1/echo/secret-word").header("x-request-id: by-message")).expect(403);
    let line = gateway.process.stdout.find(0, PATIENCE, |line| line.contains("by-message")).expect("a line");
    assert!(line.contains("\"refused\":\"require\""), "{line}");
    assert!(!line.contains("secret-word"), "{line}");
    let metrics = gateway.ask("/metrics");
    let metrics = metrics.text();
    assert!(metrics.contains("lockgate_refused_requests_total{reason=\"require\"} 1"), "{metrics}");
}

#[test]
fn a_value_that_is_refused_is_not_in_the_log() {
    let gateway = guarded(&[], "");
    let response = gateway.call(&Request::new("GET /v1/echo/a?int32Value=hunter2").header("x-request-id: by-value"));
    assert!(response.expect(400).text().contains("hunter2"), "its client is told what was wrong");
    let line = gateway.process.stdout.find(0, PATIENCE, |line| line.contains("by-value")).expect("a line");
    assert!(line.contains("int32Value") && !line.contains("hunter2"), "{line}");
}

/// Spellings of paths that some reader may take for one of a protected method.
fn spellings() -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for base in ["/v1/search", "/lockgate.test.v1.Echo/Metadata"] {
        for (at, character) in base.char_indices().skip(1) {
            let (before, after) = (&base[..at], &base[at + character.len_utf8()..]);
            let code = u32::from(character);
            let encoded = [
                format!("%{code:02X}"),
                format!("%{code:02x}"),
                format!("%25{code:02x}"),
                format!("%c1%{:02x}", code | 0x80),
                format!("%u00{code:02x}"),
                character.to_uppercase().to_string(),
            ];
            paths.extend(encoded.map(|spelt| format!("{before}{spelt}{after}")));
        }
        for insert in
            ["/", "//", "/.", "/..", "/%2e", "/%2e%2e", "/x/..", "/;x", "/%2f", "/%5c", "/%00", "/%0d%0a", "/ ", "/%20"]
        {
            let insert = insert.trim_end();
            paths.extend([format!("{insert}{base}"), format!("{base}{insert}")]);
            paths.insert(base.replacen('/', &format!("{insert}/"), 2));
        }
        for end in [
            "?", "?a=b", "?%", ";", ";a=b", ":", ":get", "%3f", "%23", "%26", ".json", "*", "%", "%2", "%zz", "?.ping",
            "&x",
        ] {
            paths.insert(format!("{base}{end}"));
        }
        paths.extend([base.to_owned(), base.to_uppercase(), base.replace('/', "%2F"), base.replace('/', "/%2f")]);
        paths.insert(format!("http://gateway.test{base}"));
        paths.insert(format!("/v1/ping/..{base}"));
    }
    paths
}

#[test]
fn no_spelling_of_a_path_reaches_a_method_without_a_token() {
    let more = "defaults: { auth: [users] }\nservices: { lockgate.test.v1.Echo: { Ping: { auth: none } } }\n";
    let (gateway, _) = with_users(more);
    let spellings = spellings();
    assert!(spellings.len() >= 200, "{}", spellings.len());
    let probe = Probe::new();
    let overrides = ["x-http-method-override: GET", "x-original-url: /v1/ping", "x-rewrite-url: /v1/ping"];
    for (number, path) in spellings.iter().enumerate() {
        for verb in ["GET", "HEAD", "POST"] {
            let line = format!("{verb} {path}");
            let request = Request::new(&line).header(probe.header()).header(overrides[number % 3]);
            let status = gateway.call(&request).status();
            assert!((400..500).contains(&status), "{line}: {status}");
        }
    }
    block_on(async {
        let mut client = Client::connect(gateway.address).await;
        for path in spellings.iter().filter(|path| path.starts_with('/') && path.parse::<http::Uri>().is_ok()) {
            for verb in ["GET", "HEAD", "POST"] {
                let mut exchange = client.open(verb, path, &[("x-probe", probe.id())]).await;
                exchange.body.send_data(Default::default(), true).expect("the stream is open");
                let status = exchange.head().await.expect("it is answered").head.status();
                assert!(status.is_client_error(), "{verb} {path}: {status}");
            }
        }
    });
    assert_eq!(probe.calls(), 0, "the upstream was called");
}

#[test]
fn a_preflight_is_answered_by_the_methods_rule_alone() {
    let gateway = guarded(
        &[],
        "
defaults: { cors: { origins: ['https://own.test'], credentials: true } }
services:
  lockgate.test.v1.Echo:
    Ping: { cors: { origins: ['*'] } }
    Search: { cors: { origins: ['https://other.test'] } }
",
    );
    let ask = |path: &str, origin: &str| {
        let line = format!("OPTIONS {path}");
        let request = Request::new(&line).header(format!("origin: {origin}"));
        gateway.call(&request.header("access-control-request-method: GET")).expect(204)
    };
    let any = ask("/v1/ping", "https://own.test");
    assert_eq!(any.head.get("access-control-allow-origin"), Some("*"));
    assert_eq!(any.head.get("access-control-allow-credentials"), None);
    let excluded = ask("/v1/search", "https://own.test");
    assert_eq!(excluded.head.get("access-control-allow-origin"), None);
    assert_eq!(excluded.head.get("access-control-allow-methods"), None);
}

#[test]
fn a_caller_of_no_tier_has_the_smallest() {
    let gateway = guarded(
        &[],
        "
rate_limits:
  tiered:
    key: \"='all'\"
    tier: =http.headers['x-tier']
    tiers: { small: { quota: 2/d }, large: { rate: 100/s } }
defaults: { limits: [tiered] }
",
    );
    let ask = |tier: &str| gateway.call(&Request::new("GET /v1/ping").header(format!("x-tier: {tier}"))).head.status;
    assert_eq!([(); 3].map(|()| ask("large")), [200; 3]);
    assert_eq!([(); 3].map(|()| ask("none-of-these")), [200, 200, 429]);
    assert_eq!(ask("small"), 429, "it is one budget");
    assert_eq!(ask("large"), 200);
}

#[test]
fn no_spelling_of_a_forwarded_name_passes() {
    let gateway = guarded(
        &[],
        "
listeners: { http: { address: 127.0.0.1:0, underscore_headers: allow } }
auth: { forward: { x_user: lockgate, x-tenant: lockgate } }
",
    );
    let probe = Probe::new();
    let request =
        Request::new("GET /v1/ping").header(probe.header()).header("x-user: forged").header("X_Tenant: forged");
    gateway.call(&request.header("x_user: forged").header("connection: x-tenant")).expect(200);
    assert!(probe.metadata_of("x-user").is_empty());
    assert!(probe.metadata_of("x_tenant").is_empty());
    assert_eq!(probe.metadata_of("x_user"), ["lockgate"]);
    assert_eq!(probe.metadata_of("x-tenant"), ["lockgate"]);
}

#[test]
fn a_deadline_holds_while_a_credential_is_verified() {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/introspect", silent.local_addr().unwrap());
    let gateway = guarded(
        &[],
        &format!(
            "
auth: {{ providers: {{ asked: {{ introspection: {{ endpoint: '{endpoint}', client_id: a, client_secret: b }} }} }} }}
defaults: {{ auth: [asked], timeout: 200ms }}
"
        ),
    );
    let begun = Instant::now();
    let late = gateway.call(&bearer("GET /v1/ping", "opaque")).expect(504);
    assert_eq!(late.json()["code"], 4);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    gateway.call(&bearer("GET /v1/ping", "opaque").header("grpc-timeout: x")).expect(400);
}

#[test]
fn credentials_end_here_unless_a_level_passes_them_on() {
    let signer = Signer::new("one");
    let gateway = guarded(
        &[("keys.json", &signer.set())],
        "
auth:
  providers:
    page: { jwt: { issuer: 'https://issuer.test', audience: [api], jwks: keys.json, cookie: session } }
    users: { jwt: { issuer: 'https://issuer.test', audience: [api], jwks: keys.json } }
defaults: { auth: [page] }
services:
  lockgate.test.v1.Echo:
    Search: { forward_token: true }
    Metadata: { auth: { any: [users], inherit: false } }
    Unary: { auth: [users] }
",
    );
    let token = signer.token("mira", &json!({}));
    let probe = Probe::new();
    let cookie = format!("cookie: a=1; session={token}; b=2");
    gateway.call(&Request::new("GET /v1/ping").header(probe.header()).header(&cookie)).expect(200);
    assert_eq!(probe.metadata_of("cookie"), ["a=1; b=2"]);
    let probe = Probe::new();
    gateway.call(&Request::new("GET /v1/search").header(probe.header()).header(&cookie)).expect(200);
    assert!(probe.metadata_of("cookie")[0].contains(&token));
    gateway.call(&bearer("GET /v1/metadata", &token)).expect(200);
    gateway.call(&bearer("GET /v1/ping", &token)).expect(401);
    // Two lists: both must be satisfied.
    gateway.call(&bearer("GET /v1/echo/a", &token)).expect(401);
    gateway.call(&Request::new("GET /v1/echo/a").header(&cookie)).expect(401);
    gateway.call(&bearer("GET /v1/echo/a", &token).header(&cookie)).expect(200);
}

#[test]
fn a_broken_file_of_keys_is_told_and_the_old_keys_stay() {
    let (key, hash) = api_key();
    let good = format!("keys: [{{ id: acme-1, hash: \"{hash}\" }}]\n");
    let gateway = guarded(
        &[("keys.yaml", &good)],
        "
auth: { providers: { machines: { api_key: { keys: keys.yaml } } } }
defaults: { auth: [machines] }
",
    );
    let ask =
        |gateway: &Gateway| gateway.call(&Request::new("GET /v1/ping").header(format!("x-api-key: {key}"))).head.status;
    assert_eq!(ask(&gateway), 200);
    let folder = gateway.folder.as_ref().unwrap();
    folder.write("keys.yaml", "keys: [{ id: acme-1, hash: nothing }]\n");
    gateway.within(PATIENCE, "the broken file is told", |gateway| {
        gateway.ask("/readyz").text().contains("provider \\\"machines\\\"")
    });
    gateway.ask("/readyz").expect(200);
    assert!(gateway.metric("lockgate_provider_failures", &["machines"]) > 0.0);
    assert_eq!(ask(&gateway), 200);
    folder.write("keys.yaml", "keys: []\n");
    gateway.within(PATIENCE, "the key is withdrawn", |gateway| ask(gateway) == 401);
    assert!(!gateway.ask("/readyz").text().contains("machines"));
}
