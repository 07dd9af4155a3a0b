//! Lockgate: a gateway that serves gRPC services as REST, from their descriptors alone.
//!
//! # The path of one request
//!
//! The modules below stand in the order in which a request walks through them, and a module uses only modules
//! below it: reading order, data flow and dependency direction are one and the same.
//!
//! `server` accepts a connection and reads a head. [`gateway::respond`] finds the endpoint by `route`, makes the
//! metadata by `protocol`, and hands over to [`call`]: the body becomes messages by `transcode::bind`, the messages go
//! to the `upstream`, its answer becomes JSON by `transcode::encode`, and `protocol::rest` frames what is a stream. A
//! [`status::Status`] from any step falls straight to the end, where it is written.
//!
//! Above the server stands what makes it: `cli` parses a command, `config` checks a file, `app` loads descriptors into
//! a [`schema::Schema`], compiles the [`gateway::Gateway`], and swaps in the next one when something has changed.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")
)]

pub mod cli;

pub mod demo;

pub mod app;

pub mod admin;

pub mod config;

pub mod server;

pub mod gateway;

pub mod call;

pub mod auth;

pub mod upstream;

pub mod expression;

pub mod protocol;

pub mod route;

pub mod transcode;

pub mod schema;

pub mod tls;

pub mod telemetry;

pub mod status;

mod calendar;

pub mod pb;
