//! JWK Sets: no panic, bounds hold, and no key verifies what nobody has signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::auth::key_set::{Algorithm, KeySet, MAX_KEYS};

const ALGORITHMS: [&str; 10] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

fuzz_target!(|data: &[u8]| {
    let Ok(set) = KeySet::parse(data) else { return };
    assert!(set.keys().len() + set.skipped().len() <= MAX_KEYS);
    for key in set.keys() {
        assert!(set.holds(key.digest()));
        let fitting = ALGORITHMS.iter().filter_map(|name| Algorithm::parse(name)).filter(|name| key.fits(*name));
        let mut some = false;
        for algorithm in fitting {
            some = true;
            // A point of small order is a key by which anybody signs: who publishes it has said so.
            if algorithm == Algorithm::EdDsa {
                continue;
            }
            for length in [0, 64, 256] {
                assert!(!key.verifies(algorithm, b"message", &vec![0; length]));
            }
        }
        assert!(some, "a key that is used is for something");
    }
});
