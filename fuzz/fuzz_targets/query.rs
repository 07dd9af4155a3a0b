//! Query strings and forms: no panic, and what is taken is a message that prints.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::transcode::bind::{BodyTarget, Parts, PatchMask, Target, UnknownParameters};
use lockgate::transcode::decode::{DecodeOptions, Decoder, UnknownFields};
use lockgate::transcode::encode::{EncodeOptions, Encoder};
use lockgate_fuzz::{EVERYTHING, PLAN};

fuzz_target!(|query: &str| {
    let target = Target {
        message: *EVERYTHING,
        body: BodyTarget::None,
        variables: &[],
        unknown_parameters: UnknownParameters::Reject,
        ignored_parameters: &[],
        options: DecodeOptions { unknown_fields: UnknownFields::Reject },
        patch_mask: PatchMask::Leave,
    };
    let parts = Parts { query: Some(query), ..Parts::default() };
    let mut wire = Vec::new();
    if Decoder::new().bind(&PLAN, &target, &parts, &mut wire).is_ok() {
        let mut json = Vec::new();
        Encoder::new()
            .encode(&PLAN, *EVERYTHING, &wire, &EncodeOptions::default(), &mut json)
            .expect("what was bound can be printed");
    }
});
