//! Limits counted in memory: bursts, refilling, costs, windows, bounds, threads, takeovers; headers and statuses.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use http::header::HeaderMap;
use proptest::prelude::*;
use prost::Message;

use crate::limit::decision::{Decision, Outcome};
use crate::limit::headers::Style;
use crate::limit::moment::Moment;
use crate::limit::rule::{Config, OnError, Policy, Scope};
use crate::limit::{Ask, BuildError, Limit, Limits};
use crate::pb::google::rpc::RetryInfo;
use crate::status::Code;
use crate::telemetry::metrics::Metrics;

/// 2027-01-01T00:00:00Z.
const NEW_YEAR: u64 = 1_798_761_600;
const DAY: u64 = 86_400;

/// A local limit; `rate` as `600/m` or `600/m burst 60`, `quota` as `1000/d`, either may be empty.
pub(super) fn limit(name: &str, rate: &str, quota: &str) -> Config {
    let rate = (!rate.is_empty()).then(|| {
        let (rate, burst) = rate.split_once(" burst ").map_or((rate, None), |(rate, burst)| (rate, Some(burst)));
        let rate: crate::limit::rule::Rate = rate.parse().unwrap();
        burst.map_or(rate, |burst| rate.with_burst(burst.parse().unwrap()).unwrap())
    });
    let quota = (!quota.is_empty()).then(|| quota.parse().unwrap());
    Config {
        name: name.into(),
        tier: None,
        key: "auth.subject".into(),
        policy: Policy { rate, quota },
        scope: Scope::Local,
        on_error: OnError::Local,
        shadow: false,
        max_keys: NonZeroUsize::new(1_000).unwrap(),
    }
}

fn build(configs: &[Config]) -> Limits {
    Limits::build(configs, None, &Metrics::new(), None).unwrap()
}

/// So many milliseconds after New Year.
fn at(millis: u64) -> Moment {
    let since = Duration::from_millis(millis);
    Moment { steady: since, unix: Duration::from_secs(NEW_YEAR) + since }
}

pub(super) fn ask<'a>(limit: &'a Limit, key: &'a str, cost: u32) -> Ask<'a> {
    Ask { limit, key: key.as_bytes(), cost: NonZeroU32::new(cost).unwrap() }
}

/// Asks local limits, which never wait.
fn check(limits: &Limits, asks: &[(&str, &str, u32)], now: Moment) -> Decision {
    let asks: Vec<_> = asks.iter().map(|(name, key, cost)| ask(limits.find(name, None).unwrap(), key, *cost)).collect();
    limits.check(0, &asks, now).now_or_never().expect("memory does not wait")
}

fn passes(limits: &Limits, name: &str, cost: u32, now: Moment) -> bool {
    check(limits, &[(name, "k", cost)], now).outcome == Outcome::Allowed
}

/// How many of cost one pass at this moment.
fn count(limits: &Limits, name: &str, now: Moment) -> u32 {
    (0..10_000).find(|_| !passes(limits, name, 1, now)).expect("it ends")
}

#[test]
fn exactly_the_burst_passes_at_once_and_is_refilled_evenly() {
    for (rate, burst, interval_ms) in [
        ("10/s", 10, 100),
        ("600/m burst 60", 60, 100),
        ("60/m", 60, 1_000),
        ("50/s burst 100", 100, 20),
        ("1/h", 1, 3_600_000),
    ] {
        let limits = build(&[limit("l", rate, "")]);
        assert_eq!(count(&limits, "l", at(5_000)), burst, "{rate}");
        let almost = Moment { steady: at(5_000 + interval_ms).steady - Duration::from_nanos(1), ..at(0) };
        assert_eq!(count(&limits, "l", almost), 0, "{rate}");
        for number in 1..=7 {
            assert_eq!(count(&limits, "l", at(5_000 + number * interval_ms)), 1, "{rate}");
        }
        // However long the rest, never more than the burst.
        assert_eq!(count(&limits, "l", at(5_000 + 10_000 * interval_ms)), burst, "{rate}");
    }
}

#[test]
fn rates_that_do_not_divide_their_window_are_whole_after_it() {
    for rate in ["3/s", "7/m", "11/h"] {
        let limits = build(&[limit("l", rate, "")]);
        let burst = count(&limits, "l", at(0));
        assert_eq!(count(&limits, "l", at(3_600_000)), burst, "{rate}");
    }
}

