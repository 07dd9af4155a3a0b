//! The literal edges of a trie: from a node and a text to a child.
//!
//! One flat table for all nodes, by open addressing, and one text for all literals, because what a lookup among many
//! routes costs is its cache misses: with a map in each node it took five times as long among 10,000 routes as among
//! ten. The keys are ours, not a client's, so that a fixed hash is safe.

use std::hash::BuildHasher;
use std::num::NonZeroU32;

use foldhash::fast::FixedState;

/// The edges of one trie.
#[derive(Debug, Default)]
pub(super) struct Edges {
    /// A power of two, at least twice the number of edges.
    slots: Vec<Option<Edge>>,
    count: usize,
    /// All literals, one behind the other.
    text: String,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    /// Of parent and text; it nearly always tells two edges apart without a look at their texts.
    hash: u32,
    parent: u32,
    start: u32,
    end: u32,
    /// The root is nobody's child.
    child: NonZeroU32,
}

impl Edges {
    /// The child behind this text.
    pub(super) fn find(&self, parent: u32, text: &str) -> Option<NonZeroU32> {
        let hash = hash(parent, text);
        let mask = self.slots.len().wrapping_sub(1);
        let mut position = hash as usize & mask;
        // At least half of the slots are free, so that this ends.
        while let Some(Some(edge)) = self.slots.get(position) {
            if edge.hash == hash
                && edge.parent == parent
                && self.text.get(edge.start as usize..edge.end as usize) == Some(text)
            {
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
        let hash = hash(parent, text);
        let start = offset(self.text.len());
        self.text.push_str(text);
        self.place(Edge { hash, parent, start, end: offset(self.text.len()), child });
        self.count += 1;
    }

    fn place(&mut self, edge: Edge) {
        let mask = self.slots.len() - 1;
        let mut position = edge.hash as usize & mask;
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

fn hash(parent: u32, text: &str) -> u32 {
    let hash = FixedState::default().hash_one((parent, text));
    u32::try_from(hash & u64::from(u32::MAX)).expect("32 bits fit")
}

fn offset(len: usize) -> u32 {
    u32::try_from(len).expect("templates hold less than 4 GiB of text")
}
