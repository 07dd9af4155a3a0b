//! The variables that one expression uses, one slot for each, filled before it is evaluated.
//!
//! The checker replaces `auth.roles` or `request.user.tenant` by the name of a slot, so that evaluating builds nothing
//! that the expression doesn't name, and looks up each thing once.

use std::collections::HashMap;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::Val;
use http::HeaderMap;
use http::header::HeaderName;
use serde_json::Value as Json;

use crate::schema::MessageId;
use crate::transcode::MAX_DEPTH;

use super::facts::{Auth, Facts};
use super::field::Field;
use super::message::{MessageValue, Pieces, Read, Selection, Unreadable};
use super::time;
use super::typing::Type;

/// A variable, or a part of one, that an expression uses.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    Text(Text),
    Texts(Texts),
    Claims,
    /// One claim; nothing where it is not there.
    Claim(Box<str>),
    Headers,
    /// One header; nothing where it is not there.
    Header(HeaderName),
    /// The request's message itself.
    Request(MessageId),
    /// A field of the request's message.
    Field(Path),
    /// The present moment.
    Now,
    /// Whether the slot's value is there, and not empty.
    Has(Box<Slot>),
}

/// The strings among the variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Subject,
    Id,
    Provider,
    Plan,
    Address,
    Method,
    Path,
    Host,
}

/// The lists of strings among the variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    Roles,
    Scopes,
}

/// The way to a field: the singular messages on the way, and the field.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) messages: Vec<Field>,
    pub(super) field: Field,
}

/// A field of a variable: its name, its type, its slot.
pub(super) type Part = (&'static str, Type, Slot);

/// The variables and their fields, for the checker.
pub(super) fn variables() -> [(&'static str, Vec<Part>); 3] {
    let text = |name, text| (name, Type::String, Slot::Text(text));
    let texts = |name, texts| (name, Type::list(Type::String), Slot::Texts(texts));
    [
        (
            "auth",
            vec![
                text("subject", Text::Subject),
                text("id", Text::Id),
                text("provider", Text::Provider),
                text("plan", Text::Plan),
                texts("roles", Texts::Roles),
                texts("scopes", Texts::Scopes),
                ("claims", Type::map(Type::String, Type::Dyn), Slot::Claims),
            ],
        ),
        ("client", vec![text("ip", Text::Address)]),
        (
            "http",
            vec![
                text("method", Text::Method),
                text("path", Text::Path),
                text("host", Text::Host),
                ("headers", Type::map(Type::String, Type::String), Slot::Headers),
            ],
        ),
    ]
}

impl Slot {
    pub(super) fn uses_request(&self) -> bool {
        match self {
            Self::Request(_) | Self::Field(_) => true,
            Self::Has(slot) => slot.uses_request(),
            Self::Text(_) | Self::Texts(_) | Self::Claims | Self::Claim(_) => false,
            Self::Headers | Self::Header(_) | Self::Now => false,
        }
    }

    pub(super) fn uses_auth(&self) -> bool {
        match self {
            Self::Text(Text::Subject | Text::Id | Text::Provider | Text::Plan) => true,
            Self::Texts(_) | Self::Claims | Self::Claim(_) => true,
            Self::Has(slot) => slot.uses_auth(),
            Self::Text(_) | Self::Headers | Self::Header(_) | Self::Request(_) | Self::Field(_) | Self::Now => false,
        }
    }

    /// How the text spells it, for messages.
    pub(super) fn spelling(&self) -> String {
        match self {
            Self::Claim(name) => format!("auth.claims has no {name:?}"),
            Self::Header(name) => format!("http.headers has no {:?}", name.as_str()),
            Self::Now => "the clock is off by centuries".to_owned(),
            _ => "a variable is not there".to_owned(),
        }
    }

    /// The slot's value; `None` for a claim or a header that is not there.
    pub(super) fn fill<'v>(
        &'v self,
        facts: &Facts<'v>,
        wire: &'v [u8],
        selections: &'v [Selection],
    ) -> Read<Option<Box<dyn Val + 'v>>> {
        let auth = facts.auth.as_ref();
        let value: Box<dyn Val + 'v> = match self {
            Self::Text(text) => Box::new(CelString::from(text.of(facts))),
            Self::Texts(texts) => list(texts.of(auth)),
            Self::Claims => match auth {
                Some(auth) => object(auth.claims, 1)?,
                None => Box::new(CelMap::default()),
            },
            Self::Claim(name) => {
                return auth.and_then(|auth| auth.claims.get(&**name)).map(|claim| json(claim, 1)).transpose();
            }
            Self::Headers => headers(facts.http.headers),
            Self::Header(name) => return Ok(header(facts.http.headers, name).map(|value| Box::new(value) as Box<_>)),
            Self::Now => return Ok(time::present(facts.now)),
            Self::Request(id) => Box::new(MessageValue::new(Pieces::from_buf([wire]), *id, selections)),
            Self::Field(path) => path.field.read(&path.pieces(wire)?, selections)?,
            Self::Has(slot) => Box::new(CelBool::from(slot.is_there(facts, wire)?)),
        };
        Ok(Some(value))
    }

    fn is_there(&self, facts: &Facts<'_>, wire: &[u8]) -> Read<bool> {
        let auth = facts.auth.as_ref();
        Ok(match self {
            Self::Text(text) => !text.of(facts).is_empty(),
            Self::Texts(texts) => !texts.of(auth).is_empty(),
            Self::Claims => auth.is_some_and(|auth| !auth.claims.is_empty()),
            Self::Claim(name) => auth.is_some_and(|auth| auth.claims.contains_key(&**name)),
            Self::Headers => !facts.http.headers.is_empty(),
            Self::Header(name) => facts.http.headers.contains_key(name),
            Self::Field(path) => path.field.is_set(&path.pieces(wire)?)?,
            Self::Request(_) | Self::Now | Self::Has(_) => true,
        })
    }
}

