//! What `lockgate explain` says of a method's callers: who may call, by whom they are known, and what the upstream is
//! told of them and what not. Secrets, and texts that may be some, are never shown.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::auth;
use crate::auth::key_source::KeySource;
use crate::auth::location::TokenLocation;
use crate::config::unit::print_time;
use crate::gateway::policy::{Forward, Sum, Text};
use crate::gateway::{self, Policy};
use crate::schema::Method;

/// A line for each thing that is to be known.
pub(super) fn describe(config: &gateway::Config, method: &Method, policy: &Policy) -> String {
    let sum = Sum::of(config.policies(method));
    let mut text = match (&sum.auth, config.asks_for_credentials()) {
        (None, true) => "auth: nobody may call, since no level says who may (`auth: none` opens it)\n".to_owned(),
        (None, false) => "auth: everybody may call, no credentials are asked for anywhere\n".to_owned(),
        (Some(_), _) => String::new(),
    };
    text.push_str(&sum.to_string());
    let mut line = |of: &str, what: &str| writeln!(text, "{of}: {what}").expect("writing to a string never fails");
    let lists = || sum.auth.iter().flatten();
    let named = |name: &str| lists().flat_map(|list| &list.providers).any(|known| known == name);
    for (name, what) in config.providers.iter().map(provider).filter(|(name, _)| named(name)) {
        line(&format!("provider {name}"), &what);
    }
    for Forward { name, value } in &config.forward {
        match value {
            // It may stand for a secret that only the upstream knows.
            Text::Literal(_) => line("upstream is told", &format!("{name}, a fixed text")),
            Text::Expression(written) => line("upstream is told", &format!("{name} ={}", written.text)),
        }
    }
    if let Some(sign) = config.sign.as_ref().filter(|_| lists().next().is_some()) {
        let auth::signer::Config { key, ttl, audience, issuer, header, key_id: _ } = &sign.config;
        let (ttl, audience, key) = (print_time(*ttl), audience.join(", "), key.display());
        let what = format!("{header}, a token of issuer {issuer} for audience {audience}, good for {ttl}, by {key}");
        line("upstream is told", &what);
    }
    if !policy.identity().withheld().is_empty() {
        let names: BTreeSet<_> = policy.identity().withheld().iter().map(|name| name.as_str()).collect();
        line("withheld of the client's headers", &names.into_iter().collect::<Vec<_>>().join(", "));
    }
    if !policy.identity().withheld_cookies().is_empty() {
        line("withheld of the client's cookies", &policy.identity().withheld_cookies().join(", "));
    }
    text
}

/// A provider's name, and its kind with what it goes by.
fn provider(config: &auth::Config) -> (&str, String) {
    match config {
        auth::Config::Jwt(jwt) => {
            let keys = match &jwt.keys {
                KeySource::Discover => "discovered".to_owned(),
                KeySource::Url(url) => format!("from {}", without_query(url)),
                KeySource::File(file) => format!("in {}", file.display()),
            };
            let (audience, location) = (jwt.audience.join(", "), location(&jwt.location));
            let issuer = &jwt.issuer;
            (&jwt.name, format!("jwt {location}, issuer {issuer}, audience {audience}, keys {keys}"))
        }
        auth::Config::Introspection(asked) => {
            let location = location(&asked.location);
            let mut what = format!("introspection {location}, asked of {}", without_query(&asked.endpoint));
            if let Some(issuer) = &asked.issuer {
                what.push_str(&format!(", issuer {issuer}"));
            }
            if !asked.audience.is_empty() {
                what.push_str(&format!(", audience {}", asked.audience.join(", ")));
            }
            what.push_str(&format!(", believed for {}", print_time(asked.ttl)));
            if !asked.stale.is_zero() {
                what.push_str(&format!(" and, while nobody answers, {} more", print_time(asked.stale)));
            }
            (&asked.name, what)
        }
        auth::Config::ApiKeys(keys) => {
            let pepper = if keys.pepper.is_some() { ", with a pepper" } else { "" };
            let (header, file) = (&keys.header, keys.file.display());
            (&keys.name, format!("api_key in header {header}, known by {file}{pepper}"))
        }
        auth::Config::ClientCertificates(certificates) => {
            let patterns: Vec<_> = certificates.patterns.iter().map(ToString::to_string).collect();
            (&certificates.name, format!("mtls with {}", patterns.join(", ")))
        }
    }
}

fn location(location: &TokenLocation) -> String {
    match location {
        TokenLocation::Bearer => "in header authorization (Bearer)".to_owned(),
        TokenLocation::Header(name) => format!("in header {name}"),
        TokenLocation::Cookie(name) => format!("in cookie {name}"),
    }
}

/// A query may hold what is nobody's business.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}
