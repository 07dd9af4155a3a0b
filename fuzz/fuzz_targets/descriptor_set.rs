//! Descriptor sets: hostile bytes end in errors, and what loads compiles to tables and bindings.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lockgate::route::rule::{self, Unannotated};
use lockgate::schema::Schema;
use lockgate::schema::load::SourceSet;
use lockgate::transcode::plan::Plan;

fuzz_target!(|data: &[u8]| {
    let set = SourceSet { origin: "fuzz".into(), bytes: Bytes::copy_from_slice(data) };
    if let Ok(schema) = Schema::load(&[set]) {
        drop(Plan::compile(&schema));
        drop(rule::bindings(&schema, &[], |_| Unannotated::Expose));
    }
});
