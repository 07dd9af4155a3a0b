//! `auth`, `rate_limits`, and what levels say of both: who may call what, how often, from where.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::Sign;
use super::external::External;
use crate::config::placed::{Named, Placed};
use crate::config::tree::{Entry, Map, Node, Value};
use crate::config::unit::{Count, Time, Timeout};
use crate::limit::store;

/// Who is believed, and what upstreams are told of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Auth {
    /// Those who say who calls, by names of your choice.
    pub providers: Named<Provider>,
    /// Services that are asked whether a request may pass, by names of your choice.
    pub external: Named<External>,
    /// Metadata that upstreams are told of the caller: literals, or expressions that begin with `=`. What a client
    /// sends under these names never reaches an upstream.
    pub forward: Named<Placed<String>>,
    /// A token of the gateway's own for upstreams.
    pub sign: Option<Placed<Sign>>,
}

/// One way to tell who calls: exactly one of the keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Provider {
    /// Signed tokens (RFC 7519).
    pub jwt: Option<Jwt>,
    /// Tokens that their issuer is asked about (RFC 7662).
    pub introspection: Option<Introspection>,
    /// Keys from a file.
    pub api_key: Option<ApiKey>,
    /// Certificates that clients show to a listener with `client_certificates`.
    pub mtls: Option<Mtls>,
}

/// Signed tokens. Only asymmetric signatures are taken: RS, PS and ES in their sizes, and EdDSA.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jwt {
    /// The exact `iss` of its tokens.
    pub issuer: Placed<String>,
    /// A token must be meant for one of these: its `aud`.
    pub audience: Vec<String>,
    /// Where its keys are, as a JWK Set (RFC 7517): `discover` for OpenID Connect discovery below the issuer, a URL, or a
    /// file.
    #[serde(default = "discover")]
    pub jwks: Placed<String>,
    /// The header that holds the bare token, instead of `Authorization: Bearer`.
    #[serde(default)]
    pub header: Option<Placed<String>>,
    /// The cookie that holds the token, instead of `Authorization: Bearer`.
    #[serde(default)]
    pub cookie: Option<Placed<String>>,
    /// The claim that holds the roles: a list, or words between spaces.
    #[serde(default = "roles")]
    pub roles_claim: String,
    /// How far clocks may differ.
    #[serde(default = "leeway")]
    pub leeway: Time,
}

fn discover() -> Placed<String> {
    Placed::unplaced("discover".to_owned())
}

fn roles() -> String {
    "roles".to_owned()
}

fn leeway() -> Time {
    Time(Duration::from_secs(30))
}

/// Tokens that their issuer is asked about. A token is asked about once, however many requests bring it at a time. While
/// the endpoint can't be asked, or answers with anything but 200, requests with a token that is not remembered are
/// answered 503 after 5 s at most.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Introspection {
    /// The URL of the introspection endpoint.
    pub endpoint: Placed<String>,
    /// What the gateway calls itself there.
    pub client_id: String,
    /// Its secret: better `${VAR}` or `${file:path}` than the secret itself.
    pub client_secret: String,
    /// The header that holds the bare token, instead of `Authorization: Bearer`.
    #[serde(default)]
    pub header: Option<Placed<String>>,
    /// The cookie that holds the token, instead of `Authorization: Bearer`.
    #[serde(default)]
    pub cookie: Option<Placed<String>>,
    /// The exact `iss` of the answers. Without it, any or none.
    #[serde(default)]
    pub issuer: Option<Placed<String>>,
    /// An answer must be meant for one of these: its `aud`. Empty: any or none.
    #[serde(default)]
    pub audience: Vec<String>,
    /// The claim that holds the roles: a list, or words between spaces.
    #[serde(default = "roles")]
    pub roles_claim: String,
    /// How far clocks may differ, up to `5m`.
    #[serde(default = "placed_leeway")]
    pub leeway: Placed<Time>,
    /// How long an answer is believed, up to `1h`, a refusal for `10s` at most; never beyond the token's own end.
    #[serde(default = "introspection_ttl")]
    pub ttl: Placed<Timeout>,
    /// For how long beyond `ttl` a good answer is still believed while the endpoint can't be asked, up to `1d`; never
    /// beyond the token's own end. With `0s`, 503 at once.
    #[serde(default = "introspection_stale")]
    pub stale: Placed<Time>,
}

