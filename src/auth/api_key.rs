//! API keys: long random texts that a file knows by their hashes.
//!
//! ```yaml
//! keys:
//!   - id: acme-1
//!     hash: sha256:…          # or hmac-sha256:…, with the provider's pepper
//!     plan: free
//!     roles: [reader]
//!     expires: 2027-01-01T00:00:00Z
//! ```
//!
//! A presented key is hashed, and the hash is looked up. The look takes time by the digest, which whoever presents a
//! key can't steer: learning a digest bit by bit brings no text that has it. So no comparison in constant time is
//! needed, and none could be had in a table. A plain SHA-256 is enough for a text of 256 random bits, which nobody
//! guesses; a pepper makes a stolen file useless for shorter ones too.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{HeaderMap, HeaderName};
use serde::Deserialize;
use serde_saphyr::{Budget, DuplicateKeyPolicy, Spanned};

use super::location;
use super::principal::Principal;
use super::reason::Reason;
use super::secret::Secret;
use super::trouble::Trouble;
use super::watched_file::{LOOK_EVERY, WatchedFile};
use crate::transcode::well_known::decode_time;

/// The longest key that is looked up.
pub const MAX_KEY_BYTES: usize = 512;

/// Keys in a file, at most.
pub const MAX_KEYS: usize = 10_000;

/// The largest file that is read.
pub const MAX_FILE_BYTES: usize = 4 << 20;

/// How deep a file of keys nests, with a level to spare.
const MAX_DEPTH: usize = 5;

/// Where a key stands unless the configuration says otherwise.
pub const DEFAULT_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// By what a key is recognised when it turns up where it should not, such as in a repository.
const PREFIX: &str = "lk_";

const SHA256_PREFIX: &str = "sha256:";
const HMAC_PREFIX: &str = "hmac-sha256:";

/// What is to be known of a file of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name of the provider.
    pub name: Arc<str>,
    pub file: PathBuf,
    pub header: HeaderName,
    /// The key of `hmac-sha256:` hashes.
    pub pepper: Option<Secret>,
}

/// Why a file of keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// All mistakes of the file, each with its line.
    #[error("{}: {}", path.display(), mistakes.join("; "))]
    Mistakes { path: PathBuf, mistakes: Vec<String> },
}

/// A new key: 256 random bits. It can't be told again from its hash.
///
/// # Errors
/// If the system has no random numbers.
pub fn generate() -> Result<String, aws_lc_rs::error::Unspecified> {
    let mut bits = [0; 32];
    rand::fill(&mut bits)?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits)))
}

