//! The gateway's own tokens: what the upstream receives verifies against what the admin server publishes, and nothing
//! that a client sends under their name arrives.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::guard::{Signer, bearer, guarded, now};
use crate::support::echo;
use crate::support::folder::Folder;
use crate::support::gateway::{Gateway, configuration, lockgate};
use crate::support::http1::Request;
use crate::support::probe::Probe;
use crate::support::process::run;

const RELOADED: std::time::Duration = std::time::Duration::from_secs(2);

fn key(kind: &'static rcgen::SignatureAlgorithm) -> String {
    KeyPair::generate_for(kind).expect("a key can be made").serialize_pem()
}

fn signing(more: &str) -> String {
    format!(
        "
auth:
  providers: {{ users: {{ jwt: {{ issuer: 'https://issuer.test', audience: [api], jwks: keys.json }} }} }}
  sign: {{ key: gateway.pem, audience: [internal], ttl: 30s{more} }}
defaults: {{ auth: [users] }}
services:
  lockgate.test.v1.Echo:
    Ping: {{ auth: none }}
    Plain: {{ auth: optional }}
"
    )
}

fn set(gateway: &Gateway) -> JwkSet {
    loop {
        let answer = gateway.ask("/jwks.json").expect(200);
        assert_eq!(answer.head.get("content-type"), Some("application/jwk-set+json"));
        let other = gateway.ask("/.well-known/jwks.json").expect(200);
        // A key may be swapped between two questions: they are compared where none was.
        if gateway.ask("/jwks.json").expect(200).text() == answer.text() {
            assert_eq!(other.text(), answer.text());
            return serde_json::from_str(answer.text()).expect("it is a key set");
        }
    }
}

/// What a service behind the gateway makes of a token.
fn verify(token: &str, set: &JwkSet) -> Option<Value> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    let key = DecodingKey::from_jwk(set.find(header.kid.as_deref()?)?).ok()?;
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&["internal"]);
    validation.set_issuer(&["lockgate"]);
    jsonwebtoken::decode(token, &key, &validation).ok().map(|token| token.claims)
}

/// The one value that the upstream received under this name.
#[track_caller]
fn received(probe: &Probe, name: &str) -> String {
    let values = probe.metadata_of(name);
    assert_eq!(values.len(), 1, "{values:?}");
    values.into_iter().next().unwrap_or_default()
}

#[test]
fn the_upstream_receives_a_token_that_the_published_keys_verify() {
    let signer = Signer::new("one");
    for kind in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let gateway = guarded(&[("keys.json", &signer.set()), ("gateway.pem", &key(kind))], &signing(""));
        let token = signer.token("mira", &json!({ "roles": ["admin"], "scope": "read write" }));
        let probe = Probe::new();
        gateway.call(&bearer("GET /v1/search", &token).header(probe.header())).expect(200);
        let own = received(&probe, "authorization");
        let own = own.strip_prefix("Bearer ").expect("it is a bearer's");
        assert_ne!(own, token);
        let claims = verify(own, &set(&gateway)).expect("the published key verifies it");
        assert_eq!([&claims["sub"], &claims["provider"], &claims["scope"]], ["mira", "users", "read write"]);
        assert_eq!(claims["roles"], json!(["admin"]));
        let (begin, end) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
        assert!(end == begin + 30 && begin <= now() && now() < end, "{claims}");
        // It is the same for a while.
        let again = Probe::new();
        gateway.call(&bearer("GET /v1/search", &token).header(again.header())).expect(200);
        assert_eq!(received(&again, "authorization"), format!("Bearer {own}"));
        assert!(!gateway.process.output().contains(own), "the token is in the log");
    }
}

#[test]
fn a_token_ends_with_the_credential_that_it_stands_for() {
    let signer = Signer::new("one");
    let pem = key(&rcgen::PKCS_ECDSA_P256_SHA256);
    let gateway = guarded(&[("keys.json", &signer.set()), ("gateway.pem", &pem)], &signing(""));
    let end = now() + 12;
    let token = signer.token("mira", &json!({ "exp": end }));
    let probe = Probe::new();
    gateway.call(&bearer("GET /v1/search", &token).header(probe.header())).expect(200);
    let own = received(&probe, "authorization");
    assert_eq!(verify(&own[7..], &set(&gateway)).expect("it is good")["exp"], end);
}

fn forging<'a>(request: Request<'a>, probe: &Probe) -> Request<'a> {
    let forged = ["x-caller-token: forged", "X-Caller-Token: forged", "x_caller_token: forged"];
    let request = request.header(probe.header()).header("connection: x-caller-token");
    forged.iter().fold(request, |request, header| request.header(*header))
}

#[test]
fn nothing_that_a_client_sends_under_its_name_arrives() {
    let signer = Signer::new("one");
    let pem = key(&rcgen::PKCS_ED25519);
    let more = ", header: x-caller-token";
    let gateway = guarded(&[("keys.json", &signer.set()), ("gateway.pem", &pem)], &signing(more));
    // An open method, and one at which nobody has to be known.
    for line in ["GET /v1/ping", "POST /lockgate.test.v1.Echo/Plain"] {
        let probe = Probe::new();
        let request = forging(Request::new(line), &probe);
        let request = if line.starts_with("POST") { request.json("{}") } else { request };
        gateway.call(&request).expect(200);
        assert!(probe.metadata_of("x-caller-token").is_empty() && probe.metadata_of("x_caller_token").is_empty());
    }
    let probe = Probe::new();
    let token = signer.token("mira", &json!({}));
    gateway.call(&forging(bearer("GET /v1/search", &token), &probe)).expect(200);
    let own = received(&probe, "x-caller-token");
    assert_eq!(verify(&own, &set(&gateway)).expect("it is the bare token")["sub"], "mira");
    assert!(probe.metadata_of("x_caller_token").is_empty());
    assert!(probe.metadata_of("authorization").is_empty());
}

