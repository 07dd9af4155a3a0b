//! Asking upstreams what they serve, until they answer and now and then after that.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::reload::Event;
use crate::config::Config;
use crate::gateway::Current;
use crate::upstream::reflect;

/// The first pause after a failure; it doubles up to [`ASK_EVERY`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How often an upstream that answered is asked again: it may have been replaced by a newer one.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// Starts a task for each upstream that is to be asked; they end with the runtime.
pub(super) fn start(config: &Config, current: &Current, worker: usize, events: &Sender<Event>) {
    for name in &config.descriptors.reflection {
        tokio::spawn(ask(name.clone(), current.clone(), worker, events.clone()));
    }
}

async fn ask(name: String, current: Current, worker: usize, events: Sender<Event>) {
    let mut known = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let gateway = current.load_full();
        let upstream = gateway.upstreams().iter().find(|upstream| upstream.config().name == name).map(Arc::clone);
        drop(gateway);
        let Some(upstream) = upstream else { return };
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
