//! Admission: who may call a method, how often, from where.
//!
//! The order of the steps matters: addresses and limits by address cost little and come before a credential is looked
//! at; limits by identity come once it is known who calls, and before what may be refused for other reasons, so that
//! a caller who tries what is not allowed is counted too; external deciders cost a call, and are asked only about what
//! would pass otherwise; what the message decides comes last.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, Method};
use smallvec::SmallVec;

use super::external::{Changes, External};
use super::head;
use super::respond::Connection;
use crate::auth::authenticate::{Credentials, Provider, authenticate};
use crate::auth::principal::Principal;
use crate::auth::reason::Reason;
use crate::auth::signer::Signer;
use crate::call::Gate;
use crate::expression::Expression;
use crate::expression::facts::{Auth, Facts, Http};
use crate::expression::value::Value;
use crate::limit::decision::Decision;
use crate::limit::headers::Style;
use crate::limit::key::address_key;
use crate::limit::moment::Moment;
use crate::limit::{Ask, Limit, Limits};
use crate::protocol::client_address::AddressRules;
use crate::protocol::cors::Cors;
use crate::protocol::metadata;
use crate::protocol::security_headers::SecurityHeaders;
use crate::status::{Blame, Code, Status};

/// What a method's callers must meet, compiled.
#[derive(Debug, Default)]
pub struct Policy {
    pub(super) addresses: Box<[AddressRules]>,
    pub(super) cors: Option<Arc<Cors>>,
    pub(super) security_headers: Option<SecurityHeaders>,
    /// Every provider that one of `lists` names.
    pub(super) providers: Box<[Provider]>,
    /// Of each any one must have verified the caller.
    pub(super) lists: Box<[AnyOf]>,
    /// No level says who may call, while levels of other methods do.
    pub(super) closed: bool,
    /// What a 401 asks for.
    pub(super) challenge: Option<HeaderValue>,
    pub(super) scopes: Box<[String]>,
    pub(super) roles: Box<[Vec<String>]>,
    pub(super) require: Box<[Arc<Expression>]>,
    /// What of `require` the message decides.
    pub(super) require_of_message: Arc<[Arc<Expression>]>,
    pub(super) external: Option<External>,
    pub(super) limits: Option<Arc<Counting>>,
    pub(super) forward: Arc<[Forwarded]>,
    /// What signs the gateway's own token for the upstream.
    pub(super) signer: Option<Arc<Signer>>,
    /// Headers of the client that end here: credentials, and what only the gateway may say.
    pub(super) withheld: Box<[HeaderName]>,
    /// Cookies that end here.
    pub(super) withheld_cookies: Box<[String]>,
}

/// A list of providers.
#[derive(Debug)]
pub(super) struct AnyOf {
    /// Their positions among those of the policy.
    pub(super) providers: Box<[usize]>,
    /// Whether a request without any of their credentials is let through.
    pub(super) optional: bool,
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
    pub(super) gate: Option<Gate>,
    /// What the external deciders change of the request and its answer.
    pub(super) changes: Option<Box<Changes>>,
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
    /// When the request came.
    pub(super) time: SystemTime,
    pub(super) request_id: &'a HeaderValue,
    pub(super) connection: &'a Connection,
}

/// The client as limits count it.
struct Customer {
    /// The worker that serves it.
    worker: usize,
    /// Where that is not its address: all of a /64 of IPv6 are one.
    address: Option<Box<str>>,
}

impl Customer {
    fn of(calling: Calling<'_>) -> Self {
        let key = address_key(calling.address);
        let address = (key != calling.address).then(|| key.to_string().into());
        Self { worker: calling.connection.worker, address }
    }