fn placed_leeway() -> Placed<Time> {
    Placed::unplaced(leeway())
}

fn introspection_ttl() -> Placed<Timeout> {
    Placed::unplaced(Timeout(Duration::from_secs(60)))
}

fn introspection_stale() -> Placed<Time> {
    Placed::unplaced(Time(Duration::ZERO))
}

/// Keys from a file, which is watched. `lockgate keys new` makes them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKey {
    /// The file: `keys: [{ id: acme-1, hash: "sha256:…", plan: free, roles: [reader], expires: 2027-01-01T00:00:00Z }]`,
    /// of which `id` and `hash` must be there.
    pub keys: Placed<String>,
    /// The header that holds the key.
    #[serde(default = "api_key_header")]
    pub header: Placed<String>,
    /// The secret of hashes that begin with `hmac-sha256:`.
    #[serde(default)]
    pub pepper: Option<String>,
}

fn api_key_header() -> Placed<String> {
    Placed::unplaced("x-api-key".to_owned())
}

/// Client certificates. Only subject alternative names count; a certificate that matches none of the patterns is refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mtls {
    /// DNS names (`api.partners.example.com`, `*.partners.example.com` for one label more) and URIs such as SPIFFE ids
    /// (`spiffe://example.org/ns/shop`; a `*` at the end stands for whatever follows, elsewhere for one segment).
    pub subjects: Vec<Placed<String>>,
}

/// `auth` of a level.
#[derive(Debug)]
pub(crate) enum AuthRule {
    /// `none`: credentials are not looked at.
    None,
    /// `optional`: what the levels above ask for may be missing, but not bad.
    Optional,
    Any(AnyProvider),
}

/// Any one of these providers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnyProvider {
    /// Names of providers.
    pub any: Vec<Placed<String>>,
    /// Whether a request without any credential is let through; a bad one never is.
    #[serde(default)]
    pub optional: bool,
    /// `false` forgets what the levels above ask for.
    #[serde(default = "yes")]
    pub inherit: bool,
}

fn yes() -> bool {
    true
}

/// What must hold: one expression or several.
#[derive(Debug)]
pub(crate) struct Require {
    pub expressions: Vec<Placed<String>>,
    pub inherit: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RequireMap {
    /// An expression that begins with `=`.
    expr: Placed<String>,
    /// `false` forgets what the levels above require.
    #[serde(default = "yes")]
    inherit: bool,
}

/// Names of rate limits that count here too.
#[derive(Debug)]
pub(crate) struct LimitNames {
    pub names: Vec<Placed<String>>,
    pub inherit: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitNamesMap {
    /// Names below `rate_limits`.
    names: Vec<Placed<String>>,
    /// `false` forgets the limits of the levels above.
    #[serde(default = "yes")]
    inherit: bool,
}

/// Names of external deciders that are asked here too.
#[derive(Debug)]
pub(crate) struct ExternalNames {
    pub names: Vec<Placed<String>>,
    pub inherit: bool,
}

/// External deciders, and whether they come to those of the levels above.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExternalNamesMap {
    /// Names below `auth.external`.
    names: Vec<Placed<String>>,
    /// `false` forgets the deciders of the levels above.
    #[serde(default = "yes")]
    inherit: bool,
}

/// Addresses of clients, as CIDR blocks (`10.0.0.0/8`) or single ones.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddressRules {
    /// These alone are let in. Empty: all.
    #[serde(default)]
    pub allow: Vec<Placed<String>>,
    /// These are not, even if allowed.
    #[serde(default)]
    pub deny: Vec<Placed<String>>,
    /// `false` forgets the lists of the levels above.
    #[serde(default = "yes")]
    pub inherit: bool,
}

/// Which pages of other origins may call (the Fetch standard's CORS).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cors {
    /// Origins: exact (`https://app.example.com`), any subdomain (`https://*.example.com`), or `*` for all.
    pub origins: Vec<Placed<String>>,
    /// Whether pages may send credentials. Never with the origin `*`.
    #[serde(default)]
    pub credentials: bool,
    /// Request headers that pages may set.
    #[serde(default = "cors_headers")]
    pub headers: Vec<Placed<String>>,
    /// Answer headers that pages may read.
    #[serde(default)]
    pub expose: Vec<Placed<String>>,
    /// How long browsers may keep the answer to a preflight.
    #[serde(default = "cors_max_age")]
    pub max_age: Time,
}

