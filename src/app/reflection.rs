//! Asking upstreams what they serve, until they answer and now and then after that.
//!
//! What they say is an [`Event`] for the reload, which alone makes gateways.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::reload::Event;
use crate::config::Config;
use crate::gateway::Current;
use crate::upstream::reflect;

/// The first pause after a failure; it doubles up to [`ASK_EVERY`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How often an upstream that answered is asked again: it may have been replaced by a newer one.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// The tasks that ask, one for each upstream that is to be asked.
pub(super) struct Asking {
    pub(super) runtime: Handle,
    pub(super) current: Current,
    /// The worker whose connections the control plane uses.
    pub(super) worker: usize,
    pub(super) events: Sender<Event>,
    pub(super) tasks: HashMap<String, AbortHandle>,
}

impl Asking {
    /// Asks those that the configuration names, and no others.
    pub(super) fn follow(&mut self, config: &Config) {
        let names = &config.descriptors.reflection;
        self.tasks.retain(|name, task| {
            let named = names.contains(name);
            if !named {
                task.abort();
            }
            named
        });
        for name in names {
            if !self.tasks.contains_key(name) {
                let asking = ask(name.clone(), self.current.clone(), self.worker, self.events.clone());
                self.tasks.insert(name.clone(), self.runtime.spawn(asking).abort_handle());
            }
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.tasks.values().for_each(AbortHandle::abort);
    }
}

async fn ask(name: String, current: Current, worker: usize, events: Sender<Event>) {
    let mut known = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let gateway = current.load_full();
        let upstream = gateway.upstreams().iter().find(|upstream| upstream.config().name == name).map(Arc::clone);
        drop(gateway);
        let Some(upstream) = upstream else {
            // The configuration that names it is not yet the one that serves.
            tokio::time::sleep(FIRST_PAUSE).await;
            continue;
        };
        match reflect::descriptors(&upstream, worker).await {
            Ok(set) => {
                pause = ASK_EVERY;
                if known.as_ref() != Some(&set.bytes) {
                    known = Some(set.bytes.clone());
                    tracing::info!(upstream = name, "the upstream has described its services");
                    if events.send(Event::Reflected(set)).is_err() {
                        return;
                    }
                }
            }
            Err(status) => {
                if pause == FIRST_PAUSE {
                    tracing::warn!(upstream = name, %status, "the upstream did not describe its services: asking on");
                }
                pause = (pause * 2).min(ASK_EVERY);
            }
        }
        tokio::time::sleep(pause).await;
    }
}
