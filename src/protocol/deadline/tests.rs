//! Timeouts as clients ask for them and as upstreams are told.

use proptest::prelude::*;

use super::*;
use crate::status::Code;

fn read(pairs: &[(&'static str, &str)], configured: Option<Duration>) -> Result<Option<Duration>, Status> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    timeout(&headers, configured)
}

#[track_caller]
fn check(name: &'static str, text: &str, expected: Duration) {
    assert_eq!(read(&[(name, text)], None).unwrap(), Some(expected));
}

#[track_caller]
fn check_malformed(name: &'static str, text: &str) {
    let status = read(&[(name, text)], None).expect_err(text);
    assert_eq!((status.code(), status.http().as_u16()), (Code::InvalidArgument, 400));
    assert!(status.message().starts_with(name), "{status}");
}

#[test]
fn grpc_timeout_has_up_to_eight_digits_and_a_unit() {
    check("grpc-timeout", "1H", Duration::from_secs(3600));
    check("grpc-timeout", "2M", Duration::from_secs(120));
    check("grpc-timeout", "3S", Duration::from_secs(3));
    check("grpc-timeout", "100m", Duration::from_millis(100));
    check("grpc-timeout", "5u", Duration::from_micros(5));
    check("grpc-timeout", "00000006n", Duration::from_nanos(6));
    check("grpc-timeout", "99999999H", Duration::from_secs(99_999_999 * 3600));
    check("grpc-timeout", "0S", Duration::ZERO);
    for text in ["", "S", "1", "1s", "1h", "123456789n", "-1S", "+1S", "1.5S", " 1S", "1 S", "1SS", "١S"] {
        check_malformed("grpc-timeout", text);
    }
}

#[test]
fn connect_timeout_has_up_to_ten_digits() {
    check("connect-timeout-ms", "1500", Duration::from_millis(1500));
    check("connect-timeout-ms", "9999999999", Duration::from_millis(9_999_999_999));
    for text in ["", "12345678901", "1.5", "-1", "1m", "+5"] {
        check_malformed("connect-timeout-ms", text);
    }
}

#[test]
fn server_timeout_takes_decimals() {
    check("x-server-timeout", "2", Duration::from_secs(2));
    check("x-server-timeout", "0.25", Duration::from_millis(250));
    check("x-server-timeout", ".5", Duration::from_millis(500));
    check("x-server-timeout", "3.", Duration::from_secs(3));
    check("x-server-timeout", "1.0000000019", Duration::new(1, 1));
    for text in ["", ".", "-1", "+1", "1e3", "NaN", "inf", "1.5s", "1.-5", "1.5.5", "12345678901"] {
        check_malformed("x-server-timeout", text);
    }
}

#[test]
fn shortest_timeout_holds() {
    let all = [("grpc-timeout", "3S"), ("connect-timeout-ms", "2000"), ("x-server-timeout", "4")];
    assert_eq!(read(&all, None).unwrap(), Some(Duration::from_secs(2)));
    assert_eq!(read(&all, Some(Duration::from_secs(1))).unwrap(), Some(Duration::from_secs(1)));
    assert_eq!(read(&all, Some(Duration::from_secs(9))).unwrap(), Some(Duration::from_secs(2)));
    assert_eq!(read(&[], Some(Duration::from_secs(9))).unwrap(), Some(Duration::from_secs(9)));
    assert_eq!(read(&[], None).unwrap(), None);
    assert_eq!(read(&[("grpc-timeout", "3S"), ("grpc-timeout", "1S")], None).unwrap(), Some(Duration::from_secs(1)));
    assert!(read(&[("grpc-timeout", "1S"), ("x-server-timeout", "x")], None).is_err());
}

#[test]
fn remaining_time_is_written_in_the_finest_unit_that_it_fits() {
    for (remaining, expected) in [
        (Duration::ZERO, "1n"),
        (Duration::from_nanos(99_999_999), "99999999n"),
        (Duration::from_nanos(100_000_999), "100000u"),
        (Duration::from_micros(2_000_999), "2000m"),
        (Duration::from_secs(100), "100000m"),
        (Duration::from_secs(100_000), "100000S"),
        (Duration::from_secs(100_000_000), "1666666M"),
        (Duration::MAX, "99999999H"),
    ] {
        assert_eq!(grpc_timeout(remaining), expected);
    }
}

proptest! {
    #[test]
    fn remaining_time_survives_the_round_trip(secs in 0..10_u64.pow(11), nanos in 0..1_000_000_000_u32) {
        let remaining = Duration::new(secs, nanos).max(Duration::from_nanos(1));
        let value = grpc_timeout(remaining);
        let back = parse_grpc(value.as_bytes()).unwrap();
        prop_assert!(!back.is_zero() && back <= remaining);
        // Rounding loses less than a millisecond of a second, and less than that of anything longer.
        prop_assert!(remaining - back <= remaining / 1_000);
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in prop::collection::vec(any::<u8>(), 0..24)) {
        for (_, parse, _) in READERS {
            let _ = parse(&text);
        }
    }
}
