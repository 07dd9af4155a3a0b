//! What an HTTP/1 connection's bytes pass before hyper sees them: [`Watch`] with the bytes that it holds back.
//!
//! A request that is refused is never shown to hyper. In its place comes one of the gateway's own, which is answered
//! with the fault after every request before it; then the connection ends.

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use http::Method;

use crate::protocol::http1::{self, Refused, Then, Watch};

/// What hyper is shown for a request that is refused.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// The refusal of a connection, told to whoever answers it.
#[derive(Debug, Default)]
pub(super) struct Refusal(OnceLock<(usize, Refused)>);

impl Refusal {
    /// Why the request with this number, from 0, is refused.
    pub(super) fn of(&self, number: usize) -> Option<&Refused> {
        self.0.get().filter(|(refused, _)| *refused == number).map(|(_, refused)| refused)
    }
}

/// The gate of one connection.
#[derive(Debug)]
pub(super) struct Gate {
    watch: Watch,
    /// Of a head that is not whole.
    pub(super) held: BytesMut,
    refusal: Arc<Refusal>,
}

/// What becomes of bytes at the gate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// So many pass; the rest is held, or gone.
    pub(super) count: usize,
    /// What follows them.
    pub(super) then: Next,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More bytes of the client.
    Read,
    /// These, and nothing more.
    Instead(Bytes),
    /// The end: the body can't be followed.
    Broken,
}

impl Gate {
    /// Before the first byte, of which `held` is the beginning.
    pub(super) fn new(max_head_bytes: usize, held: BytesMut) -> Self {
        Self { watch: Watch::new(max_head_bytes), held, refusal: Arc::default() }
    }

    pub(super) fn refusal(&self) -> Arc<Refusal> {
        self.refusal.clone()
    }

    /// Whether the client has nothing under way.
    pub(super) fn at_rest(&self) -> bool {
        self.watch.between_requests() && self.held.is_empty()
    }

    /// Bytes that came while none were held: what does not pass is held from now on.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Passed {
        let seen = self.watch.look(bytes);
        if seen.then == Then::Hold {
            self.held.extend_from_slice(bytes.get(seen.pass..).unwrap_or_default());
        }
        let method = || http1::method(bytes.get(seen.pass..).unwrap_or_default());
        Passed { count: seen.pass, then: self.next(seen.then, method) }
    }

    /// What has become of the bytes that are held, after more came.
    pub(super) fn release(&mut self) -> (Bytes, Next) {
        let seen = self.watch.look(&self.held);
        let released = self.held.split_to(seen.pass).freeze();
        let held = std::mem::take(&mut self.held);
        let next = self.next(seen.then, || http1::method(&held));
        if next == Next::Read {
            self.held = held;
        }
        (released, next)
    }

    /// `method` is that of the head that is refused.
    fn next(&mut self, then: Then, method: impl FnOnce() -> Option<Method>) -> Next {
        match then {
            Then::Nothing | Then::Hold => Next::Read,
            Then::Break => Next::Broken,
            Then::Refuse(fault) => {
                self.held.clear();
                // It is set once: nothing is looked at after it.
                let _ = self.refusal.0.set((self.watch.heads(), Refused { fault, method: method() }));
                Next::Instead(Bytes::from_static(STAND_IN))
            }
        }
    }
}
