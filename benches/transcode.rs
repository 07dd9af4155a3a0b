//! JSON to wire and wire to JSON, beside the two usual ways: prost-reflect's dynamic messages, and code that
//! prost-build and pbjson-build generate. Every throughput is in bytes of JSON, so that it compares both ways.
//!
//! Each iteration begins with the bytes of one side and ends with those of the other in a vector of its own, as one
//! request does. All three use the allocator of the product.
//!
//! `transcode/bench.v1.rs` and `transcode/bench.v1.serde.rs` are what `prost_build` (0.14, `compile_fds`, with
//! `extern_path(".google.protobuf", "::pbjson_types")`) and `pbjson_build` (0.9, `build(&[".bench"])`) write for
//! `transcode/bench.proto`, each with its defaults. They are checked in so that no build has to make them.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lockgate::schema::compile::compile;
use lockgate::schema::load::SourceSet;
use lockgate::schema::{MessageId, Schema};
use lockgate::transcode::decode::{DecodeOptions, Decoder};
use lockgate::transcode::encode::{EncodeOptions, Encoder};
use lockgate::transcode::plan::Plan;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[allow(unreachable_pub, clippy::all, reason = "generated code")]
mod generated {
    include!("transcode/bench.v1.rs");
    include!("transcode/bench.v1.serde.rs");
}

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The items of the list.
const ITEMS: usize = 1000;

const WORDS: [&str; 12] =
    ["alpha", "bravo", "copper", "delta", "ember", "fjord", "granite", "harbour", "indigo", "juniper", "kelp", "lumen"];

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A number of 53 random bits from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn word(&mut self) -> &'static str {
        WORDS.iter().cycle().nth(self.below(12) as usize).copied().unwrap_or_default()
    }

    fn words(&mut self, count: usize) -> Vec<&'static str> {
        (0..count).map(|_| self.word()).collect()
    }

    fn different_words(&mut self, count: usize) -> Vec<&'static str> {
        let mut words = Vec::new();
        while words.len() < count {
            let word = self.word();
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words
    }
}

