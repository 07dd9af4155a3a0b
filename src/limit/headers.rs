//! What a client reads of its limits: header fields on every answer, and the status of a refusal.
//!
//! `RateLimit` and `RateLimit-Policy` are those of draft-ietf-httpapi-ratelimit-headers-10, lists of structured fields
//! (RFC 9651): `"per_user";q=600;w=60` and `"per_user";r=59;t=1`. The older `X-RateLimit-*` tell of one policy, the
//! one that is nearest to its end; all times are seconds from now, rounded up.

use std::fmt::Write;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use crate::limit::decision::{Decision, Outcome, State};
use crate::pb::google::rpc::RetryInfo;
use crate::status::{Blame, Code, Detail, Status};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The least `Retry-After`: 0 would send the client back at once.
const MIN_RETRY_SECONDS: u64 = 1;

/// Which header fields tell of limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// None; a refusal still says when to come back.
    Off,
    /// `RateLimit` and `RateLimit-Policy`.
    #[default]
    Draft,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    X,
    Both,
}

impl Decision {
    /// Adds what is known of the limits to an answer's headers.
    pub fn write_headers(&self, style: Style, headers: &mut HeaderMap) {
        let (draft, x) = match style {
            Style::Off => (false, false),
            Style::Draft => (true, false),
            Style::X => (false, true),
            Style::Both => (true, true),
        };
        if draft && !self.states.is_empty() {
            let policy = list(&self.states, |out, state| write!(out, ";q={};w={}", state.limit, seconds(state.window)));
            let standing =
                list(&self.states, |out, state| write!(out, ";r={};t={}", state.remaining, seconds(state.reset)));
            headers.insert(RATELIMIT_POLICY, policy);
            headers.insert(RATELIMIT, standing);
        }
        // What refused is nearest to its end, even if some is left that is too little for this request.
        let nearest = self.states.iter().min_by_key(|state| (state.retry_after.is_none(), state.remaining));
        if let Some(state) = nearest.filter(|_| x) {
            headers.insert(X_RATELIMIT_LIMIT, state.limit.into());
            headers.insert(X_RATELIMIT_REMAINING, state.remaining.into());
            headers.insert(X_RATELIMIT_RESET, seconds(state.reset).into());
        }
    }

    /// The failure of a request that may not go on: RESOURCE_EXHAUSTED (429) or UNAVAILABLE (503), with `Retry-After`, a
    /// `RetryInfo` of the same time to the nanosecond, and the headers of `style`; `None` if it may.
    #[must_use]
    pub fn status(&self, style: Style) -> Option<Status> {
        let (mut status, wait) = match self.outcome {
            Outcome::Allowed => return None,
            Outcome::Refused => {
                let name = self.refused_by.as_deref().unwrap_or_default();
                let message = format!("rate limit {name:?} is used up, come back later");
                let status = Status::new(Code::ResourceExhausted, Blame::Client, message);
                (status, self.retry_after.unwrap_or_default())
            }
            Outcome::Unavailable => {
                let message = "rate limits can't be checked at the moment, come back later";
                (Status::new(Code::Unavailable, Blame::Gateway, message), Duration::from_secs(MIN_RETRY_SECONDS))
            }
        };
        let info = RetryInfo { retry_delay: prost_types::Duration::try_from(wait).ok() };
        status = status.with_detail(Detail::of("google.rpc.RetryInfo", &info));
        self.write_headers(style, status.headers_mut());
        Some(status.with_header(RETRY_AFTER, seconds(wait).max(MIN_RETRY_SECONDS).into()))
    }
}

/// A list of strings with parameters.
fn list(states: &[State], parameters: impl Fn(&mut String, &State) -> std::fmt::Result) -> HeaderValue {
    let mut out = String::with_capacity(32 * states.len());
    for (at, state) in states.iter().enumerate() {
        out.push_str(if at == 0 { "\"" } else { ", \"" });
        // A string is printable ASCII; a name that is not loses what can't be said.
        for character in state.name.chars() {
            match character {
                '"' | '\\' => out.extend(['\\', character]),
                ' '..='~' => out.push(character),
                _ => out.push('?'),
            }
        }
        out.push('"');
        parameters(&mut out, state).expect("a string takes everything");
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(out)).expect("it is printable ASCII")
}

/// Whole seconds, rounded up: nobody comes back too early.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