#[test]
fn what_is_left_and_when_it_is_back_are_exact() {
    let limits = build(&[limit("l", "600/m burst 60", "")]);
    let now = at(1_000);
    let decision = check(&limits, &[("l", "k", 58)], now);
    let state = &decision.states[0];
    assert_eq!((state.limit, state.remaining, state.window), (600, 2, Duration::from_secs(60)));
    assert_eq!((state.reset, state.retry_after), (Duration::from_millis(5_800), None));
    let decision = check(&limits, &[("l", "k", 5)], now);
    let state = &decision.states[0];
    assert_eq!(decision.outcome, Outcome::Refused);
    assert_eq!((state.remaining, state.reset), (2, Duration::from_millis(5_800)));
    assert_eq!(state.retry_after, Some(Duration::from_millis(300)));
    assert_eq!(decision.retry_after, Some(Duration::from_millis(300)));
    assert!(!passes(&limits, "l", 5, at(1_299)));
    assert!(passes(&limits, "l", 5, at(1_300)));
    assert!(!passes(&limits, "l", 1, at(1_300)));
}

#[test]
fn a_cost_is_that_many_requests_and_one_above_the_burst_never_passes() {
    let limits = build(&[limit("l", "10/s", "")]);
    assert!(!passes(&limits, "l", 11, at(0)));
    assert!(!passes(&limits, "l", u32::MAX, at(0)));
    assert!(passes(&limits, "l", 7, at(0)));
    assert_eq!(count(&limits, "l", at(0)), 3);
    let config = limit("l", "10/s", "5/d");
    assert!(config.check(NonZeroU32::new(5).unwrap()).is_ok());
    let error = config.check(NonZeroU32::new(6).unwrap()).unwrap_err().to_string();
    assert_eq!(error, "a cost of 6 is above the 5 that limit \"l\" lets through at once, and could never pass");
}

#[test]
fn keys_are_counted_apart() {
    let limits = build(&[limit("l", "1/s", "")]);
    assert_eq!(check(&limits, &[("l", "a", 1)], at(0)).outcome, Outcome::Allowed);
    assert_eq!(check(&limits, &[("l", "b", 1)], at(0)).outcome, Outcome::Allowed);
    assert_eq!(check(&limits, &[("l", "a", 1)], at(0)).outcome, Outcome::Refused);
}

#[test]
fn quotas_begin_anew_at_the_edge_of_the_calendar() {
    // What is before and after each edge, in seconds since New Year 2027: hours, days, and 31 + 28 days of months.
    for (quota, edge, length) in
        [("3/h", 3_600, 3_600), ("3/d", DAY, DAY), ("3/mo", 31 * DAY, 31 * DAY), ("3/mo", 59 * DAY, 28 * DAY)]
    {
        let limits = build(&[limit("l", "", quota)]);
        let last = at(edge * 1_000 - 1);
        assert_eq!(count(&limits, "l", last), 3, "{quota}");
        let decision = check(&limits, &[("l", "k", 1)], last);
        assert_eq!(decision.retry_after, Some(Duration::from_millis(1)), "{quota}");
        assert_eq!(decision.states[0].window, Duration::from_secs(length), "{quota}");
        assert_eq!(count(&limits, "l", at(edge * 1_000)), 3, "{quota}");
    }
}

#[test]
fn a_quota_is_a_second_policy_that_both_must_pass() {
    let limits = build(&[limit("l", "10/s", "12/d")]);
    assert_eq!(count(&limits, "l", at(0)), 10);
    let decision = check(&limits, &[("l", "k", 1)], at(1_000));
    let told: Vec<_> = decision.states.iter().map(|state| (&*state.name, state.limit, state.remaining)).collect();
    assert_eq!(told, [("l", 10, 9), ("l-quota", 12, 1)]);
    assert!(passes(&limits, "l", 1, at(1_000)));
    let decision = check(&limits, &[("l", "k", 1)], at(1_000));
    let told: Vec<_> = decision.states.iter().map(|state| (state.remaining, state.retry_after.is_some())).collect();
    assert_eq!(told, [(8, false), (0, true)], "a quota's refusal takes nothing from the rate");
    assert_eq!(decision.retry_after, Some(Duration::from_secs(DAY - 1)));
}

