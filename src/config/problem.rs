//! What is wrong with a configuration, and where: [`Problem`] is one mistake, [`Invalid`] all those of one file.
//!
//! As text a problem is one line, `file:line:column: message`; [`Invalid::render`] shows it in its source, for
//! people at a terminal.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Where something stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A place in the text that is being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// In bytes.
    pub start: usize,
    /// In bytes; zero where only the start is known.
    pub len: usize,
}

impl Span {
    /// The start of the file.
    pub(crate) const START: Self = Self { line: 1, column: 1, start: 0, len: 0 };
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What was found and what was expected.
    pub message: String,
    /// What to do about it, where that can be said.
    pub help: Option<String>,
    bytes: Range<usize>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// The mistakes of a text, as they are found.
#[derive(Debug)]
pub(crate) struct Problems {
    file: Arc<str>,
    found: Vec<Problem>,
}

impl Problems {
    pub(crate) fn new(file: Arc<str>) -> Self {
        Self { file, found: Vec::new() }
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        Place { file: Arc::clone(&self.file), line: span.line, column: span.column }
    }

    pub(crate) fn push(&mut self, span: Span, message: impl Into<String>) {
        self.push_with_help(span, message, None);
    }

    pub(crate) fn push_with_help(&mut self, span: Span, message: impl Into<String>, help: Option<String>) {
        let place = self.place(span);
        let bytes = span.start..span.start.saturating_add(span.len);
        self.found.push(Problem { place, message: message.into(), help, bytes });
    }

    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// `value`, if nothing was found; else all that was, in the order of the text.
    pub(crate) fn conclude<T>(mut self, value: Option<T>, text: &str) -> Result<T, Invalid> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => {
                self.found.sort_by_key(|problem| (problem.place.line, problem.place.column));
                self.found.dedup();
                Err(Invalid { problems: self.found, text: text.to_owned() })
            }
        }
    }
}

/// Help of the form ``did you mean `name`?``.
pub(crate) fn did_you_mean<'c>(written: &str, known: impl Iterator<Item = &'c str>) -> Option<String> {
    crate::route::nearest::name(written, known).map(|name| format!("did you mean `{name}`?"))
}

/// Whether text may carry the colours of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Coloured,
}

/// A file that is no configuration, with every mistake that was found in it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", lines(problems))]
pub struct Invalid {
    problems: Vec<Problem>,
    text: String,
}

impl Invalid {
    /// In the order of the text; never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Each problem with the line it stands on.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Coloured => Renderer::styled(),
        };
        let rendered: Vec<_> = self.problems.iter().map(|problem| render(problem, &self.text, &renderer)).collect();
        rendered.join("\n\n")
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

fn render(problem: &Problem, text: &str, renderer: &Renderer) -> String {
    let window = Window::around(text, &problem.bytes);
    let title = Level::ERROR.primary_title(problem.message.as_str());
    let snippet = Snippet::source(window.text)
        .line_start(window.line)
        .path(problem.place.file.as_ref())
        .annotation(AnnotationKind::Primary.span(window.bytes));
    let mut report = vec![Group::with_title(title).element(snippet)];
    if let Some(help) = &problem.help {
        report.push(Group::with_title(Level::HELP.secondary_title(help.as_str())));
    }
    renderer.render(&report)
}

/// The lines that a problem touches, at most [`Window::LINES`] of them: a renderer would walk through all others.
struct Window<'t> {
    text: &'t str,
    line: usize,
    /// Where the problem stands within `text`.
    bytes: Range<usize>,
}

impl<'t> Window<'t> {
    const LINES: usize = 4;

    fn around(text: &'t str, bytes: &Range<usize>) -> Self {
        let start = floor(text, bytes.start);
        let first = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let shown = text.get(first..).unwrap_or_default();
        let len = shown.split_inclusive('\n').take(Self::LINES).map(str::len).sum();
        let shown = shown.get(..len).unwrap_or_default();
        let from = (start - first).min(shown.len());
        let end = floor(shown, bytes.end.saturating_sub(first)).max(from);
        let end = shown.get(from..end).map_or(end, |marked| from + marked.trim_end().len());
        let end = if end > from { end } else { next_char(shown, from) };
        let shown = match shown.get(end..).and_then(|rest| rest.find('\n')) {
            Some(newline) => shown.get(..end + newline).unwrap_or_default(),
            None => shown,
        };
        let line = text.get(..first).map_or(0, |before| before.matches('\n').count()) + 1;
        Self { text: shown, line, bytes: from..end.min(shown.len()) }
    }
}

/// The last boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The end of the character at `at`.
fn next_char(text: &str, at: usize) -> usize {
    let character = text.get(at..).and_then(|rest| rest.chars().next());
    at + character.filter(|&character| character != '\n').map_or(0, char::len_utf8)
}
