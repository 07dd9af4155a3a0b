//! The reference of the configuration as Markdown: a table a section, out of the JSON Schema.

use std::collections::BTreeMap;

use serde_json::Value;

/// What stands before the tables.
const INTRODUCTION: &str = include_str!("introduction.md");

/// `docs/config.md`.
#[must_use]
pub fn markdown() -> String {
    let schema = super::schema();
    let mut reference = Reference { schema: &schema, text: INTRODUCTION.to_owned(), told: BTreeMap::new() };
    reference.text.push_str("\n## Reference\n");
    reference.section("", &schema);
    reference.text
}

struct Reference<'s> {
    schema: &'s Value,
    text: String,
    /// Definitions that have their section already, with its path.
    told: BTreeMap<String, String>,
}

/// A mapping that gets a section of its own.
struct Section<'s> {
    path: String,
    mapping: &'s Value,
}

impl<'s> Reference<'s> {
    /// The keys of `mapping`, and then what is below them.
    fn section(&mut self, path: &str, mapping: &'s Value) {
        let mut below = Vec::new();
        if !path.is_empty() {
            let description = one_line(mapping.get("description"));
            self.text.push_str(&format!("\n### `{path}`\n\n{description}\n"));
        }
        let properties = mapping.get("properties").and_then(Value::as_object).into_iter().flatten();
        // What services and methods say is what `defaults` says, and told there.
        let shared = self.shares_settings(mapping);
        let more = mapping.get("additionalProperties").filter(|more| more.is_object());
        if !shared || more.is_some() {
            self.text.push_str("\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n");
        }
        let required: Vec<&str> =
            mapping.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for (key, value) in properties.filter(|_| !shared) {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let kind = self.kind(value, &path, &mut below);
            let default = default(value, required.contains(&key.as_str()));
            let meaning = one_line(value.get("description"));
            self.text.push_str(&format!("| `{key}` | {} | {default} | {} |\n", cell(&kind), cell(&meaning)));
        }
        if let Some(more) = more {
            let (name, meaning) = match path {
                "rate_limits" => ("<name>", "A limit, by a name of your choice."),
                _ => ("<Method>", "A method's name: how it is served."),
            };
            let path = format!("{path}.{name}");
            let kind = self.kind(more, &path, &mut below);
            self.text.push_str(&format!("| `{name}` | {} | | {meaning} |\n", cell(&kind)));
        }
        for Section { path, mapping } in below {
            self.section(&path, mapping);
        }
    }

    /// Whether these are the settings of methods once more, under another name.
    fn shares_settings(&self, mapping: &Value) -> bool {
        let settings = self.schema.pointer("/$defs/Level");
        let keys = |mapping: &Value| mapping.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let known = settings.map(keys).unwrap_or_default();
        settings != Some(mapping) && keys(mapping).keys().all(|key| known.contains_key(key))
    }

    /// What a value is, in a word; mappings are noted for sections of their own.
    fn kind(&mut self, value: &'s Value, path: &str, below: &mut Vec<Section<'s>>) -> String {
        if let Some(name) = value.get("$ref").and_then(Value::as_str) {
            return self.mapping(name, path, below);
        }
        if let Some(title) = value.get("title").and_then(Value::as_str) {
            return title.to_owned();
        }
        let words = value.get("enum").or_else(|| value.get("oneOf"));
        if let Some(words) = words.and_then(Value::as_array) {
            let words = words.iter().filter_map(|word| word.get("const").unwrap_or(word).as_str());
            return words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        }
        if let Some(word) = value.get("const").and_then(Value::as_str) {
            return format!("`{word}`");
        }
        if let Some(choices) = value.get("anyOf").and_then(Value::as_array) {
            let kinds = choices.iter().filter(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
            return kinds.map(|choice| self.kind(choice, path, below)).collect::<Vec<_>>().join(" or ");
        }
        self.plain_kind(value, path, below)
    }

    fn plain_kind(&mut self, value: &'s Value, path: &str, below: &mut Vec<Section<'s>>) -> String {
        let kinds = match value.get("type") {
            Some(Value::String(kind)) => vec![kind.as_str()],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let words = kinds.into_iter().filter(|kind| *kind != "null").map(|kind| match kind {
            "string" => "text".to_owned(),
            "integer" => "number".to_owned(),
            "array" => {
                let elements = value.get("items").map(|items| self.kind(items, &format!("{path}[]"), below));
                format!("list of {}", elements.unwrap_or_default())
            }
            "object" => {
                let elements =
                    value.get("additionalProperties").map(|more| self.kind(more, &format!("{path}.<name>"), below));
                format!("by name: {}", elements.unwrap_or_default())
            }
            other => other.to_owned(),
        });
        words.collect::<Vec<_>>().join(" or ")
    }

    /// A link to the section of a definition.
    fn mapping(&mut self, reference: &str, path: &str, below: &mut Vec<Section<'s>>) -> String {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let Some(mapping) = self.schema.get("$defs").and_then(|definitions| definitions.get(name)) else {
            return name.to_owned();
        };
        let section = match self.told.get(name) {
            Some(section) => section.clone(),
            None => {
                below.push(Section { path: path.to_owned(), mapping });
                self.told.insert(name.to_owned(), path.to_owned());
                path.to_owned()
            }
        };
        format!("[mapping](#{})", anchor(&section))
    }
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-')).collect::<String>().to_lowercase()
}

fn default(value: &Value, required: bool) -> String {
    if required && value.get("default").is_none() {
        return "required".to_owned();
    }
    match value.get("default") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(Value::Object(_)) => String::new(),
        Some(Value::Array(list)) if list.is_empty() => String::new(),
        Some(other) => format!("`{other}`"),
    }
}

/// The lines of a comment are no lines of the text.
fn one_line(description: Option<&Value>) -> String {
    let text = description.and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// In a table, a bar ends the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
