//! Tokens of JSON, and what is none.

use super::*;

#[track_caller]
fn check_number(text: &str, expected: Option<usize>) {
    assert_eq!(number_length(text.as_bytes()), expected, "{text}");
}

#[test]
fn numbers_end_where_their_grammar_ends() {
    for (text, length) in [
        ("0", 1),
        ("-0", 2),
        ("10,", 2),
        ("1.5]", 3),
        ("1e5", 3),
        ("1E+05 ", 5),
        ("-12.50e-3x", 9),
        ("0.0", 3),
        ("0e0", 3),
    ] {
        check_number(text, Some(length));
    }
    for text in ["", "-", "+1", "01", "-01", "1.", ".5", "1.e5", "1e", "1e+", "x", "--1", "NaN"] {
        check_number(text, None);
    }
}

#[test]
fn integers_are_exact_in_every_form() {
    let plain = |negative, size| Ok(Integer { negative, size });
    for (text, expected) in [
        ("0", plain(false, 0)),
        ("-0.0", plain(true, 0)),
        ("18446744073709551615", plain(false, u64::MAX)),
        ("18446744073709551616", Err(NotInteger::Range)),
        ("1844674407370955161.50e1", plain(false, 18_446_744_073_709_551_615)),
        ("1e19", plain(false, 10_000_000_000_000_000_000)),
        ("1e20", Err(NotInteger::Range)),
        ("0.001e3", plain(false, 1)),
        ("1000e-3", plain(false, 1)),
        ("1001e-3", Err(NotInteger::Fraction)),
        ("0.5", Err(NotInteger::Fraction)),
        ("1e-99999999999999999999", Err(NotInteger::Fraction)),
        ("0e-99999999999999999999", plain(false, 0)),
        ("1e99999999999999999999", Err(NotInteger::Range)),
        ("0e99999999999999999999", plain(false, 0)),
    ] {
        assert_eq!(integer(text.as_bytes()), expected, "{text}");
    }
    for text in ["1", "-1", "9223372036854775807", "1000000000000000000"] {
        assert_eq!(plain_integer(text.as_bytes()).map(Ok), Some(integer(text.as_bytes())), "{text}");
    }
    for text in ["", "-", "01", "1.0", "1e1", "18446744073709551615", "1x"] {
        assert_eq!(plain_integer(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn plain_integers_end_at_any_byte() {
    for digits in
        ["7", "42", "123", "9999", "12345", "654321", "1234567", "12345678", "123456789012", "9223372036854775807"]
    {
        for behind in ["", ",", "]", "}", " 12345678", "\n", "/2", ":2", "x1234567", "\u{ff}ÿÿÿÿÿÿÿ", "\u{7f}\u{7f}"]
        {
            for sign in ["", "-"] {
                let expected = Integer { negative: !sign.is_empty(), size: digits.parse().unwrap() };
                let text = format!("{sign}{digits}{behind}");
                assert_eq!(number::plain(text.as_bytes()), Some((expected, sign.len() + digits.len())), "{text}");
            }
        }
        for behind in [".0", "e1", "E1,       "] {
            assert_eq!(number::plain(format!("{digits}{behind}").as_bytes()), None);
        }
        assert_eq!(number::plain(format!("0{digits}        ").as_bytes()), None);
    }
}

#[test]
fn doubles_are_rounded_as_the_standard_library_does() {
    for text in [
        "0.1",
        "-0.3",
        "123456.789",
        "9007199254740992",
        "9007199254740993",
        "0.000000000000001",
        "4.35",
        "1e22",
        "2.5e-8",
    ] {
        assert_eq!(double(text), text.parse().ok(), "{text}");
    }
    assert_eq!(double("-0").map(f64::to_bits), Some((-0.0f64).to_bits()));
    assert_eq!(double("1e309"), None);
    assert_eq!(float("3.5e38"), None);
}

#[test]
fn what_is_skipped_is_checked_all_the_same() {
    let skip = |text: &str| {
        let mut reader = Reader::new(text.as_bytes())?;
        reader.skip(&mut Vec::new())?;
        reader.end()
    };
    for text in ["{}", "[]", "1", "\"a\\n\"", "null", " { \"a\" : [ 1 , true , { } ] } ", "[[[]]]", "-1e5", "false"] {
        assert!(skip(text).is_ok(), "{text}");
    }
    for text in [
        "",
        "{",
        "[",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{1:2}",
        "nul",
        "truex",
        "\"\\q\"",
        "[1 2]",
        "{} {}",
        "]",
        "[}",
        "{]",
    ] {
        assert!(skip(text).is_err(), "{text}");
    }
}

#[test]
fn types_are_found_wherever_they_stand() {
    let text = br#"{"a":{"b":1,"@type":"x"},"@typ\u0065":"y"}"#;
    let mut types = Vec::new();
    Reader::new(text).and_then(|mut reader| reader.skip(&mut types)).unwrap();
    types.sort_unstable();
    assert_eq!(types, [TypePlace { object: 0, value: 38 }, TypePlace { object: 5, value: 20 }]);
}
