//! Limits that a method's calls count against: whom each of them counts, and by which rate.

use std::num::NonZeroU32;
use std::sync::Arc;

use smallvec::SmallVec;

use super::connection::Calling;
use crate::expression::Expression;
use crate::expression::facts::Facts;
use crate::expression::value::Value;
use crate::limit::decision::Decision;
use crate::limit::headers::Style;
use crate::limit::key::address_key;
use crate::limit::moment::Moment;
use crate::limit::{Ask, Limit, Limits};
use crate::status::Status;

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

/// The client as limits count it.
pub(super) struct Customer {
    /// The worker that serves it.
    worker: usize,
    /// Where that is not its address: all of a /64 of IPv6 are one.
    address: Option<Box<str>>,
}

impl Customer {
    pub(super) fn of(calling: Calling<'_>) -> Self {
        let key = address_key(calling.address);
        let address = (key != calling.address).then(|| key.to_string().into());
        Self { worker: calling.connection.worker, address }
    }

    fn facts<'f>(&'f self, facts: &Facts<'f>) -> Facts<'f> {
        Facts { client_address: self.address.as_deref().unwrap_or(facts.client_address), ..*facts }
    }
}

impl Counting {
    /// Counts a request against these of its limits; `None` where there are none.
    pub(super) async fn count(&self, counted: &[Counted], customer: &Customer, facts: &Facts<'_>) -> Option<Decision> {
        if counted.is_empty() {
            return None;
        }
        let (cost, facts) = (self.cost, &customer.facts(facts));
        let keys: SmallVec<[String; 4]> = counted.iter().map(|counted| counted.key(facts)).collect();
        let asks: SmallVec<[Ask<'_>; 4]> = counted
            .iter()
            .zip(&keys)
            .filter_map(|(counted, key)| Some(Ask { limit: counted.limit(facts)?, key: key.as_bytes(), cost }))
            .collect();
        Some(self.all.check(customer.worker, &asks, Moment::now()).await)
    }

    /// Whether a request may pass by what its limits said.
    pub(super) fn pass(&self, decision: Option<&Decision>) -> Result<(), Status> {
        match decision.and_then(|decision| decision.status(self.style)) {
            None => Ok(()),
            Some(status) => Err(status.with_refusal("rate_limit")),
        }
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

/// A value as the text of a key, or of metadata: what has one, and lists of such, with commas between.
pub(super) fn text(value: &Value) -> Option<String> {
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
