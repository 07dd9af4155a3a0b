//! What the gateway tells of itself: the log, one access-log line a request, and metrics.

pub mod access;
pub mod log;
pub mod metrics;
