//! Stand-in until the module arrives: only what a configuration says.
pub mod config;

pub use config::Config;

/// One upstream.
#[derive(Debug)]
pub struct Upstream {
    config: Config,
}

impl Upstream {
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}
