use std::time::Instant;

use super::*;
use crate::schema::testing;

#[test]
fn bench() {
    let Ok(set) = std::fs::read("/tmp/bench-data/bench.binpb") else { return };
    let pool = prost_reflect::DescriptorPool::decode(&*set).unwrap();
    let schema = testing::schema(&pool);
    let plan = Plan::compile(&schema);
    let id = schema.find_message("bench.v1.ItemList").unwrap();
    let wire = std::fs::read("/tmp/bench-data/bulk1000.wire").unwrap();
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    let options = EncodeOptions::default();
    encoder.encode(&plan, id, &wire, &options, &mut out).unwrap();
    let json = std::fs::read("/tmp/bench-data/bulk1000.json").unwrap();
    let ours: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let theirs: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(ours, theirs);
    let mut best = f64::MAX;
    for _ in 0..200 {
        out.clear();
        let start = Instant::now();
        encoder.encode(&plan, id, &wire, &options, &mut out).unwrap();
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{} bytes, {:.0} MB/s", out.len(), out.len() as f64 / best / 1e6);
}
