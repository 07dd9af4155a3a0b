//! The flags that do without a file, and their way to the same [`Config`].
//!
//! Each has a variable (`--listen` is `LOCKGATE_LISTEN`); a flag goes before its variable. `--workers` goes with a
//! file as well, and before what that says; the others are refused beside one, since two places that say where to
//! listen are one too many.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::BoolishValueParser;

use super::file::{self, Workers};
use super::{Config, Descriptors, Error, Runtime, Surroundings, check, upstream_address};
use crate::telemetry::access::Format as AccessLog;
use crate::upstream::config::{Address, TlsConfig};
use crate::{gateway, server, upstream};

/// What to serve, and where.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What to serve")]
pub struct Flags {
    /// The configuration file (YAML). Without it, the flags below say what to serve.
    #[arg(short, long, value_name = "FILE", env = "LOCKGATE_CONFIG")]
    pub config: Option<PathBuf>,

    /// A descriptor set (`protoc --include_imports --descriptor_set_out`, `buf build -o`) or a folder of such files.
    /// Repeatable; in the variable, separated by `;`.
    #[arg(short, long, value_name = "PATH", env = "LOCKGATE_DESCRIPTORS", value_delimiter = ';')]
    pub descriptors: Vec<PathBuf>,

    /// The gRPC server: `HOST:PORT`, `http://HOST:PORT`, `https://HOST:PORT` for TLS, `unix:PATH`. Repeatable as
    /// `NAME=URI`, where NAME is the service (`acme.users.v1.UserService`) or the package (`acme.users.*`) that it
    /// serves, or any word; in the variable, separated by `;`.
    #[arg(short, long, value_name = "[NAME=]URI", env = "LOCKGATE_UPSTREAM", value_delimiter = ';')]
    pub upstream: Vec<String>,

    /// Ask the upstream for its descriptors, by gRPC server reflection.
    #[arg(long, env = "LOCKGATE_REFLECT", value_parser = BoolishValueParser::new())]
    pub reflect: bool,

    /// Where to listen: `IP:PORT` or `unix:PATH`. [default: 127.0.0.1:8080]
    #[arg(short, long, value_name = "ADDRESS", env = "LOCKGATE_LISTEN")]
    pub listen: Option<String>,

    /// Where the admin server (health, metrics) listens: `IP:PORT`, or `off`. [default: 127.0.0.1:9901]
    #[arg(short, long, value_name = "ADDRESS", env = "LOCKGATE_ADMIN")]
    pub admin: Option<String>,

    /// Worker threads: a number, or `auto` for one a core. [default: auto]
    #[arg(short, long, value_name = "N", env = "LOCKGATE_WORKERS")]
    pub workers: Option<String>,

    /// A descriptor set that is part of the program, for the demo.
    #[arg(skip)]
    pub embedded: Option<&'static [u8]>,
}

/// Why flags are no configuration.
#[derive(Debug, thiserror::Error)]
pub enum FlagsError {
    /// The flags themselves; each of the messages names its flag.
    #[error("{}", .0.join("\n"))]
    Usage(Vec<String>),
    /// The file that they name.
    #[error(transparent)]
    File(#[from] Error),
}

impl Flags {
    /// The configuration that they describe, themselves or by the file that they name.
    ///
    /// # Errors
    ///
    /// All that is wrong with them, or with the file.
    pub fn load(&self, surroundings: &Surroundings<'_>) -> Result<Config, FlagsError> {
        let mut messages = Vec::new();
        let workers = self.workers(&mut messages);
        let Some(path) = &self.config else {
            let config = self.assemble(surroundings.access_log, &mut messages);
            return match config {
                Some(config) if messages.is_empty() => Ok(with_workers(config, workers)),
                _ => Err(FlagsError::Usage(messages)),
            };
        };
        messages.extend(self.beside_a_file());
        if !messages.is_empty() {
            return Err(FlagsError::Usage(messages));
        }
        Ok(with_workers(super::load(path, surroundings)?, workers))
    }

    fn beside_a_file(&self) -> impl Iterator<Item = String> {
        let given = [
            (!self.descriptors.is_empty(), "--descriptors (LOCKGATE_DESCRIPTORS)", "descriptors"),
            (!self.upstream.is_empty(), "--upstream (LOCKGATE_UPSTREAM)", "upstreams"),
            (self.reflect, "--reflect (LOCKGATE_REFLECT)", "descriptors.reflection"),
            (self.listen.is_some(), "--listen (LOCKGATE_LISTEN)", "listeners"),
            (self.admin.is_some(), "--admin (LOCKGATE_ADMIN)", "admin"),
        ];
        given.into_iter().filter(|(given, ..)| *given).map(|(_, flag, key)| {
            format!("{flag} does not go with --config (LOCKGATE_CONFIG): the file's `{key}` says it")
        })
    }

    fn workers(&self, messages: &mut Vec<String>) -> Option<Workers> {
        let text = self.workers.as_deref()?;
        let workers = text.parse().ok();
        if workers.is_none() {
            messages.push(format!("--workers: found `{text}`, expected `auto` or a number of threads from 1 to 1024"));
        }
        workers
    }

