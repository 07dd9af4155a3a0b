//! What the limits of a request said, as answers show it.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

/// Whether a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Allowed,
    /// A limit is used up.
    Refused,
    /// The store of a limit can't be asked, and that limit says to refuse then.
    Unavailable,
}

/// How one policy stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The limit's name; with `-quota` behind it where the quota is a second policy beside a rate.
    pub name: Arc<str>,
    /// Requests in a window.
    pub limit: u32,
    /// Requests of cost one that would pass now: of a rate, up to its burst.
    pub remaining: u32,
    /// Until all of it is there again: a rate's bucket full, a quota's window over.
    pub reset: Duration,
    pub window: Duration,
    /// Until this request could pass; `None` if this policy did not refuse it.
    pub retry_after: Option<Duration>,
}

/// What all limits of a request said together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub outcome: Outcome,
    /// Of a request that may go on, every policy that it was held to, in order; of a refused one, those of the last
    /// limit that refused it. Limits that only watch are not told.
    pub states: SmallVec<[State; 4]>,
    /// Until every limit that refused could let this request pass.
    pub retry_after: Option<Duration>,
    /// The last limit that refused.
    pub refused_by: Option<Arc<str>>,
}
