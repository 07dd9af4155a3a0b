//! Admission: who may call a method, how often, from where.
//!
//! The order of the steps matters: addresses and limits by address cost little and come before a credential is looked
//! at; limits by identity come once it is known who calls, and before what may be refused for other reasons, so that
//! a caller who tries what is not allowed is counted too; what the message decides comes last.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, Method};
use smallvec::SmallVec;

use super::head;
use super::respond::Connection;
use crate::auth::authenticate::{Credentials, Provider, authenticate};
use crate::auth::principal::Principal;
use crate::auth::reason::Reason;
use crate::call::Gate;
use crate::expression::Expression;
use crate::expression::facts::{Auth, Facts, Http};
use crate::expression::value::Value;
use crate::limit::decision::Decision;
use crate::limit::headers::Style;
use crate::limit::moment::Moment;
use crate::limit::{Ask, Limit, Limits};
use crate::protocol::client_address::AddressRules;
use crate::protocol::cors::Cors;
use crate::status::{Blame, Code, Status};

/// What a method's callers must meet, compiled.
#[derive(Debug, Default)]
pub struct Policy {
    pub(super) addresses: Box<[AddressRules]>,
    pub(super) cors: Option<Arc<Cors>>,
    /// Every provider that one of `lists` names.
    pub(super) providers: Box<[Provider]>,
    /// Positions among `providers`: of each list any one must have verified the caller.
    pub(super) lists: Box<[Box<[usize]>]>,
    /// Whether a request without a credential is let through.
    pub(super) optional: bool,
    /// What a 401 asks for.
    pub(super) challenge: Option<HeaderValue>,
    pub(super) scopes: Box<[String]>,
    pub(super) roles: Box<[Vec<String>]>,
    pub(super) require: Box<[Arc<Expression>]>,
    /// What of `require` the message decides.
    pub(super) require_of_message: Arc<[Arc<Expression>]>,
    pub(super) limits: Option<Arc<Counting>>,
    pub(super) forward: Arc<[Forwarded]>,
    /// Headers of the client that end here: credentials, and what only the gateway may say.
    pub(super) withheld: Box<[HeaderName]>,
    /// Cookies that end here.
    pub(super) withheld_cookies: Box<[String]>,
}

/// Limits that a method's calls count against.
#[derive(Debug)]
pub(super) struct Counting {
    pub(super) all: Arc<Limits>,
    /// By what is known without a credential.
    pub(super) before: Box<[Counted]>,
    /// By who calls.
    pub(super) after: Box<[Counted]>,
    /// By what the message says.
    pub(super) by_message: Box<[Counted]>,
    pub(super) cost: NonZeroU32,
    pub(super) style: Style,
}

/// One limit and whom it counts.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) key: Arc<Expression>,
    /// Where the limit has tiers.
    pub(super) tier: Option<Arc<Expression>>,
    /// The limit of each tier, and that of the rest under no name.
    pub(super) tiers: Box<[Tier]>,
}

/// The limit of a tier.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) name: Option<Arc<str>>,
    pub(super) limit: Arc<Limit>,
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

/// What admission found out.
#[derive(Default)]
pub(super) struct Admission {
    pub(super) caller: Option<Arc<Principal>>,
    /// What its limits said.
    pub(super) decisions: SmallVec<[Decision; 2]>,
    /// Why it was refused, in a word.
    pub(super) refused: Option<&'static str>,
    pub(super) gate: Option<Gate>,
    /// Metadata of the caller.
    pub(super) identity: SmallVec<[(HeaderName, HeaderValue); 4]>,
}

/// Where a request comes from.
#[derive(Clone, Copy)]
pub(super) struct Calling<'a> {
    /// The client's address.
    pub(super) address: std::net::IpAddr,
    /// The same as text.
    pub(super) text: &'a str,
    pub(super) connection: &'a Connection,
}

/// The request as far as expressions may look at it.
struct Look {
    client: Box<str>,
    method: Method,
    path: Box<str>,
    host: Box<str>,
    headers: HeaderMap,
}

