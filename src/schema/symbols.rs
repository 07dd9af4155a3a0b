//! Every name of a schema, as a tree of scopes.
//!
//! A tree, not a map of full names: deep scopes with long names would make the full names of their elements many times
//! larger than the set they came from.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{EnumId, MessageId};

/// The longest full name.
pub(crate) const MAX_FULL_NAME_BYTES: usize = 1024;

/// A name in its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Symbol(u32);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entity {
    Package,
    Message(MessageId),
    Enum(EnumId),
    EnumValue,
    Field,
    Oneof,
    Extension,
    Service,
    Method,
}

/// Why a name can't be declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not letters, digits and underscores.
    NotAnIdentifier,
    /// The full name has more than [`MAX_FULL_NAME_BYTES`].
    TooLong,
    /// The name is taken.
    Taken { file: usize, entity: Entity },
}

/// The tree of names.
#[derive(Debug)]
pub(crate) struct Symbols<'a> {
    nodes: Vec<Node<'a>>,
    children: HashMap<(Symbol, &'a str), Symbol>,
}

#[derive(Debug)]
struct Node<'a> {
    parent: Symbol,
    name: &'a str,
    entity: Entity,
    /// The position of the file that declares it first.
    file: usize,
    full_name_bytes: usize,
}

impl Entity {
    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Message(_) => "message",
            Self::Enum(_) => "enum",
            Self::EnumValue => "enum value",
            Self::Field => "field",
            Self::Oneof => "oneof",
            Self::Extension => "extension",
            Self::Service => "service",
            Self::Method => "method",
        }
    }

    /// Whether a schema keeps its full name.
    pub(crate) const fn is_kept(self) -> bool {
        matches!(self, Self::Message(_) | Self::Enum(_) | Self::Extension | Self::Method)
    }
}

impl Symbol {
    /// The scope of everything.
    pub(crate) const ROOT: Self = Self(0);

    const fn index(self) -> usize {
        self.0 as usize
    }
}

impl<'a> Symbols<'a> {
    pub(crate) fn new() -> Self {
        let root = Node { parent: Symbol::ROOT, name: "", entity: Entity::Package, file: 0, full_name_bytes: 0 };
        Self { nodes: vec![root], children: HashMap::new() }
    }

    /// Puts a name into a scope. Packages may be declared again.
    pub(crate) fn declare(
        &mut self,
        scope: Symbol,
        name: &'a str,
        entity: Entity,
        file: usize,
    ) -> Result<Symbol, Refusal> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(Refusal::NotAnIdentifier);
        }
        let full_name_bytes = self.nodes.get(scope.index()).map_or(0, |node| node.full_name_bytes) + name.len() + 1;
        if full_name_bytes > MAX_FULL_NAME_BYTES {
            return Err(Refusal::TooLong);
        }
        match self.children.entry((scope, name)) {
            Entry::Vacant(entry) => {
                let symbol = Symbol(u32::try_from(self.nodes.len()).expect("the number of elements is bounded"));
                self.nodes.push(Node { parent: scope, name, entity, file, full_name_bytes });
                Ok(*entry.insert(symbol))
            }
            Entry::Occupied(entry) => match self.nodes.get(entry.get().index()) {
                Some(Node { entity: Entity::Package, .. }) if entity == Entity::Package => Ok(*entry.get()),
                Some(node) => Err(Refusal::Taken { file: node.file, entity: node.entity }),
                None => Ok(*entry.get()),
            },
        }
    }

    /// The name with all its scopes, without a leading dot.
    pub(crate) fn full_name(&self, symbol: Symbol) -> String {
        let scopes: Vec<&str> = self.scopes(symbol).map(|(_, node)| node.name).collect();
        let mut full_name = String::new();
        for name in scopes.iter().rev() {
            if !full_name.is_empty() {
                full_name.push('.');
            }
            full_name.push_str(name);
        }
        full_name
    }

    /// The length of the full name, and one for the dot before it.
    pub(crate) fn full_name_bytes(&self, symbol: Symbol) -> usize {
        self.nodes.get(symbol.index()).map_or(0, |node| node.full_name_bytes)
    }

    /// The scope that a name is in.
    pub(crate) fn parent(&self, symbol: Symbol) -> Symbol {
        self.nodes.get(symbol.index()).map_or(Symbol::ROOT, |node| node.parent)
    }

    /// The message or enum that `name` means in `scope`: from the root with a leading dot, else in the innermost scope
    /// that has it.
    pub(crate) fn resolve_type(&self, scope: Symbol, name: &str) -> Option<Entity> {
        if let Some(full_name) = name.strip_prefix('.') {
            return self.descend(Symbol::ROOT, full_name);
        }
        let scopes = self.scopes(scope).map(|(symbol, _)| symbol).chain([Symbol::ROOT]);
        scopes.filter_map(|scope| self.descend(scope, name)).next()
    }

    /// The type that the dotted `name` means in `scope` itself.
    fn descend(&self, scope: Symbol, name: &str) -> Option<Entity> {
        let symbol = name.split('.').try_fold(scope, |scope, name| self.children.get(&(scope, name)).copied())?;
        let entity = self.nodes.get(symbol.index())?.entity;
        matches!(entity, Entity::Message(_) | Entity::Enum(_)).then_some(entity)
    }

    /// The symbol and its scopes, from the inside out, without the root.
    fn scopes(&self, symbol: Symbol) -> impl Iterator<Item = (Symbol, &Node<'a>)> {
        let mut next = symbol;
        std::iter::from_fn(move || {
            let symbol = next;
            if symbol == Symbol::ROOT {
                return None;
            }
            let node = self.nodes.get(symbol.index())?;
            next = node.parent;
            Some((symbol, node))
        })
    }
}
