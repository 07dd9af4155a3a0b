//! The metrics of the process, in the Prometheus text format.
//!
//! Handles are looked up when a configuration loads; a request touches atomics only.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::status::Code;

/// Upper bounds of the latency buckets, in seconds.
const LATENCY_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// One method of one service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    service: String,
    method: String,
}

/// One method and how its requests ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    service: String,
    method: String,
    code: Code,
}

/// One named limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: String,
}

/// One named limit and what it said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitResultLabels {
    limit: String,
    result: &'static str,
}

/// One provider of identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    provider: String,
}

/// One external decider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeciderLabels {
    decider: String,
}

/// Why a request was not let through.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

/// How a reload ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: &'static str,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: String,
}

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.name().encode(encoder)
    }
}

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<CodeLabels, Counter>,
    durations: Family<MethodLabels, Histogram, fn() -> Histogram>,
    in_flight: Family<MethodLabels, Gauge>,
    request_bytes: Family<CodeLabels, Counter>,
    response_bytes: Family<CodeLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    external_errors: Family<DeciderLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    reload_failing_since: Gauge<f64, AtomicU64>,
    limit_results: Family<LimitResultLabels, Counter>,
    limit_dropped_keys: Family<LimitLabels, Counter>,
    limit_store_errors: Family<LimitLabels, Counter>,
    tls_reload_failures: Family<ListenerLabels, Counter>,
    tls_expiry: Family<ListenerLabels, Gauge<f64, AtomicU64>>,
    /// Changed signing keys that were refused.
    pub signing_key_reload_failures: Counter,
    /// Connections open now.
    pub connections: Gauge,
    /// Values of `x-http-code` that were passed over.
    pub ignored_status_overrides: Counter,
    /// Calls that were sent again because the upstream had not begun them.
    pub resent_calls: Counter,
    access_log_dropped: Counter,
    log_dropped: Counter,
    /// Whether the store of shared limits can be asked; set when metrics are read.
    pub limit_store_connected: Gauge,
    issuer_keys: Family<ProviderLabels, Gauge<f64, AtomicU64>>,
    provider_failures: Family<ProviderLabels, Gauge>,
    introspection_failures: Family<ProviderLabels, Gauge>,
}

/// The handles of one method.
#[derive(Debug)]
pub struct MethodMetrics {
    labels: MethodLabels,
    codes: [OnceLock<CodeMetrics>; Code::ALL.len()],
    duration: Histogram,
    /// Requests that are being served now.
    pub in_flight: Gauge,
}

#[derive(Debug)]
struct CodeMetrics {
    requests: Counter,
    request_bytes: Counter,
    response_bytes: Counter,
}

/// The handles of one limit.
#[derive(Clone, Debug, Default)]
pub struct LimitMetrics {
    /// Requests that passed it and every other limit they were held to.
    pub allowed: Counter,
    pub refused: Counter,
    /// Requests that it would have refused, were it not only watching.
    pub shadowed: Counter,
    pub dropped_keys: Counter,
    pub store_errors: Counter,
}

