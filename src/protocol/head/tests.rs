//! What every call to an upstream carries.

use super::*;

#[track_caller]
fn check(remaining: Option<Duration>, expected: &[(&str, &str)]) {
    let mut metadata = HeaderMap::new();
    complete(&mut metadata, remaining);
    let mut found: Vec<_> = metadata.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn every_call_says_that_it_is_grpc() {
    let always = [("content-type", "application/grpc"), ("grpc-accept-encoding", "identity,gzip"), ("te", "trailers")];
    check(None, &always);
    check(Some(Duration::from_millis(1)), &[always[0], always[1], ("grpc-timeout", "1000000n"), always[2]]);
}
