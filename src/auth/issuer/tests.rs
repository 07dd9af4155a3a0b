//! A real issuer on loopback that rotates its keys, goes down, and answers what it should not.

use std::path::PathBuf;

use serde_json::json;
use tokio::task::JoinHandle;

use super::*;
use crate::auth::key_source::Pace;
use crate::auth::testing::{AUDIENCE, Answer, EC, ED, Server, SigningKey, claims, jwks, until};

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// A running issuer, and the gateway's side of it.
struct Running {
    server: Server,
    issuer: Arc<Issuer>,
    run: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.run.abort();
    }
}

impl Running {
    /// With keys found by discovery.
    async fn start(keys: &[&SigningKey]) -> Self {
        let server = Server::start().await;
        publish(&server, keys);
        Self::with(server, Pace::quick(), |url| Config::new("corp", url, vec![AUDIENCE.into()], KeySource::Discover))
    }

    fn with(server: Server, pace: Pace, config: impl FnOnce(&str) -> Config) -> Self {
        let issuer = Issuer::build(config(&server.url), Client::new(None).unwrap()).unwrap().with_pace(pace);
        let issuer = Arc::new(issuer);
        let run = tokio::spawn(Arc::clone(&issuer).run());
        Self { server, issuer, run }
    }

    fn token(&self, key: &SigningKey) -> String {
        let mut claims = claims();
        claims["iss"] = self.server.url.as_str().into();
        key.token(&claims)
    }

    async fn verify(&self, token: &str) -> Result<Arc<Principal>, Reason> {
        self.issuer.verify(&Token::new(token).unwrap()).await
    }

    fn cached(&self, token: &str) -> bool {
        self.issuer.cached(&Token::new(token).unwrap()).is_some()
    }
}

fn publish(server: &Server, keys: &[&SigningKey]) {
    let document = json!({ "issuer": server.url, "jwks_uri": format!("{}/keys", server.url), "x": 1 });
    server.says(DISCOVERY, Answer::ok(document.to_string()));
    server.says("/keys", Answer::ok(jwks(keys.iter().copied())));
}

#[tokio::test]
async fn discovered_keys_verify_tokens() {
    let running = Running::start(&[&EC]).await;
    let token = running.token(&EC);
    // The first request comes before the first keys, and waits for them.
    let principal = running.verify(&token).await.unwrap();
    assert_eq!(principal.id, "corp:alice");
    assert!(running.issuer.is_ready() && running.issuer.last_success().is_some());
    assert!(running.cached(&token));
    assert_eq!(running.verify(&running.token(&ED)).await.unwrap_err(), Reason::UnknownKey);
    let others = EC.token(&claims());
    assert_eq!(running.verify(&others).await.unwrap_err(), Reason::WrongIssuer);
    assert!(!running.cached(&others), "what is refused is not remembered");
}

#[tokio::test]
async fn a_rotated_key_is_fetched_once_while_all_who_need_it_wait() {
    let running = Arc::new(Running::start(&[&EC]).await);
    let issuer = &running.issuer;
    until("keys are there", || issuer.is_ready()).await;
    let before = running.server.count("/keys");
    publish(&running.server, &[&ED]);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let running = Arc::clone(&running);
            tokio::spawn(async move { running.verify(&running.token(&ED)).await.map(drop) })
        })
        .collect();
    for task in waiting {
        assert_eq!(task.await.unwrap(), Ok(()));
    }
    assert_eq!(running.server.count("/keys"), before + 1);
    // Unknown keys again: anybody can name one, and nobody makes us fetch for it.
    for kid in 0..50 {
        let header = json!({ "alg": "ES256", "kid": kid.to_string() }).to_string();
        let started = std::time::Instant::now();
        assert_eq!(running.verify(&EC.sign(&header, "{}")).await.unwrap_err(), Reason::UnknownKey);
        assert!(started.elapsed() < Duration::from_secs(1));
    }
    assert_eq!(running.server.count("/keys"), before + 1);
}

