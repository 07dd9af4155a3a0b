//! A client's socket with the bytes that were read to tell HTTP/1.1 from HTTP/2, noting what it receives; HTTP/1.1
//! passes its [`Gate`].
//!
//! hyper answers a head that it can't read by itself, without a body. That answer is kept back here, so that the
//! gateway's own can be sent in its place.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::StatusCode;
use memchr::memmem;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

use super::activity::Activity;
use super::gate::{Gate, Next, Refusal};
use crate::protocol::forwarding::X_REQUEST_ID;
use crate::protocol::http2::Frames;

/// How HTTP/2 begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is read at first.
const FIRST_READ_BYTES: usize = 8 << 10;

/// How much of what a client still sends is taken from it after its last answer, so that a reset does not overtake the
/// answer.
const MAX_LEFT_OVER_BYTES: usize = 64 << 10;

/// How often a connection of HTTP/2 is read from before others have their turn.
const MAX_READS_AT_ONCE: u8 = 16;

/// How long that may take.
const LINGER: Duration = Duration::from_millis(500);

/// How long the last that is said to a client may take.
const SAYING: Duration = Duration::from_secs(2);

/// The version of HTTP that a client has begun to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// A socket from which some bytes were read ahead.
#[derive(Debug)]
pub(super) struct Socket<T> {
    inner: T,
    ahead: Bytes,
    activity: Arc<Activity>,
    /// `None` for HTTP/2, which has no two readings.
    gate: Option<Gate>,
    reading: Reading,
    /// Of HTTP/2, from the client and to it.
    frames: Frames,
    sent_frames: Frames,
    /// Of HTTP/2, one after the other without a pause.
    reads: u8,
    closing: Closing,
    /// Whether some of what was to be written is not written yet.
    is_behind: bool,
    /// The status of hyper's own refusal.
    unreadable: Option<StatusCode>,
}

/// Where the next bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// The gate has bytes that it has not looked at.
    Begun,
    Client,
    /// A refusal was the last.
    Refused,
    Broken,
}

#[derive(Debug)]
enum Closing {
    No,
    /// What the client still sends is read until it ends: so many bytes, and no longer than that.
    Lingering(usize, Pin<Box<Sleep>>),
    Closed,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    /// Reads until it is clear which version the client speaks; `None` if it leaves before that. A head of HTTP/1 that
    /// is longer than `max_head_bytes` is refused.
    pub(super) async fn begin(
        mut inner: T,
        activity: Arc<Activity>,
        max_head_bytes: usize,
    ) -> io::Result<Option<(Self, Version)>> {
        let mut ahead = bytes::BytesMut::with_capacity(FIRST_READ_BYTES);
        let version = loop {
            if inner.read_buf(&mut ahead).await? == 0 {
                return Ok(None);
            }
            activity.received();
            if ahead.starts_with(PREFACE) {
                break Version::Http2;
            }
            if !PREFACE.starts_with(&ahead) {
                break Version::Http1;
            }
        };
        let mut frames = Frames::new();
        let (ahead, gate, reading) = match version {
            Version::Http1 => (Bytes::new(), Some(Gate::new(max_head_bytes, ahead)), Reading::Begun),
            Version::Http2 => {
                activity.begin_http2();
                if !activity.received_frames(frames.look(ahead.get(PREFACE.len()..).unwrap_or_default())) {
                    return Ok(None);
                }
                (ahead.freeze(), None, Reading::Client)
            }
        };
        Ok(Some((
            Self {
                inner,
                ahead,
                activity,
                gate,
                reading,
                frames,
                sent_frames: Frames::new(),
                reads: 0,
                closing: Closing::No,
                is_behind: false,
                unreadable: None,
            },
            version,
        )))
    }

    /// The status with which hyper refused a head, if it did and all that came before is written.
    pub(super) fn unreadable(&self) -> Option<StatusCode> {
        self.unreadable
    }

    /// Whether some of what was to be written is not written yet: nothing may be written behind it.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Sends this and closes. What the client still sends is read for a while: closing before would reset the
    /// connection, and could take from the client what was sent.
    pub(super) async fn say_last(mut self, bytes: &[u8]) {
        let saying = async {
            self.inner.write_all(bytes).await?;
            self.inner.shutdown().await?;
            tokio::io::copy(&mut self.inner.take(MAX_LEFT_OVER_BYTES as u64), &mut tokio::io::sink()).await
        };
        // A client that fails meanwhile, or takes its time, is nobody's concern any more.
        drop(tokio::time::timeout(SAYING, saying).await);
    }

    /// Takes hyper's own refusal for written; it says how many bytes that are.
    fn keep_back(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.gate.is_none() || self.is_behind {
            return None;
        }
        self.unreadable = Some(refusal_in(bytes)?);
        Some(bytes.len())
    }

    /// Notes how much of what was to be written was.
    fn note<'a>(
        &mut self,
        written: Poll<io::Result<usize>>,
        offered: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Poll<io::Result<usize>> {
        self.is_behind = true;
        let written = ready!(written)?;
        self.is_behind = written < offered.clone().map(<[u8]>::len).sum();
        let mut is_message = self.gate.is_some() && written > 0;
        if self.gate.is_none() {
            let mut left = written;
            for piece in offered {
                let part = piece.get(..left).unwrap_or(piece);
                left -= part.len();
                is_message |= self.sent_frames.look(part).is_message;
            }
        }
        if is_message {
            self.activity.sent();
        }
        Poll::Ready(Ok(written))
    }

