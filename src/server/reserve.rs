//! A descriptor kept for when there are no others: with it, those who wait are told that nobody will come.
//!
//! A process without a free descriptor can't accept, and the kernel tells it of the same connection again and again.
//! Giving the reserve up for a moment, it accepts that one and closes it; then it pauses, so that it does not spin.

use std::fs::File;
use std::io;
use std::time::Duration;

use super::listener::{Accepting, Terms};

/// The pause after accepting failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many connections are closed before each pause.
const SHED_AT_ONCE: usize = 64;

/// How long the acceptance of one that is said to wait may take.
const SHED_WAIT: Duration = Duration::from_millis(1);

/// `EMFILE` and `ENFILE`, the same on every Unix that this is built for.
const OUT_OF_DESCRIPTORS: [i32; 2] = [24, 23];

/// The descriptor; `None` if there was none to be had when it was last tried.
#[derive(Debug)]
pub(super) struct Reserve(Option<File>);

impl Reserve {
    pub(super) fn take() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// What is to be done before accepting is tried again.
    pub(super) async fn accept_failed(&mut self, socket: &Accepting, terms: &Terms, error: &io::Error) {
        use io::ErrorKind;
        // These concern the one connection that was to be accepted.
        let of_client = [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::ConnectionRefused]
            .contains(&error.kind());
        if of_client {
            return;
        }
        tracing::warn!(listener = terms.name, %error, "accepting a connection failed");
        if error.raw_os_error().is_some_and(|number| OUT_OF_DESCRIPTORS.contains(&number)) {
            for _ in 0..SHED_AT_ONCE {
                self.0 = None;
                let accepted = tokio::time::timeout(SHED_WAIT, socket.accept(terms.limits.write_stall)).await;
                // It is closed before its descriptor is the reserve again.
                let shed = matches!(accepted, Ok(Ok(_)));
                drop(accepted);
                *self = Self::take();
                if !shed {
                    break;
                }
            }
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
