//! The messages that ProtoJSON writes in a form of their own.

use super::wire_bytes::*;
use super::*;

#[track_caller]
fn time(seconds: i64, nanos: i32, expected: &str) {
    let wire = [int(1, seconds as u64), int(2, i64::from(nanos) as u64)].concat();
    check("google.protobuf.Timestamp", &wire, &format!("\"{expected}\""));
}

#[track_caller]
fn no_time(seconds: i64, nanos: i32) {
    let wire = [int(1, seconds as u64), int(2, i64::from(nanos) as u64)].concat();
    let expected = format!("a time out of range ({seconds} seconds and {nanos} nanoseconds) at offset 0");
    check_fails("google.protobuf.Timestamp", &wire, &expected);
}

#[test]
fn timestamps() {
    time(0, 0, "1970-01-01T00:00:00Z");
    time(-62_135_596_800, 0, "0001-01-01T00:00:00Z");
    time(253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999999999Z");
    time(951_782_400, 0, "2000-02-29T00:00:00Z");
    time(951_868_800, 0, "2000-03-01T00:00:00Z");
    time(4_107_542_399, 1_000_000, "2100-02-28T23:59:59.001Z");
    time(4_107_542_400, 1_000, "2100-03-01T00:00:00.000001Z");
    time(-1, 1, "1969-12-31T23:59:59.000000001Z");
    time(1_773_500_966, 535_897_000, "2026-03-14T15:09:26.535897Z");
    no_time(-62_135_596_801, 0);
    no_time(253_402_300_800, 0);
    no_time(0, -1);
    no_time(0, 1_000_000_000);
    no_time(i64::MIN, 0);
    no_time(i64::MAX, i32::MIN);
}

#[test]
fn every_day_follows_the_one_before() {
    let (mut year, mut month, mut day) = (1600, 1, 1);
    for days in -135_140_i64..=160_000 {
        let mut out = Vec::new();
        assert!(time::write_timestamp(&mut out, days * 86_400, 0));
        assert_eq!(String::from_utf8(out).unwrap(), format!("\"{year:04}-{month:02}-{day:02}T00:00:00Z\""));
        let leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
        let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
        day += 1;
        if day > length {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
}

#[test]
fn durations() {
    #[track_caller]
    fn duration(seconds: i64, nanos: i32, expected: &str) {
        let wire = [int(1, seconds as u64), int(2, i64::from(nanos) as u64)].concat();
        check("google.protobuf.Duration", &wire, &format!("\"{expected}\""));
    }
    duration(0, 0, "0s");
    duration(1, 500_000_000, "1.500s");
    duration(-1, -500_000, "-1.000500s");
    duration(0, -1, "-0.000000001s");
    duration(315_576_000_000, 999_999_999, "315576000000.999999999s");
    for (seconds, nanos) in [
        (1, -1),
        (-1, 1),
        (315_576_000_001, 0),
        (-315_576_000_001, 0),
        (0, 1_000_000_000),
        (i64::MIN, 0),
        (0, i32::MIN),
    ] {
        let wire = [int(1, seconds as u64), int(2, i64::from(nanos) as u64)].concat();
        assert!(print("google.protobuf.Duration", &wire, &EncodeOptions::default()).is_err(), "{seconds} {nanos}");
    }
}

#[test]
fn field_masks() {
    let mask = |paths: &[&str]| paths.iter().flat_map(|path| bytes(1, path)).collect::<Vec<u8>>();
    check("google.protobuf.FieldMask", &mask(&[]), r#""""#);
    check("google.protobuf.FieldMask", &mask(&["foo_bar.baz_q", "x"]), r#""fooBar.bazQ,x""#);
    for path in ["fooBar", "foo_3", "foo__bar", "foo_", "_", "a_B"] {
        check_fails(
            "google.protobuf.FieldMask",
            &mask(&[path]),
            "a field mask path that has no form in lowerCamelCase at offset 2",
        );
    }
}

#[test]
fn wrappers_are_their_value() {
    check("google.protobuf.Int64Value", &[], r#""0""#);
    check("google.protobuf.Int64Value", &int(1, 5), r#""5""#);
    check("google.protobuf.UInt64Value", &int(1, 5), r#""5""#);
    check("google.protobuf.Int32Value", &int(1, 5), "5");
    check("google.protobuf.UInt32Value", &[], "0");
    check("google.protobuf.BoolValue", &[], "false");
    check("google.protobuf.BoolValue", &int(1, 1), "true");
    check("google.protobuf.StringValue", &[], r#""""#);
    check("google.protobuf.StringValue", &bytes(1, "a"), r#""a""#);
    check("google.protobuf.BytesValue", &bytes(1, "a"), r#""YQ==""#);
    check("google.protobuf.DoubleValue", &double(1, 2.5), "2.5");
    check("google.protobuf.DoubleValue", &[], "0");
    check("google.protobuf.FloatValue", &float(1, f32::NAN), r#""NaN""#);
    check("google.protobuf.Empty", &int(1, 1), "{}");
}

#[test]
fn dynamic_values() {
    let value = "google.protobuf.Value";
    check(value, &[], "null");
    check(value, &int(1, 0), "null");
    check(value, &double(2, 0.0), "0");
    check(value, &bytes(3, ""), r#""""#);
    check(value, &int(4, 0), "false");
    check(value, &bytes(5, []), "{}");
    check(value, &bytes(6, []), "[]");
    check(value, &bytes(6, [bytes(1, double(2, 1.5)), bytes(1, bytes(6, []))].concat()), "[1.5,[]]");
    check("google.protobuf.Struct", &entry(1, bytes(1, "a"), bytes(2, bytes(3, "b"))), r#"{"a":"b"}"#);
    check("google.protobuf.Struct", &[], "{}");
    check("google.protobuf.ListValue", &bytes(1, []), "[null]");
    check_fails(value, &double(2, f64::NAN), "a google.protobuf.Value that is not finite at offset 1");
    check_fails(value, &double(2, f64::INFINITY), "a google.protobuf.Value that is not finite at offset 1");
}

#[test]
fn anys() {
    let all = "three.All";
    check(all, &bytes(63, []), r#"{"any":{}}"#);
    check(all, &any(63, "x/three.All", []), r#"{"any":{"@type":"x/three.All"}}"#);
    check(all, &any(63, "a/b/three.All", int(3, 1)), r#"{"any":{"@type":"a/b/three.All","int32Field":1}}"#);
    check(
        all,
        &any(63, "x/google.protobuf.Timestamp", []),
        r#"{"any":{"@type":"x/google.protobuf.Timestamp","value":"1970-01-01T00:00:00Z"}}"#,
    );
    check(all, &any(63, "x/google.protobuf.Empty", []), r#"{"any":{"@type":"x/google.protobuf.Empty"}}"#);
    check(
        all,
        &any(63, "x/google.protobuf.Int32Value", int(1, 5)),
        r#"{"any":{"@type":"x/google.protobuf.Int32Value","value":5}}"#,
    );
    check(all, &any(63, "x/google.protobuf.Struct", []), r#"{"any":{"@type":"x/google.protobuf.Struct","value":{}}}"#);
    let inner = [bytes(1, "x/three.All"), bytes(2, int(3, 1))].concat();
    check(
        all,
        &any(63, "x/google.protobuf.Any", inner),
        r#"{"any":{"@type":"x/google.protobuf.Any","value":{"@type":"x/three.All","int32Field":1}}}"#,
    );
    check(all, &any(63, "x/unknown.Type", [1, 2, 3]), r#"{"any":{"@type":"x/unknown.Type","value":"AQID"}}"#);
    check(
        all,
        &bytes(63, [bytes(2, int(3, 1)), bytes(1, "x/three.All")].concat()),
        r#"{"any":{"@type":"x/three.All","int32Field":1}}"#,
    );
}
