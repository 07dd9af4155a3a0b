//! Keys that are used, and what is left out of a set and why.

use serde_json::{Value, json};

use super::*;
use crate::auth::testing::{EC, ED, RSA, jwks};

/// A key of the set, with these members changed; null takes one away.
#[track_caller]
fn check(key: &Value, changes: Value, expected: Result<(), &str>) {
    let mut key = key.clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            key.as_object_mut().unwrap().remove(name);
        } else {
            key[name] = value.clone();
        }
    }
    let text = json!({ "keys": [&key, EC.jwk] }).to_string();
    let set = KeySet::parse(text.as_bytes()).unwrap();
    assert!(set.keys().iter().any(|key| key.id() == Some("ec")), "the good key beside it is used");
    let found = set.skipped().first().map(|skipped| skipped.why);
    assert_eq!(found, expected.err(), "{key}");
}

#[test]
fn one_bad_key_never_spoils_a_set() {
    let number = |bytes: usize, low: u8| {
        let mut number = vec![0xff; bytes];
        number[bytes - 1] = low;
        URL_SAFE_NO_PAD.encode(number)
    };
    let n = URL_SAFE_NO_PAD.decode(RSA.jwk["n"].as_str().unwrap()).unwrap();
    let signed_n = URL_SAFE_NO_PAD.encode([&[0], n.as_slice()].concat());
    check(&RSA.jwk, json!({}), Ok(()));
    check(&RSA.jwk, json!({ "alg": null, "kid": null }), Ok(()));
    check(&RSA.jwk, json!({ "use": "sig", "key_ops": ["encrypt", "verify"] }), Ok(()));
    check(&RSA.jwk, json!({ "n": signed_n }), Ok(()));
    check(&RSA.jwk, json!({ "use": "enc" }), Err("not for signatures"));
    check(&RSA.jwk, json!({ "key_ops": ["sign"] }), Err("not for signatures"));
    check(&RSA.jwk, json!({ "key_ops": [] }), Err("not for signatures"));
    check(&RSA.jwk, json!({ "d": "AQAB" }), Err("a private key"));
    check(&RSA.jwk, json!({ "alg": "HS256" }), Err("an algorithm that is not used here"));
    check(&RSA.jwk, json!({ "alg": "RSA-OAEP" }), Err("an algorithm that is not used here"));
    check(&RSA.jwk, json!({ "alg": "ES256" }), Err("an algorithm that does not fit the kind of key"));
    check(&RSA.jwk, json!({ "n": null }), Err("a member is missing"));
    check(&RSA.jwk, json!({ "n": "=" }), Err("a member is not base64url"));
    check(&RSA.jwk, json!({ "n": "" }), Err("an RSA key of zero"));
    check(&RSA.jwk, json!({ "e": "AAAA" }), Err("an RSA key of zero"));
    check(&RSA.jwk, json!({ "e": "AQ" }), Err("not the numbers of an RSA key"));
    check(&RSA.jwk, json!({ "e": "Ag" }), Err("not the numbers of an RSA key"));
    check(&RSA.jwk, json!({ "e": number(5, 1) }), Err("not the numbers of an RSA key"));
    check(&RSA.jwk, json!({ "n": number(128, 1) }), Err("RSA of fewer than 2048 bits or more than 8192"));
    check(&RSA.jwk, json!({ "n": number(1025, 1) }), Err("RSA of fewer than 2048 bits or more than 8192"));
    check(&RSA.jwk, json!({ "n": number(256, 0) }), Err("not the numbers of an RSA key"));
    check(&RSA.jwk, json!({ "kty": "oct", "k": "c2VjcmV0" }), Err("symmetric"));
    check(&RSA.jwk, json!({ "kty": "AKP" }), Err("a kind or curve that is not used here"));
    check(&RSA.jwk, json!({ "kty": 1 }), Err("not a JSON Web Key"));
    check(&RSA.jwk, json!({ "kid": 1 }), Err("not a JSON Web Key"));
    check(&EC.jwk, json!({ "crv": "secp256k1" }), Err("a kind or curve that is not used here"));
    check(&EC.jwk, json!({ "crv": "P-384" }), Err("coordinates of another length than the curve's"));
    check(&EC.jwk, json!({ "y": EC.jwk["x"] }), Err("not a point of its curve"));
    check(&ED.jwk, json!({ "crv": "Ed448" }), Err("a kind or curve that is not used here"));
    check(&ED.jwk, json!({ "crv": "X25519" }), Err("a kind or curve that is not used here"));
    check(&ED.jwk, json!({ "alg": "Ed25519" }), Ok(()));
    check(&ED.jwk, json!({ "x": "AA" }), Err("coordinates of another length than the curve's"));
    check(&json!({}), json!({}), Err("not a JSON Web Key"));
}

