//! `${VAR}`, `${VAR:-default}` and `${file:path}` in the values of a tree.
//!
//! They expand after parsing, so that no value can change the structure of the file; keys do not expand. `$${` is a
//! literal `${`, and a `$` before anything else is itself. As in shells, `:-` also stands in for an empty variable.

use std::path::{Path, PathBuf};

use super::problem::{Problems, Span};
use super::tree::{Map, Node, Scalar, ScalarKind, Value};

/// What all values of one file may grow to.
const MAX_EXPANDED_BYTES: usize = 16 << 20;

/// Where variables have their values from.
pub(crate) struct Variables<'e> {
    /// The environment.
    pub environment: &'e dyn Fn(&str) -> Option<String>,
    /// What the paths of `${file:path}` are relative to.
    pub folder: &'e Path,
}

impl Variables<'_> {
    /// Expands every value below `node`.
    pub(crate) fn expand(&self, node: &mut Node, problems: &mut Problems) {
        let mut expansion = Expansion { variables: self, problems, left: MAX_EXPANDED_BYTES };
        if expansion.node(node) == Fate::Cut {
            node.value = Value::Null;
        }
    }
}

/// What becomes of a node: one that can't expand is cut, lest its value be called wrong as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    Cut,
}

struct Expansion<'v, 'e, 'p> {
    variables: &'v Variables<'e>,
    problems: &'p mut Problems,
    left: usize,
}

impl Expansion<'_, '_, '_> {
    /// Recursion is as deep as the parser's budget lets files nest.
    fn node(&mut self, node: &mut Node) -> Fate {
        match &mut node.value {
            Value::Null => {}
            Value::Scalar(scalar) => return self.scalar(node.span, scalar),
            Value::List(list) => list.retain_mut(|element| self.node(element) == Fate::Keep),
            Value::Map(Map { entries, lost }) => entries.retain_mut(|entry| {
                let fate = self.node(&mut entry.value);
                if fate == Fate::Cut {
                    lost.push(entry.key.clone());
                }
                fate == Fate::Keep
            }),
        }
        Fate::Keep
    }

    fn scalar(&mut self, span: Span, scalar: &mut Scalar) -> Fate {
        if scalar.kind != ScalarKind::Text || !scalar.text.contains("${") {
            return Fate::Keep;
        }
        match self.text(&scalar.text) {
            Ok(expanded) => {
                scalar.written = Some(std::mem::replace(&mut scalar.text, expanded));
                Fate::Keep
            }
            Err(message) => {
                self.problems.push(span, message);
                Fate::Cut
            }
        }
    }

    fn text(&mut self, text: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                expanded.push_str(before);
                expanded.push_str("${");
                rest = after;
                continue;
            }
            let Some((reference, after)) = after.split_once('}') else {
                return Err(format!("found `${{{after}` without its `}}`; a literal `${{` is written `$${{`"));
            };
            let value = self.variables.value(reference)?;
            self.left = self
                .left
                .checked_sub(value.len())
                .ok_or_else(|| format!("variables expand to more than {MAX_EXPANDED_BYTES} bytes"))?;
            expanded.push_str(before);
            expanded.push_str(&value);
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }
}

impl Variables<'_> {
    fn value(&self, reference: &str) -> Result<String, String> {
        if let Some(path) = reference.strip_prefix("file:") {
            return self.file(path);
        }
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_name(name) {
            return Err(format!(
                "found `${{{reference}}}`, expected `${{NAME}}`, `${{NAME:-default}}` or `${{file:PATH}}`; a literal \
                 `${{` is written `$${{`"
            ));
        }
        match ((self.environment)(name), default) {
            (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
            (Some(value), _) => Ok(value),
            (None, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err(format!(
                "the environment has no variable `{name}`, which `${{{name}}}` needs; `${{{name}:-default}}` can do \
                 without"
            )),
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let path: PathBuf = self.folder.join(path);
        read_value(&path).map_err(|error| format!("can't read the file `{}`: {error}", path.display()))
    }
}

/// The value that a file holds: without the newline that ends it, as such files are written by hand.
pub(crate) fn read_value(path: &Path) -> std::io::Result<String> {
    let text = read_file(path)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// A text file within bounds, also where it is a device or grows while it is read.
pub(crate) fn read_file(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;

    let mut text = String::new();
    let limit = super::tree::MAX_FILE_BYTES as u64 + 1;
    std::fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    if text.len() > super::tree::MAX_FILE_BYTES {
        return Err(std::io::Error::other(format!("it has more than {} bytes", super::tree::MAX_FILE_BYTES)));
    }
    Ok(text)
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
