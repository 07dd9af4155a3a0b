//! Counts in Redis or Valkey, by one script that runs in the server.
//!
//! A key is `<prefix><limit>:{<digest>}`. The digest is of the client's key and of everything of the limit that makes
//! its counts incomparable, so what a client sends is bounded, is not readable in the store, and a changed policy
//! begins afresh; the braces make it alone decide on the node of a cluster.

use std::fmt::Write;
use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{self, SHA256};
use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Script, ScriptInvocation, TlsCertificates};

use crate::limit::Ask;
use crate::limit::bucket::Level;
use crate::limit::local::Levels;
use crate::limit::rule::{Policy, QuotaWindow};
use crate::limit::store::{CONNECT_TIMEOUT, RedisConfig, StoreError};
use crate::tls;

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("counts.lua")));

static GIVE_BACK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("give_back.lua")));

/// How many numbers the script answers for each key.
const ANSWERS: usize = 7;
/// Bytes of a digest that stand in a key: at 128 bits no two clients ever meet.
const DIGEST_BYTES: usize = 16;

/// Where to connect to.
pub(super) struct Client {
    server: Server,
    prefix: String,
    /// What the file of the authorities holds.
    authorities: Option<u64>,
}

enum Server {
    Single(Box<redis::Client>),
    Cluster(Box<ClusterClient>),
}

/// One connection, which any number of requests use at the same time.
pub(super) struct Link {
    connection: Connection,
    prefix: String,
}

enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Client {
    pub(super) fn new(config: &RedisConfig) -> Result<Self, StoreError> {
        // The error of the client's own may quote the URL, and with it a password.
        let unusable = |_| StoreError::Url("expected redis://HOST:PORT, rediss://… or redis+unix:///PATH".to_owned());
        let (scheme, rest) = config.url.split_once("://").unwrap_or_default();
        let plain = scheme.strip_suffix("+cluster");
        let url = format!("{}://{rest}", plain.unwrap_or(scheme));
        let mut authorities = None;
        let mut certificates = TlsCertificates { client_tls: None, root_cert: None };
        if let Some(path) = &config.ca {
            // It says what is wrong with a file; the client of Redis would trust nobody.
            authorities = Some(tls::client(Some(path), None)?.fingerprint);
            let roots = fs::read(path).map_err(|source| StoreError::Unreadable { path: path.clone(), source })?;
            certificates.root_cert = Some(roots);
        }
        let server = if config.cluster || plain.is_some() {
            let mut builder = ClusterClient::builder([url]).connection_timeout(CONNECT_TIMEOUT);
            if certificates.root_cert.is_some() {
                builder = builder.certs(certificates);
            }
            builder.build().map(|client| Server::Cluster(Box::new(client))).map_err(unusable)?
        } else {
            let client = match certificates.root_cert {
                Some(_) => redis::Client::build_with_tls(url, certificates),
                None => redis::Client::open(url),
            };
            client.map(|client| Server::Single(Box::new(client))).map_err(unusable)?
        };
        Ok(Self { server, prefix: config.prefix.clone(), authorities })
    }

    /// Whether it trusts the same authorities as another of the same configuration.
    pub(super) fn is_made_as(&self, other: &Self) -> bool {
        self.authorities == other.authorities
    }

    /// A connection that has the script.
    pub(super) async fn connect(&self) -> Result<Link, StoreError> {
        let connection = match &self.server {
            Server::Single(client) => {
                let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT));
                let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
                SCRIPT.load_async(&mut connection).await?;
                Connection::Single(connection)
            }
            Server::Cluster(client) => {
                let mut connection = client.get_async_connection().await?;
                SCRIPT.load_async(&mut connection).await?;
                Connection::Cluster(connection)
            }
        };
        Ok(Link { connection, prefix: self.prefix.clone() })
    }
}

impl Link {
    /// Runs the script on nothing.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let nothing = SCRIPT.prepare_invoke();
        let _: Vec<i64> = match &self.connection {
            Connection::Single(connection) => nothing.invoke_async(&mut connection.clone()).await?,
            Connection::Cluster(connection) => nothing.invoke_async(&mut connection.clone()).await?,
        };
        Ok(())
    }

    pub(super) async fn take(&self, asks: &[&Ask<'_>]) -> Result<Vec<Levels>, StoreError> {
        let prefix = &self.prefix;
        match &self.connection {
            Connection::Single(connection) => {
                let mut invocation = SCRIPT.prepare_invoke();
                for ask in asks {
                    add(&mut invocation, prefix, ask);
                }
                let numbers: Vec<i64> = invocation.invoke_async(&mut connection.clone()).await?;
                read(asks, &numbers)
            }
            Connection::Cluster(connection) => take_in_cluster(connection, prefix, asks).await,
        }
    }
}

