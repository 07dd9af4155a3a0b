//! The configuration file as it is written: one type a section, one field a key.
//!
//! The comments of these types are what users read, in `docs/config.md` and in the JSON Schema. Meaning is checked by
//! `check`; here stands only what can be told from one value. Unknown keys are mistakes everywhere.

pub(crate) mod external;
pub(crate) mod guard;
mod listener;
mod rest;
mod security_headers;
mod sign;
mod upstream;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::placed::{Named, Placed};
use super::unit::Time;

pub(crate) use listener::{
    CertificatePair, ClientHeader, ClientMode, Listener, ListenerLimits, ListenerTls, MinVersion, Switch,
    UnderscoreHeaders,
};
pub(crate) use rest::{CompressFrom, HeaderLists, Http, HttpRule, Level, MethodLevel, Service, shape};
pub(crate) use security_headers::{SecurityHeaders, SecurityValues};
pub(crate) use sign::Sign;
pub(crate) use upstream::{Tls, Upstream};

/// Where Lockgate listens when nothing says it.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// Where the admin server listens when nothing says it.
pub(crate) const DEFAULT_ADMIN: &str = "127.0.0.1:9901";

/// The configuration of Lockgate.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Lockgate", deny_unknown_fields)]
pub(crate) struct File {
    /// Where clients connect, by names of your choice. Without any, one listener is at `127.0.0.1:8080`.
    /// They take effect when the process starts; the certificates that they name, at any time.
    pub listeners: Option<Named<Listener>>,
    /// The admin server: `/livez`, `/readyz`, `/metrics`, `/routes` and `/jwks.json`. `off` for none.
    pub admin: Option<Placed<Admin>>,
    /// The process.
    pub runtime: Runtime,
    /// Where the descriptors of the services come from. At least one source is needed; several are merged.
    pub descriptors: Descriptors,
    /// The gRPC servers behind the gateway, by names of your choice.
    pub upstreams: Named<Upstream>,
    /// How methods are served where neither their service nor they themselves say otherwise.
    pub defaults: Level,
    /// How the methods of single services are served, by the services' full names.
    pub services: Named<Service>,
    /// HTTP rules from outside the descriptors.
    pub http: Http,
    /// Who is believed, and what upstreams are told of them.
    pub auth: guard::Auth,
    /// How often callers may call.
    pub rate_limits: guard::RateLimits,
    /// Logs and metrics.
    pub telemetry: Telemetry,
}

/// The admin server: a mapping, or the word `off`.
#[derive(Debug)]
pub(crate) enum Admin {
    Off,
    On(AdminServer),
}

/// The admin server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminServer {
    /// `IP:PORT`. It has no authentication: keep it on loopback or in a network of your own.
    #[serde(default = "default_admin")]
    pub address: Placed<String>,
}

fn default_admin() -> Placed<String> {
    Placed::unplaced(DEFAULT_ADMIN.to_owned())
}

/// The process.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Runtime {
    /// Worker threads, each with connections of its own: a number, or `auto` for one a core.
    pub workers: Workers,
    /// After SIGTERM, how long new connections are still accepted while `/readyz` already says 503.
    pub grace: Time,
    /// After `grace`, how long calls in flight may go on until they are cut.
    pub drain: Time,
}

impl Default for Runtime {
    fn default() -> Self {
        Self { workers: Workers::Auto, grace: Time(super::DEFAULT_GRACE), drain: Time(super::DEFAULT_DRAIN) }
    }
}

/// `runtime.workers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workers {
    Auto,
    Number(u16),
}

/// Where the descriptors of the services come from.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Descriptors {
    /// Files of descriptor sets (`protoc --include_imports --descriptor_set_out`, `buf build -o`) and folders of such
    /// files (`.binpb`, `.pb`, `.desc`, `.protoset`). They are watched.
    pub paths: Vec<Placed<String>>,
    /// `.proto` files, compiled in the process.
    pub proto: Vec<ProtoSource>,
    /// Names of upstreams that are asked for their descriptors by server reflection.
    pub reflection: Vec<Placed<String>>,
}

/// `.proto` files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProtoSource {
    /// The folder that imports are relative to.
    pub root: Placed<String>,
    /// The files below it, as patterns: `*` within a folder's name, `**` for any folders.
    #[serde(default = "every_proto_file")]
    #[schemars(default = "every_proto_file_as_text")]
    pub files: Vec<Placed<String>>,
}

fn every_proto_file() -> Vec<Placed<String>> {
    every_proto_file_as_text().into_iter().map(Placed::unplaced).collect()
}

fn every_proto_file_as_text() -> Vec<String> {
    vec!["**/*.proto".to_owned()]
}

/// Logs and metrics.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Telemetry {
    /// One line a request on stdout: `json`, `text` or `off`. Without it, as `--log-format` says.
    pub access_log: Option<AccessLog>,
}

/// How requests are logged.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum AccessLog {
    Json,
    Text,
    Off,
}

impl<'de> Deserialize<'de> for Admin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AdminVisitor)
    }
}

struct AdminVisitor;

impl<'de> serde::de::Visitor<'de> for AdminVisitor {
    type Value = Admin;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a mapping with `address`, or `off`")
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Admin, E> {
        match value {
            "off" => Ok(Admin::Off),
            other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
        }
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Admin, A::Error> {
        AdminServer::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Admin::On)
    }
}

impl JsonSchema for Admin {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Admin".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<AdminServer>(), { "const": "off" }] })
    }
}

impl<'de> Deserialize<'de> for Workers {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(|()| {
            let expected = "`auto` or a number of threads from 1 to 1024";
            serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &expected)
        })
    }
}

impl std::str::FromStr for Workers {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            number => number.parse().ok().filter(|number| (1..=1024).contains(number)).map(Self::Number).ok_or(()),
        }
    }
}

impl Serialize for Workers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Number(number) => serializer.serialize_u16(*number),
        }
    }
}

impl JsonSchema for Workers {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Workers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "title": "`auto` or number", "type": ["string", "integer"], "minimum": 1, "maximum": 1024 })
    }
}
