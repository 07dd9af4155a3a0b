//! Stand-in until the module arrives: only what a configuration says.
pub mod endpoint;
pub mod settings;