#[test]
fn with_the_usual_header_no_authorization_of_a_client_passes() {
    let signer = Signer::new("one");
    let pem = key(&rcgen::PKCS_ED25519);
    let gateway = guarded(&[("keys.json", &signer.set()), ("gateway.pem", &pem)], &signing(""));
    for value in ["Bearer forged", "Basic Zm9vOmJhcg=="] {
        let probe = Probe::new();
        let request = Request::new("GET /v1/ping").header(format!("authorization: {value}")).header(probe.header());
        gateway.call(&request).expect(200);
        assert!(probe.metadata_of("authorization").is_empty(), "{value}");
    }
}

#[test]
fn beside_another_header_the_caller_s_token_may_be_passed_on() {
    let signer = Signer::new("one");
    let pem = key(&rcgen::PKCS_ED25519);
    let text = signing(", header: x-caller-token").replace("auth: [users] }", "auth: [users], forward_token: true }");
    let gateway = guarded(&[("keys.json", &signer.set()), ("gateway.pem", &pem)], &text);
    let (probe, token) = (Probe::new(), signer.token("mira", &json!({})));
    gateway.call(&bearer("GET /v1/search", &token).header(probe.header())).expect(200);
    assert_eq!(received(&probe, "authorization"), format!("Bearer {token}"));
    assert!(verify(&received(&probe, "x-caller-token"), &set(&gateway)).is_some());
}

#[test]
fn a_key_is_swapped_live_and_a_broken_one_keeps_the_old() {
    let signer = Signer::new("one");
    let (old, new) = (key(&rcgen::PKCS_ECDSA_P256_SHA256), key(&rcgen::PKCS_ED25519));
    let gateway = guarded(&[("keys.json", &signer.set()), ("gateway.pem", &old)], &signing(""));
    let folder = gateway.folder.as_ref().expect("it has one");
    let token = signer.token("mira", &json!({}));
    let own = |gateway: &Gateway| {
        let probe = Probe::new();
        gateway.call(&bearer("GET /v1/search", &token).header(probe.header())).expect(200);
        received(&probe, "authorization")[7..].to_owned()
    };
    let (first, before) = (own(&gateway), set(&gateway));
    folder.replace("gateway.pem", &new);
    gateway.within(RELOADED, "both keys are published", |gateway| set(gateway).keys.len() == 2);
    let second = own(&gateway);
    assert!(verify(&second, &before).is_none(), "the new key signs");
    for token in [&first, &second] {
        assert!(verify(token, &set(&gateway)).is_some());
    }
    folder.replace("gateway.pem", "no key");
    gateway.within(RELOADED, "the broken key is told of", |gateway| {
        gateway.ask("/readyz").expect(200).text().contains("gateway.pem")
    });
    assert_eq!(gateway.metric("lockgate_signing_key_reload_failures_total", &[]), 1.0);
    assert_eq!(own(&gateway), second);
    folder.replace("gateway.pem", &new);
    gateway.within(RELOADED, "it is mended", is_mended);
    // Or another file is named instead.
    folder.replace("gateway.pem", "no key");
    gateway.within(RELOADED, "the broken key is told of", |gateway| !is_mended(gateway));
    let third = folder.write("third.pem", key(&rcgen::PKCS_ECDSA_P384_SHA384));
    let text = std::fs::read_to_string(folder.join("lockgate.yaml")).expect("it is there");
    folder.replace("lockgate.yaml", text.replace("gateway.pem", third.to_str().expect("it is text")));
    gateway.within(RELOADED, "another key is named", is_mended);
    let set = set(&gateway);
    assert!(verify(&own(&gateway), &set).is_some() && verify(&second, &set).is_some());
}

/// Whether no key is refused.
fn is_mended(gateway: &Gateway) -> bool {
    !gateway.ask("/readyz").expect(200).text().contains("gateway.pem")
}

#[test]
fn without_signing_no_key_is_published() {
    assert_eq!(Gateway::plain().ask("/jwks.json").expect(200).json(), json!({ "keys": [] }));
}

#[test]
fn what_can_t_be_signed_is_found_when_loading() {
    let folder = Folder::new();
    folder.write("keys.json", Signer::new("one").set());
    let check = |text: &str| {
        let file = folder.write("lockgate.yaml", configuration(echo::address(), text));
        let checked = run(lockgate().arg("check").arg("-c").arg(file));
        assert_ne!(checked.code, Some(0), "{text}");
        checked.stderr + &checked.stdout
    };
    let said = check(&signing(""));
    assert!(said.contains("gateway.pem") && said.contains("lockgate.yaml:"), "{said}");
    folder.write("gateway.pem", "no key");
    let said = check(&signing(""));
    assert!(said.contains("expected a PEM private key"), "{said}");
    folder.write("gateway.pem", key(&rcgen::PKCS_ED25519));
    let said = check(&signing("").replace("auth: [users] }", "auth: [users], forward_token: true }"));
    assert_eq!(said.matches("expected another `header` for `sign`").count(), 1, "{said}");
}
