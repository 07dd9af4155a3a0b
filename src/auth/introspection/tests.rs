//! A real endpoint on loopback: what it is asked, what is believed of its answers, and for how long.

use std::task::Poll;

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
    for (ttl, exp) in [(Duration::from_millis(50), now() + 300), (DEFAULT_TTL, now() - 26)] {
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

#[tokio::test]
async fn a_hundred_requests_with_one_token_ask_once() {
    let (server, provider) = endpoint(good(), |_| {}).await;
    let token = Token::new("t").unwrap();
    let asking: Vec<_> = (0..100).map(|_| provider.verify(&token)).collect();
    let other = Token::new("u").unwrap();
    let (outcomes, other) = tokio::join!(futures_util::future::join_all(asking), provider.verify(&other));
    assert!(outcomes.iter().all(Result::is_ok) && other.is_ok());
    assert_eq!(server.count("/introspect"), 2);
    assert!(provider.flights.lock().unwrap().is_empty());
}

#[tokio::test]
async fn requests_share_a_failure_as_well() {
    let (server, provider) = endpoint(good(), |_| {}).await;
    server.goes_down();
    let token = Token::new("t").unwrap();
    let outcomes = futures_util::future::join_all((0..100).map(|_| provider.verify(&token))).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Err(Reason::Unavailable)));
    assert_eq!((server.count("/introspect"), provider.failures()), (1, 1));
}

#[tokio::test]
async fn whoever_waits_asks_when_the_first_goes_away() {
    let (server, provider) = endpoint(good(), |_| {}).await;
    let token = Token::new("t").unwrap();
    let (mut first, mut second) = (Box::pin(provider.verify(&token)), Box::pin(provider.verify(&token)));
    for waiting in [&mut first, &mut second] {
        let is_pending = std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await;
        assert!(is_pending);
    }
    drop(first);
    assert!(second.await.is_ok());
    assert!(server.count("/introspect") >= 1);
    drop(provider.verify(&Token::new("u").unwrap()));
    assert!(provider.flights.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_good_answer_may_be_stale_while_nobody_can_be_asked() {
    let (server, provider) = endpoint(good(), |config| {
        (config.ttl, config.stale) = (Duration::from_millis(20), Duration::from_secs(300));
    })
    .await;
    let token = Token::new("t").unwrap();
    provider.verify(&token).await.unwrap();
    server.goes_down();
    until("it is no longer fresh", || provider.cached(&token).is_none()).await;
    assert_eq!(provider.verify(&token).await.unwrap().subject, "alice");
    // For a while it is not asked about again.
    let asked = server.count("/introspect");
    assert!(provider.verify(&token).await.is_ok());
    assert_eq!(server.count("/introspect"), asked);
    assert_eq!(provider.verify(&Token::new("new").unwrap()).await.unwrap_err(), Reason::Unavailable);
    let until = |seconds| SystemTime::now() + Duration::from_secs(seconds);
    assert!(provider.stale(&token, until(290)).is_some());
    assert!(provider.stale(&token, until(301)).is_none(), "stale has an end");
}

#[tokio::test]
async fn no_answer_outlives_the_token_or_its_withdrawal() {
    let stale = |config: &mut Config| {
        (config.ttl, config.stale, config.leeway) = (Duration::from_millis(20), MAX_STALE, Duration::ZERO);
    };
    let (_server, provider) = endpoint(good(), stale).await;
    let token = Token::new("t").unwrap();
    provider.verify(&token).await.unwrap();
    assert!(provider.stale(&token, SystemTime::now() + Duration::from_secs(298)).is_some());
    assert!(provider.stale(&token, SystemTime::now() + Duration::from_secs(301)).is_none());

    let (server, provider) = endpoint(good(), stale).await;
    provider.verify(&token).await.unwrap();
    server.says("/introspect", Answer::ok(json!({ "active": false }).to_string()));
    until("it is no longer fresh", || provider.cached(&token).is_none()).await;
    assert_eq!(provider.verify(&token).await.unwrap_err(), Reason::Inactive);
    server.goes_down();
    assert!(provider.stale(&token, SystemTime::now()).is_none(), "what was withdrawn is never stale");
}
