//! Lengths in front of what they measure: a slot of guessed width is kept free, and the content moved if it was wrong.

use super::Pass;

/// Room for a length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// The offset of the slot in the output.
    pub(super) start: usize,
    /// Its width.
    pub(super) width: usize,
    depth: usize,
}

impl Pass<'_> {
    /// Keeps room for a length, as wide as the last one at this depth.
    #[inline]
    pub(super) fn open_slot(&mut self) -> Slot {
        let depth = self.json.depth();
        let width = usize::from(self.scratch.widths.get(depth).copied().unwrap_or(1));
        let start = self.out.len();
        if width == 1 {
            self.out.push(0);
        } else {
            self.out.resize(start + width, 0);
        }
        Slot { start, width, depth }
    }

    /// Keeps room for the length of a string, which is about to be as long as `guess` or shorter.
    pub(super) fn open_slot_for(&mut self, guess: usize) -> Slot {
        let (_, width) = varint(guess as u64);
        let start = self.out.len();
        self.out.resize(start + width, 0);
        // A depth beyond all others: strings leave the guesses of messages alone.
        Slot { start, width, depth: usize::MAX }
    }

    /// Writes the length of all that was written since the slot was opened; the offset where that begins now.
    #[inline]
    pub(super) fn close_slot(&mut self, slot: Slot) -> usize {
        let content = slot.start + slot.width;
        let length = self.out.len() - content;
        if slot.width == 1
            && length < 0x80
            && let (Some(byte), Ok(length)) = (self.out.get_mut(slot.start), u8::try_from(length))
        {
            *byte = length;
            return content;
        }
        self.close_wide_slot(slot, length)
    }

    fn close_wide_slot(&mut self, slot: Slot, length: usize) -> usize {
        let (varint, width) = varint(length as u64);
        let content = slot.start + slot.width;
        if width > slot.width {
            self.out.resize(self.out.len() + width - slot.width, 0);
        }
        if width != slot.width {
            self.out.copy_within(content..content + length, slot.start + width);
            self.out.truncate(slot.start + width + length);
            if let (Some(guess), Ok(width)) = (self.scratch.widths.get_mut(slot.depth), u8::try_from(width)) {
                *guess = width;
            }
        }
        for (byte, digit) in self.out.iter_mut().skip(slot.start).zip(varint.iter().take(width)) {
            *byte = *digit;
        }
        slot.start + width
    }
}

/// A number as a varint, and its width.
fn varint(mut value: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut width = 0;
    for byte in &mut bytes {
        width += 1;
        *byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            break;
        }
        *byte |= 0x80;
    }
    (bytes, width)
}

/// Appends a number as a varint.
#[inline]
pub(crate) fn append_varint(value: u64, out: &mut Vec<u8>) {
    if value < 0x80 {
        out.push(value as u8);
    } else {
        let (bytes, width) = varint(value);
        // A copy of fixed length is one store.
        out.extend_from_slice(&bytes);
        out.truncate(out.len() + width - bytes.len());
    }
}
