//! Admission: who may call a method, how often, from where. The order of the steps matters: what is cheap and known
//! without a credential comes first.

use std::sync::Arc;

use super::policy::{AddressRules, Sum};
use super::respond::Connection;
use crate::protocol::cors::Cors;
use crate::status::{Blame, Code, Status};

/// What a method's callers must meet, compiled.
#[derive(Debug)]
pub struct Policy {
    addresses: Box<[AddressRules]>,
    pub(super) cors: Option<Arc<Cors>>,
}

impl Policy {
    pub(super) fn compile(sum: Sum) -> Self {
        Self { addresses: sum.addresses.into(), cors: sum.cors }
    }

    /// Lets a request through, or says why not.
    pub(super) fn admit(&self, connection: &Connection) -> Result<(), Status> {
        if !self.addresses.iter().all(|rules| rules.admit(connection.client)) {
            return Err(Status::new(Code::PermissionDenied, Blame::Client, "permission denied"));
        }
        Ok(())
    }
}
