//! What someone may have meant: names and templates that are close to what was written.

use super::template::{PathTemplate, Segment};

/// The longest text that is compared, in characters; what is longer is cut.
const MAX_COMPARED_CHARS: usize = 128;

/// The most segments of a path that are compared.
const MAX_COMPARED_SEGMENTS: usize = 32;

/// What a segment too many or too few costs; a segment with another text costs at most as much.
const SEGMENT_COST: usize = 12;

/// The name that is nearest to `written`, if one is near enough to be meant.
pub(crate) fn name<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let written: Vec<char> = written.to_lowercase().chars().take(MAX_COMPARED_CHARS).collect();
    let limit = (written.len() / 3 + 1).min(8);
    names
        .filter(|name| name.len().abs_diff(written.len()) <= limit)
        .map(|name| {
            let chars: Vec<char> = name.to_lowercase().chars().take(MAX_COMPARED_CHARS).collect();
            (edits(&written, &chars, char_cost), name)
        })
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// How far a path is from a template; the nearer, the smaller.
pub(super) fn distance(path: &str, template: &PathTemplate) -> usize {
    let path = path.trim_matches('/');
    let (path, verb_cost) = match (template.verb(), path.rsplit_once(':')) {
        (Some(verb), Some((path, written))) if !written.contains('/') => (path, literal_cost(written, verb)),
        (Some(_), _) => (path, SEGMENT_COST),
        (None, _) => (path, 0),
    };
    let segments: Vec<&str> =
        path.split('/').filter(|segment| !segment.is_empty()).take(MAX_COMPARED_SEGMENTS).collect();
    let open = template.segments().last() == Some(&Segment::Rest);
    let fixed = template.segments().get(..template.segments().len() - usize::from(open)).unwrap_or_default();
    let fixed = fixed.get(..MAX_COMPARED_SEGMENTS).unwrap_or(fixed);
    // What `**` would take is not compared.
    let compared = if open { segments.get(..fixed.len()).unwrap_or(&segments) } else { &segments };
    let segments_cost = edits(compared, fixed, |written, segment| match (written, segment) {
        (None, _) | (_, None) => SEGMENT_COST,
        (Some(_), Some(Segment::One | Segment::Rest)) => 1,
        (Some(written), Some(Segment::Literal(literal))) => literal_cost(written, literal),
    });
    segments_cost + verb_cost
}

/// From 0 for the same text to [`SEGMENT_COST`] for one that has nothing in common with it.
fn literal_cost(written: &str, literal: &str) -> usize {
    let chars = |text: &str| text.chars().take(MAX_COMPARED_CHARS).collect::<Vec<_>>();
    let (written, literal) = (chars(written), chars(literal));
    let longest = written.len().max(literal.len()).max(1);
    (edits(&written, &literal, char_cost) * SEGMENT_COST).div_ceil(longest)
}

fn char_cost(left: Option<&char>, right: Option<&char>) -> usize {
    usize::from(left != right)
}

/// The cheapest way from `left` to `right` by replacing, adding and taking away (Levenshtein).
fn edits<L, R>(left: &[L], right: &[R], cost: impl Fn(Option<&L>, Option<&R>) -> usize) -> usize {
    let mut row = vec![0];
    for item in right {
        row.push(row.last().copied().unwrap_or(0) + cost(None, Some(item)));
    }
    for from in left {
        let mut next = vec![row.first().copied().unwrap_or(0) + cost(Some(from), None)];
        for (to, pair) in right.iter().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { break };
            let before = next.last().copied().unwrap_or(0);
            let replaced = diagonal + cost(Some(from), Some(to));
            next.push(replaced.min(above + cost(Some(from), None)).min(before + cost(None, Some(to))));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
