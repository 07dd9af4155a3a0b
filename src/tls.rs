//! TLS by rustls with the aws-lc-rs provider: what a client side trusts and shows; [`server`] is the other side.

pub mod certificate;
pub mod server;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{}: no PEM certificates can be read: {source}", path.display())]
    Certificates { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{}: no PEM certificate in it", path.display())]
    NoCertificate { path: PathBuf },
    #[error("{}: no PEM private key can be read: {source}", path.display())]
    Key { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{}: not a certificate authority that can be trusted: {source}", path.display())]
    Authority { path: PathBuf, source: rustls::Error },
    #[error("the system's certificate authorities can't be read: {0}")]
    System(String),
    #[error("{}: certificate and key can't be used: {source}", path.display())]
    Identity { path: PathBuf, source: rustls::Error },
    #[error("{}: not a certificate that can be read", path.display())]
    Unreadable { path: PathBuf },
    #[error("TLS can't be set up: {0}")]
    Provider(rustls::Error),
}

/// A client side.
#[derive(Clone, Debug)]
pub struct Client {
    pub config: Arc<ClientConfig>,
    /// Tells whether another client trusts and shows the same, whatever files that came from.
    pub fingerprint: u64,
}

/// A client that speaks HTTP/2, trusts the authorities in the PEM file `ca` (`None`: the system's), and shows the
/// certificate chain and key of `identity`.
///
/// # Errors
/// If a file can't be read or does not hold what it should.
pub fn client(ca: Option<&Path>, identity: Option<&(PathBuf, PathBuf)>) -> Result<Client, TlsError> {
    let mut fingerprint = DefaultHasher::new();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?
        .with_root_certificates(authorities(ca, &mut fingerprint)?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificates, key_path)) => {
            let key = PrivateKeyDer::from_pem_file(key_path)
                .map_err(|source| TlsError::Key { path: key_path.clone(), source })?;
            let chain = read_certificates(certificates)?;
            (&chain, key.secret_der()).hash(&mut fingerprint);
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|source| TlsError::Identity { path: certificates.clone(), source })?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Client { config: Arc::new(config), fingerprint: fingerprint.finish() })
}

/// A client that trusts nobody: what a system without authorities has, where nothing is asked over TLS.
///
/// # Errors
/// If TLS can't be set up at all.
pub fn trusting_nobody() -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(TlsError::Provider)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn authorities(ca: Option<&Path>, fingerprint: &mut impl Hasher) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        let system = rustls_native_certs::load_native_certs();
        system.certs.hash(fingerprint);
        let (added, _) = roots.add_parsable_certificates(system.certs);
        if added == 0 {
            let errors: Vec<_> = system.errors.iter().map(ToString::to_string).collect();
            return Err(TlsError::System(if errors.is_empty() { "none found".into() } else { errors.join("; ") }));
        }
        return Ok(roots);
    };
    let certificates = read_certificates(path)?;
    certificates.hash(fingerprint);
    for certificate in certificates {
        roots.add(certificate).map_err(|source| TlsError::Authority { path: path.into(), source })?;
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| TlsError::Certificates { path: path.into(), source })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { path: path.into() });
    }
    Ok(certificates)
}
