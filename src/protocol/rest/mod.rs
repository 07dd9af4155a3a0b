//! Stand-in until the module arrives.
pub mod accept;
pub mod error;
