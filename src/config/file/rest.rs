//! `defaults`, `services` and `http`: how methods are served over REST.
//!
//! The same settings stand at three levels. Under a service, a key that is no setting is the name of a method; since
//! serde can't tell the two apart and say where they stand, [`shape`] sorts them in the tree before it is read.

use std::borrow::Cow;
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value as JsonValue;

use crate::config::placed::{Named, Placed};
use crate::config::tree::{Entry, Map, Node, Value};
use crate::config::unit::{Count, Size, Timeout};

use super::SecurityHeaders;
use super::guard::{AddressRules, AuthRule, Cors, ExternalNames, LimitNames, Require};

/// The settings of methods.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Level {
    /// The longest that a call may take, connecting and streaming included; a client may ask for less. Without it a
    /// unary call has 60 s, and a stream has no limit.
    pub timeout: Option<Timeout>,
    /// What becomes of a query parameter that the method doesn't know: `reject` answers 400, `ignore` passes over it.
    #[schemars(extend("default" = "reject"))]
    pub unknown_parameters: Option<UnknownParameters>,
    /// Query parameters that are passed over in any case, by name.
    pub ignored_parameters: Option<Vec<String>>,
    /// What becomes of a JSON field that the message doesn't know: `reject` answers 400, `ignore` passes over it, and
    /// over unknown names of enum values too.
    #[schemars(extend("default" = "reject"))]
    pub unknown_fields: Option<UnknownFields>,
    /// How answers are printed.
    pub json: Option<Json>,
    /// The form of an error's body: `status` is `{"code", "message", "details"}`, `problem` is RFC 9457.
    #[schemars(extend("default" = "status"))]
    pub errors: Option<ErrorFormat>,
    /// How a server stream is written where the client doesn't choose by `Accept`: `array` is one JSON array, `ndjson`
    /// one message a line, `sse` server-sent events.
    #[schemars(extend("default" = "array"))]
    pub stream: Option<StreamFormat>,
    /// Server-sent events.
    pub sse: Option<Sse>,
    /// How often an idle stream of server-sent events gets a comment, so that nothing in between closes it.
    #[schemars(extend("default" = "15s"))]
    pub keep_alive: Option<Timeout>,
    /// Whether a PATCH's unset field mask is filled from the keys of its body: `fill` or `leave`.
    #[schemars(extend("default" = "fill"))]
    pub patch_mask: Option<PatchMask>,
    /// The HTTP status of success, from 200 to 399; an upstream's `x-http-code` goes before. Without it: 200.
    pub success_status: Option<Placed<u16>>,
    /// The size from which answers are compressed for clients that take it (gzip, br, zstd), or `off`. Streams never
    /// are.
    #[schemars(extend("default" = "1KiB"))]
    pub compress_from: Option<CompressFrom>,
    /// Which headers pass to the upstream and back.
    pub headers: Option<Headers>,
    /// What becomes of methods without an HTTP rule: `expose` makes them `POST /package.Service/Method`, `hide` keeps
    /// them from REST. Not under a method.
    #[schemars(extend("default" = "expose"))]
    pub unannotated: Option<Placed<Unannotated>>,
    /// A slash at the end of a path: `strict` makes it another path, `ignore` makes it none. Not under a method.
    #[schemars(extend("default" = "strict"))]
    pub trailing_slash: Option<Placed<TrailingSlash>>,
    /// Who may call: names of providers, any one of which must verify the caller; lists of several levels must each be
    /// satisfied. `none` opens a method, `optional` lets callers without a credential through.
    pub auth: Option<Placed<AuthRule>>,
    /// What must hold: an expression that begins with `=`, or several. Those of all levels must hold.
    pub require: Option<Placed<Require>>,
    /// Scopes that the caller's token must have, each of them.
    pub scopes: Option<Vec<String>>,
    /// Roles of which the caller must have one.
    pub roles: Option<Vec<String>>,
    /// Names of external deciders that are asked here too, after those of the levels above; all of them must allow.
    /// `auth: none` does not switch them off, `{ names: [], inherit: false }` does.
    pub external: Option<ExternalNames>,
    /// Names of rate limits that count here too, beside those of the levels above.
    pub limits: Option<LimitNames>,
    /// How much one call counts against its limits.
    #[schemars(extend("default" = 1))]
    pub cost: Option<Count>,
    /// Which addresses may call; the lists of all levels must let the client in.
    pub addresses: Option<AddressRules>,
    /// Whether the credential that was verified is passed on to the upstream.
    #[schemars(extend("default" = false))]
    pub forward_token: Option<bool>,
    /// Which pages of other origins may call. Without it: none.
    pub cors: Option<Cors>,
    /// Headers that tell browsers what an answer of an API is not (OWASP's REST Security Cheat Sheet): `true` adds them
    /// where an answer has none of its own, a mapping changes some of them, `false` leaves them out. What `defaults` say
    /// also holds where no route is found, and for requests that can't be read. Without it: `false`.
    pub security_headers: Option<SecurityHeaders>,
}

