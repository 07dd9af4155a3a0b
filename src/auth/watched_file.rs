//! A file that is read again when its content has changed.
//!
//! It is looked at twice a second rather than watched through the kernel: one way for in-place writes, renames, swapped
//! links and network file systems.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a file is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A file and what was read of it last.
#[derive(Debug)]
pub(super) struct WatchedFile {
    path: PathBuf,
    max_bytes: usize,
    looks: Mutex<Looks>,
}

/// A digest of the content, or the kind of error: a file may hold secrets, or be large.
type Look = Result<Vec<u8>, io::ErrorKind>;

#[derive(Debug, Default)]
struct Looks {
    /// What was told last.
    told: Option<Look>,
    last: Option<Look>,
}

impl WatchedFile {
    pub(super) fn new(path: PathBuf, max_bytes: usize) -> Self {
        Self { path, max_bytes, looks: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The content; `None` if it is, or fails, as it was told last. What is new must be so at two looks in a row, since a
    /// file may be looked at while it is written; the first content of all is told at once.
    pub(super) fn changed(&self) -> Option<io::Result<Vec<u8>>> {
        let content = self.read();
        let look = match &content {
            Ok(bytes) => Ok(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().to_vec()),
            Err(error) => Err(error.kind()),
        };
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = looks.told.is_none() || looks.last.as_ref() == Some(&look);
        looks.last = Some(look.clone());
        if !settled || looks.told.as_ref() == Some(&look) {
            return None;
        }
        looks.told = Some(look);
        Some(content)
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let limit = u64::try_from(self.max_bytes).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        // A pipe would be waited for.
        if !std::fs::metadata(&self.path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        File::open(&self.path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() > self.max_bytes {
            let message = format!("the file has more than {} bytes", self.max_bytes);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(bytes)
    }
}
