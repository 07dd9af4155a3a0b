//! Random wire bytes: against prost-reflect, and one way of printing against the other.

use proptest::prelude::{ProptestConfig, TestCaseError, prop, prop_assert, prop_assert_eq, proptest};
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::Value;

use super::wire_bytes::*;
use super::*;
use crate::schema::Field;

/// Writes random messages, irregular ones more often than not. splitmix64 is its own generator, so that a seed is all
/// that a failure needs.
struct Writer(u64);

impl Writer {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    fn message(&mut self, message: MessageId, depth: usize) -> Vec<u8> {
        let fields = &SCHEMA.message(message).fields;
        let mut wire = Vec::new();
        if fields.is_empty() {
            return wire;
        }
        let choice: Vec<usize> = (0..3).map(|_| self.below(fields.len())).collect();
        for _ in 0..self.below(5) {
            let other = self.below(fields.len());
            let position = self.pick(&[choice[0], choice[1], choice[2], other]);
            wire.extend(match self.below(20) {
                0 => int(3333, 1),
                1 => group(3333, group(3333, bytes(1, "x"))),
                2 => bytes(fields[position].number, [1]),
                3 => int(fields[position].number, 1),
                _ => self.field(&fields[position], depth),
            });
        }
        wire
    }

    fn field(&mut self, field: &Field, depth: usize) -> Vec<u8> {
        let number = field.number;
        if field.shape == Shape::Repeated && self.below(2) == 0 {
            let packed = (0..self.below(4)).map(|_| self.scalar(field.kind)).collect::<Option<Vec<Vec<u8>>>>();
            if let Some(packed) = packed {
                return bytes(number, packed.concat());
            }
        }
        let is = |name: &str| field.kind.message() == Some(id(name));
        match field.kind {
            Kind::String => {
                bytes(number, self.pick(&["", "a", "b", "\"\\\n", "é", "a_b", "some longer text of ASCII"]))
            }
            Kind::Bytes => bytes(number, self.pick(&["", "a", "ab", "\u{1}abc"])),
            // prost-reflect brings times that are out of range into it.
            Kind::Int64 | Kind::Int32 if ["seconds", "nanos"].contains(&&*field.name) => {
                int(number, self.pick(&[0, 1, 2_000, 3_000_000]))
            }
            Kind::Message(_) if is("google.protobuf.Any") => {
                let name = self.pick(&["three.All", "google.protobuf.Timestamp", "google.protobuf.Struct"]);
                let value = self.message(id(name), depth + 1);
                any(number, &format!("x/{name}"), value)
            }
            Kind::Message(_) if depth > 4 && field.shape != Shape::Map => bytes(number, []),
            Kind::Message(inner) => bytes(number, self.message(inner, depth + 1)),
            Kind::Group(inner) => group(number, self.message(inner, depth + 1)),
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => {
                [tag(number, 1), self.scalar(field.kind).unwrap()].concat()
            }
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => [tag(number, 5), self.scalar(field.kind).unwrap()].concat(),
            _ => [tag(number, 0), self.scalar(field.kind).unwrap()].concat(),
        }
    }

    fn scalar(&mut self, kind: Kind) -> Option<Vec<u8>> {
        let random = self.next();
        Some(match kind {
            // Not -0.0, which prost-reflect takes for a default.
            Kind::Double => self.pick(&[0.0_f64, 1.0, 0.1, -1e300, 123_456.789]).to_le_bytes().to_vec(),
            Kind::Float => self.pick(&[0.0_f32, 1.0, 0.1, -1e30, 16_777_216.0]).to_le_bytes().to_vec(),
            Kind::Fixed64 | Kind::Sfixed64 => self.pick(&[0, 1, random]).to_le_bytes().to_vec(),
            Kind::Fixed32 | Kind::Sfixed32 => self.pick(&[0, 1, random as u32]).to_le_bytes().to_vec(),
            Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Group(_) => return None,
            Kind::Bool => varint(random & 1),
            Kind::Enum(_) => varint(self.pick(&[0, 1, -1_i64 as u64, 7])),
            Kind::Int64 | Kind::Uint64 | Kind::Sint64 => varint(self.pick(&[0, 1, random, u64::MAX])),
            Kind::Int32 | Kind::Uint32 | Kind::Sint32 => varint(self.pick(&[0, 1, random >> 32, 300, u64::MAX])),
        })
    }
}

/// Equal as JSON numbers, not as Rust ones.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same_field = |(key, one): (&String, &Value)| other.get(key).is_some_and(|other| same(one, other));
            one.len() == other.len() && one.iter().all(same_field)
        }
        _ => one == other,
    }
}

fn by_reflection(message: &str, wire: &[u8]) -> Option<String> {
    let descriptor = POOL.get_message_by_name(message).unwrap();
    let message = DynamicMessage::decode(descriptor, wire).ok()?;
    let mut json = serde_json::Serializer::new(Vec::new());
    message.serialize_with_options(&mut json, &SerializeOptions::new()).ok()?;
    Some(String::from_utf8(json.into_inner()).unwrap())
}

/// Printing as usual and by way of rewriting must mean the same.
fn agree(message: &str, wire: &[u8]) -> Result<Option<String>, TestCaseError> {
    let usual = print(message, wire, &EncodeOptions::default());
    let rewritten = print_rewritten(message, wire);
    match (usual, rewritten) {
        (Ok(usual), Ok(rewritten)) => {
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            prop_assert_eq!(value(&usual), value(&rewritten), "{:x?}", wire);
            Ok(Some(usual))
        }
        (Err(_), Err(_)) => Ok(None),
        (usual, rewritten) => Err(TestCaseError::fail(format!("{usual:?}\n{rewritten:?}\n{wire:x?}"))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prost_reflect_prints_the_same(seed: u64) {
        let wire = Writer(seed).message(id("three.All"), 0);
        let ours = agree("three.All", &wire)?;
        if let Some(theirs) = by_reflection("three.All", &wire) {
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let Some(ours) = ours else { return Err(TestCaseError::fail(format!("nothing, but {theirs}\n{wire:x?}"))) };
            prop_assert!(same(&value(&ours), &value(&theirs)), "{}\n{}\n{:x?}", ours, theirs, wire);
        }
    }

    #[test]
    fn both_ways_agree_on_closed_enums_groups_and_message_sets(seed: u64) {
        agree("two.All", &Writer(seed).message(id("two.All"), 0))?;
    }

    #[test]
    fn both_ways_agree_on_damaged_bytes(seed: u64, at: prop::sample::Index, byte: u8, cut: bool) {
        for message in ["three.All", "two.All"] {
            let mut wire = Writer(seed).message(id(message), 0);
            if wire.is_empty() {
                continue;
            }
            let at = at.index(wire.len());
            if cut {
                wire.truncate(at);
            } else {
                wire[at] = byte;
            }
            agree(message, &wire)?;
        }
    }

    #[test]
    fn any_bytes_are_taken_without_panic(wire in prop::collection::vec(proptest::arbitrary::any::<u8>(), 0..64)) {
        agree("three.All", &wire)?;
        agree("two.All", &wire)?;
    }
}
