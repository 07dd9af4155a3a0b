//! The listeners and the HTTP of clients: sockets in, requests to [`crate::gateway::respond`], answers out.
//!
//! Each worker has a listening socket of its own (`SO_REUSEPORT`) and serves its connections on its own thread from
//! the first byte to the last. Every wait for a client has a bound.

mod activity;
mod allowance;
mod answers;
mod arrival;
pub mod config;
pub mod drain;
mod gate;
mod http;
mod listener;
mod peers;
pub mod proxy;
mod refusal;
mod reserve;
mod socket;
mod stream;

pub use self::config::Config;
pub use self::listener::{Bound, Listener, OpenError, Unregistered};

use prometheus_client::metrics::gauge::Gauge;
use tokio::task::JoinSet;

use crate::gateway::Current;

/// What a worker serves.
pub struct Worker {
    /// The position of the worker.
    pub index: usize,
    pub listeners: Vec<Listener>,
    pub current: Current,
    pub drain: drain::Drain,
    pub connections: Gauge,
}

impl Worker {
    /// Serves until the drain has come to its end.
    pub async fn run(self) {
        let mut listeners = JoinSet::new();
        for listener in self.listeners {
            let Listener { socket, terms } = listener;
            let server = http::Server {
                worker: self.index,
                terms,
                current: self.current.clone(),
                drain: self.drain.clone(),
                connections: self.connections.clone(),
            };
            listeners.spawn(server.run(socket));
        }
        while listeners.join_next().await.is_some() {}
    }
}
