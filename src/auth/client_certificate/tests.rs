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
    check("dns:api.example.com", "api.example.com", true);
    check("dns:API.example.com", "api.Example.com", true);
    check("dns:api.example.com", "xapi.example.com", false);
    check("dns:*.example.com", "api.example.com", true);
    check("dns:*.example.com", "a.api.example.com", false);
    check("dns:*.example.com", "example.com", false);
    check("dns:*.example.com", "api.example.com.evil.org", false);
    check("dns:*.example.com", "apiexample.com", false);
    check("dns:*.example.com", "*.example.com", false);
    check("dns:api.example.com", "*.example.com", false);
}

#[test]
fn uris_match_by_segments() {
    check("uri:spiffe://example.org/ns/shop", "spiffe://example.org/ns/shop", true);
    check("uri:spiffe://example.org/ns/shop", "spiffe://example.org/ns/shop/", false);
    check("uri:spiffe://example.org/ns/*", "spiffe://example.org/ns/shop/sa/x", true);
    check("uri:spiffe://example.org/ns/*", "spiffe://example.org/ns/", false);
    check("uri:spiffe://example.org/ns/*", "spiffe://example.org/nsx/a", false);
    check("uri:spiffe://example.org/ns/*", "spiffe://example.org.evil.org/ns/a", false);
    check("uri:spiffe://example.org/ns/*", "spiffe://example.org/ns/../admin", false);
    check("uri:spiffe://example.org/ns/*", "spiffe://example.org/ns/%2e%2e/admin", false);
    check("uri:spiffe://example.org/*/gateway", "spiffe://example.org/shop/gateway", true);
    check("uri:spiffe://example.org/*/gateway", "spiffe://example.org/a/b/gateway", false);
    check("uri:spiffe://example.org/*/gateway", "spiffe://example.org//gateway", false);
    check("uri:urn:example:*", "urn:example:a:b", true);
}

#[test]
fn kinds_are_not_mixed_and_the_common_name_does_not_count() {
    let named = certificate(&[], &["dns:api.partners.example.com"]);
    let provider = provider(&["dns:*.partners.example.com", "uri:spiffe://example.org/*"]);
    assert_eq!(provider.verify(&named).unwrap_err(), Reason::UnmatchedCertificate);
    assert_eq!(provider.verify(&certificate(&[], &[])).unwrap_err(), Reason::UnmatchedCertificate);
    let both = certificate(&["other.example.com"], &["https://x/", "spiffe://example.org/a"]);
    assert_eq!(provider.verify(&both).unwrap().id(), "mtls:spiffe://example.org/a");
}

#[test]
fn what_is_no_certificate_is_refused() {
    let provider = provider(&["dns:*.example.com"]);
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
        "api.example.com",
        "cn:api.example.com",
        "dns:",
        "dns:*",
        "dns:*.com",
        "dns:a*.example.com",
        "dns:a.*.example.com",
        "dns:*.*.example.com",
        "dns:*example.com",
        "dns:a b",
        "uri:",
        "uri:*",
        "uri:spiffe*",
        "uri:spiffe://*",
        "uri:spiffe://*/ns",
        "uri:spiffe://example*",
        "uri:spiffe://*.example.org/ns",
        "uri:spiffe:///*",
        "uri:urn:*",
        "uri:spiffe://example.org/*/*",
    ] {
        assert!(text.parse::<Pattern>().is_err(), "{text}");
    }
    for text in ["dns:*.a.b", "uri:spiffe://example.org/*", "uri:urn:example:*", "uri:spiffe://example.org"] {
        assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
    }
}