/// The `hash` of a key, as it stands in a file.
#[must_use]
pub fn hash(key: &str, pepper: Option<&Secret>) -> String {
    let (prefix, sum) = match pepper.map(hmac_key) {
        None => (SHA256_PREFIX, sha256(key)),
        Some(pepper) => (HMAC_PREFIX, hmac_sha256(&pepper, key)),
    };
    sum.iter().fold(prefix.to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

type Sum = [u8; 32];

fn hmac_key(pepper: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, pepper.reveal().as_bytes())
}

fn sha256(key: &str) -> Sum {
    let mut sum = Sum::default();
    sum.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    sum
}

fn hmac_sha256(pepper: &hmac::Key, key: &str) -> Sum {
    let mut sum = Sum::default();
    sum.copy_from_slice(hmac::sign(pepper, key.as_bytes()).as_ref());
    sum
}

/// A file of API keys.
#[derive(Debug)]
pub struct ApiKeys {
    config: Config,
    pepper: Option<hmac::Key>,
    file: WatchedFile,
    table: ArcSwap<Table>,
    trouble: Trouble,
}

/// Keys by their hashes, one map for each kind of hash.
#[derive(Debug, Default)]
struct Table {
    plain: HashMap<Sum, Arc<Principal>, foldhash::fast::RandomState>,
    peppered: HashMap<Sum, Arc<Principal>, foldhash::fast::RandomState>,
}

impl ApiKeys {
    /// Reads the file.
    ///
    /// # Errors
    /// If it can't be read, or has mistakes: all of them are told.
    pub fn build(config: Config) -> Result<Self, ApiKeyError> {
        let file = WatchedFile::new(config.file.clone(), MAX_FILE_BYTES);
        let pepper = config.pepper.as_ref().map(hmac_key);
        let keys = Self { config, pepper, file, table: ArcSwap::default(), trouble: Trouble::default() };
        keys.reload()?;
        Ok(keys)
    }

    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Looks at the file that failed.
    #[must_use]
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// How many keys there are, expired ones too.
    #[must_use]
    pub fn count(&self) -> usize {
        let table = self.table.load();
        table.plain.len() + table.peppered.len()
    }

    /// Whose key a request carries; `None` if it has none.
    ///
    /// # Errors
    /// If it has several, or one that is not good.
    pub fn verify(&self, headers: &HeaderMap) -> Result<Option<Arc<Principal>>, Reason> {
        let Some(key) = location::only(headers, &self.config.header)? else { return Ok(None) };
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(Reason::Malformed);
        }
        let table = self.table.load();
        let peppered = || table.peppered.get(&hmac_sha256(self.pepper.as_ref()?, key));
        let principal = table.plain.get(&sha256(key)).or_else(peppered).ok_or(Reason::UnknownApiKey)?;
        if principal.expires.is_some_and(|end| SystemTime::now() >= end) {
            return Err(Reason::Expired);
        }
        Ok(Some(Arc::clone(principal)))
    }

    /// Reads the file again if its content has changed; whether it has. The old keys stay if the new file is broken.
    ///
    /// # Errors
    /// As for [`ApiKeys::build`]; the same broken content is told once.
    pub fn reload(&self) -> Result<bool, ApiKeyError> {
        let path = || self.config.file.clone();
        let Some(content) = self.file.changed() else { return Ok(false) };
        let bytes = content.map_err(|source| ApiKeyError::File { path: path(), source })?;
        let table = self.parse(&bytes).map_err(|mistakes| ApiKeyError::Mistakes { path: path(), mistakes })?;
        self.table.store(Arc::new(table));
        self.trouble.clear();
        if memchr::memmem::find(&bytes, PREFIX.as_bytes()).is_some() {
            tracing::warn!(provider = &*self.config.name, "a key stands in the clear in the file of hashes");
        }
        tracing::info!(provider = &*self.config.name, keys = self.count(), "took a file of API keys");
        Ok(true)
    }

    /// Follows the file. To be spawned once, on the control plane; whoever drops the keys aborts it.
    pub async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // The file may be on a network, and a large one takes its time to read.
            let keys = Arc::clone(&self);
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || keys.reload()).await {
                self.trouble.note(&error);
                tracing::error!(provider = &*self.config.name, %error, "the old API keys are kept");
            }
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Table, Vec<String>> {
        let document = read(bytes).map_err(|mistake| vec![mistake])?;
        if document.keys.len() > MAX_KEYS {
            return Err(vec![format!("{} keys, expected at most {MAX_KEYS}", document.keys.len())]);
        }
        let mut reading = Reading { keys: self, table: Table::default(), ids: HashMap::new(), mistakes: Vec::new() };
        for row in document.keys {
            let line = row.defined.line();
            if let Err(mistake) = reading.take(row.value, line) {
                reading.mistakes.push(format!("line {line}: {mistake}"));
            }
        }
        if reading.mistakes.is_empty() { Ok(reading.table) } else { Err(reading.mistakes) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    keys: Vec<Spanned<Row>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    hash: String,
    #[serde(default)]
    plan: String,
    #[serde(default)]
    roles: Vec<String>,
    expires: Option<String>,
}

fn read(bytes: &[u8]) -> Result<Document, String> {
    let text = str::from_utf8(bytes).map_err(|_| "the file is not UTF-8".to_owned())?;
    // As `lockgate keys new` prints it, and as it is not meant.
    if text
        .lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .is_some_and(|line| line.starts_with('-'))
    {
        return Err("it begins with an entry, expected `keys:` above the entries".to_owned());
    }
    let mut options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    let mut budget = Budget::default();
    budget.max_depth = MAX_DEPTH;
    budget.flow_nesting_limit = MAX_DEPTH;
    options.budget = Some(budget);
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let text = error.without_snippet().to_string();
        text.lines().next().unwrap_or_default().to_owned()
    })
}

struct Reading<'k> {
    keys: &'k ApiKeys,
    table: Table,
    /// The line of each id.
    ids: HashMap<String, u64>,
    mistakes: Vec<String>,
}

impl Reading<'_> {
    /// Messages don't show a hash: by mistake it may be the key.
    fn take(&mut self, row: Row, line: u64) -> Result<(), String> {
        let id = row.id;
        if id.is_empty() {
            return Err("the `id` is empty, expected a name for the key".to_owned());
        }
        if let Some(first) = self.ids.insert(id.clone(), line) {
            return Err(format!("the id `{id}` stands on line {first} already"));
        }
        let expires =
            match row.expires {
                None => None,
                Some(text) => Some(instant(&text).ok_or_else(|| {
                    format!("`{id}` expires at `{text}`, expected a time such as 2027-01-01T00:00:00Z")
                })?),
            };
        let (map, sum) = if let Some(hex) = row.hash.strip_prefix(SHA256_PREFIX) {
            (&mut self.table.plain, hex)
        } else if let Some(hex) = row.hash.strip_prefix(HMAC_PREFIX) {
            if self.keys.pepper.is_none() {
                return Err(format!("`{id}` has a hash of {HMAC_PREFIX}, which needs the provider's `pepper`"));
            }
            (&mut self.table.peppered, hex)
        } else {
            return Err(format!("`{id}` has another hash than {SHA256_PREFIX} or {HMAC_PREFIX} and 64 hex digits"));
        };
        let sum = from_hex(sum).ok_or_else(|| format!("the hash of `{id}` has not 64 hex digits"))?;
        let of = Principal::new(Arc::clone(&self.keys.config.name), id.clone());
        let principal = Principal { roles: row.roles, plan: row.plan, expires, ..of };
        match map.insert(sum, Arc::new(principal)) {
            None => Ok(()),
            Some(other) => Err(format!("`{id}` has the same hash as `{}`", other.subject)),
        }
    }
}

fn from_hex(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    if text.len() != 2 * sum.len() {
        return None;
    }
    for (byte, digits) in sum.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = digits else { return None };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    }
    Some(sum)
}

/// An RFC 3339 time; one before 1970 is taken for 1970, which is over as well.
fn instant(text: &str) -> Option<SystemTime> {
    let seconds = decode_time::timestamp(text.as_bytes())?.seconds;
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}
