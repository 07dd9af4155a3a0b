//! Which certificate a name gets, and what happens to files that are replaced.

use std::fs;
use std::path::Path;

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lockgate-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn identity(&self, file: &str, names: &[&str]) -> Identity {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let identity =
            Identity { certificates: self.0.join(format!("{file}.crt")), key: self.0.join(format!("{file}.key")) };
        fs::write(&identity.certificates, certificate.pem()).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn config(certificates: Vec<Identity>) -> Config {
    Config { certificates, client_certificates: None, min_version: MinVersion::Tls12 }
}

#[test]
fn the_exact_name_goes_before_the_wildcard_and_that_before_the_first() {
    let folder = Folder::new("names");
    let identities = [
        folder.identity("first", &["first.test"]),
        folder.identity("wild", &["*.example.com"]),
        folder.identity("exact", &["api.example.com"]),
    ];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let (names, _) = Names::read(&identities, &provider).unwrap();
    for (asked, expected) in [
        (None, 0),
        (Some("first.test"), 0),
        (Some("api.example.com"), 2),
        (Some("other.example.com"), 1),
        (Some("a.b.example.com"), 0),
        (Some("example.com"), 0),
        (Some("nowhere"), 0),
    ] {
        let expected = read_certificates(&identities[expected].certificates).unwrap();
        assert_eq!(names.find(asked).cert, expected, "{asked:?}");
    }
}

#[test]
fn a_bad_pair_keeps_the_old_one() {
    let folder = Folder::new("reload");
    let identity = folder.identity("a", &["a.test"]);
    let tls = ServerTls::load(config(vec![identity.clone()])).unwrap();
    let before = tls.current();
    fs::write(&identity.key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Identity { .. })));
    fs::write(&identity.certificates, "nothing").unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::NoCertificate { .. })));
    fs::remove_file(&identity.certificates).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Certificates { .. })));
    assert!(Arc::ptr_eq(&before, &tls.current()));
    folder.identity("a", &["a.test"]);
    tls.reload().unwrap();
    assert!(!Arc::ptr_eq(&before, &tls.current()));
}

#[test]
fn what_is_not_there_is_told_by_its_path() {
    let missing = Identity { certificates: "/nowhere/a.crt".into(), key: "/nowhere/a.key".into() };
    let error = ServerTls::load(config(vec![missing])).unwrap_err();
    assert!(error.to_string().contains("/nowhere/a.crt"), "{error}");
    let folder = Folder::new("ca");
    let clients = ClientCertificates { ca: folder.0.join("ca.crt"), demand: Demand::Required };
    let config = Config { client_certificates: Some(clients), ..config(vec![folder.identity("a", &["a.test"])]) };
    let files: Vec<_> = config.files().filter_map(|file| file.file_name()).collect();
    assert_eq!(files, ["a.crt", "a.key", "ca.crt"].map(Path::new).map(|path| path.as_os_str()));
    let error = ServerTls::load(config).unwrap_err();
    assert!(error.to_string().contains("ca.crt"), "{error}");
}
