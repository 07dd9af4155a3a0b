//! Tokens: no panic, and nothing that is not signed verifies.
//!
//! The input is a header, line feed, claims, line feed and a signature, all as text; or a token as it would come. The
//! keys are published ones whose private halves nobody here has.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use lockgate::auth::jwt::{Jwt, Rules, unverified_issuer};
use lockgate::auth::key_set::KeySet;
use lockgate::auth::token_cache::Token;

/// The public keys of RFC 7517 appendix A.1 and RFC 8037 appendix A.2.
const KEYS: &[u8] = br#"{"keys":[
    {"kty":"EC","crv":"P-256","kid":"1",
     "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
    {"kty":"RSA","kid":"2","e":"AQAB",
     "n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"},
    {"kty":"OKP","crv":"Ed25519","kid":"3","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
]}"#;

static SET: LazyLock<KeySet> = LazyLock::new(|| {
    let set = KeySet::parse(KEYS).expect("the keys are a set");
    assert_eq!(set.keys().len(), 3);
    set
});

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    provider: "fuzz".into(),
    issuer: "i".into(),
    audience: vec!["a".into()],
    leeway: Duration::from_secs(30),
    roles_claim: "roles".into(),
});

fn try_token(text: &str) {
    let _ = unverified_issuer(text);
    let Ok(token) = Token::new(text) else { return };
    if let Ok(jwt) = Jwt::parse(token.text()) {
        assert!(jwt.verify(&SET, &RULES, SystemTime::now()).is_err(), "nobody has signed it");
    }
}

fuzz_target!(|input: &str| {
    try_token(input);
    let mut lines = input.splitn(3, '\n').map(|line| URL_SAFE_NO_PAD.encode(line));
    let mut part = || lines.next().unwrap_or_default();
    try_token(&[part(), part(), part()].join("."));
});
