//! Lists in pages: a token stands for the place where the next page begins, and for the question that it belongs to.
//!
//! ```text
//! token = base64url( fingerprint of the question ":" offset )
//! ```

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;

use super::details::Failure;
use super::fingerprint;

const DEFAULT_SIZE: usize = 20;
const MAX_SIZE: usize = 100;

/// Which page of which question.
pub(crate) struct PageRequest<'a> {
    pub(crate) size: i32,
    pub(crate) token: &'a str,
    /// The fingerprint of what is asked, whatever the page.
    pub(crate) question: u64,
}

/// A part of a list.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Empty on the last page.
    pub(crate) next_token: String,
    /// The length of the whole list.
    pub(crate) total: i32,
}

/// The fingerprint of a request that was stripped of its page.
pub(crate) fn question(request: &impl Message) -> u64 {
    fingerprint::of(&request.encode_to_vec())
}

impl PageRequest<'_> {
    /// The page of this list.
    pub(crate) fn cut<T>(&self, list: Vec<T>) -> Result<Page<T>, Failure> {
        let size = match usize::try_from(self.size) {
            Ok(0) => DEFAULT_SIZE,
            Ok(size) => size.min(MAX_SIZE),
            Err(_) => return Err(Failure::invalid("pageSize", "NEGATIVE", "a page size is never negative")),
        };
        let offset = if self.token.is_empty() { 0 } else { self.offset()? };
        let total = list.len();
        let end = offset.saturating_add(size);
        let next_token = if end < total { self.token_of(end) } else { String::new() };
        let items = list.into_iter().skip(offset).take(size).collect();
        Ok(Page { items, next_token, total: i32::try_from(total).unwrap_or(i32::MAX) })
    }

    fn token_of(&self, offset: usize) -> String {
        URL_SAFE_NO_PAD.encode(format!("{:x}:{offset}", self.question))
    }

    fn offset(&self) -> Result<usize, Failure> {
        let read = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(self.token).ok()?).ok()?;
            let (question, offset) = text.split_once(':')?;
            (u64::from_str_radix(question, 16).ok()? == self.question).then_some(())?;
            offset.parse().ok()
        };
        read().ok_or_else(|| {
            Failure::invalid("pageToken", "UNKNOWN_TOKEN", "the token is not one that this question was answered with")
        })
    }
}
