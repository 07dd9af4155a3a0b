//! What the upstream is told of the caller, and what of the client's it is not told.
//!
//! Names that only the gateway may set are taken away whoever calls, however they are spelt; credentials that it verified
//! end here.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{COOKIE, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::counting::text;
use super::external::Changes;
use crate::auth::principal::Principal;
use crate::auth::signer::Signer;
use crate::expression::Expression;
use crate::expression::facts::Facts;
use crate::expression::value::Value;
use crate::protocol::metadata;
use crate::status::{Blame, Code, Status};

/// Metadata of one caller.
pub(super) type Told = SmallVec<[(HeaderName, HeaderValue); 4]>;

/// What the upstream is told of a method's callers.
#[derive(Debug, Default)]
pub struct Identity {
    pub(super) forward: Arc<[Forwarded]>,
    /// What signs the gateway's own token.
    pub(super) signer: Option<Arc<Signer>>,
    /// Headers of the client that end here.
    pub(super) withheld: Box<[HeaderName]>,
    /// Cookies that end here.
    pub(super) withheld_cookies: Box<[String]>,
}

/// Metadata that the upstream is told of the caller.
#[derive(Debug)]
pub(super) struct Forwarded {
    pub(super) name: HeaderName,
    pub(super) value: ForwardedValue,
}

#[derive(Debug)]
pub(super) enum ForwardedValue {
    Literal(HeaderValue),
    Expression(Arc<Expression>),
}

impl Identity {
    /// Headers of the client that end here.
    #[must_use]
    pub fn withheld(&self) -> &[HeaderName] {
        &self.withheld
    }

    /// Cookies that end here.
    #[must_use]
    pub fn withheld_cookies(&self) -> &[String] {
        &self.withheld_cookies
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.forward.is_empty() && self.signer.is_none()
    }

    /// What the upstream is told. An expression that fails, such as on a claim that is not there, says nothing, and
    /// nobody who was not verified gets a token.
    pub(super) fn tell(&self, facts: &Facts<'_>, caller: Option<&Principal>) -> Result<Told, Status> {
        let mut all = Told::new();
        for Forwarded { name, value } in &*self.forward {
            let value = match value {
                ForwardedValue::Literal(value) => value.clone(),
                ForwardedValue::Expression(expression) => {
                    let Ok(value) = expression.evaluate(facts) else { continue };
                    let Some(text) = told(&value).filter(|text| !text.is_empty()) else { continue };
                    HeaderValue::try_from(text).expect("what is escaped is visible ASCII")
                }
            };
            all.push((name.clone(), value));
        }
        if let (Some(signer), Some(caller)) = (&self.signer, caller) {
            let token = signer.sign(caller).map_err(|error| {
                let message = "the request can't be passed on";
                Status::new(Code::Internal, Blame::Gateway, message).with_cause(error.to_string())
            })?;
            all.push((signer.config().header.clone(), token));
        }
        Ok(all)
    }

    /// Takes away from a request's metadata what ends here, and adds what deciders and the gateway say of the caller.
    pub(super) fn dress(&self, told: &Told, changes: Option<&Changes>, metadata: &mut HeaderMap) {
        withhold(&self.withheld, metadata);
        self.strip_cookies(metadata);
        if let Some(changes) = changes {
            withhold(&changes.withheld, metadata);
            metadata.extend(changes.metadata.clone());
        }
        for (name, value) in told {
            metadata.insert(name, value.clone());
        }
    }

    fn strip_cookies(&self, metadata: &mut HeaderMap) {
        if self.withheld_cookies.is_empty() {
            return;
        }
        let is_kept = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default().trim();
            !self.withheld_cookies.iter().any(|withheld| withheld == name)
        };
        let lines: SmallVec<[HeaderValue; 2]> = metadata
            .get_all(COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .map(|line| line.split(';').map(str::trim).filter(is_kept).collect::<Vec<_>>().join("; "))
            .filter(|line| !line.is_empty())
            .filter_map(|line| HeaderValue::try_from(line).ok())
            .collect();
        metadata.remove(COOKIE);
        for line in lines {
            metadata.append(COOKIE, line);
        }
    }
}

/// Takes headers away, however they are spelt.
fn withhold(names: &[HeaderName], metadata: &mut HeaderMap) {
    if names.is_empty() {
        return;
    }
    let is_withheld = |name: &&HeaderName| names.iter().any(|own| metadata::is_alike(own, name));
    let withheld: SmallVec<[HeaderName; 4]> = metadata.keys().filter(is_withheld).cloned().collect();
    for name in withheld {
        metadata.remove(name);
    }
}

/// A value as metadata, which can say no more than visible ASCII with spaces inside: other bytes of UTF-8 are `%` and two
/// digits, and so are `%` itself, a space at an end, and a comma within an element of a list.
fn told(value: &Value) -> Option<String> {
    match value {
        Value::List(values) => {
            let each = values.iter().map(|value| text(value).map(|text| escape(&text, ",")));
            Some(each.collect::<Option<Vec<_>>>()?.join(","))
        }
        value => text(value).map(|text| escape(&text, "")),
    }
}

/// Escapes what metadata can't say, and `also` these.
fn escape(text: &str, also: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    let inner = text.trim_matches(' ');
    let begin = text.len() - text.trim_start_matches(' ').len();
    for (at, byte) in text.bytes().enumerate() {
        let is_inside = (begin..begin + inner.len()).contains(&at);
        match byte {
            b' '..=b'~' if byte != b'%' && is_inside && !also.as_bytes().contains(&byte) => out.push(char::from(byte)),
            _ => {
                // Writing to a String can't fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    //! What the upstream is told of values.

    use super::{Value, told};

    fn check(value: Value, expected: Option<&str>) {
        assert_eq!(told(&value).as_deref(), expected, "{value:?}");
    }

    fn string(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn metadata_says_one_thing() {
        check(string("a b,c"), Some("a b,c"));
        check(string(" a "), Some("%20a%20"));
        check(string("  "), Some("%20%20"));
        check(string("50%\r\n\u{e9}"), Some("50%25%0D%0A%C3%A9"));
        check(Value::List(vec![string("x,admin"), string(" y"), Value::Int(-1)]), Some("x%2Cadmin,%20y,-1"));
        check(Value::List(vec![Value::List(vec![string("a"), string("b")])]), Some("a%2Cb"));
        check(Value::List(vec![Value::Null]), None);
        check(Value::Null, None);
    }
}
