//! Configuration: a file or flags in, one checked [`Config`] out.
//!
//! A file takes these steps: `tree` (YAML with places) → `variables` (`${VAR}` expands) → `reader` (the types of
//! `file`) → `check` (the modules' own `Config` types). Each step notes every mistake that it finds, so that one run
//! tells them all. Flags end in the same [`Config`]. What the descriptors decide, such as whether a method exists, is
//! not known here.

mod check;
pub mod docs;
pub mod effective;
mod file;
pub mod flags;
mod placed;
pub mod problem;
mod reader;
#[cfg(test)]
mod tests;
mod tree;
pub(crate) mod unit;
mod upstream_address;
pub(crate) mod variables;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::access::Format as AccessLog;
use crate::{gateway, server};
use problem::{Invalid, Problems, Span};
use variables::Variables;

/// How long new connections are accepted after SIGTERM where nothing else is said.
pub(crate) const DEFAULT_GRACE: Duration = Duration::ZERO;

/// How long calls may go on after that where nothing else is said.
pub(crate) const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect; at least one.
    pub listeners: Vec<server::Config>,
    /// Where the admin server listens; `None`: there is none.
    pub admin: Option<SocketAddr>,
    pub runtime: Runtime,
    pub descriptors: Descriptors,
    pub gateway: gateway::Config,
    /// How requests are logged.
    pub access_log: AccessLog,
    /// The file that it came from, to be watched.
    pub file: Option<PathBuf>,
}

/// The process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Worker threads, at least one.
    pub workers: usize,
    /// After SIGTERM, how long new connections are still accepted.
    pub grace: Duration,
    /// After that, how long calls in flight may go on.
    pub drain: Duration,
}

/// Where descriptors come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// Files of descriptor sets, and folders of them.
    pub paths: Vec<PathBuf>,
    pub proto: Vec<ProtoSource>,
    /// Names of upstreams that are asked for theirs.
    pub reflection: Vec<String>,
    /// A set that is part of the program, for the demo.
    pub embedded: Option<&'static [u8]>,
}

/// `.proto` files to compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtoSource {
    /// The folder that imports are relative to.
    pub root: PathBuf,
    /// Patterns of files below it; each is a legal pattern of `globset`.
    pub files: Vec<String>,
}

/// What a file is read in.
#[derive(Clone, Copy)]
pub struct Surroundings<'e> {
    /// Where `${VAR}` has its value from.
    pub environment: &'e (dyn Fn(&str) -> Option<String> + Sync),
    /// How requests are logged where the file does not say it.
    pub access_log: AccessLog,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("can't read the configuration `{}`: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    /// The file has mistakes.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// Reads and checks a file.
///
/// # Errors
///
/// Every mistake in the file, with its place.
pub fn load(path: &Path, surroundings: &Surroundings<'_>) -> Result<Config, Error> {
    let text = variables::read_file(path).map_err(|cause| Error::Unreadable { path: path.to_owned(), cause })?;
    Ok(parse(&text, path, surroundings)?)
}

/// [`load`] for a text that is at hand; `path` is where it stands.
///
/// # Errors
///
/// Every mistake in the text, with its place.
pub fn parse(text: &str, path: &Path, surroundings: &Surroundings<'_>) -> Result<Config, Invalid> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut problems = Problems::new(Arc::from(path.display().to_string()));
    let config = read(text, path, surroundings, &mut problems);
    problems.conclude(config, text)
}

fn read(text: &str, path: &Path, surroundings: &Surroundings<'_>, problems: &mut Problems) -> Option<Config> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut tree = tree::parse(text, problems)?;
    if matches!(tree.value, tree::Value::Null) {
        tree = tree::Node { span: Span::START, value: tree::Value::Map(tree::Map::default()) };
    }
    Variables { environment: surroundings.environment, folder }.expand(&mut tree, problems);
    file::shape(&mut tree);
    let declared = check::Declared::of(&tree);
    let file = reader::read(tree, problems)?;
    let access_log = surroundings.access_log;
    check::Check { folder, declared: &declared, access_log, problems }.config(file, path)
}

/// As many workers as there are cores.
pub(crate) fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
