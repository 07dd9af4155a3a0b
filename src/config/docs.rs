//! The JSON Schema of the file, and `docs/config.md`.

/// The JSON Schema of the configuration file, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(super::file::File).to_value()
}