/// Writes one item with every field.
fn write_item(number: usize, random: &mut Random, json: &mut String) {
    let name = random.words(4).join(" ");
    let description = random.words(40).join(" ");
    let price = 1_000_000 + random.below(99_999_000_000);
    let (stock, rating) = (random.below(100_000), (random.fraction() * 5000.0).round() / 1000.0);
    let tags: Vec<_> = random.words(6).iter().map(|word| format!("\"{word}\"")).collect();
    let tags = tags.join(",");
    let labels: Vec<_> =
        random.different_words(4).iter().map(|key| format!("\"{key}\":\"{}\"", random.word())).collect();
    let labels = labels.join(",");
    let (width, height, depth) = (random.fraction() * 10.0, random.fraction() * 10.0, random.fraction());
    let digest: Vec<u8> = (0..4).flat_map(|_| random.next().to_le_bytes()).collect();
    let digest = STANDARD.encode(digest);
    let histogram: Vec<_> = (0..16).map(|_| random.below(1000).to_string()).collect();
    let histogram = histogram.join(",");
    write!(
        json,
        r#"{{"id":"item-{number:08}","displayName":"{name}","description":"{description} \"quoted\" éè end","#
    )
    .and_then(|()| {
        write!(
            json,
            r#""kind":"KIND_BOOK","priceMicros":"{price}","stock":{stock},"rating":{rating},"available":true,"#
        )
    })
    .and_then(|()| write!(json, r#""tags":[{tags}],"labels":{{{labels}}},"#))
    .and_then(|()| write!(json, r#""dimension":{{"width":{width},"height":{height},"depth":{depth}}},"#))
    .and_then(|()| {
        write!(json, r#""createTime":"2026-03-14T15:09:26.535897Z","digest":"{digest}","histogram":[{histogram}]}}"#)
    })
    .expect("a string takes everything");
}

fn list() -> String {
    let mut random = Random(7);
    let mut json = String::from(r#"{"items":["#);
    for number in 0..ITEMS {
        if number > 0 {
            json.push(',');
        }
        write_item(number, &mut random, &mut json);
    }
    json.push_str("]}");
    json
}

fn item() -> String {
    let mut json = String::new();
    write_item(1, &mut Random(7), &mut json);
    json
}

const SMALL: &str = r#"{"id":"item-1","displayName":"alpha bravo","stock":3,"priceMicros":"1250000"}"#;

/// The compiled descriptors.
struct Types {
    schema: Schema,
    plan: Plan,
    pool: DescriptorPool,
}

impl Types {
    fn compile() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/transcode");
        let set: SourceSet = compile(&root, &[PathBuf::from("bench.proto")]).expect("the file is valid");
        let pool = DescriptorPool::decode(set.bytes.as_ref()).expect("the set is valid");
        let schema = Schema::load(&[set]).expect("the set is valid");
        Self { plan: Plan::compile(&schema), schema, pool }
    }

    fn ways(&self, full_name: &str) -> Ways<'_> {
        Ways {
            plan: &self.plan,
            message: self.schema.find_message(full_name).expect("the message is there"),
            descriptor: self.pool.get_message_by_name(full_name).expect("the message is there"),
            decoder: Decoder::new(),
            encoder: Encoder::new(),
        }
    }
}

/// The ways from JSON to wire and back, of one message type.
struct Ways<'a> {
    plan: &'a Plan,
    message: MessageId,
    descriptor: MessageDescriptor,
    decoder: Decoder,
    encoder: Encoder,
}

impl Ways<'_> {
    fn decode(&mut self, json: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        let options = DecodeOptions::default();
        self.decoder.decode(self.plan, self.message, json, &options, &mut wire).expect("the text is valid");
        wire
    }

    fn encode(&mut self, wire: &[u8]) -> Vec<u8> {
        let mut json = Vec::new();
        let options = EncodeOptions::default();
        self.encoder.encode(self.plan, self.message, wire, &options, &mut json).expect("the message is valid");
        json
    }

    fn decode_dynamic(&self, json: &[u8]) -> Vec<u8> {
        let mut text = serde_json::Deserializer::from_slice(json);
        let message = DynamicMessage::deserialize(self.descriptor.clone(), &mut text).expect("the text is valid");
        text.end().expect("nothing is behind it");
        message.encode_to_vec()
    }

    fn encode_dynamic(&self, wire: &[u8]) -> Vec<u8> {
        let message = DynamicMessage::decode(self.descriptor.clone(), wire).expect("the message is valid");
        serde_json::to_vec(&message).expect("it has a JSON form")
    }
}

fn decode_generated<M: Message + DeserializeOwned>(json: &[u8]) -> Vec<u8> {
    serde_json::from_slice::<M>(json).expect("the text is valid").encode_to_vec()
}

fn encode_generated<M: Message + Default + Serialize>(wire: &[u8]) -> Vec<u8> {
    serde_json::to_vec(&M::decode(wire).expect("the message is valid")).expect("it has a JSON form")
}

/// Fails unless all ways lead to the same message. Maps may be in any order, so that the bytes are parsed first.
fn check<M>(ways: &mut Ways<'_>, json: &[u8])
where
    M: Message + Default + PartialEq + Serialize + DeserializeOwned,
{
    let expected: M = serde_json::from_slice(json).expect("the text is valid");
    let wire = expected.encode_to_vec();
    for wire in [ways.decode(json), ways.decode_dynamic(json), decode_generated::<M>(json)] {
        assert!(M::decode(wire.as_slice()).expect("it is legal") == expected, "JSON to wire");
    }
    for json in [ways.encode(&wire), ways.encode_dynamic(&wire), encode_generated::<M>(&wire)] {
        assert!(serde_json::from_slice::<M>(&json).expect("it is legal") == expected, "wire to JSON");
        assert!(M::decode(ways.decode(&json).as_slice()).expect("it is legal") == expected, "and back");
    }
}

fn measure<M>(criterion: &mut Criterion, mut ways: Ways<'_>, name: &str, json: &str)
where
    M: Message + Default + PartialEq + Serialize + DeserializeOwned,
{
    let json = json.as_bytes();
    check::<M>(&mut ways, json);
    let wire = ways.decode(json);
    let throughput = Throughput::Bytes(json.len() as u64);

    let mut group = criterion.benchmark_group("json-to-wire");
    group.throughput(throughput.clone());
    group.bench_function(BenchmarkId::new("lockgate", name), |bencher| {
        bencher.iter(|| ways.decode(black_box(json)));
    });
    group.bench_function(BenchmarkId::new("generated", name), |bencher| {
        bencher.iter(|| decode_generated::<M>(black_box(json)));
    });
    group.bench_function(BenchmarkId::new("prost-reflect", name), |bencher| {
        bencher.iter(|| ways.decode_dynamic(black_box(json)));
    });
    group.finish();

    let mut group = criterion.benchmark_group("wire-to-json");
    group.throughput(throughput);
    group.bench_function(BenchmarkId::new("lockgate", name), |bencher| {
        bencher.iter(|| ways.encode(black_box(&wire)));
    });
    group.bench_function(BenchmarkId::new("generated", name), |bencher| {
        bencher.iter(|| encode_generated::<M>(black_box(&wire)));
    });
    group.bench_function(BenchmarkId::new("prost-reflect", name), |bencher| {
        bencher.iter(|| ways.encode_dynamic(black_box(&wire)));
    });
    group.finish();
}

fn transcode(criterion: &mut Criterion) {
    let types = Types::compile();
    measure::<generated::ItemList>(criterion, types.ways("bench.v1.ItemList"), "list", &list());
    measure::<generated::Item>(criterion, types.ways("bench.v1.Item"), "item", &item());
    measure::<generated::Item>(criterion, types.ways("bench.v1.Item"), "small", SMALL);
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = transcode
}
criterion_main!(benches);
