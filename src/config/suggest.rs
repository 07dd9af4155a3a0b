//! "Did you mean": the known name that is nearest to what was written.

/// The candidate that a slip of the pen may have turned into `found`.
pub(crate) fn nearest<'c>(found: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Longer names bear more slips; names of one or two letters none, everything is near to them.
    let slips = match found.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=8 => 2,
        _ => 3,
    };
    let folded = fold(found);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Help of the form ``did you mean `name`?``.
pub(crate) fn did_you_mean<'c>(found: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    nearest(found, candidates).map(|name| format!("did you mean `{name}`?"))
}

/// Case and the choice between `-` and `_` are no slips at all. Bounded, since the distance is quadratic.
fn fold(name: &str) -> String {
    name.chars().take(80).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}
