//! From a checked configuration to a running process: telemetry, workers with their listeners, the admin server, and
//! the reload that swaps in what changes.

mod certificates;
mod guard;
mod load;
mod reflection;
mod reload;
mod sources;

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use self::certificates::Certificates;
use self::guard::{Keeping, store_is_there};
pub use self::load::{Environment, check_tls, load};
use self::reflection::Asking;
use self::reload::Reload;
use self::sources::Fingerprint;
use crate::admin::{self, Health};
use crate::config::Config;
use crate::gateway::{Current, Gateway, Problem};
use crate::server::drain::{self, Drain, Drainer, Phase};
use crate::server::{Bound, Unregistered, Worker};
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Metrics;

/// Why a process can't start, or how it failed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("{}", lines(.0))]
    Problems(Vec<Problem>),
    #[error(transparent)]
    Bind(#[from] crate::server::OpenError),
    #[error("the admin server can't listen on {address}: {source}")]
    Admin { address: SocketAddr, source: io::Error },
    #[error("the process can't be set up: {0}")]
    Setup(#[from] io::Error),
    #[error("there is no listener: nothing could call this gateway")]
    NoListener,
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// How long the end of a process waits for workers that were told to end, and for the log.
pub(crate) const LAST_WAIT: Duration = Duration::from_millis(400);

/// How a configuration is read anew when its files change.
pub type Reread = Box<dyn Fn() -> Result<Config, Vec<Problem>> + Send>;

/// Serves until a signal ends the process. `reread` is asked for the configuration when its file has changed.
///
/// # Errors
/// If the configuration can't be served as it stands.
pub fn run(config: Config, reread: Reread) -> Result<(), AppError> {
    let control =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build()?;
    control.block_on(run_on(config, reread, |_| String::new()))
}

/// The same on the runtime that the caller keeps for what is not proxied. `introduce` is told where the first listener
/// is, and what it says is printed before the line that tells where the process listens.
///
/// # Errors
/// If the configuration can't be served as it stands.
pub async fn run_on(
    config: Config,
    reread: Reread,
    introduce: impl FnOnce(Option<SocketAddr>) -> String,
) -> Result<(), AppError> {
    let workers = config.runtime.workers;
    let environment = Environment {
        workers,
        metrics: Arc::new(Metrics::new()),
        access_log: AccessLog::start(config.access_log, workers),
        control: Handle::current(),
    };
    // Before the files are read: what changes from now on is a change.
    let seen = Fingerprint::take(&config);
    let gateway = Arc::new(load(&config, &environment, None, &[]).map_err(AppError::Problems)?);
    announce(&gateway);
    let current: Current = Arc::new(ArcSwap::new(gateway));
    let health = Arc::new(Health::default());
    let (drainer, drain) = drain::channel();
    let mut doors = Doors::open(&config).await?;
    let mut signals = Signals::listen()?;
    store_is_there(current.load_full().guard()).await;

    let threads = start_workers(&mut doors.listeners, workers, (&current, &drain, &environment))?;
    let (events, inbox) = mpsc::channel();
    let asking = Asking {
        runtime: Handle::current(),
        current: current.clone(),
        worker: workers,
        events: events.clone(),
        tasks: HashMap::new(),
    };
    let runtime = config.runtime.clone();
    let reloading = Reload {
        config,
        reread,
        environment: environment.clone(),
        current: current.clone(),
        health: health.clone(),
        loaded: seen,
        certificates: Certificates::of(&doors.listeners, environment.metrics.clone(), health.clone()),
        asking,
        keeping: Keeping { runtime: Handle::current(), tasks: Vec::new() },
    };
    // It sees the stop, or is at work on a reload that no longer matters: the process does not wait for it.
    thread::Builder::new().name("reload".into()).spawn(move || reloading.run(&inbox))?;
    let admin = doors.admin.take().map(|listener| {
        let (metrics, access_log) = (environment.metrics.clone(), environment.access_log.clone());
        let state = admin::State { health: health.clone(), current, metrics, access_log };
        Aborting(tokio::spawn(admin::serve(listener, state)).abort_handle())
    });

    health.set_ready(true);
    // Whoever serves is not stopped by a full disk or a reader that is gone.
    let _ = tell(&format!("{}{}\n", introduce(doors.first()), doors.described));
    signals.next().await;

    health.set_ready(false);
    end_workers(threads, &drainer, &runtime, &mut signals).await?;
    // Fails only if the thread has ended by itself.
    let _ = events.send(reload::Event::Stop);
    drop(admin);
    environment.access_log.stop(LAST_WAIT);
    Ok(())
}

/// A task that ends when nobody holds it any more.
struct Aborting(AbortHandle);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs what blocks on a thread that nobody has to wait for; the receiver is told of its end.
fn on_thread(name: &str, blocking: impl FnOnce() + Send + 'static) -> io::Result<oneshot::Receiver<()>> {
    let (ended, told) = oneshot::channel();
    thread::Builder::new().name(name.into()).spawn(move || {
        blocking();
        // Nobody waits any more: the process is ending.
        let _ = ended.send(());
    })?;
    Ok(told)
}

fn join(threads: Vec<thread::JoinHandle<()>>) -> io::Result<oneshot::Receiver<()>> {
    on_thread("workers-end", move || threads.into_iter().for_each(|thread| drop(thread.join())))
}

/// The sockets of a process, open.
struct Doors {
    listeners: Vec<Bound>,
    admin: Option<TcpListener>,
    /// Where they are, for people.
    described: String,
}

impl Doors {
    async fn open(config: &Config) -> Result<Self, AppError> {
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            listeners.push(Bound::open(listener, config.runtime.workers)?);
        }
        if listeners.is_empty() {
            return Err(AppError::NoListener);
        }
        let described: Vec<_> = listeners.iter().map(Bound::describe).collect();
        let mut described = format!("listening on {}", described.join(", "));
        let mut admin = None;
        if let Some(address) = config.admin {
            let bound = TcpListener::bind(address).await;
            let bound = bound.map_err(|source| AppError::Admin { address, source })?;
            described.push_str(&format!(", admin on http://{}", bound.local_addr()?));
            admin = Some(bound);
        }
        Ok(Self { listeners, admin, described })
    }

    /// Where the first of the listeners is that has an address.
    fn first(&self) -> Option<SocketAddr> {
        self.listeners.iter().find_map(Bound::local_addr)
    }
}

/// The signals that end a process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What a newly loaded gateway serves, and how openly.
fn announce(gateway: &Gateway) {
    let routes = gateway.endpoints().len();
    tracing::info!(routes, "descriptors are loaded");
    for service in gateway.unserved() {
        tracing::info!(service, "no upstream serves this service: it has no routes");
    }
    for method in gateway.closed() {
        tracing::warn!(method, "nobody may call this method: no `auth` holds for it; `auth: none` opens it");
    }
    if gateway.is_guarded() {
        for method in gateway.left_open() {
            tracing::warn!(method, "everybody may call this method: no level says who may, and no decider is asked");
        }
    } else {
        tracing::warn!("no authentication is configured: whoever reaches a listener may call every method");
    }
}

/// Says something on standard output at once.
fn tell(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The time of the drain was over, or cut short, before every request was served.
struct Elapsed;

/// Has workers end: with their requests, or without them once their time is over or a second signal comes.
async fn end_workers(
    threads: Vec<thread::JoinHandle<()>>,
    drainer: &Drainer,
    runtime: &crate::config::Runtime,
    signals: &mut Signals,
) -> io::Result<()> {
    let mut ended = join(threads)?;
    let drained = tokio::select! {
        drained = drain_all(drainer, runtime, &mut ended) => drained,
        () = signals.next() => Err(Elapsed),
    };
    if let Err(Elapsed) = drained {
        drainer.advance(Phase::Cut);
        // Neither a worker that can't end nor a log that can't be written may keep the process.
        let _ = tokio::time::timeout(LAST_WAIT, ended).await;
    }
    Ok(())
}

/// Goes from serving to the end: a grace for load balancers to notice, then the drain.
async fn drain_all(
    drainer: &Drainer,
    runtime: &crate::config::Runtime,
    ended: &mut oneshot::Receiver<()>,
) -> Result<(), Elapsed> {
    tokio::time::sleep(runtime.grace).await;
    tracing::info!("draining");
    drainer.advance(Phase::Draining);
    match tokio::time::timeout(runtime.drain, ended).await {
        // A sender that is gone without a word is as good as an end.
        Ok(_) => Ok(()),
        Err(_) => {
            tracing::warn!("requests were still running at the end of the drain: they are cut");
            Err(Elapsed)
        }
    }
}

/// Starts a thread a worker, each with a runtime and sockets of its own.
fn start_workers(
    listeners: &mut [Bound],
    workers: usize,
    (current, drain, environment): (&Current, &Drain, &Environment),
) -> io::Result<Vec<thread::JoinHandle<()>>> {
    let mut threads = Vec::with_capacity(workers);
    for index in 0..workers {
        let mut sockets = Vec::with_capacity(listeners.len());
        for listener in &mut *listeners {
            sockets.extend(listener.take());
        }
        let (current, drain, connections) = (current.clone(), drain.clone(), environment.metrics.connections.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            let served = runtime.block_on(async {
                let listeners = sockets.into_iter().map(Unregistered::register).collect::<io::Result<Vec<_>>>()?;
                Worker { index, listeners, current, drain, connections }.run().await;
                io::Result::Ok(())
            });
            if let Err(error) = served {
                tracing::error!(%error, "a worker could not take its sockets");
            }
        })?;
        threads.push(thread);
    }
    Ok(threads)
}
