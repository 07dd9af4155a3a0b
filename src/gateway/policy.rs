//! Who may call a method, how often, and from where: what each level of a configuration says, and the one policy that
//! it adds up to.
//!
//! Rules of the levels add up; only plain values replace. What is here is checked as far as it can be without the
//! descriptors; expressions are compiled by [`super::build`].

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::limit::rule;
use crate::protocol::client_address::AddressRules;
use crate::protocol::cors::Cors;
use crate::protocol::security_headers;

/// What one level says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Level {
    pub auth: Option<AuthRule>,
    pub require: Option<Require>,
    /// Each of these scopes.
    pub scopes: Vec<String>,
    /// One of these roles; empty for no requirement.
    pub roles: Vec<String>,
    pub external: Option<Names>,
    pub limits: Option<Names>,
    pub cost: Option<u32>,
    pub addresses: Option<AddressLists>,
    pub forward_token: Option<bool>,
    pub cors: Option<Arc<Cors>>,
    pub security_headers: Option<security_headers::Choice>,
}

/// `auth` of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthRule {
    /// Credentials are not looked at.
    None,
    /// What the levels above ask for may be missing, but not bad.
    Optional,
    /// Any one of these providers.
    Any { providers: Vec<String>, optional: bool, inherit: bool },
}

/// `require` of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Require {
    pub expressions: Vec<Written>,
    pub inherit: bool,
}

/// An expression as it is written, without its `=`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Written {
    /// Where it stands: `file:line:column`.
    pub place: String,
    pub text: String,
}

/// `limits` and `external` of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    pub names: Vec<String>,
    pub inherit: bool,
}

/// `addresses` of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressLists {
    pub rules: AddressRules,
    pub inherit: bool,
}

/// Metadata that upstreams are told of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    pub name: HeaderName,
    pub value: Text,
}

/// A literal, or an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    Literal(HeaderValue),
    Expression(Written),
}

/// One of `rate_limits`.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitRule {
    pub name: String,
    /// Where it stands: `file:line:column`.
    pub place: String,
    pub key: Written,
    /// Which of `policies` holds; without it the only one.
    pub tier: Option<Written>,
    /// The limit's own, and one a tier.
    pub policies: Vec<rule::Config>,
}

/// Any one of these providers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyOf {
    pub providers: Vec<String>,
    /// Whether a request without a credential is let through.
    pub optional: bool,
}

/// What the levels add up to for one method.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum {
    /// Each must be satisfied. Empty: credentials are not looked at. `None`: no level says anything.
    pub auth: Option<Vec<AnyOf>>,
    /// A level says `optional` where there is nothing above it that could be missing.
    pub optional_of_nothing: bool,
    pub require: Vec<Written>,
    /// Each of these scopes.
    pub scopes: Vec<String>,
    /// One role of each.
    pub roles: Vec<Vec<String>>,
    /// Deciders, in the order in which they are asked.
    pub external: Vec<String>,
    pub limits: Vec<String>,
    pub cost: Option<u32>,
    pub addresses: Vec<AddressRules>,
    pub forward_token: bool,
    pub cors: Option<Arc<Cors>>,
    pub security_headers: security_headers::Choice,
}

impl Sum {
    /// Of these levels, the outermost first.
    pub fn of<'l>(levels: impl IntoIterator<Item = &'l Level>) -> Self {
        levels.into_iter().fold(Self::default(), Self::with)
    }

    fn with(mut self, level: &Level) -> Self {
        let Level {
            auth,
            require,
            scopes,
            roles,
            external,
            limits,
            cost,
            addresses,
            forward_token,
            cors,
            security_headers,
        } = level.clone();
        match auth {
            None => {}
            // Nobody is known then, and what the levels above ask of a credential goes with it.
            Some(AuthRule::None) => {
                self.auth = Some(Vec::new());
                self.optional_of_nothing = false;
                self.scopes.clear();
                self.roles.clear();
            }
            Some(AuthRule::Optional) => {
                self.optional_of_nothing = self.auth.as_ref().is_none_or(Vec::is_empty);
                self.auth.get_or_insert_default().iter_mut().for_each(|list| list.optional = true);
            }
            Some(AuthRule::Any { providers, optional, inherit }) => {
                self.optional_of_nothing = optional && providers.is_empty();
                let lists = self.auth.get_or_insert_default();
                if !inherit {
                    lists.clear();
                }
                lists.push(AnyOf { providers, optional });
            }
        }
        if let Some(Require { expressions, inherit }) = require {
            if !inherit {
                self.require.clear();
            }
            self.require.extend(expressions);
        }
        self.scopes.extend(scopes);
        self.roles.extend((!roles.is_empty()).then_some(roles));
        add(&mut self.external, external);
        add(&mut self.limits, limits);
        if let Some(AddressLists { rules, inherit }) = addresses {
            if !inherit {
                self.addresses.clear();
            }
            self.addresses.push(rules);
        }
        self.cost = cost.or(self.cost);
        self.forward_token = forward_token.unwrap_or(self.forward_token);
        self.cors = cors.or(self.cors);
        if let Some(said) = security_headers {
            self.security_headers = self.security_headers.with(said);
        }
        self
    }
}

/// Names of a level to those of the levels above. A budget counts once, and a decider is asked once, however many
/// levels name it.
fn add(sum: &mut Vec<String>, level: Option<Names>) {
    let Some(Names { names, inherit }) = level else { return };
    if !inherit {
        sum.clear();
    }
    sum.extend(names);
    let mut seen = std::collections::HashSet::new();
    sum.retain(|name| seen.insert(name.clone()));
}

impl fmt::Display for Sum {
    /// One line a rule, as `lockgate explain` shows them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.auth.as_deref() {
            // What that means hangs on other methods.
            None => {}
            Some([]) => writeln!(f, "auth: none, credentials are not looked at")?,
            Some(lists) => {
                for AnyOf { providers, optional } in lists {
                    let optional = if *optional { ", or no credential at all" } else { "" };
                    writeln!(f, "auth: any of {}{optional}", providers.join(", "))?;
                }
            }
        }
        for required in &self.require {
            writeln!(f, "require: ={} ({})", required.text, required.place)?;
        }
        for scope in &self.scopes {
            writeln!(f, "scope: {scope}")?;
        }
        for roles in &self.roles {
            writeln!(f, "roles: any of {}", roles.join(", "))?;
        }
        if !self.external.is_empty() {
            writeln!(f, "external: {}", self.external.join(", "))?;
        }
        if !self.limits.is_empty() {
            writeln!(f, "limits: {} (cost {})", self.limits.join(", "), self.cost.unwrap_or(1))?;
        }
        for AddressRules { allow, deny } in &self.addresses {
            let list = |nets: &[IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            if !allow.is_empty() {
                writeln!(f, "addresses: only {}", list(allow))?;
            }
            if !deny.is_empty() {
                writeln!(f, "addresses: not {}", list(deny))?;
            }
        }
        if self.cors.is_some() {
            writeln!(f, "cors: pages of other origins may call")?;
        }
        if let Some(headers) = self.security_headers.compile() {
            writeln!(f, "security headers: {headers}")?;
        }
        Ok(())
    }
}
