//! Hostile tokens, one row each, and mutations of good ones.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::auth::testing::{AUDIENCE, EC, ED, ISSUER, RSA, SigningKey, claims, jwks, now};

fn rules() -> Rules {
    Rules {
        provider: "corp".into(),
        issuer: ISSUER.into(),
        audience: vec!["other".into(), AUDIENCE.into()],
        leeway: Duration::from_secs(30),
        roles_claim: "roles".into(),
    }
}

fn set(keys: &[&SigningKey]) -> KeySet {
    KeySet::parse(jwks(keys.iter().copied()).as_bytes()).unwrap()
}

fn verify(token: &str, keys: &KeySet) -> Result<Principal, Reason> {
    Jwt::parse(token)?.verify(keys, &rules(), SystemTime::now()).map(|(principal, _)| principal)
}

#[track_caller]
fn check(token: &str, expected: Result<(), Reason>) {
    let keys = set(&[&RSA, &EC, &ED]);
    assert_eq!(verify(token, &keys).map(drop), expected, "{token}");
}

/// A token of the usual claims with some changed; null takes one away.
#[track_caller]
fn check_claims(changes: Value, expected: Result<(), Reason>) {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    check(&EC.token(&claims), expected);
}

/// A properly signed token with this header.
#[track_caller]
fn check_header(header: &str, expected: Result<(), Reason>) {
    check(&EC.sign(header, &claims().to_string()), expected);
}

#[test]
fn every_asymmetric_algorithm_verifies() {
    let rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].map(|name| RSA.with_algorithm(name));
    let others = ["ES256", "ES384", "ES512", "EdDSA"].map(|name| SigningKey::generate(name, "k"));
    let other_rsa = SigningKey::generate("RS256", RSA.kid());
    for key in rsa.iter().chain(&others) {
        let principal = verify(&key.token(&claims()), &set(&[key])).unwrap();
        assert_eq!((principal.subject.as_str(), &*principal.provider), ("alice", "corp"), "{}", key.algorithm);
        let forged = match key.algorithm.starts_with('E') {
            true => SigningKey::generate(key.algorithm, key.kid()),
            false => other_rsa.with_algorithm(key.algorithm),
        };
        assert_eq!(verify(&forged.token(&claims()), &set(&[key])).unwrap_err(), Reason::BadSignature);
    }
}

#[test]
fn an_rsa_key_without_algorithm_verifies_all_of_its_kind_and_no_other() {
    let mut bare = RSA.with_algorithm("RS256");
    bare.jwk.as_object_mut().unwrap().remove("alg");
    let keys = set(&[&bare]);
    for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        assert!(verify(&RSA.with_algorithm(name).token(&claims()), &keys).is_ok(), "{name}");
    }
    let mut claimed = EC.header();
    claimed["kid"] = bare.kid().into();
    let token = EC.sign(&claimed.to_string(), &claims().to_string());
    assert_eq!(verify(&token, &keys).unwrap_err(), Reason::WrongAlgorithm);
}

#[test]
fn the_key_decides_the_algorithm() {
    let keys = set(&[&RSA]);
    assert_eq!(verify(&RSA.with_algorithm("PS256").token(&claims()), &keys).unwrap_err(), Reason::WrongAlgorithm);
    // The oldest trick: the public key as a secret.
    let secret = jsonwebtoken::EncodingKey::from_secret(RSA.jwk["n"].as_str().unwrap().as_bytes());
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = Some("rsa".into());
    let token = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    assert_eq!(verify(&token, &keys).unwrap_err(), Reason::WrongAlgorithm);
}

