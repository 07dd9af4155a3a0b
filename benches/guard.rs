//! What judging a caller costs: a token that is verified for the first time, by each kind of key; the same token again;
//! an expression; and two local limits.

use std::fs;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use lockgate::auth::fetch::Client;
use lockgate::auth::issuer::{Config as IssuerConfig, Issuer};
use lockgate::auth::jwt::{Jwt, Rules};
use lockgate::auth::key_set::KeySet;
use lockgate::auth::key_source::KeySource;
use lockgate::auth::principal::Principal;
use lockgate::auth::token_cache::Token;
use lockgate::expression::facts::{Facts, Http};
use lockgate::expression::typing::Type;
use lockgate::expression::{Environment, Expression};
use lockgate::limit::moment::Moment;
use lockgate::limit::rule::{Config as LimitConfig, DEFAULT_MAX_KEYS, OnError, Policy, Scope};
use lockgate::limit::{Ask, Limits};
use lockgate::telemetry::metrics::Metrics;
use serde_json::json;

const ISSUER: &str = "https://issuer.example.com";

/// A token by a key of this kind, and the set that the key is in.
fn token(algorithm: Algorithm) -> (String, Vec<u8>) {
    let key = match algorithm {
        Algorithm::ES256 => {
            let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key can be made");
            EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes())
        }
        _ => {
            let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key can be made");
            EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes())
        }
    };
    let key = key.expect("it is a key");
    let mut jwk = Jwk::from_encoding_key(&key, algorithm).expect("it has a public half");
    jwk.common.key_id = Some("k".to_owned());
    let set = serde_json::to_vec(&JwkSet { keys: vec![jwk] }).expect("a set is JSON");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let claims = json!({ "iss": ISSUER, "aud": "api", "sub": "mira", "exp": now + 3600, "roles": ["reader", "admin"] });
    let header = Header { kid: Some("k".to_owned()), ..Header::new(algorithm) };
    (jsonwebtoken::encode(&header, &claims, &key).expect("it can be signed"), set)
}

fn tokens(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token");
    let rules = Rules {
        provider: "users".into(),
        issuer: ISSUER.to_owned(),
        audience: vec!["api".to_owned()],
        leeway: std::time::Duration::from_secs(30),
        roles_claim: "roles".to_owned(),
    };
    for (name, algorithm) in [("es256", Algorithm::ES256), ("rs256", Algorithm::RS256)] {
        let (token, set) = token(algorithm);
        let set = KeySet::parse(&set).expect("it is a set");
        group.bench_function(format!("first, {name}"), |bencher| {
            bencher.iter(|| {
                let jwt = Jwt::parse(black_box(&token)).expect("it is a token");
                black_box(jwt.verify(&set, &rules, SystemTime::now()).is_ok())
            });
        });
    }
    let (token, set) = token(Algorithm::ES256);
    let file = std::env::temp_dir().join(format!("lockgate-bench-{}.json", std::process::id()));
    fs::write(&file, set).expect("a file can be written");
    let config = IssuerConfig::new("users", ISSUER, vec!["api".to_owned()], KeySource::File(file.clone()));
    let issuer = Issuer::build(config, Client::new(None).expect("a client can be made")).expect("the issuer is sound");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be made");
    let seen = Token::new(&token).expect("it is short");
    runtime.block_on(issuer.verify(&seen)).expect("it is good");
    group.bench_function("again", |bencher| {
        bencher.iter(|| black_box(issuer.cached(&Token::new(black_box(&token)).expect("it is short")).is_some()));
    });
    group.finish();
    fs::remove_file(file).expect("it is there");
}

fn expressions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("expression");
    let mut caller = Principal::new("users".into(), "mira".to_owned());
    caller.roles = vec!["reader".to_owned(), "admin".to_owned()];
    caller.claims.insert("tenant".to_owned(), json!("acme"));
    let headers = HeaderMap::new();
    let facts = Facts {
        auth: Some(caller.facts()),
        request: None,
        client_address: "192.0.2.1",
        http: Http { method: "GET", path: "/v1/users/mira", host: "api.example.com", headers: &headers },
        now: SystemTime::now(),
    };
    for (name, text, expected) in [
        ("key", "auth.subject", Type::Dyn),
        ("role", "'admin' in auth.roles", Type::Bool),
        ("claim", "auth.claims.tenant == 'acme' && http.method == 'GET'", Type::Bool),
    ] {
        let expression = Expression::compile(text, &Environment::default(), expected).expect("it is sound");
        group.bench_function(name, |bencher| bencher.iter(|| black_box(expression.evaluate(&facts).is_ok())));
    }
    group.finish();
}

fn limits(criterion: &mut Criterion) {
    let limit = |name: &str| LimitConfig {
        name: name.into(),
        tier: None,
        key: "key".into(),
        policy: Policy { rate: Some("1000000/s".parse().expect("it is a rate")), quota: None },
        scope: Scope::Local,
        on_error: OnError::Local,
        shadow: false,
        max_keys: DEFAULT_MAX_KEYS,
    };
    let limits = Limits::build(&[limit("a"), limit("b")], None, &Metrics::new(), None).expect("they are sound");
    let [one, other] = ["a", "b"].map(|name| Arc::clone(limits.find(name, None).expect("it is there")));
    let cost = NonZeroU32::MIN;
    criterion.bench_function("two local limits", |bencher| {
        bencher.iter(|| {
            let asks = [Ask { limit: &one, key: b"192.0.2.1", cost }, Ask { limit: &other, key: b"users:mira", cost }];
            // Local limits answer at once.
            black_box(futures_util::FutureExt::now_or_never(limits.check(0, &asks, Moment::now())))
        });
    });
}

criterion_group!(benches, tokens, expressions, limits);
criterion_main!(benches);
