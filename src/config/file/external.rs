//! `auth.external`: services that are asked whether a request may pass.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::placed::{Named, Placed};
use crate::config::unit::Timeout;
use crate::gateway::external::OnError;

/// A service that is asked whether a request may pass, by Envoy's `envoy.service.auth.v3.Authorization`. It is told the
/// request's head and who calls, not the body.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct External {
    /// The upstream that serves it. One that serves nothing else says `services: []`.
    pub upstream: Placed<String>,
    /// How long a request waits for its answer, connecting included.
    #[serde(default = "timeout")]
    pub timeout: Timeout,
    /// What holds where it gives no decision: `deny` answers 503, `allow` lets the request pass.
    #[serde(default)]
    #[schemars(extend("default" = "deny"))]
    pub on_error: ExternalError,
    /// The request's headers that it is told. Without it: all but those that only the gateway may set.
    #[serde(default)]
    pub headers: Option<Vec<Placed<String>>>,
    /// The metadata that it may set; what else it sets is left out. What a client sends under these names never reaches
    /// an upstream, whichever method it calls.
    #[serde(default)]
    pub forward: Vec<Placed<String>>,
    /// What else it is told, as `context_extensions`, beside `service`, `method` and `principal`.
    #[serde(default)]
    pub context: Named<Placed<String>>,
}

fn timeout() -> Timeout {
    Timeout(Duration::from_millis(200))
}

/// What holds where a decider gives no decision.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum ExternalError {
    #[default]
    Deny,
    Allow,
}

impl From<ExternalError> for OnError {
    fn from(word: ExternalError) -> Self {
        match word {
            ExternalError::Deny => Self::Deny,
            ExternalError::Allow => Self::Allow,
        }
    }
}
