//! The store of shared limits, Redis or a rate limit service, and what happens while it is away.
//!
//! Requests use a `Link` while there is one, each for at most the configured timeout. Whoever fails takes the link
//! away, so that those who come after it don't wait for nothing, and wakes the keeper: the only task that connects,
//! tries until the store answers in time, and puts a link back. It also asks now and then while nobody else does, so
//! that what is said of the store is never older than [`PROBE_INTERVAL`]; a link to a service is no connection, but
//! that it answered last time.

mod redis;
mod service;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fmt, io};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::limit::Ask;
use crate::limit::local::Levels;
use crate::limit::store::service::Service;
use crate::status::{Code, Status};
use crate::tls::TlsError;
use crate::upstream::Upstream;

/// How long a request waits for the store unless configured.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(20);
/// What stands before every key in the store unless configured.
pub const DEFAULT_PREFIX: &str = "lockgate:";
/// How long making a connection may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two attempts to reach the store.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How often it looks whether the first connection is there.
const READY_INTERVAL: Duration = Duration::from_millis(5);
/// Late answers of a service, one after the other, after which it is away.
const MAX_LATE: u32 = 3;
/// How long a link is believed in that nobody uses.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Where shared limits are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    pub kind: Kind,
    /// How long a request waits; then `on_error` holds.
    pub timeout: Duration,
}

impl StoreConfig {
    /// This one, asked for as long as is usual.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, timeout: DEFAULT_TIMEOUT }
    }
}

/// What counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Redis(RedisConfig),
    Service(ServiceConfig),
}

/// A service that speaks version 3 of Envoy's rate limit protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// The name of the upstream that it is.
    pub upstream: String,
    /// What keeps its counts for us apart from those for others.
    pub domain: String,
}

/// Redis or Valkey.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// `redis://`, `rediss://` (TLS), `valkey://`, `valkeys://`, `redis+unix:///path`; `+cluster` behind the scheme of
    /// TCP is `cluster`. May hold a password, so it is never printed.
    pub url: String,
    /// Whether the server is a node of a cluster, and says where the others are.
    pub cluster: bool,
    /// PEM file of the authorities to trust instead of the system's, for TLS.
    pub ca: Option<PathBuf>,
    /// Stands before every key, for stores that hold other things too.
    pub prefix: String,
}

impl RedisConfig {
    /// This URL, with defaults for the rest.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self { url, cluster: false, ca: None, prefix: DEFAULT_PREFIX.to_owned() }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisConfig").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Why the store can't be used or was not.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the URL of the rate limit store can't be used: {0}")]
    Url(String),
    #[error("the authorities of the rate limit store can't be used: {0}")]
    Authorities(#[from] TlsError),
    #[error("{}: the authorities of the rate limit store can't be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("there is no upstream {0:?} to be the rate limit store")]
    NoUpstream(String),
    #[error("the rate limit store is away")]
    Away,
    #[error("the rate limit store did not answer in time")]
    Timeout,
    #[error("the rate limit store failed: {0}")]
    Failed(#[from] ::redis::RedisError),
    #[error("the rate limit service failed: {0}")]
    Service(Status),
    #[error("the rate limit store answered what could not be understood")]
    Answer,
}

/// A store that is kept connected until it is dropped.
pub struct Store {
    config: StoreConfig,
    client: Arc<Client>,
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

/// How it is reached.
enum Client {
    Redis(redis::Client),
    Service(Service),
}

/// What requests use.
enum Link {
    Redis(redis::Link),
    Service(Service),
}

#[derive(Default)]
struct Shared {
    link: ArcSwapOption<Link>,
    lost: Notify,
    /// Answers of a service that were late, one after the other.
    late: AtomicU32,
}

impl Store {
    /// The store of before, if it is made of the same, or a new one that begins to connect, on the runtime that this is
    /// called in. `control_worker` is whose connections that runtime has to the upstreams.
    ///
    /// # Errors
    /// If the URL or the authorities can't be used, or the upstream is not there; a server that can't be reached is
    /// none, it may come.
    pub fn open(
        config: &StoreConfig,
        upstreams: &[Arc<Upstream>],
        control_worker: usize,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, StoreError> {
        let client = Client::new(config, upstreams, control_worker)?;
        if let Some(store) = previous.filter(|store| store.config == *config && store.client.is_made_as(&client)) {
            return Ok(Arc::clone(store));
        }
        let (client, shared) = (Arc::new(client), Arc::<Shared>::default());
        let keeper = Keeper { client: Arc::clone(&client), timeout: config.timeout, shared: Arc::clone(&shared) };
        Ok(Arc::new(Self { config: config.clone(), client, shared, keeper: tokio::spawn(keeper.run()) }))
    }

    /// Whether it answered when it was asked last, which is never long ago.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.shared.link.load().is_some()
    }

    /// Waits until it is connected, at most this long; whether it is. Without it, the first requests of a process are
    /// counted as if the store were away.
    pub async fn ready(&self, at_most: Duration) -> bool {
        let connected = async {
            while !self.connected() {
                tokio::time::sleep(READY_INTERVAL).await;
            }
        };
        timeout(at_most, connected).await.is_ok()
    }

    /// Takes from all of these; Redis takes from none of them if one refuses. `worker` is whose connections to the
    /// upstreams are used.
    pub(super) async fn take(&self, worker: usize, asks: &[&Ask<'_>]) -> Result<Vec<Levels>, StoreError> {
        let link = self.shared.link.load_full().ok_or(StoreError::Away)?;
        // Outside the call: a cluster's client tries again inside of it, for as long as it likes.
        let answer = match timeout(self.config.timeout, link.take(worker, asks)).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::Timeout),
        };
        match &answer {
            Ok(_) => self.shared.late.store(0, Ordering::Relaxed),
            Err(error) if self.is_away(error) => self.shared.lose(&link),
            Err(_) => {}
        }
        answer
    }

    /// Whether what failed one request says that the store is away. A service may fail by one key and answer others:
    /// then it is away only where it can't be reached, or is late again and again, or one client could take the limits
    /// off for all.
    fn is_away(&self, error: &StoreError) -> bool {
        let is_late = match (&self.config.kind, error) {
            (Kind::Redis(_), _) => return true,
            (Kind::Service(_), StoreError::Service(status)) if status.code() == Code::Unavailable => return true,
            (Kind::Service(_), StoreError::Service(status)) => status.code() == Code::DeadlineExceeded,
            (Kind::Service(_), error) => matches!(error, StoreError::Timeout),
        };
        is_late && self.shared.late.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_LATE
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("connected", &self.connected()).finish_non_exhaustive()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Shared {
    /// Takes this link away, unless somebody has already done so or a new one is there.
    fn lose(&self, link: &Arc<Link>) {
        let seen = self.link.compare_and_swap(link, None);
        if seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, link)) {
            self.lost.notify_one();
        }
    }
}

impl Client {
    fn new(config: &StoreConfig, upstreams: &[Arc<Upstream>], control_worker: usize) -> Result<Self, StoreError> {
        match &config.kind {
            Kind::Redis(config) => redis::Client::new(config).map(Self::Redis),
            Kind::Service(ServiceConfig { upstream: name, domain }) => {
                let upstream = upstreams.iter().find(|upstream| upstream.config().name == *name);
                let upstream = upstream.ok_or_else(|| StoreError::NoUpstream(name.clone()))?.clone();
                let (domain, timeout) = (domain.clone(), config.timeout);
                Ok(Self::Service(Service { upstream, domain, timeout, control_worker }))
            }
        }
    }

    /// Whether what is not in the configuration is the same too.
    fn is_made_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Redis(one), Self::Redis(other)) => one.is_made_as(other),
            (Self::Service(one), Self::Service(other)) => Arc::ptr_eq(&one.upstream, &other.upstream),
            (Self::Redis(_) | Self::Service(_), Self::Redis(_) | Self::Service(_)) => false,
        }
    }

    async fn connect(&self) -> Result<Link, StoreError> {
        match self {
            Self::Redis(client) => client.connect().await.map(Link::Redis),
            Self::Service(service) => Ok(Link::Service(service.clone())),
        }
    }
}

