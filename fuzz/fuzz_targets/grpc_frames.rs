//! gRPC frames: however the bytes are cut into chunks, the messages are the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lockgate::protocol::envelope::Deframer;

const MAX_MESSAGE_BYTES: usize = 4096;

fn messages<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<(bool, Bytes)>, bool) {
    let mut deframer = Deframer::new(MAX_MESSAGE_BYTES);
    let mut messages = Vec::new();
    for chunk in chunks {
        deframer.push(Bytes::copy_from_slice(chunk));
        loop {
            match deframer.next() {
                Ok(Some(message)) => messages.push((message.compressed, message.payload)),
                Ok(None) => break,
                Err(_) => return (messages, false),
            }
        }
    }
    let whole = deframer.finish().is_ok();
    (messages, whole)
}

/// Chunks of `size` bytes and of sixteen times as many, as the bits of `pattern` say: small ones are kept differently.
fn cut(mut bytes: &[u8], size: usize, pattern: u8) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    for turn in 0.. {
        if bytes.is_empty() {
            break;
        }
        let size = if pattern >> (turn % 8) & 1 == 0 { size } else { size * 16 };
        let (chunk, rest) = bytes.split_at(size.min(bytes.len()));
        chunks.push(chunk);
        bytes = rest;
    }
    chunks
}

fuzz_target!(|data: &[u8]| {
    let Some((&[size, pattern], bytes)) = data.split_first_chunk() else { return };
    let whole = messages(std::iter::once(bytes));
    let pieces = messages(cut(bytes, usize::from(size).max(1), pattern).into_iter());
    assert_eq!(whole, pieces);
});
