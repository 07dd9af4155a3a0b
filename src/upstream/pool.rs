//! The connections of one worker to the servers of one upstream.
//!
//! Servers take calls in turn; one that can't be reached is passed over for the next. A connection is opened when a
//! call finds none with room, and only once however many calls wait for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::connection::{ConnectError, Connection, Connector};

/// A connection that is being opened, for all who wait for it.
type Connecting = Shared<BoxFuture<'static, Result<Connection, Arc<ConnectError>>>>;

/// One worker's connections.
#[derive(Debug)]
pub(super) struct Pool {
    servers: Box<[Server]>,
    /// Connections per server that calls are spread over before one is used twice.
    spread: usize,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Server {
    connector: Connector,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: Vec<Connection>,
    connecting: Option<Connecting>,
    next: usize,
}

impl Pool {
    pub(super) fn new(connectors: &[Connector], spread: usize) -> Self {
        let server = |connector: &Connector| Server { connector: connector.clone(), state: Mutex::default() };
        Self { servers: connectors.iter().map(server).collect(), spread: spread.max(1), next: AtomicUsize::new(0) }
    }

    /// A connection that is open already, and the position of its server.
    pub(super) fn ready(&self) -> Option<(usize, Connection)> {
        let count = self.servers.len();
        let position = if count == 1 { 0 } else { self.next.fetch_add(1, Ordering::Relaxed) % count };
        let connection = self.servers.get(position)?.lock().pick(self.spread)?;
        Some((position, connection))
    }

    /// A connection for one call, opened if need be, and the position of its server.
    pub(super) async fn connection(&self) -> Result<(usize, Connection), Arc<ConnectError>> {
        let count = self.servers.len();
        let first = if count == 1 { 0 } else { self.next.fetch_add(1, Ordering::Relaxed) };
        let mut failure = None;
        for position in (0..count).map(|step| first.wrapping_add(step) % count) {
            let Some(server) = self.servers.get(position) else { continue };
            match server.connection(self.spread).await {
                Ok(connection) => return Ok((position, connection)),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("a pool has a server or more, and none answered"))
    }
}

impl Server {
    async fn connection(&self, spread: usize) -> Result<Connection, Arc<ConnectError>> {
        let connecting = {
            let mut state = self.lock();
            match state.pick(spread) {
                Some(connection) => return Ok(connection),
                None => state.connecting.get_or_insert_with(|| self.connect()).clone(),
            }
        };
        let connected = connecting.clone().await;
        let mut state = self.lock();
        // The first who wakes takes the result in; the others find it there.
        if state.connecting.take_if(|current| current.ptr_eq(&connecting)).is_some()
            && let Ok(connection) = &connected
        {
            state.connections.push(connection.clone());
        }
        connected
    }

    /// Connects in a task of its own, which the connect timeout bounds: a call that gives up must not break it off
    /// for the others that wait.
    fn connect(&self) -> Connecting {
        let task = tokio::spawn(self.connector.clone().connect());
        async move {
            match task.await {
                Ok(connected) => connected.map_err(Arc::new),
                Err(ended) => Err(Arc::new(ConnectError::Io {
                    address: "the upstream".into(),
                    source: std::io::Error::other(ended),
                })),
            }
        }
        .boxed()
        .shared()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An open connection with room; `None` if one more should be opened.
    fn pick(&mut self, spread: usize) -> Option<Connection> {
        self.connections.retain(Connection::is_open);
        let count = self.connections.len();
        if count < spread && self.connecting.is_none() {
            return None;
        }
        self.next = self.next.wrapping_add(1);
        (0..count)
            .filter_map(|step| self.connections.get(self.next.wrapping_add(step) % count))
            .find(|connection| connection.has_room())
            .cloned()
    }
}
