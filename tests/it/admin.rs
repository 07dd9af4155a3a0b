//! The admin server: whether it lives, whether it is ready, what it counts, which routes it has.

use crate::support::gateway::{Gateway, configuration};
use crate::support::http1::Request;
use crate::support::{echo, listen};

/// The sum of the samples whose name and labels contain these texts, whatever the metrics are called.
fn count(gateway: &Gateway, parts: &[&str]) -> f64 {
    let text = gateway.ask("/metrics").expect(200).text().to_owned();
    let wanted = |line: &&str| !line.starts_with('#') && parts.iter().all(|part| line.contains(part));
    text.lines().filter(wanted).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn it_lives_and_is_ready() {
    let gateway = Gateway::plain();
    assert_eq!(gateway.ask("/livez").status(), 200);
    assert_eq!(gateway.ask("/readyz").status(), 200);
}

#[test]
fn it_is_ready_without_a_backend() {
    let gateway = Gateway::flags(listen("127.0.0.1:0").1);
    assert_eq!(gateway.ask("/readyz").status(), 200);
    gateway.get("/v1/ping").expect(503);
    assert_eq!(gateway.ask("/readyz").status(), 200);
}

#[test]
fn it_counts_requests_by_method_and_code() {
    let gateway = Gateway::flags(echo::address());
    for _ in 0..3 {
        gateway.get("/v1/echo/a").expect(200);
    }
    gateway.get("/v1/fail/5").expect(404);
    gateway.get("/v1/typed/int32/x").expect(400);
    let metrics = gateway.ask("/metrics").expect(200);
    assert!(metrics.head.get("content-type").is_some_and(|kind| kind.contains("text")), "{}", metrics.exchange);
    let text = metrics.text().to_owned();
    assert!((count(&gateway, &["requests_total", "Unary"]) - 3.0).abs() < 0.1, "{text}");
    assert!((count(&gateway, &["requests_total", "Fail"]) - 1.0).abs() < 0.1, "{text}");
    assert!((count(&gateway, &["requests_total", "Typed"]) - 1.0).abs() < 0.1, "{text}");
    assert!(count(&gateway, &["_count", "Unary"]) >= 3.0, "no latencies:\n{text}");
    assert!(text.lines().any(|line| line.contains("bytes") && line.contains("Unary")), "no bytes:\n{text}");
    assert!(text.lines().any(|line| line.contains("in_flight")), "nothing in flight is counted:\n{text}");
    assert!(text.contains("lockgate.test.v1.Echo"), "no services:\n{text}");
}

#[test]
fn what_clients_make_up_makes_no_metrics() {
    let gateway = Gateway::flags(echo::address());
    gateway.get("/v1/ping").expect(200);
    gateway.get("/warm/up").expect(404);
    let before = gateway.ask("/metrics").text().lines().count();
    for number in 0..50 {
        gateway.get(&format!("/nothing/{number}")).expect(404);
        gateway.call(&Request::new(&format!("BREW{number} /v1/ping"))).expect(405);
    }
    let after = gateway.ask("/metrics").text().lines().count();
    assert!(after < before + 60, "{before} lines became {after}");
}

#[test]
fn it_lists_its_routes() {
    let gateway = Gateway::plain();
    let routes = gateway.ask("/routes").expect(200);
    let text = routes.text();
    for part in ["/v1/echo/{string_value}", "lockgate.test.v1.Echo", "/lockgate.test.v1.Echo/Plain", "/v1/legacy"] {
        assert!(text.contains(part), "{part} is missing{}", routes.exchange);
    }
}

#[test]
fn it_has_nothing_else() {
    let gateway = Gateway::plain();
    assert_eq!(gateway.ask("/nothing").status(), 404);
    assert_eq!(gateway.ask("/v1/ping").status(), 404);
    for target in ["/livez", "/readyz", "/metrics", "/routes"] {
        gateway.get(target).expect(404);
    }
}

#[test]
fn several_listeners_are_all_named_and_all_serve() {
    let settings = "listeners: { one: { address: 127.0.0.1:0 }, two: { address: 127.0.0.1:0 } }";
    let gateway = Gateway::configured(&configuration(echo::address(), settings));
    let mut names: Vec<_> = gateway.listeners.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "two"]);
    for (_, address) in &gateway.listeners {
        crate::support::http1::get(*address, "/v1/ping").expect(200);
    }
}

#[test]
fn several_workers_serve_one_port() {
    let gateway = Gateway::configured(&configuration(echo::address(), "runtime: { workers: 3 }"));
    for _ in 0..20 {
        gateway.get("/v1/ping").expect(200);
    }
    let metrics = gateway.ask("/metrics").text().to_owned();
    assert!((count(&gateway, &["requests_total", "Ping"]) - 20.0).abs() < 0.1, "{metrics}");
}
