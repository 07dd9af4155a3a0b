//! The JSON Schema of the file, and `docs/config.md`, which is made of the same types and their comments.

mod markdown;

pub use markdown::markdown;

/// The JSON Schema of the configuration file, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(super::file::File).to_value()
}
