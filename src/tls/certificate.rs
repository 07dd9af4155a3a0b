//! What a certificate says of itself: its names and its end (RFC 5280, 4.1), read out of the DER.
//!
//! Nothing is verified here: that is rustls' work, which tells neither the names nor the end.
//!
//! ```text
//! Certificate    = { TBSCertificate, algorithm, signature }
//! TBSCertificate = { [0] version?, serial, algorithm, issuer, { notBefore, notAfter }, subject, key, …, [3] { { oid, critical?, value }* }? }
//! SubjectAltName = { [2] dNSName | [6] URI | … }
//! ```

use std::time::{Duration, SystemTime};

use crate::calendar;

/// What is asked of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The last moment at which it is valid.
    pub not_after: SystemTime,
    /// DNS names of its subject, in lower case; a wildcard as it is written.
    pub dns_names: Vec<String>,
    /// URIs of its subject, such as SPIFFE IDs.
    pub uris: Vec<String>,
}

const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;

/// 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Names beyond these are not looked at.
const MAX_NAMES: usize = 1000;

impl Certificate {
    /// Reads the DER of a certificate; `None` if it is none.
    #[must_use]
    pub fn parse(der: &[u8]) -> Option<Self> {
        let mut certificate = Reader(Reader(der).expect(SEQUENCE)?);
        let mut body = Reader(certificate.expect(SEQUENCE)?);
        if body.peek() == Some(VERSION) {
            body.next()?;
        }
        // The serial number, the algorithm and the issuer.
        for _ in 0..3 {
            body.next()?;
        }
        let mut validity = Reader(body.expect(SEQUENCE)?);
        validity.next()?;
        let (kind, text) = validity.next()?;
        let not_after = time(kind, text)?;
        // The subject and its key.
        for _ in 0..2 {
            body.next()?;
        }
        let mut read = Self { not_after, dns_names: Vec::new(), uris: Vec::new() };
        while let Some((kind, value)) = body.next() {
            if kind == EXTENSIONS {
                read.extensions(Reader(Reader(value).expect(SEQUENCE)?))?;
            }
        }
        Some(read)
    }

    fn extensions(&mut self, mut extensions: Reader<'_>) -> Option<()> {
        while !extensions.0.is_empty() {
            let mut extension = Reader(extensions.expect(SEQUENCE)?);
            let name = extension.expect(OBJECT_IDENTIFIER)?;
            if extension.peek() == Some(BOOLEAN) {
                extension.next()?;
            }
            let value = extension.expect(OCTET_STRING)?;
            if name == SUBJECT_ALT_NAME {
                self.names(Reader(Reader(value).expect(SEQUENCE)?))?;
            }
        }
        Some(())
    }

    fn names(&mut self, mut names: Reader<'_>) -> Option<()> {
        while !names.0.is_empty() {
            let (kind, name) = names.next()?;
            let list = match kind {
                DNS_NAME => &mut self.dns_names,
                URI => &mut self.uris,
                _ => continue,
            };
            // IA5String: what is not ASCII is no name.
            let Some(name) = std::str::from_utf8(name).ok().filter(|name| name.is_ascii()) else { continue };
            if list.len() < MAX_NAMES {
                list.push(if kind == DNS_NAME { name.to_ascii_lowercase() } else { name.to_owned() });
            }
        }
        Some(())
    }
}

/// A walk through the elements of DER, one after the other.
struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element's tag and content; `None` at the end, or where it is malformed.
    fn next(&mut self) -> Option<(u8, &'d [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn expect(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280, 4.1.2.5).
fn time(kind: u8, text: &[u8]) -> Option<SystemTime> {
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let rest = rest.strip_suffix(b"Z").filter(|rest| rest.len() == 10)?;
    let mut parts = rest.chunks_exact(2).map(number);
    let mut part = |limits: std::ops::RangeInclusive<u32>| parts.next()?.filter(|part| limits.contains(part));
    let (month, day) = (part(1..=12)?, part(1..=31)?);
    let (hour, minute, second) = (part(0..=23)?, part(0..=59)?, part(0..=59)?);
    if year < 1970 {
        return Some(SystemTime::UNIX_EPOCH);
    }
    let days = u64::try_from(calendar::days(year, month, day)).ok()?;
    let seconds = days * 86_400 + u64::from(hour * 3600 + minute * 60 + second);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    //! Certificates as rcgen makes them, and what is none.

    use super::{Certificate, GENERALIZED_TIME, UTC_TIME, time};
    use std::time::SystemTime;

    fn certificate() -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["API.example.com".to_owned(), "*.example.org".to_owned()];
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        let uri = rcgen::SanType::URI("spiffe://acme/a".try_into().unwrap());
        params.subject_alt_names.push(uri);
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[track_caller]
    fn seconds(time: SystemTime) -> u64 {
        time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn names_and_the_end_are_read() {
        let read = Certificate::parse(&certificate()).unwrap();
        assert_eq!(read.dns_names, ["api.example.com", "*.example.org"]);
        assert_eq!(read.uris, ["spiffe://acme/a"]);
        assert_eq!(seconds(read.not_after), 1_927_843_200);
    }

    #[test]
    fn what_is_cut_or_bent_is_none_and_breaks_nothing() {
        let whole = certificate();
        for end in 0..whole.len() {
            assert_eq!(Certificate::parse(&whole[..end]), None);
        }
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0xff;
            let _ = Certificate::parse(&bent);
        }
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        for (kind, text, expected) in [
            (UTC_TIME, "700101000001Z", Some(1)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", Some(0)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (GENERALIZED_TIME, "00000101000000Z", Some(0)),
            (GENERALIZED_TIME, "20300101000000", None),
            (GENERALIZED_TIME, "20301301000000Z", None),
            (UTC_TIME, "3001010000Z", None),
            (0x02, "300101000000Z", None),
        ] {
            assert_eq!(time(kind, text.as_bytes()).map(seconds), expected, "{text}");
        }
    }
}
