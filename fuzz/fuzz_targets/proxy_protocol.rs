//! The PROXY protocol: no panic, and not a byte is read behind the header, however its bytes are cut.
//!
//! The input is a byte of cuts and the bytes of a connection.
#![no_main]

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use lockgate::server::proxy;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that come so many at a time, with a pause before each piece where there is more than one.
struct Wire<'b> {
    rest: &'b [u8],
    piece: usize,
    pause: bool,
}

impl AsyncRead for Wire<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.pause = !self.pause && self.piece < usize::MAX;
        if self.pause {
            return Poll::Pending;
        }
        let count = self.piece.min(buffer.remaining()).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(count);
        buffer.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

/// What was said, and how many bytes it took.
fn read(bytes: &[u8], piece: usize) -> (Option<Option<IpAddr>>, usize) {
    let mut wire = Wire { rest: bytes, piece, pause: false };
    let said = {
        let mut reading = pin!(proxy::read(&mut wire));
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(said) = reading.as_mut().poll(&mut context) {
                break said;
            }
        }
    };
    (said, bytes.len() - wire.rest.len())
}

fuzz_target!(|data: &[u8]| {
    let Some((&piece, bytes)) = data.split_first() else { return };
    let whole = read(bytes, usize::MAX);
    assert_eq!(whole, read(bytes, usize::from(piece).max(1)));
    let (said, taken) = whole;
    assert!(taken <= proxy::MAX_BYTES);
    let Some(address) = said else { return };
    // The header alone says the same, and less of it nothing.
    assert_eq!(read(&bytes[..taken], usize::MAX), (said, taken));
    assert_eq!(read(&bytes[..taken - 1], usize::MAX).0, None);
    if let (Some(address), true) = (address, bytes.starts_with(b"PROXY ")) {
        assert!(bytes[..taken].ends_with(b"\r\n") && taken <= 107);
        let line = std::str::from_utf8(&bytes[..taken - 2]).expect("what was read is text");
        let source = line.split(' ').nth(2).expect("the source stands in the line");
        assert_eq!(source.parse::<IpAddr>().map(|source| source.to_canonical()), Ok(address));
    }
});
