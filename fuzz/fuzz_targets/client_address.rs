//! Who the client is behind proxies: the peer, or an address that stands in the list, and nobody in front of the first
//! that is not trusted has a say.
//!
//! The input is a byte of options, a prefix, line feed, and the lines of the header.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use lockgate::protocol::client_address::{Client, Header, MAX_HOPS, Trust};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

fn client(trust: &Trust, lines: &[HeaderValue]) -> Client {
    let mut headers = HeaderMap::new();
    for line in lines {
        let name = if trust.header == Header::XForwardedFor { X_FORWARDED_FOR } else { FORWARDED };
        headers.append(name, line.clone());
    }
    trust.client(&headers, PEER)
}

/// An element of `X-Forwarded-For` in the forms that the standard library knows.
fn plain_node(element: &str) -> Option<IpAddr> {
    // The standard library takes zones in some forms, and zeros before a port.
    let element = Some(element.trim_matches([' ', '\t'])).filter(|element| !element.contains('%'))?;
    let in_brackets = || element.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let port = element.rsplit(':').next().filter(|port| port.len() <= 5);
    let pair = || port.and(element.parse().ok()).map(|pair: SocketAddr| pair.ip());
    let address = element.parse().ok().or_else(pair);
    address.or_else(in_brackets).map(|address| address.to_canonical())
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let header = if choice & 1 == 0 { Header::XForwardedFor } else { Header::Forwarded };
    let proxies = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("it is a network"));
    let trust = Trust { proxies: proxies.into(), header };
    let mut lines = rest.split(|byte| *byte == b'\n').map(HeaderValue::from_bytes);
    let Some(Ok(prefix)) = lines.next() else { return };
    let Ok(lines) = lines.collect::<Result<Vec<_>, _>>() else { return };

    let found = client(&trust, &lines);
    assert!(found.chain.len() <= MAX_HOPS);
    assert_eq!(found.address, found.chain.first().copied().unwrap_or(PEER));
    // Only whom the last one speaks for may be anybody.
    assert!(found.chain.iter().skip(1).all(|address| trust.trusts(*address)));
    assert_eq!(found, client(&trust, &lines));

    let decided = found.chain.first().is_some_and(|first| !trust.trusts(*first)) || found.chain.len() == MAX_HOPS;
    if decided {
        let spoofed: Vec<_> = std::iter::once(&prefix).chain(&lines).cloned().collect();
        assert_eq!(found, client(&trust, &spoofed), "what a client sends first has a say");
    }
    if header == Header::XForwardedFor {
        assert_list(&trust, &found, &lines, decided);
    }
});

/// The elements of all lines are one list, and its end is the chain.
fn assert_list(trust: &Trust, found: &Client, lines: &[HeaderValue], decided: bool) {
    let joined = lines.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b","[..]);
    let joined = HeaderValue::from_bytes(&joined).expect("lines are joined by a comma");
    assert_eq!(*found, client(trust, std::slice::from_ref(&joined)));
    let Ok(text) = std::str::from_utf8(joined.as_bytes()) else { return };
    let mut elements = text.rsplit(',');
    for address in found.chain.iter().rev() {
        let element = elements.next().expect("an address stands in the list");
        if let Some(plain) = plain_node(element) {
            assert_eq!(plain, *address, "{element}");
        } else {
            assert!(element.contains([':', '[']), "{element} is no address");
        }
    }
    if !decided && !lines.is_empty() {
        assert_eq!(elements.next().and_then(plain_node), None, "an address was passed over");
    }
}
