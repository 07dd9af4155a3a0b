//! Stand-in until the module arrives: only what a configuration says.
pub mod config;

pub use config::Config;