/// A size, or the word `off`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CompressFrom {
    Off,
    Size(Size),
}

impl<'de> Deserialize<'de> for CompressFrom {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        match &*text {
            "off" => Ok(Self::Off),
            size => {
                let size: serde::de::value::StrDeserializer<'_, D::Error> =
                    serde::de::IntoDeserializer::into_deserializer(size);
                Size::deserialize(size).map(Self::Size)
            }
        }
    }
}

impl JsonSchema for CompressFrom {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CompressFrom".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<Size>(), { "const": "off" }] })
    }
}

/// How answers are printed. Each key is inherited by itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Json {
    /// Field names: `json` for lowerCamelCase (or `json_name`), `proto` as they are in the `.proto` file.
    #[schemars(extend("default" = "json"))]
    pub names: Option<Names>,
    /// Enum values: `name` or `number`.
    #[schemars(extend("default" = "name"))]
    pub enums: Option<Enums>,
    /// 64-bit integers: `string`, or `number`, which JavaScript rounds beyond 2^53.
    #[schemars(extend("default" = "string"))]
    pub int64: Option<Int64>,
    /// Fields at their defaults: `omit` or `emit`.
    #[schemars(extend("default" = "omit"))]
    pub unset: Option<Unset>,
    /// Spaces of indentation, up to 16; 0 prints on one line.
    #[schemars(extend("default" = 0), range(max = 16))]
    pub indent: Option<Placed<u8>>,
}

/// Server-sent events. Each key is inherited by itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sse {
    /// The field of the message that becomes the event's `id:`.
    pub id_field: Option<Placed<String>>,
    /// The field of the message that becomes the event's `event:`.
    pub event_field: Option<Placed<String>>,
}

/// Which headers pass. Each list is inherited by itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Headers {
    /// From the client to the upstream, as metadata. Hop-by-hop headers, `host`, `content-*`, `accept*`, `te`,
    /// `grpc-*` and those that the gateway sets never pass.
    pub request: Option<HeaderLists>,
    /// From the upstream's metadata to the client. `grpc-*` never passes.
    pub response: Option<HeaderLists>,
}

/// Header names, or their beginnings followed by `*`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HeaderLists {
    /// These alone pass. Without it: all.
    pub allow: Option<Vec<Placed<String>>>,
    /// These don't pass, even if allowed.
    pub deny: Option<Vec<Placed<String>>>,
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident => $($target:ident)::+ { $($word:ident),+ })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[schemars(inline)]
        pub(crate) enum $name { $($word),+ }

        impl From<$name> for crate::$($target)::+ {
            fn from(word: $name) -> Self {
                match word { $($name::$word => Self::$word),+ }
            }
        }
    )*};
}

words! {
    /// `unknown_parameters`.
    UnknownParameters => transcode::bind::UnknownParameters { Reject, Ignore }
    /// `unknown_fields`.
    UnknownFields => transcode::decode::UnknownFields { Reject, Ignore }
    /// `json.names`.
    Names => transcode::encode::Names { Json, Proto }
    /// `json.enums`.
    Enums => transcode::encode::Enums { Name, Number }
    /// `json.int64`.
    Int64 => transcode::encode::Int64 { String, Number }
    /// `json.unset`.
    Unset => transcode::encode::Unset { Omit, Emit }
    /// `errors`.
    ErrorFormat => protocol::rest::error::ErrorFormat { Status, Problem }
    /// `stream`.
    StreamFormat => protocol::rest::accept::StreamFormat { Array, Ndjson, Sse }
    /// `patch_mask`.
    PatchMask => call::settings::PatchMask { Fill, Leave }
    /// `unannotated`.
    Unannotated => gateway::config::Unannotated { Expose, Hide }
    /// `trailing_slash`.
    TrailingSlash => route::router::TrailingSlash { Strict, Ignore }
}

