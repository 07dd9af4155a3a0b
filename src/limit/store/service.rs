//! Counts in a service that speaks version 3 of Envoy's rate limit protocol, asked over one of the `upstreams`.
//!
//! A rate is the descriptor `("limit", <name>[/<tier>]), ("key", <the client's key>)`, a quota the same with `quota` for
//! `limit`, so that a service can tell them apart whatever their windows; each says how many requests are allowed in
//! which unit, and `hits_addend` is the cost. All limits of one request are one question.
//!
//! What that protocol can't say differs from Redis: windows are those of the service, there are no bursts, a request
//! that one limit refuses still counts against the others, and so does a refused one against its own if the service
//! counts so. A limit that the service has none for lets pass and is not told.

use std::fmt::Write;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{self, SHA256};

use crate::limit::Ask;
use crate::limit::bucket::Level;
use crate::limit::local::Levels;
use crate::limit::rule::{Policy, QuotaWindow, RateWindow};
use crate::limit::store::StoreError;
use crate::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use crate::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::{Entry, RateLimitOverride};
use crate::pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus};
use crate::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use crate::pb::envoy::r#type::v3::RateLimitUnit;
use crate::upstream::Upstream;
use crate::upstream::ask::ask;

const PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// Keys up to here are told as they are, so that the service can have limits of its own for some of them.
const MAX_KEY_BYTES: usize = 128;
/// Stands before the digest of a key that is not told as it is.
const DIGEST_PREFIX: &str = "sha256:";

/// The service, and as whom it is asked.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) upstream: Arc<Upstream>,
    pub(super) domain: String,
    pub(super) timeout: Duration,
    /// Whose connections the keeper uses.
    pub(super) control_worker: usize,
}

impl Service {
    /// Asks by a descriptor that no limit has: whatever it answers, it answers.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let descriptor = RateLimitDescriptor { entries: vec![entry("probe", "lockgate".to_owned())], limit: None };
        self.ask(self.control_worker, vec![descriptor], NonZeroU32::MIN).await.map(drop)
    }

    /// Takes from all of these.
    pub(super) async fn take(&self, worker: usize, asks: &[&Ask<'_>]) -> Result<Vec<Levels>, StoreError> {
        let descriptors = asks.iter().flat_map(|ask| descriptors(ask)).collect();
        // One request has one cost; if there were several, the greatest lets nobody through who should not be.
        let cost = asks.iter().map(|ask| ask.cost).max().unwrap_or(NonZeroU32::MIN);
        read(asks, self.ask(worker, descriptors, cost).await?)
    }

    async fn ask(
        &self,
        worker: usize,
        descriptors: Vec<RateLimitDescriptor>,
        cost: NonZeroU32,
    ) -> Result<RateLimitResponse, StoreError> {
        let question = RateLimitRequest { domain: self.domain.clone(), descriptors, hits_addend: cost.get() };
        ask(&self.upstream, worker, PATH, &question, self.timeout).await.map_err(StoreError::Service)
    }
}

/// One for the rate and one for the quota, in the order in which their statuses are read.
fn descriptors(ask: &Ask<'_>) -> impl Iterator<Item = RateLimitDescriptor> {
    let config = &ask.limit.config;
    let name = match &config.tier {
        Some(tier) => format!("{}/{tier}", config.name),
        None => config.name.to_string(),
    };
    let Policy { rate, quota } = config.policy;
    let rate = rate.map(|rate| {
        let unit = match rate.window() {
            RateWindow::Second => RateLimitUnit::Second,
            RateWindow::Minute => RateLimitUnit::Minute,
            RateWindow::Hour => RateLimitUnit::Hour,
        };
        ("limit", rate.count(), unit)
    });
    let quota = quota.map(|quota| {
        let unit = match quota.window {
            QuotaWindow::Hour => RateLimitUnit::Hour,
            QuotaWindow::Day => RateLimitUnit::Day,
            QuotaWindow::Month => RateLimitUnit::Month,
        };
        ("quota", quota.count, unit)
    });
    let key = key(ask.key);
    [rate, quota].into_iter().flatten().map(move |(kind, count, unit)| RateLimitDescriptor {
        entries: vec![entry(kind, name.clone()), entry("key", key.clone())],
        limit: Some(RateLimitOverride { requests_per_unit: count.get(), unit: unit.into() }),
    })
}

