//! `upstreams`: the gRPC servers behind the gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::placed::Placed;
use crate::config::unit::{Count, Size, Timeout};
use crate::upstream::config;

/// A gRPC server, or several alike.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// The services that it serves, by full name (`acme.users.v1.UserService`) or by package (`acme.users.*`).
    /// Without it: every service that no other upstream names. `[]`: none, for what only the gateway itself asks.
    #[serde(default)]
    pub services: Option<Vec<Placed<String>>>,
    /// Where it listens: `HOST:PORT`, several as `static:HOST:PORT,HOST:PORT`, `dns:///HOST:PORT`, or `unix:PATH`.
    /// Names are resolved when connecting.
    pub address: Placed<String>,
    /// TLS towards it; without it, clear text. `{}` is TLS with the system's authorities.
    #[serde(default)]
    pub tls: Option<Placed<Tls>>,
    /// How many connections there are and what they carry.
    #[serde(default)]
    pub connections: Connections,
    /// The bounds of what it may answer. An answer beyond them is INTERNAL, HTTP 502.
    #[serde(default)]
    pub limits: UpstreamLimits,
}

/// TLS towards an upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// The authorities to trust: `system`, or a PEM file.
    #[schemars(extend("default" = "system"))]
    pub ca: Option<Placed<String>>,
    /// The name that its certificate must have, where that is not the address' host.
    pub server_name: Option<Placed<String>>,
    /// A PEM file with the certificate chain to show to it. Goes with `key`.
    pub cert: Option<Placed<String>>,
    /// A PEM file with the private key of `cert`.
    pub key: Option<Placed<String>>,
}

/// Connections to an upstream.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Connections {
    /// Connections that each worker keeps to each address.
    pub per_worker: Count,
    /// Calls in flight, over all workers. Beyond it: 503 with `Retry-After`.
    pub max_requests: Count,
    /// How long connecting, TLS included, may take.
    pub connect_timeout: Timeout,
}

impl Default for Connections {
    fn default() -> Self {
        let config = config::Config::new(String::new(), Vec::new());
        let count = |number| Count(u32::try_from(number).unwrap_or(u32::MAX));
        Self {
            per_worker: count(config.connections_per_worker),
            max_requests: count(config.max_requests),
            connect_timeout: Timeout(config.connect_timeout),
        }
    }
}

/// The bounds of an upstream's answers.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpstreamLimits {
    /// One message on the wire.
    pub response: Size,
    /// The JSON that one message becomes.
    pub print: Size,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self { response: Size(config::DEFAULT_MAX_RESPONSE_BYTES), print: Size(config::DEFAULT_MAX_PRINT_BYTES) }
    }
}
