//! The transcoder's buffers, one set a thread: a request uses them between two waits, never across one.

use std::cell::RefCell;

use crate::transcode::decode::Decoder;
use crate::transcode::encode::Encoder;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch { decoder: Decoder::new(), encoder: Encoder::new() });
}

/// What transcoding needs besides its input and output.
pub(super) struct Scratch {
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
}

/// Lends the thread's buffers to `transcode`.
pub(super) fn with<T>(transcode: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(transcode)
}
