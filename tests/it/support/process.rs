//! A child process that never outlives the tests: its output as lines to wait for, its end, its signals.
//!
//! Beside each child stands a shell that reads from a pipe of ours. However this process ends, the pipe closes then,
//! and the shell kills the child; so nothing is left behind by a static, a panic, or a killed test run.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// A signal that a test sends.
#[derive(Clone, Copy)]
pub(crate) enum Signal {
    Terminate,
    Interrupt,
}

/// A process under test.
pub(crate) struct Process {
    child: Mutex<Child>,
    pid: u32,
    watcher: Mutex<(Child, ChildStdin)>,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Process {
    /// Starts it with both outputs as pipes.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the program can be started");
        let pid = child.id();
        let stdout = Lines::follow(child.stdout.take().expect("it is a pipe"));
        let stderr = Lines::follow(child.stderr.take().expect("it is a pipe"));
        Self { child: Mutex::new(child), pid, watcher: Mutex::new(watch(pid)), stdout, stderr }
    }

    /// The process' id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Terminate => "-TERM",
            Signal::Interrupt => "-INT",
        };
        let status = Command::new("kill").args([name, &self.pid.to_string()]).status();
        assert!(status.expect("kill can be started").success(), "the process is gone already");
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().expect("a child can be waited for")
    }

    /// Waits for its end, and no longer than that.
    #[track_caller]
    pub(crate) fn wait(&self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "it still runs after {limit:?}\n{}", self.output());
            // There is no way to wait for a child for a limited time but to ask again.
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it, and everything that it printed until then.
    #[track_caller]
    pub(crate) fn end(&self) -> String {
        self.signal(Signal::Terminate);
        self.wait(PATIENCE);
        self.stdout.closed();
        self.stderr.closed();
        self.output()
    }

    /// Everything it printed, to explain a failure.
    pub(crate) fn output(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout.all().join("\n"), self.stderr.all().join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut watcher = self.watcher.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The watcher first, so that it can't hit another process of the same number.
        let _ = watcher.1.write_all(b"done\n");
        let _ = watcher.0.wait();
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn watch(pid: u32) -> (Child, ChildStdin) {
    let mut watcher = Command::new("sh")
        .args(["-c", "read -r done || kill -KILL \"$1\" 2>/dev/null", "sh", &pid.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell can be started");
    let stdin = watcher.stdin.take().expect("it is a pipe");
    (watcher, stdin)
}

/// What ran to its end.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command that should end by itself.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Finished {
    let process = Process::start(command);
    let status = process.wait(PATIENCE);
    process.stdout.closed();
    process.stderr.closed();
    Finished { code: status.code(), stdout: process.stdout.all().join("\n"), stderr: process.stderr.all().join("\n") }
}

/// The lines of an output, as they come.
#[derive(Clone)]
pub(crate) struct Lines(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    lines: Vec<String>,
    closed: bool,
}

impl Lines {
    fn follow(output: impl Read + Send + 'static) -> Self {
        let lines = Self(Arc::default());
        let shared = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                shared.0.0.lock().unwrap().lines.push(String::from_utf8_lossy(&line).into_owned());
                shared.0.1.notify_all();
            }
            shared.0.0.lock().unwrap().closed = true;
            shared.0.1.notify_all();
        });
        lines
    }

    /// All lines so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().lines.clone()
    }

    /// How many lines there are by now: where a later wait begins.
    pub(crate) fn mark(&self) -> usize {
        self.0.0.lock().unwrap().lines.len()
    }

    /// Waits for a line that is like this, after the mark; `None` if it does not come.
    pub(crate) fn find(&self, mark: usize, limit: Duration, like: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + limit;
        let mut state = self.0.0.lock().unwrap();
        loop {
            if let Some(line) = state.lines.iter().skip(mark).find(|line| like(line)) {
                return Some(line.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.closed {
                return None;
            }
            state = self.0.1.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for the output's end.
    #[track_caller]
    pub(crate) fn closed(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.0.0.lock().unwrap();
        while !state.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the output stays open");
            state = self.0.1.wait_timeout(state, left).unwrap().0;
        }
    }
}