/// What one request adds.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    pub code: Code,
    pub duration: Duration,
    pub request_bytes: u64,
    pub response_bytes: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Every metric at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("lockgate"),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
            in_flight: Family::default(),
            request_bytes: Family::default(),
            response_bytes: Family::default(),
            refusals: Family::default(),
            external_errors: Family::default(),
            reloads: Family::default(),
            reload_failing_since: Gauge::default(),
            limit_results: Family::default(),
            limit_dropped_keys: Family::default(),
            limit_store_errors: Family::default(),
            tls_reload_failures: Family::default(),
            tls_expiry: Family::default(),
            signing_key_reload_failures: Counter::default(),
            connections: Gauge::default(),
            ignored_status_overrides: Counter::default(),
            resent_calls: Counter::default(),
            access_log_dropped: Counter::default(),
            log_dropped: Counter::default(),
            limit_store_connected: Gauge::default(),
            issuer_keys: Family::default(),
            provider_failures: Family::default(),
            introspection_failures: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests that were answered", self.requests.clone());
        let help = "Time from a request's head to the end of its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, self.durations.clone());
        registry.register("requests_in_flight", "Requests that are being served", self.in_flight.clone());
        let help = "Bytes of request bodies";
        registry.register_with_unit("request_body", help, Unit::Bytes, self.request_bytes.clone());
        let help = "Bytes of response bodies";
        registry.register_with_unit("response_body", help, Unit::Bytes, self.response_bytes.clone());
        registry.register("reloads", "Changes of configuration or descriptors, by result", self.reloads.clone());
        let help = "Unix time since which a changed configuration or descriptor set is refused, 0 if none is";
        registry.register("reload_failing_since", help, self.reload_failing_since.clone());
        let help = "Changed certificates of a listener that were refused while the old ones stay";
        registry.register("tls_reload_failures", help, self.tls_reload_failures.clone());
        let help = "Unix time at which the first of a listener's certificates ends";
        registry.register_with_unit("tls_certificate_expiry", help, Unit::Seconds, self.tls_expiry.clone());
        let help = "Changed keys of the gateway's own tokens that were refused";
        registry.register("signing_key_reload_failures", help, self.signing_key_reload_failures.clone());
        registry.register("connections", "Client connections that are open", self.connections.clone());
        let help = "Values of x-http-code outside 2xx and 3xx that were passed over";
        registry.register("ignored_status_overrides", help, self.ignored_status_overrides.clone());
        let help = "Calls sent again because the upstream had not begun them";
        registry.register("resent_calls", help, self.resent_calls.clone());
        let help = "Access-log lines dropped because the log could not be written fast enough";
        registry.register("access_log_dropped", help, self.access_log_dropped.clone());
        let help = "Lines of the log dropped because it could not be written fast enough";
        registry.register("log_dropped", help, self.log_dropped.clone());
        let help = "Whether the store of shared limits answered when it was asked last, about a second ago at most";
        registry.register("limit_store_connected", help, self.limit_store_connected.clone());
        let help = "When an issuer's keys were read last, in seconds since 1970; 0 for never";
        registry.register("issuer_keys_read_seconds", help, self.issuer_keys.clone());
        let help = "Looks of a provider for its keys, in files or at issuers, that failed since the start";
        registry.register("provider_failures", help, self.provider_failures.clone());
        let help = "Tokens that an introspection endpoint gave no answer about since the start";
        registry.register("introspection_failures", help, self.introspection_failures.clone());
        let help = "Requests that were not let through, by the reason that the client is not told";
        registry.register("refused_requests", help, self.refusals.clone());
        let help = "Requests for which an external decider gave no decision";
        registry.register("external_errors", help, self.external_errors.clone());
        let help = "Requests that a limit was asked for, by what it said; shadowed ones it would have refused";
        registry.register("limit_requests", help, self.limit_results.clone());
        let help = "Keys that a limit forgot because it held as many as it may";
        registry.register("limit_dropped_keys", help, self.limit_dropped_keys.clone());
        let help = "Requests for which the store of a shared limit could not be asked";
        registry.register("limit_store_errors", help, self.limit_store_errors.clone());
    }

    /// The handles of one method.
    #[must_use]
    pub fn method(&self, service: &str, method: &str) -> MethodMetrics {
        let labels = MethodLabels { service: service.to_owned(), method: method.to_owned() };
        MethodMetrics {
            codes: [const { OnceLock::new() }; Code::ALL.len()],
            duration: self.durations.get_or_create(&labels).clone(),
            in_flight: self.in_flight.get_or_create(&labels).clone(),
            labels,
        }
    }

    /// The handles of one limit.
    #[must_use]
    pub fn limit(&self, name: &str) -> LimitMetrics {
        let result = |result| {
            let labels = LimitResultLabels { limit: name.to_owned(), result };
            self.limit_results.get_or_create(&labels).clone()
        };
        let labels = LimitLabels { limit: name.to_owned() };
        LimitMetrics {
            allowed: result("allowed"),
            refused: result("refused"),
            shadowed: result("shadowed"),
            dropped_keys: self.limit_dropped_keys.get_or_create(&labels).clone(),
            store_errors: self.limit_store_errors.get_or_create(&labels).clone(),
        }
    }

    /// What counts the requests for which an external decider gave no decision.
    #[must_use]
    pub fn external_errors(&self, decider: &str) -> Counter {
        self.external_errors.get_or_create(&DeciderLabels { decider: decider.to_owned() }).clone()
    }

    /// Notes when an issuer's keys were read last.
    pub fn issuer_keys(&self, provider: &str, last_success: Option<SystemTime>) {
        let labels = ProviderLabels { provider: provider.to_owned() };
        let since = last_success.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
        self.issuer_keys.get_or_create(&labels).set(since.as_secs_f64());
    }

    /// Notes how often a provider failed.
    pub fn provider_failures(&self, provider: &str, failures: u64) {
        let labels = ProviderLabels { provider: provider.to_owned() };
        self.provider_failures.get_or_create(&labels).set(i64::try_from(failures).unwrap_or(i64::MAX));
    }

    /// Notes how often an introspection endpoint gave no answer.
    pub fn introspection(&self, provider: &str, failures: u64) {
        let labels = ProviderLabels { provider: provider.to_owned() };
        self.introspection_failures.get_or_create(&labels).set(i64::try_from(failures).unwrap_or(i64::MAX));
    }

    /// Counts a request that was not let through, for this reason.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { reason }).inc();
    }

    /// Adds a finished request.
    pub fn observe(&self, method: &MethodMetrics, observation: &Observation) {
        method.duration.observe(observation.duration.as_secs_f64());
        let Some(slot) = method.codes.get(usize::from(observation.code.number())) else { return };
        let code = slot.get_or_init(|| self.code(&method.labels, observation.code));
        code.requests.inc();
        code.request_bytes.inc_by(observation.request_bytes);
        code.response_bytes.inc_by(observation.response_bytes);
    }

    fn code(&self, method: &MethodLabels, code: Code) -> CodeMetrics {
        let labels = CodeLabels { service: method.service.clone(), method: method.method.clone(), code };
        CodeMetrics {
            requests: self.requests.get_or_create(&labels).clone(),
            request_bytes: self.request_bytes.get_or_create(&labels).clone(),
            response_bytes: self.response_bytes.get_or_create(&labels).clone(),
        }
    }

    /// Notes that a reload took effect.
    pub fn reload_succeeded(&self) {
        self.reloads.get_or_create(&ReloadLabels { result: "success" }).inc();
        self.reload_failing_since.set(0.0);
    }

    /// Notes that a reload was refused at this time; the first refusal in a row is the one that is told.
    pub fn reload_failed(&self, at: SystemTime) {
        self.reloads.get_or_create(&ReloadLabels { result: "failure" }).inc();
        if self.reload_failing_since.get() == 0.0 {
            let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.reload_failing_since.set(since.as_secs_f64());
        }
    }

    /// Notes when the first of a listener's certificates ends.
    pub fn tls_expiry(&self, listener: &str, at: SystemTime) {
        let labels = ListenerLabels { listener: listener.to_owned() };
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.tls_expiry.get_or_create(&labels).set(seconds);
        // From now on it is there at 0, so that its first rise is seen.
        drop(self.tls_reload_failures.get_or_create(&labels));
    }

    /// Notes that changed certificates of a listener were refused.
    pub fn tls_reload_failed(&self, listener: &str) {
        self.tls_reload_failures.get_or_create(&ListenerLabels { listener: listener.to_owned() }).inc();
    }

    /// The whole registry as text, with the access log's own count of dropped lines.
    ///
    /// # Errors
    /// Only if a metric can't be formatted.
    pub fn print(&self, access_log_dropped: u64) -> Result<String, std::fmt::Error> {
        self.access_log_dropped.inc_by(access_log_dropped.saturating_sub(self.access_log_dropped.get()));
        self.log_dropped.inc_by(super::log::dropped().saturating_sub(self.log_dropped.get()));
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}
