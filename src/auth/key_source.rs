//! Where an issuer's keys come from, and how they are kept fresh.
//!
//! One task, [`LiveKeys::run`], fetches: at the start, in the background, and at once when a token names a key that
//! nobody knows. Requests never fetch; they ask the task and wait, for a bounded time, and all who wait share one fetch.
//! The last good set serves for as long as the issuer is down.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use serde::Deserialize;
use tokio::sync::{Notify, watch};

use super::fetch::{Client, FetchError, Url, UrlError};
use super::key_set::{KeySet, KeySetError, MAX_SET_BYTES};
use super::trouble::Trouble;
use super::watched_file::{LOOK_EVERY, WatchedFile};

/// The largest discovery document that is read.
const MAX_DISCOVERY_BYTES: usize = 256 << 10;

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Where the issuer's own `/.well-known/openid-configuration` says.
    Discover,
    /// At this URL.
    Url(String),
    /// In this file.
    File(PathBuf),
}

/// Why there are no newer keys.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    #[error("{0}")]
    Url(#[from] UrlError),
    #[error("{url}: {source}")]
    Fetch { url: String, source: FetchError },
    #[error("{url}: no discovery document: {message}")]
    Discovery { url: String, message: String },
    #[error("{url}: the document is that of issuer `{found}`, expected `{expected}`")]
    OtherIssuer { url: String, found: String, expected: String },
    #[error("{url}: its `jwks_uri` goes in the clear, expected https:// as the issuer's own")]
    Downgrade { url: String },
    #[error("{origin}: {source}")]
    KeySet { origin: String, source: KeySetError },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// When keys are fetched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between fetches, where the issuer does not say, and the bounds of what it says.
    pub(super) usual: Duration,
    pub(super) soonest: Duration,
    pub(super) latest: Duration,
    /// After a failure, doubled with each one more.
    pub(super) first_retry: Duration,
    pub(super) last_retry: Duration,
    /// Between fetches for the sake of unknown keys: anybody can name one.
    pub(super) between_asked: Duration,
    /// How long a request waits for one.
    pub(super) patience: Duration,
}

impl Pace {
    pub(super) const DEFAULT: Self = Self {
        usual: Duration::from_secs(300),
        soonest: Duration::from_secs(60),
        latest: Duration::from_secs(3600),
        first_retry: Duration::from_secs(1),
        last_retry: Duration::from_secs(60),
        between_asked: Duration::from_secs(30),
        patience: Duration::from_secs(5),
    };

    fn refresh(&self, max_age: Option<Duration>) -> Duration {
        max_age.unwrap_or(self.usual).clamp(self.soonest, self.latest)
    }

    fn retry(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        self.first_retry.saturating_mul(1 << doublings).min(self.last_retry)
    }
}

/// Many instances that failed, or started, together should not fetch together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.75..=1.0))
}

/// A set, and the how-manieth it is.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) keys: KeySet,
    body: Vec<u8>,
}

#[derive(Debug)]
enum Origin {
    Discover { issuer: String, document: Url },
    Url(Url),
    File(Arc<WatchedFile>),
}

/// Fetches that requests have asked for.
#[derive(Debug, Default)]
struct Asked {
    /// The number of the last one.
    ticket: u64,
    at: Option<Instant>,
}

/// The keys of one issuer, as they are now.
#[derive(Debug)]
pub(super) struct LiveKeys {
    /// For log lines.
    provider: Arc<str>,
    origin: Origin,
    client: Client,
    pace: Pace,
    current: ArcSwapOption<Generation>,
    asked: Mutex<Asked>,
    wake: Notify,
    /// The ticket up to which fetches have ended.
    served: watch::Sender<u64>,
    last_success: Mutex<Option<SystemTime>>,
    trouble: Trouble,
}

impl LiveKeys {
    /// A file is read at once; what is fetched waits for [`LiveKeys::run`].
    pub(super) fn open(
        provider: Arc<str>,
        issuer: &str,
        source: &KeySource,
        client: Client,
    ) -> Result<Self, KeySourceError> {
        let origin = match source {
            KeySource::Discover => {
                // OpenID Connect Discovery 1.0 section 4: a final slash of the issuer goes.
                let root = issuer.strip_suffix('/').unwrap_or(issuer);
                let document = Url::parse(&format!("{root}/.well-known/openid-configuration"))?;
                Origin::Discover { issuer: issuer.to_owned(), document }
            }
            KeySource::Url(url) => Origin::Url(Url::parse(url)?),
            KeySource::File(path) => Origin::File(Arc::new(WatchedFile::new(path.clone(), MAX_SET_BYTES))),
        };
        let keys = Self {
            provider,
            origin,
            client,
            pace: Pace::DEFAULT,
            current: ArcSwapOption::empty(),
            // The first is that of the start.
            asked: Mutex::new(Asked { ticket: 1, ..Asked::default() }),
            wake: Notify::new(),
            served: watch::Sender::new(0),
            last_success: Mutex::default(),
            trouble: Trouble::default(),
        };
        if let Origin::File(file) = &keys.origin {
            keys.take_file(file.path().to_owned(), file.changed())?;
        }
        Ok(keys)
    }

    #[cfg(test)]
    pub(super) fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// A fetch now, whatever was before.
    #[cfg(test)]
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// The set as it is now.
    pub(super) fn current(&self) -> arc_swap::Guard<Option<Arc<Generation>>> {
        self.current.load()
    }

