//! A real endpoint on loopback: what it is asked, what is believed of its answers, and for how long.

use serde_json::json;

use super::*;
use crate::auth::testing::{Answer, Server, now, until};

async fn endpoint(answer: Value, change: impl FnOnce(&mut Config)) -> (Server, Introspection) {
    let server = Server::start().await;
    server.says("/introspect", Answer::ok(answer.to_string()));
    let mut config = Config::new("opaque", format!("{}/introspect", server.url), "id:1", Secret::new("se cret"));
    change(&mut config);
    let provider = Introspection::build(config, Client::new(None).unwrap()).unwrap();
    (server, provider)
}

fn good() -> Value {
    json!({ "active": true, "sub": "alice", "scope": "a b", "exp": now() + 300, "aud": ["x", "api"], "iss": "i" })
}

#[tokio::test]
async fn a_token_is_asked_about_once() {
    let (server, provider) = endpoint(good(), |_| {}).await;
    let token = Token::new("opaque+token/&=").unwrap();
    assert!(provider.cached(&token).is_none());
    let principal = provider.verify(&token).await.unwrap();
    assert_eq!((principal.id.as_str(), principal.scopes.len()), ("opaque:alice", 2));
    assert!(provider.cached(&token).is_some());
    provider.verify(&token).await.unwrap();
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].body, "token=opaque%2Btoken%2F%26%3D&token_type_hint=access_token");
    assert_eq!(requests[0].headers["content-type"], "application/x-www-form-urlencoded");
    let basic = requests[0].headers["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap();
    assert_eq!(STANDARD.decode(basic).unwrap(), b"id%3A1:se%20cret");
}

#[tokio::test]
async fn answers_are_held_to_the_rules() {
    let with = |name: &str, value: Value| {
        let mut answer = good();
        answer[name] = value;
        answer
    };
    for (answer, expected) in [
        (good(), Ok(())),
        (with("active", false.into()), Err(Reason::Inactive)),
        (with("active", "true".into()), Err(Reason::Unavailable)),
        (with("exp", (now() - 60).into()), Err(Reason::Expired)),
        (with("nbf", (now() + 60).into()), Err(Reason::NotYetValid)),
        (with("iss", "other".into()), Err(Reason::WrongIssuer)),
        (with("aud", "other".into()), Err(Reason::WrongAudience)),
        (json!({ "active": false }), Err(Reason::Inactive)),
        (json!({ "active": true, "iss": "i" }), Err(Reason::MissingClaim)),
        (json!({ "active": true, "iss": "i", "aud": "api" }), Err(Reason::MissingClaim)),
        (json!([]), Err(Reason::Unavailable)),
    ] {
        let (server, provider) = endpoint(answer.clone(), |config| {
            config.issuer = Some("i".into());
            config.audience = vec!["api".into()];
        })
        .await;
        let token = Token::new("t").unwrap();
        assert_eq!(provider.verify(&token).await.map(drop), expected, "{answer}");
        assert_eq!(provider.verify(&token).await.map(drop), expected, "{answer}");
        // Refusals are remembered too; what is no answer is not.
        let asked = if expected == Err(Reason::Unavailable) { 2 } else { 1 };
        assert_eq!(server.count("/introspect"), asked, "{answer}");
    }
}

#[tokio::test]
async fn without_rules_only_activity_counts() {
    let (_server, provider) = endpoint(json!({ "active": true, "sub": "s" }), |_| {}).await;
    assert_eq!(provider.verify(&Token::new("t").unwrap()).await.unwrap().expires, None);
}

#[tokio::test]
async fn an_answer_is_believed_for_its_time_and_no_longer_than_the_token() {
    for (ttl, exp) in [(Duration::from_millis(50), now() + 300), (DEFAULT_TTL, now() - 29)] {
        let mut answer = good();
        answer["exp"] = exp.into();
        let (_server, provider) = endpoint(answer, |config| config.ttl = ttl).await;
        let token = Token::new("t").unwrap();
        provider.verify(&token).await.unwrap();
        until("it is forgotten", || provider.cached(&token).is_none()).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_is_unavailable_and_asked_again() {
    let (server, provider) = endpoint(good(), |_| {}).await;
    let token = Token::new("t").unwrap();
    for answer in [
        Answer { status: 401, ..Answer::ok("{}") },
        Answer { status: 302, headers: vec![("location", server.url.clone())], body: "{}".into() },
        Answer::ok(vec![b' '; MAX_ANSWER_BYTES + 1]),
    ] {
        server.says("/introspect", answer);
        assert_eq!(provider.verify(&token).await.unwrap_err(), Reason::Unavailable);
    }
    assert_eq!(provider.failures(), 3);
    server.says("/introspect", Answer::ok(good().to_string()));
    assert!(provider.verify(&token).await.is_ok());
}

#[tokio::test]
async fn secrets_are_never_shown() {
    let (_server, provider) = endpoint(good(), |_| {}).await;
    let shown = format!("{provider:?} {:?}", Token::new("a-token").unwrap());
    assert!(!shown.contains("cret\"") && !shown.contains("Basic") && !shown.contains("a-token"), "{shown}");
}
