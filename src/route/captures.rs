//! A request's path split into segments, and the text that a template's variables take from it.
//!
//! The raw path is split at `/` first and decoded once after that, so that an encoded slash never separates. The
//! buffers are reused: after warm-up a lookup allocates nothing.

use std::ops::Range;

use crate::status::Status;

use super::escape::{EncodedSlash, decode, is_dot_segment};
use super::template::{Extent, MAX_SEGMENTS, PathTemplate};

/// The scratch space of a lookup, and its result: one text for each variable of the found binding.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    pub(super) path: SplitPath,
    /// The texts of the variables, one behind the other.
    text: String,
    /// Where each of them ends.
    ends: Vec<usize>,
    pub(super) visited: usize,
}

/// A path in segments.
#[derive(Clone, Debug, Default)]
pub(super) struct SplitPath {
    /// The first segments; no template looks at more than [`MAX_SEGMENTS`].
    spans: Vec<Span>,
    /// The number of segments.
    count: usize,
    /// The length of the raw path.
    len: usize,
    /// The last segment where its last colon begins a verb; `None` where it can't.
    split: Option<SplitSegment>,
    /// The text of those segments that have escapes.
    decoded: String,
    bytes: Vec<u8>,
}

/// One segment: its bytes in the raw path, and its text if that is another.
#[derive(Clone, Debug, Default)]
struct Span {
    raw: Range<usize>,
    decoded: Option<Range<usize>>,
}

/// The last segment in two, at its last colon.
#[derive(Clone, Debug)]
struct SplitSegment {
    head: Span,
    verb: Span,
}

/// How a lookup reads the last segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastSegment {
    /// The colon is data.
    Whole,
    /// The last colon begins a verb.
    BeforeVerb,
}

/// Whether any template could match a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matchable {
    Maybe,
    /// It has an empty segment, or does not begin with a slash.
    Never,
}

impl Captures {
    /// Scratch space for any number of lookups, one after the other.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The text of the variable at this position in its binding's `variables`.
    #[must_use]
    pub fn get(&self, variable: usize) -> Option<&str> {
        let end = *self.ends.get(variable)?;
        let start = variable.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.text.get(start..end)
    }

    /// The texts of the variables, in the order of the binding's `variables`.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).filter_map(|variable| self.get(variable))
    }

    /// How many variables have a text.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the found binding has no variables, or none was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many nodes the last lookup visited: it grows with the path, not with the number of routes.
    #[must_use]
    pub fn visited(&self) -> usize {
        self.visited
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.visited = 0;
    }

    /// Takes the text of every variable of a template that matches.
    pub(super) fn fill(&mut self, raw: &str, template: &PathTemplate, last: LastSegment) {
        for variable in template.variables() {
            let Range { start, end } = variable.segments;
            let end = match variable.extent {
                Extent::One => {
                    self.text.push_str(self.path.text(raw, start, last));
                    self.ends.push(self.text.len());
                    continue;
                }
                Extent::Several => end,
                Extent::Open => self.path.count,
            };
            let taken = self.path.range(start, end, last);
            self.path.push_decoded(raw.get(taken).unwrap_or_default(), &mut self.text);
            self.ends.push(self.text.len());
        }
    }
}

impl SplitPath {
    /// Splits `raw` and decodes what has escapes.
    ///
    /// Every segment is looked at, also where the path is unknown: a dot segment, a broken escape or text that is not
    /// UTF-8 is refused whichever route would take it.
    pub(super) fn split(&mut self, raw: &str) -> Result<Matchable, Status> {
        self.spans.clear();
        self.decoded.clear();
        (self.count, self.len, self.split) = (0, raw.len(), None);
        let Some(path) = raw.strip_prefix('/') else {
            return Ok(Matchable::Never);
        };
        if path.is_empty() {
            return Ok(Matchable::Maybe);
        }
        let mut matchable = Matchable::Maybe;
        let mut start = 1;
        let mut last = "";
        for segment in path.split('/') {
            if segment.is_empty() {
                matchable = Matchable::Never;
            }
            let span = self.span(start, segment)?;
            if is_dot_segment(self.span_text(raw, &span)) {
                return Err(self.refuse(segment, "\".\" and \"..\" are not allowed as segments"));
            }
            if self.spans.len() < MAX_SEGMENTS {
                self.spans.push(span);
            }
            start += segment.len() + 1;
            self.count += 1;
            last = segment;
        }
        self.split = self.split_last(raw.len() - last.len(), last)?;
        Ok(matchable)
    }