    fn facts<'f>(&'f self, facts: &Facts<'f>) -> Facts<'f> {
        Facts { client_address: self.address.as_deref().unwrap_or(facts.client_address), ..*facts }
    }
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
    /// Whether callers must say who they are.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.closed || !self.lists.is_empty()
    }

    /// Whether nothing is asked of the caller at all.
    fn is_open(&self) -> bool {
        !self.is_verified()
            && self.require.is_empty()
            && self.require_of_message.is_empty()
            && self.scopes.is_empty()
            && self.roles.is_empty()
            && self.addresses.is_empty()
            && self.external.is_none()
    }

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
            return Err(denied("address"));
        }
        let host = head::host(head).unwrap_or_default();
        let facts = |caller| facts(calling, head, host, caller);
        let customer = Customer::of(calling);
        if let Some(counting) = &self.limits {
            counting.count(&counting.before, &customer, &facts(None), admission).await?;
        }
        if self.closed {
            return Err(denied("no_rule"));
        }
        self.authenticate(calling.connection, head, admission).await?;
        let caller = admission.caller.clone();
        let facts = facts(caller.as_deref().map(auth));
        if let Some(counting) = &self.limits {
            counting.count(&counting.after, &customer, &facts, admission).await?;
        }
        self.authorize(&facts)?;
        self.ask_deciders(calling, head, admission).await?;
        self.identify(&facts, admission)?;
        self.sign(admission)?;
        self.gate(&facts, customer, admission);
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
            Err(reason) => return Err(self.unauthenticated(reason)),
        };
        for list in &self.lists {
            match list.providers.iter().find_map(|index| found.get(*index)?.as_ref()) {
                // The innermost list says who it is.
                Some(principal) => admission.caller = Some(principal.clone()),
                None if list.optional => {}
                None => return Err(self.challenged().with_refusal("no_credential")),
            }
        }
        Ok(())
    }

    /// One shape, whatever was wrong: the reason is for the log.
    fn unauthenticated(&self, reason: Reason) -> Status {
        let status = match reason {
            Reason::Unavailable => {
                Status::new(Code::Unavailable, Blame::Gateway, "credentials can't be verified at the moment")
            }
            _ => self.challenged(),
        };
        status.with_refusal(reason.word())
    }

    fn challenged(&self) -> Status {
        let status = Status::new(Code::Unauthenticated, Blame::Client, "a valid credential is required");
        match &self.challenge {
            Some(challenge) => status.with_header(WWW_AUTHENTICATE, challenge.clone()),
            None => status,
        }
    }

    fn authorize(&self, facts: &Facts<'_>) -> Result<(), Status> {
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
        // 401 for a caller who showed no credential and might have one.
        Err(match auth {
            None if !self.lists.is_empty() => self.challenged().with_refusal(refused),
            _ => denied(refused),
        })
    }

    async fn ask_deciders(&self, calling: Calling<'_>, head: &Parts, admission: &mut Admission) -> Result<(), Status> {
        let Some(external) = &self.external else { return Ok(()) };
        let caller = admission.caller.clone();
        // Boxed: most methods have none, and it would make every request's future large.
        let changes = Box::pin(external.decide(calling, head, caller.as_deref())).await?;
        admission.changes = Some(Box::new(changes));
        Ok(())
    }

    /// What the upstream is told of the caller. An expression that fails, such as on a claim that is not there, says
    /// nothing.
    fn identify(&self, facts: &Facts<'_>, admission: &mut Admission) -> Result<(), Status> {
        for Forwarded { name, value } in &*self.forward {
            let value = match value {
                ForwardedValue::Literal(value) => value.clone(),
                ForwardedValue::Expression(expression) => {
                    let Ok(value) = expression.evaluate(facts) else { continue };
                    let Some(text) = told(&value).filter(|text| !text.is_empty()) else { continue };
                    let Ok(value) = HeaderValue::try_from(text) else {
                        return Err(denied("forward"));
                    };
                    value
                }
            };
            admission.identity.push((name.clone(), value));
        }
        Ok(())
    }

    /// The gateway's own token for the upstream; nobody who was not verified gets one.
    fn sign(&self, admission: &mut Admission) -> Result<(), Status> {
        let (Some(signer), Some(caller)) = (&self.signer, &admission.caller) else { return Ok(()) };
        let value = signer.sign(caller).map_err(|error| {
            Status::new(Code::Internal, Blame::Gateway, "the request can't be passed on").with_cause(error.to_string())
        })?;
        admission.identity.push((signer.config().header.clone(), value));
        Ok(())
    }

    /// What the message decides is asked once it is there.
    fn gate(&self, facts: &Facts<'_>, customer: Customer, admission: &mut Admission) {
        let counting = self.limits.as_ref().filter(|counting| !counting.by_message.is_empty());
        if self.require_of_message.is_empty() && counting.is_none() {
            return;
        }
        let (require, counting) = (self.require_of_message.clone(), counting.cloned());
        let caller = admission.caller.clone();
        let gate = Arc::new(ByMessage { look: Look::of(facts), customer, caller, require, counting });
        admission.gate = Some(Arc::new(move |message| gate.clone().admit(message).boxed()));
    }

    /// Takes away from a request's metadata what ends here, and adds what deciders and the gateway say of the caller.
    pub(super) fn dress(&self, admission: &Admission, metadata: &mut HeaderMap) {
        withhold(&self.withheld, metadata);
        self.strip_cookies(metadata);
        if let Some(changes) = &admission.changes {
            withhold(&changes.withheld, metadata);
            metadata.extend(changes.metadata.clone());
        }
        for (name, value) in &admission.identity {
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
    /// Puts on an answer what the external deciders want there.
    pub(super) fn write_external(&self, headers: &mut HeaderMap) {
        if let Some(changes) = &self.changes {
            changes.write_answer(headers);
        }
    }

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
    async fn count(
        &self,
        counted: &[Counted],
        customer: &Customer,
        facts: &Facts<'_>,
        admission: &mut Admission,
    ) -> Result<(), Status> {
        if counted.is_empty() {
            return Ok(());
        }
        let decision = self.decide(counted, customer, facts).await;
        let refusal = decision.status(self.style);
        admission.decisions.push(decision);
        match refusal {
            None => Ok(()),
            Some(status) => Err(status.with_refusal("rate_limit")),
        }
    }

    async fn decide(&self, counted: &[Counted], customer: &Customer, facts: &Facts<'_>) -> Decision {
        let (cost, facts) = (self.cost, &customer.facts(facts));
        let keys: SmallVec<[String; 4]> = counted.iter().map(|counted| counted.key(facts)).collect();
        let asks: SmallVec<[Ask<'_>; 4]> = counted
            .iter()
            .zip(&keys)
            .filter_map(|(counted, key)| Some(Ask { limit: counted.limit(facts)?, key: key.as_bytes(), cost }))
            .collect();
        self.all.check(customer.worker, &asks, Moment::now()).await
    }
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

/// What is asked of each message.
struct ByMessage {
    look: Look,
    customer: Customer,
    caller: Option<Arc<Principal>>,
    require: Arc<[Arc<Expression>]>,
    counting: Option<Arc<Counting>>,
}

impl ByMessage {
    async fn admit(self: Arc<Self>, message: Bytes) -> Result<(), Status> {
        let facts = Facts {
            auth: self.caller.as_deref().map(auth),
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
            let decision = counting.decide(&counting.by_message, &self.customer, &facts).await;
            if let Some(status) = decision.status(counting.style) {
                return Err(status.with_refusal("rate_limit"));
            }
        }
        if self.require.iter().all(|required| holds(required, &facts)) { Ok(()) } else { Err(denied("require")) }
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

fn denied(reason: &'static str) -> Status {
    Status::new(Code::PermissionDenied, Blame::Client, "permission denied").with_refusal(reason)
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

fn auth(caller: &Principal) -> Auth<'_> {
    Auth {
        subject: &caller.subject,
        id: &caller.id,
        provider: &caller.provider,
        plan: &caller.plan,
        roles: &caller.roles,
        scopes: &caller.scopes,
        claims: &caller.claims,
    }
}

/// A value as the text of a key: what has one, and lists of such, with commas between.
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

/// The same as metadata, which can say no more than visible ASCII with spaces inside: other bytes of UTF-8 are `%` and two
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
