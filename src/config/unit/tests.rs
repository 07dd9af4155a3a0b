//! Durations and sizes as they are written.

use std::time::Duration;

use super::{parse_size, parse_time, print_size, print_time};

#[track_caller]
fn time(text: &str, expected: Option<u64>) {
    assert_eq!(parse_time(text), expected.map(Duration::from_micros), "{text}");
}

#[test]
fn times_are_exact() {
    time("20ms", Some(20_000));
    time("2s", Some(2_000_000));
    time("1.5s", Some(1_500_000));
    time("0.000001s", Some(1));
    time("1 m", Some(60_000_000));
    time("1h", Some(3_600_000_000));
    time("365d", Some(31_536_000_000_000));
    time("0s", Some(0));
    for wrong in
        ["", "5", "s", "-1s", "1.s", ".5s", "1e3s", "1.0000000001s", "366d", "1S", "99999999999999999999s", "1s "]
    {
        time(wrong, None);
    }
}

#[test]
fn sizes_are_exact() {
    let cases = [
        ("1", 1),
        ("4MiB", 4 << 20),
        ("64KiB", 64 << 10),
        ("1MB", 1_000_000),
        ("1.5kB", 1500),
        ("7B", 7),
        ("2GiB", 2 << 30),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_size(text), Some(expected), "{text}");
    }
    for wrong in ["", "0", "3GiB", "1mb", "-1", "1 byte", "0.1B", "1kib"] {
        assert_eq!(parse_size(wrong), None, "{wrong}");
    }
}

#[test]
fn what_is_printed_reads_back() {
    for nanos in [0, 1_000, 20_000_000, 1_500_000_000, 60_000_000_000, 3_600_000_000_000, 90_000_000_000] {
        let time = Duration::from_nanos(nanos);
        assert_eq!(parse_time(&print_time(time)), Some(time), "{}", print_time(time));
    }
    for size in [1, 1000, 1024, 4 << 20, (4 << 20) + 1, 2 << 30] {
        assert_eq!(parse_size(&print_size(size)), Some(size), "{}", print_size(size));
    }
}
