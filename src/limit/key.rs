//! Whose requests are counted together: bytes that a client may choose, held in bounded space.

use std::net::{IpAddr, Ipv6Addr};

use aws_lc_rs::digest::{self, SHA256, SHA256_OUTPUT_LEN};

/// Keys up to here are held as they are: most subjects and every address.
const INLINE_BYTES: usize = 39;
/// The length that says that the bytes are a digest.
const DIGEST: u8 = u8::MAX;
/// The part of an IPv6 address that one customer is given: within it, addresses cost nothing.
const PREFIX_BITS: u32 = 64;

/// The key of one client under one limit, in 40 bytes: itself, or its SHA-256 if it is longer. Either is exact: no two
/// clients share a count.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    length: u8,
    bytes: [u8; INLINE_BYTES],
}

impl Key {
    pub(super) fn new(key: &[u8]) -> Self {
        let mut bytes = [0; INLINE_BYTES];
        if let Some(inline) = bytes.get_mut(..key.len()) {
            inline.copy_from_slice(key);
            return Self { length: u8::try_from(key.len()).expect("it is at most 39"), bytes };
        }
        if let Some(head) = bytes.get_mut(..SHA256_OUTPUT_LEN) {
            head.copy_from_slice(digest::digest(&SHA256, key).as_ref());
        }
        Self { length: DIGEST, bytes }
    }
}

/// What an address is counted by: IPv4 whole, IPv6 by its /64, an IPv4 address in IPv6 clothes as itself.
#[must_use]
pub fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let mask = u128::MAX << (Ipv6Addr::BITS - PREFIX_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    //! Keys at the edge of what is held whole, and addresses that are one customer.

    use super::{INLINE_BYTES, Key, address_key};

    #[test]
    fn keys_differ_where_clients_do() {
        let long = vec![b'a'; INLINE_BYTES + 1];
        let keys: [&[u8]; 8] = [b"", b"\0", b"\0\0", b"a", b"b", &long[1..], &long, &[b'a'; 5_000]];
        for (at, one) in keys.iter().enumerate() {
            for (other_at, other) in keys.iter().enumerate() {
                assert_eq!(Key::new(one) == Key::new(other), at == other_at, "{one:?} {other:?}");
            }
        }
        assert_eq!(size_of::<Key>(), 40);
    }

    #[test]
    fn addresses_are_counted_by_customer() {
        for (address, key) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"),
            ("2001:db8:1:3::", "2001:db8:1:3::"),
            ("::1", "::"),
        ] {
            assert_eq!(address_key(address.parse().unwrap()).to_string(), key, "{address}");
        }
    }
}
