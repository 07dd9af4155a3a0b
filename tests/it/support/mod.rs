//! What the tests stand on: the gateway as a process, backends in this process, clients that normalise nothing.
//!
//! Nothing here knows how the gateway is built; it is reached as its users reach it, by its command line and its ports.

pub(crate) mod decider;
pub(crate) mod echo;
pub(crate) mod folder;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod limiter;
pub(crate) mod oracle;
pub(crate) mod probe;
pub(crate) mod process;
pub(crate) mod scripted;
pub(crate) mod tls;
pub(crate) mod upstreams;

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::net::TcpListener;

/// How long a test waits for what should come at once. It only ends a test that fails anyway, so it is generous.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the backends and the HTTP/2 clients of all tests.
pub(crate) static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be built")
});

/// Runs a future of a client to its end, but not longer than a test waits.
#[track_caller]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(async { tokio::time::timeout(PATIENCE * 2, future).await.expect("the test took too long") })
}

/// Listens, from within a runtime or without; `127.0.0.1:0` finds a free port.
#[track_caller]
pub(crate) fn listen(address: &str) -> (TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind(address).expect("the port can be bound");
    listener.set_nonblocking(true).expect("an option can be set");
    let address = listener.local_addr().expect("it is bound");
    let _runtime = RUNTIME.enter();
    (TcpListener::from_std(listener).expect("the runtime takes it"), address)
}
