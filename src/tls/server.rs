//! The server's side of TLS: certificates by the name that a client asks for, client certificates against a CA, and
//! the files behind them, which may be replaced while connections are served.
//!
//! What is loaded is one immutable [`ServerConfig`]: the authorities for client certificates and the sessions that may
//! be resumed are part of it, so a reload swaps all of them at once. Connections keep what they began with.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::{TlsError, authorities, read_certificates};

/// Sessions that clients may resume, all workers of a listener together.
const MAX_SESSIONS: usize = 4096;

/// What a listener shows and asks for, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// At least one; the first is for clients that name none of the others.
    pub certificates: Vec<Identity>,
    /// `None`: clients are not asked for one.
    pub client_certificates: Option<ClientCertificates>,
    pub min_version: MinVersion,
}

/// PEM files of a certificate chain and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub certificates: PathBuf,
    pub key: PathBuf,
}

/// How clients show who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// A PEM file with the authorities that sign them.
    pub ca: PathBuf,
    pub demand: Demand,
}

/// Whether a client must have a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// It may; one that the authorities did not sign ends the handshake all the same.
    Optional,
    Required,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinVersion {
    Tls12,
    Tls13,
}

impl Config {
    /// Every file that it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let pairs = self.certificates.iter().flat_map(|identity| [&identity.certificates, &identity.key]);
        pairs.chain(self.client_certificates.iter().map(|clients| &clients.ca))
    }
}

/// A listener's TLS: what its files held when they were last good.
#[derive(Debug)]
pub struct ServerTls {
    config: Config,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    rustls: Arc<ServerConfig>,
    expiry: SystemTime,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// If one can't be read, does not hold what it should, or does not fit the others.
    pub fn load(config: Config) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(Loaded::from(&config)?);
        Ok(Self { config, current })
    }

    /// Reads the files anew. Where they are not good, what was there before stays.
    ///
    /// # Errors
    /// As [`ServerTls::load`].
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(Loaded::from(&self.config)?));
        Ok(())
    }

    /// What the next connection is to be served with.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load().rustls.clone()
    }

    /// When the first of the certificates ends.
    #[must_use]
    pub fn expiry(&self) -> SystemTime {
        self.current.load().expiry
    }

    /// What it was made of.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}

impl Loaded {
    fn from(config: &Config) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions: &[&rustls::SupportedProtocolVersion] = match config.min_version {
            MinVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            MinVersion::Tls13 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(TlsError::Provider)?;
        let builder = match &config.client_certificates {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let roots = Arc::new(authorities(Some(&clients.ca), &mut std::hash::DefaultHasher::new())?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
                let verifier = match clients.demand {
                    Demand::Optional => verifier.allow_unauthenticated(),
                    Demand::Required => verifier,
                };
                let failed = |error: rustls::server::VerifierBuilderError| TlsError::Authority {
                    path: clients.ca.clone(),
                    source: rustls::Error::General(error.to_string()),
                };
                builder.with_client_cert_verifier(verifier.build().map_err(failed)?)
            }
        };
        let (names, expiry) = Names::read(&config.certificates, &provider)?;
        let mut rustls = builder.with_cert_resolver(Arc::new(names));
        rustls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if config.client_certificates.is_none() {
            rustls.session_storage = ServerSessionMemoryCache::new(MAX_SESSIONS);
        } else {
            // A resumed session is not verified again: a certificate that has ended would go on.
            rustls.session_storage = Arc::new(NoServerSessionStorage {});
            rustls.send_tls13_tickets = 0;
        }
        // Early data can be replayed by whoever saw it.
        rustls.max_early_data_size = 0;
        Ok(Self { rustls: Arc::new(rustls), expiry })
    }
}

/// Certificates by the names of their subjects.
#[derive(Debug)]
struct Names {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`.
    wildcards: HashMap<String, Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

impl Names {
    fn read(identities: &[Identity], provider: &CryptoProvider) -> Result<(Self, SystemTime), TlsError> {
        let (mut exact, mut wildcards) = (HashMap::new(), HashMap::new());
        let mut first = None;
        let mut expiry: Option<SystemTime> = None;
        for identity in identities {
            let path = &identity.certificates;
            let chain = read_certificates(path)?;
            let leaf = chain.first().and_then(|leaf| Certificate::parse(leaf));
            let leaf = leaf.ok_or_else(|| TlsError::Unreadable { path: path.clone() })?;
            let key = PrivateKeyDer::from_pem_file(&identity.key)
                .map_err(|source| TlsError::Key { path: identity.key.clone(), source })?;
            let certified = CertifiedKey::from_der(chain, key, provider)
                .map_err(|source| TlsError::Identity { path: path.clone(), source })?;
            let certified = Arc::new(certified);
            for name in leaf.dns_names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(domain) => (&mut wildcards, domain.to_owned()),
                    None => (&mut exact, name),
                };
                names.entry(name).or_insert_with(|| certified.clone());
            }
            expiry = Some(expiry.map_or(leaf.not_after, |other| other.min(leaf.not_after)));
            first.get_or_insert(certified);
        }
        let nothing = || TlsError::Provider(rustls::Error::NoCertificatesPresented);
        let (first, expiry) = first.zip(expiry).ok_or_else(nothing)?;
        Ok((Self { exact, wildcards, first }, expiry))
    }

    /// The exact name, then `*.domain`, then the first.
    fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = name else { return &self.first };
        let wildcard = || name.split_once('.').and_then(|(_, domain)| self.wildcards.get(domain));
        self.exact.get(name).or_else(wildcard).unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls gives the name in lower case.
        Some(self.find(hello.server_name()).clone())
    }
}

#[cfg(test)]
mod tests;
