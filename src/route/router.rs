//! The router: from an HTTP method and a raw path to a binding.
//!
//! Precedence goes by specificity, never by order: a template whose `:verb` the path has beats those without one; after
//! that, segment by segment, a literal beats `*`, and `*` beats `**`. The best template that has the HTTP method is
//! taken; if templates match but none has it, the answer names the methods that they have.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::FixedState;
use http::{HeaderValue, Method};

use crate::status::Status;

use super::captures::{Captures, LastSegment, Matchable};
use super::rule::{Binding, Verb};
use super::trie::{Endpoint, Trie, Walk};
use super::{Mistake, RouteError, nearest};

/// How many bindings [`Router::nearest`] names.
const NEAREST: usize = 3;

/// The methods of a binding for any method, as `Allow` lists them, and the order of the list.
const COMMON: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Every binding, ready to be found.
#[derive(Debug)]
pub struct Router {
    bindings: Box<[Binding]>,
    /// The templates without a verb.
    plain: Trie,
    /// The templates with a verb, by the verb.
    verbs: HashMap<Box<str>, Trie, FixedState>,
    /// By the position of the binding.
    trailing_slash: Box<[TrailingSlash]>,
}

/// What a slash at the end of a path means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrailingSlash {
    /// An empty segment, which nothing matches.
    #[default]
    Strict,
    /// Nothing, if it is one.
    Ignore,
}

/// As much of a path as counts.
#[derive(Clone, Copy)]
struct Raw<'p> {
    path: &'p str,
    /// What a binding must say to be found: `Ignore` where a slash was left out at the end.
    slash: TrailingSlash,
}

/// Why no binding is found.
#[derive(Debug)]
pub enum Miss {
    /// No template matches.
    NotFound,
    /// Templates match, but none has the HTTP method. These are the methods that they have, HEAD and OPTIONS included.
    MethodNotAllowed(HeaderValue),
    /// The path is illegal: a dot segment, a broken escape or text that is not UTF-8.
    Bad(Status),
}

impl Router {
    /// Compiles the bindings. Their positions are what [`Router::find`] returns.
    ///
    /// # Errors
    ///
    /// Every two bindings that can't be told apart: of the same HTTP method and the same template, variables' names
    /// aside.
    pub fn compile(
        bindings: Vec<Binding>,
        trailing_slash: impl Fn(&Binding) -> TrailingSlash,
    ) -> Result<Self, Vec<RouteError>> {
        let mut plain = Trie::default();
        let mut verbs: HashMap<Box<str>, Trie, FixedState> = HashMap::default();
        let mut errors = Vec::new();
        for (index, binding) in bindings.iter().enumerate() {
            let trie = match binding.template.verb() {
                Some(verb) => verbs.entry(verb.into()).or_default(),
                None => &mut plain,
            };
            if let Err(earlier) = trie.insert(binding.template.segments(), &binding.verb, index) {
                errors.extend(bindings.get(earlier).map(|earlier| conflict(binding, earlier)));
            }
        }
        if errors.is_empty() {
            let trailing_slash = bindings.iter().map(trailing_slash).collect();
            Ok(Self { bindings: bindings.into(), plain, verbs, trailing_slash })
        } else {
            Err(errors)
        }
    }

