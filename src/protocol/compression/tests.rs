//! Codings of bodies and messages: whole, in pieces, broken, and far too large.

use std::io::Write;

use proptest::prelude::*;

use super::stage::{FREE_MEMBERS, MEMBER_BYTES};
use super::*;

fn encode(coding: Coding, data: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Brotli => {
            let mut out = Vec::new();
            brotli::CompressorWriter::new(&mut out, 4096, 5, 22).write_all(data).unwrap();
            out
        }
        Coding::Zstd => zstd::stream::encode_all(data, 3).unwrap(),
    }
}

fn codings(text: &str) -> Result<Codings, Status> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, text.parse().unwrap());
    Codings::of(&headers)
}

fn body(kinds: &[Coding], data: &[u8]) -> (Codings, Bytes) {
    let encoded = kinds.iter().fold(data.to_vec(), |data, &coding| encode(coding, &data));
    (Codings(kinds.iter().copied().collect()), encoded.into())
}

/// None that counts.
const RATIO: u32 = u32::MAX;

const ALL: [Coding; 3] = [Coding::Gzip, Coding::Brotli, Coding::Zstd];

#[track_caller]
fn check_status(result: Result<Bytes, Status>, http: u16) {
    assert_eq!(result.map(|bytes| bytes.len()).map_err(|status| status.http().as_u16()), Err(http));
}

#[test]
fn codings_are_read_in_the_order_of_their_application() {
    let check = |text: &str, expected: &[Coding]| assert_eq!(&codings(text).unwrap().0[..], expected, "{text}");
    check("", &[]);
    check("identity", &[]);
    check("gzip", &[Coding::Gzip]);
    check("X-GZIP", &[Coding::Gzip]);
    check("zstd , identity,, br", &[Coding::Zstd, Coding::Brotli]);
    assert!(Codings::of(&HeaderMap::new()).unwrap().is_identity());
}

#[test]
fn unknown_codings_are_415() {
    for text in ["deflate", "compress", "gzip;q=1", "*", "gzip,gzip,gzip,gzip", "gzip, snappy"] {
        let status = codings(text).expect_err(text);
        assert_eq!(status.http().as_u16(), 415);
        assert_eq!(status.headers()["accept-encoding"], "gzip, br, zstd");
    }
}

#[test]
fn bodies_are_decoded() {
    let long = "lockgate ".repeat(50_000);
    for data in [&b""[..], b"{}", long.as_bytes()] {
        for coding in ALL {
            let (codings, encoded) = body(&[coding], data);
            assert_eq!(decode_body(&codings, encoded, 1 << 20, RATIO).unwrap(), data, "{coding:?}");
        }
        let (codings, encoded) = body(&[Coding::Gzip, Coding::Zstd, Coding::Brotli], data);
        assert_eq!(decode_body(&codings, encoded, 1 << 20, RATIO).unwrap(), data);
    }
    assert_eq!(decode_body(&Codings::default(), Bytes::from_static(b"{}"), 2, RATIO).unwrap(), "{}");
}

#[test]
fn no_bytes_are_no_body_whatever_its_coding() {
    for coding in ALL {
        let codings = Codings([coding, coding].into_iter().collect());
        assert_eq!(decode_body(&codings, Bytes::new(), 9, RATIO).unwrap(), "");
    }
}

#[test]
fn several_members_are_one_body() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let encoded = [encode(coding, b"one"), encode(coding, b""), encode(coding, b"two")].concat();
        let codings = Codings([coding].into_iter().collect());
        assert_eq!(decode_body(&codings, encoded.into(), 9, RATIO).unwrap(), "onetwo");
    }
}

#[test]
fn limit_holds_after_inflating() {
    let bomb = vec![0; 16 << 20];
    for coding in ALL {
        let (codings, encoded) = body(&[coding], &bomb);
        check_status(decode_body(&codings, encoded.clone(), 1 << 20, RATIO), 413);
        assert!(decode_body(&codings, encoded, 16 << 20, RATIO).is_ok());
    }
    let (codings, encoded) = body(&[Coding::Zstd, Coding::Gzip], &bomb);
    check_status(decode_body(&codings, encoded, 1 << 20, RATIO), 413);
    check_status(decode_body(&Codings::default(), Bytes::from_static(b"{}"), 1, RATIO), 413);
}

#[test]
fn stream_inflates_no_more_than_was_asked_for() {
    let bomb = vec![0; 16 << 20];
    for coding in ALL {
        let (codings, encoded) = body(&[coding], &bomb);
        let mut decoder = BodyDecoder::new(&codings, RATIO);
        decoder.push(encoded);
        for _ in 0..20 {
            let piece = decoder.next().unwrap().unwrap();
            assert!(piece.len() <= 4 * PIECE_BYTES, "{coding:?}: {}", piece.len());
        }
    }
}

