//! Appending few bytes without calling `memcpy`: most of what is printed are keys and values of less than 32 bytes,
//! where the call costs more than the copy.
//!
//! Two copies of a fixed size that overlap in the middle make up any length between one and two times that size; the
//! compiler turns each into one or two moves.

/// As `extend_from_slice`.
#[inline]
pub(crate) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        0..4 => bytes.iter().for_each(|&byte| out.push(byte)),
        4..8 => ends::<4>(out, bytes),
        8..16 => ends::<8>(out, bytes),
        16..=32 => ends::<16>(out, bytes),
        _ => out.extend_from_slice(bytes),
    }
}

/// Appends bytes that are between `N` and `2 * N` long.
#[inline]
pub(crate) fn ends<const N: usize>(out: &mut Vec<u8>, bytes: &[u8]) {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) {
        let end = out.len() + bytes.len();
        out.extend_from_slice(first);
        out.truncate(end - N);
        out.extend_from_slice(last);
    }
}

/// Appends the first `len` of `padded`.
#[inline]
pub(crate) fn append_padded<const N: usize>(out: &mut Vec<u8>, padded: &[u8; N], len: usize) {
    let end = out.len() + len;
    out.extend_from_slice(padded);
    out.truncate(end);
}
