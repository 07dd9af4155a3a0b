//! Lines on standard output or standard error, written by a thread of their own.
//!
//! Whoever has a line adds it to a buffer; the writer takes whole buffers. A reader that is slow, or gone, and a disk that
//! is full, cost nobody anything: what does not fit is dropped and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How much one buffer may have waiting for the writer, in bytes.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// How long the writer lets lines gather before it writes them.
const GATHER: Duration = Duration::from_millis(20);

/// How often the end of a writer is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Stdout,
    Stderr,
}

/// The lines of a process on one output.
#[derive(Debug)]
pub(super) struct Lines {
    output: Output,
    /// One for each thread that writes much, so that they do not wait for each other.
    shards: Box<[Mutex<Vec<u8>>]>,
    waiting: AtomicBool,
    stopped: AtomicBool,
    dropped: AtomicU64,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// The writer's thread, to be woken without a lock.
    thread: OnceLock<Thread>,
}

impl Lines {
    /// Starts the writer, for this number of buffers.
    pub(super) fn start(name: &str, output: Output, shards: usize) -> Arc<Self> {
        let lines = Arc::new(Self {
            output,
            shards: (0..shards.max(1)).map(|_| Mutex::default()).collect(),
            waiting: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            writer: Mutex::new(None),
            thread: OnceLock::new(),
        });
        let writing = lines.clone();
        if let Ok(handle) = thread::Builder::new().name(name.into()).spawn(move || writing.write_on()) {
            lines.thread.get_or_init(|| handle.thread().clone());
            *lock(&lines.writer) = Some(handle);
        }
        lines
    }

    /// Lines that were dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Adds what is printed, whole lines, to this buffer.
    pub(super) fn add(&self, shard: usize, print: impl FnOnce(&mut Vec<u8>)) {
        let Some(shard) = self.shards.get(shard).or_else(|| self.shards.first()) else { return };
        let mut lines = lock(shard);
        if lines.len() >= MAX_WAITING_BYTES {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        print(&mut lines);
        drop(lines);
        if !self.waiting.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Writes what waits, and stops; gives up after this time, since the output may be blocked.
    pub(super) fn stop(&self, at_most: Duration) {
        self.stopped.store(true, Ordering::Release);
        let Some(handle) = lock(&self.writer).take() else { return };
        handle.thread().unpark();
        let deadline = Instant::now() + at_most;
        while !handle.is_finished() && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
    }

    /// The writer's thread.
    fn write_on(&self) {
        let mut lines = Vec::new();
        loop {
            let stopped = self.stopped.load(Ordering::Acquire);
            if self.waiting.swap(false, Ordering::AcqRel) || stopped {
                for shard in &self.shards {
                    std::mem::swap(&mut *lock(shard), &mut lines);
                    // A log that can't be written must not cost requests.
                    let _ = self.output.write(&lines);
                    lines.clear();
                }
                if stopped {
                    return;
                }
                // Not to be woken: a wake-up for each line would cost requests more than the line.
                thread::sleep(GATHER);
            } else {
                thread::park();
            }
        }
    }
}

impl Output {
    fn write(self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut output = io::stdout().lock();
                output.write_all(lines).and_then(|()| output.flush())
            }
            Self::Stderr => io::stderr().lock().write_all(lines),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
