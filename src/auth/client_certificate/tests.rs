//! Patterns against names, in certificates made here.

use rcgen::{CertificateParams, DnType, KeyPair, SanType, string::Ia5String};

use super::*;

fn certificate(dns: &[&str], uris: &[&str]) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "api.partners.example.com");
    let name = |text: &&str| Ia5String::try_from(*text).unwrap();
    params.subject_alt_names.extend(dns.iter().map(|text| SanType::DnsName(name(text))));
    params.subject_alt_names.extend(uris.iter().map(|text| SanType::URI(name(text))));
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

fn provider(patterns: &[&str]) -> ClientCertificates {
    let patterns = patterns.iter().map(|text| text.parse().unwrap()).collect();
    ClientCertificates::build(Config { name: "mtls".into(), patterns })
}

#[track_caller]
fn check(pattern: &str, name: &str, expected: bool) {
    let (dns, uris) = if name.contains(':') { (vec![], vec![name]) } else { (vec![name], vec![]) };
    let result = provider(&[pattern]).verify(&certificate(&dns, &uris));
    assert_eq!(result.map(|principal| principal.subject.clone()).ok(), expected.then(|| name.to_owned()), "{pattern}");
}

#[test]
fn dns_names_match_whole_labels() {
    check("api.example.com", "api.example.com", true);
    check("API.example.com", "api.Example.com", true);
    check("api.example.com", "xapi.example.com", false);
    check("*.example.com", "api.example.com", true);
    check("*.example.com", "a.api.example.com", false);
    check("*.example.com", "example.com", false);
    check("*.example.com", "api.example.com.evil.org", false);
    check("*.example.com", "apiexample.com", false);
    check("*.example.com", "*.example.com", false);
    check("api.example.com", "*.example.com", false);
}

#[test]
fn uris_match_by_segments() {
    check("spiffe://example.org/ns/shop", "spiffe://example.org/ns/shop", true);
    check("spiffe://example.org/ns/shop", "spiffe://example.org/ns/shop/", false);
    check("spiffe://example.org/ns/*", "spiffe://example.org/ns/shop/sa/x", true);
    check("spiffe://example.org/ns/*", "spiffe://example.org/ns/", false);
    check("spiffe://example.org/ns/*", "spiffe://example.org/nsx/a", false);
    check("spiffe://example.org/ns/*", "spiffe://example.org.evil.org/ns/a", false);
    check("spiffe://example.org/ns/*", "spiffe://example.org/ns/../admin", false);
    check("spiffe://example.org/ns/*", "spiffe://example.org/ns/%2e%2e/admin", false);
    check("spiffe://example.org/*/gateway", "spiffe://example.org/shop/gateway", true);
    check("spiffe://example.org/*/gateway", "spiffe://example.org/a/b/gateway", false);
    check("spiffe://example.org/*/gateway", "spiffe://example.org//gateway", false);
    check("urn:example:*", "urn:example:a:b", true);
}

#[test]
fn kinds_are_not_mixed_and_the_common_name_does_not_count() {
    let named = certificate(&[], &["dns:api.partners.example.com"]);
    let provider = provider(&["*.partners.example.com", "spiffe://example.org/*"]);
    assert_eq!(provider.verify(&named).unwrap_err(), Reason::UnmatchedCertificate);
    assert_eq!(provider.verify(&certificate(&[], &[])).unwrap_err(), Reason::UnmatchedCertificate);
    let both = certificate(&["other.example.com"], &["https://x/", "spiffe://example.org/a"]);
    assert_eq!(provider.verify(&both).unwrap().id, "mtls:spiffe://example.org/a");
}

#[test]
fn what_is_no_certificate_is_refused() {
    let provider = provider(&["*.example.com"]);
    let good = certificate(&["a.example.com"], &[]);
    for cut in 0..good.len() {
        assert!(provider.verify(&CertificateDer::from(good[..cut].to_vec())).is_err());
    }
    for at in 0..good.len() {
        let mut bytes = good.to_vec();
        bytes[at] ^= 0xff;
        let _ = provider.verify(&CertificateDer::from(bytes));
    }
}

#[test]
fn patterns_that_let_in_more_than_they_say_are_refused() {
    for text in [
        "",
        "*",
        "*.com",
        "a*.example.com",
        "a.*.example.com",
        "*.*.example.com",
        "*example.com",
        "a b",
        "spiffe*",
        "spiffe://*",
        "spiffe://*/ns",
        "spiffe://example*",
        "spiffe://*.example.org/ns",
        "spiffe:///*",
        "urn:*",
        "spiffe://example.org/*/*",
    ] {
        assert!(text.parse::<Pattern>().is_err(), "{text}");
    }
    for text in ["*.a.b", "api", "spiffe://example.org/*", "urn:example:*", "spiffe://example.org"] {
        assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
    }
}

#[test]
fn a_certificate_ends_when_it_says() {
    let mut params = CertificateParams::default();
    params.subject_alt_names.push(SanType::DnsName(Ia5String::try_from("a.example.com").unwrap()));
    let mut made = |year| {
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    };
    let provider = provider(&["a.example.com"]);
    let expires = provider.verify(&made(2100)).unwrap().expires.unwrap();
    assert_eq!(expires.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 4_102_444_800);
    assert_eq!(provider.verify(&made(2020)).unwrap_err(), Reason::Expired);
}
