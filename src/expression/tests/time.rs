//! Timestamps and durations: of the wire, of texts and numbers, with each other, and out of every range. The present is
//! 2027-01-15T08:00:00.5Z throughout.

use proptest::prelude::*;
use prost::encoding::encode_varint;
use serde_json::json;

use super::{compile, evaluate, evaluate_anonymous, fails, holds, now, refused, wire};
use crate::expression::time::{parse_duration, parse_timestamp};
use crate::expression::typing::Type;
use crate::expression::value::Value;

/// A message whose field of this number is a `Timestamp` or a `Duration` of these parts.
fn parts(number: u64, seconds: i64, nanos: i64) -> Vec<u8> {
    let mut inner = Vec::new();
    for (tag, value) in [(0x08, seconds), (0x10, nanos)] {
        inner.push(tag);
        encode_varint(value.cast_unsigned(), &mut inner);
    }
    let mut bytes = Vec::new();
    encode_varint(number << 3 | 2, &mut bytes);
    encode_varint(inner.len() as u64, &mut bytes);
    bytes.extend(inner);
    bytes
}

fn at(seconds: i64, nanos: i64) -> Vec<u8> {
    parts(31, seconds, nanos)
}

fn ttl(seconds: i64, nanos: i64) -> Vec<u8> {
    parts(37, seconds, nanos)
}

#[test]
fn fields_are_read_as_times() {
    let message = json!({
        "at": "2026-12-31T23:59:59.250Z", "ttl": "5400.5s", "times": ["1970-01-01T00:00:01Z", "2027-01-15T08:00:00.5Z"],
        "spans": {"short": "1s", "back": "-1.5s"},
    });
    for text in [
        "request.at < timestamp('2027-01-01T00:00:00Z') && request.at > timestamp('2026-12-31T23:59:59Z')",
        "request.at == timestamp('2026-12-31T23:59:59.25Z') && request.at != now",
        "request.at == timestamp('2027-01-01T00:59:59.250+01:00')",
        "request.ttl <= duration('2h') && request.ttl > duration('1h30m') && request.ttl == duration('1h30m0.5s')",
        "request.at + request.ttl == timestamp('2027-01-01T01:29:59.75Z')",
        "request.ttl + request.at == request.at + request.ttl && request.at + request.ttl - request.ttl == request.at",
        "timestamp('2027-01-01T00:00:00Z') - request.at == duration('750ms')",
        "request.ttl - duration('1h') < duration('31m') && request.ttl + request.ttl == duration('10801s')",
        "request.times[1] == now && request.times.exists(time, time < request.at) && request.times[0] in request.times",
        "request.times.map(time, now - time).exists(age, age == duration('0'))",
        "request.spans.back == duration('-1.5s') && request.spans['short'] > request.spans.back",
        "has(request.at) && has(request.ttl) && has(request.times) && has(request.spans.short) && !has(request.spans.no)",
        "int(request.at) == 1798761599 && string(request.at) == '2026-12-31T23:59:59.25Z'",
        "string(request.ttl) == '5400.5s' && timestamp(request.at) == request.at && duration(request.ttl) == request.ttl",
        "(request.ttl > duration('1h') ? request.at : now) == request.at",
        "dyn(request.at) < now && dyn(now) - request.ttl < now && now - dyn(request.ttl) < dyn(now)",
    ] {
        holds(text, &message);
    }
}

#[test]
fn what_is_not_set_is_1970_and_no_time() {
    holds("request.at == timestamp(0) && request.ttl == duration('0s') && request.ttl == duration('-0h')", &json!({}));
    holds("!has(request.at) && !has(request.ttl) && request.times == [] && request.spans == {}", &json!({}));
    holds("has(request.at) && request.at == timestamp(0)", &json!({"at": "1970-01-01T00:00:00Z"}));
    // What comes in parts is merged.
    let bytes = [at(5, 7), vec![0xfa, 0x01, 2, 0x08, 6], ttl(1, 1), vec![0xaa, 0x02, 2, 0x10, 2]].concat();
    let expression =
        compile("request.at - duration('7ns') == timestamp(6) && request.ttl == duration('1s2ns')", Type::Bool);
    assert_eq!(evaluate(&expression, &bytes), Ok(Value::Bool(true)));
}