/// A [`Level`] without what a method can't say.
#[derive(Debug)]
pub(crate) struct MethodLevel(pub Level);

impl<'de> Deserialize<'de> for MethodLevel {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Level::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for MethodLevel {
    fn schema_name() -> Cow<'static, str> {
        "Method".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Level::json_schema(generator);
        if let Some(JsonValue::Object(properties)) = schema.get_mut("properties") {
            properties.retain(|key, _| key != "unannotated" && key != "trailing_slash");
        }
        schema.insert(
            "description".into(),
            "How one method is served: the keys of `defaults` but `unannotated` and `trailing_slash`.".into(),
        );
        schema
    }
}

/// One of `services`, as [`shape`] sorts it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    #[serde(rename = "$settings")]
    pub settings: Level,
    #[serde(rename = "$methods")]
    pub methods: Named<MethodLevel>,
}

impl JsonSchema for Service {
    fn schema_name() -> Cow<'static, str> {
        "Service".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Level::json_schema(generator);
        schema.insert("additionalProperties".into(), generator.subschema_for::<MethodLevel>().into());
        schema.insert(
            "description".into(),
            "How the methods of one service are served: the keys of `defaults`, and names of methods.".into(),
        );
        schema
    }
}

/// The keys of a [`Level`].
pub(crate) static SETTINGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let schema = schemars::schema_for!(Level);
    let properties = schema.get("properties").and_then(JsonValue::as_object);
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
});

/// Sorts the keys of each service into `$settings` and `$methods`. A key that is neither a setting nor has a mapping for
/// its value is left among the settings, where it is found to be unknown.
pub(crate) fn shape(root: &mut Node) {
    super::guard::shape(root);
    let Value::Map(root) = &mut root.value else { return };
    let services = root.entries.iter_mut().find(|entry| entry.key == "services");
    let Some(Value::Map(services)) = services.map(|entry| &mut entry.value.value) else { return };
    for service in &mut services.entries {
        let Value::Map(map) = &mut service.value.value else { continue };
        let entries = std::mem::take(&mut map.entries);
        let (methods, settings) = entries.into_iter().partition::<Vec<_>, _>(|entry| {
            matches!(entry.value.value, Value::Map(_)) && !SETTINGS.contains(&entry.key)
        });
        map.entries = [("$settings", settings), ("$methods", methods)]
            .map(|(key, entries)| Entry {
                span: service.span,
                key: key.to_owned(),
                value: Node { span: service.value.span, value: Value::Map(Map { entries, lost: Vec::new() }) },
            })
            .into();
    }
}

/// HTTP rules from outside the descriptors.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// Rules as google.api.HttpRule has them. A method's rule goes before those in its `.proto` file.
    pub rules: Vec<HttpRule>,
}

/// The HTTP form of one method: exactly one of `get`, `put`, `post`, `delete`, `patch` and `custom`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpRule {
    /// The method's full name: `package.Service.Method`. Not within `additional_bindings`.
    pub selector: Option<Placed<String>>,
    /// The path template of a GET: `/v1/{name=shelves/*}`.
    pub get: Option<Placed<String>>,
    /// The path template of a PUT.
    pub put: Option<Placed<String>>,
    /// The path template of a POST.
    pub post: Option<Placed<String>>,
    /// The path template of a DELETE.
    pub delete: Option<Placed<String>>,
    /// The path template of a PATCH.
    pub patch: Option<Placed<String>>,
    /// Any other HTTP method.
    pub custom: Option<Placed<Custom>>,
    /// The request's field that the body fills; `*` for all that the path doesn't bind. Without it there is no body.
    pub body: Option<String>,
    /// The response's field that becomes the body. Without it: the whole message.
    pub response_body: Option<String>,
    /// More HTTP forms of the same method.
    pub additional_bindings: Vec<Placed<HttpRule>>,
}

/// An HTTP method by name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Custom {
    /// The HTTP method, or `*` for any.
    pub kind: String,
    /// The path template.
    pub path: String,
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Map_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
    }
}
