//! Which fields an update changes.

use prost_types::FieldMask;

use super::details::Violations;

/// The paths of a mask; all of `changeable` where it is empty or says `*`.
///
/// Paths that the service itself fills (`output_only`) are dropped, as AIP-161 says; others are violations of the mask.
pub(crate) fn paths<'a>(
    mask: Option<&'a FieldMask>,
    changeable: &[&'a str],
    output_only: &[&str],
    violations: &mut Violations,
) -> Vec<&'a str> {
    let given = mask.map_or(&[][..], |mask| mask.paths.as_slice());
    if given.is_empty() || given.iter().any(|path| path == "*") {
        return changeable.to_vec();
    }
    let mut paths = Vec::new();
    for path in given.iter().map(String::as_str) {
        let top = path.split_once('.').map_or(path, |(top, _)| top);
        if changeable.contains(&top) {
            paths.push(path);
        } else if !output_only.contains(&top) {
            violations.add("updateMask", "UNKNOWN_FIELD", format!("`{path}` is not a field that can be changed"));
        }
    }
    paths
}