#[tokio::test]
async fn tokens_of_a_withdrawn_key_are_forgotten() {
    let running = Running::start(&[&EC, &ED]).await;
    let (gone, kept) = (running.token(&EC), running.token(&ED));
    running.verify(&gone).await.unwrap();
    running.verify(&kept).await.unwrap();
    assert!(running.cached(&gone) && running.cached(&kept));
    publish(&running.server, &[&ED]);
    running.issuer.keys.ask().await;
    until("the new set is there", || !running.cached(&gone)).await;
    assert!(running.cached(&kept));
    assert!(running.cached(&kept), "also at the second look");
    assert_eq!(running.verify(&gone).await.unwrap_err(), Reason::UnknownKey);
}

#[tokio::test]
async fn the_last_good_keys_serve_while_the_issuer_is_down() {
    let running = Running::start(&[&EC]).await;
    running.verify(&running.token(&EC)).await.unwrap();
    running.server.goes_down();
    // The first ask is spent on the start; what follows is the retry of the failures.
    running.issuer.keys.wake();
    until("a fetch fails", || running.issuer.trouble().failures() > 2).await;
    let mut other = claims();
    other["iss"] = running.server.url.as_str().into();
    other["sub"] = "bob".into();
    assert_eq!(running.verify(&EC.token(&other)).await.unwrap().subject, "bob");
    // Whether it is a new key nobody knows now.
    assert_eq!(running.verify(&running.token(&ED)).await.unwrap_err(), Reason::Unavailable);
    publish(&running.server, &[&ED]);
    until("it is up again", || running.issuer.trouble().current().is_none()).await;
    assert!(running.verify(&running.token(&ED)).await.is_ok());
}

/// No keys are taken from an issuer that answers like this.
async fn refused(prepare: impl FnOnce(&Server)) -> Running {
    let server = Server::start().await;
    publish(&server, &[&EC]);
    prepare(&server);
    let running =
        Running::with(server, Pace::quick(), |url| Config::new("c", url, vec![AUDIENCE.into()], KeySource::Discover));
    until("two looks failed", || running.issuer.trouble().failures() > 1).await;
    assert!(!running.issuer.is_ready() && running.issuer.last_success().is_none());
    running
}

#[tokio::test]
async fn answers_that_are_not_the_issuers_own_keys_are_refused() {
    let keys = || jwks([&*EC]);
    refused(|server| server.says("/keys", Answer::ok(vec![b' '; 2 << 20]))).await;
    refused(|server| server.says("/keys", Answer::ok("<html>"))).await;
    refused(|server| server.says("/keys", Answer { status: 500, ..Answer::ok(keys()) })).await;
    refused(|server| server.says("/keys", Answer { status: 204, ..Answer::ok("") })).await;
    let running = refused(|server| {
        let headers = vec![("location", format!("{}/elsewhere", server.url))];
        server.says("/keys", Answer { status: 302, headers, body: keys().into() });
        server.says("/elsewhere", Answer::ok(keys()));
    })
    .await;
    assert_eq!(running.server.count("/elsewhere"), 0, "redirects are not followed");
    for document in [
        json!({ "issuer": "https://other.example.com", "jwks_uri": "http://127.0.0.1:1/" }),
        json!({ "jwks_uri": "http://127.0.0.1:1/" }),
        json!({ "issuer": null, "jwks_uri": "http://127.0.0.1:1/" }),
        json!([]),
    ] {
        let running = refused(|server| server.says(DISCOVERY, Answer::ok(document.to_string()))).await;
        assert_eq!(running.server.count("/keys"), 0);
    }
    for keys in ["http://169.254.169.254/keys", "file:///etc/passwd", "/keys", ""] {
        refused(|server| {
            let document = json!({ "issuer": server.url, "jwks_uri": keys });
            server.says(DISCOVERY, Answer::ok(document.to_string()));
        })
        .await;
    }
}

#[tokio::test]
async fn requests_wait_for_keys_no_longer_than_they_have_patience() {
    let server = Server::start().await;
    let config = Config::new("c", &*server.url, vec![AUDIENCE.into()], KeySource::Discover);
    // Nobody fetches: the task does not run.
    let issuer = Issuer::build(config, Client::new(None).unwrap()).unwrap();
    let issuer = issuer.with_pace(Pace { patience: Duration::from_millis(50), ..Pace::quick() });
    let token = EC.token(&claims());
    assert_eq!(issuer.verify(&Token::new(&token).unwrap()).await.unwrap_err(), Reason::Unavailable);
}

