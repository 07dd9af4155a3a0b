//! Limits that instances share through a rate limit service, as clients meet them and as the service does.

use std::thread;
use std::time::{Duration, Instant};

use lockgate::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use lockgate::pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus, RateLimit};

use crate::support::folder::Folder;
use crate::support::gateway::{Gateway, configuration, lockgate};
use crate::support::limiter::{Behaviour, Limiter};
use crate::support::process::run;
use crate::support::{PATIENCE, echo};

/// In front of the usual backend, which serves what no other upstream does; `store` is what its mapping says beside the
/// upstream.
fn gateway(limiter: &Limiter, store: &str, limits: &str) -> Gateway {
    let upstreams = format!(
        "upstreams: {{ echo: {{ address: \"{}\" }}, limiter: {{ services: [], address: \"{}\" }} }}\n",
        echo::address(),
        limiter.address
    );
    let limits = format!("rate_limits:\n  store: {{ upstream: limiter, {store} }}\n  headers: both\n{limits}");
    Gateway::configured(&configuration(echo::address(), &(upstreams + &limits)))
}

/// Long enough that only a service that is really away is taken for one.
const PATIENT: &str = "timeout: 10s";

const ALL: &str = "  all: { key: \"='all'\", rate: 20/h, scope: shared }\ndefaults: { limits: [all] }";

fn connected(gateway: &Gateway, expected: f64) {
    gateway.within(PATIENCE, "it is told whether the service answers", |gateway| {
        gateway.metric("lockgate_limit_store_connected", &[]) == expected
    });
}

#[test]
fn two_instances_never_let_through_more_than_the_limit() {
    let limiter = Limiter::start();
    let workers = "runtime: { workers: 2 }\n";
    let instances = [gateway(&limiter, PATIENT, ALL), gateway(&limiter, PATIENT, &format!("{ALL}\n{workers}"))];
    let passed: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let instance = &instances[client % 2];
                scope.spawn(move || (0..5).filter(|_| instance.get("/v1/ping").status() == 200).count())
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(passed, 20);
    assert_eq!(limiter.questions().len(), 40);
}

