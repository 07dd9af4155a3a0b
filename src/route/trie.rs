//! The trie: templates that share their first segments share its nodes.
//!
//! A lookup tries, at each segment, the literal child, then `*`, then `**`, and goes back where that leads nowhere.
//! `**` has no children and every other node has one parent, so a lookup visits a node at most once, and only nodes
//! whose own pattern matches the path's first segments. With one wildcard level those are two nodes a segment however
//! many routes there are; many routes with wildcards at the same places share their nodes. No path, however long, makes
//! a lookup go deeper than the longest template ([`MAX_SEGMENTS`](super::template::MAX_SEGMENTS)).

use std::num::NonZeroU32;

use smallvec::SmallVec;

use super::captures::{LastSegment, SplitPath};
use super::edges::Edges;
use super::template::Segment;

/// The templates with one verb behind the colon, or with none.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    edges: Edges,
    /// The first is empty, and stands for none.
    endpoints: Vec<Endpoint>,
}

/// What follows after the same first segments.
#[derive(Debug, Default)]
struct Node {
    /// Whether literals lead on from here, by [`Trie::edges`].
    literals: bool,
    /// The child behind `*`.
    one: Option<NonZeroU32>,
    /// The templates that end here, in [`Trie::endpoints`].
    end: u32,
    /// The templates that end in `**` here.
    rest: u32,
}

/// The bindings of one template shape, by their HTTP method.
#[derive(Debug, Default)]
pub(super) struct Endpoint {
    entries: SmallVec<[Entry; 1]>,
}

/// A binding as far as a lookup needs it; small, for what many routes cost is the processor's cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) verb: VerbCode,
    /// Its position in the router's list of bindings.
    pub(super) binding: u32,
    /// What its variables take: a position in the router's list of those.
    pub(super) takes: u32,
}

/// The position of a [`Verb`](super::rule::Verb) in the router's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VerbCode(pub(super) u32);

/// The verbs that a request is content with, best first.
pub(super) type Wanted = [Option<VerbCode>; 3];

/// One walk through the trie.
pub(super) struct Walk<'a, V> {
    pub(super) path: &'a SplitPath,
    pub(super) raw: &'a str,
    pub(super) last: LastSegment,
    /// Called with every endpoint that matches, best first, until it takes an entry.
    pub(super) visit: V,
    /// The nodes seen so far.
    pub(super) visited: usize,
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], edges: Edges::default(), endpoints: vec![Endpoint::default()] }
    }
}

impl Trie {
    /// Adds a binding. Where one with the same segments and the same HTTP method is there already, it is returned.
    pub(super) fn insert(&mut self, segments: &[Segment], entry: Entry) -> Result<(), u32> {
        let mut position = 0;
        for segment in segments {
            position = match segment {
                Segment::Literal(text) => self.literal_child(position, text),
                Segment::One => self.one_child(position),
                Segment::Rest => return self.endpoint(position, |node| &mut node.rest).insert(entry),
            };
        }
        self.endpoint(position, |node| &mut node.end).insert(entry)
    }

    fn literal_child(&mut self, parent: u32, text: &str) -> u32 {
        if let Some(child) = self.edges.find(parent, text) {
            return child.get();
        }
        let child = self.push_node();
        self.edges.insert(parent, text, child);
        self.node_mut(parent).literals = true;
        child.get()
    }

    fn one_child(&mut self, parent: u32) -> u32 {
        if let Some(child) = self.node_mut(parent).one {
            return child.get();
        }
        let child = self.push_node();
        self.node_mut(parent).one = Some(child);
        child.get()
    }

    fn push_node(&mut self) -> NonZeroU32 {
        let position = u32::try_from(self.nodes.len()).ok().and_then(NonZeroU32::new);
        self.nodes.push(Node::default());
        position.expect("there is a root, and there are less than 2^32 nodes")
    }

    /// The endpoint that a node holds at this place, made if there is none.
    fn endpoint(&mut self, position: u32, place: impl FnOnce(&mut Node) -> &mut u32) -> &mut Endpoint {
        let fresh = u32::try_from(self.endpoints.len()).expect("there are less than 2^32 endpoints");
        let held = place(self.node_mut(position));
        if *held == 0 {
            *held = fresh;
        }
        let held = *held;
        if held == fresh {
            self.endpoints.push(Endpoint::default());
        }
        self.endpoints.get_mut(held as usize).expect("nodes hold positions of endpoints")
    }

    fn node_mut(&mut self, position: u32) -> &mut Node {
        self.nodes.get_mut(position as usize).expect("positions are made for the nodes of their trie")
    }

    /// Walks through every node that matches until `walk.visit` takes an entry.
    pub(super) fn walk<'t, V>(&'t self, walk: &mut Walk<'_, V>) -> Option<&'t Entry>
    where
        V: FnMut(&'t Endpoint) -> Option<&'t Entry>,
    {
        self.step(walk, 0, 0)
    }

    /// Recursion is bounded by the depth of the trie.
    fn step<'t, V>(&'t self, walk: &mut Walk<'_, V>, position: u32, depth: usize) -> Option<&'t Entry>
    where
        V: FnMut(&'t Endpoint) -> Option<&'t Entry>,
    {
        let node = self.nodes.get(position as usize)?;
        walk.visited += 1;
        if depth == walk.path.count() {
            return self.offer(walk, node.end).or_else(|| self.offer(walk, node.rest));
        }
        if node.literals
            && let Some(child) = self.edges.find(position, walk.path.text(walk.raw, depth, walk.last))
            && let Some(found) = self.step(walk, child.get(), depth + 1)
        {
            return Some(found);
        }
        node.one.and_then(|child| self.step(walk, child.get(), depth + 1)).or_else(|| self.offer(walk, node.rest))
    }

    fn offer<'t, V>(&'t self, walk: &mut Walk<'_, V>, endpoint: u32) -> Option<&'t Entry>
    where
        V: FnMut(&'t Endpoint) -> Option<&'t Entry>,
    {
        if endpoint == 0 { None } else { (walk.visit)(self.endpoints.get(endpoint as usize)?) }
    }
}

impl Endpoint {
    fn insert(&mut self, entry: Entry) -> Result<(), u32> {
        if let Some(earlier) = self.entries.iter().find(|earlier| earlier.verb == entry.verb) {
            return Err(earlier.binding);
        }
        self.entries.push(entry);
        Ok(())
    }

    /// The entry of the first wanted verb that is here and whose binding is admitted.
    pub(super) fn choose(&self, wanted: &Wanted, admits: impl Fn(usize) -> bool) -> Option<&Entry> {
        let of =
            |verb: &VerbCode| self.entries.iter().find(|entry| entry.verb == *verb && admits(entry.binding as usize));
        wanted.iter().flatten().find_map(of)
    }

    /// Every binding, whatever its HTTP method.
    pub(super) fn bindings(&self) -> impl Iterator<Item = usize> {
        self.entries.iter().map(|entry| entry.binding as usize)
    }
}