#[test]
fn one_refusal_takes_nothing_from_the_others() {
    let limits = build(&[limit("a", "10/s", "100/d"), limit("b", "1/s", ""), limit("c", "10/s", "")]);
    let all = [("a", "k", 1), ("b", "k", 1), ("c", "k", 1)];
    assert_eq!(check(&limits, &all, at(0)).outcome, Outcome::Allowed);
    for _ in 0..50 {
        let decision = check(&limits, &all, at(0));
        assert_eq!(decision.outcome, Outcome::Refused);
        assert_eq!(decision.refused_by.as_deref(), Some("b"));
        assert_eq!(decision.states.iter().map(|state| &*state.name).collect::<Vec<_>>(), ["b"]);
    }
    assert_eq!(check(&limits, &[("a", "k", 1)], at(0)).states[1].remaining, 98);
    assert_eq!((count(&limits, "a", at(0)), count(&limits, "c", at(0))), (8, 9));
}

#[test]
fn the_last_limit_that_refused_is_told_and_the_longest_wait() {
    let limits = build(&[limit("slow", "1/m", ""), limit("fast", "1/s", "")]);
    let both = [("slow", "k", 1), ("fast", "k", 1)];
    assert_eq!(check(&limits, &both, at(0)).outcome, Outcome::Allowed);
    let decision = check(&limits, &both, at(0));
    assert_eq!(decision.refused_by.as_deref(), Some("fast"));
    assert_eq!(decision.retry_after, Some(Duration::from_secs(60)));
}

#[test]
fn a_shadow_counts_and_refuses_nothing() {
    let metrics = Metrics::new();
    let shadow = Config { shadow: true, ..limit("s", "2/s", "") };
    let limits = Limits::build(&[shadow, limit("l", "100/s", "")], None, &metrics, None).unwrap();
    for _ in 0..5 {
        let decision = check(&limits, &[("s", "k", 1), ("l", "k", 1)], at(0));
        assert_eq!(decision.outcome, Outcome::Allowed);
        assert_eq!(decision.states.iter().map(|state| &*state.name).collect::<Vec<_>>(), ["l"]);
    }
    let counted = metrics.limit("s");
    assert_eq!((counted.allowed.get(), counted.refused.get(), counted.shadowed.get()), (2, 0, 3));
    assert_eq!(metrics.limit("l").allowed.get(), 5);
    let text = metrics.print(0).unwrap();
    assert!(text.contains("lockgate_limit_requests_total{limit=\"s\",result=\"shadowed\"} 3"), "{text}");
}

#[test]
fn keys_are_bounded_at_every_size_and_drops_are_counted() {
    for max in [1, 2, 31, 32, 33, 100, 2_047, 2_048, 2_049, 5_000] {
        let metrics = Metrics::new();
        let config = Config { max_keys: NonZeroUsize::new(max).unwrap(), ..limit("l", "1/s", "") };
        let limits = Limits::build(&[config], None, &metrics, None).unwrap();
        let inserted = max * 3 + 10;
        for number in 0..inserted {
            let key = number.to_string();
            assert_eq!(check(&limits, &[("l", &key, 1)], at(0)).outcome, Outcome::Allowed);
            assert!(limits.limits[0].keys() <= max, "{max}");
        }
        let dropped = usize::try_from(metrics.limit("l").dropped_keys.get()).unwrap();
        assert_eq!(dropped + limits.limits[0].keys(), inserted, "{max}");
        assert!(limits.limits[0].keys() * 2 > max, "{max}: {} are held", limits.limits[0].keys());
    }
}

#[test]
fn a_client_that_comes_back_stays_counted_through_a_flood_of_keys() {
    let config = Config { max_keys: NonZeroUsize::new(3_000).unwrap(), ..limit("l", "100/h", "") };
    let limits = build(&[config]);
    let mut passed = 0;
    for number in 0..30_000 {
        if number % 10 == 0 {
            passed += u32::from(check(&limits, &[("l", "client", 1)], at(0)).outcome == Outcome::Allowed);
        }
        check(&limits, &[("l", &number.to_string(), 1)], at(0));
    }
    assert_eq!(passed, 100);
}

