//! Lists as proxies write them, as clients forge them, and as nobody should.

use super::*;

fn networks(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn client(header: Header, lines: &[&str]) -> Client {
    let trust = Trust { proxies: networks(&["10.0.0.0/8", "fd00::/8"]), header };
    let mut headers = HeaderMap::new();
    let name = match header {
        Header::XForwardedFor => X_FORWARDED_FOR,
        Header::Forwarded => FORWARDED,
    };
    for line in lines {
        headers.append(&name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    trust.client(&headers, "10.0.0.1".parse().unwrap())
}

/// `chain`: the client first.
#[track_caller]
fn check(header: Header, lines: &[&str], chain: &[&str]) {
    let found = client(header, lines);
    let chain: Vec<IpAddr> = chain.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(found.chain.as_slice(), chain, "{lines:?}");
    assert_eq!(found.address, chain.first().copied().unwrap_or("10.0.0.1".parse().unwrap()));
}

#[test]
fn the_first_from_the_right_that_is_not_trusted_is_the_client() {
    for (lines, chain) in [
        (&[][..], &[][..]),
        (&["203.0.113.7"], &["203.0.113.7"]),
        (&["1.2.3.4, 203.0.113.7"], &["203.0.113.7"]),
        (&["1.2.3.4,203.0.113.7 ,10.2.2.2"], &["203.0.113.7", "10.2.2.2"]),
        (&["1.2.3.4", "203.0.113.7", "10.9.9.9, 10.2.2.2"], &["203.0.113.7", "10.9.9.9", "10.2.2.2"]),
        (&["10.3.3.3, 10.2.2.2"], &["10.3.3.3", "10.2.2.2"]),
        (&["2001:db8::1"], &["2001:db8::1"]),
        (&["2001:db8::1, [fd00::2]:80"], &["2001:db8::1", "fd00::2"]),
        (&["203.0.113.7:5000, 10.2.2.2:80"], &["203.0.113.7", "10.2.2.2"]),
        (&["::ffff:203.0.113.7, ::ffff:10.2.2.2"], &["203.0.113.7", "10.2.2.2"]),
    ] {
        check(Header::XForwardedFor, lines, chain);
    }
}

#[test]
fn what_is_no_address_ends_the_way() {
    for (lines, chain) in [
        (&["unknown"][..], &[][..]),
        (&[""], &[]),
        (&["203.0.113.7, "], &[]),
        (&["203.0.113.7, unknown, 10.2.2.2"], &["10.2.2.2"]),
        (&["203.0.113.7, 10.2.2.2.2"], &[]),
        (&["203.0.113.7:x"], &[]),
        (&["203.0.113.7:123456"], &[]),
        (&["[2001:db8::1"], &[]),
        (&["[2001:db8::1]x"], &[]),
        (&["[203.0.113.7]"], &[]),
        (&["2001:db8::1:::80"], &[]),
        (&["\u{ff}"], &[]),
        (&["203.0.113.7", "10.0.0.\u{ff}", "10.2.2.2"], &["10.2.2.2"]),
    ] {
        check(Header::XForwardedFor, lines, chain);
    }
}

#[test]
fn forwarded_is_read_by_its_grammar() {
    for (lines, chain) in [
        (&["for=203.0.113.7"][..], &["203.0.113.7"][..]),
        (&["For=203.0.113.7;proto=https;by=10.1.1.1"], &["203.0.113.7"]),
        (&["proto=http; for=203.0.113.7 ; host=\"a,b;for=9.9.9.9\""], &["203.0.113.7"]),
        (&["for=\"[2001:db8:cafe::17]:4711\""], &["2001:db8:cafe::17"]),
        (&["for=[2001:db8:cafe::17]"], &["2001:db8:cafe::17"]),
        (&["for=1.2.3.4, for=203.0.113.7,for=\"10.2.2.2:_port\""], &["203.0.113.7", "10.2.2.2"]),
        (&["for=1.2.3.4", "for=203.0.113.7", "for=10.2.2.2"], &["203.0.113.7", "10.2.2.2"]),
        (&["for=203.0.113.7;"], &["203.0.113.7"]),
        (&["for=\"20\\3.0.113.7\""], &["203.0.113.7"]),
        (&["for=203.0.113.7, for=unknown"], &[]),
        (&["for=203.0.113.7, for=_hidden, for=10.2.2.2"], &["10.2.2.2"]),
        (&["for=203.0.113.7, proto=https"], &[]),
        (&["for=203.0.113.7,"], &[]),
    ] {
        check(Header::Forwarded, lines, chain);
    }
}

#[test]
fn a_malformed_line_ends_the_way_as_a_whole() {
    for line in [
        "for=203.0.113.7;for=1.2.3.4",
        "for=\"203.0.113.7",
        "for=\"203.0.113.7\\",
        "for",
        "for=",
        "for=203.0.113.7 x",
        "=203.0.113.7",
        "for=203.0.113.7;host=\"a",
        "for = 203.0.113.7",
    ] {
        check(Header::Forwarded, &[line], &[]);
        check(Header::Forwarded, &[line, "for=10.2.2.2"], &["10.2.2.2"]);
    }
}

#[test]
fn an_endless_list_is_not_walked_to_its_end() {
    let list = vec!["10.2.2.2"; 10_000].join(",");
    assert_eq!(client(Header::XForwardedFor, &[&list]).chain.len(), MAX_HOPS);
}

#[test]
fn deny_goes_before_allow_and_an_empty_allow_is_everyone() {
    let rules = |allow: &[&str], deny: &[&str]| AddressRules { allow: networks(allow), deny: networks(deny) };
    for (rules, address, admitted) in [
        (rules(&[], &[]), "192.0.2.1", true),
        (rules(&[], &["192.0.2.0/24"]), "192.0.2.1", false),
        (rules(&[], &["192.0.2.0/24"]), "192.0.3.1", true),
        (rules(&["192.0.2.0/24"], &[]), "192.0.2.1", true),
        (rules(&["192.0.2.0/24"], &[]), "192.0.3.1", false),
        (rules(&["192.0.2.0/24"], &["192.0.2.1/32"]), "192.0.2.1", false),
        (rules(&["2001:db8::/32"], &[]), "2001:db8::1", true),
        (rules(&["2001:db8::/32"], &[]), "192.0.2.1", false),
    ] {
        assert_eq!(rules.admits(address.parse().unwrap()), admitted, "{rules:?} {address}");
    }
}

#[test]
fn the_scheme_is_what_the_last_trusted_proxy_says() {
    use Scheme::{Http, Https};
    for (line, expected) in [
        ("for=203.0.113.7;proto=https", Some(Https)),
        ("for=203.0.113.7;proto=HTTP", Some(Http)),
        ("for=203.0.113.7", None),
        ("for=203.0.113.7;proto=wss", None),
        // Whoever is not trusted may say anything.
        ("for=1.2.3.4;proto=https, for=203.0.113.7;proto=http", Some(Http)),
        ("for=1.2.3.4;proto=https, for=203.0.113.7", None),
        // The one nearer to the client knows how it came.
        ("for=203.0.113.7;proto=https, for=10.2.2.2;proto=http", Some(Https)),
        ("for=unknown;proto=https, for=10.2.2.2;proto=http", Some(Https)),
        ("for=203.0.113.7;proto=https;proto=http", None),
        ("proto=https;proto=https", None),
    ] {
        assert_eq!(client(Header::Forwarded, &[line]).scheme, expected, "{line}");
    }
    let trust = Trust { proxies: networks(&["10.0.0.0/8"]), header: Header::XForwardedFor };
    for (values, expected) in [
        (&["https"][..], Some(Https)),
        (&[" Http "], Some(Http)),
        (&["https, http"], None),
        (&["https", "https"], None),
        (&["ftp"], None),
        (&[""], None),
        (&[], None),
    ] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_FORWARDED_PROTO, HeaderValue::from_static(value));
        }
        assert_eq!(trust.client(&headers, "10.0.0.1".parse().unwrap()).scheme, expected, "{values:?}");
        // The other header is passed over.
        let other = Trust { header: Header::Forwarded, ..trust.clone() };
        assert_eq!(other.client(&headers, "10.0.0.1".parse().unwrap()).scheme, None);
    }
}
