//! The gateway under test: the program itself, started by its command line, known by its ready line.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::http1::{self, Connection, Request, Response};
use super::process::Process;
use super::{PATIENCE, echo};

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) process: Process,
    /// The listeners, by name.
    pub(crate) listeners: Vec<(String, SocketAddr)>,
    /// The first listener.
    pub(crate) address: SocketAddr,
    admin: Option<SocketAddr>,
    /// Keeps its files for as long as it runs.
    pub(crate) folder: Option<Folder>,
}

/// The program, in an environment that holds nothing of ours.
pub(crate) fn lockgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LOCKGATE_")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
    command
}

/// A file of this repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The descriptor set of the tests' services.
pub(crate) fn descriptors() -> PathBuf {
    repository("descriptors/test.binpb")
}

/// A whole configuration: one clear-text listener, the tests' descriptors, one upstream, and then `more` (top-level
/// YAML), whose keys take the place of these.
pub(crate) fn configuration(upstream: SocketAddr, more: &str) -> String {
    let usual = [
        ("listeners:", "{ public: { address: 127.0.0.1:0 } }".to_owned()),
        ("admin:", "{ address: 127.0.0.1:0 }".to_owned()),
        ("runtime:", "{ workers: 1 }".to_owned()),
        ("descriptors:", format!("{{ paths: [{}] }}", descriptors().display())),
        ("upstreams:", format!("{{ echo: {{ services: [lockgate.test.v1.*], address: \"static:{upstream}\" }} }}")),
    ];
    let mut text = String::new();
    for (key, value) in usual {
        if !more.lines().any(|line| line.starts_with(key)) {
            text.push_str(&format!("{key} {value}\n"));
        }
    }
    text + more + "\n"
}

impl Gateway {
    /// Starts `lockgate` with these arguments, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let process = Process::start(command);
        let ready = process.stdout.find(0, PATIENCE, |line| line.contains("listening on "));
        let Some(ready) = ready else { panic!("the gateway is not ready\n{}", process.output()) };
        let (listeners, admin) = parse(&ready);
        let address = listeners.first().unwrap_or_else(|| panic!("no listener in {ready:?}")).1;
        Self { process, listeners, address, admin, folder: None }
    }

    /// Starts it with a configuration of its own.
    #[track_caller]
    pub(crate) fn configured(text: &str) -> Self {
        let folder = Folder::new();
        let file = folder.write("lockgate.yaml", text);
        let mut gateway = Self::start(lockgate().arg("serve").arg("-c").arg(file));
        gateway.folder = Some(folder);
        gateway
    }

    /// Starts it by flags alone, in front of an upstream.
    #[track_caller]
    pub(crate) fn flags(upstream: SocketAddr) -> Self {
        let upstream = upstream.to_string();
        Self::start(
            lockgate()
                .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1"])
                .args(["--upstream", &upstream, "--descriptors"])
                .arg(descriptors()),
        )
    }

    /// The gateway by flags alone, before the tests' backend. Tests share it.
    #[track_caller]
    pub(crate) fn plain() -> &'static Self {
        static SHARED: LazyLock<Gateway> = LazyLock::new(|| Gateway::flags(echo::address()));
        &SHARED
    }

    /// The gateway of this configuration, before the tests' backend. Tests share it.
    #[track_caller]
    pub(crate) fn shared(more: &str) -> &'static Self {
        type Shared = HashMap<String, Arc<OnceLock<&'static Gateway>>>;
        static SHARED: LazyLock<Mutex<Shared>> = LazyLock::new(Mutex::default);
        let slot = Arc::clone(SHARED.lock().unwrap().entry(more.to_owned()).or_default());
        slot.get_or_init(|| Box::leak(Box::new(Self::configured(&configuration(echo::address(), more)))))
    }

    /// Where the admin server listens.
    #[track_caller]
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin.unwrap_or_else(|| panic!("there is no admin address\n{}", self.process.output()))
    }

    /// A connection to the first listener.
    #[track_caller]
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub(crate) fn call(&self, request: &Request<'_>) -> Response {
        http1::call(self.address, request)
    }

    /// One `GET` on a connection of its own.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Response {
        http1::get(self.address, target)
    }

    /// One `GET` of the admin server.
    #[track_caller]
    pub(crate) fn ask(&self, target: &str) -> Response {
        http1::get(self.admin(), target)
    }

    /// Asks until the answer is as wanted: for what becomes true within a promised time.
    #[track_caller]
    pub(crate) fn within(&self, limit: Duration, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + limit;
        while !holds(self) {
            assert!(Instant::now() < deadline, "not within {limit:?}: {what}\n{}", self.process.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The sum of a metric's samples whose labels contain all of these texts.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.ask("/metrics").expect(200).text().to_owned();
        let sample = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let (key, value) = rest.rsplit_once(' ')?;
            let wanted = (key.is_empty() || key.starts_with('{')) && labels.iter().all(|label| key.contains(label));
            wanted.then(|| value.parse::<f64>().ok()).flatten()
        };
        text.lines().filter_map(sample).sum()
    }

    /// The resident memory of the process, in bytes.
    pub(crate) fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
    }
}

/// `listening on http://A (NAME), https://B (NAME2), admin on http://C`.
fn parse(line: &str) -> (Vec<(String, SocketAddr)>, Option<SocketAddr>) {
    let line = line.split_once("listening on ").map_or(line, |(_, rest)| rest);
    let (listeners, admin) = line.split_once("admin on ").map_or((line, None), |(left, right)| (left, Some(right)));
    let listener = |part: &str| {
        let part = part.trim();
        let part = part.strip_prefix("http://").or_else(|| part.strip_prefix("https://"))?;
        let (address, name) = part.split_once(" (")?;
        Some((name.trim_end_matches(')').to_owned(), address.parse().ok()?))
    };
    let admin = admin.and_then(|admin| admin.trim().strip_prefix("http://")?.trim_end_matches('/').parse().ok());
    (listeners.split(", ").filter_map(listener).collect(), admin)
}

#[test]
fn the_ready_line_names_every_listener() {
    let (listeners, admin) =
        parse("listening on http://127.0.0.1:1 (public), https://[::1]:2 (second), admin on http://127.0.0.1:3");
    assert_eq!(listeners[0], ("public".to_owned(), "127.0.0.1:1".parse().unwrap()));
    assert_eq!(listeners[1], ("second".to_owned(), "[::1]:2".parse().unwrap()));
    assert_eq!(admin, Some("127.0.0.1:3".parse().unwrap()));
    let (listeners, admin) = parse("listening on http://127.0.0.1:1 (public)");
    assert_eq!((listeners.len(), admin), (1, None));
}
