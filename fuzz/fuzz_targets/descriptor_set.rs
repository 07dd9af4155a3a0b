//! Descriptor sets: hostile bytes end in errors, and what loads compiles to tables and routes and can be transcoded by.
//! Cut into two sets that have one file in common, it loads as the same.
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

/// A `FileDescriptorSet` whose files keep what prost-types does not know.
#[derive(Clone, PartialEq, prost::Message)]
struct Files {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

fuzz_target!(|data: &[u8]| {
    // One broken byte ends in one error; what there is to find lies behind, and loading costs milliseconds.
    if FileDescriptorSet::decode(data).is_err() {
        return;
    }
    let schema = Schema::load(&[set(Bytes::copy_from_slice(data))]);
    if let Some(sets) = cut(data) {
        let merged = Schema::load(&sets);
        assert_eq!(schema.as_ref().ok().map(tell), merged.as_ref().ok().map(tell));
    }
    let Ok(schema) = schema else { return };
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

fn set(bytes: Bytes) -> SourceSet {
    SourceSet { origin: "fuzz".into(), bytes }
}

/// The set as two, the second of which begins with the last file of the first.
fn cut(data: &[u8]) -> Option<[SourceSet; 2]> {
    let Files { file } = Files::decode(data).ok()?;
    let (last, _) = file.split_last()?;
    let shared = last.len() % file.len();
    let sets = [&file[..=shared], &file[shared..]];
    Some(sets.map(|file| set(Files { file: file.to_vec() }.encode_to_vec().into())))
}

/// All that a schema says.
fn tell(schema: &Schema) -> String {
    format!("{:?} {:?} {:?}", schema.messages(), schema.enums(), schema.methods())
}