    /// What the last look for keys has failed at.
    pub(super) fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    pub(super) fn last_success(&self) -> Option<SystemTime> {
        *lock(&self.last_success)
    }

    /// Has keys fetched because of a token that names an unknown one, unless that was done just now, and waits for it.
    pub(super) async fn ask(&self) {
        let mut served = self.served.subscribe();
        let ticket = {
            let mut asked = lock(&self.asked);
            let lately = asked.at.is_some_and(|at| at.elapsed() < self.pace.between_asked);
            // One that is under way, such as that of the start, is waited for and not asked for again.
            let is_under_way = *served.borrow_and_update() < asked.ticket;
            if !lately && !is_under_way {
                asked.at = Some(Instant::now());
                asked.ticket += 1;
                self.wake.notify_one();
            }
            asked.ticket
        };
        // Who asks while that fetch is under way waits for it too; who asks after it is told at once. A wait that ends
        // without an answer is none: the caller looks at the set again, and sees what there is.
        let _ = tokio::time::timeout(self.pace.patience, served.wait_for(|served| *served >= ticket)).await;
    }

    /// Keeps the keys fresh, for as long as it is polled: one such task for each issuer, on the control plane.
    pub(super) async fn run(&self) {
        let mut failures = 0;
        loop {
            // Whoever asks from here on may know of a newer key than this fetch will bring.
            let ticket = lock(&self.asked).ticket;
            let pause = match self.take().await {
                Ok(pause) => {
                    failures = 0;
                    pause
                }
                Err(error) => {
                    failures += 1;
                    self.note_failure(&error);
                    self.pace.retry(failures)
                }
            };
            self.served.send_replace(ticket);
            let pause = if matches!(self.origin, Origin::File(_)) { LOOK_EVERY } else { jittered(pause) };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Looks for keys once; how long they are good for.
    async fn take(&self) -> Result<Duration, KeySourceError> {
        let url = match &self.origin {
            Origin::File(file) => {
                // The file may be on a network; other issuers, and metrics, don't wait for it.
                let (path, file) = (file.path().to_owned(), Arc::clone(file));
                let content = tokio::task::spawn_blocking(move || file.changed()).await.ok().flatten();
                self.take_file(path, content)?;
                return Ok(LOOK_EVERY);
            }
            Origin::Url(url) => url.clone(),
            Origin::Discover { issuer, document } => self.discover(issuer, document).await?,
        };
        let fetched = self
            .client
            .get(&url, MAX_SET_BYTES)
            .await
            .map_err(|source| KeySourceError::Fetch { url: url.to_string(), source })?;
        self.replace(&url.to_string(), &fetched.body)?;
        Ok(self.pace.refresh(fetched.max_age))
    }

    /// OpenID Connect Discovery 1.0, section 4.3: the document must be the issuer's own.
    async fn discover(&self, issuer: &str, document: &Url) -> Result<Url, KeySourceError> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: String,
        }
        let url = document.to_string();
        let fetched = match self.client.get(document, MAX_DISCOVERY_BYTES).await {
            Ok(fetched) => fetched,
            Err(source) => return Err(KeySourceError::Fetch { url, source }),
        };
        let found: Document = match serde_json::from_slice(&fetched.body) {
            Ok(found) => found,
            Err(error) => return Err(KeySourceError::Discovery { url, message: error.to_string() }),
        };
        if found.issuer != issuer {
            return Err(KeySourceError::OtherIssuer { url, found: found.issuer, expected: issuer.to_owned() });
        }
        let keys = Url::parse(&found.jwks_uri)?;
        if document.is_encrypted() && !keys.is_encrypted() {
            return Err(KeySourceError::Downgrade { url });
        }
        Ok(keys)
    }

    fn take_file(&self, path: PathBuf, content: Option<io::Result<Vec<u8>>>) -> Result<(), KeySourceError> {
        match content {
            None => Ok(()),
            Some(Ok(bytes)) => self.replace(&path.display().to_string(), &bytes),
            Some(Err(source)) => Err(KeySourceError::File { path, source }),
        }
    }

    /// A set replaces the old one whole, keys that are gone with it; the same set again is the same generation.
    fn replace(&self, origin: &str, body: &[u8]) -> Result<(), KeySourceError> {
        let current = self.current.load();
        if current.as_ref().is_none_or(|current| current.body != body) {
            let keys =
                KeySet::parse(body).map_err(|source| KeySourceError::KeySet { origin: origin.to_owned(), source })?;
            let number = current.as_ref().map_or(1, |current| current.number + 1);
            tracing::info!(provider = &*self.provider, origin, keys = keys.keys().len(), "took a set of keys");
            for skipped in keys.skipped() {
                let (position, why) = (skipped.position, skipped.why);
                tracing::warn!(provider = &*self.provider, origin, position, why, "a key of the set is not used");
            }
            self.current.store(Some(Arc::new(Generation { number, keys, body: body.to_vec() })));
        }
        *lock(&self.last_success) = Some(SystemTime::now());
        self.trouble.clear();
        Ok(())
    }

    fn note_failure(&self, error: &KeySourceError) {
        self.trouble.note(error);
        let kept = self.current.load().is_some();
        tracing::warn!(provider = &*self.provider, %error, kept, "no newer keys of the issuer");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Pace {
    /// Soon again after a failure, and otherwise as good as never.
    pub(super) fn quick() -> Self {
        let never = Duration::from_secs(3600);
        let soon = Duration::from_millis(20);
        Self { first_retry: soon, last_retry: soon, usual: never, soonest: never, ..Self::DEFAULT }
    }
}
