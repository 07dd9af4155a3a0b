//! The command line: one file a command.
//!
//! Exit codes: 0 for success, 1 for a configuration that is wrong or a process that failed, 2 for a command line that
//! is wrong (as clap has it).

mod callers;
mod check;
mod demo;
mod explain;
mod keys;
mod report;
mod routes;
mod schema;
mod serve;
mod table;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app::LAST_WAIT;
use crate::config::Surroundings;
use crate::telemetry::access;
use crate::telemetry::log::{self, Verbosity};

/// A REST API in front of gRPC services, from their descriptors alone.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    logging: Logging,
}

const EXAMPLES: &str = "\
Examples:
  A shop to try it on, with nothing else to start:
    lockgate demo

  Your own gRPC server, from a descriptor set:
    protoc --include_imports --descriptor_set_out=shop.binpb shop.proto
    lockgate serve --descriptors shop.binpb --upstream 127.0.0.1:50051

  The same, from the server's reflection:
    lockgate serve --reflect --upstream 127.0.0.1:50051

  From a configuration file:
    lockgate check --config lockgate.yaml
    lockgate serve --config lockgate.yaml

Every flag has a variable: --listen is LOCKGATE_LISTEN, --config is LOCKGATE_CONFIG, and so on.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve gRPC services as REST until SIGTERM or Ctrl-C.
    Serve(serve::Arguments),
    /// Serve an embedded shop, and print requests to paste.
    Demo(demo::Arguments),
    /// Check a configuration and its descriptors, and print every mistake with its place.
    Check(check::Arguments),
    /// List every route: HTTP method, path template, gRPC method, upstream, source.
    Routes(routes::Arguments),
    /// Tell which route a request takes, and why.
    Explain(explain::Arguments),
    /// Print the JSON Schema of the configuration file, for editors.
    Schema(schema::Arguments),
    /// Make API keys, and hashes of them.
    Keys(keys::Arguments),
}

/// How the process logs.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs")]
struct Logging {
    /// The form of log lines, and of access-log lines where the configuration doesn't say it. [default: text on a
    /// terminal, else json]
    #[arg(long, global = true, value_name = "FORMAT", env = "LOCKGATE_LOG_FORMAT")]
    log_format: Option<log::Format>,

    /// The least important events that are logged.
    #[arg(long, global = true, value_name = "LEVEL", env = "LOCKGATE_LOG_LEVEL", default_value = "info")]
    log_level: Verbosity,
}

impl Logging {
    fn format(&self) -> log::Format {
        let usual = if io::stderr().is_terminal() { log::Format::Text } else { log::Format::Json };
        self.log_format.unwrap_or(usual)
    }

    fn start(&self) {
        log::start(self.format(), self.log_level);
    }

    /// What configurations are read in.
    fn surroundings(&self) -> Surroundings<'static> {
        let access_log = match self.format() {
            log::Format::Json => access::Format::Json,
            log::Format::Text => access::Format::Text,
        };
        Surroundings { environment: &variable, access_log }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => {
            let result = cli.run();
            log::stop(LAST_WAIT);
            conclude(result)
        }
        Err(error) => refuse(&error),
    }
}

/// Whether these arguments, the program's name first, are a legal command line.
///
/// # Errors
///
/// What clap says of them; help and version are errors too.
pub fn parse(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<(), clap::Error> {
    Cli::try_parse_from(arguments).map(drop)
}

impl Cli {
    fn run(self) -> Result<(), Failure> {
        let Self { command, logging } = self;
        match command {
            Command::Serve(arguments) => serve::run(arguments, &logging),
            Command::Demo(arguments) => demo::run(&arguments, &logging),
            Command::Check(arguments) => check::run(&arguments, &logging),
            Command::Routes(arguments) => routes::run(&arguments, &logging),
            Command::Explain(arguments) => explain::run(&arguments, &logging),
            Command::Schema(arguments) => schema::run(&arguments),
            Command::Keys(arguments) => keys::run(&arguments),
        }
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// Something else is.
    Failed(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
        }
    }
}

fn conclude(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    let (Failure::Usage(message) | Failure::Failed(message)) = &failure;
    // Standard error may be closed; the exit code tells it as well.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::from(failure.exit_code())
}

fn refuse(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    let _ = error.print();
    ExitCode::from(code)
}

/// Writes a command's output. A reader that has seen enough, such as `head`, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
