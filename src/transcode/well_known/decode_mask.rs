//! `google.protobuf.FieldMask` from its text: paths in lowerCamelCase with commas between.

/// Appends the `snake_case` form of every path of `text` to `out`, and hands over the length of each.
///
/// Only what comes back unchanged from the other direction is a path: no underscores and no other characters than
/// letters, digits and dots.
pub(crate) fn paths(text: &[u8], out: &mut Vec<u8>, mut begin: impl FnMut(&mut Vec<u8>, usize)) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    for path in text.split(|&byte| byte == b',') {
        let legal = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.';
        if path.is_empty() || !path.iter().all(legal) {
            return Err(format!("{:?} is no path of a field mask in lowerCamelCase", String::from_utf8_lossy(path)));
        }
        begin(out, path.len() + path.iter().filter(|byte| byte.is_ascii_uppercase()).count());
        for byte in path {
            if byte.is_ascii_uppercase() {
                out.push(b'_');
            }
            out.push(byte.to_ascii_lowercase());
        }
    }
    Ok(())
}
