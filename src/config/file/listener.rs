//! `listeners`: where clients connect, by what they are known, and what they may take.

use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};

use crate::config::placed::Placed;
use crate::config::unit::{Count, Size, Timeout};
use crate::server;

/// A listener.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// `IP:PORT` (`0.0.0.0:8080`, `[::]:8080`, port 0 for any that is free) or `unix:PATH`. HTTP/1.1 and HTTP/2 are
    /// spoken on the same port.
    pub address: Placed<String>,
    /// TLS towards clients; without it, clear text.
    #[serde(default)]
    pub tls: Option<ListenerTls>,
    /// Who the client is where proxies stand before the gateway.
    #[serde(default)]
    pub client_ip: ClientIp,
    /// Which clients are served, by address. Any other is answered 403.
    #[serde(default)]
    pub addresses: Addresses,
    /// What becomes of header fields with `_` in their names, which some servers can't tell from those with `-`: `drop`
    /// takes them away, `reject` answers 400, `allow` leaves them.
    #[serde(default)]
    pub underscore_headers: UnderscoreHeaders,
    /// `https` sends every request to the same host and path by https, with 308, instead of serving it; `https:PORT` to
    /// a port that is not 443. What a trusted proxy took by https is served.
    #[serde(default)]
    pub redirect: Option<Placed<String>>,
    /// The bounds of connections and requests.
    #[serde(default)]
    pub limits: ListenerLimits,
}

/// TLS towards clients. The files are watched: a connection that begins after a change sees what is new, and those that
/// are open go on. Where a changed file is not good, what was there before stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenerTls {
    /// Certificates with their keys. A client gets the one with exactly the name that it asks for, else one with the
    /// `*.domain` of it, else the first.
    pub certificates: Placed<Vec<CertificatePair>>,
    /// Certificates that clients show. Without it they are not asked for one.
    #[serde(default)]
    pub client_certificates: Option<ClientCertificates>,
    /// The oldest version that is spoken.
    #[serde(default)]
    pub min_version: MinVersion,
}

/// A certificate with its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificatePair {
    /// A PEM file with the certificate and those that sign it, up to the authority that clients know.
    pub cert: Placed<String>,
    /// A PEM file with the private key of `cert`.
    pub key: Placed<String>,
}

/// Certificates that clients show.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientCertificates {
    /// A PEM file with the authorities that sign them.
    pub ca: Placed<String>,
    /// `required`: a client without one is refused in the handshake. `optional`: it may have none; a bad one is refused
    /// all the same. `off`: clients are not asked.
    #[serde(default)]
    pub mode: ClientMode,
}

/// `client_certificates.mode`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum ClientMode {
    Off,
    Optional,
    #[default]
    Required,
}

/// `min_version`, also where YAML takes it for a number.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) enum MinVersion {
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

impl JsonSchema for MinVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MinVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        json_schema!({ "enum": ["1.2", "1.3", 1.2, 1.3] })
    }
}

/// Who the client is: whoever connects, unless that is a trusted proxy.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientIp {
    /// Addresses and networks (`10.0.0.0/8`) of proxies that are believed. The client is then the first address from
    /// the right of `header` that is none of them. How it came to them, by http or https, is what they say in
    /// `x-forwarded-proto`, or with `header: forwarded` in the client's `proto`: upstreams are told so, `redirect` lets
    /// https through, and `security_headers` speak of transport security.
    pub trusted_proxies: Vec<Placed<String>>,
    /// The header in which they say for whom they speak; the other is passed over.
    pub header: ClientHeader,
    /// `on`: each of their connections begins with a header of the PROXY protocol, version 1 or 2; one without is closed.
    pub proxy_protocol: Switch,
}

/// `client_ip.header`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub(crate) enum ClientHeader {
    #[default]
    XForwardedFor,
    Forwarded,
}

/// `on` or `off`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum Switch {
    #[default]
    Off,
    On,
}

/// Which clients are served, by address.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Addresses {
    /// Addresses and networks (`192.0.2.0/24`) that alone are served. Empty: all.
    pub allow: Vec<Placed<String>>,
    /// Addresses and networks that are not served, even if allowed.
    pub deny: Vec<Placed<String>>,
}

/// `underscore_headers`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum UnderscoreHeaders {
    #[default]
    Drop,
    Reject,
    Allow,
}

/// The bounds of connections and requests.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListenerLimits {
    /// Connections at a time. One more is closed at once.
    pub connections: Count,
    /// Of those, from one address (of IPv6, from one /64); connections of trusted proxies don't count. One more is
    /// closed at once. Without it: as many as `connections`.
    pub per_ip: Option<Count>,
    /// All header fields of a request together, from `8KiB` to `1MiB`. Beyond it: 431.
    pub header_bytes: Placed<Size>,
    /// A request's body, compressed and decompressed; in a stream, each message. Beyond it: 413.
    pub body: Size,
    /// How many times its own size a compressed body may have once it is decompressed; `1MiB` it may have in any case.
    /// Beyond it: 413.
    pub body_ratio: Count,
    /// What the bodies of this listener's requests may take of the memory at a time, where they are read whole and are
    /// larger than 16 KiB; at least as much as `body`. Messages of streams don't count. Beyond it: 503 with `Retry-After`.
    /// Without it: `256MiB`, or `body` if that is more.
    pub buffered: Option<Placed<Size>>,
    /// The whole TLS handshake. Beyond it, the connection is closed.
    pub handshake_timeout: Timeout,
    /// From the connection, or the end of its handshake, to the first byte of a request. Beyond it, the connection is
    /// closed.
    pub first_byte: Timeout,
    /// From the first byte of a request to the end of its headers. Beyond it: 408.
    pub header_timeout: Timeout,
    /// From the headers to the end of the body; in a stream, from message to message. Beyond it: 408.
    pub body_timeout: Timeout,
    /// How long a client may take nothing of an answer; over HTTP/2, how long each answer's next 16 KiB may take. Beyond
    /// it, the connection is cut.
    pub write_stall: Timeout,
    /// How long a connection is kept. Then it is closed once its requests are answered; each a little earlier, so that
    /// not all of them come back at once.
    pub age: Timeout,
    /// How long a connection may be without a request.
    pub idle: Timeout,
    /// HTTP/2 streams of one connection at a time.
    pub streams: Count,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        let limits = server::config::Limits::default();
        Self {
            connections: Count(u32::try_from(limits.connections).unwrap_or(u32::MAX)),
            per_ip: None,
            header_bytes: Placed::unplaced(Size(limits.header_bytes)),
            body: Size(limits.body_bytes),
            body_ratio: Count(limits.body_ratio),
            buffered: None,
            handshake_timeout: Timeout(limits.handshake_timeout),
            first_byte: Timeout(limits.first_byte),
            header_timeout: Timeout(limits.header_timeout),
            body_timeout: Timeout(limits.body_timeout),
            write_stall: Timeout(limits.write_stall),
            age: Timeout(limits.age),
            idle: Timeout(limits.idle),
            streams: Count(limits.streams),
        }
    }
}
