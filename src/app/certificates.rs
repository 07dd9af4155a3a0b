//! The files of the listeners' TLS, looked at beside the others: what changes is swapped in for new connections, and
//! touches neither the gateway nor a connection that is open.

use std::sync::Arc;
use std::time::SystemTime;

use super::sources::Fingerprint;
use crate::admin::Health;
use crate::server::Bound;
use crate::telemetry::metrics::Metrics;
use crate::tls::server::ServerTls;

/// One listener's.
struct Watched {
    listener: String,
    tls: Arc<ServerTls>,
    /// The files as they were before they were loaded.
    loaded: Fingerprint,
    seen: Fingerprint,
}

/// Those of every listener that has TLS.
pub(super) struct Certificates {
    watched: Vec<Watched>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Certificates {
    /// Of listeners that were just opened.
    pub(super) fn of(listeners: &[Bound], metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        let watch = |listener: &Bound| {
            let tls = listener.tls()?.clone();
            metrics.tls_expiry(listener.name(), tls.expiry());
            // Files that changed since they were read are read twice at most: the first look says so.
            let never = Fingerprint::default();
            Some(Watched { listener: listener.name().to_owned(), tls, loaded: never.clone(), seen: never })
        };
        let watched = listeners.iter().filter_map(watch).collect();
        Self { watched, metrics, health }
    }

    /// Looks at the files once. A change is loaded once two looks see the same.
    pub(super) fn look(&mut self) {
        for watched in &mut self.watched {
            let now = Fingerprint::of(watched.tls.config().files());
            let settled = now == std::mem::replace(&mut watched.seen, now.clone());
            if settled && now != watched.loaded {
                watched.loaded = now;
                watched.reload(&self.metrics, &self.health);
            }
        }
    }
}

impl Watched {
    fn reload(&self, metrics: &Metrics, health: &Health) {
        let listener = &self.listener;
        match self.tls.reload() {
            Ok(()) => {
                metrics.tls_expiry(listener, self.tls.expiry());
                health.reload_succeeded(listener);
                tracing::info!(listener, "the certificates are loaded");
            }
            Err(error) => {
                metrics.tls_reload_failed(listener);
                health.reload_failed(listener, SystemTime::now(), vec![format!("listener {listener:?}: {error}")]);
                tracing::error!(listener, %error, "changed certificates were refused: the old ones stay");
            }
        }
    }
}