#[test]
fn headers_that_bring_rules_along_are_refused() {
    for (header, expected) in [
        (r#"{"alg":"ES256","kid":"ec"}"#, Ok(())),
        (r#"{"alg":"ES256"}"#, Ok(())),
        (r#"{"alg":"ES256","typ":"at+jwt"}"#, Ok(())),
        (r#"{"alg":"ES256","typ":"application/AT+JWT"}"#, Ok(())),
        (r#"{"alg":"ES256","typ":"jwt","b64":true,"x5t":"a","nonce":1}"#, Ok(())),
        (r#"{"alg":"ES256","typ":"logout+jwt"}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","typ":"dpop+jwt"}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","typ":""}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","typ":null}"#, Err(Reason::Malformed)),
        (r#"{"alg":"ES256","crit":[]}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","crit":null}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","jwk":{"kty":"EC"}}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","jku":"https://evil.example.com/"}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","x5u":"https://evil.example.com/"}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","x5c":["MII="]}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","zip":"DEF"}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","enc":"A128GCM"}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","b64":false}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"ES256","b64":0}"#, Err(Reason::Unsupported)),
        (r#"{"alg":"none"}"#, Err(Reason::WrongAlgorithm)),
        (r#"{"alg":"None"}"#, Err(Reason::WrongAlgorithm)),
        (r#"{"alg":"HS256"}"#, Err(Reason::WrongAlgorithm)),
        (r#"{"alg":"es256"}"#, Err(Reason::WrongAlgorithm)),
        (r#"{"alg":"ES256K"}"#, Err(Reason::WrongAlgorithm)),
        (r#"{"alg":"RS256","kid":"ec"}"#, Err(Reason::WrongAlgorithm)),
        (r#"{"alg":["ES256"]}"#, Err(Reason::Malformed)),
        (r#"{"kid":"ec"}"#, Err(Reason::Malformed)),
        (r#"{"alg":"ES256","alg":"ES256"}"#, Err(Reason::Malformed)),
        (r#"{"alg":"ES256","kid":"x","k\u0069d":"ec"}"#, Err(Reason::Malformed)),
        (r#"{"alg":"ES256","kid":1}"#, Err(Reason::Malformed)),
        (r#"{"alg":"ES256","kid":null}"#, Err(Reason::Malformed)),
        (r#"{"alg":"ES256","kid":"other"}"#, Err(Reason::UnknownKey)),
        (r#"{"alg":"ES256","kid":"../../dev/null"}"#, Err(Reason::UnknownKey)),
        (r#"{"alg":"ES256","kid":""}"#, Err(Reason::UnknownKey)),
        (r#"{"alg":"ES384"}"#, Err(Reason::UnknownKey)),
        (r#"["ES256"]"#, Err(Reason::Malformed)),
        (r#"{"alg":"ES256"} "#, Ok(())),
        (r#"{"alg":"ES256"}{}"#, Err(Reason::Malformed)),
        ("", Err(Reason::Malformed)),
    ] {
        check_header(header, expected);
    }
    check_header(&format!(r#"{{"alg":"ES256","x":{}{}}}"#, "[".repeat(200), "]".repeat(200)), Err(Reason::Malformed));
}

#[test]
fn claims_must_say_here_and_now() {
    let soon = now() + 300;
    for (changes, expected) in [
        (json!({}), Ok(())),
        (json!({ "iss": null }), Err(Reason::MissingClaim)),
        (json!({ "aud": null }), Err(Reason::MissingClaim)),
        (json!({ "exp": null }), Err(Reason::MissingClaim)),
        (json!({ "sub": null }), Err(Reason::MissingClaim)),
        (json!({ "sub": "" }), Err(Reason::MissingClaim)),
        (json!({ "sub": 7 }), Err(Reason::Malformed)),
        (json!({ "iss": format!("{ISSUER}/") }), Err(Reason::WrongIssuer)),
        (json!({ "iss": [ISSUER] }), Err(Reason::Malformed)),
        (json!({ "aud": [AUDIENCE, "x"] }), Ok(())),
        (json!({ "aud": ["x", "y"] }), Err(Reason::WrongAudience)),
        (json!({ "aud": [] }), Err(Reason::WrongAudience)),
        (json!({ "aud": "" }), Err(Reason::WrongAudience)),
        (json!({ "aud": [AUDIENCE, 1] }), Err(Reason::Malformed)),
        (json!({ "aud": { "a": AUDIENCE } }), Err(Reason::Malformed)),
        (json!({ "exp": now() - 10 }), Ok(())),
        (json!({ "exp": now() - 31 }), Err(Reason::Expired)),
        (json!({ "exp": soon as f64 + 0.5 }), Ok(())),
        (json!({ "exp": 0 }), Err(Reason::Expired)),
        (json!({ "exp": -1 }), Err(Reason::Expired)),
        (json!({ "exp": i64::MIN }), Err(Reason::Expired)),
        (json!({ "exp": u64::MAX }), Ok(())),
        (json!({ "exp": 1e300 }), Ok(())),
        (json!({ "exp": soon.to_string() }), Err(Reason::Malformed)),
        (json!({ "exp": true }), Err(Reason::Malformed)),
        (json!({ "nbf": now() + 20 }), Ok(())),
        (json!({ "nbf": now() + 60 }), Err(Reason::NotYetValid)),
        (json!({ "nbf": u64::MAX }), Err(Reason::NotYetValid)),
        (json!({ "nbf": -5.5 }), Ok(())),
        (json!({ "nbf": "0" }), Err(Reason::Malformed)),
        (json!({ "iat": now() + 9999 }), Ok(())),
        (json!({ "roles": 1 }), Err(Reason::Malformed)),
        (json!({ "scope": [1] }), Err(Reason::Malformed)),
    ] {
        check_claims(changes, expected);
    }
}

#[test]
fn claims_that_two_parsers_read_differently_are_refused() {
    let good = claims().to_string();
    for claims in [
        good.replacen('{', r#"{"sub":"root","#, 1),
        good.replacen('{', r#"{"s\u0075b":"root","#, 1),
        good.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1),
        good.replacen('{', r#"{"exp":1e999,"#, 1),
        good.replacen(&(now() + 300).to_string()[..6], "NaN", 1),
        format!("[{good}]"),
        format!("{good},"),
        format!("\u{feff}{good}"),
        String::new(),
    ] {
        check(&EC.sign(&EC.header().to_string(), &claims), Err(Reason::Malformed));
    }
}

#[test]
fn tokens_have_one_form() {
    let good = EC.token(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        format!("{good}="),
        format!("{header}=.{claims}.{signature}"),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.x"),
        format!("{header}.{claims}"),
        format!("{header} .{claims}.{signature}"),
        format!("{header}.{claims}.{}", signature.replace(['-', '_'], "+")) + "+",
        format!("{header}.{claims}.{signature}é"),
        format!("{header}.{claims}.\0"),
        "a".repeat(MAX_TOKEN_BYTES + 1),
    ] {
        check(&token, Err(Reason::Malformed));
    }
    check(&format!("{header}.{claims}."), Err(Reason::BadSignature));
    check(&format!("{header}.a.b.c.{signature}"), Err(Reason::Unsupported));
    let padded = EC.token(&json!({ "x": "a".repeat(MAX_TOKEN_BYTES) }));
    check(&padded, Err(Reason::Malformed));
}

#[test]
fn signatures_of_zeros_verify_nothing() {
    // ECDSA's r and s of zero passed in Java once (CVE-2022-21449).
    for key in [&*EC, &*ED, &*RSA] {
        let token = key.token(&claims());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        for byte in [0, 0xff] {
            let zeros = vec![byte; URL_SAFE_NO_PAD.decode(signature).unwrap().len()];
            check(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(zeros)), Err(Reason::BadSignature));
        }
    }
    // DER, as TLS writes it, is another encoding of the same numbers, and refused.
    let token = EC.token(&claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut der = vec![0x30, 70, 2, 33, 0];
    der.extend(&raw[..32]);
    der.extend([2, 33, 0]);
    der.extend(&raw[32..]);
    check(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(der)), Err(Reason::BadSignature));
}

#[test]
fn a_token_without_key_id_is_tried_against_keys_that_fit_and_not_too_many() {
    let others: Vec<_> = (0..MAX_KEYS_TRIED).map(|_| SigningKey::generate("ES256", "other")).collect();
    let token = EC.sign(r#"{"alg":"ES256"}"#, &claims().to_string());
    let mut keys: Vec<&SigningKey> = vec![&ED, &RSA];
    keys.extend(others.iter().skip(1));
    keys.push(&EC);
    assert!(verify(&token, &set(&keys)).is_ok());
    keys.insert(0, &others[0]);
    assert_eq!(verify(&token, &set(&keys)).unwrap_err(), Reason::BadSignature);
    assert_eq!(verify(&token, &set(&[&ED, &RSA])).unwrap_err(), Reason::UnknownKey);
    assert_eq!(verify(&token, &set(&[])).unwrap_err(), Reason::UnknownKey);
}

#[test]
fn claims_become_a_principal() {
    let mut claims = claims();
    claims["roles"] = json!(["admin", "reader"]);
    claims["scope"] = json!("orders.read  orders.write");
    claims["scp"] = json!(["ignored"]);
    claims["exp"] = json!(4_000_000_000_u64);
    let principal = verify(&ED.token(&claims), &set(&[&ED])).unwrap();
    assert_eq!(principal.id, "corp:alice");
    assert_eq!(principal.roles, ["admin", "reader"]);
    assert_eq!(principal.scopes, ["orders.read", "orders.write"]);
    assert_eq!(principal.expires, Some(UNIX_EPOCH + Duration::from_secs(4_000_000_030)));
    assert_eq!(Value::Object(principal.claims), claims);
    let mut claims = self::claims();
    claims["roles"] = json!("admin reader");
    claims["scp"] = json!(["a", "b"]);
    let principal = verify(&ED.token(&claims), &set(&[&ED])).unwrap();
    assert_eq!(
        (principal.roles, principal.scopes),
        (vec!["admin".into(), "reader".into()], vec!["a".into(), "b".into()])
    );
}

#[test]
fn no_leeway_overflows() {
    let rules = Rules { leeway: Duration::MAX, ..rules() };
    let mut claims = claims();
    for (exp, expected) in [(json!(now() - 200), true), (json!(now() - 400), false), (json!(u64::MAX), true)] {
        claims["exp"] = exp;
        let token = EC.token(&claims);
        let verified = Jwt::parse(&token).unwrap().verify(&set(&[&EC]), &rules, SystemTime::now()).is_ok();
        assert_eq!(verified, expected);
    }
}

#[test]
fn the_issuer_is_told_without_keys() {
    assert_eq!(unverified_issuer(&EC.token(&claims())).unwrap(), ISSUER);
    assert_eq!(unverified_issuer(&EC.token(&json!({}))).unwrap_err(), Reason::MissingClaim);
    assert_eq!(unverified_issuer(&EC.token(&json!({ "iss": 1 }))).unwrap_err(), Reason::Malformed);
    assert_eq!(unverified_issuer(&EC.sign("{}", r#"{"iss":"a","iss":"b"}"#)).unwrap_err(), Reason::Malformed);
    assert_eq!(unverified_issuer("opaque").unwrap_err(), Reason::Malformed);
}

proptest! {
    #[test]
    fn a_mutated_token_never_verifies(
        which in 0..3_usize,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        kind in 0..4_u8,
    ) {
        let key = [&*RSA, &*EC, &*ED][which];
        let good = key.token(&claims());
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = byte,
            1 => bytes[at] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[usize::from(byte % 64)],
            2 => bytes.insert(at, byte),
            _ => { bytes.remove(at); }
        }
        let Ok(mutated) = String::from_utf8(bytes) else { return Ok(()) };
        prop_assume!(mutated != good);
        prop_assert!(verify(&mutated, &set(&[&RSA, &EC, &ED])).is_err(), "{good} {mutated}");
    }

    #[test]
    fn whatever_comes_ends_in_a_reason(token in "[ -~]{0,60}|[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,20}") {
        prop_assert!(verify(&token, &set(&[&EC])).is_err());
        let _ = unverified_issuer(&token);
    }
}
