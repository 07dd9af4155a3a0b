//! What a file says → the [`Config`] of each module: everything that takes more than one value to tell.
//!
//! Paths become relative to the folder of the file. Maps (`json`, `sse`, `headers`) merge by key; since a
//! [`HeaderRules`] is made of two keys, its lists are merged here, and the other settings by whoever adds the levels up.

mod external;
mod guard;
mod listener;
mod rest;
mod security_headers;
mod sign;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::file::{self, File};
use super::placed::{Named, Placed};
use super::problem::did_you_mean;
use super::problem::{Problems, Span};
use super::tree::{Node, Value};
use super::{Config, Descriptors, ProtoSource, Runtime, upstream_address};
use crate::telemetry::access::Format as AccessLog;
use crate::{gateway, upstream};

/// The most upstreams that are asked for their descriptors.
const MAX_REFLECTION: usize = 1024;

/// The names that a file declares, also of what has mistakes: they are not unknown.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub upstreams: BTreeSet<String>,
    pub providers: BTreeSet<String>,
    pub external: BTreeSet<String>,
    pub rate_limits: BTreeSet<String>,
}

impl Declared {
    pub(crate) fn of(root: &Node) -> Self {
        Self {
            upstreams: names_under(root, &["upstreams"]),
            providers: names_under(root, &["auth", "providers"]),
            external: names_under(root, &["auth", "external"]),
            rate_limits: names_under(root, &["rate_limits", "$limits"]),
        }
    }
}

fn names_under(root: &Node, path: &[&str]) -> BTreeSet<String> {
    let section = path.iter().try_fold(root, |node, key| match &node.value {
        Value::Map(map) => map.entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.value),
        Value::Null | Value::Scalar(_) | Value::List(_) => None,
    });
    match section.map(|section| &section.value) {
        Some(Value::Map(section)) => section.entries.iter().map(|entry| entry.key.clone()).collect(),
        _ => BTreeSet::new(),
    }
}

pub(crate) struct Check<'c> {
    /// What paths are relative to.
    pub folder: &'c Path,
    pub declared: &'c Declared,
    /// How requests are logged where the file does not say it.
    pub access_log: AccessLog,
    pub problems: &'c mut Problems,
}

