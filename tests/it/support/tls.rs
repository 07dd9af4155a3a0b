//! Certificates of an authority that lives as long as a test, and clients that trust it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::PATIENCE;
use super::folder::Folder;

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, in PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no name is no bad name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("it can be signed");
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names.
    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.issue_until(names, 2040)
    }

    /// A certificate for these names that ends when this year begins.
    pub(crate) fn issue_until(&self, names: &[&str], year: i32) -> Identity {
        let key = KeyPair::generate().expect("a key can be made");
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("these are names");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// How a client that trusts this authority connects, without a certificate of its own.
    pub(crate) fn client(&self) -> Client {
        Client { authority: self.pem.clone(), identity: None, alpn: Vec::new(), versions: rustls::ALL_VERSIONS }
    }
}

impl Identity {
    /// Writes `NAME.crt` and `NAME.key`.
    pub(crate) fn write(&self, folder: &Folder, name: &str) {
        folder.write(&format!("{name}.crt"), &self.certificate);
        folder.write(&format!("{name}.key"), &self.key);
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<_, _>>().expect("it is PEM")
    }

    /// Whether this is the certificate that a server has shown.
    pub(crate) fn is(&self, shown: Option<&[CertificateDer<'_>]>) -> bool {
        shown.and_then(<[_]>::first).is_some_and(|leaf| Some(leaf) == self.chain().first())
    }
}

/// How a client connects.
#[derive(Clone)]
pub(crate) struct Client {
    authority: String,
    identity: Option<(Vec<CertificateDer<'static>>, String)>,
    alpn: Vec<Vec<u8>>,
    versions: &'static [&'static SupportedProtocolVersion],
}

/// A connection, as the clients of HTTP use it.
pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    /// With this certificate of its own.
    pub(crate) fn showing(mut self, identity: &Identity) -> Self {
        self.identity = Some((identity.chain(), identity.key.clone()));
        self
    }

    /// Offering these protocols.
    pub(crate) fn offering(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// Speaking this version alone.
    pub(crate) fn speaking(mut self, version: &'static [&'static SupportedProtocolVersion]) -> Self {
        self.versions = version;
        self
    }

    /// As rustls wants it.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.authority.as_bytes()).expect("it is PEM");
        roots.add(authority).expect("it is an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .expect("there are such versions")
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("it is PEM");
                builder.with_client_auth_cert(chain.clone(), key).expect("it is a pair")
            }
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Arc::new(config)
    }

    /// Shakes hands, asking for this name.
    pub(crate) fn connect(&self, address: SocketAddr, name: &str) -> io::Result<Stream> {
        self.connect_after(b"", address, name)
    }

    /// The same, sending this in the clear first.
    pub(crate) fn connect_after(&self, before: &[u8], address: SocketAddr, name: &str) -> io::Result<Stream> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(before)?;
        let name = ServerName::try_from(name.to_owned()).expect("it is a name");
        let session = ClientConnection::new(self.config(), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }
}

/// What HTTP/1.1 is spoken on.
pub(crate) enum Wire {
    Clear(TcpStream),
    Tls(Box<Stream>),
}

impl Wire {
    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Clear(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