#[test]
fn threads_together_never_pass_more_than_the_limit() {
    let limits = Arc::new(build(&[limit("rate", "1000/h", ""), limit("quota", "", "700/d"), limit("none", "1/h", "")]));
    assert!(passes(&limits, "none", 1, at(0)));
    for (names, expected) in [(&["rate"][..], 1_000), (&["quota"], 700), (&["rate", "none"], 0)] {
        let passed = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let asks: Vec<_> = names.iter().map(|name| (*name, "k", 1)).collect();
                    for _ in 0..400 {
                        if check(&limits, &asks, at(0)).outcome == Outcome::Allowed {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), expected, "{names:?}");
    }
}

#[test]
fn counts_survive_a_reload_unless_key_or_rate_changed() {
    let metrics = Metrics::new();
    let config = limit("l", "5/h", "");
    let first = Limits::build(std::slice::from_ref(&config), None, &metrics, None).unwrap();
    assert_eq!(count(&first, "l", at(0)), 5);
    let next = |config: Config| Limits::build(&[config], None, &metrics, Some(&first)).unwrap();

    let same = next(config.clone());
    assert!(Arc::ptr_eq(&same.limits[0], &first.limits[0]));
    let max_keys = NonZeroUsize::new(9).unwrap();
    for kept in [
        Config { on_error: OnError::Deny, ..config.clone() },
        Config { on_error: OnError::Deny, max_keys, ..config.clone() },
    ] {
        assert_eq!(count(&next(kept), "l", at(0)), 0);
    }
    for anew in [
        Config { key: "client.ip".into(), ..config.clone() },
        limit("l", "6/h burst 5", ""),
        Config { name: "l".into(), tier: None, ..limit("l", "5/h", "5/d") },
    ] {
        assert_eq!(count(&next(anew), "l", at(0)), 5);
    }
}

#[test]
fn limits_that_can_not_be_are_refused() {
    let metrics = Metrics::new();
    let error = |configs: &[Config]| Limits::build(configs, None, &metrics, None).unwrap_err();
    assert!(matches!(error(&[limit("a", "1/s", ""), limit("a", "2/s", "")]), BuildError::Duplicate(_)));
    assert!(matches!(error(&[limit("a", "", "")]), BuildError::Rule(_)));
    let shared = Config { scope: Scope::Shared, ..limit("a", "1/s", "") };
    assert!(matches!(error(&[shared]), BuildError::NoStore(_)));
    let tiers = ["free", "pro"].map(|tier| Config { tier: Some(tier.into()), ..limit("a", "1/s", "") });
    let limits = Limits::build(&tiers, None, &metrics, None).unwrap();
    assert!(limits.find("a", Some("pro")).is_some() && limits.find("a", None).is_none());
}

#[test]
fn what_is_given_back_late_is_no_more_than_what_did_not_leak() {
    let limits = build(&[limit("l", "10/s", "")]);
    let local = &limits.limits[0].local;
    let key = b"k";
    let one = NonZeroU32::MIN;
    let (_, taken) = local.take(key, NonZeroU32::new(5).unwrap(), at(0));
    // Meanwhile it is full again, and somebody takes all of it.
    assert_eq!(count(&limits, "l", at(500)), 10);
    local.give_back(&taken.unwrap(), Duration::from_millis(500));
    assert!(local.take(key, one, at(500)).0.refused());
    let (_, taken) = local.take(key, one, at(600));
    local.give_back(&taken.unwrap(), Duration::ZERO);
    assert_eq!(count(&limits, "l", at(600)), 1);
}

#[track_caller]
fn headers(decision: &Decision, style: Style, expected: &[(&str, &str)]) {
    let mut headers = HeaderMap::new();
    decision.write_headers(style, &mut headers);
    let mut seen: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    seen.sort_unstable();
    assert_eq!(seen, expected);
}

