//! Who calls: what a provider says of a verified credential.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::expression::facts::Auth;

/// A verified caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// Unique over all providers: the provider and its subject.
    pub id: String,
    /// The name of the provider that verified it.
    pub provider: Arc<str>,
    /// The token's `sub`, the API key's id, or the client certificate's matched name.
    pub subject: String,
    /// The claims of a token; empty for other credentials.
    pub claims: Map<String, Value>,
    pub roles: Vec<String>,
    pub scopes: Vec<String>,
    /// The plan of an API key; empty without one.
    pub plan: String,
    /// When the credential ends.
    pub expires: Option<SystemTime>,
}

impl Principal {
    /// A caller of whom nothing but the name is known.
    #[must_use]
    pub fn new(provider: Arc<str>, subject: String) -> Self {
        Self {
            id: format!("{provider}:{subject}"),
            provider,
            subject,
            claims: Map::new(),
            roles: Vec::new(),
            scopes: Vec::new(),
            plan: String::new(),
            expires: None,
        }
    }

    /// The caller as expressions may look at it.
    #[must_use]
    pub fn facts(&self) -> Auth<'_> {
        Auth {
            subject: &self.subject,
            id: &self.id,
            provider: &self.provider,
            plan: &self.plan,
            roles: &self.roles,
            scopes: &self.scopes,
            claims: &self.claims,
        }
    }
}
