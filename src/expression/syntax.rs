//! Text to syntax tree, by the parser of the `cel` crate, within bounds that keep every later walk off the stack's end.
//!
//! The parser, the evaluation and even dropping a tree recurse, and a stack overflow can't be caught: so brackets are
//! counted before the parser sees the text, and the tree is measured before anything else walks it.

use std::ops::Range;
use std::panic;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, SourceInfo};
use cel::parser::{ParseError, Parser};

use super::mistake::Mistake;

/// The longest text of an expression.
pub const MAX_TEXT_BYTES: usize = 4096;

/// How deep brackets of all kinds may nest in the text.
pub const MAX_BRACKETS: usize = 32;

/// How deep the tree of an expression may be: every operator of a chain such as `a + b + c` is a level.
pub const MAX_TREE_DEPTH: usize = 64;

/// A tree and where its nodes stand in the text.
pub(super) struct Parsed {
    pub(super) root: IdedExpr,
    pub(super) places: SourceInfo,
}

/// Parses `text`.
pub(super) fn parse(text: &str) -> Result<Parsed, Vec<Mistake>> {
    let whole = || 0..text.len();
    let one = |range: Range<usize>, message: String| Err(vec![Mistake { range, message }]);
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("an expression of {} bytes: expected at most {MAX_TEXT_BYTES}", text.len());
        return one(whole(), message);
    }
    if text.trim().is_empty() {
        return one(whole(), "an empty expression".to_owned());
    }
    if let Some(at) = too_deep(text.as_bytes()) {
        return one(at..at + 1, format!("brackets that nest deeper than {MAX_BRACKETS} levels"));
    }
    // The parser is generated code that indexes: a panic in it is a mistake in the text, not the end of the process.
    let parsed = panic::catch_unwind(|| Parser::new().parse_with_source_info(text));
    let (root, places) = match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(errors)) => return Err(errors.errors.iter().map(|error| mistake(text, error)).collect()),
        Err(_) => return one(whole(), "an expression that can't be parsed".to_owned()),
    };
    if !is_flat(&root, MAX_TREE_DEPTH) {
        let message = format!("an expression that nests deeper than {MAX_TREE_DEPTH} levels: split it");
        return one(whole(), message);
    }
    Ok(Parsed { root, places })
}

/// Where brackets nest too deep, outside of strings and comments.
fn too_deep(text: &[u8]) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'(' | b'[' | b'{' if depth == MAX_BRACKETS => return Some(at),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' | b'\'' => {
                let before = at.checked_sub(1).and_then(|before| text.get(before));
                at = string_end(text, at, matches!(before, Some(b'r' | b'R')));
                continue;
            }
            b'/' if text.get(at + 1) == Some(&b'/') => {
                at += text.iter().skip(at).take_while(|&&byte| byte != b'\n').count();
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The offset behind the string whose first quote is at `start`; the text's end where it isn't closed.
fn string_end(text: &[u8], start: usize, raw: bool) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let quote: &[u8] = match rest {
        [b'"', b'"', b'"', ..] | [b'\'', b'\'', b'\'', ..] => rest.get(..3).unwrap_or_default(),
        _ => rest.get(..1).unwrap_or_default(),
    };
    let mut at = start + quote.len();
    while at < text.len() {
        match text.get(at..) {
            Some(inside) if inside.starts_with(quote) => return at + quote.len(),
            Some([b'\\', ..]) if !raw => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Whether the tree has at most this many levels.
fn is_flat(node: &IdedExpr, levels: usize) -> bool {
    let Some(levels) = levels.checked_sub(1) else { return false };
    let mut flat = true;
    children(&node.expr, &mut |child| flat = flat && is_flat(child, levels));
    flat
}

/// Calls `visit` with every node directly below.
pub(super) fn children<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e IdedExpr)) {
    match expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(visit),
        Expr::List(list) => list.elements.iter().for_each(visit),
        Expr::Select(select) => visit(&select.operand),
        Expr::Comprehension(comprehension) => {
            let comprehension = &**comprehension;
            visit(&comprehension.iter_range);
            visit(&comprehension.accu_init);
            visit(&comprehension.loop_cond);
            visit(&comprehension.loop_step);
            visit(&comprehension.result);
        }
        Expr::Map(cel::common::ast::MapExpr { entries })
        | Expr::Struct(cel::common::ast::StructExpr { entries, .. }) => {
            for entry in entries {
                match &entry.expr {
                    EntryExpr::StructField(field) => visit(&field.value),
                    EntryExpr::MapEntry(entry) => {
                        visit(&entry.key);
                        visit(&entry.value);
                    }
                }
            }
        }
    }
}

/// What the parser says, in our words, at an offset instead of a line and a column.
fn mistake(text: &str, error: &ParseError) -> Mistake {
    let (line, column) = (usize::try_from(error.pos.0).unwrap_or(0), usize::try_from(error.pos.1).unwrap_or(0));
    let lines = text.split_inclusive('\n');
    let before: usize = lines.clone().take(line.saturating_sub(1)).map(str::len).sum();
    let in_line = lines.clone().nth(line.saturating_sub(1)).unwrap_or_default();
    let start = before + in_line.char_indices().nth(column.saturating_sub(1)).map_or(in_line.len(), |(at, _)| at);
    // The whole of a word, or else one character.
    let rest = text.get(start..).unwrap_or_default();
    let word = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    let width = word.max(rest.chars().next().map_or(0, char::len_utf8));
    let message = error.msg.trim_start_matches("Syntax error: ");
    // The list of all tokens that may begin a value says less than this.
    let message = match message.split_once(" expecting ") {
        Some((found, expected)) if expected.starts_with('{') => format!("{found}: expected a value or an operator"),
        Some((found, "<EOF>")) => format!("{found}: expected an operator or the end"),
        Some((found, expected)) => format!("{found}: expected {expected}"),
        None => message.to_owned(),
    };
    Mistake { range: start..start + width, message: message.replace("'<EOF>'", "the end") }
}
