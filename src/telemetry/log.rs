//! The log of the process: events of `tracing`, on standard error.
//!
//! Requests are not logged here but in [`super::access`].

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::fmt::{MakeWriter, Subscriber};

use super::lines::{Lines, Output};

/// The log of this process.
static LOG: OnceLock<Log> = OnceLock::new();

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// The least important events that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Verbosity {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

/// Starts logging for the whole process; a second call changes nothing.
pub fn start(format: Format, verbosity: Verbosity) {
    let level = match verbosity {
        Verbosity::Error => Level::ERROR,
        Verbosity::Warn => Level::WARN,
        Verbosity::Info => Level::INFO,
        Verbosity::Debug => Level::DEBUG,
    };
    let log = LOG.get_or_init(|| Log(Lines::start("log", Output::Stderr, 1))).clone();
    let builder = Subscriber::builder().with_max_level(level).with_writer(log).with_target(false).with_ansi(false);
    let started = match format {
        Format::Json => tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish()),
        Format::Text => tracing::subscriber::set_global_default(builder.finish()),
    };
    // Only tests start a second gateway in one process; the first one's log serves both.
    drop(started);
}

/// Lines that were dropped since the start.
#[must_use]
pub fn dropped() -> u64 {
    LOG.get().map_or(0, |log| log.0.dropped())
}

/// Writes what waits, and stops; gives up after this time.
pub fn stop(at_most: Duration) {
    if let Some(log) = LOG.get() {
        log.0.stop(at_most);
    }
}

/// Where events go: nobody who tells one waits for a reader, and none is told that there is no reader.
#[derive(Clone)]
struct Log(Arc<Lines>);

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl io::Write for Log {
    /// An event comes as one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(0, |lines| lines.extend_from_slice(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
