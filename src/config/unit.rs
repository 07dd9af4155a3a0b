//! Numbers with their units, as they are written: [`Time`] and [`Timeout`] (`20ms`, `1.5s`), [`Size`] (`4MiB`) and
//! [`Count`].

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected};
use serde::{Serialize, Serializer};

/// A time that may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub Duration);

/// A time longer than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeout(pub Duration);

/// Bytes, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub usize);

/// A whole number from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub u32);

/// The longest time: timers stay far from the end of the clock.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The largest size: what one protobuf message may have.
const MAX_SIZE: u64 = 2 << 30;

const TIME_UNITS: [(&str, u64); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 60 * 60 * 1_000_000_000),
    ("d", 24 * 60 * 60 * 1_000_000_000),
];

const SIZE_UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

const EXPECTED_TIME: &str = "a time with its unit, such as `20ms`, `1.5s`, `2m` or `1h`, up to `365d`";
const EXPECTED_TIMEOUT: &str =
    "a time longer than zero with its unit, such as `20ms`, `1.5s`, `2m` or `1h`, up to `365d`";
const EXPECTED_SIZE: &str = "a size in bytes such as `64KiB`, `4MiB`, `1MB` or `4096`, from `1` to `2GiB`";
const EXPECTED_COUNT: &str = "a whole number from 1 to 4294967295";

/// `number unit` in the smallest of the units: exact decimals, no sign, no exponent.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.len() <= 9 => (whole, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    let whole: u64 = whole.parse().ok()?;
    let digits = u32::try_from(fraction.len()).ok()?;
    let fraction: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let fraction = u128::from(fraction) * u128::from(*factor) / u128::from(10_u64.pow(digits));
    whole.checked_mul(*factor)?.checked_add(u64::try_from(fraction).ok()?)
}

fn parse_time(text: &str) -> Option<Duration> {
    scaled(text, &TIME_UNITS).map(Duration::from_nanos).filter(|time| *time <= MAX_TIME)
}

fn parse_size(text: &str) -> Option<usize> {
    scaled(text, &SIZE_UNITS).filter(|size| (1..=MAX_SIZE).contains(size)).and_then(|size| usize::try_from(size).ok())
}

/// With the largest unit that divides it.
fn print(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| value.is_multiple_of(*factor) && value >= *factor;
    match units.iter().filter(fits).max_by_key(|(_, factor)| *factor) {
        Some((unit, factor)) => format!("{}{unit}", value / factor),
        None => format!("{value}{}", units.get(1).map_or("", |(unit, _)| unit)),
    }
}

/// A time as configurations write it.
pub(crate) fn print_time(time: Duration) -> String {
    match u64::try_from(time.as_nanos()) {
        Ok(0) | Err(_) => format!("{}s", time.as_secs()),
        Ok(nanos) => print(nanos, TIME_UNITS.get(..5).unwrap_or_default()),
    }
}

/// A size as configurations write it.
pub(crate) fn print_size(bytes: usize) -> String {
    let binary = [("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    u64::try_from(bytes).map_or_else(|_| bytes.to_string(), |bytes| print(bytes, &binary))
}

fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Option<T>,
    expected: &'static str,
) -> Result<T, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &expected))
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, |text| parse_time(text).map(Self), EXPECTED_TIME)
    }
}

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: &str| parse_time(text).filter(|time| !time.is_zero()).map(Self);
        read(deserializer, parse, EXPECTED_TIMEOUT)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, |text| parse_size(text).map(Self), EXPECTED_SIZE)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let parse = |text: &str| if digits(text) { text.parse().ok() } else { None };
        read(deserializer, |text| parse(text).filter(|count| *count > 0).map(Self), EXPECTED_COUNT)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&print_time(self.0))
    }
}

impl Serialize for Timeout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&print_time(self.0))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&print_size(self.0))
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

/// What a variable may stand for as well; the pattern of editors must not call that an error.
const VARIABLE: &str = r"^.*\$\{.*\}.*$";

macro_rules! schema {
    ($type:ident, $name:literal, $schema:expr) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

schema!(Time, "time", time_schema());
schema!(Timeout, "time", time_schema());
schema!(
    Size,
    "size",
    json_schema!({
        "title": "size",
        "type": ["string", "integer"],
        "pattern": format!(r"^[0-9]+(\.[0-9]+)? *(B|[kK]B|[MG]B|[KMG]iB)?$|{VARIABLE}"),
        "minimum": 1
    })
);
schema!(
    Count,
    "number",
    json_schema!({
        "title": "number",
        "type": ["integer", "string"],
        "minimum": 1,
        "maximum": u32::MAX,
        "pattern": format!(r"^[0-9]+$|{VARIABLE}")
    })
);

fn time_schema() -> Schema {
    json_schema!({
        "title": "time",
        "type": "string",
        "pattern": format!(r"^[0-9]+(\.[0-9]+)? *(us|ms|s|m|h|d)$|{VARIABLE}")
    })
}
