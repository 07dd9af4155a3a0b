//! The trie: templates that share their first segments share its nodes.
//!
//! A lookup tries, at each segment, the literal child, then `*`, then `**`, and goes back where that leads nowhere.
//! `**` has no children and every other node has one parent, so a lookup visits a node at most once, and only nodes
//! whose own pattern matches the path's first segments. With one wildcard level those are two nodes a segment however
//! many routes there are; many routes with wildcards at the same places share their nodes. No path, however long, makes
//! a lookup go deeper than the longest template ([`MAX_SEGMENTS`](super::template::MAX_SEGMENTS)).

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::captures::{LastSegment, SplitPath};
use super::rule::Verb;
use super::template::Segment;

/// The templates with one verb behind the colon, or with none.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
}

/// What follows after the same first segments.
#[derive(Debug, Default)]
struct Node {
    /// The child behind each literal; the keys are ours, so that a fixed hash is safe.
    literals: HashMap<Box<str>, usize, FixedState>,
    /// The child behind `*`.
    one: Option<usize>,
    /// The templates that end here.
    end: Endpoint,
    /// The templates that end in `**` here.
    rest: Endpoint,
}

/// The bindings of one template shape, by their HTTP method.
#[derive(Debug, Default)]
pub(super) struct Endpoint {
    bindings: Vec<(Verb, usize)>,
}

/// One walk through the trie.
pub(super) struct Walk<'a, V> {
    pub(super) path: &'a SplitPath,
    pub(super) raw: &'a str,
    pub(super) last: LastSegment,
    /// Called with every endpoint that matches, best first, until it returns a binding.
    pub(super) visit: V,
    /// The nodes seen so far.
    pub(super) visited: usize,
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Trie {
    /// Adds a binding. Where one with the same segments and the same HTTP method is there already, it is returned.
    pub(super) fn insert(&mut self, segments: &[Segment], verb: &Verb, binding: usize) -> Result<(), usize> {
        let mut position = 0;
        for segment in segments {
            let fresh = self.nodes.len();
            let node = self.node_mut(position);
            let child = match segment {
                Segment::Literal(text) => *node.literals.entry(text.clone()).or_insert(fresh),
                Segment::One => *node.one.get_or_insert(fresh),
                Segment::Rest => return node.rest.insert(verb, binding),
            };
            if child == fresh {
                self.nodes.push(Node::default());
            }
            position = child;
        }
        self.node_mut(position).end.insert(verb, binding)
    }

    fn node_mut(&mut self, position: usize) -> &mut Node {
        self.nodes.get_mut(position).expect("positions are made for the nodes of their trie")
    }

    /// Walks through every node that matches until `walk.visit` returns a binding.
    pub(super) fn walk<V: FnMut(&Endpoint) -> Option<usize>>(&self, walk: &mut Walk<'_, V>) -> Option<usize> {
        self.step(walk, 0, 0)
    }

    /// Recursion is bounded by the depth of the trie.
    fn step<V>(&self, walk: &mut Walk<'_, V>, position: usize, depth: usize) -> Option<usize>
    where
        V: FnMut(&Endpoint) -> Option<usize>,
    {
        let node = self.nodes.get(position)?;
        walk.visited += 1;
        if depth == walk.path.count() {
            return walk.offer(&node.end).or_else(|| walk.offer(&node.rest));
        }
        if !node.literals.is_empty()
            && let Some(&child) = node.literals.get(walk.path.text(walk.raw, depth, walk.last))
            && let Some(found) = self.step(walk, child, depth + 1)
        {
            return Some(found);
        }
        node.one.and_then(|child| self.step(walk, child, depth + 1)).or_else(|| walk.offer(&node.rest))
    }
}

impl<V: FnMut(&Endpoint) -> Option<usize>> Walk<'_, V> {
    fn offer(&mut self, endpoint: &Endpoint) -> Option<usize> {
        if endpoint.bindings.is_empty() { None } else { (self.visit)(endpoint) }
    }
}

impl Endpoint {
    fn insert(&mut self, verb: &Verb, binding: usize) -> Result<(), usize> {
        if let Some((_, earlier)) = self.bindings.iter().find(|(known, _)| known == verb) {
            return Err(*earlier);
        }
        self.bindings.push((verb.clone(), binding));
        Ok(())
    }

    /// The binding for this HTTP method: its own; for HEAD that of GET; then one for any method.
    pub(super) fn choose(&self, method: &http::Method) -> Option<usize> {
        let of = |wanted: &http::Method| {
            self.bindings.iter().find(|(verb, _)| matches!(verb, Verb::Only(only) if only == wanted))
        };
        of(method)
            .or_else(|| if method == http::Method::HEAD { of(&http::Method::GET) } else { None })
            .or_else(|| self.bindings.iter().find(|(verb, _)| *verb == Verb::Any))
            .map(|&(_, binding)| binding)
    }

    /// Every binding, whatever its HTTP method.
    pub(super) fn bindings(&self) -> impl Iterator<Item = usize> {
        self.bindings.iter().map(|&(_, binding)| binding)
    }
}
