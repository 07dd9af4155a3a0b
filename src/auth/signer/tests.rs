//! Keys of every kind by rcgen, tokens verified by jsonwebtoken against what is published.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaPair, KeySize};
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::*;

/// A key file, gone with the test.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(content: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("lockgate-signer-{}-{}.pem", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let file = Self(std::env::temp_dir().join(name));
        file.write(content);
        file
    }

    fn write(&self, content: &str) {
        std::fs::write(&self.0, content).unwrap();
    }

    fn config(&self) -> Config {
        Config {
            key: self.0.clone(),
            ttl: DEFAULT_TTL,
            audience: vec!["internal".into()],
            issuer: "lockgate".into(),
            header: AUTHORIZATION,
            key_id: None,
        }
    }

    fn signer(&self) -> Signer {
        Signer::build(self.config(), None).unwrap()
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn p256() -> String {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem()
}

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}

fn caller() -> Principal {
    Principal {
        roles: vec!["admin".into()],
        scopes: vec!["read".into(), "write".into()],
        plan: "pro".into(),
        ..Principal::new("users".into(), "mira".into())
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds(SystemTime::now()))
}

fn text(value: &HeaderValue) -> String {
    value.to_str().unwrap().to_owned()
}

/// The claims of a token that a service of this set believes.
#[track_caller]
fn verified(token: &HeaderValue, set: &JwkSet) -> Result<Value, jsonwebtoken::errors::Error> {
    let token = text(token).strip_prefix("Bearer ").expect("it is a bearer's").to_owned();
    let header = jsonwebtoken::decode_header(&token)?;
    let key = set.find(header.kid.as_deref().unwrap()).ok_or(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat)?;
    assert_eq!(key.common.key_algorithm, Some(header.alg.into()));
    let mut validation = Validation::new(header.alg);
    validation.leeway = 0;
    validation.set_audience(&["internal"]);
    validation.set_issuer(&["lockgate"]);
    jsonwebtoken::decode(&token, &DecodingKey::from_jwk(key)?, &validation).map(|token| token.claims)
}

#[test]
fn keys_of_every_kind_sign_and_are_published() {
    let made = |kind| KeyPair::generate_for(kind).unwrap().serialize_pem();
    let short = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    let rsa = RsaPair::generate(KeySize::Rsa2048).unwrap();
    for (pem, algorithm) in [
        (made(&rcgen::PKCS_ED25519), Algorithm::EdDSA),
        (pem("PRIVATE KEY", short.as_ref()), Algorithm::EdDSA),
        (made(&rcgen::PKCS_ECDSA_P256_SHA256), Algorithm::ES256),
        (made(&rcgen::PKCS_ECDSA_P384_SHA384), Algorithm::ES384),
        (pem("PRIVATE KEY", rsa.as_der().unwrap().as_ref()), Algorithm::RS256),
    ] {
        let file = KeyFile::new(&pem);
        let signer = file.signer();
        let token = signer.sign(&caller()).unwrap();
        assert!(token.is_sensitive());
        let claims = verified(&token, &signer.key_set()).unwrap();
        assert_eq!(
            [&claims["sub"], &claims["provider"], &claims["scope"], &claims["plan"], &claims["aud"]],
            ["mira", "users", "read write", "pro", "internal"]
        );
        assert_eq!(claims["roles"], json!(["admin"]));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
        let set = serde_json::to_value(signer.key_set()).unwrap();
        assert_eq!(set["keys"][0]["alg"], json!(algorithm));
        assert_eq!(set["keys"][0]["use"], "sig");
        for private in ["d", "p", "q", "k"] {
            assert!(set["keys"][0].get(private).is_none(), "{set}");
        }
        assert!(!format!("{signer:?}").contains(&text(&token)), "a token is no secret to print");
    }
}