fn cors_headers() -> Vec<Placed<String>> {
    ["authorization", "content-type"].map(|name| Placed::unplaced(name.to_owned())).into()
}

fn cors_max_age() -> Time {
    Time(Duration::from_secs(600))
}

/// Limits on how often callers may call, by names of your choice, beside the keys `store` and `headers`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RateLimits {
    /// Where limits of `scope: shared` count.
    pub store: Option<Placed<Store>>,
    /// How limits are told in answers: `ietf` by `RateLimit` and `RateLimit-Policy`, `x` by `X-RateLimit-*`, `both` or
    /// `off`.
    pub headers: LimitHeaders,
    #[serde(rename = "$limits")]
    pub limits: Named<Limit>,
}

/// Where limits of `scope: shared` count: in exactly one of `url` and `upstream`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Store {
    /// Of a Redis or a Valkey: `redis://`, `redis+unix://`, `rediss://` for TLS, `redis+cluster://` or
    /// `rediss+cluster://`.
    pub url: Option<Placed<String>>,
    /// The authorities to trust, for a `url` with TLS: `system`, or a PEM file.
    #[schemars(extend("default" = "system"))]
    pub ca: Option<Placed<String>>,
    /// One of `upstreams`, which speaks version 3 of Envoy's rate limit protocol. It counts in windows of its own:
    /// limits that it shares have no `burst`, and a request that one limit refuses counts against the others too.
    pub upstream: Option<Placed<String>>,
    /// What keeps counts in `upstream` apart from those for others.
    #[schemars(extend("default" = DEFAULT_DOMAIN))]
    pub domain: Option<Placed<String>>,
    /// How long a request waits for it.
    pub timeout: Timeout,
    /// What holds while it can't be reached: `local` counts in each instance, `allow` lets through, `deny` answers 503.
    pub on_error: OnError,
}

/// The domain where none is written.
pub(crate) const DEFAULT_DOMAIN: &str = "lockgate";

impl Default for Store {
    fn default() -> Self {
        Self {
            url: None,
            ca: None,
            upstream: None,
            domain: None,
            timeout: Timeout(store::DEFAULT_TIMEOUT),
            on_error: OnError::default(),
        }
    }
}

/// What holds while the store can't be reached.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum OnError {
    #[default]
    Local,
    Allow,
    Deny,
}

/// How limits are told in answers: `ietf` by `RateLimit` and `RateLimit-Policy`, `x` by `X-RateLimit-*`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum LimitHeaders {
    #[default]
    Ietf,
    X,
    Both,
    Off,
}

/// One limit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    /// Whom it counts: an expression that begins with `=` and gives a text. One that names neither `auth` nor
    /// `request` counts before authentication. A `client.ip` of IPv6 counts by its /64.
    pub key: Placed<String>,
    /// `N/s`, `N/m` or `N/h`: so many at once after a rest (or `burst`), and then evenly, so `5/m` is one in 12 s.
    #[serde(default)]
    pub rate: Option<Placed<String>>,
    /// How many at once. Without it: the number of `rate`.
    #[serde(default)]
    pub burst: Option<Placed<Count>>,
    /// `N/h`, `N/d` or `N/mo`, in calendar windows of UTC.
    #[serde(default)]
    pub quota: Option<Placed<String>>,
    /// An expression that names one of `tiers`.
    #[serde(default)]
    pub tier: Option<Placed<String>>,
    /// Rates by the caller's tier. A caller of another tier has the limit's own, or the smallest of these.
    #[serde(default)]
    pub tiers: Named<Tier>,
    /// `local` counts in each instance, `shared` in the store.
    #[serde(default)]
    pub scope: LimitScope,
    /// `true` counts without refusing.
    #[serde(default)]
    pub shadow: bool,
}

/// The rates of a tier.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tier {
    /// `N/s`, `N/m` or `N/h`.
    pub rate: Option<Placed<String>>,
    /// How many at once. Without it: the number of `rate`.
    pub burst: Option<Placed<Count>>,
    /// `N/h`, `N/d` or `N/mo`, in calendar windows of UTC.
    pub quota: Option<Placed<String>>,
}