    /// Every binding, in the order in which they were compiled.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Finds the binding of a request; `captures` then holds the texts of its variables.
    ///
    /// `raw_path` is the path as it came, without the query. HEAD is found as GET where a template has no HEAD of its
    /// own. Memory is allocated only to grow `captures`, and for a miss.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn find(&self, method: &Method, raw_path: &str, captures: &mut Captures) -> Result<usize, Miss> {
        let raw = self.split(raw_path, captures)?;
        let chosen = |endpoint: &Endpoint| endpoint.choose(method).filter(|&index| self.takes(index, raw));
        let Some((found, last)) = self.walk(raw.path, captures, chosen) else {
            return Err(self.miss(raw, captures));
        };
        if last == LastSegment::BeforeVerb
            && let Some(refusal) = captures.path.refuse_dot_before_verb(raw.path)
        {
            return Err(Miss::Bad(refusal));
        }
        let binding = self.bindings.get(found).expect("the tries hold positions of bindings");
        captures.fill(raw.path, &binding.template, last);
        Ok(found)
    }

    /// Every binding whose template matches, whatever its HTTP method, best first.
    ///
    /// # Errors
    ///
    /// [`Miss::NotFound`] if there is none, or [`Miss::Bad`].
    pub fn candidates(&self, raw_path: &str) -> Result<Vec<usize>, Miss> {
        let mut captures = Captures::new();
        let raw = self.split(raw_path, &mut captures)?;
        let found = self.matching(raw, &mut captures);
        if found.is_empty() { Err(Miss::NotFound) } else { Ok(found) }
    }

    /// The methods of a path as `Allow` lists them.
    ///
    /// # Errors
    ///
    /// [`Miss::NotFound`] if no template matches, or [`Miss::Bad`].
    pub fn allow(&self, raw_path: &str) -> Result<HeaderValue, Miss> {
        self.candidates(raw_path).map(|found| self.allow_of(&found))
    }

    /// The bindings whose templates are nearest to a path that none matches, nearest first.
    #[must_use]
    pub fn nearest(&self, path: &str) -> Vec<usize> {
        let mut ranked: Vec<(usize, usize)> = self
            .bindings
            .iter()
            .enumerate()
            .map(|(index, binding)| (nearest::distance(path, &binding.template), index))
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().take(NEAREST).map(|(_, index)| index).collect()
    }

    /// Splits the path into `captures`, and returns as much of it as counts.
    fn split<'p>(&self, raw_path: &'p str, captures: &mut Captures) -> Result<Raw<'p>, Miss> {
        captures.clear();
        let raw = match raw_path.strip_suffix('/') {
            // Of two slashes at the end, one is an empty segment.
            Some(shorter) if !shorter.is_empty() && !shorter.ends_with('/') => {
                Raw { path: shorter, slash: TrailingSlash::Ignore }
            }
            _ => Raw { path: raw_path, slash: TrailingSlash::Strict },
        };
        match captures.path.split(raw.path).map_err(Miss::Bad)? {
            Matchable::Maybe => Ok(raw),
            Matchable::Never => Err(Miss::NotFound),
        }
    }

    /// Whether a binding may be found by a path whose last slash was left out, if one was.
    fn takes(&self, index: usize, raw: Raw<'_>) -> bool {
        raw.slash == TrailingSlash::Strict || self.trailing_slash.get(index) == Some(&TrailingSlash::Ignore)
    }

    /// Offers every endpoint that matches, best first, until `visit` takes a binding.
    fn walk(
        &self,
        raw: &str,
        captures: &mut Captures,
        visit: impl FnMut(&Endpoint) -> Option<usize>,
    ) -> Option<(usize, LastSegment)> {
        let last = LastSegment::BeforeVerb;
        let mut walk = Walk { path: &captures.path, raw, last, visit, visited: 0 };
        let with_verb = if self.verbs.is_empty() { None } else { captures.path.verb(raw) };
        let mut found = with_verb.and_then(|verb| self.verbs.get(verb)).and_then(|trie| trie.walk(&mut walk));
        if found.is_none() {
            walk.last = LastSegment::Whole;
            found = self.plain.walk(&mut walk);
        }
        let (last, visited) = (walk.last, walk.visited);
        captures.visited = visited;
        found.map(|found| (found, last))
    }

    fn matching(&self, raw: Raw<'_>, captures: &mut Captures) -> Vec<usize> {
        let mut found = Vec::new();
        self.walk(raw.path, captures, |endpoint| {
            found.extend(endpoint.bindings().filter(|&index| self.takes(index, raw)));
            None
        });
        found
    }

    fn miss(&self, raw: Raw<'_>, captures: &mut Captures) -> Miss {
        let found = self.matching(raw, captures);
        if found.is_empty() { Miss::NotFound } else { Miss::MethodNotAllowed(self.allow_of(&found)) }
    }

    /// `Allow` for these bindings: HEAD beside GET, OPTIONS always, and what is uncommon in alphabetical order.
    fn allow_of(&self, found: &[usize]) -> HeaderValue {
        let verbs = || found.iter().filter_map(|&index| self.bindings.get(index)).map(|binding| &binding.verb);
        let has = |method: &Method| {
            verbs().any(|verb| match verb {
                Verb::Any => true,
                Verb::Only(only) => only == method,
            })
        };
        let listed = |method: &Method| has(method) || (*method == Method::HEAD && has(&Method::GET));
        let common = COMMON.iter().filter(|method| listed(method)).map(Method::as_str);
        let others: BTreeSet<&str> = verbs()
            .filter_map(|verb| match verb {
                Verb::Only(only) if *only != Method::OPTIONS && !COMMON.contains(only) => Some(only.as_str()),
                Verb::Only(_) | Verb::Any => None,
            })
            .collect();
        let list = common.chain(others).chain([Method::OPTIONS.as_str()]).collect::<Vec<_>>().join(", ");
        HeaderValue::from_str(&list).expect("HTTP methods are tokens")
    }
}

fn conflict(binding: &Binding, earlier: &Binding) -> RouteError {
    RouteError {
        place: binding.source.place().into(),
        method: binding.full_name.clone(),
        template: Some(binding.template.as_str().into()),
        column: None,
        mistake: Mistake::Conflict {
            verb: earlier.verb.to_string().into(),
            template: earlier.template.as_str().into(),
            method: earlier.full_name.clone(),
            place: earlier.source.place().into(),
        },
    }
}

#[cfg(test)]
mod tests;
