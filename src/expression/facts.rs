//! What an expression may look at: the caller, the message, the client and the HTTP request.

use std::time::SystemTime;

use serde_json::{Map, Value as Json};

/// All that one evaluation may look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// The caller; `None` where nobody was verified, which reads as empty strings, lists and maps.
    pub auth: Option<Auth<'f>>,
    /// The method's request message as wire bytes; it must be there for an expression that uses it.
    pub request: Option<&'f [u8]>,
    /// The client's address as text.
    pub client_address: &'f str,
    pub http: Http<'f>,
    /// The present moment.
    pub now: SystemTime,
}

/// The caller.
#[derive(Clone, Copy, Debug)]
pub struct Auth<'f> {
    pub subject: &'f str,
    pub id: &'f str,
    pub provider: &'f str,
    pub plan: &'f str,
    pub roles: &'f [String],
    pub scopes: &'f [String],
    pub claims: &'f Map<String, Json>,
}

/// The HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct Http<'f> {
    pub method: &'f str,
    /// The path without its query.
    pub path: &'f str,
    pub host: &'f str,
    pub headers: &'f http::HeaderMap,
}
