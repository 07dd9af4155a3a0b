//! The reload: what changes on disk, or in what upstreams say of themselves, becomes the next gateway, or is refused
//! as a whole while the old one keeps serving.
//!
//! Files are looked at a few times a second rather than watched through the kernel: it is one way for in-place writes,
//! renames, links that are swapped and network file systems, and costs a few `stat` calls.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use super::Reread;
use super::certificates::Certificates;
use super::guard::{Keeping, store_is_there};
use super::load::{Environment, load};
use super::reflection::Asking;
use super::sources::Fingerprint;
use crate::admin::Health;
use crate::config::Config;
use crate::gateway::{Current, Problem};
use crate::schema::load::SourceSet;
use crate::upstream::reflect;

/// How often files are looked at. A change is loaded once two looks see the same, so that a file is not read while it
/// is being written.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a refused configuration is called among the things that may be refused; no listener has an empty name.
const CONFIGURATION: &str = "";

/// What a refused signing key is called there. No listener is called so: names have no NUL.
const SIGNING_KEY: &str = "\0auth.sign";

/// What wakes the reload besides files.
#[derive(Debug)]
pub(super) enum Event {
    /// An upstream said of itself what it serves.
    Reflected(SourceSet),
    /// The process ends.
    Stop,
}

/// The reload of one process.
pub(super) struct Reload {
    pub(super) config: Config,
    pub(super) reread: Reread,
    pub(super) environment: Environment,
    pub(super) current: Current,
    pub(super) health: Arc<Health>,
    /// The files as they were before they were loaded.
    pub(super) loaded: Fingerprint,
    pub(super) certificates: Certificates,
    pub(super) asking: Asking,
    pub(super) keeping: Keeping,
}

impl Reload {
    /// Runs until it is told to stop.
    pub(super) fn run(mut self, inbox: &Receiver<Event>) {
        let mut reflected: Vec<SourceSet> = Vec::new();
        let mut seen = self.loaded.clone();
        self.asking.follow(&self.config);
        self.keeping.follow(&self.current.load().guard().providers);
        loop {
            let told = match inbox.recv_timeout(LOOK_EVERY) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Event::Reflected(set)) => {
                    reflected.retain(|known| known.origin != set.origin);
                    reflected.push(set);
                    true
                }
                Err(RecvTimeoutError::Timeout) => false,
            };
            if !told {
                self.certificates.look();
                self.look_at_the_signing_key();
            }
            let now = Fingerprint::take(&self.config);
            let settled = now == std::mem::replace(&mut seen, now.clone());
            if told || (settled && now != self.loaded) {
                self.loaded = now;
                self.reload(&reflected);
                let names = &self.config.descriptors.reflection;
                reflected.retain(|set| names.iter().any(|name| reflect::origin(name) == set.origin));
            }
        }
    }

    fn reload(&mut self, reflected: &[SourceSet]) {
        let previous = self.current.load_full();
        let next = match self.config.file {
            Some(_) => (self.reread)(),
            None => Ok(self.config.clone()),
        };
        let next = next.and_then(|config| {
            // It may name other files than the last one did; before they are read, as at the start.
            let loaded = Fingerprint::take(&config);
            let gateway = load(&config, &self.environment, Some(&previous), reflected)?;
            Ok((config, loaded, gateway))
        });
        match next {
            Ok((config, loaded, gateway)) => {
                self.loaded = loaded;
                self.note_what_needs_a_restart(&config);
                let routes = gateway.endpoints().len();
                self.keeping.follow(&gateway.guard().providers);
                self.environment.control.block_on(store_is_there(gateway.guard()));
                if !gateway.guard().signs_as(previous.guard()) {
                    // What was refused was the key of another signer.
                    self.health.reload_succeeded(SIGNING_KEY);
                }
                self.current.store(Arc::new(gateway));
                self.config = config;
                self.asking.follow(&self.config);
                self.health.reload_succeeded(CONFIGURATION);
                self.environment.metrics.reload_succeeded();
                tracing::info!(routes, "the configuration was reloaded");
            }
            Err(problems) => self.refuse(&problems),
        }
    }

    /// The key of the gateway's own tokens is swapped beneath the gateway, as certificates are.
    fn look_at_the_signing_key(&self) {
        let Some(signer) = self.current.load().guard().signer.clone() else { return };
        match signer.reload() {
            Ok(false) => {}
            Ok(true) => {
                self.health.reload_succeeded(SIGNING_KEY);
                tracing::info!("the signing key is loaded");
            }
            Err(error) => {
                self.environment.metrics.signing_key_reload_failures.inc();
                self.health.reload_failed(SIGNING_KEY, SystemTime::now(), vec![format!("auth.sign: {error}")]);
                tracing::error!(%error, "a changed signing key was refused: the old one stays");
            }
        }
    }

    fn refuse(&self, problems: &[Problem]) {
        let at = SystemTime::now();
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        tracing::error!(problems = told.join("; "), "a reload was refused: the old configuration keeps serving");
        self.environment.metrics.reload_failed(at);
        self.health.reload_failed(CONFIGURATION, at, told);
    }

    /// Sockets and threads are made once.
    fn note_what_needs_a_restart(&self, next: &Config) {
        let changed = next.listeners != self.config.listeners
            || next.admin != self.config.admin
            || next.runtime != self.config.runtime
            || next.access_log != self.config.access_log;
        if changed {
            tracing::warn!("listeners, admin, runtime and telemetry take effect only when the process starts anew");
        }
    }
}