#[test]
fn a_request_is_one_question_and_its_answer_is_told() {
    let limiter = Limiter::start();
    let gateway = gateway(
        &limiter,
        "timeout: 10s, domain: shop",
        "  fast: { key: =http.path, rate: 5/m, quota: 9/d, scope: shared }
  tiered: { key: \"=http.headers['x-who']\", tier: \"='free'\", tiers: { free: { rate: 50/s } }, scope: shared }
services: { lockgate.test.v1.Echo: { limits: [fast, tiered], cost: 2 } }",
    );
    let first = gateway.get("/v1/ping").expect(200);
    let policy = r#""fast";q=5;w=60, "fast-quota";q=9;w=86400, "tiered";q=50;w=1"#;
    assert_eq!(first.head.get("ratelimit-policy"), Some(policy));
    let standing = r#""fast";r=3;t=40, "fast-quota";r=7;t=85780, "tiered";r=48;t=1"#;
    assert_eq!(first.head.get("ratelimit"), Some(standing));

    let questions = limiter.questions();
    assert_eq!((questions.len(), questions[0].hits_addend, &*questions[0].domain), (1, 2, "shop"));
    let asked: Vec<_> = questions[0]
        .descriptors
        .iter()
        .map(|descriptor| {
            let entries: Vec<_> =
                descriptor.entries.iter().map(|entry| format!("{}={}", entry.key, entry.value)).collect();
            let limit = descriptor.limit.unwrap();
            format!("{} {}/{}", entries.join(","), limit.requests_per_unit, limit.unit().as_str_name())
        })
        .collect();
    // Nobody says who it is, and all those are counted together.
    let nobody = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(
        asked,
        [
            "limit=fast,key=/v1/ping 5/MINUTE",
            "quota=fast,key=/v1/ping 9/DAY",
            &format!("limit=tiered/free,key={nobody} 50/SECOND"),
        ]
    );

    gateway.get("/v1/ping").expect(200);
    let over = gateway.get("/v1/ping").expect(429);
    assert_eq!(over.head.get("retry-after"), Some("40"));
    assert_eq!(over.head.get("x-ratelimit-reset"), Some("40"));
    assert_eq!(over.head.get("ratelimit-policy"), Some(r#""fast";q=5;w=60, "fast-quota";q=9;w=86400"#));
    let body = over.json();
    assert_eq!((&body["code"], &body["details"][0]["retryDelay"]), (&8.into(), &"40s".into()));
    assert!(!over.text().contains("limiter"), "{}", over.text());
}

#[test]
fn a_limit_that_only_watches_never_refuses() {
    let limiter = Limiter::start();
    let limits = "  seen: { key: \"='all'\", rate: 1/h, scope: shared, shadow: true }\ndefaults: { limits: [seen] }";
    let gateway = gateway(&limiter, PATIENT, limits);
    for _ in 0..4 {
        gateway.get("/v1/ping").expect(200);
    }
    assert_eq!(limiter.questions().len(), 4);
    assert_eq!(gateway.metric("lockgate_limit_requests_total", &["seen", "shadowed"]), 3.0);
}

#[test]
fn a_service_that_is_away_leaves_it_to_on_error_and_is_taken_back() {
    let mut limiter = Limiter::start();
    let limits = "  all: { key: \"='all'\", rate: 3/h, scope: shared }\ndefaults: { limits: [all] }";
    let [local, allow, deny] = ["local", "allow", "deny"]
        .map(|on_error| gateway(&limiter, &format!("{PATIENT}, on_error: {on_error}"), limits));
    deny.get("/v1/ping").expect(200);
    limiter.go();
    for _ in 0..5 {
        allow.get("/v1/ping").expect(200);
        let refused = deny.get("/v1/ping").expect(503);
        assert_eq!((refused.head.get("retry-after"), &refused.json()["code"]), (Some("1"), &14.into()));
    }
    assert_eq!((0..5).filter(|_| local.get("/v1/ping").status() == 200).count(), 3);
    for gateway in [&local, &allow, &deny] {
        connected(gateway, 0.0);
    }
    limiter.come_back();
    for gateway in [&local, &allow, &deny] {
        connected(gateway, 1.0);
    }
    deny.within(PATIENCE, "it is asked again", |gateway| gateway.get("/v1/ping").status() == 200);
    allow.within(PATIENCE, "it is asked again", |gateway| gateway.get("/v1/ping").status() == 429);
}

#[test]
fn a_service_that_is_slow_holds_up_one_request() {
    let limiter = Limiter::start();
    let gateway = gateway(&limiter, "timeout: 400ms, on_error: allow", ALL);
    gateway.get("/v1/ping").expect(200);
    limiter.behave(Behaviour::Hang);
    let begun = Instant::now();
    gateway.get("/v1/ping").expect(200);
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(400) && waited < PATIENCE, "{waited:?}");
    let begun = Instant::now();
    for _ in 0..50 {
        gateway.get("/v1/ping").expect(200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "nobody waits any more: {:?}", begun.elapsed());
    limiter.behave(Behaviour::Count);
    connected(&gateway, 1.0);
}

fn status(code: i32, remaining: u32, reset: prost_types::Duration) -> DescriptorStatus {
    DescriptorStatus {
        code,
        current_limit: Some(RateLimit { requests_per_unit: u32::MAX, unit: 99, name: "x".repeat(10_000) }),
        limit_remaining: remaining,
        duration_until_reset: Some(reset),
    }
}

#[test]
fn what_the_service_says_is_not_taken_on_trust() {
    let limiter = Limiter::start();
    let gateway = gateway(&limiter, &format!("{PATIENT}, on_error: deny"), ALL);
    gateway.get("/v1/ping").expect(200);
    let zero = prost_types::Duration::default();
    let ok = i32::from(Code::Ok);
    let answer = |statuses| Behaviour::Answer(RateLimitResponse { overall_code: ok, statuses });
    for odd in [
        answer(vec![]),
        answer(vec![status(ok, 1, zero), status(ok, 1, zero)]),
        answer(vec![status(0, 1, zero)]),
        answer(vec![status(7, 1, zero)]),
        answer(vec![status(ok, 1, zero); 300]),
        Behaviour::Fail,
    ] {
        limiter.behave(odd);
        for _ in 0..3 {
            let refused = gateway.get("/v1/ping").expect(503);
            assert!(!refused.text().contains("limiter"), "{}", refused.text());
        }
        limiter.behave(Behaviour::Count);
        // A bad answer is its own request's: one client's must not take the limits off for all.
        gateway.get("/v1/ping").expect(200);
    }
    for reset in [
        prost_types::Duration { seconds: i64::MAX, nanos: i32::MAX },
        prost_types::Duration { seconds: i64::MIN, nanos: i32::MIN },
    ] {
        limiter.behave(answer(vec![status(ok, u32::MAX, reset)]));
        let passed = gateway.get("/v1/ping").expect(200);
        assert_eq!(passed.head.get("ratelimit"), Some(r#""all";r=20;t=3600"#));
        limiter.behave(answer(vec![status(Code::OverLimit.into(), u32::MAX, reset)]));
        assert_eq!(gateway.get("/v1/ping").expect(429).head.get("retry-after"), Some("3600"));
    }
}

#[test]
fn the_first_request_of_a_process_is_asked_about() {
    let limiter = Limiter::start();
    // Later than a process that would not wait is ready, and sooner than one waits at most.
    limiter.behave(Behaviour::Slow(Duration::from_millis(400)));
    gateway(&limiter, &format!("{PATIENT}, on_error: deny"), ALL).get("/v1/ping").expect(200);
}

#[test]
fn a_process_starts_without_its_service() {
    let limiter = Limiter::start();
    limiter.behave(Behaviour::Hang);
    gateway(&limiter, &format!("{PATIENT}, on_error: deny"), ALL).get("/v1/ping").expect(503);
}

#[test]
fn mistakes_of_a_store_are_found_when_loading() {
    let folder = Folder::new();
    let check = |store: &str, limit: &str| {
        let more = format!(
            "upstreams: {{ echo: {{ address: \"h:1\" }}, limiter: {{ services: [], address: \"h:2\" }} }}
rate_limits: {{ store: {{ {store} }}, a: {{ key: =client.ip, scope: shared, {limit} }} }}"
        );
        let file = folder.write("lockgate.yaml", configuration(echo::address(), &more));
        run(lockgate().arg("check").arg("-c").arg(file))
    };
    for (store, limit, said) in [
        ("on_error: deny", "rate: 5/s", "neither `url` nor `upstream` or both"),
        ("url: 'redis://h', upstream: limiter", "rate: 5/s", "neither `url` nor `upstream` or both"),
        ("url: 'redis://h', domain: d", "rate: 5/s", "`domain` stands without `upstream`"),
        ("url: 'redis://h', ca: ca.pem", "rate: 5/s", "`ca` stands beside a `url` without TLS"),
        ("upstream: limiter, ca: ca.pem", "rate: 5/s", "`ca` stands beside `upstream`"),
        ("upstream: limiter, domain: ''", "rate: 5/s", "`domain` is empty"),
        ("upstream: limitr", "rate: 5/s", "did you mean `limiter`?"),
        ("upstream: limiter", "rate: 5/s, burst: 6", "a burst of 6 can't be told to a rate limit service"),
        ("url: 'rediss://h', ca: ca.pem", "rate: 5/s", "ca.pem"),
    ] {
        let checked = check(store, limit);
        let all = checked.stderr + &checked.stdout;
        assert!(checked.code != Some(0) && all.contains(said), "{store}: {all}");
    }
    for (store, limit) in [
        ("upstream: limiter", "rate: 5/s, burst: 5, quota: 9/mo"),
        ("upstream: limiter, domain: d", "quota: 5/h"),
        ("url: 'redis://h'", "rate: 5/s, burst: 6"),
    ] {
        let checked = check(store, limit);
        assert_eq!(checked.code, Some(0), "{store}: {}{}", checked.stderr, checked.stdout);
    }
}