#[test]
fn the_key_id_is_the_thumbprint_unless_it_is_said() {
    // RFC 8037, appendix A.3.
    let seed = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    let der = [&hex("302e020100300506032b657004220420")[..], &URL_SAFE_NO_PAD.decode(seed).unwrap()].concat();
    let file = KeyFile::new(&pem("PRIVATE KEY", &der));
    let id = |signer: &Signer| signer.key_set().keys[0].common.key_id.clone().unwrap();
    assert_eq!(id(&file.signer()), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let named = Config { key_id: Some("mine".into()), ..file.config() };
    assert_eq!(id(&Signer::build(named, None).unwrap()), "mine");
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn what_is_no_key_to_sign_with_is_refused_and_never_shown() {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["a.test".into()]).unwrap().self_signed(&pair).unwrap();
    let cut: String = p256().lines().filter(|line| !line.starts_with("-----END")).collect();
    for (content, found) in [
        (String::new(), "found none"),
        ("garbage".to_owned(), "found none"),
        (cut, "found none"),
        (certificate.pem(), "found none"),
        (pair.public_key_pem(), "found none"),
        (KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap().serialize_pem(), "another curve"),
        (SMALL_RSA.to_owned(), "RSA"),
    ] {
        let file = KeyFile::new(&content);
        let error = Signer::build(file.config(), None).unwrap_err().to_string();
        let smaller = content == SMALL_RSA;
        assert!(smaller || error.contains(found), "{error}\n{content}");
        assert!(error.contains("expected a PEM private key") && error.contains("2048 bits"), "{error}");
        let body = content.lines().nth(1).filter(|line| line.len() > 8);
        assert!(body.is_none_or(|line| !error.contains(line)), "{error}");
    }
    let missing = Config { key: "/nowhere/key.pem".into(), ..KeyFile::new("").config() };
    assert!(Signer::build(missing, None).unwrap_err().to_string().starts_with("/nowhere/key.pem: "));
    let huge = KeyFile::new(&"-".repeat(MAX_FILE_BYTES + 1));
    assert!(Signer::build(huge.config(), None).unwrap_err().to_string().contains("65536 bytes"));
}

#[test]
fn a_token_is_used_until_half_of_its_time_is_over() {
    let file = KeyFile::new(&p256());
    let (signer, start) = (file.signer(), now());
    let at = |after: u64| text(&signer.sign_at(&caller(), start + Duration::from_secs(after)).unwrap());
    let first = at(0);
    assert_eq!(at(29), first);
    let second = at(30);
    assert_ne!(second, first);
    assert_eq!(at(59), second);
}

#[test]
fn callers_who_differ_in_anything_have_tokens_of_their_own() {
    let file = KeyFile::new(&p256());
    let signer = file.signer();
    let changes: [fn(&mut Principal); 8] = [
        |_| {},
        |caller| caller.subject = "rosa".into(),
        |caller| caller.provider = "others".into(),
        |caller| caller.plan.clear(),
        |caller| caller.scopes = vec!["read write".into()],
        |caller| (caller.scopes, caller.roles) = (vec!["read".into()], vec!["write".into(), "admin".into()]),
        |caller| caller.expires = Some(now() + Duration::from_secs(7)),
        |caller| drop(caller.claims.insert("exp".into(), (seconds(now()) + 9).into())),
    ];
    let tokens = changes.map(|change| {
        let mut caller = caller();
        change(&mut caller);
        text(&signer.sign(&caller).unwrap())
    });
    let different: std::collections::HashSet<_> = tokens.iter().collect();
    assert_eq!(different.len(), changes.len());
}

#[test]
fn a_token_never_outlives_its_caller() {
    let file = KeyFile::new(&p256());
    let (signer, start) = (file.signer(), now());
    let expiry = |claims: Value, expires: Option<u64>| {
        let claims = claims.as_object().unwrap().clone();
        let expires = expires.map(|after| start + Duration::from_secs(after));
        signer.claims(&Principal { claims, expires, ..caller() }, start).exp - seconds(start)
    };
    let after = |after: f64| json!({ "exp": seconds(start) as f64 + after });
    assert_eq!(expiry(json!({}), None), 60);
    assert_eq!(expiry(json!({}), Some(20)), 20);
    assert_eq!(expiry(json!({}), Some(100)), 60);
    // What a provider forgives stands in `expires`, and is not the token's.
    assert_eq!(expiry(after(10.9), Some(40)), 10);
    assert_eq!(expiry(after(59.0), Some(89)), 59);
    assert_eq!(expiry(after(1e300), Some(40)), 60);
}

#[test]
fn a_swapped_key_signs_at_once_and_the_old_one_stays_published() {
    let file = KeyFile::new(&p256());
    let signer = file.signer();
    let old = signer.sign(&caller()).unwrap();
    assert!(!signer.reload().unwrap());
    file.write(&p256());
    assert!(!signer.reload().unwrap(), "it may still be written");
    assert!(signer.reload().unwrap());
    let new = signer.sign(&caller()).unwrap();
    assert_ne!(old, new);
    let set = signer.key_set();
    assert_eq!(set.keys.len(), 2);
    assert!(verified(&old, &set).is_ok() && verified(&new, &set).is_ok());
    assert_eq!(set.keys[0].common.key_id, jsonwebtoken::decode_header(&text(&new)[7..]).unwrap().kid);
    // A file that is no good changes nothing, and is told of once.
    file.write("garbage");
    assert!(!signer.reload().unwrap());
    assert!(signer.reload().is_err());
    assert!(!signer.reload().unwrap());
    assert_eq!(signer.sign(&caller()).unwrap(), new);
    // With the last token of the old key its time is over.
    let keys = signer.keys.load_full();
    let (_, until) = keys.previous.first().unwrap();
    assert!(*until <= SystemTime::now() + DEFAULT_TTL + PREVIOUS_STAYS);
    signer.keys.store(Arc::new(Keys {
        current: keys.current.clone(),
        previous: vec![(keys.previous[0].0.clone(), SystemTime::now())],
    }));
    assert_eq!(signer.key_set().keys.len(), 1);
}

#[test]
fn keys_stay_published_while_their_tokens_last_however_often_they_are_swapped() {
    let file = KeyFile::new(&p256());
    let signer = file.signer();
    let mut tokens = vec![signer.sign(&caller()).unwrap()];
    for _ in 0..MAX_PREVIOUS + 1 {
        file.write(&p256());
        assert!(!signer.reload().unwrap() && signer.reload().unwrap());
        tokens.push(signer.sign(&caller()).unwrap());
    }
    let set = signer.key_set();
    assert_eq!(set.keys.len(), MAX_PREVIOUS + 1);
    assert!(tokens[1..].iter().all(|token| verified(token, &set).is_ok()));
    assert!(verified(&tokens[0], &set).is_err(), "the oldest makes room");
}

#[test]
fn a_key_is_published_once_under_one_name() {
    let (one, two) = (KeyFile::new(&p256()), KeyFile::new(&p256()));
    let first = one.signer();
    let longer = Config { ttl: MAX_TTL, ..one.config() };
    assert_eq!(Signer::build(longer, Some(&first)).unwrap().key_set().keys.len(), 1);
    let next = Signer::build(two.config(), Some(&first)).unwrap();
    assert_eq!(next.key_set().keys.len(), 2);
    let named = |file: &KeyFile| Config { key_id: Some("mine".into()), ..file.config() };
    let first = Signer::build(named(&one), None).unwrap();
    let token = first.sign(&caller()).unwrap();
    let next = Signer::build(named(&two), Some(&first)).unwrap();
    assert_eq!(next.key_set().keys.len(), 1);
    assert_ne!(next.sign(&caller()).unwrap(), token);
}

#[test]
fn another_header_holds_the_bare_token_and_several_audiences_are_a_list() {
    let file = KeyFile::new(&p256());
    let audience = vec!["internal".to_owned(), "other".to_owned()];
    let config = Config { header: HeaderName::from_static("x-caller"), audience, ..file.config() };
    let token = text(&Signer::build(config, None).unwrap().sign(&caller()).unwrap());
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["aud"], json!(["internal", "other"]));
    assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
}

