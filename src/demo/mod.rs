//! Stand-in until the module arrives.

use std::io;
use std::net::SocketAddr;

/// The descriptors of the shop's services with their imports.
pub const DESCRIPTORS: &[u8] = &[];

/// The requests that `lockgate demo` prints, for a gateway that listens here.
#[must_use]
pub fn requests(_: SocketAddr) -> Vec<request::Request> {
    Vec::new()
}

pub mod request {
    //! Stand-in until the module arrives.

    /// A request to paste into a shell.
    #[derive(Clone, Debug)]
    pub struct Request {
        pub title: &'static str,
        pub curl: String,
    }
}

/// A running shop.
#[derive(Debug)]
pub struct Shop {
    address: SocketAddr,
}

impl Shop {
    /// # Errors
    /// The port can't be bound.
    #[expect(clippy::unused_async, reason = "stand-in")]
    pub async fn start() -> io::Result<Self> {
        Err(io::Error::other("not here yet"))
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[expect(clippy::unused_async, reason = "stand-in")]
    pub async fn stop(self) {}
}
