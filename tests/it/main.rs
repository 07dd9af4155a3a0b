//! The one integration binary: the gateway as a process, between clients that normalise nothing and real backends.
//!
//! What a request means is told as data in `tests/cases/` (see its README) and run by [`cases`]; what needs time,
//! streams or signals is told here, one module a topic.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test, and what it stands on, fails by panicking"
)]

mod access_log;
mod admin;
mod admission;
mod ambiguity;
mod bodies;
mod browsers;
mod cases;
mod client_address;
mod command_line;
mod demo;
mod external;
mod guard;
mod heads;
mod introspection;
mod lifecycle;
mod limit_service;
mod odd;
mod readme;
mod reflection;
mod reload;
mod selftest;
mod signing;
mod slow;
mod streams;
mod support;
mod tidy;
mod tls;
