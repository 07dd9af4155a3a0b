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

fuzz_target!(|data: &[u8]| {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = messages(std::iter::once(bytes));
    let pieces = messages(bytes.chunks(usize::from(*cut).max(1)));
    assert_eq!(whole, pieces);
});