/// Where a limit counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum LimitScope {
    #[default]
    Local,
    Shared,
}

/// Sorts the keys of `rate_limits` into its own and the names of limits.
pub(crate) fn shape(root: &mut Node) {
    let Value::Map(root) = &mut root.value else { return };
    let Some(section) = root.entries.iter_mut().find(|entry| entry.key == "rate_limits") else { return };
    let (span, value_span) = (section.span, section.value.span);
    let Value::Map(map) = &mut section.value.value else { return };
    let entries = std::mem::take(&mut map.entries);
    let (own, limits) = entries.into_iter().partition::<Vec<_>, _>(|entry| matches!(&*entry.key, "store" | "headers"));
    map.entries = own;
    let value = Value::Map(Map { entries: limits, lost: Vec::new() });
    map.entries.push(Entry { span, key: "$limits".to_owned(), value: Node { span: value_span, value } });
}

/// The keys of `rate_limits` that are no limits, for the schema.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct RateLimitKeys {
    /// Where limits of `scope: shared` count.
    store: Option<Store>,
    /// How limits are told in answers: `ietf` by `RateLimit` and `RateLimit-Policy`, `x` by `X-RateLimit-*`, `both` or
    /// `off`.
    headers: Option<LimitHeaders>,
}

impl JsonSchema for RateLimits {
    fn schema_name() -> Cow<'static, str> {
        "RateLimits".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = RateLimitKeys::json_schema(generator);
        schema.insert("additionalProperties".into(), generator.subschema_for::<Limit>().into());
        schema.insert(
            "description".into(),
            "Limits on how often callers may call, by names of your choice, beside the keys `store` and `headers`."
                .into(),
        );
        schema
    }
}

/// Reads what may be a word, a list or a mapping, by one visitor a type.
macro_rules! word_list_or_map {
    ($type:ty, $expecting:literal, $str:expr, $seq:expr, $map:expr, [$($schema:ty),+], $strings:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Any;
                impl<'de> Visitor<'de> for Any {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: Error>(self, value: &str) -> Result<$type, E> {
                        let read: fn(&str) -> Option<$type> = $str;
                        read(value).ok_or_else(|| E::invalid_value(Unexpected::Str(value), &self))
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<$type, A::Error> {
                        Vec::deserialize(SeqAccessDeserializer::new(seq)).map($seq)
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        Deserialize::deserialize(MapAccessDeserializer::new(map)).map($map)
                    }
                }
                deserializer.deserialize_any(Any)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                json_schema!({ "anyOf": [$strings, $(generator.subschema_for::<$schema>()),+] })
            }
        }
    };
}

word_list_or_map!(
    AuthRule,
    "names of providers, `none`, `optional`, or a mapping with `any`",
    |word| match word {
        "none" => Some(AuthRule::None),
        "optional" => Some(AuthRule::Optional),
        _ => None,
    },
    |any| AuthRule::Any(AnyProvider { any, optional: false, inherit: true }),
    AuthRule::Any,
    [Vec<String>, AnyProvider],
    { "enum": ["none", "optional"] }
);

word_list_or_map!(
    Require,
    "an expression that begins with `=`, several of them, or a mapping with `expr`",
    |text| Some(Require { expressions: vec![Placed::unplaced(text.to_owned())], inherit: true }),
    |expressions| Require { expressions, inherit: true },
    |map: RequireMap| Require { expressions: vec![map.expr], inherit: map.inherit },
    [Vec<String>, RequireMap],
    { "type": "string" }
);

word_list_or_map!(
    LimitNames,
    "names of rate limits, or a mapping with `names`",
    |_| None,
    |names| LimitNames { names, inherit: true },
    |map: LimitNamesMap| LimitNames { names: map.names, inherit: map.inherit },
    [Vec<String>, LimitNamesMap],
    { "type": "array", "items": { "type": "string" } }
);

word_list_or_map!(
    ExternalNames,
    "names of external deciders, or a mapping with `names`",
    |_| None,
    |names| ExternalNames { names, inherit: true },
    |map: ExternalNamesMap| ExternalNames { names: map.names, inherit: map.inherit },
    [ExternalNamesMap],
    { "type": "array", "items": { "type": "string" } }
);
