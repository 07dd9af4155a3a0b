//! Wire to JSON: no panic, the output stays within its limit, and is UTF-8.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::transcode::encode::{EncodeOptions, Encoder, Unset};
use lockgate_fuzz::{EVERYTHING, LEGACY, PLAN};

/// A small limit, so that the fuzzer finds its edge.
const MAX_BYTES: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let Some((choice, wire)) = data.split_first() else { return };
    let message = if choice & 1 == 0 { *EVERYTHING } else { *LEGACY };
    let unset = if choice & 2 == 0 { Unset::Omit } else { Unset::Emit };
    let options = EncodeOptions { unset, max_bytes: MAX_BYTES, ..EncodeOptions::default() };
    let mut json = Vec::new();
    match Encoder::new().encode(&PLAN, message, wire, &options, &mut json) {
        Ok(()) => {
            assert!(json.len() <= MAX_BYTES);
            assert!(std::str::from_utf8(&json).is_ok());
        }
        Err(_) => assert!(json.is_empty(), "a failure leaves nothing behind"),
    }
});
