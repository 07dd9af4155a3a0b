//! Places that tokens stand in, and more tokens than one.

use super::*;

#[track_caller]
fn check(location: &TokenLocation, headers: &[(&str, &[u8])], expected: Result<Option<&str>, Reason>) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), http::HeaderValue::from_bytes(value).unwrap());
    }
    assert_eq!(token(location, &map), expected, "{headers:?}");
}

#[test]
fn a_bearer_token_stands_alone() {
    let bearer = |values: &[&[u8]], expected| {
        let headers: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
        check(&TokenLocation::Bearer, &headers, expected);
    };
    bearer(&[], Ok(None));
    bearer(&[b"Bearer a.b.c"], Ok(Some("a.b.c")));
    bearer(&[b"bEARER   a.b.c "], Ok(Some("a.b.c")));
    bearer(&[b"Basic dXNlcjpwYXNz"], Ok(None));
    bearer(&[b"Bearerx a"], Ok(None));
    bearer(&[b""], Ok(None));
    bearer(&[b"Bearer"], Err(Reason::Malformed));
    bearer(&[b"Bearer  "], Err(Reason::Malformed));
    bearer(&[b"Bearer\ta.b.c"], Ok(Some("a.b.c")));
    bearer(&[b"Bearer a b"], Err(Reason::Several));
    bearer(&[b"Bearer a, Bearer b"], Err(Reason::Several));
    bearer(&[b"Bearer a,b"], Err(Reason::Several));
    bearer(&[b"Bearer a", b"Bearer a"], Err(Reason::Several));
    bearer(&[b"Basic x", b"Bearer a"], Err(Reason::Several));
    bearer(&[b"Bearer \xff"], Err(Reason::Malformed));
}

#[test]
fn a_header_is_the_token_whole() {
    let location = TokenLocation::Header(HeaderName::from_static("x-token"));
    check(&location, &[("authorization", b"Bearer a")], Ok(None));
    check(&location, &[("x-token", b" a.b.c ")], Ok(Some("a.b.c")));
    check(&location, &[("x-token", b"")], Err(Reason::Malformed));
    check(&location, &[("x-token", b"a"), ("x-token", b"b")], Err(Reason::Several));
    check(&location, &[("x-token", b"\xff")], Err(Reason::Malformed));
}

#[test]
fn one_cookie_of_the_name_is_the_token() {
    let location = TokenLocation::Cookie("session".into());
    check(&location, &[], Ok(None));
    check(&location, &[("cookie", b"a=1; session=t; b=2")], Ok(Some("t")));
    check(&location, &[("cookie", b"a=1"), ("cookie", b"session=t=")], Ok(Some("t=")));
    check(&location, &[("cookie", b"Session=t; xsession=u; session")], Ok(None));
    check(&location, &[("cookie", b"session=")], Ok(None));
    check(&location, &[("cookie", b"theme=\xc3\xa9;session=t")], Ok(Some("t")));
    check(&location, &[("cookie", b"session=\xff")], Err(Reason::Malformed));
    check(&location, &[("cookie", b"session=t; session=t")], Err(Reason::Several));
    check(&location, &[("cookie", b"session=t"), ("cookie", b"session=")], Err(Reason::Several));
}
