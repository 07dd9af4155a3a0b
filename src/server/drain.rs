//! How a process goes: new connections until `Draining`, running requests until `Cut`.

use tokio::sync::watch;

/// How far the process has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Connections and requests are taken.
    Serving,
    /// No new connection is taken; kept ones are closed between requests, and running requests go on.
    Draining,
    /// What still runs is cut.
    Cut,
}

/// Tells every connection how far the process has gone.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<Phase>);

/// The other end: moves the process on.
#[derive(Debug)]
pub struct Drainer(watch::Sender<Phase>);

/// Both ends, at [`Phase::Serving`].
#[must_use]
pub fn channel() -> (Drainer, Drain) {
    let (sender, receiver) = watch::channel(Phase::Serving);
    (Drainer(sender), Drain(receiver))
}

impl Drainer {
    /// Moves on to this phase; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let further = phase > *current;
            *current = phase.max(*current);
            further
        });
    }
}

impl Drain {
    /// Waits for this phase, or a later one. A process whose drainer is gone is at its end.
    pub async fn reached(&mut self, phase: Phase) {
        // An error says that the drainer was dropped.
        let _ = self.0.wait_for(|current| *current >= phase).await;
    }
}
