//! How a call ended, by every kind of head, trailers and reset.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::header::HeaderValue;
use proptest::prelude::*;

use super::*;

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    map
}

#[track_caller]
fn check(trailers: &[(&str, &str)], number: u32, message: &str) {
    let status = status(&map(trailers)).expect_err("a failure");
    assert_eq!((status.number(), status.message(), status.blame()), (number, message, Blame::Upstream));
}

#[test]
fn only_status_zero_is_success() {
    assert!(status(&map(&[("grpc-status", "0")])).is_ok());
    check(&[("grpc-status", "5"), ("grpc-message", "no such user")], 5, "no such user");
    check(&[("grpc-status", "16")], 16, "");
    let silent = "the upstream did not say how the call ended";
    check(&[], 2, silent);
    check(&[("grpc-status", "0"), ("grpc-status", "0")], 2, silent);
    for unreadable in ["", "abc", "-1", "+0", "0 0", "0x0", "4294967296", "99999999999", "0.0"] {
        check(&[("grpc-status", unreadable)], 2, silent);
    }
}

#[test]
fn unknown_numbers_are_kept_and_are_unknown_to_http() {
    check(&[("grpc-status", "17")], 17, "");
    let status = status(&map(&[("grpc-status", "4294967295")])).unwrap_err();
    assert_eq!((status.number(), status.code(), status.http().as_u16()), (u32::MAX, Code::Unknown, 500));
}

#[test]
fn message_is_percent_decoded_and_what_is_no_escape_is_kept() {
    for (text, expected) in [
        ("a%20b", "a b"),
        ("%E2%82%AC %e2%82%ac", "€ €"),
        ("100%", "100%"),
        ("%4", "%4"),
        ("%zz%41", "%zzA"),
        ("%%41", "%A"),
        ("a+b", "a+b"),
        ("%ff", "\u{fffd}"),
        ("%0A", "\n"),
    ] {
        check(&[("grpc-status", "3"), ("grpc-message", text)], 3, expected);
    }
    let mut trailers = map(&[("grpc-status", "3")]);
    trailers.insert(GRPC_MESSAGE, HeaderValue::from_bytes("größe".as_bytes()).unwrap());
    assert_eq!(status(&trailers).unwrap_err().message(), "größe");
}

#[test]
fn message_is_bounded() {
    assert_eq!(decode_message(&vec![b'x'; 100_000]).len(), MAX_MESSAGE_BYTES);
}

fn details(count: usize) -> (Vec<u8>, Vec<Detail>) {
    let any = |index: usize| prost_types::Any { type_url: format!("type.example/{index}"), value: vec![1, 2, 3] };
    let status = rpc::Status { code: 9, message: "inner".into(), details: (0..count).map(any).collect() };
    let detail = |any: &prost_types::Any| Detail { type_url: any.type_url.clone(), value: any.value.clone().into() };
    (status.encode_to_vec(), status.details.iter().map(detail).collect())
}

#[test]
fn details_are_read_with_or_without_padding() {
    let (bytes, expected) = details(2);
    for text in [STANDARD.encode(&bytes), STANDARD_NO_PAD.encode(&bytes)] {
        let trailers =
            map(&[("grpc-status", "9"), ("grpc-message", "outer"), ("grpc-status-details-bin", text.as_str())]);
        let status = status(&trailers).unwrap_err();
        assert_eq!((status.message(), status.details()), ("outer", &expected[..]));
    }
    let text = STANDARD.encode(&bytes);
    check(&[("grpc-status", "9"), ("grpc-status-details-bin", &text)], 9, "inner");
}

#[test]
fn unreadable_details_cost_nothing_else() {
    for text in ["!!!", "AAAA", "CgEC/w", "A"] {
        let trailers = map(&[("grpc-status", "9"), ("grpc-message", "m"), ("grpc-status-details-bin", text)]);
        let status = status(&trailers).unwrap_err();
        assert_eq!((status.number(), status.message(), status.details()), (9, "m", &[][..]));
    }
}

#[test]
fn details_are_bounded() {
    let text = STANDARD.encode(details(1000).0);
    let status = status(&map(&[("grpc-status", "9"), ("grpc-status-details-bin", &text)])).unwrap_err();
    assert_eq!(status.details().len(), MAX_DETAILS);
}

#[track_caller]
fn check_http(http: u16, headers: &[(&str, &str)], expected: Option<u32>) {
    let found = check_head(StatusCode::from_u16(http).unwrap(), &map(headers)).err();
    assert_eq!(found.map(|status| status.number()), expected, "{http} {headers:?}");
}

#[test]
fn head_must_be_grpcs() {
    for good in ["application/grpc", "application/grpc+proto", "application/grpc;x=y", "Application/gRPC ; a=b"] {
        check_http(200, &[("content-type", good)], None);
    }
    for bad in ["text/html", "application/json", "application/grpc-web", "application/grpcx", ""] {
        check_http(200, &[("content-type", bad), ("grpc-status", "0")], Some(2));
    }
    check_http(200, &[], Some(2));
}

#[test]
fn other_answers_go_by_their_http_status() {
    for (http, code) in [
        (400, 13),
        (401, 16),
        (403, 7),
        (404, 12),
        (429, 14),
        (502, 14),
        (503, 14),
        (504, 14),
        (500, 2),
        (418, 2),
        (204, 2),
        (302, 2),
    ] {
        check_http(http, &[("content-type", "text/html")], Some(code));
        check_http(http, &[("content-type", "application/grpc")], Some(code));
        // A success that HTTP denies is none.
        check_http(http, &[("content-type", "application/grpc"), ("grpc-status", "0")], Some(code));
        check_http(http, &[("content-type", "application/grpc"), ("grpc-status", "5")], Some(5));
    }
}

#[test]
fn resets_go_by_the_table() {
    for (reason, code) in [
        (Reason::NO_ERROR, Code::Internal),
        (Reason::PROTOCOL_ERROR, Code::Internal),
        (Reason::INTERNAL_ERROR, Code::Internal),
        (Reason::FLOW_CONTROL_ERROR, Code::Internal),
        (Reason::SETTINGS_TIMEOUT, Code::Internal),
        (Reason::STREAM_CLOSED, Code::Unknown),
        (Reason::FRAME_SIZE_ERROR, Code::Internal),
        (Reason::REFUSED_STREAM, Code::Unavailable),
        (Reason::CANCEL, Code::Cancelled),
        (Reason::COMPRESSION_ERROR, Code::Internal),
        (Reason::CONNECT_ERROR, Code::Internal),
        (Reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
        (Reason::INADEQUATE_SECURITY, Code::PermissionDenied),
        (Reason::HTTP_1_1_REQUIRED, Code::Unknown),
        (Reason::from(77), Code::Unknown),
    ] {
        assert_eq!(reset(reason).code(), code, "{reason}");
    }
}

proptest! {
    #[test]
    fn encoded_message_decodes_to_itself(message in ".{0,60}") {
        let mut encoded = String::new();
        for &byte in message.as_bytes() {
            match byte {
                b' '..=b'~' if byte != b'%' => encoded.push(byte.into()),
                _ => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
        prop_assert_eq!(decode_message(encoded.as_bytes()), message);
    }

    #[test]
    fn no_trailers_make_it_panic(message in "[ -~]{0,40}", number in "[0-9]{0,3}", details in "[A-Za-z0-9+/=]{0,60}") {
        let trailers = [
            ("grpc-status", number.as_str()), ("grpc-message", &message), ("grpc-status-details-bin", &details),
        ];
        let _ = status(&map(&trailers));
    }
}