#[tokio::test]
async fn keys_at_a_url_are_fetched_without_discovery() {
    let server = Server::start().await;
    publish(&server, &[&EC]);
    let running = Running::with(server, Pace::quick(), |url| {
        Config::new("corp", url, vec![AUDIENCE.into()], KeySource::Url(format!("{url}/keys")))
    });
    running.verify(&running.token(&EC)).await.unwrap();
    assert_eq!(running.server.count(DISCOVERY), 0);
}

#[tokio::test]
async fn keys_in_a_file_follow_the_file() {
    let path = std::env::temp_dir().join(format!("lockgate-keys-{}.json", std::process::id()));
    std::fs::write(&path, jwks([&*EC])).unwrap();
    let config = |path: PathBuf| {
        let issuer = crate::auth::testing::ISSUER;
        Config::new("corp", issuer, vec![AUDIENCE.into()], KeySource::File(path))
    };
    let client = Client::new(None).unwrap();
    assert!(Issuer::build(config("/nowhere.json".into()), client.clone()).is_err());
    let issuer = Arc::new(Issuer::build(config(path.clone()), client).unwrap());
    assert!(issuer.is_ready(), "a file is read before anything runs");
    let run = tokio::spawn(Arc::clone(&issuer).run());
    let (old, new) = (EC.token(&claims()), ED.token(&claims()));
    let (old, new) = (Token::new(&old).unwrap(), Token::new(&new).unwrap());
    issuer.verify(&old).await.unwrap();
    std::fs::write(&path, "{").unwrap();
    until("the broken file is seen", || issuer.trouble().failures() > 0).await;
    assert!(issuer.cached(&old).is_some(), "the old keys are kept");
    std::fs::write(&path, jwks([&*ED])).unwrap();
    until("the new keys are there", || issuer.cached(&old).is_none()).await;
    assert!(issuer.verify(&new).await.is_ok());
    assert_eq!(issuer.trouble().failures(), 1, "a file that stays broken is told once");
    run.abort();
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn configurations_that_cannot_be_safe_are_refused() {
    let client = Client::new(None).unwrap();
    let build = |issuer: &str, audience: &[&str], keys| {
        let audience = audience.iter().map(ToString::to_string).collect();
        Issuer::build(Config::new("c", issuer, audience, keys), client.clone())
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert!(build("https://a.example", &["a"], KeySource::Discover).is_ok());
    assert!(build("http://a.example", &["a"], KeySource::Discover).unwrap_err().contains("in the clear"));
    assert!(build("http://a.example", &["a"], KeySource::Url("https://a.example/k".into())).is_err());
    assert!(build("https://a.example", &["a"], KeySource::Url("http://a.example/k".into())).is_err());
    assert!(build("https://a.example", &[], KeySource::Discover).unwrap_err().contains("audience"));
    let mut config = Config::new("c", "https://a.example", vec!["a".into()], KeySource::Discover);
    config.leeway = Duration::MAX;
    assert!(Issuer::build(config, client).unwrap_err().to_string().contains("leeway"));
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let path = std::env::temp_dir().join(format!("lockgate-cache-{}.json", std::process::id()));
    std::fs::write(&path, jwks([&*EC])).unwrap();
    for capacity in [0, 20] {
        let issuer = crate::auth::testing::ISSUER;
        let mut config = Config::new("corp", issuer, vec![AUDIENCE.into()], KeySource::File(path.clone()));
        config.cache_capacity = capacity;
        let issuer = Issuer::build(config, Client::new(None).unwrap()).unwrap();
        for turn in 0..200 {
            let mut claims = claims();
            claims["jti"] = turn.into();
            let token = EC.token(&claims);
            issuer.verify(&Token::new(&token).unwrap()).await.unwrap();
        }
        assert!(issuer.cached_tokens() <= capacity, "{} of {capacity}", issuer.cached_tokens());
    }
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_remembered_token_ends_when_it_says() {
    let running = Running::start(&[&EC]).await;
    let mut claims = claims();
    claims["iss"] = running.server.url.as_str().into();
    // Thirty seconds of leeway, of which all but one are over.
    claims["exp"] = (crate::auth::testing::now() - 29).into();
    let token = EC.token(&claims);
    running.verify(&token).await.unwrap();
    until("it has ended", || !running.cached(&token)).await;
    assert_eq!(running.verify(&token).await.unwrap_err(), Reason::Expired);
}
