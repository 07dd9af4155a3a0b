//! The table against a map.

use std::collections::HashMap;
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::{Edges, INLINE};

#[test]
fn an_empty_table_has_no_edge() {
    assert_eq!(Edges::default().find(0, "a"), None);
    assert_eq!(Edges::default().find(0, ""), None);
}

#[test]
fn literals_of_every_length_are_found() {
    let mut edges = Edges::default();
    let text = "abcdefgh".repeat(512);
    let lengths = [1, INLINE - 1, INLINE, INLINE + 1, 100, 4096];
    for (child, len) in (1..).zip(lengths) {
        edges.insert(7, &text[..len], NonZeroU32::new(child).unwrap());
    }
    for (child, len) in (1..).zip(lengths) {
        assert_eq!(edges.find(7, &text[..len]), NonZeroU32::new(child));
        assert_eq!(edges.find(8, &text[..len]), None);
        assert_eq!(edges.find(7, &text[1..len]), None);
    }
}

proptest! {
    #[test]
    fn the_table_is_a_map(
        entries in proptest::collection::hash_map((0u32..20, "[a-c]{1,20}"), 1u32.., 0..400),
        others in proptest::collection::vec((0u32..20, "[a-c]{1,3}"), 0..100),
    ) {
        let entries: HashMap<(u32, String), u32> = entries;
        let mut edges = Edges::default();
        for ((parent, text), child) in &entries {
            edges.insert(*parent, text, NonZeroU32::new(*child).unwrap());
        }
        for key in entries.keys().chain(&others) {
            prop_assert_eq!(edges.find(key.0, &key.1).map(NonZeroU32::get), entries.get(key).copied());
        }
    }
}
