//! `security_headers` of a level: a switch, or values of single headers.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};

use crate::config::placed::Placed;

/// `true`, `false`, or a mapping.
#[derive(Debug)]
pub(crate) enum SecurityHeaders {
    Switch(bool),
    Values(Box<SecurityValues>),
}

/// Headers of the set with a value of their own, or `off`. Each key is inherited by itself.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct SecurityValues {
    /// Whether answers may be kept, and by whom.
    #[schemars(extend("default" = "no-store"))]
    pub cache_control: Option<Placed<String>>,
    /// What a browser that takes an answer for a page may load, and who may frame it.
    #[schemars(extend("default" = "default-src 'none'; frame-ancestors 'none'"))]
    pub content_security_policy: Option<Placed<String>>,
    /// Which pages may embed an answer; those that CORS lets in may read it all the same.
    #[schemars(extend("default" = "same-origin"))]
    pub cross_origin_resource_policy: Option<Placed<String>>,
    /// What other sites are told of a path that leads to them.
    #[schemars(extend("default" = "no-referrer"))]
    pub referrer_policy: Option<Placed<String>>,
    /// For how long browsers come by https alone. Only where the client came by https.
    #[schemars(extend("default" = "max-age=63072000"))]
    pub strict_transport_security: Option<Placed<String>>,
    /// That the content type is what it says.
    #[schemars(extend("default" = "nosniff"))]
    pub x_content_type_options: Option<Placed<String>>,
    /// Who may frame an answer, for browsers that don't know `content-security-policy`.
    #[schemars(extend("default" = "DENY"))]
    pub x_frame_options: Option<Placed<String>>,
}

impl<'de> Deserialize<'de> for SecurityHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = SecurityHeaders;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true`, `false`, or a mapping of headers")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<SecurityHeaders, E> {
        match word {
            "true" => Ok(SecurityHeaders::Switch(true)),
            "false" => Ok(SecurityHeaders::Switch(false)),
            other => Err(E::invalid_value(Unexpected::Str(other), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecurityHeaders, A::Error> {
        SecurityValues::deserialize(MapAccessDeserializer::new(map)).map(Box::new).map(SecurityHeaders::Values)
    }
}

impl JsonSchema for SecurityHeaders {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecurityHeaders".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "boolean" }, generator.subschema_for::<SecurityValues>()] })
    }
}
