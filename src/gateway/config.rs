//! What a configuration says of routes and methods, checked as far as it can be without the descriptors.

use std::collections::BTreeMap;

use crate::call::settings::Overrides;
use crate::pb::google::api::HttpRule;
use crate::route::router::TrailingSlash;
use crate::upstream;

use super::external;
use super::policy::{AuthRule, Forward, Level, LimitRule};
use crate::auth::{self, signer};
use crate::limit::headers::Style;
use crate::limit::store::StoreConfig;

/// Everything of a configuration that [`super::Gateway::build`] compiles.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub upstreams: Vec<upstream::Config>,
    /// `defaults`.
    pub defaults: Overrides,
    /// Who may call, where nothing else is said.
    pub policy: Level,
    /// Metadata that upstreams are told of the caller.
    pub forward: Vec<Forward>,
    /// The gateway's own tokens for upstreams.
    pub sign: Option<Sign>,
    /// `auth.providers`.
    pub providers: Vec<auth::Config>,
    /// `auth.external`.
    pub external: Vec<external::Config>,
    /// `rate_limits`.
    pub limits: Vec<LimitRule>,
    /// Where those of all instances together count.
    pub store: Option<StoreConfig>,
    pub limit_style: Style,
    pub unannotated: Unannotated,
    pub trailing_slash: TrailingSlash,
    /// `services`, by full name.
    pub services: BTreeMap<String, Service>,
    /// `http.rules`.
    pub rules: Vec<Rule>,
}

/// `auth.sign`.
#[derive(Clone, Debug)]
pub struct Sign {
    /// Where it stands: `file:line:column`.
    pub place: String,
    pub config: signer::Config,
}

/// `services.<Service>`.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Where it stands: `file:line:column`.
    pub place: String,
    pub overrides: Overrides,
    pub policy: Level,
    pub unannotated: Option<Unannotated>,
    pub trailing_slash: Option<TrailingSlash>,
    pub methods: BTreeMap<String, Method>,
}

impl Config {
    /// Whether any level asks who calls: then nobody may call what no level speaks of.
    #[must_use]
    pub fn asks_for_credentials(&self) -> bool {
        let of_services = self.services.values().flat_map(|service| {
            std::iter::once(&service.policy).chain(service.methods.values().map(|method| &method.policy))
        });
        let mut levels = std::iter::once(&self.policy).chain(of_services);
        levels.any(|level| matches!(level.auth, Some(AuthRule::Any { .. })))
    }
}

/// `services.<Service>.<Method>`.
#[derive(Clone, Debug, Default)]
pub struct Method {
    /// Where it stands: `file:line:column`.
    pub place: String,
    pub overrides: Overrides,
    pub policy: Level,
}

/// One of `http.rules`; its selector names the method.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Where it stands: `file:line:column`.
    pub place: String,
    pub rule: HttpRule,
}

/// What becomes of methods without an HttpRule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unannotated {
    /// They are `POST /package.Service/Method`.
    #[default]
    Expose,
    /// REST does not see them.
    Hide,
}
