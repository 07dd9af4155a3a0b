//! Lockgate: a gateway that serves gRPC services as REST, from their descriptors alone.
//!
//! # The path of one request
//!
//! The modules below stand in the order in which a request walks through them, and a module uses only modules
//! below it.

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

pub mod upstream;

pub mod protocol;

pub mod route;

pub mod transcode;

pub mod schema;

pub mod tls;

pub mod telemetry;

pub mod status;

pub mod pb;
