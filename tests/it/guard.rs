//! Who may call, how often: credentials by real keys, rules over claims and messages, and limits, as a client meets
//! them and as the upstream does.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::support::echo;
use crate::support::folder::Folder;
use crate::support::gateway::{Gateway, configuration, lockgate};
use crate::support::http1::{Connection, Request, Response};
use crate::support::probe::Probe;
use crate::support::process::run;
use crate::support::tls::Authority;

const ISSUER: &str = "https://issuer.test";

/// An issuer's key.
pub(crate) struct Signer {
    id: &'static str,
    key: KeyPair,
}

impl Signer {
    pub(crate) fn new(id: &'static str) -> Self {
        Self { id, key: KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key can be made") }
    }

    /// The set of its public key.
    pub(crate) fn set(&self) -> String {
        let point = self.key.public_key_raw();
        let [x, y] = [&point[1..33], &point[33..65]].map(|part| URL_SAFE_NO_PAD.encode(part));
        let key = json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "alg": "ES256", "use": "sig", "x": x, "y": y });
        json!({ "keys": [key] }).to_string()
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.into()), ..Header::new(Algorithm::ES256) };
        let key = EncodingKey::from_ec_pem(self.key.serialize_pem().as_bytes()).expect("it is a key");
        jsonwebtoken::encode(&header, claims, &key).expect("it can be signed")
    }

    /// A good token of this caller, with more claims.
    pub(crate) fn token(&self, subject: &str, more: &Value) -> String {
        let mut claims = json!({ "iss": ISSUER, "aud": "api", "sub": subject, "exp": now() + 600 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.sign(&claims)
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A gateway with these files beside its configuration.
#[track_caller]
pub(crate) fn guarded(files: &[(&str, &str)], more: &str) -> Gateway {
    let folder = Folder::new();
    for (name, content) in files {
        folder.write(name, content);
    }
    let file = folder.write("lockgate.yaml", configuration(echo::address(), more));
    let mut gateway = Gateway::start(lockgate().arg("serve").arg("-c").arg(file));
    gateway.folder = Some(folder);
    gateway
}

const USERS: &str = "
auth:
  providers: { users: { jwt: { issuer: 'https://issuer.test', audience: [api], jwks: keys.json } } }
  forward: { x-user: =auth.subject, x-tenant: =auth.claims.tenant, x-gateway: lockgate }
defaults: { auth: [users] }
services:
  lockgate.test.v1.Echo:
    Ping: { auth: none }
    Search: { require: \"='admin' in auth.roles\" }
    Unary: { require: \"=request.string_value == auth.claims.tenant\" }
    ClientStream: { require: \"=request.int32_value < 10\" }
    Nested: { scopes: [read, write] }
    Plain: { auth: optional }
";

pub(crate) fn bearer<'a>(line: &'a str, token: &str) -> Request<'a> {
    Request::new(line).header(format!("authorization: Bearer {token}"))
}

#[track_caller]
pub(crate) fn refused(response: Response, status: u16, code: u32) -> Response {
    let response = response.expect(status);
    assert_eq!(response.json()["code"], code);
    if status == 401 {
        assert_eq!(response.head.get("www-authenticate"), Some("Bearer realm=\"lockgate\""));
    }
    response
}

#[test]
fn a_token_is_asked_for_verified_and_told_to_the_upstream() {
    let signer = Signer::new("one");
    let gateway = guarded(&[("keys.json", &signer.set())], USERS);
    refused(gateway.get("/v1/metadata"), 401, 16);
    gateway.get("/v1/ping").expect(200);

    let probe = Probe::new();
    let token = signer.token("mira", &json!({ "tenant": "acme", "roles": ["admin"] }));
    let request = bearer("GET /v1/search", &token)
        .header(probe.header())
        .header("x-user: forged")
        .header("X-Tenant: forged")
        .header("x_user: forged");
    gateway.call(&request).expect(200);
    assert_eq!(probe.metadata_of("x-user"), ["mira"]);
    assert_eq!(probe.metadata_of("x-tenant"), ["acme"]);
    assert_eq!(probe.metadata_of("x-gateway"), ["lockgate"]);
    assert!(probe.metadata_of("x_user").is_empty());
    assert!(probe.metadata_of("authorization").is_empty(), "a verified token ends at the gateway");
}

#[test]
fn names_that_only_the_gateway_may_set_never_come_from_a_client() {
    let signer = Signer::new("one");
    let gateway = guarded(&[("keys.json", &signer.set())], USERS);
    let probe = Probe::new();
    // The method is open: nobody is verified, and still nobody can claim to be.
    let request = Request::new("GET /v1/ping").header(probe.header()).header("x-user: forged").header("x_user: forged");
    gateway.call(&request).expect(200);
    assert!(probe.metadata_of("x-user").is_empty());
    assert!(probe.metadata_of("x_user").is_empty());
}

#[test]
fn a_bad_token_is_refused_in_one_shape() {
    let signer = Signer::new("one");
    let other = Signer::new("one");
    let gateway = guarded(&[("keys.json", &signer.set())], USERS);
    let good = json!({ "roles": ["admin"] });
    let with = |claims: Value| signer.token("mira", &claims);
    let mut bodies = std::collections::BTreeSet::new();
    let tokens = [
        other.token("mira", &good),
        with(json!({ "exp": now() - 60 })),
        with(json!({ "aud": "other" })),
        with(json!({ "iss": "https://issuer.test/" })),
        with(json!({ "nbf": now() + 120 })),
        signer.sign(&json!({ "iss": ISSUER, "sub": "mira", "exp": now() + 60 })),
        "garbage".to_owned(),
        format!("{}.", with(good.clone())),
    ];
    for token in tokens {
        let probe = Probe::new();
        let response = gateway.call(&bearer("GET /v1/search", &token).header(probe.header()));
        bodies.insert(refused(response, 401, 16).text().to_owned());
        assert_eq!(probe.calls(), 0, "the upstream is never asked");
    }
    assert_eq!(bodies.len(), 1, "no hint which part was wrong: {bodies:?}");
    for reason in ["bad_signature", "expired", "wrong_audience", "wrong_issuer", "not_yet_valid", "missing_claim"] {
        assert!(
            gateway.metric("lockgate_refused_requests_total", &[&format!("reason=\"{reason}\"")]) >= 1.0,
            "{reason}"
        );
    }
    let twice = bearer("GET /v1/search", &with(good.clone())).header(format!("authorization: Bearer {}", with(good)));
    refused(gateway.call(&twice), 401, 16);
}

#[test]
fn what_is_required_decides_over_claims_scopes_and_the_message() {
    let signer = Signer::new("one");
    let gateway = guarded(&[("keys.json", &signer.set())], USERS);
    let reader = signer.token("rosa", &json!({ "tenant": "acme", "roles": "reader other", "scope": "read" }));
    let writer = signer.token("mira", &json!({ "roles": ["reader"], "scp": ["write", "read"] }));
    refused(gateway.call(&bearer("GET /v1/search", &reader)), 403, 7);
    refused(gateway.call(&bearer("GET /v1/nested/a", &reader)), 403, 7);
    gateway.call(&bearer("GET /v1/nested/a", &writer)).expect(200);
    gateway.call(&bearer("GET /v1/echo/acme", &reader)).expect(200);
    let probe = Probe::new();
    refused(gateway.call(&bearer("GET /v1/echo/other", &reader).header(probe.header())), 403, 7);
    // A claim that is not there fails the expression, and a failure denies.
    refused(gateway.call(&bearer("GET /v1/echo/acme", &writer).header(probe.header())), 403, 7);
    let body = bearer("POST /v1/echo", &reader).header(probe.header()).json(r#"{"stringValue":"other"}"#);
    refused(gateway.call(&body), 403, 7);
    assert_eq!(probe.calls(), 0);
}

#[test]
fn every_message_of_a_stream_is_asked_about() {
    let signer = Signer::new("one");
    let gateway = guarded(&[("keys.json", &signer.set())], USERS);
    let token = signer.token("mira", &json!({}));
    let send = |body: &str| gateway.call(&bearer("POST /v1/collect", &token).json(body));
    send(r#"[{"int32Value":1},{"int32Value":9}]"#).expect(200);
    refused(send(r#"[{"int32Value":1},{"int32Value":10}]"#), 403, 7);
    refused(send(r#"[{"int32Value":11}]"#), 403, 7);
}

#[test]
fn an_optional_credential_may_be_missing_but_not_bad() {
    let signer = Signer::new("one");
    let gateway = guarded(&[("keys.json", &signer.set())], USERS);
    let post = || Request::new("POST /lockgate.test.v1.Echo/Plain").json("{}");
    let probe = Probe::new();
    gateway.call(&post().header(probe.header())).expect(200);
    assert!(probe.metadata_of("x-user").is_empty());
    let token = signer.token("mira", &json!({}));
    gateway.call(&post().header(format!("authorization: Bearer {token}"))).expect(200);
    refused(gateway.call(&post().header("authorization: Bearer x.y.z")), 401, 16);
}

/// A key as the command makes it, and its hash.
#[track_caller]
pub(crate) fn api_key() -> (String, String) {
    let made = run(lockgate().args(["keys", "new", "--id", "acme-1"]));
    let key = made.stdout.split_whitespace().find(|word| word.starts_with("lk_")).expect("a key is printed").to_owned();
    let hash = made.stdout.split_whitespace().find(|word| word.contains("sha256:")).expect("its hash is printed");
    (key, hash.trim_matches(|c: char| "\"',}]".contains(c)).to_owned())
}

#[test]
fn an_api_key_is_made_hashed_and_known() {
    let (key, hash) = api_key();
    let file = format!("keys: [{{ id: acme-1, hash: \"{hash}\", plan: free, roles: [reader] }}]\n");
    let gateway = guarded(
        &[("keys.yaml", &file)],
        "
auth:
  providers: { keys: { api_key: { keys: keys.yaml } } }
  forward: { x-caller: =auth.id, x-plan: =auth.plan }
defaults: { auth: [keys], roles: [reader, admin] }
",
    );
    let probe = Probe::new();
    gateway.call(&Request::new("GET /v1/ping").header(probe.header()).header(format!("x-api-key: {key}"))).expect(200);
    assert_eq!(probe.metadata_of("x-caller"), ["keys:acme-1"]);
    assert_eq!(probe.metadata_of("x-plan"), ["free"]);
    assert!(probe.metadata_of("x-api-key").is_empty());
    let missing = gateway.get("/v1/ping").expect(401);
    assert_eq!(missing.head.get("www-authenticate"), Some("ApiKey realm=\"lockgate\""));
    gateway.call(&Request::new("GET /v1/ping").header(format!("x-api-key: {key}x"))).expect(401);
    let log = gateway.process.end();
    assert!(!log.contains(&key), "a key is in the log");
}

const LIMITED: &str = "
rate_limits:
  headers: both
  per_ip: { key: =client.ip, rate: 5/h }
  shadow: { key: =client.ip, rate: 1/h, shadow: true }
  by_value: { key: =request.string_value, rate: 2/h }
  dear: { key: \"='all'\", rate: 10/h }
services:
  lockgate.test.v1.Echo:
    Ping: { limits: [per_ip, shadow] }
    Unary: { limits: [by_value] }
    Search: { limits: [dear], cost: 4 }
";

#[test]
fn a_limit_lets_exactly_as_many_pass_and_says_so() {
    let gateway = guarded(&[], LIMITED);
    let probe = Probe::new();
    for left in (0..5).rev() {
        let response = gateway.call(&Request::new("GET /v1/ping").header(probe.header())).expect(200);
        assert_eq!(response.head.get("x-ratelimit-remaining"), Some(left.to_string().as_str()));
        assert_eq!(response.head.get("ratelimit-policy"), Some("\"per_ip\";q=5;w=3600"));
    }
    let over = gateway.call(&Request::new("GET /v1/ping").header(probe.header())).expect(429);
    assert_eq!(probe.calls(), 5);
    assert_eq!(over.json()["code"], 8);
    assert!(over.text().contains("google.rpc.RetryInfo"), "{}", over.text());
    let wait: u64 = over.head.get("retry-after").expect("it says when").parse().unwrap();
    assert!((1..=720).contains(&wait), "{wait}");
}

#[test]
fn a_cost_is_taken_whole() {
    let gateway = guarded(&[], LIMITED);
    gateway.get("/v1/search").expect(200);
    gateway.get("/v1/search").expect(200);
    gateway.get("/v1/search").expect(429);
}

#[test]
fn a_limit_can_count_by_what_the_message_says() {
    let gateway = guarded(&[], LIMITED);
    for value in ["a", "b", "a", "b"] {
        let passed = gateway.get(&format!("/v1/echo/{value}")).expect(200);
        assert_eq!(passed.head.get("ratelimit-policy"), Some("\"by_value\";q=2;w=3600"));
    }
    gateway.get("/v1/echo/a").expect(429);
    gateway.get("/v1/echo/c").expect(200);
}

#[test]
fn mistakes_of_a_policy_are_found_when_loading() {
    let folder = Folder::new();
    let check = |more: &str| {
        let file = folder.write("lockgate.yaml", configuration(echo::address(), more));
        let checked = run(lockgate().arg("check").arg("-c").arg(file));
        assert_ne!(checked.code, Some(0), "{more}");
        checked.stderr + &checked.stdout
    };
    let said = check("services: { lockgate.test.v1.Echo: { Search: { require: '=request.strin_value == 1' } } }");
    assert!(said.contains("strin_value") && said.contains("string_value") && said.contains("^^^"), "{said}");
    assert!(said.contains("lockgate.yaml:"), "{said}");
    let said = check("defaults: { auth: [nobody] }");
    assert!(said.contains("there is no provider `nobody`"), "{said}");
    let said = check("defaults: { limits: [none] }");
    assert!(said.contains("there is no limit `none`"), "{said}");
    let said = check("rate_limits: { a: { key: =client.ip, rate: 5/s } }\ndefaults: { limits: [a], cost: 6 }");
    assert!(said.contains('6') && said.contains('5'), "{said}");
}

/// A redis-server of this test, gone when it ends; `None`, loudly, where it is not installed.
struct Redis {
    server: std::process::Child,
    socket: std::path::PathBuf,
}

impl Redis {
    fn start(folder: &Folder) -> Option<Self> {
        let socket = folder.join("redis.sock");
        let mut command = std::process::Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let Ok(server) = command.current_dir(folder.path()).spawn() else {
            eprintln!("NOT TESTED: redis-server is not installed");
            return None;
        };
        let redis = Self { server, socket };
        let until = std::time::Instant::now() + crate::support::PATIENCE;
        while std::os::unix::net::UnixStream::connect(&redis.socket).is_err() {
            assert!(std::time::Instant::now() < until, "redis-server does not come up");
            std::thread::yield_now();
        }
        Some(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn two_instances_share_a_limit_and_go_on_without_their_store() {
    let folder = Folder::new();
    let Some(redis) = Redis::start(&folder) else { return };
    let shared = format!(
        "
rate_limits:
  store: {{ url: \"redis+unix://{}\", on_error: local, timeout: 2s }}
  all: {{ key: \"='all'\", rate: 10/h, scope: shared }}
services: {{ lockgate.test.v1.Echo: {{ Ping: {{ limits: [all] }} }} }}
",
        redis.socket.display()
    );
    let instances = [guarded(&[], &shared), guarded(&[], &shared)];
    let passed = (0..30).filter(|turn| instances[turn % 2].get("/v1/ping").status() == 200).count();
    assert_eq!(passed, 10, "both together let through what the limit says");
    drop(redis);
    let answers: Vec<_> = (0..12).map(|_| instances[0].get("/v1/ping").status()).collect();
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 10, "a bucket of its own: {answers:?}");
}

#[test]
fn an_issuer_is_discovered_and_its_keys_are_followed() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::start(old.set());
    let url = issuer.url.clone();
    let gateway = guarded(
        &[],
        &format!(
            "
auth:
  providers: {{ users: {{ jwt: {{ issuer: \"{url}\", audience: [api] }} }} }}
defaults: {{ auth: [users] }}
"
        ),
    );
    let sign = |signer: &Signer| {
        signer.sign(&json!({ "iss": url, "aud": ["other", "api"], "sub": "mira", "exp": now() + 600 }))
    };
    gateway.call(&bearer("GET /v1/ping", &sign(&old))).expect(200);
    // The first token of a key that is not known yet makes the gateway look, and waits.
    *issuer.keys.lock().unwrap() = new.set();
    gateway.call(&bearer("GET /v1/ping", &sign(&new))).expect(200);
    gateway.call(&bearer("GET /v1/ping", &sign(&old))).expect(401);
    let fetched = issuer.fetched.load(std::sync::atomic::Ordering::SeqCst);
    for _ in 0..20 {
        gateway.call(&bearer("GET /v1/ping", &sign(&Signer::new("unknown")))).expect(401);
    }
    let again = issuer.fetched.load(std::sync::atomic::Ordering::SeqCst) - fetched;
    assert!(again <= 1, "unknown keys made it fetch {again} times");
}

/// An issuer on loopback: a discovery document and a key set.
struct Issuer {
    url: String,
    keys: std::sync::Arc<std::sync::Mutex<String>>,
    fetched: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Issuer {
    fn start(set: String) -> Self {
        use std::io::{BufRead, BufReader, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}", listener.local_addr().unwrap());
        let issuer =
            Self { url: url.clone(), keys: std::sync::Arc::new(set.into()), fetched: std::sync::Arc::default() };
        let (keys, fetched) = (issuer.keys.clone(), issuer.fetched.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut lines = BufReader::new(stream.try_clone().expect("it can be cloned")).lines();
                let Some(Ok(first)) = lines.next() else { continue };
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let body = if first.contains("/.well-known/openid-configuration") {
                    json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }).to_string()
                } else {
                    fetched.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    keys.lock().unwrap().clone()
                };
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
                // A client that has left is none that waits.
                let _ = write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len());
            }
        });
        issuer
    }
}

#[test]
fn a_client_certificate_says_who_calls() {
    let (authority, folder) = (Authority::new(), Folder::new());
    authority.issue(&["api.test"]).write(&folder, "api");
    folder.write("ca.crt", &authority.pem);
    let text = "
listeners:
  public:
    address: 127.0.0.1:0
    tls: { certificates: [{ cert: api.crt, key: api.key }], client_certificates: { ca: ca.crt, mode: optional } }
auth:
  providers: { partners: { mtls: { subjects: [\"*.partners.test\"] } } }
  forward: { x-caller: =auth.id }
defaults: { auth: [partners] }
";
    let file = folder.write("lockgate.yaml", configuration(echo::address(), text));
    let gateway = Gateway::start(lockgate().arg("serve").arg("-c").arg(file));
    let ping = |client: &crate::support::tls::Client, probe: &Probe| {
        let stream = client.connect(gateway.address, "api.test").expect("the handshake succeeds");
        Connection::over(stream).call(&Request::new("GET /v1/ping").header(probe.header())).status()
    };
    let probe = Probe::new();
    let partner = authority.issue(&["acme.partners.test"]);
    assert_eq!(ping(&authority.client().showing(&partner), &probe), 200);
    assert_eq!(probe.metadata_of("x-caller"), ["partners:acme.partners.test"]);
    let stranger = authority.issue(&["acme.strangers.test"]);
    assert_eq!(ping(&authority.client().showing(&stranger), &probe), 401);
    assert_eq!(ping(&authority.client(), &probe), 401);
    assert_eq!(probe.calls(), 1);
}

#[test]
fn the_log_says_who_called_and_never_how() {
    let signer = Signer::new("one");
    let gateway = guarded(&[("keys.json", &signer.set())], USERS);
    let token = signer.token("mira", &json!({ "roles": ["admin"] }));
    let cookie = "cookie: session=cookie-secret-1";
    gateway.call(&bearer("GET /v1/search?api_key=query-secret-1", &token).header(cookie));
    gateway.call(&bearer("GET /v1/search", &token).header("x-request-id: the-good-one").header(cookie)).expect(200);
    let line = gateway.process.stdout.find(0, crate::support::PATIENCE, |line| line.contains("the-good-one"));
    let line: Value = serde_json::from_str(&line.expect("it is logged")).unwrap();
    assert_eq!([&line["provider"], &line["subject"]], ["users", "mira"]);
    let log = gateway.process.end();
    let signature = token.rsplit('.').next().unwrap();
    for secret in [&token, signature, "cookie-secret-1", "query-secret-1"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn scopes_and_roles_that_nobody_could_have_are_a_mistake() {
    let folder = Folder::new();
    for rule in ["scopes: [read]", "roles: [admin]"] {
        let more = format!("defaults: {{ {rule} }}\n");
        let file = folder.write("lockgate.yaml", configuration(echo::address(), &more));
        let checked = run(lockgate().arg("check").arg("-c").arg(file));
        assert_eq!(checked.code, Some(1));
        assert!((checked.stdout + &checked.stderr).contains("no `auth` says whose"));
    }
}

#[test]
fn a_system_without_authorities_is_told_of_only_where_https_is_fetched() {
    let folder = Folder::new();
    let signer = Signer::new("one");
    folder.write("keys.json", signer.set());
    let none = folder.write("none.pem", "");
    let start = |providers: &str| {
        let text = format!("auth: {{ providers: {{ {providers} }} }}\ndefaults: {{ auth: [users] }}");
        let file = folder.write("lockgate.yaml", configuration(echo::address(), &text));
        let mut command = lockgate();
        // Both are there, and neither has an authority in it.
        command.env("SSL_CERT_FILE", &none).env("SSL_CERT_DIR", folder.join("empty"));
        std::fs::create_dir_all(folder.join("empty")).expect("a folder can be made");
        Gateway::start(command.arg("serve").arg("-c").arg(file))
    };
    let token = signer.token("mira", &json!({}));
    let by_file = start("users: { jwt: { issuer: 'https://issuer.test', audience: [api], jwks: keys.json } }");
    by_file.call(&bearer("GET /v1/ping", &token)).expect(200);
    let issuer = Issuer::start(signer.set());
    let keys = format!("{}/keys", issuer.url);
    let by_loopback =
        start(&format!("users: {{ jwt: {{ issuer: 'https://issuer.test', audience: [api], jwks: '{keys}' }} }}"));
    by_loopback.call(&bearer("GET /v1/ping", &token)).expect(200);
    let by_https =
        start("users: { jwt: { issuer: 'https://issuer.test', audience: [api], jwks: 'https://127.0.0.1:9/keys' } }");
    by_https.call(&bearer("GET /v1/ping", &token)).expect(503);
    let told = |line: &str| line.contains("certificate authorities can't be read") && line.contains("SSL_CERT_FILE");
    let patience = crate::support::PATIENCE;
    assert!(by_https.process.stderr.find(0, patience, told).is_some(), "{}", by_https.process.output());
}