impl Check<'_> {
    /// `None` where something is wrong that leaves nothing to go on with; the problems tell.
    pub(crate) fn config(&mut self, file: File, path: &Path) -> Option<Config> {
        let File {
            listeners,
            admin,
            runtime,
            descriptors,
            upstreams,
            defaults,
            services,
            http,
            auth,
            rate_limits,
            telemetry,
        } = file;
        let clean = self.problems.len() == 0;
        let listeners = self.listeners(listeners);
        let admin = self.admin(admin);
        let upstreams = self.upstreams(upstreams);
        let descriptors = self.descriptors(descriptors);
        if clean && self.problems.len() == 0 {
            self.something_to_serve(&descriptors, &upstreams);
            if listeners.as_ref().is_some_and(Vec::is_empty) {
                self.problems.push(Span::START, "`listeners` has none, expected at least one");
            }
        }
        let mut gateway = self.gateway(upstreams, defaults, services, http);
        self.guard(auth, rate_limits, &mut gateway);
        Some(Config {
            listeners: listeners?,
            admin: admin?,
            runtime: Runtime {
                workers: match runtime.workers {
                    file::Workers::Auto => super::all_cores(),
                    file::Workers::Number(number) => usize::from(number),
                },
                grace: runtime.grace.0,
                drain: runtime.drain.0,
            },
            descriptors,
            gateway,
            access_log: match telemetry.access_log {
                None => self.access_log,
                Some(file::AccessLog::Json) => AccessLog::Json,
                Some(file::AccessLog::Text) => AccessLog::Text,
                Some(file::AccessLog::Off) => AccessLog::Off,
            },
            file: Some(path.to_owned()),
        })
    }

    /// Only told of a file without other mistakes: what is missing may be what was mistaken.
    fn something_to_serve(&mut self, descriptors: &Descriptors, upstreams: &[upstream::Config]) {
        if upstreams.is_empty() {
            let help = "for example `upstreams: { shop: { address: \"127.0.0.1:50051\" } }`".to_owned();
            self.problems.push_with_help(Span::START, "no upstream is declared, expected at least one", Some(help));
        }
        if *descriptors == Descriptors::default() {
            let help = "give `descriptors` one of `paths`, `proto` and `reflection`".to_owned();
            self.problems.push_with_help(Span::START, "no source of descriptors is declared", Some(help));
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn socket_address(&mut self, address: &Placed<String>) -> Option<SocketAddr> {
        match parse_socket_address(&address.value) {
            Ok(parsed) => Some(parsed),
            Err(message) => {
                self.problems.push(address.span, message);
                None
            }
        }
    }

    fn admin(&mut self, admin: Option<Placed<file::Admin>>) -> Option<Option<SocketAddr>> {
        match admin.map(|admin| admin.value) {
            None => file::DEFAULT_ADMIN.parse().ok().map(Some),
            Some(file::Admin::Off) => Some(None),
            Some(file::Admin::On(server)) => self.socket_address(&server.address).map(Some),
        }
    }

    fn descriptors(&mut self, descriptors: file::Descriptors) -> Descriptors {
        let file::Descriptors { paths, proto, reflection } = descriptors;
        for name in reflection.iter().take(MAX_REFLECTION) {
            self.known_upstream(name);
        }
        if let Some(more) = reflection.get(MAX_REFLECTION) {
            self.problems.push(more.span, format!("`reflection` has more than {MAX_REFLECTION} upstreams"));
        }
        let proto = proto.into_iter().map(|source| self.proto_source(source)).collect();
        Descriptors {
            paths: paths.iter().map(|path| self.path(&path.value)).collect(),
            proto,
            reflection: reflection.into_iter().map(|name| name.value).collect(),
            embedded: None,
        }
    }

    fn known_upstream(&mut self, name: &Placed<String>) {
        if !self.declared.upstreams.contains(&name.value) {
            let help = did_you_mean(&name.value, self.declared.upstreams.iter().map(String::as_str));
            let message = format!("there is no upstream `{}`", name.value);
            self.problems.push_with_help(name.span, message, help);
        }
    }

    fn proto_source(&mut self, source: file::ProtoSource) -> ProtoSource {
        for pattern in &source.files {
            if let Err(error) = globset::Glob::new(&pattern.value) {
                let message = format!("`{}` is no pattern of files: {}", pattern.value, error.kind());
                self.problems.push(pattern.span, message);
            }
        }
        let files = source.files.into_iter().map(|pattern| pattern.value).collect();
        ProtoSource { root: self.path(&source.root.value), files }
    }

    fn upstreams(&mut self, upstreams: Named<file::Upstream>) -> Vec<upstream::Config> {
        let mut owners: HashMap<String, String> = HashMap::new();
        let mut catch_all: Option<String> = None;
        let mut checked = Vec::new();
        for (name, upstream) in upstreams.0 {
            match &upstream.services {
                Some(services) => self.services_of(&name.value, services, &mut owners),
                None => match &catch_all {
                    None => catch_all = Some(name.value.clone()),
                    Some(other) => {
                        let message = format!(
                            "neither upstream `{}` nor upstream `{other}` says which `services` it has, expected only \
                             one without",
                            name.value
                        );
                        self.problems.push(name.span, message);
                    }
                },
            }
            checked.extend(self.upstream(name.value, upstream));
        }
        checked
    }

    fn services_of(&mut self, name: &str, services: &[Placed<String>], owners: &mut HashMap<String, String>) {
        for service in services {
            if !is_service_pattern(&service.value) {
                let message = format!(
                    "`{}` names no services, expected a full name (`acme.users.v1.UserService`) or a package \
                     (`acme.users.*`)",
                    service.value
                );
                self.problems.push(service.span, message);
                continue;
            }
            if let Some(owner) = owners.get(&service.value) {
                let message = format!("`{}` is served by upstream `{owner}` already", service.value);
                self.problems.push(service.span, message);
            }
            owners.entry(service.value.clone()).or_insert_with(|| name.to_owned());
        }
    }

    fn upstream(&mut self, name: String, upstream: file::Upstream) -> Option<upstream::Config> {
        let file::Upstream { services, address, tls, connections, limits } = upstream;
        let addresses = upstream_address::parse(&address.value, self.folder)
            .map_err(|message| self.problems.push(address.span, message))
            .ok();
        let tls = tls.map(|tls| self.tls(tls));
        Some(upstream::Config {
            services: services.map(|services| services.into_iter().map(|service| service.value).collect()),
            tls,
            max_response_bytes: limits.response.0,
            max_print_bytes: limits.print.0,
            connections_per_worker: usize::try_from(connections.per_worker.0).unwrap_or(usize::MAX),
            max_requests: usize::try_from(connections.max_requests.0).unwrap_or(usize::MAX),
            connect_timeout: connections.connect_timeout.0,
            ..upstream::Config::new(name, addresses?)
        })
    }

    fn tls(&mut self, tls: Placed<file::Tls>) -> upstream::config::TlsConfig {
        let file::Tls { ca, server_name, cert, key } = tls.value;
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some((self.path(&cert.value), self.path(&key.value))),
            (None, None) => None,
            (Some(cert), None) => {
                self.problems.push(cert.span, "`cert` stands without `key`, expected both or neither");
                None
            }
            (None, Some(key)) => {
                self.problems.push(key.span, "`key` stands without `cert`, expected both or neither");
                None
            }
        };
        let server_name = server_name.map(|name| {
            if rustls::pki_types::ServerName::try_from(name.value.as_str()).is_err() {
                self.problems.push(name.span, format!("`{}` is no name of a server", name.value));
            }
            name.value
        });
        let ca = ca.map(|ca| ca.value).filter(|ca| ca != "system").map(|ca| self.path(&ca));
        upstream::config::TlsConfig { ca, server_name, identity }
    }

    fn gateway(
        &mut self,
        upstreams: Vec<upstream::Config>,
        defaults: file::Level,
        services: Named<file::Service>,
        http: file::Http,
    ) -> gateway::Config {
        let rest = self.rest(defaults, services);
        let rules = http.rules.into_iter().filter_map(|rule| self.rule(rule)).collect();
        gateway::Config { upstreams, rules, ..rest }
    }
}

/// `IP:PORT`, or `localhost:PORT` for the loopback of IPv4.
pub(crate) fn parse_socket_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| {
        let hint = match text.strip_prefix(':') {
            Some(port) => format!("; for every interface, `0.0.0.0:{port}`"),
            None => String::new(),
        };
        format!("`{text}` is no address to listen on, expected `IP:PORT`{hint}")
    })
}

/// A full name, or a package followed by `.*`.
pub(crate) fn is_service_pattern(text: &str) -> bool {
    is_full_name(text.strip_suffix(".*").unwrap_or(text))
}

/// Identifiers joined by dots.
pub(crate) fn is_full_name(text: &str) -> bool {
    text.split('.').all(is_identifier)
}

/// A protobuf identifier.
pub(crate) fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
