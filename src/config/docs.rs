//! The JSON Schema of the file, and `docs/config.md`, which is made of the same types and their comments.

mod markdown;

pub use markdown::markdown;
use serde_json::Value;

/// The JSON Schema of the configuration file, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(super::file::File).to_value();
    forbid_null(&mut schema);
    schema
}

/// A key may be left out, but not be left without a value.
fn forbid_null(schema: &mut Value) {
    match schema {
        Value::Object(keys) => {
            keys.retain(|key, value| !(key == "default" && value.is_null()));
            if let Some(Value::Array(types)) = keys.get_mut("type") {
                types.retain(|kind| kind != "null");
            }
            if let Some(Value::Array(choices)) = keys.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
            }
            keys.values_mut().for_each(forbid_null);
        }
        Value::Array(elements) => elements.iter_mut().for_each(forbid_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