#[test]
fn what_is_inflated_is_bounded_by_what_was_sent() {
    let free = usize::try_from(FREE_BYTES).unwrap();
    for coding in ALL {
        let (codings, encoded) = body(&[coding], &vec![0; free]);
        assert_eq!(decode_body(&codings, encoded, usize::MAX, 1).unwrap().len(), free, "{coding:?}");
        let (codings, encoded) = body(&[coding], &vec![0; free + 1]);
        check_status(decode_body(&codings, encoded, usize::MAX, 1), 413);

        let (codings, encoded) = body(&[coding], &vec![0; 2 * free]);
        let ratio = u32::try_from((2 * free).div_ceil(encoded.len())).unwrap();
        assert!(decode_body(&codings, encoded.clone(), usize::MAX, ratio).is_ok(), "{coding:?}");
        let status = decode_body(&codings, encoded, usize::MAX, ratio - 1).unwrap_err();
        let expected = format!("the request body inflates to more than {} times its size", ratio - 1);
        assert_eq!((status.http().as_u16(), status.message()), (413, expected.as_str()));
    }
    // In a stream, by what came so far.
    let (codings, encoded) = body(&[Coding::Gzip], &vec![0; 2 * free]);
    let mut decoder = BodyDecoder::new(&codings, 100);
    decoder.push(encoded);
    let error = std::iter::from_fn(|| decoder.next().transpose()).find_map(Result::err);
    assert_eq!(error.unwrap().http().as_u16(), 413);
    assert!(decoder.next().is_err(), "it stays in error");
}

#[test]
fn a_coding_that_inflates_to_nothing_in_the_next_is_bounded_too() {
    let gzip = encode(Coding::Gzip, b"");
    let blocks = [&gzip[..10], &[0, 0, 0, 0xff, 0xff].repeat(1 << 20)].concat();
    let frames = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(1 << 20);
    for (inside, nothing) in [(Coding::Gzip, blocks), (Coding::Zstd, frames)] {
        for outside in ALL {
            let codings = Codings([inside, outside].into_iter().collect());
            let encoded = Bytes::from(encode(outside, &nothing));
            check_status(decode_body(&codings, encoded, 9, 100), 413);
        }
    }
    // At the edge, whatever the ratio of the whole.
    let free = usize::try_from(FREE_BYTES).unwrap();
    let frames = |bytes: usize| [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(bytes / 8);
    let codings = Codings([Coding::Zstd, Coding::Gzip].into_iter().collect());
    let sent = |bytes: usize| Bytes::from(encode(Coding::Gzip, &frames(bytes)));
    assert_eq!(decode_body(&codings, sent(free), 9, 1).unwrap(), "");
    let status = decode_body(&codings, sent(free + 8), 9, RATIO).unwrap_err();
    let expected = "the request body inflates to more than 4 times its size before the last coding is off";
    assert_eq!((status.http().as_u16(), status.message()), (413, expected));
}

#[test]
fn short_members_of_gzip_are_bounded() {
    let gzip = Codings([Coding::Gzip].into_iter().collect());
    let empty = encode(Coding::Gzip, b"");
    let members = |count: usize| Bytes::from(empty.repeat(count));
    let is_let_through =
        |count: usize| count as u64 <= FREE_MEMBERS + (empty.len() * (count - 1)) as u64 / MEMBER_BYTES;
    let most = (1..).take_while(|count| is_let_through(*count)).count();
    assert_eq!(decode_body(&gzip, members(most), 9, RATIO).unwrap(), "");
    check_status(decode_body(&gzip, members(most + 1), 9, RATIO), 400);
    // Members that are not short may be as many as they like.
    let noise: Vec<u8> = (0..1500_u32).flat_map(|number| number.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let member = encode(Coding::Gzip, &noise);
    assert!(member.len() as u64 > MEMBER_BYTES);
    assert_eq!(decode_body(&gzip, member.repeat(2000).into(), usize::MAX, RATIO).unwrap().len(), 2000 * noise.len());
}

#[test]
fn broken_bodies_are_400() {
    let data = b"some text that is long enough to be worth a block of its own, some text".repeat(20);
    for coding in ALL {
        let (codings, encoded) = body(&[coding], &data);
        for end in 1..encoded.len() {
            check_status(decode_body(&codings, encoded.slice(..end), 1 << 20, RATIO), 400);
        }
        let behind = [&encoded[..], b"x"].concat();
        check_status(decode_body(&codings, behind.into(), 1 << 20, RATIO), 400);
        check_status(decode_body(&codings, Bytes::from_static(b"{\"plain\": true}"), 1 << 20, RATIO), 400);
    }
    let (codings, encoded) = body(&[Coding::Gzip], &data);
    let mut damaged = encoded.to_vec();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    check_status(decode_body(&codings, damaged.into(), 1 << 20, RATIO), 400);
}

#[test]
fn bytes_behind_the_end_are_400_whenever_they_come() {
    for coding in ALL {
        let (codings, encoded) = body(&[coding], b"{}");
        let mut decoder = BodyDecoder::new(&codings, RATIO);
        decoder.push(encoded);
        while decoder.next().unwrap().is_some() {}
        decoder.push(Bytes::from_static(b"garbage that is no gzip, brotli or zstd"));
        decoder.end();
        assert_eq!(decoder.next().unwrap_err().http().as_u16(), 400, "{coding:?}");
        assert!(decoder.next().is_err(), "it stays in error");
    }
}

#[test]
fn large_windows_are_refused() {
    // A brotli stream of the large-window extension: 0x11, then 30 bits of window.
    let brotli = Codings([Coding::Brotli].into_iter().collect());
    check_status(decode_body(&brotli, Bytes::from_static(&[0x11, 0x1e, 0, 0, 0, 0, 0]), 99, RATIO), 400);
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&[7; 1000]).unwrap();
    let zstd = Codings([Coding::Zstd].into_iter().collect());
    check_status(decode_body(&zstd, encoder.finish().unwrap().into(), 9999, RATIO), 400);
}

#[test]
fn stream_hands_out_all_that_can_be_inflated() {
    // A client that flushes after each message waits for the answer: nothing may be kept back.
    let lines: Vec<String> =
        (0..50).map(|index| format!("{{\"id\":{index},\"pad\":\"{}\"}}\n", "x".repeat(3000))).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut decoder = BodyDecoder::new(&codings("gzip").unwrap(), RATIO);
    for line in &lines {
        encoder.write_all(line.as_bytes()).unwrap();
        encoder.flush().unwrap();
        decoder.push(std::mem::take(encoder.get_mut()).into());
        let mut found = Vec::new();
        while let Some(piece) = decoder.next().unwrap() {
            found.extend_from_slice(&piece);
        }
        assert_eq!(found, line.as_bytes());
    }
    let mut big = Vec::new();
    encoder.write_all(&[b'x'; 1 << 20]).unwrap();
    encoder.flush().unwrap();
    decoder.push(std::mem::take(encoder.get_mut()).into());
    while let Some(piece) = decoder.next().unwrap() {
        big.extend_from_slice(&piece);
    }
    assert_eq!(big.len(), 1 << 20);
    decoder.push(encoder.finish().unwrap().into());
    decoder.end();
    assert_eq!(decoder.next().unwrap(), None);
}

#[test]
fn decoder_moves_between_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<BodyDecoder>();
}

