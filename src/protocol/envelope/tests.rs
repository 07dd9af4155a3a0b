//! gRPC frames in any chunks, and illegal ones.

use proptest::prelude::*;

use super::*;
use crate::status::{Blame, Code};

fn frame(flag: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = prefix(payload.len()).unwrap().to_vec();
    bytes[0] = flag;
    bytes.extend_from_slice(payload);
    bytes
}

/// Push `bytes` in chunks of these sizes (over and over), and take all messages after each.
fn run(bytes: &[u8], sizes: &[usize], max: usize) -> Result<Vec<Message>, Status> {
    let (mut deframer, mut rest, mut messages) = (Deframer::new(max), bytes, Vec::new());
    for &size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        deframer.push(Bytes::copy_from_slice(chunk));
        while let Some(message) = deframer.next()? {
            messages.push(message);
        }
    }
    deframer.finish()?;
    Ok(messages)
}

#[track_caller]
fn check_illegal(bytes: &[u8], max: usize) {
    let status = run(bytes, &[1], max).expect_err("illegal");
    assert_eq!((status.code(), status.http().as_u16(), status.blame()), (Code::Internal, 502, Blame::Upstream));
}

#[test]
fn prefix_holds_four_bytes_of_length() {
    assert_eq!(prefix(0), Some([0; 5]));
    assert_eq!(prefix(0x0102_0304), Some([0, 1, 2, 3, 4]));
    assert_eq!(prefix(0x1_0000_0000), None);
}

#[test]
fn message_within_one_chunk_is_not_copied() {
    let chunk = Bytes::from([frame(0, b"one"), frame(1, b"two")].concat());
    let mut deframer = Deframer::new(100);
    deframer.push(chunk.clone());
    let one = deframer.next().unwrap().unwrap();
    let two = deframer.next().unwrap().unwrap();
    assert_eq!((&one.payload[..], one.compressed), (&b"one"[..], false));
    assert_eq!((&two.payload[..], two.compressed), (&b"two"[..], true));
    assert_eq!(one.payload.as_ptr(), chunk[5..].as_ptr());
    assert_eq!(two.payload.as_ptr(), chunk[13..].as_ptr());
    assert_eq!(deframer.next().unwrap(), None);
    deframer.finish().unwrap();
}

#[test]
fn empty_messages_are_messages() {
    let bytes = [frame(0, b""), frame(0, b"")].concat();
    assert_eq!(run(&bytes, &[10], 0).unwrap().len(), 2);
    assert_eq!(run(&bytes, &[1], 0).unwrap().len(), 2);
}

#[test]
fn illegal_flags_and_lengths_are_the_upstreams_fault() {
    for flag in [2, 0x80, 0xff] {
        check_illegal(&frame(flag, b"x"), 100);
    }
    check_illegal(&frame(0, b"12345"), 4);
    check_illegal(&[0, 0xff, 0xff, 0xff, 0xff], 4 << 20);
}

#[test]
fn message_cut_short_is_the_upstreams_fault() {
    let whole = frame(0, b"12345");
    for end in 1..whole.len() {
        check_illegal(&whole[..end], 100);
    }
}

#[test]
fn error_is_told_again() {
    let mut deframer = Deframer::new(4);
    deframer.push(frame(7, b"").into());
    assert!(deframer.next().is_err());
    assert!(deframer.next().is_err());
}

#[test]
fn announced_length_takes_no_memory() {
    let mut deframer = Deframer::new(1 << 30);
    deframer.push(Bytes::from_static(&[0, 0x3f, 0xff, 0xff, 0xff, 1]));
    assert_eq!(deframer.next().unwrap(), None);
    assert!(deframer.tail.capacity() + deframer.buffered() < 100);
}

#[test]
fn small_chunks_do_not_pin_their_buffers() {
    let mut deframer = Deframer::new(1 << 20);
    for byte in frame(0, &[7; 10_000]) {
        deframer.push(Bytes::copy_from_slice(&[byte]));
        assert!(deframer.chunks.len() <= 1);
        if let Some(message) = deframer.next().unwrap() {
            assert_eq!(message.payload, [7; 10_000][..]);
            return;
        }
    }
    panic!("no message came");
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_messages(
        payloads in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..3000)), 0..6),
        sizes in prop::collection::vec(1..2500_usize, 1..8),
    ) {
        let frames = payloads.iter().map(|(compressed, payload)| frame(u8::from(*compressed), payload));
        let bytes = frames.collect::<Vec<_>>().concat();
        let messages = run(&bytes, &sizes, 3000).unwrap();
        let found: Vec<_> = messages.into_iter().map(|message| (message.compressed, message.payload.to_vec())).collect();
        prop_assert_eq!(found, payloads);
    }

    #[test]
    fn chunks_pushed_at_once_give_the_same_messages(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..6),
        size in 1..2500_usize,
    ) {
        let bytes = payloads.iter().map(|payload| frame(0, payload)).collect::<Vec<_>>().concat();
        let mut deframer = Deframer::new(3000);
        for chunk in bytes.chunks(size) {
            deframer.push(Bytes::copy_from_slice(chunk));
        }
        for payload in &payloads {
            prop_assert_eq!(&deframer.next().unwrap().unwrap().payload, payload);
        }
        prop_assert_eq!(deframer.next().unwrap(), None);
        prop_assert_eq!(deframer.buffered(), 0);
        deframer.finish().unwrap();
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(0..4_u8, 0..200), size in 1..9_usize) {
        let _ = run(&bytes, &[size], 20);
    }
}
