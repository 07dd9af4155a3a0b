//! Input that is made to hurt: it ends in an error, soon, without a panic.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::{enumeration, file, message, mistakes, of_type, scalar, set};
use crate::schema::Schema;
use crate::schema::descriptor::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};
use crate::schema::load::SourceSet;
use crate::schema::tests::fixture;

fn source(bytes: impl Into<Bytes>) -> SourceSet {
    SourceSet { origin: "a.binpb".into(), bytes: bytes.into() }
}

/// Field `number` with a length.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 10);
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// Loading gives an error, and well within what a person waits: the bound is for debug builds on a busy machine.
#[track_caller]
fn check(set: SourceSet, expected: &str) {
    let start = Instant::now();
    let mistakes = mistakes(&[set]);
    assert!(mistakes.first().is_some_and(|first| first.contains(expected)), "{:?}", mistakes.first());
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn every_truncation_of_a_set_is_survived() {
    let bytes = fixture("edition_2023").bytes;
    for end in 0..bytes.len() {
        assert!(Schema::load(&[source(bytes.slice(..end))]).is_err(), "cut at {end}");
    }
}

#[test]
fn messages_nested_ten_thousand_deep_are_refused() {
    let mut deep = Vec::new();
    for _ in 0..10_000 {
        deep = field(3, &deep);
    }
    check(source(field(1, &field(4, &deep))), "too large: the nesting of messages");
    // In bindings of bindings, and in groups that no descriptor has.
    let mut rule = Vec::new();
    for _ in 0..10_000 {
        rule = field(11, &rule);
    }
    let method = field(2, &field(4, &field(72_295_728, &rule)));
    check(source(field(1, &field(6, &method))), "too large: the nesting of messages");
    check(source(field(1, &[0xa3; 1 << 20])), "not a descriptor set");
}

#[test]
fn messages_nested_as_deep_as_allowed_are_loaded() {
    let mut deep = DescriptorProto { name: Some("M".into()), ..Default::default() };
    for _ in 1..crate::schema::census::MAX_NESTING {
        deep = DescriptorProto { nested_type: vec![deep], ..message("M", vec![]) };
    }
    let file = FileDescriptorProto { message_type: vec![deep], ..file("a.proto") };
    assert_eq!(mistakes(&[set("a.binpb", &[file])]), [""; 0]);
}

#[test]
fn fifty_megabytes_of_anything_are_refused() {
    const SIZE: usize = 50 << 20;
    check(source(vec![0; SIZE]), "not a descriptor set");
    check(source(vec![0xff; SIZE]), "not a descriptor set");
    // Which is a long list of unknown fields.
    check(source(vec![b'x'; SIZE]), "the descriptor set is empty");
    // Empty files, empty messages, empty imports, empty bindings: two bytes each, far more in memory.
    check(source([0x0a, 0].repeat(SIZE / 2)), "too large: the number of files");
    check(source(field(1, &[0x22, 0].repeat(SIZE / 2))), "too large: the number of files");
    check(source(field(1, &[0x1a, 0].repeat(SIZE / 2))), "too large: the number of files");
    let rules = field(72_295_728, &[0x5a, 0].repeat(SIZE / 2));
    check(source(field(1, &field(6, &field(2, &field(4, &rules))))), "too large: the number of files");
}

#[test]
fn a_ring_of_a_hundred_thousand_files_is_refused() {
    const COUNT: usize = 100_000;
    let files: Vec<FileDescriptorProto> = (0..COUNT)
        .map(|number| FileDescriptorProto {
            dependency: vec![format!("f{}", (number + 1) % COUNT)],
            ..file(&format!("f{number}"))
        })
        .collect();
    check(set("a.binpb", &files), "imports go in a circle: f0 -> f1");
}

#[test]
fn a_hundred_thousand_files_in_a_chain_are_loaded() {
    const COUNT: usize = 100_000;
    let files: Vec<FileDescriptorProto> = (0..COUNT)
        .map(|number| FileDescriptorProto {
            dependency: (number > 0).then(|| format!("f{}", number - 1)).into_iter().collect(),
            ..file(&format!("f{number}"))
        })
        .collect();
    assert_eq!(mistakes(&[set("a.binpb", &files)]), [""; 0]);
}

#[test]
fn long_names_do_not_multiply() {
    // Deep scopes of long names, with many fields of a relative type at the bottom.
    let name = "n".repeat(40);
    let fields = (1..=20_000).map(|number| of_type(&format!("f{number}"), number, "a.b.c.d.e.f.g")).collect();
    let mut deep = message("Bottom", fields);
    for _ in 0..20 {
        deep = DescriptorProto { nested_type: vec![deep], ..message(&name, vec![]) };
    }
    let package = Some("p.".repeat(60) + "p");
    let file = FileDescriptorProto { package, message_type: vec![deep], ..file("a.proto") };
    check(set("a.binpb", &[file]), "type \"a.b.c.d.e.f.g\" is not defined");
    // Names of files are kept with each message.
    let many = (0..300_000).map(|number| message(&format!("M{number}"), vec![])).collect();
    let file = FileDescriptorProto { message_type: many, ..super::file(&"f".repeat(1024)) };
    check(set("a.binpb", &[file]), "too large: the bytes of all full names");
}

#[test]
fn an_enum_of_a_hundred_thousand_values_is_loaded() {
    let names: Vec<String> = (0..100_000).map(|number| format!("V{number}")).collect();
    let values: Vec<(&str, i32)> = names.iter().map(String::as_str).zip(0..).collect();
    let file = FileDescriptorProto { enum_type: vec![enumeration("E", &values)], ..file("a.proto") };
    assert_eq!(mistakes(&[set("a.binpb", &[file])]), [""; 0]);
}

#[test]
fn messages_of_each_other_are_no_circle() {
    let file = FileDescriptorProto {
        message_type: vec![
            message("A", vec![of_type("b", 1, ".B"), of_type("a", 2, ".A")]),
            message("B", vec![of_type("a", 1, ".A"), scalar("text", 2)]),
        ],
        ..file("a.proto")
    };
    assert_eq!(mistakes(&[set("a.binpb", &[file])]), [""; 0]);
}

/// One change to a set.
#[derive(Clone, Debug)]
enum Mutation {
    Set { at: prop::sample::Index, byte: u8 },
    Insert { at: prop::sample::Index, byte: u8 },
    Remove { at: prop::sample::Index, count: usize },
    Repeat { at: prop::sample::Index, count: usize },
    Truncate { at: prop::sample::Index },
}

impl Mutation {
    fn strategy() -> impl Strategy<Value = Self> {
        let at = any::<prop::sample::Index>;
        prop_oneof![
            8 => (at(), any::<u8>()).prop_map(|(at, byte)| Self::Set { at, byte }),
            2 => (at(), any::<u8>()).prop_map(|(at, byte)| Self::Insert { at, byte }),
            2 => (at(), 1..16usize).prop_map(|(at, count)| Self::Remove { at, count }),
            2 => (at(), 1..256usize).prop_map(|(at, count)| Self::Repeat { at, count }),
            1 => at().prop_map(|at| Self::Truncate { at }),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match self {
            Self::Set { at, byte } => bytes[at.index(len)] = *byte,
            Self::Insert { at, byte } => bytes.insert(at.index(len), *byte),
            Self::Remove { at, count } => {
                let at = at.index(len);
                bytes.drain(at..(at + count).min(len));
            }
            Self::Repeat { at, count } => {
                let at = at.index(len);
                let piece = bytes[at..(at + count).min(len)].to_vec();
                bytes.splice(at..at, piece);
            }
            Self::Truncate { at } => bytes.truncate(at.index(len)),
        }
    }
}

/// Looks at everything that a loaded schema has: no id points out of it.
fn walk(schema: &Schema) {
    for message in schema.messages() {
        for field in &message.fields {
            if let Some(id) = field.kind.message() {
                assert!(!schema.message(id).full_name.is_empty());
            }
            if let crate::schema::Kind::Enum(id) = field.kind {
                assert!(!schema.enumeration(id).values.is_empty());
            }
            assert!(field.oneof.is_none_or(|oneof| usize::from(oneof) < message.oneofs.len()));
        }
    }
    for method in schema.methods() {
        assert!(schema.find_message(&schema.message(method.input).full_name) == Some(method.input));
    }
    crate::transcode::plan::Plan::compile(schema);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_of_real_sets_never_panic(
        name in prop::sample::select(vec!["library", "legacy", "relics", "edition_2023", "edition_2023_file"]),
        mutations in vec(Mutation::strategy(), 1..12),
    ) {
        let mut bytes = fixture(name).bytes.to_vec();
        for mutation in mutations {
            mutation.apply(&mut bytes);
        }
        if let Ok(schema) = Schema::load(&[source(bytes)]) {
            walk(&schema);
        }
    }

    #[test]
    fn mutations_of_small_files_never_panic(mutations in vec(Mutation::strategy(), 1..6)) {
        let whole = FileDescriptorSet::decode(fixture("edition_2023_file").bytes).unwrap();
        let mut bytes = whole.file[0].to_vec();
        for mutation in mutations {
            mutation.apply(&mut bytes);
        }
        // The set's own frame kept whole, so that more of the damage is behind the first decoding.
        if let Ok(schema) = Schema::load(&[source(field(1, &bytes))]) {
            walk(&schema);
        }
        // What is legal for prost, spelt as it should be.
        if let Ok(file) = FileDescriptorProto::decode(bytes.as_slice())
            && let Ok(schema) = Schema::load(&[set("a.binpb", &[file])])
        {
            walk(&schema);
        }
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..400)) {
        if let Ok(schema) = Schema::load(&[source(bytes)]) {
            walk(&schema);
        }
    }
}
