//! Admission: who may call a method, how often, from where.
//!
//! The order of the steps matters: addresses and limits by address cost little and come before a credential is looked
//! at; limits by identity come once it is known who calls, and before what may be refused for other reasons, so that
//! a caller who tries what is not allowed is counted too; external deciders cost a call, and are asked only about what
//! would pass otherwise; what the message decides comes last.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, Method};
use smallvec::SmallVec;

use super::connection::{Calling, Connection};
use super::counting::{Counting, Customer};
use super::external::{Changes, External};
use super::head;
use super::identity::{Identity, Told};
use crate::auth::authenticate::{Credentials, Provider, authenticate};
use crate::auth::principal::Principal;
use crate::auth::reason::Reason;
use crate::call::Gate;
use crate::expression::Expression;
use crate::expression::facts::{Auth, Facts, Http};
use crate::limit::decision::Decision;
use crate::protocol::client_address::AddressRules;
use crate::protocol::cors::Cors;
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
    /// Whether a level says who may call.
    pub(super) is_spoken_of: bool,
    /// None does, while levels of other methods do.
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
    pub(super) identity: Identity,
}

/// A list of providers.
#[derive(Debug)]
pub(super) struct AnyOf {
    /// Their positions among those of the policy.
    pub(super) providers: Box<[usize]>,
    /// Whether a request without any of their credentials is let through.
    pub(super) optional: bool,
}

/// What admission found out.
#[derive(Default)]
pub(super) struct Admission {
    pub(super) caller: Option<Arc<Principal>>,
    /// What its limits said.
    pub(super) decisions: SmallVec<[Decision; 2]>,
    pub(super) gate: Option<Gate>,
    /// What the limits by the message said last.
    said_by_message: Option<Arc<Mutex<Option<Decision>>>>,
    /// What the external deciders change of the request and its answer.
    pub(super) changes: Option<Box<Changes>>,
    /// Metadata of the caller.
    pub(super) identity: Told,
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

    /// Whether there is nothing to ask, to count or to tell.
    pub(super) fn is_idle(&self) -> bool {
        self.limits.is_none()
            && self.identity.is_empty()
            && !self.is_verified()
            && self.require.is_empty()
            && self.require_of_message.is_empty()
            && self.scopes.is_empty()
            && self.roles.is_empty()
            && self.addresses.is_empty()
            && self.external.is_none()
    }

    /// What the upstream is told of callers.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Lets a request through, or says why not; `admission` holds what was found out either way. Not to be asked of a
    /// policy that is idle.
    pub(super) async fn admit(
        &self,
        calling: Calling<'_>,
        head: &Parts,
        admission: &mut Admission,
    ) -> Result<(), Status> {
        if !self.addresses.iter().all(|rules| rules.admits(calling.address)) {
            return Err(denied("address"));
        }
        let host = head::host(head).unwrap_or_default();
        let facts = |caller| facts(calling, head, host, caller);
        let customer = Customer::of(calling);
        if let Some(counting) = &self.limits {
            let decision = counting.count(&counting.before, &customer, &facts(None)).await;
            admission.note(decision, counting)?;
        }
        if self.closed {
            return Err(denied("no_rule"));
        }
        self.authenticate(calling.connection, head, admission).await?;
        let caller = admission.caller.clone();
        let facts = facts(caller.as_deref().map(Principal::facts));
        if let Some(counting) = &self.limits {
            let decision = counting.count(&counting.after, &customer, &facts).await;
            admission.note(decision, counting)?;
        }
        self.authorize(&facts)?;
        self.ask_deciders(calling, head, admission).await?;
        admission.identity = self.identity.tell(&facts, caller.as_deref())?;
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

    /// What the message decides is asked once it is there.
    fn gate(&self, facts: &Facts<'_>, customer: Customer, admission: &mut Admission) {
        let counting = self.limits.as_ref().filter(|counting| !counting.by_message.is_empty());
        if self.require_of_message.is_empty() && counting.is_none() {
            return;
        }
        let (require, counting) = (self.require_of_message.clone(), counting.cloned());
        let caller = admission.caller.clone();
        let said = Arc::<Mutex<Option<Decision>>>::default();
        admission.said_by_message = counting.is_some().then(|| said.clone());
        let gate = Arc::new(ByMessage { look: Look::of(facts), customer, caller, require, counting, said });
        admission.gate = Some(Arc::new(move |message| gate.clone().admit(message).boxed()));
    }
}

impl Admission {
    /// Keeps what limits said, for the answer; an error if they refuse.
    fn note(&mut self, decision: Option<Decision>, counting: &Counting) -> Result<(), Status> {
        let passed = counting.pass(decision.as_ref());
        self.decisions.extend(decision);
        passed
    }

    /// Puts on an answer what the external deciders want there.
    pub(super) fn write_external(&self, headers: &mut HeaderMap) {
        if let Some(changes) = &self.changes {
            changes.write_answer(headers);
        }
    }

    /// Tells the client how its limits stand.
    pub(super) fn write_limits(&self, policy: &Policy, headers: &mut HeaderMap) {
        let Some(counting) = &policy.limits else { return };
        let said = self.said_by_message.as_deref();
        let said = said.map(|said| said.lock().unwrap_or_else(PoisonError::into_inner));
        let mut decisions = self.decisions.iter().chain(said.as_deref().and_then(Option::as_ref));
        let Some(first) = decisions.next() else { return };
        let mut whole = first.clone();
        for decision in decisions {
            whole.states.extend(decision.states.iter().cloned());
        }
        whole.write_headers(counting.style, headers);
    }
}

/// What is asked of each message.
struct ByMessage {
    look: Look,
    customer: Customer,
    caller: Option<Arc<Principal>>,
    require: Arc<[Arc<Expression>]>,
    counting: Option<Arc<Counting>>,
    /// What its limits said last.
    said: Arc<Mutex<Option<Decision>>>,
}

impl ByMessage {
    async fn admit(self: Arc<Self>, message: Bytes) -> Result<(), Status> {
        let facts = Facts {
            auth: self.caller.as_deref().map(Principal::facts),
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
            let decision = counting.count(&counting.by_message, &self.customer, &facts).await;
            let passed = counting.pass(decision.as_ref());
            *self.said.lock().unwrap_or_else(PoisonError::into_inner) = decision;
            passed?;
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

pub(super) fn denied(reason: &'static str) -> Status {
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
        now: calling.time,
    }
}
