//! Compact JSON to indented JSON, as a second pass that the hot loop knows nothing of.

/// Lays out the compact JSON in `out` since `start` with `width` spaces a level.
pub(super) fn apply(out: &mut Vec<u8>, start: usize, width: u8) {
    let compact = out.split_off(start);
    let mut depth = 0_usize;
    let mut rest = compact.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => {
                out.push(byte);
                copy_string(out, &mut rest);
                continue;
            }
            b'{' | b'[' if rest.next_if(|next| matches!(next, b'}' | b']')).is_some() => {
                out.extend_from_slice(if byte == b'{' { b"{}" } else { b"[]" });
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(out, depth, width);
            }
            _ => {}
        }
        out.push(byte);
        match byte {
            b':' => out.push(b' '),
            b'{' | b'[' | b',' => new_line(out, depth, width),
            _ => {}
        }
    }
}

fn copy_string(out: &mut Vec<u8>, rest: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = rest.next() {
        out.push(byte);
        match byte {
            b'"' => return,
            b'\\' => out.extend(rest.next()),
            _ => {}
        }
    }
}

fn new_line(out: &mut Vec<u8>, depth: usize, width: u8) {
    out.push(b'\n');
    out.resize(out.len() + depth * usize::from(width), b' ');
}