/// Asks for each limit where it stands, all of them at once; if one refuses, the others get back what they took.
async fn take_in_cluster(
    connection: &ClusterConnection,
    prefix: &str,
    asks: &[&Ask<'_>],
) -> Result<Vec<Levels>, StoreError> {
    let begun = Instant::now();
    let each = asks.iter().map(|ask| async move {
        let mut invocation = SCRIPT.prepare_invoke();
        add(&mut invocation, prefix, ask);
        let numbers: Vec<i64> = invocation.invoke_async(&mut connection.clone()).await?;
        read(&[ask], &numbers)
    });
    let levels: Vec<_> = try_join_all(each).await?.into_iter().flatten().collect();
    let asked = || asks.iter().zip(&levels);
    if asked().any(|(ask, levels)| levels.refused() && !ask.limit.config.shadow) {
        let took = asked().filter(|(_, levels)| !levels.refused());
        let each = took.map(|(ask, levels)| give_back(connection, prefix, ask, (levels, begun.elapsed())));
        try_join_all(each).await?;
    }
    Ok(levels)
}

/// Gives back what was taken `held` ago, except for what leaked meanwhile (see `Bucket::give_back`), and nothing of a
/// quota whose window is over.
async fn give_back(
    connection: &ClusterConnection,
    prefix: &str,
    ask: &Ask<'_>,
    (levels, held): (&Levels, Duration),
) -> Result<(), StoreError> {
    let cost = u64::from(ask.cost.get());
    let rate = ask.limit.config.policy.rate.map_or(0, |rate| {
        let leaked = u64::try_from(held.as_micros()).unwrap_or(u64::MAX).saturating_mul(rate.count().get().into());
        (cost * rate.window().micros()).saturating_sub(leaked)
    });
    let quota = levels.quota.map_or(0, |level| if held < level.reset { cost } else { 0 });
    let mut invocation = GIVE_BACK.key(key(prefix, ask));
    invocation.arg(rate).arg(quota).invoke_async::<i64>(&mut connection.clone()).await?;
    Ok(())
}

/// The key and the seven arguments of one limit.
fn add(invocation: &mut ScriptInvocation<'_>, prefix: &str, ask: &Ask<'_>) {
    let Policy { rate, quota } = ask.limit.config.policy;
    invocation.key(key(prefix, ask));
    invocation.arg(ask.cost.get()).arg(u8::from(ask.limit.config.shadow));
    match rate {
        Some(rate) => invocation.arg(rate.count().get()).arg(rate.window().micros()).arg(rate.burst().get()),
        None => invocation.arg(1).arg(1).arg(0),
    };
    match quota {
        Some(quota) => invocation.arg(quota.count.get()).arg(match quota.window {
            QuotaWindow::Hour => "h",
            QuotaWindow::Day => "d",
            QuotaWindow::Month => "mo",
        }),
        None => invocation.arg(0).arg(""),
    };
}

fn key(prefix: &str, ask: &Ask<'_>) -> String {
    let mut context = digest::Context::new(&SHA256);
    context.update(&ask.limit.identity);
    context.update(ask.key);
    let digest = context.finish();
    let name = &ask.limit.config.name;
    let mut key = String::with_capacity(prefix.len() + name.len() + 2 * DIGEST_BYTES + 3);
    // A brace before the digest would be taken for the beginning of what decides on the node.
    key.extend(prefix.chars().chain(name.chars()).map(|character| if character == '{' { '_' } else { character }));
    key.push_str(":{");
    for byte in digest.as_ref().iter().take(DIGEST_BYTES) {
        write!(key, "{byte:02x}").expect("a string takes everything");
    }
    key.push('}');
    key
}

fn read(asks: &[&Ask<'_>], numbers: &[i64]) -> Result<Vec<Levels>, StoreError> {
    if numbers.len() != ANSWERS * asks.len() {
        return Err(StoreError::Answer);
    }
    let levels = asks.iter().zip(numbers.chunks_exact(ANSWERS)).map(|(ask, numbers)| {
        let &[_, rate_left, rate_reset, rate_wait, spent, quota_left, quota_reset] = numbers else {
            return Err(StoreError::Answer);
        };
        let Policy { rate, quota } = ask.limit.config.policy;
        let level = |left, reset: i64, wait: Option<i64>| Level {
            remaining: u32::try_from(left).unwrap_or(0),
            reset: micros(reset),
            wait: wait.map(micros),
        };
        Ok(Levels {
            rate: rate.map(|_| level(rate_left, rate_reset, (rate_wait > 0).then_some(rate_wait))),
            quota: quota.map(|_| level(quota_left, quota_reset, (spent != 0).then_some(quota_reset))),
        })
    });
    levels.collect()
}

fn micros(number: i64) -> Duration {
    Duration::from_micros(u64::try_from(number).unwrap_or(0))
}
