//! The log of the process: events of `tracing`, on standard error.
//!
//! Requests are not logged here but in [`super::access`].

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::fmt::Subscriber;

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
    let builder = Subscriber::builder().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    let started = match format {
        Format::Json => tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish()),
        Format::Text => tracing::subscriber::set_global_default(builder.finish()),
    };
    // Only tests start a second gateway in one process; the first one's log serves both.
    drop(started);
}