#[test]
fn the_present_is_seen_and_may_be_shadowed() {
    for text in [
        "now == timestamp('2027-01-15T08:00:00.5Z') && int(now) == 1800000000 && now.getMilliseconds() == 500",
        "now - duration('1h') < now && now > timestamp(auth.claims.level)",
        "[1, 2].all(now, now < 3)",
    ] {
        holds(text, &json!({}));
    }
    assert_eq!(
        evaluate_anonymous(&compile("now", Type::Timestamp)),
        Ok(Value::String("2027-01-15T08:00:00.500Z".into()))
    );
    let expression = compile("now > timestamp(0)", Type::Bool);
    assert!(!expression.uses_request() && !expression.uses_auth());
    refused(
        "now.seconds > 3",
        Type::Bool,
        "seconds",
        "found timestamp, which has no field \"seconds\": int(…) is its seconds since 1970",
    );
    refused("noww > timestamp(0)", Type::Bool, "noww", "unknown variable \"noww\" (did you mean \"now\"?)");
}

#[test]
fn claims_become_timestamps() {
    // The claim `level` is 7, `huge` more than any time, `ratio` no whole number, `tenant` a text.
    holds("timestamp(auth.claims.level) == timestamp('1970-01-01T00:00:07Z')", &json!({}));
    holds("now - timestamp(auth.claims.level) > duration('400000h')", &json!({}));
    holds("now < timestamp(int(auth.claims.ratio) + 1900000000)", &json!({}));
    fails("timestamp(auth.claims.tenant)", &json!({}), "timestamp() does not take this value");
    fails(
        "timestamp(auth.claims.ratio)",
        &json!({}),
        "found no matching overload for 'timestamp' applied to '(double)'",
    );
    fails("timestamp(auth.claims.huge)", &json!({}), "found no matching overload for 'timestamp' applied to '(uint)'");
    fails("duration(auth.claims.level)", &json!({}), "found no matching overload for 'duration' applied to '(int)'");
    fails("duration(http.headers.accept)", &json!({}), "duration() does not take this value");
    fails(
        "auth.claims.level < now",
        &json!({}),
        "found no matching overload for '_<_' applied to '(int, google.protobuf.Timestamp)'",
    );
}

#[test]
fn parts_are_taken_out_in_utc_or_a_time_zone() {
    let message = json!({"at": "2026-07-04T22:05:06.789Z", "ttl": "5400.5s"});
    for text in [
        "request.at.getFullYear() == 2026 && request.at.getMonth() == 6 && request.at.getDate() == 4",
        "request.at.getDayOfMonth() == 3 && request.at.getDayOfYear() == 184 && request.at.getDayOfWeek() == 6",
        "request.at.getHours() == 22 && request.at.getMinutes() == 5 && request.at.getSeconds() == 6",
        "request.at.getMilliseconds() == 789",
        "request.at.getHours('Europe/Berlin') == 0 && request.at.getDate('Europe/Berlin') == 5",
        "request.at.getHours('+05:30') == 3 && request.at.getMinutes('+05:30') == 35 && request.at.getHours('-01:00') == 21",
        "timestamp('2026-12-24T20:00:00Z').getHours('Europe/Berlin') == 21",
        // The offset that it was written with is gone.
        "timestamp('2026-07-05T00:05:06+02:00').getHours() == 22",
        "request.ttl.getHours() == 1 && request.ttl.getMinutes() == 90 && request.ttl.getSeconds() == 5400",
        "request.ttl.getMilliseconds() == 5400500",
        "timestamp('0001-01-01T00:00:00Z').getFullYear('-23:59') == 0",
        "timestamp('9999-12-31T23:59:59.999999999Z').getDayOfYear('+23:59') == 0",
        "dyn(request.at).getHours() == 22 && request.at.getHours(dyn('UTC')) == 22",
    ] {
        holds(text, &message);
    }
    for (text, message) in [
        ("request.at.getHours(request.tenant)", "timezone() does not take this value"),
        (
            "dyn(request.ttl).getDate()",
            "found no matching overload for 'getDate' applied to 'google.protobuf.Duration.()'",
        ),
    ] {
        fails(text, &json!({"tenant": "Mars/Base"}), message);
    }
}

