//! The connections of one worker to the servers of one upstream.
//!
//! Servers take calls in turn; one that can't be reached is passed over for the next. A connection is opened when a
//! call finds none with room, and only once however many calls wait for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::connection::{ConnectError, Connection, Connector};

/// Connections of one worker to one server, at most, however few calls the server allows on each.
const MAX_CONNECTIONS: usize = 16;

/// How long a server that could not be reached is left alone, if there are others.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

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
    /// After a failure: when calls that have another server may try this one again.
    not_before: Option<Instant>,
    next: usize,
}

impl Pool {
    pub(super) fn new(connectors: &[Connector], spread: usize) -> Self {
        let server = |connector: &Connector| Server { connector: connector.clone(), state: Mutex::default() };
        Self { servers: connectors.iter().map(server).collect(), spread: spread.max(1), next: AtomicUsize::new(0) }
    }

    /// The position of the server whose turn it is.
    pub(super) fn turn(&self) -> usize {
        match self.servers.len() {
            0 | 1 => 0,
            count => self.next.fetch_add(1, Ordering::Relaxed) % count,
        }
    }

    /// A connection to this server that is open already and has room.
    pub(super) fn ready(&self, position: usize) -> Option<Connection> {
        self.servers.get(position)?.lock().pick(self.spread)
    }

    /// A connection for one call, opened if need be, and the position of its server: this one, or the next that can
    /// be reached.
    pub(super) async fn connection(&self, first: usize) -> Result<(usize, Connection), Arc<ConnectError>> {
        let count = self.servers.len();
        let mut failure = None;
        for position in (0..count).map(|step| (first + step) % count) {
            let Some(server) = self.servers.get(position) else { continue };
            // One that failed a moment ago is left alone while there are others.
            if step_over(server, count) {
                continue;
            }
            match server.connection(self.spread).await {
                Ok(connection) => return Ok((position, connection)),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(failure) => Err(failure),
            // All failed a moment ago: whoever is first is tried all the same.
            None => {
                let server = self.servers.get(first).or_else(|| self.servers.first());
                let server = server.expect("a pool has a server or more");
                server.connection(self.spread).await.map(|connection| (first, connection))
            }
        }
    }
}

fn step_over(server: &Server, servers: usize) -> bool {
    servers > 1 && server.lock().not_before.is_some_and(|not_before| Instant::now() < not_before)
}

impl Server {
    async fn connection(&self, spread: usize) -> Result<Connection, Arc<ConnectError>> {
        loop {
            let connecting = {
                let mut state = self.lock();
                match state.pick(spread) {
                    Some(connection) => return Ok(connection),
                    None => state.connecting.get_or_insert_with(|| self.connect()).clone(),
                }
            };
            let connected = connecting.clone().await;
            let mut state = self.lock();
            // The first who wakes takes the result in; the others find it there, and what room it has left.
            if state.connecting.take_if(|current| current.ptr_eq(&connecting)).is_some() {
                state.not_before = connected.is_err().then(|| Instant::now() + PAUSE_AFTER_FAILURE);
                if let Ok(connection) = &connected {
                    state.connections.push(connection.clone());
                    return connected;
                }
            }
            connected?;
        }
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
    /// An open connection with room; `None` if one more should be opened. Once there are as many as may be, calls wait
    /// for room within HTTP/2.
    fn pick(&mut self, spread: usize) -> Option<Connection> {
        self.connections.retain(Connection::is_open);
        let count = self.connections.len();
        if count == 0 || (count < spread && self.connecting.is_none()) {
            return None;
        }
        self.next = self.next.wrapping_add(1);
        let mut turns = (0..count).filter_map(|step| self.connections.get(self.next.wrapping_add(step) % count));
        match turns.find(|connection| connection.has_room()) {
            Some(connection) => Some(connection.clone()),
            None if count >= MAX_CONNECTIONS.max(spread) => self.connections.get(self.next % count).cloned(),
            None => None,
        }
    }
}