    /// Where it is told that a request is refused.
    pub(super) fn refusal(&self) -> Option<Arc<Refusal>> {
        self.gate.as_ref().map(Gate::refusal)
    }

    /// Takes what the client still sends, within bounds; after it, closing loses nothing.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.closing {
                Closing::No if self.reading == Reading::Client && self.gate.as_ref().is_none_or(Gate::at_rest) => {
                    self.closing = Closing::Closed;
                }
                Closing::No => {
                    self.closing = Closing::Lingering(MAX_LEFT_OVER_BYTES, Box::pin(tokio::time::sleep(LINGER)));
                }
                Closing::Lingering(left, until) => {
                    let mut scratch = [0; 4 << 10];
                    let mut buffer = ReadBuf::new(&mut scratch);
                    match Pin::new(&mut self.inner).poll_read(context, &mut buffer) {
                        Poll::Ready(Ok(())) if !buffer.filled().is_empty() && *left > buffer.filled().len() => {
                            *left -= buffer.filled().len();
                        }
                        Poll::Ready(_) => self.closing = Closing::Closed,
                        Poll::Pending => {
                            ready!(until.as_mut().poll(context));
                            self.closing = Closing::Closed;
                        }
                    }
                }
                Closing::Closed => return Poll::Ready(()),
            }
        }
    }
}

impl<T: AsyncRead + Unpin> Socket<T> {
    /// Reads what is held back by the gate, and more of it. Ready once there are bytes ahead, or at the end.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Some(gate) = &mut self.gate else { return Poll::Ready(Ok(false)) };
        if self.reading == Reading::Client {
            let reading = pin!(self.inner.read_buf(&mut gate.held));
            if ready!(reading.poll(context))? == 0 {
                return Poll::Ready(Ok(false));
            }
            self.activity.received();
        }
        let (released, next) = gate.release();
        self.activity.hold(!gate.held.is_empty());
        self.ahead = released;
        self.follow(next);
        Poll::Ready(Ok(true))
    }

    /// One connection that always has more to read, such as pings, is served in turns with the others of its thread.
    fn poll_http2(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.reads >= MAX_READS_AT_ONCE {
            self.reads = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        let new = buffer.filled().get(before..).unwrap_or_default();
        if !new.is_empty() && !self.activity.received_frames(self.frames.look(new)) {
            // It is cut: nobody waits for what it sends.
            buffer.set_filled(before);
            return Poll::Pending;
        }
        self.reads = if polled.is_ready() { self.reads + 1 } else { 0 };
        polled
    }

    fn follow(&mut self, next: Next) {
        self.reading = match next {
            Next::Read => Reading::Client,
            Next::Broken => Reading::Broken,
            Next::Instead(bytes) => {
                // What passed before it goes first.
                self.ahead = match self.ahead.is_empty() {
                    true => bytes,
                    false => [&self.ahead[..], &bytes].concat().into(),
                };
                Reading::Refused
            }
        };
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.ahead.is_empty() {
                let length = this.ahead.len().min(buffer.remaining());
                buffer.put_slice(this.ahead.get(..length).unwrap_or_default());
                this.ahead.advance(length);
                return Poll::Ready(Ok(()));
            }
            match (this.reading, &mut this.gate) {
                (Reading::Refused, _) => return Poll::Pending,
                (Reading::Broken, _) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                (Reading::Begun | Reading::Client, None) => return this.poll_http2(context, buffer),
                (Reading::Client, Some(gate)) if gate.held.is_empty() => {
                    let before = buffer.filled().len();
                    ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
                    let new = buffer.filled().get(before..).unwrap_or_default();
                    if new.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    this.activity.received();
                    let passed = gate.pass(new);
                    this.activity.hold(!gate.held.is_empty());
                    buffer.set_filled(before + passed.count);
                    this.follow(passed.then);
                    if passed.count > 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                (Reading::Begun | Reading::Client, Some(_)) => {
                    if !ready!(this.poll_held(context))? {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

/// The status of an answer that hyper made up: every one of the gateway's own has a request id.
fn refusal_in(bytes: &[u8]) -> Option<StatusCode> {
    // `HTTP/1.1 400 Bad Request`
    let status = bytes.strip_prefix(b"HTTP/1.")?.get(2..5).filter(|status| status.starts_with(b"4"))?;
    let head = bytes.get(..memmem::find(bytes, b"\r\n\r\n")?)?;
    let is_own = memmem::find(head, X_REQUEST_ID.as_str().as_bytes()).is_some();
    if is_own { None } else { StatusCode::from_bytes(status).ok() }
}

impl Socket<super::stream::Stream> {
    /// Closes so that the client can tell it from an end: by a reset. A socket of the file system knows none.
    pub(super) fn reset(self) {
        // Fails only for a socket that is broken already.
        drop(SockRef::from(&self.inner).set_linger(Some(Duration::ZERO)));
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(kept) = self.keep_back(bytes) {
            return Poll::Ready(Ok(kept));
        }
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.note(written, std::iter::once(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The gateway's own refusal is still to be said.
        if self.unreadable.is_some() {
            return Poll::Ready(Ok(()));
        }
        if matches!(self.closing, Closing::No) {
            ready!(Pin::new(&mut self.inner).poll_shutdown(context))?;
        }
        self.poll_linger(context).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(kept) = bytes.first().and_then(|first| self.keep_back(first)) {
            return Poll::Ready(Ok(kept));
        }
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, bytes);
        self.note(written, bytes.iter().map(|slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