#[test]
fn headers_tell_of_every_policy() {
    let limits = build(&[limit("per_ip", "50/s burst 100", ""), limit("by_plan", "60/m", "1000/d")]);
    let decision = check(&limits, &[("per_ip", "k", 1), ("by_plan", "k", 2)], at(0));
    let policy = r#""per_ip";q=50;w=1, "by_plan";q=60;w=60, "by_plan-quota";q=1000;w=86400"#;
    let standing = r#""per_ip";r=99;t=1, "by_plan";r=58;t=2, "by_plan-quota";r=998;t=86400"#;
    headers(&decision, Style::Draft, &[("ratelimit", standing), ("ratelimit-policy", policy)]);
    let x = [("x-ratelimit-limit", "60"), ("x-ratelimit-remaining", "58"), ("x-ratelimit-reset", "2")];
    headers(&decision, Style::X, &x);
    headers(&decision, Style::Off, &[]);
    headers(&decision, Style::Both, &[("ratelimit", standing), ("ratelimit-policy", policy), x[0], x[1], x[2]]);
    assert!(decision.status(Style::Both).is_none());
    headers(&check(&limits, &[], at(0)), Style::Both, &[]);
}

#[test]
fn names_are_strings_of_structured_fields() {
    let limits = build(&[limit("a\"b\\c\u{e9}\n", "1/s", "")]);
    let decision = check(&limits, &[("a\"b\\c\u{e9}\n", "k", 1)], at(0));
    let expected = [("ratelimit", r#""a\"b\\c??";r=0;t=1"#), ("ratelimit-policy", r#""a\"b\\c??";q=1;w=1"#)];
    headers(&decision, Style::Draft, &expected);
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let limits = build(&[limit("l", "10/s", "")]);
    assert_eq!(count(&limits, "l", at(0)), 10);
    let status = check(&limits, &[("l", "k", 1)], at(0)).status(Style::Draft).unwrap();
    assert_eq!((status.code(), status.http().as_u16()), (Code::ResourceExhausted, 429));
    assert_eq!(status.message(), "rate limit \"l\" is used up, come back later");
    let header = |name: &str| status.headers().get(name).unwrap().to_str().unwrap();
    assert_eq!((header("retry-after"), header("ratelimit")), ("1", r#""l";r=0;t=1"#));
    assert_eq!(status.details()[0].type_url, "type.googleapis.com/google.rpc.RetryInfo");
    let info = RetryInfo::decode(status.details()[0].value.clone()).unwrap();
    assert_eq!(info.retry_delay.unwrap(), prost_types::Duration { seconds: 0, nanos: 100_000_000 });

    let minutely = build(&[limit("l", "1/m", "")]);
    assert!(passes(&minutely, "l", 1, at(0)));
    let status = check(&minutely, &[("l", "k", 1)], at(1_500)).status(Style::Off).unwrap();
    assert_eq!(status.headers().get("retry-after").unwrap(), "59");
    assert_eq!(status.headers().len(), 1);
}

#[test]
fn the_largest_burst_is_taken_once() {
    let burst = u32::try_from((1_u64 << 52) / 3_600_000_000).unwrap();
    let limits = build(&[limit("l", &format!("1/h burst {burst}"), "")]);
    for now in [0, 1] {
        assert_eq!(passes(&limits, "l", burst, at(now)), now == 0);
    }
    assert!(!passes(&limits, "l", 1, at(2)));
}

proptest! {
    /// The same as a bucket that leaks, which is told in another way than by arrival times.
    #[test]
    fn a_rate_is_a_bucket_that_leaks(
        number in 1_u32..2_000,
        burst in 1_u32..50,
        steps in prop::collection::vec((0_u64..200, 1_u32..60), 1..100),
    ) {
        let interval = 60_000_000_000 / u64::from(number);
        let capacity = interval * u64::from(burst);
        let limits = build(&[limit("l", &format!("{number}/m burst {burst}"), "")]);
        let (mut now, mut used) = (0, 0);
        for (passed, cost) in steps {
            now += passed;
            used = u64::saturating_sub(used, passed * 1_000_000);
            let decision = check(&limits, &[("l", "k", cost)], at(now));
            let asked = used + interval * u64::from(cost);
            let (expected, wait) = match asked.checked_sub(capacity) {
                None | Some(0) => {
                    used = asked;
                    (Outcome::Allowed, None)
                }
                Some(over) if cost <= burst => (Outcome::Refused, Some(Duration::from_nanos(over))),
                Some(_) => (Outcome::Refused, decision.retry_after),
            };
            prop_assert_eq!((decision.outcome, decision.retry_after), (expected, wait));
            let state = &decision.states[0];
            prop_assert_eq!(u64::from(state.remaining), (capacity - used) / interval);
            prop_assert_eq!(state.reset, Duration::from_nanos(used));
        }
    }
}
