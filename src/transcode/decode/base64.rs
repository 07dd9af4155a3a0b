//! Base64 to bytes, in either alphabet (RFC 4648, sections 4 and 5), with padding or without.

/// Six bits for every character of both alphabets; 0xff for all others.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut rest: &[u8] = alphabet;
    let mut value = 0;
    while let [character, tail @ ..] = rest {
        set(&mut values, *character, value);
        value += 1;
        rest = tail;
    }
    set(&mut values, b'-', 62);
    set(&mut values, b'_', 63);
    values
};

const fn set(values: &mut [u8; 256], character: u8, value: u8) {
    let (_, from) = values.split_at_mut(character as usize);
    if let [slot, ..] = from {
        *slot = value;
    }
}

/// The text without its padding; `None` if the padding or the length is impossible.
pub(super) fn unpadded(text: &[u8]) -> Option<&[u8]> {
    let padded = text.iter().rev().take(3).take_while(|&&byte| byte == b'=').count();
    let unpadded = text.get(..text.len() - padded)?;
    let whole = match padded {
        0 => unpadded.len() % 4 != 1,
        1 | 2 => text.len().is_multiple_of(4),
        _ => false,
    };
    whole.then_some(unpadded)
}

/// The number of bytes that an unpadded text stands for.
pub(super) fn decoded_length(unpadded: &[u8]) -> usize {
    unpadded.len() / 4 * 3 + (unpadded.len() % 4).saturating_sub(1)
}

/// Appends what an unpadded text stands for to `out`; false if it is not base64.
///
/// Bits of the last character that belong to no byte are not looked at, as in other implementations.
pub(super) fn decode(unpadded: &[u8], out: &mut Vec<u8>) -> bool {
    let value = |byte: u8| u32::from(VALUES.get(usize::from(byte)).copied().unwrap_or(0xff));
    let (groups, tail) = unpadded.as_chunks::<4>();
    let start = out.len();
    out.resize(start + groups.len() * 3, 0);
    let mut wrong = 0;
    let (slots, _) = out.get_mut(start..).unwrap_or_default().as_chunks_mut::<3>();
    for (slot, &[a, b, c, d]) in slots.iter_mut().zip(groups) {
        let (a, b, c, d) = (value(a), value(b), value(c), value(d));
        wrong |= a | b | c | d;
        let [_, bytes @ ..] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
        *slot = bytes;
    }
    let mut last = 0;
    for (&byte, shift) in tail.iter().zip([18, 12, 6]) {
        wrong |= value(byte);
        last |= value(byte) << shift;
    }
    let [_, bytes @ ..] = last.to_be_bytes();
    out.extend(bytes.iter().take(tail.len().saturating_sub(1)));
    wrong < 0x80
}
