//! JSON to wire: no panic, and whatever is taken prints again, as what is taken again for the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::transcode::decode::{DecodeOptions, Decoder, UnknownFields};
use lockgate::transcode::encode::{EncodeOptions, Encoder};
use lockgate_fuzz::{EVERYTHING, LEGACY, PLAN};

fuzz_target!(|data: &[u8]| {
    let Some((choice, json)) = data.split_first() else { return };
    let message = if choice & 1 == 0 { *EVERYTHING } else { *LEGACY };
    let unknown_fields = if choice & 2 == 0 { UnknownFields::Reject } else { UnknownFields::Ignore };
    let options = DecodeOptions { unknown_fields };
    let mut wire = Vec::new();
    if Decoder::new().decode(&PLAN, message, json, &options, &mut wire).is_err() {
        assert!(wire.is_empty(), "a failure leaves nothing behind");
        return;
    }
    let mut printed = Vec::new();
    Encoder::new()
        .encode(&PLAN, message, &wire, &EncodeOptions::default(), &mut printed)
        .expect("what was decoded can be printed");
    let mut again = Vec::new();
    Decoder::new().decode(&PLAN, message, &printed, &options, &mut again).expect("what was printed can be decoded");
    let mut printed_again = Vec::new();
    Encoder::new().encode(&PLAN, message, &again, &EncodeOptions::default(), &mut printed_again).expect("as before");
    assert_eq!(printed, printed_again);
});
