//! What a backend saw of one call, told to the test that made it.
//!
//! A test puts the probe's header on its request; the backend finds the probe by the metadata that it becomes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Semaphore;

use super::PATIENCE;

static PROBES: LazyLock<Mutex<HashMap<String, Arc<State>>>> = LazyLock::new(Mutex::default);

/// One thing that happened at the backend.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A call began. Binary metadata is in base64.
    Called { method: String, metadata: Vec<(String, String)> },
    /// A request message came, as the oracle prints it.
    Message(Value),
    /// The request stream came to its end.
    RequestEnded,
    /// The request stream broke off.
    RequestBroken,
    /// This message of the answer was asked for, and handed over.
    Produced(u32),
    /// The call came to its own end.
    Finished,
    /// The caller went away before.
    Cancelled,
}

/// A test's view of its calls.
pub(crate) struct Probe {
    id: String,
    state: Arc<State>,
}

/// The backend's side.
pub(crate) struct State {
    events: Mutex<Vec<Event>>,
    changed: Condvar,
    gate: Option<Semaphore>,
}

impl Probe {
    /// Only watches.
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    /// Holds back every message of the answer until the test lets it pass.
    pub(crate) fn gated() -> Self {
        Self::with(Some(Semaphore::new(0)))
    }

    fn with(gate: Option<Semaphore>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let id = format!("p{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let state = Arc::new(State { events: Mutex::default(), changed: Condvar::new(), gate });
        PROBES.lock().unwrap().insert(id.clone(), Arc::clone(&state));
        Self { id, state }
    }

    /// The header that marks a request as this probe's.
    pub(crate) fn header(&self) -> String {
        format!("x-probe: {}", self.id)
    }

    /// The value of that header.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Lets this many messages pass.
    pub(crate) fn pass(&self, count: usize) {
        self.state.gate.as_ref().expect("only a gated probe holds anything back").add_permits(count);
    }

    /// Everything so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.state.events.lock().unwrap().clone()
    }

    /// Waits until one of the events is like this.
    pub(crate) fn find(&self, limit: Duration, like: impl Fn(&Event) -> bool) -> Option<Event> {
        let deadline = Instant::now() + limit;
        let mut events = self.state.events.lock().unwrap();
        loop {
            if let Some(event) = events.iter().find(|event| like(event)) {
                return Some(event.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            events = self.state.changed.wait_timeout(events, left).unwrap().0;
        }
    }

    /// Waits for an event that is like this, and fails the test if it does not come.
    #[track_caller]
    pub(crate) fn expect(&self, like: impl Fn(&Event) -> bool) -> Event {
        self.find(PATIENCE, like).unwrap_or_else(|| panic!("it never came; what came: {:#?}", self.events()))
    }

    /// The metadata of the call.
    #[track_caller]
    pub(crate) fn metadata(&self) -> Vec<(String, String)> {
        match self.expect(|event| matches!(event, Event::Called { .. })) {
            Event::Called { metadata, .. } => metadata,
            _ => unreachable!("it was looked for"),
        }
    }

    /// The values of one metadata key.
    #[track_caller]
    pub(crate) fn metadata_of(&self, key: &str) -> Vec<String> {
        self.metadata().into_iter().filter(|(name, _)| name == key).map(|(_, value)| value).collect()
    }

    /// The request messages so far.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let message = |event| if let Event::Message(json) = event { Some(json) } else { None };
        self.events().into_iter().filter_map(message).collect()
    }

    /// How often the backend was called.
    pub(crate) fn calls(&self) -> usize {
        self.events().iter().filter(|event| matches!(event, Event::Called { .. })).count()
    }

    /// How many messages of the answer were handed over.
    pub(crate) fn produced(&self) -> usize {
        self.events().iter().filter(|event| matches!(event, Event::Produced(_))).count()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Ok(mut probes) = PROBES.lock() {
            probes.remove(&self.id);
        }
    }
}

impl State {
    /// The probe of a call.
    pub(crate) fn of(id: Option<&str>) -> Option<Arc<Self>> {
        PROBES.lock().unwrap().get(id?).cloned()
    }

    /// Tells the test.
    pub(crate) fn tell(&self, event: Event) {
        self.events.lock().unwrap().push(event);
        self.changed.notify_all();
    }

    /// Waits until the test lets a message pass.
    pub(crate) async fn passed(&self) {
        if let Some(gate) = &self.gate {
            gate.acquire().await.expect("the gate is never closed").forget();
        }
    }
}
