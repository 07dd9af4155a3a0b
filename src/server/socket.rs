//! A client's socket with the bytes that were read to tell HTTP/1.1 from HTTP/2, noting what it receives; HTTP/1.1
//! passes its [`Gate`].

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::activity::{Activity, LONGEST_CONTROL_BYTES};
use super::answers::Answers;
use super::gate::{Gate, Next, Refusal};

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
    answers: Option<Arc<Answers>>,
    /// `None` for HTTP/2, which has no two readings.
    gate: Option<Gate>,
    reading: Reading,
    /// Of HTTP/2, one after the other without a pause.
    reads: u8,
    closing: Closing,
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
        let (ahead, gate, reading) = match version {
            Version::Http1 => (Bytes::new(), Some(Gate::new(max_head_bytes, ahead)), Reading::Begun),
            Version::Http2 => {
                activity.begin_http2();
                (ahead.freeze(), None, Reading::Client)
            }
        };
        Ok(Some((
            Self { inner, ahead, activity, answers: None, gate, reading, reads: 0, closing: Closing::No },
            version,
        )))
    }

    /// The same, telling these answers what the client takes.
    pub(super) fn with(self, answers: Arc<Answers>) -> Self {
        Self { answers: Some(answers), ..self }
    }

    fn note_sent(&self, bytes: usize) {
        self.activity.sent(bytes);
        if let Some(answers) = self.answers.as_ref().filter(|_| bytes > LONGEST_CONTROL_BYTES) {
            answers.taken();
        }
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
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
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

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.note_sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
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
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(context, bytes))?;
        self.note_sent(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
