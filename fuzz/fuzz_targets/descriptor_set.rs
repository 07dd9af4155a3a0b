//! Descriptor sets: hostile bytes end in errors, and what loads compiles to tables and routes and can be transcoded by.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lockgate::route::router::{Router, TrailingSlash};
use lockgate::route::rule::{self, Unannotated};
use lockgate::schema::Schema;
use lockgate::schema::load::SourceSet;
use lockgate::transcode::decode::{DecodeOptions, Decoder};
use lockgate::transcode::encode::{EncodeOptions, Encoder, Unset};
use lockgate::transcode::plan::Plan;
use prost::Message as _;
use prost_types::FileDescriptorSet;

/// So many messages of a set are tried.
const MESSAGES: usize = 16;

fuzz_target!(|data: &[u8]| {
    // One broken byte ends in one error; what there is to find lies behind, and loading costs milliseconds.
    if FileDescriptorSet::decode(data).is_err() {
        return;
    }
    let set = SourceSet { origin: "fuzz".into(), bytes: Bytes::copy_from_slice(data) };
    let Ok(schema) = Schema::load(&[set]) else { return };
    if let Ok(bindings) = rule::bindings(&schema, &[], |_| Unannotated::Expose) {
        drop(Router::compile(bindings, |_| TrailingSlash::Ignore));
    }
    let plan = Plan::compile(&schema);
    let options = EncodeOptions { unset: Unset::Emit, max_bytes: 65_536, ..EncodeOptions::default() };
    for message in schema.messages().iter().take(MESSAGES) {
        let id = schema.find_message(&message.full_name).expect("a message is found by its name");
        let mut json = Vec::new();
        // The set itself has the tags of small numbers, which most messages have.
        for wire in [b"".as_slice(), data] {
            json.clear();
            drop(Encoder::new().encode(&plan, id, wire, &options, &mut json));
        }
        drop(Decoder::new().decode(&plan, id, &json, &DecodeOptions::default(), &mut Vec::new()));
        drop(Decoder::new().decode(&plan, id, b"{}", &DecodeOptions::default(), &mut Vec::new()));
    }
});