#[test]
fn points_of_small_order_are_no_keys() {
    let low = |first: u8, middle: u8, last: u8| {
        let mut point = [middle; 32];
        (point[0], point[31]) = (first, last);
        point
    };
    let eighth = *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\
        \xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05";
    let points =
        [low(0, 0, 0), low(1, 0, 0), low(0xec, 0xff, 0x7f), low(0xed, 0xff, 0x7f), low(0xee, 0xff, 0x7f), eighth];
    for mut point in points {
        for sign in [0, 0x80] {
            point[31] = point[31] & 0x7f | sign;
            let x = URL_SAFE_NO_PAD.encode(point);
            check(&ED.jwk, json!({ "x": x }), Err("a point of small order, by which anybody can sign"));
        }
    }
}

#[test]
fn elements_that_are_no_objects_are_left_out() {
    let text = format!(r#"{{"keys":[null,1,"a",[],{}, {{"kty":"EC","kty":"EC"}}],"x":1}}"#, EC.jwk);
    let set = KeySet::parse(text.as_bytes()).unwrap();
    assert_eq!((set.keys().len(), set.skipped().len()), (1, 5));
}

#[test]
fn what_is_no_set_is_refused() {
    for text in ["", "null", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"keys":[]}x"#, "<html>"] {
        assert!(matches!(KeySet::parse(text.as_bytes()), Err(KeySetError::Malformed(_))), "{text}");
    }
    assert!(KeySet::parse(br#"{"keys":[]}"#).unwrap().keys().is_empty());
    let many = |count: usize| json!({ "keys": vec![&EC.jwk; count] }).to_string();
    assert_eq!(KeySet::parse(many(MAX_KEYS).as_bytes()).unwrap().keys().len(), MAX_KEYS);
    assert_eq!(KeySet::parse(many(MAX_KEYS + 1).as_bytes()).unwrap_err(), KeySetError::TooMany(MAX_KEYS + 1));
    let large = vec![b' '; MAX_SET_BYTES + 1];
    assert_eq!(KeySet::parse(&large).unwrap_err(), KeySetError::TooLarge(MAX_SET_BYTES + 1));
}

#[test]
fn a_key_is_known_by_all_that_it_is() {
    let set = |text: String| KeySet::parse(text.as_bytes()).unwrap();
    let (both, one) = (set(jwks([&*EC, &*ED])), set(jwks([&*ED])));
    assert!(both.holds(one.keys()[0].digest()));
    assert!(!one.holds(both.keys()[0].digest()));
}

#[test]
fn the_keys_of_the_specifications_are_read() {
    // RFC 7517 appendix A.1, whose first key is for encryption, and RFC 8037 appendix A.2.
    let text = r#"{"keys":[
        {"kty":"EC","crv":"P-256","use":"enc","kid":"1",
         "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
        {"kty":"RSA","e":"AQAB","alg":"RS256","kid":"2011-04-29",
         "n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"},
        {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    ]}"#;
    for (text, expected) in [(text.to_owned(), 2), (text.replace("enc", "sig"), 3)] {
        assert_eq!(KeySet::parse(text.as_bytes()).unwrap().keys().len(), expected);
    }
}
