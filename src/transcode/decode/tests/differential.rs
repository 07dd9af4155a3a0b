//! Random texts: what is legal means the same to prost-reflect, and what is not JSON is never taken.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// A small generator of its own, so that one number tells the whole text.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self, below: u64) -> u64 {
        // Steele's splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.next(from.len() as u64)).unwrap()]
    }

    fn space(&mut self) -> &'static str {
        self.pick(&["", "", "", "", " ", "\n", "\t ", "\r\n"])
    }

    fn integer(&mut self, low: i128, high: i128) -> String {
        let width = self.next(65);
        let raw = i128::from(self.next(u64::MAX)) >> (64 - width).min(63);
        let value = if self.next(3) == 0 { -raw } else { raw };
        let value = match self.next(12) {
            0 => low,
            1 => high,
            _ => value.clamp(low, high),
        };
        match self.next(3) {
            0 => format!("\"{value}\""),
            _ => value.to_string(),
        }
    }

    fn double(&mut self, float: bool) -> String {
        let value = match self.next(4) {
            0 => f64::from_bits(self.next(u64::MAX)),
            1 => f64::from(u32::try_from(self.next(1 << 32)).unwrap()) / 1000.0,
            2 => f64::from(f32::from_bits(u32::try_from(self.next(1 << 32)).unwrap())),
            _ => {
                return self
                    .pick(&["0", "1", "1e3", "0.1", "12345678901234567890", "\"Infinity\"", "\"-Infinity\"", "\"1.5\""])
                    .into();
            }
        };
        let value = if float { f64::from(value as f32) } else { value };
        // The oracle drops a negative zero.
        if value.is_finite() && value != 0.0 { self.float_text(value) } else { "7".into() }
    }

    fn float_text(&mut self, value: f64) -> String {
        if self.next(2) == 0 { format!("{value:e}") } else { serde_json::to_string(&value).unwrap() }
    }

    fn string(&mut self) -> String {
        let mut text = "\"".to_owned();
        for _ in 0..self.next(6) {
            text += match self.next(5) {
                0 => self.pick(&["\\n", "\\\"", "\\\\", "\\/", "\\u00e9", "\\ud83d\\ude00", "\\u0000", "\\b\\f\\r\\t"]),
                1 => self.pick(&["é", "€", "😀", "\u{7f}"]),
                2 => "the quick brown fox jumps over the lazy dog",
                _ => self.pick(&["a", "bc", "def", " ", "{}[],:"]),
            };
        }
        text + "\""
    }

    fn list(&mut self, mut item: impl FnMut(&mut Self) -> String) -> String {
        let length = if self.next(20) == 0 { 200 } else { self.next(4) };
        let items: Vec<String> =
            (0..length).map(|_| format!("{}{}{}", self.space(), item(self), self.space())).collect();
        format!("[{}{}]", items.join(","), self.space())
    }

    fn map(
        &mut self,
        mut key: impl FnMut(&mut Self, u64) -> String,
        mut value: impl FnMut(&mut Self) -> String,
    ) -> String {
        let length = if self.next(20) == 0 { 40 } else { self.next(4) };
        let entries: Vec<String> =
            (0..length).map(|at| format!("{}:{}{}", key(self, at), self.space(), value(self))).collect();
        format!("{{{}{}}}", self.space(), entries.join(","))
    }

    fn any_json(&mut self, depth: u64) -> String {
        match self.next(if depth == 0 { 4 } else { 6 }) {
            0 => "null".into(),
            1 => self.double(false),
            2 => self.string(),
            3 => self.pick(&["true", "false"]).into(),
            4 => self.list(|random| random.any_json(depth - 1)),
            _ => self.map(|_, at| format!("\"{at}\\u0061\""), |random| random.any_json(depth - 1)),
        }
    }

    fn scalar(&mut self, kind: &str) -> String {
        match kind {
            "double" => self.double(false),
            "float" => self.double(true),
            "int32" | "sint32" | "sfixed32" => self.integer(i32::MIN.into(), i32::MAX.into()),
            "uint32" | "fixed32" => self.integer(0, u32::MAX.into()),
            "int64" | "sint64" | "sfixed64" => self.integer(i64::MIN.into(), i64::MAX.into()),
            "uint64" | "fixed64" => self.integer(0, u64::MAX.into()),
            "bool" => self.pick(&["true", "false"]).into(),
            "string" => self.string(),
            "bytes" => self.pick(&["\"\"", "\"AQ==\"", "\"AAECAwQFBgcICQ==\"", "\"+\\/+\\/\"", "\"-_-_\""]).into(),
            "enum" => self.pick(&["\"ZERO\"", "\"ONE\"", "\"UNO\"", "\"NEGATIVE\"", "0", "1", "77", "-5"]).into(),
            _ => unreachable!("{kind}"),
        }
    }

    fn well_known(&mut self, name: &str) -> String {
        match name {
            "timestamp" => format!(
                "\"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{}\"",
                1 + self.next(9998),
                1 + self.next(12),
                1 + self.next(28),
                self.next(24),
                self.next(60),
                self.next(60),
                self.pick(&["", ".5", ".123456789", ".000001"]),
                self.pick(&["Z", "+01:30", "-11:00"])
            ),
            "duration" => format!(
                "\"{}{}{}s\"",
                self.pick(&["", "-"]),
                1 + self.next(315_575_999_999),
                self.pick(&["", ".5", ".000000001"])
            ),
            "mask" => self.pick(&["\"\"", "\"a\"", "\"fooBar,b.cD\""]).into(),
            _ => unreachable!("{name}"),
        }
    }

    fn member(&mut self, name: &str, depth: u64) -> String {
        // The oracle takes a null for a list of values as a list of one null.
        if self.next(30) == 0 && !["pickNull", "value", "values"].contains(&name) {
            return "null".into();
        }
        let kind = name.strip_suffix('s').filter(|kind| KINDS.contains(kind));
        match name {
            _ if KINDS.contains(&name) => self.scalar(name),
            "kind" | "pickKind" => self.kinds(depth - 1),
            "kinds" => self.list(|random| random.kinds(depth - 1)),
            "kindMap" => self.map(|_, at| format!("\"{at}\""), |random| random.kinds(depth - 1)),
            "values" => self.list(|random| random.any_json(2)),
            "value" => self.any_json(3),
            "listValue" => self.list(|random| random.any_json(2)),
            "structure" => self.map(|_, at| format!("\"{at}\""), |random| random.any_json(2)),
            "unpacked" => self.list(|random| random.scalar("int32")),
            "stringMap" => self.map(|_, at| format!("\"\\u006{at}é\"", at = at % 10 + at / 10 * 10), Self::string),
            "int32Map" => self.map(|_, at| format!("\"{at}\""), |random| random.scalar("int32")),
            "sint64Map" => self.map(|_, at| format!("\"-{}\"", at + 1), |random| random.scalar("int32")),
            "boolMap" => self.pick(&["{}", r#"{"true":1}"#, r#"{"false":0,"true":-1}"#]).into(),
            "timestamp" | "duration" | "mask" => self.well_known(name),
            "times" => self.list(|random| random.well_known("timestamp")),
            "int64Value" => self.scalar("int64"),
            "doubleValue" => self.scalar("double"),
            "stringValue" => self.string(),
            "boolValue" => self.scalar("bool"),
            "pickNull" => "null".into(),
            "pickString" | "maybeString" => self.string(),
            "maybeInt32" | "snakeCase" => self.scalar("int32"),
            "any" => match self.next(3) {
                0 => format!(r#"{{"@type":"x/google.protobuf.Duration","value":{}}}"#, self.well_known("duration")),
                // One field: the order of fields can be seen inside an Any.
                1 => format!(r#"{{"@type":"x/test.Kinds","string":{}}}"#, self.string()),
                _ => format!(r#"{{"kind":{{"int32":{}}},"@type":"x/test.Kinds"}}"#, self.scalar("int32")),
            },
            _ => self.list(|random| random.scalar(kind.unwrap())),
        }
    }

    pub(crate) fn kinds(&mut self, depth: u64) -> String {
        let mut text = "{".to_owned();
        let mut left: Vec<&str> = MEMBERS.iter().chain(if depth > 0 { NESTED } else { &[] }).copied().collect();
        if self.next(2) == 0 {
            left.retain(|name| !name.starts_with("pick"));
        }
        for at in 0..self.next(8) {
            let name = left.swap_remove(usize::try_from(self.next(left.len() as u64)).unwrap());
            if name.starts_with("pick") {
                left.retain(|name| !name.starts_with("pick"));
            }
            let comma = if at == 0 { "" } else { "," };
            let (before, behind, value) = (self.space(), self.space(), self.member(name, depth));
            write!(text, "{comma}{before}\"{name}\"{behind}:{before}{value}{behind}").unwrap();
        }
        text + "}"
    }
}

const KINDS: &[&str] = &[
    "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
    "sfixed64", "bool", "string", "bytes", "enum",
];

const MEMBERS: &[&str] = &[
    "double",
    "float",
    "int32",
    "int64",
    "uint32",
    "uint64",
    "sint32",
    "sint64",
    "fixed32",
    "fixed64",
    "sfixed32",
    "sfixed64",
    "bool",
    "string",
    "bytes",
    "enum",
    "doubles",
    "floats",
    "int32s",
    "int64s",
    "uint64s",
    "sint64s",
    "fixed64s",
    "bools",
    "strings",
    "enums",
    "values",
    "value",
    "listValue",
    "structure",
    "unpacked",
    "stringMap",
    "int32Map",
    "sint64Map",
    "boolMap",
    "timestamp",
    "duration",
    "mask",
    "times",
    "int64Value",
    "doubleValue",
    "stringValue",
    "boolValue",
    "pickNull",
    "pickString",
    "maybeString",
    "maybeInt32",
    "snakeCase",
];

const NESTED: &[&str] = &["kind", "kinds", "kindMap", "pickKind", "any", "kind", "kinds"];

fn reflected(json: &[u8]) -> Option<DynamicMessage> {
    let descriptor = POOL.get_message_by_name("test.Kinds").unwrap();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let parsed = DynamicMessage::deserialize(descriptor, &mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(dynamic("test.Kinds", &parsed.encode_to_vec()))
}

/// Where the two part.
fn difference(found: &DynamicMessage, expected: &DynamicMessage) -> String {
    let text =
        |message: &DynamicMessage| serde_json::to_value(message).map(|value| value.to_string()).unwrap_or_default();
    let (found, expected) = (text(found), text(expected));
    let at = found.bytes().zip(expected.bytes()).take_while(|(one, other)| one == other).count();
    let around = |text: &str| text.get(at.saturating_sub(60)..text.len().min(at + 60)).map(str::to_owned);
    format!("{:?}, not {:?}", around(&found), around(&expected))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn legal_texts_mean_the_same(seed in any::<u64>()) {
        let mut random = Random(seed);
        let json = random.kinds(4);
        // A name twice among the nested ones is a mistake of the generator, which ours must find.
        let wire = match decode_with("test.Kinds", json.as_bytes(), REJECT) {
            Ok(wire) => wire,
            Err(status) => {
                prop_assert!(status.message().contains("is there twice"), "{json}: {status}");
                return Ok(());
            }
        };
        let (found, expected) = (dynamic("test.Kinds", &wire), reflected(json.as_bytes()));
        let expected = expected.ok_or_else(|| TestCaseError::fail(format!("{json}: refused by the oracle")))?;
        prop_assert!(found == expected, "{json}: {}", difference(&found, &expected));
    }

    #[test]
    fn broken_texts_are_never_taken(seed in any::<u64>()) {
        let mut random = Random(seed);
        let mut json = random.kinds(3).into_bytes();
        for _ in 0..=random.next(3) {
            let at = usize::try_from(random.next(json.len() as u64)).unwrap();
            let byte = random.pick(&["\"", "\\", "{", "}", "[", "]", ",", ":", "0", "1", "-", ".", "e", "n", "\u{1}", "é", " "]);
            match random.next(3) {
                0 => json.splice(at..at, byte.bytes()),
                1 => json.splice(at..=at, byte.bytes()),
                _ => json.splice(at..=at, "".bytes()),
            };
            if json.is_empty() {
                return Ok(());
            }
        }
        let shown = String::from_utf8_lossy(&json).into_owned();
        // By its grammar: a number that no double holds is JSON all the same.
        let strict = match serde_json::from_slice::<serde_json::Value>(&json) {
            Ok(_) => true,
            Err(error) => error.to_string().starts_with("number out of range"),
        };
        for options in [REJECT, IGNORE] {
            let ours = decode_with("test.Kinds", &json, options);
            prop_assert!(strict || ours.is_err(), "{shown} is no JSON");
            // The oracle drops a negative zero.
            let expected = reflected(&json).filter(|_| !shown.contains("-0") && !shown.contains("values"));
            if let (Ok(wire), Some(expected)) = (ours, expected) {
                let found = dynamic("test.Kinds", &wire);
                prop_assert!(found == expected, "{shown}: {}", difference(&found, &expected));
            }
        }
    }
}
