//! JSON to wire: no panic, no more bytes than promised, and whatever is taken prints, as what is taken for the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::transcode::decode::{DecodeOptions, Decoder, MAX_GROWTH, UnknownFields};
use lockgate::transcode::encode::{EncodeOptions, Encoder, Enums, Int64, Names};
use lockgate_fuzz::{EVERYTHING, LEGACY, PLAN, has_null_value};

fuzz_target!(|data: &[u8]| {
    let Some((choice, json)) = data.split_first() else { return };
    let bit = |bit: u8| choice >> bit & 1 == 1;
    let message = if bit(0) { *LEGACY } else { *EVERYTHING };
    let options = DecodeOptions { unknown_fields: if bit(1) { UnknownFields::Ignore } else { UnknownFields::Reject } };
    let style = EncodeOptions {
        names: if bit(2) { Names::Proto } else { Names::Json },
        enums: if bit(3) { Enums::Number } else { Enums::Name },
        int64: if bit(4) { Int64::Number } else { Int64::String },
        indent: choice >> 5,
        ..EncodeOptions::default()
    };
    let print = |wire: &[u8]| {
        let mut json = Vec::new();
        Encoder::new().encode(&PLAN, message, wire, &style, &mut json).expect("what was decoded can be printed");
        json
    };
    let mut wire = Vec::new();
    if Decoder::new().decode(&PLAN, message, json, &options, &mut wire).is_err() {
        assert!(wire.is_empty(), "a failure leaves nothing behind");
        return;
    }
    assert!(wire.len() <= MAX_GROWTH * json.len() + 16, "{} bytes became {}", json.len(), wire.len());
    let printed = print(&wire);
    let mut again = Vec::new();
    Decoder::new().decode(&PLAN, message, &printed, &options, &mut again).expect("what was printed can be decoded");
    if !has_null_value(&printed) {
        assert_eq!(String::from_utf8_lossy(&printed), String::from_utf8_lossy(&print(&again)));
    }
});