impl Policy {
    /// Whether anything is asked of the caller at all.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lists.is_empty()
            && self.require.is_empty()
            && self.require_of_message.is_empty()
            && self.scopes.is_empty()
            && self.roles.is_empty()
            && self.addresses.is_empty()
    }

    /// Lets a request through, or says why not; `admission` holds what was found out either way.
    pub(super) async fn admit(
        &self,
        calling: Calling<'_>,
        head: &Parts,
        admission: &mut Admission,
    ) -> Result<(), Status> {
        if self.is_open() && self.limits.is_none() && self.forward.is_empty() {
            return Ok(());
        }
        if !self.addresses.iter().all(|rules| rules.admits(calling.address)) {
            admission.refused = Some("address");
            return Err(denied());
        }
        let host = head::host(head).unwrap_or_default();
        let facts = |caller| facts(calling, head, host, caller);
        if let Some(counting) = &self.limits {
            counting.count(&counting.before, &facts(None), admission).await?;
        }
        self.authenticate(calling.connection, head, admission).await?;
        let caller = admission.caller.clone();
        let id = caller.as_deref().map(Principal::id).unwrap_or_default();
        let facts = facts(caller.as_deref().map(|caller| auth(caller, &id)));
        if let Some(counting) = &self.limits {
            counting.count(&counting.after, &facts, admission).await?;
        }
        self.authorize(&facts, admission)?;
        self.identify(&facts, admission)?;
        self.gate(&facts, caller.clone(), admission);
        Ok(())
    }

    async fn authenticate(
        &self,
        connection: &Connection,
        head: &Parts,
        admission: &mut Admission,
    ) -> Result<(), Status> {
        if self.lists.is_empty() {
            return Ok(());
        }
        let certificate = connection.certificate();
        let credentials = Credentials { headers: &head.headers, certificate: certificate.as_ref() };
        let found = match authenticate(&self.providers, credentials).await {
            Ok(found) => found,
            Err(reason) => {
                admission.refused = Some(reason.word());
                return Err(self.unauthenticated(reason));
            }
        };
        if self.optional && found.iter().all(Option::is_none) {
            return Ok(());
        }
        for list in &self.lists {
            let verified = list.iter().find_map(|index| found.get(*index)?.as_ref());
            let Some(principal) = verified else {
                admission.refused = Some("no_credential");
                return Err(self.unauthenticated(Reason::MissingClaim));
            };
            // The innermost list says who it is.
            admission.caller = Some(principal.clone());
        }
        Ok(())
    }

    /// One shape, whatever was wrong: the reason is for the log.
    fn unauthenticated(&self, reason: Reason) -> Status {
        if reason == Reason::Unavailable {
            return Status::new(Code::Unavailable, Blame::Gateway, "credentials can't be verified at the moment");
        }
        let status = Status::new(Code::Unauthenticated, Blame::Client, "a valid credential is required");
        match &self.challenge {
            Some(challenge) => status.with_header(WWW_AUTHENTICATE, challenge.clone()),
            None => status,
        }
    }

    fn authorize(&self, facts: &Facts<'_>, admission: &mut Admission) -> Result<(), Status> {
        let auth = facts.auth.as_ref();
        let has = |list: Option<&[String]>, wanted: &String| list.is_some_and(|list| list.contains(wanted));
        let scopes = self.scopes.iter().all(|scope| has(auth.map(|auth| auth.scopes), scope));
        let roles = self.roles.iter().all(|any| any.iter().any(|role| has(auth.map(|auth| auth.roles), role)));
        let required = || self.require.iter().all(|required| holds(required, facts));
        let refused = match () {
            () if !scopes => "scopes",
            () if !roles => "roles",
            () if !required() => "require",
            () => return Ok(()),
        };
        admission.refused = Some(refused);
        Err(self.forbidden(facts))
    }

    /// 403, or 401 for a caller who showed no credential and might have one.
    fn forbidden(&self, facts: &Facts<'_>) -> Status {
        if facts.auth.is_none() && !self.lists.is_empty() {
            return self.unauthenticated(Reason::MissingClaim);
        }
        denied()
    }

    /// What the upstream is told of the caller. An expression that fails, such as on a claim that is not there, says
    /// nothing.
    fn identify(&self, facts: &Facts<'_>, admission: &mut Admission) -> Result<(), Status> {
        for Forwarded { name, value } in &*self.forward {
            let value = match value {
                ForwardedValue::Literal(value) => value.clone(),
                ForwardedValue::Expression(expression) => {
                    let Ok(value) = expression.evaluate(facts) else { continue };
                    let Some(text) = text(&value).filter(|text| !text.is_empty()) else { continue };
                    let Ok(value) = HeaderValue::try_from(escape(&text)) else {
                        admission.refused = Some("forward");
                        return Err(denied());
                    };
                    value
                }
            };
            admission.identity.push((name.clone(), value));
        }
        Ok(())
    }

    /// What the message decides is asked once it is there.
    fn gate(&self, facts: &Facts<'_>, caller: Option<Arc<Principal>>, admission: &mut Admission) {
        let counting = self.limits.as_ref().filter(|counting| !counting.by_message.is_empty());
        if self.require_of_message.is_empty() && counting.is_none() {
            return;
        }
        let (require, counting) = (self.require_of_message.clone(), counting.cloned());
        let gate = Arc::new(ByMessage { look: Look::of(facts), caller, require, counting });
        admission.gate = Some(Arc::new(move |message| gate.clone().admit(message).boxed()));
    }

    /// Takes away from a request's metadata what ends here, and adds what is said of the caller.
    pub(super) fn dress(&self, identity: &[(HeaderName, HeaderValue)], metadata: &mut HeaderMap) {
        if self.withheld.is_empty() && self.withheld_cookies.is_empty() {
            return;
        }
        for name in &self.withheld {
            metadata.remove(name);
        }
        // Servers that make variables of headers take `_` for `-`.
        let spelt_otherwise = |name: &&HeaderName| {
            let text = name.as_str();
            text.contains('_') && self.withheld.iter().any(|own| own.as_str() == text.replace('_', "-"))
        };
        let alike: SmallVec<[HeaderName; 2]> = metadata.keys().filter(spelt_otherwise).cloned().collect();
        for name in alike {
            metadata.remove(name);
        }
        self.strip_cookies(metadata);
        for (name, value) in identity {
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
            .get_all(http::header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .map(|line| line.split(';').map(str::trim).filter(is_kept).collect::<Vec<_>>().join("; "))
            .filter(|line| !line.is_empty())
            .filter_map(|line| HeaderValue::try_from(line).ok())
            .collect();
        metadata.remove(http::header::COOKIE);
        for line in lines {
            metadata.append(http::header::COOKIE, line);
        }
    }
}

impl Admission {
    /// Tells the client how its limits stand.
    pub(super) fn write_limits(&self, policy: &Policy, headers: &mut HeaderMap) {
        let Some(counting) = &policy.limits else { return };
        let mut states = self.decisions.iter();
        let Some(first) = states.next() else { return };
        let mut whole = first.clone();
        for decision in states {
            whole.states.extend(decision.states.iter().cloned());
        }
        whole.write_headers(counting.style, headers);
    }
}

impl Counting {
    async fn count(&self, counted: &[Counted], facts: &Facts<'_>, admission: &mut Admission) -> Result<(), Status> {
        if counted.is_empty() {
            return Ok(());
        }
        let decision = decide(&self.all, counted, self.cost, facts).await;
        let refusal = decision.status(self.style);
        admission.decisions.push(decision);
        match refusal {
            None => Ok(()),
            Some(status) => {
                admission.refused = Some("rate_limit");
                Err(status)
            }
        }
    }
}

async fn decide(limits: &Limits, counted: &[Counted], cost: NonZeroU32, facts: &Facts<'_>) -> Decision {
    let keys: SmallVec<[String; 4]> = counted.iter().map(|counted| counted.key(facts)).collect();
    let asks: SmallVec<[Ask<'_>; 4]> = counted
        .iter()
        .zip(&keys)
        .filter_map(|(counted, key)| Some(Ask { limit: counted.limit(facts)?, key: key.as_bytes(), cost }))
        .collect();
    limits.check(&asks, Moment::now()).await
}

impl Counted {
    /// Whom it counts. Those for whom the expression fails are counted together: nobody escapes a limit by lacking what
    /// it counts by.
    fn key(&self, facts: &Facts<'_>) -> String {
        self.key.evaluate(facts).ok().as_ref().and_then(text).unwrap_or_default()
    }

    /// The limit of the caller's tier, or that of the rest.
    fn limit(&self, facts: &Facts<'_>) -> Option<&Limit> {
        let tier = self.tier.as_ref().and_then(|tier| tier.evaluate(facts).ok());
        let tier = tier.as_ref().and_then(Value::as_text);
        let named = |wanted: Option<&str>| {
            self.tiers.iter().find(|tier| tier.name.as_deref() == wanted).map(|tier| &*tier.limit)
        };
        named(tier).or_else(|| named(None))
    }
}

/// What is asked of each message.
struct ByMessage {
    look: Look,
    caller: Option<Arc<Principal>>,
    require: Arc<[Arc<Expression>]>,
    counting: Option<Arc<Counting>>,
}

impl ByMessage {
    async fn admit(self: Arc<Self>, message: Bytes) -> Result<(), Status> {
        let id = self.caller.as_deref().map(Principal::id).unwrap_or_default();
        let facts = Facts {
            auth: self.caller.as_deref().map(|caller| auth(caller, &id)),
            request: Some(&message),
            client_address: &self.look.client,
            http: Http {
                method: self.look.method.as_str(),
                path: &self.look.path,
                host: &self.look.host,
                headers: &self.look.headers,
            },
            now: SystemTime::now(),
        };
        if let Some(counting) = &self.counting {
            let decision = decide(&counting.all, &counting.by_message, counting.cost, &facts).await;
            if let Some(status) = decision.status(counting.style) {
                return Err(status.with_cause("a limit by the message is used up"));
            }
        }
        match self.require.iter().all(|required| holds(required, &facts)) {
            true => Ok(()),
            false => Err(denied().with_cause("what `require` asks of the message does not hold")),
        }
    }
}

impl Look {
    fn of(facts: &Facts<'_>) -> Self {
        Self {
            client: facts.client_address.into(),
            method: Method::from_bytes(facts.http.method.as_bytes()).unwrap_or_default(),
            path: facts.http.path.into(),
            host: facts.http.host.into(),
            headers: facts.http.headers.clone(),
        }
    }
}

fn denied() -> Status {
    Status::new(Code::PermissionDenied, Blame::Client, "permission denied")
}

/// An expression that fails does not hold.
fn holds(required: &Expression, facts: &Facts<'_>) -> bool {
    required.evaluate(facts).is_ok_and(|value| value.as_bool() == Some(true))
}

fn facts<'f>(calling: Calling<'f>, head: &'f Parts, host: &'f str, auth: Option<Auth<'f>>) -> Facts<'f> {
    Facts {
        auth,
        request: None,
        client_address: calling.text,
        http: Http { method: head.method.as_str(), path: head.uri.path(), host, headers: &head.headers },
        now: SystemTime::now(),
    }
}

fn auth<'f>(caller: &'f Principal, id: &'f str) -> Auth<'f> {
    Auth {
        subject: &caller.subject,
        id,
        provider: &caller.provider,
        plan: &caller.plan,
        roles: &caller.roles,
        scopes: &caller.scopes,
        claims: &caller.claims,
    }
}

/// A value as the text of a header or a key: what has one, and lists of such, with commas between.
fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::List(values) => values.iter().map(text).collect::<Option<Vec<_>>>()?.join(","),
        Value::Null | Value::Bytes(_) | Value::Map(_) => return None,
    })
}

/// Visible ASCII and spaces as they are, other bytes of UTF-8 as `%` and two digits, and so `%` itself: metadata can say
/// no more.
fn escape(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => {
                // Writing to a String can't fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