fn entry(key: &str, value: String) -> Entry {
    Entry { key: key.to_owned(), value }
}

/// A key as text that is not empty: itself, or its digest where it is no such text, is long, or looks like a digest, so
/// that no two clients share a count.
fn key(key: &[u8]) -> String {
    let is_plain = |text: &&str| (1..=MAX_KEY_BYTES).contains(&text.len()) && !text.starts_with(DIGEST_PREFIX);
    if let Some(text) = std::str::from_utf8(key).ok().filter(is_plain) {
        return text.to_owned();
    }
    let digest = digest::digest(&SHA256, key);
    let mut text = DIGEST_PREFIX.to_owned();
    for byte in digest.as_ref() {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}

/// The overall code is not looked at: it also tells of limits that only watch.
fn read(asks: &[&Ask<'_>], response: RateLimitResponse) -> Result<Vec<Levels>, StoreError> {
    let mut statuses = response.statuses.into_iter();
    let mut levels = Vec::with_capacity(asks.len());
    for ask in asks {
        let Policy { rate, quota } = ask.limit.config.policy;
        let rate = match rate {
            Some(rate) => level(statuses.next(), rate.count(), rate.window().duration())?,
            None => None,
        };
        let quota = match quota {
            Some(quota) => level(statuses.next(), quota.count, quota.window.longest())?,
            None => None,
        };
        levels.push(Levels { rate, quota });
    }
    if statuses.next().is_some() { Err(StoreError::Answer) } else { Ok(levels) }
}

/// How one descriptor stands; nothing if the service has no limit for it. It is told under the policy that was asked
/// for, so no more is left than that has, and it does not last longer.
fn level(status: Option<DescriptorStatus>, count: NonZeroU32, window: Duration) -> Result<Option<Level>, StoreError> {
    let status = status.ok_or(StoreError::Answer)?;
    let is_refused = match status.code() {
        Code::Ok if status.current_limit.is_none() => return Ok(None),
        Code::Ok => false,
        Code::OverLimit => true,
        Code::Unknown => return Err(StoreError::Answer),
    };
    let reset = status.duration_until_reset.and_then(duration).unwrap_or(window).min(window);
    let remaining = status.limit_remaining.min(count.get());
    Ok(Some(Level { remaining, reset, wait: is_refused.then_some(reset) }))
}

/// `None` if it is negative. The conversion of prost's own overflows at the least number of seconds.
fn duration(duration: prost_types::Duration) -> Option<Duration> {
    let (seconds, nanos) = (u64::try_from(duration.seconds).ok()?, u32::try_from(duration.nanos).ok()?);
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into())))
}

#[cfg(test)]
mod tests {
    //! What may be answered, and what may be asked, at their edges.

    use std::sync::Arc;
    use std::time::Duration;

    use prometheus_client::metrics::counter::Counter;
    use prost_types::Duration as ProtoDuration;