#[test]
fn texts_are_held_against_their_grammar() {
    for (text, nanos) in [
        ("0", 0),
        ("-0", 0),
        ("1h30m", 5_400_000_000_000),
        ("1.5s", 1_500_000_000),
        ("-1.000000001s", -1_000_000_001),
        ("1ms2us3ns", 1_002_003),
        ("0.9ns", 0),
        ("1h1h", 7_200_000_000_000),
        ("9223372036854775807ns", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
        ("2562047h", 2_562_047 * 3_600_000_000_000),
    ] {
        assert_eq!(parse_duration(text).and_then(|duration| duration.num_nanoseconds()), Some(nanos), "{text}");
    }
    for text in [
        "",
        "-",
        "1",
        "h",
        "1d",
        "1hour",
        "1h ",
        " 1h",
        "1h30",
        "--1h",
        "+1h",
        "1h-30m",
        ".5s",
        "1.s",
        "1e3s",
        "nans",
        "infs",
        "1 h",
        "0s0",
        "0h0",
        "٣s",
        "9223372036854775808ns",
        "2562048h",
        "99999999999999999999999999999999999999999h",
        "170141183460469231731687303715884105727h",
    ] {
        assert!(parse_duration(text).is_none(), "{text}");
    }
    let long = |zeros: usize| format!("{}1s", "0".repeat(zeros));
    assert!(parse_duration(&long(62)).is_some() && parse_duration(&long(63)).is_none());
    for text in
        ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2026-12-31T23:59:60Z", "2026-02-28t00:00:00z"]
    {
        assert!(parse_timestamp(text).is_some(), "{text}");
    }
    for text in [
        "",
        "0000-12-31T23:59:59Z",
        "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-02-29T00:00:00Z",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00ZZ",
        "now",
    ] {
        assert!(parse_timestamp(text).is_none(), "{text}");
    }
}

#[test]
fn literals_are_checked_when_loading() {
    let check = |text: &str, part: &str, message: &str| refused(text, Type::Dyn, part, message);
    check(
        "request.at < timestamp('2027-13-01T00:00:00Z')",
        "'2027-13-01T00:00:00Z'",
        "found \"2027-13-01T00:00:00Z\", expected a time as RFC 3339 has it, such as \"2027-01-01T00:00:00Z\"",
    );
    check(
        "timestamp(253402300800)",
        "253402300800",
        "found 253402300800, expected seconds since 1970 within the years 1 to 9999",
    );
    compile("timestamp(253402300799)", Type::Timestamp);
    check("duration('1 hour')", "'1 hour'", "found \"1 hour\", expected a duration such as \"1h30m\" or \"90s\"");
    check(
        "now.getHours('Europe/Berlim') < 8",
        "'Europe/Berlim'",
        "found \"Europe/Berlim\", expected a time zone such as \"Europe/Berlin\" or \"+02:00\"",
    );
    check(
        "now.getHours('24:00')",
        "'24:00'",
        "found \"24:00\", expected a time zone such as \"Europe/Berlin\" or \"+02:00\"",
    );
}

#[test]
fn wrong_types_of_times_are_refused() {
    let check = |text: &str, part: &str, message: &str| refused(text, Type::Dyn, part, message);
    check("timestamp(1.5)", "timestamp(1.5)", "timestamp of double, expected string, int or timestamp");
    check("duration(3)", "duration(3)", "duration of int, expected string or duration");
    check("timestamp()", "timestamp()", "timestamp with 0 arguments, expected 1");
    check(
        "int(duration('1s'))",
        "int(duration('1s'))",
        "int of duration, expected int, uint, double, string or timestamp",
    );
    check("getHours(now)", "getHours(now)", "getHours is a method, expected timestamp or duration.getHours(…)");
    check("request.ttl.getDate()", "request.ttl.getDate()", "getDate of duration, expected timestamp");
    check(
        "request.tenant.getHours()",
        "request.tenant.getHours()",
        "getHours of string, expected timestamp or duration",
    );
    check(
        "request.ttl.getHours('UTC')",
        "request.ttl.getHours('UTC')",
        "getHours of a duration in a time zone, expected none",
    );
    check("now.getHours(1)", "now.getHours(1)", "getHours in int, expected a time zone as string");
    check(
        "now.getHours('UTC', 1)",
        "now.getHours('UTC', 1)",
        "getHours with 2 arguments, expected a time zone or none",
    );
    check("now.getHour()", "now.getHour()", "unknown function \"getHour\" (did you mean \"getHours\"?)");
    check(
        "request.at < '2027-01-01T00:00:00Z'",
        "request.at < '2027-01-01T00:00:00Z'",
        "found timestamp and string, expected the same type on both sides: timestamp(…) makes one of the other",
    );
    check(
        "request.ttl == '1h'",
        "request.ttl == '1h'",
        "found duration and string, expected the same type on both sides: duration(…) makes one of the other",
    );
    check(
        "request.at < request.ttl",
        "request.at < request.ttl",
        "found timestamp and duration, expected two numbers, strings, bytes, bools, timestamps or durations",
    );
    check(
        "now + now",
        "now + now",
        "found timestamp and timestamp, expected a timestamp and a duration, or two durations",
    );
    check(
        "request.ttl - now",
        "request.ttl - now",
        "found duration and timestamp, expected a timestamp and a duration, or two durations",
    );
    check("now + 60", "now + 60", "found timestamp and int, expected a timestamp and a duration, or two durations");
    check("-request.ttl == duration('1s')", "request.ttl", "found duration, expected int or double");
    check(
        "request.ttl.seconds",
        "seconds",
        "found duration, which has no field \"seconds\": getSeconds() is its whole seconds",
    );
    check("{now: 1}", "now", "found timestamp as a key, expected bool, int, uint or string");
    check("size(now)", "size(now)", "size of timestamp, expected string, bytes, list or map");
}

#[test]
fn times_out_of_range_are_errors() {
    let year_1 = -62_135_596_800;
    let year_9999 = 253_402_300_799;
    let timestamp = compile("request.at", Type::Timestamp);
    for (seconds, nanos) in [(year_1, 0), (year_9999, 999_999_999), (0, 0), (-1, 999_999_999)] {
        assert!(evaluate(&timestamp, &at(seconds, nanos)).is_ok(), "{seconds} {nanos}");
    }
    for (seconds, nanos) in [
        (year_1 - 1, 999_999_999),
        (year_9999 + 1, 0),
        (0, -1),
        (0, 1_000_000_000),
        (i64::MIN, 0),
        (i64::MAX, 0),
        (59, i64::from(i32::MAX)),
    ] {
        let error = evaluate(&timestamp, &at(seconds, nanos)).expect_err("it is out of range");
        assert_eq!(error.to_string(), "the request has a timestamp out of range", "{seconds} {nanos}");
    }
    let duration = compile("request.ttl", Type::Duration);
    let longest = i64::MAX / 1_000_000_000;
    for (seconds, nanos) in [(longest, 854_775_807), (-longest, -854_775_808), (0, -1), (-1, 0), (-1, -999_999_999)] {
        assert!(evaluate(&duration, &ttl(seconds, nanos)).is_ok(), "{seconds} {nanos}");
    }
    for (seconds, nanos) in [
        (longest, 854_775_808),
        (-longest, -854_775_809),
        (1, -1),
        (-1, 1),
        (0, 1_000_000_000),
        (0, -1_000_000_000),
        (i64::MIN, 0),
    ] {
        let error = evaluate(&duration, &ttl(seconds, nanos)).expect_err("it is out of range");
        assert_eq!(error.to_string(), "the request has a duration out of range", "{seconds} {nanos}");
    }
    // Where a list, a map or a message of a list holds it, the same.
    let list = compile("request.times.all(time, time < now)", Type::Bool);
    assert!(evaluate(&list, &parts(38, i64::MAX, 0)).is_err());
    // What an expression does not read may be anything.
    assert_eq!(evaluate(&compile("has(request.at)", Type::Bool), &at(i64::MAX, -1)), Ok(Value::Bool(true)));
    let overflow = compile("request.at + request.ttl > now", Type::Bool);
    let bytes = [at(year_9999, 0), ttl(1, 0)].concat();
    assert_eq!(evaluate(&overflow, &bytes).unwrap_err().to_string(), "overflow in add");
    let overflow = compile("request.at - timestamp('1600-01-01T00:00:00Z') > request.ttl", Type::Bool);
    assert_eq!(evaluate(&overflow, &at(year_9999, 0)).unwrap_err().to_string(), "overflow in sub");
    let overflow = compile("request.ttl + request.ttl > request.ttl", Type::Bool);
    assert_eq!(evaluate(&overflow, &ttl(longest, 0)).unwrap_err().to_string(), "overflow in add");
}

#[test]
fn times_are_printed_as_json_has_them() {
    for (text, message, printed) in [
        ("request.at", json!({"at": "2027-01-01T00:00:00Z"}), "2027-01-01T00:00:00Z"),
        ("request.at", json!({"at": "0001-01-01T00:00:00.000001Z"}), "0001-01-01T00:00:00.000001Z"),
        ("timestamp('2027-01-01T01:00:00+01:00')", json!({}), "2027-01-01T00:00:00Z"),
        ("request.ttl", json!({"ttl": "3s"}), "3s"),
        ("request.ttl", json!({"ttl": "-0.5s"}), "-0.500s"),
        ("request.ttl", json!({"ttl": "1.00002s"}), "1.000020s"),
        ("request.ttl", json!({"ttl": "1.000000002s"}), "1.000000002s"),
    ] {
        assert_eq!(
            evaluate(&compile(text, Type::Dyn), &wire(&message)),
            Ok(Value::String(printed.to_owned())),
            "{text}"
        );
    }
    let list = Value::List(vec![Value::String("1970-01-01T00:00:01Z".to_owned())]);
    assert_eq!(evaluate(&compile("request.times", Type::Dyn), &parts(38, 1, 0)), Ok(list));
}

#[test]
fn an_any_is_read_as_it_is_declared() {
    let any = json!({"any": {"@type": "type.googleapis.com/t.User", "tenant": "acme"}});
    holds(
        "has(request.any) && request.any.type_url == 'type.googleapis.com/t.User' && size(request.any.value) == 6",
        &any,
    );
    holds("!has(request.any) && request.any.type_url == ''", &json!({}));
    refused(
        "request.any.tenant == 'acme'",
        Type::Bool,
        "tenant",
        "google.protobuf.Any has no field \"tenant\": what is in it is not looked into, only type_url and value",
    );
}

proptest! {
    #[test]
    fn any_parts_are_a_time_or_an_error(seconds in any::<i64>(), shift in 0u32..64, nanos in any::<i64>(), by in 0u32..64) {
        let (seconds, nanos) = (seconds >> shift, nanos >> by);
        for text in ["request.at + duration('1h') > now", "request.at.getDayOfYear('+23:59') >= 0", "string(request.at) != ''"] {
            let _either = evaluate(&compile(text, Type::Bool), &at(seconds, nanos));
        }
        for text in ["request.ttl + duration('1h') > request.ttl", "now - request.ttl < now", "request.ttl.getMilliseconds() >= 0"] {
            let _either = evaluate(&compile(text, Type::Bool), &ttl(seconds, nanos));
        }
    }

    #[test]
    fn any_text_is_a_time_or_none(text in "[-+0-9hmsun.:TZ ]{0,30}|.{0,40}") {
        let _either = (parse_duration(&text), parse_timestamp(&text));
    }

    #[test]
    fn printed_durations_are_read_again(nanos in any::<i64>(), shift in 0u32..64) {
        let nanos = nanos >> shift;
        let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        let Ok(Value::String(printed)) = evaluate(&compile("request.ttl", Type::Duration), &ttl(seconds, rest)) else {
            panic!("{nanos}");
        };
        prop_assert_eq!(parse_duration(&printed).unwrap().num_nanoseconds(), Some(nanos));
    }
}

#[test]
fn a_clock_that_is_off_is_an_error() {
    let before = std::time::UNIX_EPOCH - std::time::Duration::from_secs(1);
    assert!(crate::expression::time::present(before).is_none());
    assert!(crate::expression::time::present(now() + std::time::Duration::from_secs(1 << 40)).is_none());
}
