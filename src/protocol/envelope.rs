//! gRPC's framing of messages: a flag, a length of four bytes, the message.
//!
//! `Length-Prefixed-Message` of <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>. The [`Deframer`] takes
//! chunks as they come and hands out messages as slices of them: a message is copied only if it spans chunks, and
//! memory is taken for bytes that came, never for a length that was announced.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::status::Status;

/// The length of the prefix.
pub const PREFIX_BYTES: usize = 5;

/// A chunk below this size is gathered with its neighbours instead of being kept with the read buffer that it pins.
const SMALL_CHUNK_BYTES: usize = 1024;

/// The prefix of an uncompressed message of this length; `None` if four bytes do not hold it.
#[must_use]
pub fn prefix(length: usize) -> Option<[u8; PREFIX_BYTES]> {
    let [a, b, c, d] = u32::try_from(length).ok()?.to_be_bytes();
    Some([0, a, b, c, d])
}

/// One message as it was framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether the payload is in the coding that `grpc-encoding` names.
    pub compressed: bool,
    /// Mostly a slice of the chunk that brought it: copy it if it outlives the call.
    pub payload: Bytes,
}

/// Reassembles the messages of an upstream from chunks.
///
/// Take all messages out with [`Self::next`] before the next [`Self::push`]: it holds what it is given.
#[derive(Debug)]
pub struct Deframer {
    max_message_bytes: usize,
    chunks: VecDeque<Bytes>,
    /// Small chunks that came after those.
    tail: BytesMut,
    /// Bytes in both.
    buffered: usize,
    /// The prefix that was read already.
    open: Option<Prefix>,
}

#[derive(Clone, Copy, Debug)]
struct Prefix {
    compressed: bool,
    length: usize,
}

impl Deframer {
    /// A deframer that refuses messages beyond this size.
    #[must_use]
    pub fn new(max_message_bytes: usize) -> Self {
        Self { max_message_bytes, chunks: VecDeque::new(), tail: BytesMut::new(), buffered: 0, open: None }
    }

    /// Take in what came.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        let alone = self.buffered == 0;
        self.buffered += chunk.len();
        if chunk.len() < SMALL_CHUNK_BYTES && !alone {
            self.tail.extend_from_slice(&chunk);
        } else {
            self.flush_tail();
            self.chunks.push_back(chunk);
        }
    }

    /// The next message, if all of it came.
    ///
    /// # Errors
    /// INTERNAL, HTTP 502: a flag other than 0 and 1, or a length beyond the limit. It stays in error.
    #[expect(clippy::should_implement_trait, reason = "it is asked again after more was pushed")]
    pub fn next(&mut self) -> Result<Option<Message>, Status> {
        let prefix = match self.open {
            Some(prefix) => prefix,
            None if self.buffered < PREFIX_BYTES => return Ok(None),
            None => self.read_prefix()?,
        };
        if self.buffered < prefix.length {
            return Ok(None);
        }
        self.open = None;
        let payload = self.take(prefix.length);
        Ok(Some(Message { compressed: prefix.compressed, payload }))
    }

    /// How many bytes of messages not yet taken are held.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// The stream ended here.
    ///
    /// # Errors
    /// INTERNAL, HTTP 502: within a message.
    pub fn finish(&self) -> Result<(), Status> {
        match (&self.open, self.buffered) {
            (None, 0) => Ok(()),
            (None, _) => Err(Status::bad_upstream("the stream ended within a message's prefix")),
            (Some(prefix), came) => {
                let length = prefix.length;
                Err(Status::bad_upstream(format!("a message of {length} bytes was cut short after {came}")))
            }
        }
    }

    fn read_prefix(&mut self) -> Result<Prefix, Status> {
        let mut bytes = self.chunks.iter().flatten().chain(&self.tail).copied();
        let mut byte = || bytes.next().expect("the caller saw that five bytes are buffered");
        let (flag, length) = (byte(), u32::from_be_bytes([byte(), byte(), byte(), byte()]));
        let compressed = match flag {
            0 => false,
            1 => true,
            _ => return Err(Status::bad_upstream(format!("a message has the illegal flag {flag}"))),
        };
        let (length, limit) = (usize::try_from(length).unwrap_or(usize::MAX), self.max_message_bytes);
        if length > limit {
            let cause = format!("a message of {length} bytes is beyond the limit of {limit}");
            return Err(Status::bad_upstream(cause));
        }
        let prefix = Prefix { compressed, length };
        match self.chunks.front_mut() {
            Some(chunk) if chunk.len() > PREFIX_BYTES => {
                chunk.advance(PREFIX_BYTES);
                self.buffered -= PREFIX_BYTES;
            }
            Some(_) | None => drop(self.take(PREFIX_BYTES)),
        }
        self.open = Some(prefix);
        Ok(prefix)
    }

    /// Exactly this many bytes, which are buffered: a slice of the first chunk, or else a copy.
    fn take(&mut self, length: usize) -> Bytes {
        if length == 0 {
            return Bytes::new();
        }
        self.buffered -= length;
        match self.chunks.front_mut() {
            Some(chunk) if chunk.len() > length => return chunk.split_to(length),
            Some(chunk) if chunk.len() == length => return self.chunks.pop_front().unwrap_or_default(),
            Some(_) => {}
            None => return self.tail.split_to(length).freeze(),
        }
        let mut gathered = BytesMut::with_capacity(length);
        while let Some(mut chunk) = self.chunks.pop_front() {
            let missing = length - gathered.len();
            if chunk.len() > missing {
                gathered.extend_from_slice(&chunk.split_to(missing));
                self.chunks.push_front(chunk);
                return gathered.freeze();
            }
            gathered.extend_from_slice(&chunk);
        }
        gathered.extend_from_slice(&self.tail.split_to(length - gathered.len()));
        gathered.freeze()
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests;