    use super::{MAX_KEY_BYTES, descriptors, key, read};
    use crate::limit::Limits;
    use crate::limit::rule::Config;
    use crate::limit::store::{Kind, ServiceConfig, Store, StoreConfig, StoreError};
    use crate::limit::tests::{ask, limit};
    use crate::pb::envoy::service::ratelimit::v3::RateLimitResponse;
    use crate::pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus, RateLimit};
    use crate::telemetry::metrics::Metrics;
    use crate::upstream::config::Address;
    use crate::upstream::{self, Upstream};

    fn limits(configs: &[Config]) -> Limits {
        Limits::build(configs, None, &Metrics::new(), None).unwrap()
    }

    fn status(code: Code, remaining: u32, seconds: i64) -> DescriptorStatus {
        DescriptorStatus {
            code: code.into(),
            current_limit: Some(RateLimit::default()),
            limit_remaining: remaining,
            duration_until_reset: Some(ProtoDuration { seconds, nanos: 0 }),
        }
    }

    #[tokio::test]
    async fn a_store_survives_a_reload_that_keeps_its_upstream() {
        let upstream = |name: &str| {
            let address = Address::Tcp { host: "127.0.0.1".into(), port: 1 };
            Arc::new(Upstream::new(upstream::Config::new(name, vec![address]), 1, Counter::default()).unwrap())
        };
        let kind = |domain: &str| Kind::Service(ServiceConfig { upstream: "b".into(), domain: domain.into() });
        let config = StoreConfig::new(kind("d"));
        let upstreams = [upstream("a"), upstream("b")];
        let store = Store::open(&config, &upstreams, 0, None).unwrap();
        let again = |config: &StoreConfig, upstreams: &[Arc<Upstream>]| {
            Arc::ptr_eq(&store, &Store::open(config, upstreams, 0, Some(&store)).unwrap())
        };
        assert!(again(&config, &upstreams));
        assert!(!again(&config, &[upstream("b")]), "its connections are others");
        assert!(!again(&StoreConfig::new(kind("e")), &upstreams));
        let error = Store::open(&config, &upstreams[..1], 0, None).unwrap_err().to_string();
        assert_eq!(error, "there is no upstream \"b\" to be the rate limit store");
    }

    #[test]
    fn keys_are_told_as_they_are_up_to_a_bound_and_never_meet() {
        let long = "x".repeat(MAX_KEY_BYTES);
        for plain in ["mira", "192.0.2.1", "ü", &long] {
            assert_eq!(key(plain.as_bytes()), plain);
        }
        let longer = format!("{long}x");
        let digest = key(longer.as_bytes());
        let digests: Vec<_> = [&b""[..], b"\xff", longer.as_bytes(), digest.as_bytes()].into_iter().map(key).collect();
        for (at, text) in digests.iter().enumerate() {
            assert!(text.starts_with("sha256:") && text.len() == 7 + 64, "{text}");
            assert!(!digests[..at].contains(text), "{text}");
        }
    }

    #[test]
    fn a_limit_is_a_descriptor_for_its_rate_and_one_for_its_quota() {
        let tiered = Config { tier: Some("free".into()), ..limit("l", "5/m", "9/mo") };
        let limits = limits(&[tiered]);
        let ask = ask(limits.find("l", Some("free")).unwrap(), "k", 2);
        let told: Vec<_> = descriptors(&ask)
            .map(|descriptor| {
                let entries: Vec<_> =
                    descriptor.entries.into_iter().map(|entry| format!("{}={}", entry.key, entry.value)).collect();
                let limit = descriptor.limit.unwrap();
                (entries.join(","), limit.requests_per_unit, limit.unit)
            })
            .collect();
        assert_eq!(told, [("limit=l/free,key=k".into(), 5, 2), ("quota=l/free,key=k".into(), 9, 5)]);
    }

    #[test]
    fn an_answer_is_held_within_what_was_asked() {
        let limits = limits(&[limit("l", "5/m", "9/d")]);
        let ask = ask(limits.find("l", None).unwrap(), "k", 1);
        let answer = |statuses| read(&[&ask], RateLimitResponse { overall_code: 0, statuses });
        let levels = answer(vec![status(Code::Ok, u32::MAX, i64::MAX), status(Code::OverLimit, 0, i64::MIN)]).unwrap();
        let (rate, quota) = (levels[0].rate.unwrap(), levels[0].quota.unwrap());
        assert_eq!((rate.remaining, rate.reset, rate.wait), (5, Duration::from_secs(60), None));
        assert_eq!((quota.remaining, quota.wait), (0, Some(Duration::from_secs(86_400))));
        assert!(levels[0].refused());
        let bare = DescriptorStatus { code: Code::Ok.into(), ..DescriptorStatus::default() };
        let levels = answer(vec![bare, status(Code::Ok, 3, 4)]).unwrap();
        assert!(levels[0].rate.is_none() && levels[0].quota.unwrap().reset == Duration::from_secs(4));
    }

    #[test]
    fn what_can_not_be_understood_is_no_answer() {
        let limits = limits(&[limit("l", "5/m", "9/d")]);
        let ask = ask(limits.find("l", None).unwrap(), "k", 1);
        let good = || status(Code::Ok, 1, 1);
        let odd = |code| DescriptorStatus { code, ..good() };
        for statuses in [
            vec![],
            vec![good()],
            vec![good(), good(), good()],
            vec![good(), odd(0)],
            vec![odd(3), good()],
            vec![odd(-1), good()],
        ] {
            let answer = read(&[&ask], RateLimitResponse { overall_code: 1, statuses });
            assert!(matches!(answer, Err(StoreError::Answer)), "{answer:?}");
        }
    }
}
