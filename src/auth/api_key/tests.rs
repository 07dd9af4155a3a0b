//! Files of keys with and without mistakes, and keys as requests carry them.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use http::HeaderValue;

use super::*;

/// A file that goes when the test does.
struct Temporary(PathBuf);

impl Temporary {
    fn new(text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("lockgate-api-keys-{}-{}.yaml", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn config(&self) -> Config {
        Config { name: "partners".into(), file: self.0.clone(), header: DEFAULT_HEADER, pepper: None }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn headers(keys: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for key in keys {
        headers.append(DEFAULT_HEADER, HeaderValue::from_bytes(key).unwrap());
    }
    headers
}

fn ask(keys: &ApiKeys, key: &str) -> Result<String, Reason> {
    keys.verify(&headers(&[key.as_bytes()])).map(|principal| principal.unwrap().subject.clone())
}

#[test]
fn a_generated_key_is_found_by_its_hash() {
    let (key, other) = (generate().unwrap(), generate().unwrap());
    assert!(key.starts_with("lk_") && key.len() == 46 && key != other);
    let pepper = Secret::new("pepper");
    let file = Temporary::new(&format!(
        "keys:\n  - {{ id: a, hash: \"{}\", plan: free, roles: [reader, writer], expires: 2999-01-01T00:00:00Z }}\n  \
         - {{ id: b, hash: \"{}\" }}\n",
        hash(&key, None),
        hash(&other, Some(&pepper)),
    ));
    let keys = ApiKeys::build(Config { pepper: Some(pepper), ..file.config() }).unwrap();
    let principal = keys.verify(&headers(&[key.as_bytes()])).unwrap().unwrap();
    assert_eq!((principal.id.as_str(), principal.plan.as_str()), ("partners:a", "free"));
    assert_eq!(principal.roles, ["reader", "writer"]);
    assert!(principal.expires.is_some());
    assert_eq!(ask(&keys, &other).unwrap(), "b");
    assert_eq!(keys.count(), 2);
}

#[test]
fn hashes_are_those_of_other_tools() {
    // printf abc | sha256sum; printf abc | openssl dgst -sha256 -hmac pepper
    assert_eq!(hash("abc", None), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(hash("abc", Some(&Secret::new("pepper"))), EXPECTED_HMAC);
}

const EXPECTED_HMAC: &str = "hmac-sha256:95ac8d48c4886bae06029b433c46c419019bf03a65a842069d84b7755b1d08c4";

#[test]
fn keys_that_are_not_good_are_refused() {
    let file = Temporary::new(&format!(
        "keys: [{{ id: a, hash: '{}' }}, {{ id: old, hash: '{}', expires: 2020-01-01T00:00:00Z }}]",
        hash("good", None),
        hash("old", None)
    ));
    let keys = ApiKeys::build(file.config()).unwrap();
    assert_eq!(keys.verify(&HeaderMap::new()), Ok(None));
    assert_eq!(ask(&keys, "good").unwrap(), "a");
    assert_eq!(ask(&keys, "old").unwrap_err(), Reason::Expired);
    assert_eq!(ask(&keys, "Good").unwrap_err(), Reason::UnknownApiKey);
    assert_eq!(ask(&keys, &hash("good", None)).unwrap_err(), Reason::UnknownApiKey);
    assert_eq!(ask(&keys, "").unwrap_err(), Reason::Malformed);
    assert_eq!(ask(&keys, &"a".repeat(MAX_KEY_BYTES + 1)).unwrap_err(), Reason::Malformed);
    assert_eq!(keys.verify(&headers(&[b"good", b"good"])).unwrap_err(), Reason::Several);
    assert_eq!(keys.verify(&headers(&[b"\xff"])).unwrap_err(), Reason::Malformed);
}

#[track_caller]
fn mistake(text: &str, expected: &str) {
    let file = Temporary::new(text);
    let message = ApiKeys::build(file.config()).unwrap_err().to_string();
    assert!(message.contains(expected), "{message}");
    assert!(!message.contains("lk_secret"), "{message}");
}

#[test]
fn mistakes_in_a_file_are_told() {
    let good = hash("a", None);
    mistake("", "");
    mistake("keys: 1", "");
    mistake(&format!("keys: [{{ id: a, hash: '{good}', role: x }}]"), "role");
    mistake(&format!("keys: [{{ id: a, hash: '{good}', id: b }}]"), "id");
    mistake(&format!("keys: [{{ hash: '{good}' }}]"), "id");
    mistake(&format!("keys: [{{ id: '', hash: '{good}' }}]"), "empty");
    mistake(
        &format!("keys:\n- {{ id: a, hash: '{good}' }}\n- {{ id: b, hash: '{good}' }}"),
        "line 3: `b` has the same",
    );
    mistake(
        &format!("keys:\n- {{ id: a, hash: '{good}' }}\n- {{ id: a, hash: '{}' }}", hash("b", None)),
        "line 3: the id `a` stands on line 2 already",
    );
    mistake("keys: [{ id: a, hash: lk_secret }]", "another hash");
    mistake("keys: [{ id: a, hash: 'sha256:lk_secret' }]", "64 hex digits");
    mistake(&format!("keys: [{{ id: a, hash: '{good}0' }}]"), "64 hex digits");
    mistake(&format!("keys: [{{ id: a, hash: '{}' }}]", good.replace(':', ":+")), "64 hex digits");
    mistake(&format!("keys: [{{ id: a, hash: 'hmac-{good}' }}]"), "pepper");
    mistake(&format!("keys: [{{ id: a, hash: '{good}', expires: 2027-01-01 }}]"), "expected a time");
    mistake(&format!("keys: {}", "[".repeat(5000)), "");
    assert!(matches!(
        ApiKeys::build(Config { file: "/nowhere".into(), ..Temporary::new("").config() }),
        Err(ApiKeyError::File { .. })
    ));
}

#[test]
fn a_broken_file_leaves_the_old_keys() {
    let text = |key: &str| format!("keys: [{{ id: {key}, hash: '{}' }}]", hash(key, None));
    let file = Temporary::new(&text("a"));
    let keys = ApiKeys::build(file.config()).unwrap();
    assert!(!keys.reload().unwrap());
    fs::write(&file.0, "keys: [").unwrap();
    assert!(!keys.reload().unwrap(), "it may still be written");
    assert!(keys.reload().is_err());
    assert!(!keys.reload().unwrap(), "it is told once");
    assert!(ask(&keys, "a").is_ok());
    fs::write(&file.0, text("b")).unwrap();
    assert!(!keys.reload().unwrap());
    assert!(keys.reload().unwrap());
    assert_eq!(ask(&keys, "a").unwrap_err(), Reason::UnknownApiKey);
    assert!(ask(&keys, "b").is_ok());
}

#[test]
fn a_pepper_is_never_shown() {
    let file = Temporary::new("keys: []");
    let keys = ApiKeys::build(Config { pepper: Some(Secret::new("hush")), ..file.config() }).unwrap();
    assert!(!format!("{keys:?}").contains("hush"));
}
