//! What the gateway tells of itself: the log, one access-log line a request, and metrics.

pub mod access;
mod lines;
pub mod log;
pub mod metrics;
