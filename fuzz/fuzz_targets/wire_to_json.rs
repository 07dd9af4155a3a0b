//! Wire to JSON: no panic; the output stays within its limit, is JSON, and what is taken of it again prints the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::schema::MessageId;
use lockgate::transcode::decode::{DecodeOptions, Decoder};
use lockgate::transcode::encode::{EncodeOptions, Encoder, Unset};
use lockgate_fuzz::{EVERYTHING, LEGACY, PLAN};
use serde::de::IgnoredAny;

/// The one field of type NullValue that has no presence.
const NULL: &[u8] = b"\"nullValue\":null";

/// A small limit, so that the fuzzer finds its edge.
const MAX_BYTES: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let Some((choice, wire)) = data.split_first() else { return };
    let message = if choice & 1 == 0 { *EVERYTHING } else { *LEGACY };
    let unset = if choice & 2 == 0 { Unset::Omit } else { Unset::Emit };
    let options = EncodeOptions { unset, max_bytes: MAX_BYTES, ..EncodeOptions::default() };
    let mut json = Vec::new();
    if Encoder::new().encode(&PLAN, message, wire, &options, &mut json).is_err() {
        assert!(json.is_empty(), "a failure leaves nothing behind");
        return;
    }
    assert!(json.len() <= MAX_BYTES);
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(&json) {
        // serde_json ends at 128 brackets; ours count messages, and lists come on top.
        assert!(error.to_string().starts_with("recursion limit"), "{error}");
    }
    // Unset fields go behind those that are there, which is another order the second time. A NullValue is null whatever
    // its number, and null is its default, which is left out.
    if unset == Unset::Omit && !json.windows(NULL.len()).any(|window| window == NULL) {
        assert_prints_the_same(message, &json);
    }
});

/// Not all that prints is taken: required fields can be missing, and types unknown.
fn assert_prints_the_same(message: MessageId, json: &[u8]) {
    let mut wire = Vec::new();
    if Decoder::new().decode(&PLAN, message, json, &DecodeOptions::default(), &mut wire).is_ok() {
        let mut again = Vec::new();
        Encoder::new()
            .encode(&PLAN, message, &wire, &EncodeOptions::default(), &mut again)
            .expect("what was decoded can be printed");
        assert_eq!(String::from_utf8_lossy(json), String::from_utf8_lossy(&again));
    }
}