    fn assemble(&self, access_log: AccessLog, messages: &mut Vec<String>) -> Option<Config> {
        let listen = self.listen.as_deref().unwrap_or(file::DEFAULT_LISTEN);
        let listener = note("--listen", parse_listen(listen), messages);
        let admin = note("--admin", parse_admin(self.admin.as_deref().unwrap_or(file::DEFAULT_ADMIN)), messages);
        let upstreams = self.upstreams(messages);
        if self.descriptors.is_empty() && !self.reflect && self.embedded.is_none() {
            messages.push(
                "nothing says which services there are: give --descriptors PATH, or --reflect to ask the upstream"
                    .to_owned(),
            );
        }
        let reflection =
            if self.reflect { upstreams.iter().map(|upstream| upstream.name.clone()).collect() } else { Vec::new() };
        Some(Config {
            listeners: vec![server::Config::new("default".to_owned(), listener?)],
            admin: admin?,
            runtime: Runtime { workers: super::all_cores(), grace: super::DEFAULT_GRACE, drain: super::DEFAULT_DRAIN },
            descriptors: Descriptors {
                paths: self.descriptors.clone(),
                proto: Vec::new(),
                reflection,
                embedded: self.embedded,
            },
            gateway: gateway::Config { upstreams, ..gateway::Config::default() },
            access_log,
            file: None,
        })
    }

    fn upstreams(&self, messages: &mut Vec<String>) -> Vec<upstream::Config> {
        if self.upstream.is_empty() {
            messages.push("nothing says where the gRPC server is: give --upstream HOST:PORT".to_owned());
        }
        let mut upstreams: Vec<upstream::Config> = Vec::new();
        for text in &self.upstream {
            let Some(upstream) = note("--upstream", parse_upstream(text), messages) else { continue };
            if upstreams.iter().any(|other| other.name == upstream.name) {
                messages.push(format!("--upstream: `{}` is given twice", upstream.name));
                continue;
            }
            upstreams.push(upstream);
        }
        let serves_the_rest = upstreams.iter().filter(|upstream| upstream.services.is_none()).count();
        if serves_the_rest > 1 {
            messages.push(format!(
                "{serves_the_rest} of --upstream don't say which services they have, expected only one without: name \
                 them by service or package (--upstream acme.users.v1.UserService=HOST:PORT)"
            ));
        }
        upstreams
    }
}

fn with_workers(mut config: Config, workers: Option<Workers>) -> Config {
    match workers {
        None => {}
        Some(Workers::Auto) => config.runtime.workers = super::all_cores(),
        Some(Workers::Number(number)) => config.runtime.workers = usize::from(number),
    }
    config
}

fn note<T>(flag: &str, parsed: Result<T, String>, messages: &mut Vec<String>) -> Option<T> {
    parsed.map_err(|message| messages.push(format!("{flag}: {message}"))).ok()
}

fn parse_listen(text: &str) -> Result<server::config::Address, String> {
    match text.strip_prefix("unix:") {
        Some("") => Err(format!("`{text}` names no path, expected `unix:PATH`")),
        Some(path) => Ok(server::config::Address::Unix(path.into())),
        None => check::parse_socket_address(text).map(server::config::Address::Tcp),
    }
}

fn parse_admin(text: &str) -> Result<Option<std::net::SocketAddr>, String> {
    match text {
        "off" => Ok(None),
        address => check::parse_socket_address(address).map(Some),
    }
}

/// `[NAME=]URI`; without a name it goes by its address.
fn parse_upstream(text: &str) -> Result<upstream::Config, String> {
    let (name, uri) = match text.split_once('=') {
        Some((name, uri)) => (name.trim(), uri.trim()),
        None => (text, text),
    };
    if name.is_empty() {
        return Err(format!("`{text}` has an empty name, expected `NAME=URI`"));
    }
    let (addresses, tls) = parse_uri(uri)?;
    let names_services = text.contains('=') && name.contains('.');
    let services = (names_services && check::is_service_pattern(name)).then(|| vec![name.to_owned()]);
    Ok(upstream::Config { services, tls, ..upstream::Config::new(name, addresses) })
}

fn parse_uri(uri: &str) -> Result<(Vec<Address>, Option<TlsConfig>), String> {
    let (rest, default_port, tls) = match (uri.strip_prefix("http://"), uri.strip_prefix("https://")) {
        (Some(rest), _) => (rest, 80, None),
        (None, Some(rest)) => (rest, 443, Some(TlsConfig { ca: None, server_name: None, identity: None })),
        (None, None) => return upstream_address::parse(uri, Path::new("")).map(|addresses| (addresses, None)),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return Err(format!("`{uri}` has more than a host and a port, and gRPC uses nothing else"));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let address = if has_port { authority.to_owned() } else { format!("{authority}:{default_port}") };
    Ok((vec![upstream_address::host_and_port(&address)?], tls))
}

#[cfg(test)]
mod tests;