impl Text {
    fn of<'v>(self, facts: &Facts<'v>) -> &'v str {
        let auth = |get: fn(&Auth<'v>) -> &'v str| facts.auth.as_ref().map(get).unwrap_or_default();
        match self {
            Self::Subject => auth(|auth| auth.subject),
            Self::Id => auth(|auth| auth.id),
            Self::Provider => auth(|auth| auth.provider),
            Self::Plan => auth(|auth| auth.plan),
            Self::Address => facts.client_address,
            Self::Method => facts.http.method,
            Self::Path => facts.http.path,
            Self::Host => facts.http.host,
        }
    }
}

impl Texts {
    fn of<'v>(self, auth: Option<&Auth<'v>>) -> &'v [String] {
        let Some(auth) = auth else { return &[] };
        match self {
            Self::Roles => auth.roles,
            Self::Scopes => auth.scopes,
        }
    }
}

impl Path {
    /// The pieces of the message that has the field.
    fn pieces<'v>(&self, wire: &'v [u8]) -> Read<Pieces<'v>> {
        let mut pieces = Pieces::from_buf([wire]);
        for step in &self.messages {
            pieces = step.find(&pieces)?.unwrap_or_default();
        }
        Ok(pieces)
    }
}

fn list(texts: &[String]) -> Box<dyn Val + '_> {
    let boxed = texts.iter().map(|text| Box::new(CelString::from(text.as_str())) as Box<dyn Val + '_>);
    Box::new(CelList::from(boxed.collect::<Vec<_>>()))
}

/// Headers by their lower-case names; what comes several times is joined by commas.
fn headers(headers: &HeaderMap) -> Box<dyn Val + '_> {
    let map: HashMap<CelMapKey<'_>, Box<dyn Val + '_>> = headers
        .keys()
        .filter_map(|name| Some((CelMapKey::from(name.as_str()), Box::new(header(headers, name)?) as Box<_>)))
        .collect();
    Box::new(CelMap::from(map))
}

fn header<'v>(headers: &'v HeaderMap, name: &HeaderName) -> Option<CelString<'v>> {
    let mut values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = values.next()?;
    let joined = values.fold(first, |joined, value| format!("{joined}, {value}").into());
    Some(CelString::from(joined))
}

/// A claim as a value: whole numbers are ints, or uints where they don't fit.
fn json(claim: &Json, depth: usize) -> Read<Box<dyn Val + '_>> {
    if depth > MAX_DEPTH {
        return Err(Unreadable::TooDeep);
    }
    Ok(match claim {
        Json::Null => Box::new(CelNull),
        Json::Bool(value) => Box::new(CelBool::from(*value)),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Box::new(CelInt::from(value)),
            (None, Some(value)) => Box::new(CelUInt::from(value)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Json::String(text) => Box::new(CelString::from(text.as_str())),
        Json::Array(elements) => {
            let list: Read<Vec<_>> = elements.iter().map(|element| json(element, depth + 1)).collect();
            Box::new(CelList::from(list?))
        }
        Json::Object(members) => return object(members, depth),
    })
}

fn object(members: &serde_json::Map<String, Json>, depth: usize) -> Read<Box<dyn Val + '_>> {
    let map: Read<HashMap<_, _>> =
        members.iter().map(|(name, member)| Ok((CelMapKey::from(name.as_str()), json(member, depth + 1)?))).collect();
    Ok(Box::new(CelMap::from(map?)))
}
