//! The literal edges of a trie: from a node and a text to a child.
//!
//! One flat table for all nodes, by open addressing, with short literals inside, so that a step of a lookup touches little
//! memory. The keys are ours, not a client's, so that a fixed hash is safe.

use std::hash::BuildHasher;
use std::num::NonZeroU32;

use foldhash::fast::FixedState;

/// The longest literal that is kept in its edge; few are longer.
const INLINE: usize = 14;

/// The edges of one trie.
#[derive(Debug, Default)]
pub(super) struct Edges {
    /// A power of two, at least twice the number of edges.
    slots: Vec<Option<Edge>>,
    count: usize,
    /// The literals that are longer than [`INLINE`], one behind the other.
    long: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    parent: u32,
    /// The root is nobody's child.
    child: NonZeroU32,
    len: u16,
    /// The literal, or where it begins in [`Edges::long`].
    text: [u8; INLINE],
}

impl Edges {
    /// The child behind this text.
    pub(super) fn find(&self, parent: u32, text: &str) -> Option<NonZeroU32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut position = hash(parent, text.as_bytes()) & mask;
        // At least half of the slots are free, so that this ends.
        while let Some(Some(edge)) = self.slots.get(position) {
            if edge.parent == parent && self.text(edge) == text.as_bytes() {
                return Some(edge.child);
            }
            position = (position + 1) & mask;
        }
        None
    }

    /// Adds an edge that is not there yet.
    pub(super) fn insert(&mut self, parent: u32, text: &str, child: NonZeroU32) {
        if 2 * (self.count + 1) > self.slots.len() {
            self.grow();
        }
        let len = u16::try_from(text.len()).expect("a template has at most 4096 bytes");
        let mut edge = Edge { parent, child, len, text: [0; INLINE] };
        if text.len() <= INLINE {
            edge.text.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        } else {
            let start = u32::try_from(self.long.len()).expect("templates hold less than 4 GiB of text");
            edge.text.iter_mut().zip(start.to_le_bytes()).for_each(|(to, from)| *to = from);
            self.long.extend_from_slice(text.as_bytes());
        }
        self.place(edge);
        self.count += 1;
    }

    fn text<'e>(&'e self, edge: &'e Edge) -> &'e [u8] {
        let len = usize::from(edge.len);
        if let Some(text) = edge.text.get(..len) {
            return text;
        }
        let start = edge.text.first_chunk().map_or(0, |start| u32::from_le_bytes(*start) as usize);
        self.long.get(start..start + len).unwrap_or_default()
    }

    fn place(&mut self, edge: Edge) {
        let mask = self.slots.len() - 1;
        let mut position = hash(edge.parent, self.text(&edge)) & mask;
        while let Some(Some(_)) = self.slots.get(position) {
            position = (position + 1) & mask;
        }
        if let Some(slot) = self.slots.get_mut(position) {
            *slot = Some(edge);
        }
    }

    fn grow(&mut self) {
        let size = (2 * self.slots.len()).max(4);
        let before = std::mem::replace(&mut self.slots, vec![None; size]);
        before.into_iter().flatten().for_each(|edge| self.place(edge));
    }
}

fn hash(parent: u32, text: &[u8]) -> usize {
    // The upper half may go: a table has less than 2^32 slots.
    FixedState::default().hash_one((parent, text)) as usize
}

#[cfg(test)]
mod tests;
