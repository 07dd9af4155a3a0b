//! Stand-in until the module arrives.

use crate::config::Config;
use crate::gateway::{Gateway, Problem};

/// Why a process can't start, or how it failed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("not here yet")]
    NotYet,
}

/// How a configuration is read anew when its files change.
pub type Reread = Box<dyn Fn() -> Result<Config, Vec<Problem>> + Send>;

/// What outlives every reload.
#[derive(Clone, Debug)]
pub struct Environment;

impl Environment {
    #[must_use]
    pub fn for_inspection() -> Self {
        Self
    }
}

/// # Errors
/// Every mistake, at once.
pub fn load(
    _: &Config,
    _: &Environment,
    _: Option<&Gateway>,
    _: &[crate::schema::load::SourceSet],
) -> Result<Gateway, Vec<Problem>> {
    Err(Vec::new())
}

/// # Errors
/// If the configuration can't be served as it stands.
pub fn run(_: Config, _: Reread) -> Result<(), AppError> {
    Err(AppError::NotYet)
}

/// # Errors
/// If the configuration can't be served as it stands.
#[expect(clippy::unused_async, reason = "stand-in")]
pub async fn run_on(_: Config, _: Reread) -> Result<(), AppError> {
    Err(AppError::NotYet)
}