impl Link {
    async fn probe(&self) -> Result<(), StoreError> {
        match self {
            Self::Redis(link) => link.probe().await,
            Self::Service(service) => service.probe().await,
        }
    }

    async fn take(&self, worker: usize, asks: &[&Ask<'_>]) -> Result<Vec<Levels>, StoreError> {
        match self {
            Self::Redis(link) => link.take(asks).await,
            Self::Service(service) => service.take(worker, asks).await,
        }
    }
}

/// Keeps the store connected.
struct Keeper {
    client: Arc<Client>,
    timeout: Duration,
    shared: Arc<Shared>,
}

impl Keeper {
    async fn run(self) {
        let mut told = false;
        loop {
            let link = match self.connect().await {
                Ok(link) => Arc::new(link),
                Err(error) => {
                    if !told {
                        tracing::warn!(%error, "the rate limit store can't be reached, trying on");
                        told = true;
                    }
                    tokio::time::sleep(RETRY_INTERVAL).await;
                    continue;
                }
            };
            if told {
                tracing::info!("the rate limit store is back");
                told = false;
            }
            self.hold(link).await;
        }
    }

    async fn connect(&self) -> Result<Link, StoreError> {
        let link = timeout(CONNECT_TIMEOUT, self.client.connect()).await.map_err(|_| StoreError::Timeout)??;
        self.probe(&link).await?;
        Ok(link)
    }

    /// A store that is too slow for requests is as good as none.
    async fn probe(&self, link: &Link) -> Result<(), StoreError> {
        timeout(self.timeout, link.probe()).await.map_err(|_| StoreError::Timeout)?
    }

    /// Offers the link for as long as it works. What lost it may have been one slow answer, so it is tried once more
    /// before it is given up.
    async fn hold(&self, link: Arc<Link>) {
        loop {
            self.shared.link.store(Some(Arc::clone(&link)));
            let offered = Instant::now();
            while timeout(PROBE_INTERVAL, self.shared.lost.notified()).await.is_err() {
                if self.probe(&link).await.is_err() {
                    // Which is a notification too.
                    self.shared.lose(&link);
                }
            }
            if let Err(error) = self.probe(&link).await {
                tracing::warn!(%error, "the rate limit store is lost");
                return;
            }
            // A store that answers this and fails requests, such as a replica that can't write, is not asked for every
            // one of them.
            tokio::time::sleep_until(offered + RETRY_INTERVAL).await;
        }
    }
}