    /// The last segment in two, at its last colon. An encoded colon is none, and an empty segment never matches.
    fn split_last(&mut self, start: usize, segment: &str) -> Result<Option<SplitSegment>, Status> {
        let Some((head, verb)) = segment.rsplit_once(':').filter(|(head, _)| !head.is_empty()) else {
            return Ok(None);
        };
        let verb = self.span(start + head.len() + 1, verb)?;
        let head = self.span(start, head)?;
        Ok(Some(SplitSegment { head, verb }))
    }

    /// The segment at byte `start` of the path; its text is decoded if it has escapes.
    fn span(&mut self, start: usize, segment: &str) -> Result<Span, Status> {
        let decoded =
            if memchr::memchr(b'%', segment.as_bytes()).is_some() { Some(self.decode(segment)?) } else { None };
        Ok(Span { raw: start..start + segment.len(), decoded })
    }

    fn decode(&mut self, segment: &str) -> Result<Range<usize>, Status> {
        self.bytes.clear();
        decode(segment, EncodedSlash::Decode, &mut self.bytes)
            .map_err(|_| self.refuse(segment, "\"%\" needs two hexadecimal digits behind it"))?;
        let Ok(text) = std::str::from_utf8(&self.bytes) else {
            return Err(self.refuse(segment, "the escapes do not decode to UTF-8"));
        };
        let start = self.decoded.len();
        self.decoded.push_str(text);
        Ok(start..self.decoded.len())
    }

    /// The answer to a path with an illegal segment, which is the one after those counted so far.
    fn refuse(&self, segment: &str, reason: &str) -> Status {
        Status::invalid_argument("path", format!("segment {} ({segment:?}) is refused: {reason}", self.count + 1))
    }

    /// The refusal of `..:verb`: a dot segment once the verb is taken off.
    pub(super) fn refuse_dot_before_verb(&self, raw: &str) -> Option<Status> {
        let head = &self.split.as_ref()?.head;
        let text = self.span_text(raw, head);
        let position = self.count;
        is_dot_segment(text).then(|| {
            let reason = "\".\" and \"..\" are not allowed as segments";
            Status::invalid_argument("path", format!("segment {position} ({text:?}) is refused: {reason}"))
        })
    }

    fn span_text<'p>(&'p self, raw: &'p str, span: &Span) -> &'p str {
        match &span.decoded {
            Some(range) => self.decoded.get(range.clone()),
            None => raw.get(span.raw.clone()),
        }
        .unwrap_or_default()
    }

    /// The number of segments.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What could be the path's verb, decoded.
    pub(super) fn verb<'p>(&'p self, raw: &'p str) -> Option<&'p str> {
        self.split.as_ref().map(|split| self.span_text(raw, &split.verb))
    }

    /// The decoded text of one segment.
    pub(super) fn text<'p>(&'p self, raw: &'p str, position: usize, last: LastSegment) -> &'p str {
        self.span_at(position, last).map(|span| self.span_text(raw, span)).unwrap_or_default()
    }

    fn span_at(&self, position: usize, last: LastSegment) -> Option<&Span> {
        match (&self.split, last) {
            (Some(split), LastSegment::BeforeVerb) if position + 1 == self.count => Some(&split.head),
            _ => self.spans.get(position),
        }
    }

    /// The bytes of the segments from `start` until before `end`.
    fn range(&self, start: usize, end: usize, last: LastSegment) -> Range<usize> {
        let Some(first) = self.span_at(start, last).filter(|_| start < end) else {
            return 0..0;
        };
        let end = match (&self.split, last) {
            (Some(split), LastSegment::BeforeVerb) if end == self.count => split.head.raw.end,
            _ if end == self.count => self.len,
            _ => self.span_at(end - 1, last).map_or(self.len, |span| span.raw.end),
        };
        first.raw.start..end
    }

    /// Appends several segments' text to `out`: decoded, except for encoded slashes.
    fn push_decoded(&mut self, raw: &str, out: &mut String) {
        if memchr::memchr(b'%', raw.as_bytes()).is_none() {
            return out.push_str(raw);
        }
        self.bytes.clear();
        // Both hold because every segment was decoded when the path was split.
        decode(raw, EncodedSlash::Keep, &mut self.bytes).expect("the escapes were checked");
        out.push_str(std::str::from_utf8(&self.bytes).expect("the text was checked"));
    }
}
