//! Percent-decoding, as a table.

use super::{EncodedSlash, decode};

#[track_caller]
fn check(text: &str, slash: EncodedSlash, expected: Result<&str, usize>) {
    let mut out = Vec::new();
    let result = decode(text, slash, &mut out).map(|()| String::from_utf8(out).unwrap());
    assert_eq!(result, expected.map(str::to_owned), "{text}");
}

#[test]
fn escapes_are_decoded_once() {
    check("plain", EncodedSlash::Decode, Ok("plain"));
    check("a%20b", EncodedSlash::Decode, Ok("a b"));
    check("%e2%82%AC", EncodedSlash::Decode, Ok("€"));
    check("%2525", EncodedSlash::Decode, Ok("%25"));
    check("a+b", EncodedSlash::Decode, Ok("a+b"));
    check("ü%C3%BC", EncodedSlash::Decode, Ok("üü"));
    check("", EncodedSlash::Decode, Ok(""));
}

#[test]
fn an_encoded_slash_is_kept_only_between_segments() {
    check("a%2Fb%2fc", EncodedSlash::Decode, Ok("a/b/c"));
    check("a%2Fb%2fc/d%20e", EncodedSlash::Keep, Ok("a%2Fb%2fc/d e"));
}

#[test]
fn broken_escapes_are_named_by_their_offset() {
    check("%", EncodedSlash::Decode, Err(0));
    check("ab%2", EncodedSlash::Decode, Err(2));
    check("%20%zz", EncodedSlash::Decode, Err(3));
    check("%+1", EncodedSlash::Decode, Err(0));
    check("%é", EncodedSlash::Decode, Err(0));
}