#[test]
fn what_a_caller_has_not_is_not_said() {
    let file = KeyFile::new(&p256());
    let bare = Principal { roles: Vec::new(), scopes: Vec::new(), plan: String::new(), ..caller() };
    let signer = file.signer();
    let claims = verified(&signer.sign(&bare).unwrap(), &signer.key_set()).unwrap();
    let names: Vec<_> = claims.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "provider", "sub"]);
}

#[test]
fn the_length_of_a_number_is_counted_in_bits() {
    for (bytes, expected) in [(&[][..], 0), (&[0, 0], 0), (&[1], 1), (&[0, 0x80, 0], 16), (&[0x7f; 256], 2047)] {
        assert_eq!(bits(&URL_SAFE_NO_PAD.encode(bytes)), expected, "{bytes:?}");
    }
}

/// A key of 1024 bits, made for this test and used for nothing.
const SMALL_RSA: &str = "\
-----BEGIN RSA PRIVATE KEY-----
MIICWwIBAAKBgQDLTjCuww85eClq/VgtoKTsGZ6eiCeIeetUpnijC8cE6oy5fsqX
cRSv2dPE31ahkukOKY8KU6mUz7Uxt+AwVGlpPSwE1/sSM2SzK1fyvFAsYUOm1ELn
EAnTaoCO2O9X71KiwtouTuZecjugC9NilfshlhcfwdpUpq6nK4gs2ROlCQIDAQAB
AoGANuCCL4ojX+XZeDGuTZKhMcGwmSYzVZljNlRBF/Gj5OXS2ncpBDvX06e+i9Ol
NLPNCK+bFrSCf9KZHDR/5UvDr9LQEiJN63G5RVkLE0RhvrvLPmNPMkuGBo6vDTgF
E4PryGuDSmARqpPK/krk8lO6BO3khVOwB2Mlh+lR1qeqBwECQQD5/cktKJruu2Es
OLBJybkEOGV4Yst6urVDBPiH6eCa+StntgQ1vieZMQCVb7H+Wt6hEpc3QX2cI1VE
kItEEM05AkEA0DEkgezOvSPvlg2g+5WK7f2IoyOM6cnr3sFBEGqg2R7o6MNaH7KU
t60xp5p2B/LMFwEv8bNzsS8mgSZYa+5mUQJBAIZdsvizv3qbemJDYfV3GBu9mER5
jXa8zdpk3JRoz5FcZckLmv2r5CrBnNe1Pk1BWDHpBR/s8m+uyhDdRA1knnkCQH8w
ZqNRbwQyPh6n+N96fsPijmVMRLxXddhCrGNBIT9EGPqKzjZrPVvxXVKNlOpKNNEh
Eo9RGK74pUdli8N0g+ECPw/iVE0sTyGOUZlDMXY0UE8wntzTopxiQRlYl7Utb/az
sXmuvB2eXj9RzzWYrJpk1P8QUWnz6pr6MFUw6aNbuw==
-----END RSA PRIVATE KEY-----
";