fn message(compressed: bool, payload: Vec<u8>) -> Message {
    Message { compressed, payload: payload.into() }
}

#[test]
fn messages_of_an_upstream_are_inflated() {
    let coding = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_ENCODING, text.parse().unwrap());
        MessageCoding::of(&headers)
    };
    assert_eq!(MessageCoding::of(&HeaderMap::new()).unwrap(), MessageCoding::Identity);
    assert_eq!(coding("identity").unwrap(), MessageCoding::Identity);
    let gzip = coding("gzip").unwrap();
    assert_eq!(coding("deflate").unwrap_err().http().as_u16(), 502);

    let long = vec![b'x'; 100_000];
    assert_eq!(gzip.decode(message(true, encode(Coding::Gzip, b"abc")), 3).unwrap(), "abc");
    assert_eq!(gzip.decode(message(true, encode(Coding::Gzip, &long)), 100_000).unwrap(), long);
    assert_eq!(gzip.decode(message(true, Vec::new()), 3).unwrap(), "");
    assert_eq!(gzip.decode(message(false, b"abc".to_vec()), 3).unwrap(), "abc");
    check_status(gzip.decode(message(true, encode(Coding::Gzip, &long)), 99_999), 502);
    check_status(gzip.decode(message(true, encode(Coding::Gzip, b"abc")), 2), 502);
    check_status(gzip.decode(message(true, b"abc".to_vec()), 9), 502);
    check_status(MessageCoding::Identity.decode(message(true, b"abc".to_vec()), 9), 502);
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_bytes(
        data in prop::collection::vec(0..5_u8, 0..20_000),
        kinds in prop::collection::vec(prop::sample::select(&ALL[..]), 0..3),
        sizes in prop::collection::vec(1..500_usize, 1..5),
    ) {
        let (codings, encoded) = body(&kinds, &data);
        let (mut decoder, mut rest, mut found) = (BodyDecoder::new(&codings, RATIO), encoded, Vec::new());
        for &size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            decoder.push(rest.split_to(size.min(rest.len())));
            while let Some(piece) = decoder.next().unwrap() {
                found.extend_from_slice(&piece);
            }
        }
        decoder.end();
        while let Some(piece) = decoder.next().unwrap() {
            found.extend_from_slice(&piece);
        }
        prop_assert_eq!(found, data);
    }

    #[test]
    fn no_bytes_make_it_panic(
        seed in prop::collection::vec(any::<u8>(), 0..300),
        coding in prop::sample::select(&ALL[..]),
        at in any::<prop::sample::Index>(),
    ) {
        let (codings, encoded) = body(&[coding], &seed);
        let mut damaged = encoded.to_vec();
        if !damaged.is_empty() {
            let at = at.index(damaged.len());
            damaged[at] ^= 0x55;
        }
        let mut decoder = BodyDecoder::new(&codings, RATIO);
        for chunk in damaged.chunks(7) {
            decoder.push(Bytes::copy_from_slice(chunk));
            let _ = decoder.next();
        }
        decoder.end();
        while let Ok(Some(_)) = decoder.next() {}
        let _ = decoder.next();
    }
}
