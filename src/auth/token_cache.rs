//! Tokens that were judged before, by the SHA-256 of their text.
//!
//! A hit is one digest, one look and one count of a reference. The digest stands for the token: what is kept here is
//! no credential, and finding another text with the same digest is as hard as forging a signature. Bounded in weight:
//! a token weighs one for each KiB begun, so that few large ones take the room of many small ones.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::jwt::MAX_TOKEN_BYTES;
use super::principal::Principal;
use super::reason::Reason;

/// Tokens that are remembered unless the configuration says otherwise.
pub const DEFAULT_CAPACITY: usize = 10_000;

/// A token as a request brought it, with its digest: counted once, however many providers are asked for it.
#[derive(Clone, Copy)]
pub struct Token<'t> {
    text: &'t str,
    digest: [u8; 32],
}

impl<'t> Token<'t> {
    /// A token to ask providers about.
    ///
    /// # Errors
    /// [`Reason::Malformed`] if it is longer than [`MAX_TOKEN_BYTES`] or has other than visible ASCII characters.
    pub fn new(text: &'t str) -> Result<Self, Reason> {
        if text.is_empty() || text.len() > MAX_TOKEN_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Reason::Malformed);
        }
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Ok(Self { text, digest: sum })
    }

    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// As it came.
    #[must_use]
    pub fn text(&self) -> &'t str {
        self.text
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What was found out about a token.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) outcome: Result<Arc<Principal>, Reason>,
    /// When it must be asked again.
    pub(super) until: SystemTime,
    /// What it rests upon; the owner of the cache knows whether that still holds.
    pub(super) basis: Basis,
}

/// The key that verified a token, and the generation of key sets in which that was known last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Basis {
    pub(super) generation: u64,
    pub(super) key: [u8; 32],
}

#[derive(Clone, Debug)]
struct Entry {
    verdict: Verdict,
    weight: u64,
}

#[derive(Clone, Debug)]
struct ByKibibyte;

impl Weighter<[u8; 32], Entry> for ByKibibyte {
    fn weight(&self, _: &[u8; 32], entry: &Entry) -> u64 {
        entry.weight
    }
}

/// Verdicts on tokens.
#[derive(Debug)]
pub(super) struct TokenCache {
    entries: Cache<[u8; 32], Entry, ByKibibyte>,
}

impl TokenCache {
    pub(super) fn new(capacity: usize) -> Self {
        let weight = u64::try_from(capacity).unwrap_or(u64::MAX);
        Self { entries: Cache::with_weighter(capacity, weight, ByKibibyte) }
    }

    /// The verdict on a token, if it still holds at `now`.
    pub(super) fn find(&self, token: &Token<'_>, now: SystemTime) -> Option<Verdict> {
        let entry = self.entries.get(&token.digest)?;
        if now >= entry.verdict.until {
            self.entries.remove(&token.digest);
            return None;
        }
        Some(entry.verdict)
    }

    pub(super) fn insert(&self, token: &Token<'_>, verdict: Verdict) {
        let weight = u64::try_from(token.text.len().div_ceil(1024)).unwrap_or(u64::MAX);
        self.entries.insert(token.digest, Entry { verdict, weight });
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
