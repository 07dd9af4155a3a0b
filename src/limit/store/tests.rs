//! Shared limits in a real redis-server: atomic from two instances, exact, bounded, and what holds while it is away.
//! Without redis-server on the path these tests say so and pass.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::limit::decision::{Decision, Outcome};
use crate::limit::headers::Style;
use crate::limit::moment::Moment;
use crate::limit::rule::{Config, OnError, Scope};
use crate::limit::store::{Kind, RedisConfig, Store, StoreConfig, StoreError};
use crate::limit::tests::{ask, limit};
use crate::limit::{Ask, Limits};
use crate::status::Code;
use crate::telemetry::metrics::Metrics;

/// Tests on two slow cores: long enough that only a server that is really away is taken for one.
const PATIENT: Duration = Duration::from_secs(5);
const READY: Duration = Duration::from_secs(10);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A folder of one test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("lockgate-limit-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server of our own in a folder of its own, reached by a socket in it.
struct Server {
    child: Child,
    folder: Folder,
}

impl Server {
    /// `None`, and said so, if it is not installed.
    fn start() -> Option<Self> {
        Self::start_with(Folder::new(), &["--port", "0"])
    }

    fn start_with(folder: Folder, arguments: &[&str]) -> Option<Self> {
        let child = Self::spawn(&folder.0, arguments)?;
        Some(Self { child, folder })
    }

    fn spawn(folder: &Path, arguments: &[&str]) -> Option<Child> {
        let socket = folder.join("socket");
        let mut command = Command::new("redis-server");
        command.args(["--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket).args(arguments);
        let spawned = command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(child) = spawned else {
            eprintln!("SKIPPED: redis-server is not installed, limits that are shared are NOT TESTED");
            return None;
        };
        Some(child)
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = Self::spawn(&self.folder.0, &["--port", "0"]).unwrap();
    }

    /// Stops it in its tracks or lets it go on: connections stay open, and nothing answers.
    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.0.join("socket").display())
    }

    fn config(&self, timeout: Duration) -> StoreConfig {
        StoreConfig { timeout, ..at(self.url()) }
    }

    async fn connection(&self) -> redis::aio::MultiplexedConnection {
        connected(&redis::Client::open(self.url()).unwrap()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The store at this URL.
fn at(url: impl Into<String>) -> StoreConfig {
    StoreConfig::new(Kind::Redis(RedisConfig::new(url.into())))
}

fn open(config: &StoreConfig) -> Result<Arc<Store>, StoreError> {
    Store::open(config, &[], 0, None)
}

fn build(configs: &[Config], store: &StoreConfig) -> Limits {
    Limits::build(configs, Some(open(store).unwrap()), &Metrics::new(), None).unwrap()
}

/// A connection to a server that may just be starting.
async fn connected(client: &redis::Client) -> redis::aio::MultiplexedConnection {
    let begun = Instant::now();
    loop {
        match client.get_multiplexed_async_connection().await {
            Ok(connection) => return connection,
            Err(error) => assert!(begun.elapsed() < READY, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn shared(name: &str, rate: &str, quota: &str) -> Config {
    Config { scope: Scope::Shared, ..limit(name, rate, quota) }
}

async fn instance(configs: &[Config], store: &StoreConfig) -> Limits {
    let limits = build(configs, store);
    assert!(limits.store().unwrap().ready(READY).await, "the store is there");
    limits
}

async fn check(limits: &Limits, asks: &[(&str, &str, u32)]) -> Decision {
    let asks: Vec<Ask<'_>> =
        asks.iter().map(|(name, key, cost)| ask(limits.find(name, None).unwrap(), key, *cost)).collect();
    limits.check(0, &asks, Moment::now()).await
}

async fn count(limits: &Limits, name: &str) -> u32 {
    let mut passed = 0;
    while check(limits, &[(name, "k", 1)]).await.outcome == Outcome::Allowed {
        passed += 1;
        assert!(passed < 10_000, "it ends");
    }
    passed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_never_pass_more_than_the_limit() {
    let Some(server) = Server::start() else { return };
    let configs = [shared("rate", "100/h", ""), shared("quota", "", "70/mo"), shared("both", "500/h", "90/mo")];
    let mut instances = Vec::new();
    for _ in 0..2 {
        instances.push(Arc::new(instance(&configs, &server.config(PATIENT)).await));
    }
    for (name, expected) in [("rate", 100), ("quota", 70), ("both", 90)] {
        let tasks = instances.iter().flat_map(|limits| {
            (0..8).map(|_| {
                let limits = Arc::clone(limits);
                tokio::spawn(async move {
                    let mut passed = 0;
                    for _ in 0..20 {
                        let decision = check(&limits, &[(name, "k", 1)]).await;
                        passed += u32::from(decision.outcome == Outcome::Allowed);
                    }
                    passed
                })
            })
        });
        let mut passed = 0;
        for task in tasks.collect::<Vec<_>>() {
            passed += task.await.unwrap();
        }
        assert_eq!(passed, expected, "{name}");
    }
}

#[tokio::test]
async fn exactly_the_burst_passes_and_is_refilled_by_the_servers_clock() {
    let Some(server) = Server::start() else { return };
    let limits = instance(&[shared("l", "5/s burst 3", "")], &server.config(PATIENT)).await;
    let begun = Instant::now();
    let passed = count(&limits, "l").await;
    let refilled = u32::try_from(begun.elapsed().as_millis() / 200).unwrap();
    assert!((3..=3 + refilled).contains(&passed), "{passed}");
    let decision = check(&limits, &[("l", "k", 3)]).await;
    let wait = decision.retry_after.unwrap();
    assert!(wait <= Duration::from_millis(600) && wait > Duration::from_millis(200), "{wait:?}");
    tokio::time::sleep(wait).await;
    assert_eq!(check(&limits, &[("l", "k", 3)]).await.outcome, Outcome::Allowed);
}

#[tokio::test]
async fn states_are_told_as_by_a_local_limit() {
    let Some(server) = Server::start() else { return };
    let limits = instance(&[shared("s", "7/h", "10/mo"), limit("l", "7/h", "10/mo")], &server.config(PATIENT)).await;
    for cost in [1, 3, 4, 3, 1] {
        let local = check(&limits, &[("l", "k", cost)]).await;
        let shared = check(&limits, &[("s", "k", cost)]).await;
        assert_eq!(shared.outcome, local.outcome);
        for (one, other) in local.states.iter().zip(&shared.states) {
            assert_eq!((one.limit, one.remaining, one.window), (other.limit, other.remaining, other.window));
            assert_eq!(one.retry_after.is_some(), other.retry_after.is_some());
            assert!(one.reset.abs_diff(other.reset) < PATIENT, "{one:?} {other:?}");
        }
    }
}

#[tokio::test]
async fn one_refusal_takes_nothing_from_the_others() {
    let Some(server) = Server::start() else { return };
    let shadow = Config { shadow: true, ..shared("shadow", "3/h", "") };
    let configs = [shared("a", "100/h", ""), shared("b", "1/h", ""), limit("local", "100/h", ""), shadow];
    let limits = instance(&configs, &server.config(PATIENT)).await;
    let all = [("a", "k", 1), ("b", "k", 1), ("local", "k", 1), ("shadow", "k", 1)];
    assert_eq!(check(&limits, &all).await.outcome, Outcome::Allowed);
    for _ in 0..20 {
        let decision = check(&limits, &all).await;
        assert_eq!((decision.outcome, decision.refused_by.as_deref()), (Outcome::Refused, Some("b")));
    }
    assert_eq!(count(&limits, "a").await, 99);
    // Giving back late keeps what leaked meanwhile: at 100 an hour that is one in 36 seconds.
    assert!(count(&limits, "local").await >= 98);
    for _ in 0..5 {
        assert_eq!(check(&limits, &[("shadow", "k", 1)]).await.outcome, Outcome::Allowed);
    }
}

#[tokio::test]
async fn a_limit_asked_twice_in_one_request_counts_twice() {
    let Some(server) = Server::start() else { return };
    let limits = instance(&[shared("l", "3/h", "3/mo")], &server.config(PATIENT)).await;
    let twice = [("l", "k", 1), ("l", "k", 1)];
    let decision = check(&limits, &twice).await;
    assert_eq!((decision.outcome, decision.states.len(), decision.states[0].remaining), (Outcome::Allowed, 2, 1));
    assert_eq!(check(&limits, &twice).await.outcome, Outcome::Refused);
    assert_eq!(count(&limits, "l").await, 1);
}

#[tokio::test]
async fn keys_in_the_store_are_bounded_and_expire() {
    let Some(server) = Server::start() else { return };
    let limits = instance(&[shared("{l}", "10/s", ""), shared("q", "", "5/h")], &server.config(PATIENT)).await;
    let long = "x".repeat(100_000);
    check(&limits, &[("{l}", &long, 1), ("q", "\r\n}{", 1)]).await;
    let mut connection = server.connection().await;
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    keys.sort_unstable_by_key(String::len);
    assert!(keys[0].starts_with("lockgate:q:{") && keys[0].ends_with('}') && keys[0].len() == 45, "{keys:?}");
    assert!(keys[1].starts_with("lockgate:_l}:{") && keys[1].len() == 47, "{keys:?}");
    for (key, at_most) in [(&keys[0], 3_602_000), (&keys[1], 3_000)] {
        let left: i64 = redis::cmd("PTTL").arg(key).query_async(&mut connection).await.unwrap();
        assert!(left > 0 && left <= at_most, "{key}: {left}");
    }
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_sent_again() {
    let Some(server) = Server::start() else { return };
    let limits = instance(&[shared("l", "3/h", "")], &server.config(PATIENT)).await;
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut server.connection().await).await.unwrap();
    assert_eq!(count(&limits, "l").await, 3);
}

#[tokio::test]
async fn the_calendar_of_the_script_is_that_of_the_gateway() {
    let Some(server) = Server::start() else { return };
    let mut connection = server.connection().await;
    // The script on a clock that is given to it.
    let source = include_str!("counts.lua").replace("redis.call('TIME')", "{ARGV[8], '0'}");
    let script = redis::Script::new(&source);
    for window in ["h", "d", "mo"] {
        let quota: crate::limit::rule::Quota = format!("5/{window}").parse().unwrap();
        // Every 13 days and some for 80 years.
        for step in 0..2_200_u64 {
            let second = 1_700_000_000 + step * 1_128_401;
            let mut invocation = script.key("k");
            invocation.arg(1).arg(0).arg(1).arg(1).arg(0).arg(5).arg(window).arg(second);
            let numbers: Vec<u64> = invocation.invoke_async(&mut connection).await.unwrap();
            assert_eq!(numbers[6], (quota.span(second).end - second) * 1_000_000, "{window} {second}");
        }
    }
}

/// All three behaviours against the same outage.
async fn hold_while_away(limits: &Limits) {
    for name in ["allow", "deny", "local"] {
        let begun = Instant::now();
        let decision = check(limits, &[(name, "k", 1)]).await;
        assert!(begun.elapsed() < Duration::from_millis(50), "{name}: {:?}", begun.elapsed());
        match name {
            "deny" => {
                assert_eq!(decision.outcome, Outcome::Unavailable);
                let status = decision.status(Style::Both).unwrap();
                assert_eq!((status.code(), status.http().as_u16()), (Code::Unavailable, 503));
                assert_eq!(status.headers().get("retry-after").unwrap(), "1");
            }
            _ => assert_eq!(decision.outcome, Outcome::Allowed),
        }
    }
    let begun = Instant::now();
    for _ in 0..200 {
        assert_eq!(check(limits, &[("allow", "k", 1)]).await.outcome, Outcome::Allowed);
    }
    assert!(begun.elapsed() < Duration::from_millis(1_000), "nobody waits: {:?}", begun.elapsed());
    assert_eq!(count(limits, "local").await, 9, "no more than the limit, of which one was taken");
}

fn outage_limits() -> [Config; 3] {
    [
        Config { on_error: OnError::Allow, ..shared("allow", "10/h", "") },
        Config { on_error: OnError::Deny, ..shared("deny", "10/h", "") },
        Config { on_error: OnError::Local, ..shared("local", "10/h", "") },
    ]
}

async fn recovered(limits: &Limits) {
    let begun = Instant::now();
    while check(limits, &[("deny", "other", 1)]).await.outcome == Outcome::Unavailable {
        assert!(begun.elapsed() < READY, "it comes back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_that_is_killed_is_noticed_at_once_and_taken_back_without_a_restart() {
    let Some(mut server) = Server::start() else { return };
    let limits = instance(&outage_limits(), &server.config(Duration::from_millis(20))).await;
    recovered(&limits).await;
    server.kill();
    hold_while_away(&limits).await;
    server.restart();
    recovered(&limits).await;
    assert!(limits.store().unwrap().connected());
    assert!(limits.find("deny", None).unwrap().metrics.store_errors.get() > 0);
}

#[tokio::test]
async fn a_server_that_hangs_is_noticed_at_once_and_taken_back() {
    let Some(server) = Server::start() else { return };
    let limits = instance(&outage_limits(), &server.config(Duration::from_millis(20))).await;
    recovered(&limits).await;
    server.signal("-STOP");
    hold_while_away(&limits).await;
    server.signal("-CONT");
    recovered(&limits).await;
}

#[tokio::test]
async fn what_was_taken_in_memory_is_given_back_if_the_store_is_away_and_denies() {
    let store = at("redis+unix:///nonexistent/socket");
    let deny = Config { on_error: OnError::Deny, ..shared("deny", "10/h", "") };
    let limits = build(&[limit("local", "2/h", ""), deny], &store);
    for _ in 0..20 {
        let decision = check(&limits, &[("local", "k", 1), ("deny", "k", 1)]).await;
        assert_eq!(decision.outcome, Outcome::Unavailable);
    }
    assert!(count(&limits, "local").await >= 1);
}

#[tokio::test]
async fn a_store_survives_a_reload_that_does_not_change_it() {
    let folder = Folder::new();
    let file = folder.0.join("ca.pem");
    std::fs::write(&file, authority().0.pem()).unwrap();
    let config = RedisConfig { ca: Some(file.clone()), ..RedisConfig::new("rediss://127.0.0.1:1".into()) };
    let store = StoreConfig::new(Kind::Redis(config.clone()));
    let first = open(&store).unwrap();
    let again = |store: &StoreConfig| Arc::ptr_eq(&first, &Store::open(store, &[], 0, Some(&first)).unwrap());
    assert!(again(&store));
    assert!(!again(&StoreConfig { timeout: PATIENT, ..store.clone() }));
    assert!(!again(&StoreConfig::new(Kind::Redis(RedisConfig { prefix: "other:".into(), ..config }))));
    std::fs::write(&file, authority().0.pem()).unwrap();
    assert!(!again(&store), "the authorities are others");
    std::fs::write(&file, "none").unwrap();
    let error = open(&store).unwrap_err().to_string();
    assert!(error.contains("ca.pem") && error.contains("no PEM certificate"), "{error}");
}

#[tokio::test]
async fn urls_are_checked_and_never_printed() {
    for url in ["", "redis", "http://127.0.0.1", "redis://:secret@host:notaport", "+cluster://x", "rediss+cluster:x"] {
        let config = at(url);
        let error = open(&config).unwrap_err();
        assert!(matches!(error, StoreError::Url(_)), "{url}: {error}");
        assert!(!format!("{error} {error:?} {config:?}").contains("secret"));
    }
    for url in ["redis://:secret@127.0.0.1:1/2", "rediss://127.0.0.1:1", "redis+cluster://127.0.0.1:1", "valkey://h:1"]
    {
        assert!(open(&at(url)).is_ok(), "{url}");
    }
}

/// An authority, to sign with and to be trusted.
fn authority() -> (rcgen::Certificate, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    (certificate, Issuer::new(params, key))
}

/// A port that was free a moment ago.
fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

#[tokio::test]
async fn tls_trusts_the_configured_authority_alone_and_errors_show_no_password() {
    let folder = Folder::new();
    let (root, issuer) = authority();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let (other, _) = authority();
    for (name, content) in [
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
        ("ca.pem", root.pem()),
        ("other.pem", other.pem()),
    ] {
        std::fs::write(folder.0.join(name), content).unwrap();
    }
    let [ca, other] = ["ca.pem", "other.pem"].map(|name| folder.0.join(name));
    let port = free_port();
    let tls = ["--tls-cert-file", "server.crt", "--tls-key-file", "server.key", "--tls-auth-clients", "no"];
    let arguments = [&["--port", "0", "--requirepass", "sesame", "--tls-port", &port][..], &tls].concat();
    let Some(_server) = Server::start_with(folder, &arguments) else { return };
    let config = |ca: Option<&PathBuf>, host: &str| RedisConfig {
        ca: ca.cloned(),
        ..RedisConfig::new(format!("rediss://:sesame@{host}:{port}"))
    };

    let store = StoreConfig { timeout: PATIENT, ..StoreConfig::new(Kind::Redis(config(Some(&ca), "localhost"))) };
    let limits = instance(&[shared("l", "3/h", "")], &store).await;
    assert_eq!(count(&limits, "l").await, 3);

    for (ca, host) in [(Some(&other), "localhost"), (None, "localhost"), (Some(&ca), "127.0.0.1")] {
        let Err(error) = super::redis::Client::new(&config(ca, host)).unwrap().connect().await else {
            panic!("{ca:?} {host} is trusted")
        };
        let error = format!("{error} {error:?}");
        assert!(error.contains("certificate") && !error.contains("sesame"), "{error}");
    }
}

/// A node of a cluster, and its ports.
struct Node {
    server: Server,
    port: String,
    bus: String,
}

impl Node {
    fn start() -> Option<Self> {
        let (port, bus) = (free_port(), free_port());
        let cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"];
        let arguments = [&["--bind", "127.0.0.1", "--port", &port][..], &cluster].concat();
        let server = Server::start_with(Folder::new(), &arguments)?;
        Some(Self { server, port, bus })
    }

    async fn ask(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let (first, rest) = words.split_first().unwrap();
        redis::cmd(first).arg(rest).query_async(&mut self.server.connection().await).await
    }

    async fn keys(&self) -> Vec<String> {
        redis::from_redis_value(self.ask(&["KEYS", "*"]).await.unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_counts_each_limit_on_its_node() {
    let Some(nodes) = (0..3).map(|_| Node::start()).collect::<Option<Vec<_>>>() else { return };
    for (node, (first, last)) in nodes.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")]) {
        node.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await.unwrap();
    }
    for node in &nodes[1..] {
        nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &node.port, &node.bus]).await.unwrap();
    }
    let begun = Instant::now();
    for node in &nodes {
        let told = || async { format!("{:?}", node.ask(&["CLUSTER", "INFO"]).await) };
        while !told().await.contains("cluster_state:ok") {
            assert!(begun.elapsed() < 2 * READY, "{}", told().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let store = StoreConfig { timeout: PATIENT, ..at(format!("redis+cluster://127.0.0.1:{}", nodes[0].port)) };
    let configs = [shared("a", "30/h", ""), shared("b", "", "20/mo")];
    let limits = [instance(&configs, &store).await, instance(&configs, &store).await];
    let mut passed = 0;
    for _ in 0..30 {
        for limits in &limits {
            passed += u32::from(check(limits, &[("a", "k", 1), ("b", "k", 1)]).await.outcome == Outcome::Allowed);
        }
    }
    assert_eq!(passed, 20);
    // Given back but for what leaked meanwhile, which at 30 an hour is far less than one.
    assert!((9..=10).contains(&count(&limits[0], "a").await));
    for number in 0..30 {
        check(&limits[0], &[("a", &number.to_string(), 1)]).await;
    }
    let mut keys = 0;
    for node in &nodes {
        let own = node.keys().await.len();
        assert!(own > 0, "every node has some of them");
        keys += own;
    }
    assert_eq!(keys, 32, "and each stands on one");
}

#[tokio::test]
async fn what_was_taken_in_memory_is_given_back_if_the_client_goes_while_the_store_is_asked() {
    let Some(server) = Server::start() else { return };
    let limits = instance(&[limit("local", "2/h", ""), shared("l", "9/h", "")], &server.config(PATIENT)).await;
    server.signal("-STOP");
    for _ in 0..20 {
        let answer = check(&limits, &[("local", "k", 1), ("l", "k", 1)]).now_or_never();
        assert!(answer.is_none(), "it goes while it waits: {answer:?}");
    }
    server.signal("-CONT");
    // Giving back late keeps what leaked meanwhile, which at 2 an hour is far less than one.
    assert!(count(&limits, "local").await >= 1);
}

#[tokio::test]
async fn a_store_that_nobody_asks_is_seen_to_go() {
    let Some(mut server) = Server::start() else { return };
    let limits = instance(&[shared("l", "9/h", "")], &server.config(PATIENT)).await;
    server.kill();
    let begun = Instant::now();
    while limits.store().unwrap().connected() {
        assert!(begun.elapsed() < READY, "it is noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
