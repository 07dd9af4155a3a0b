//! A client's socket with the bytes that were read to tell HTTP/1.1 from HTTP/2, noting what it receives.
//!
//! hyper answers a head that it can't read by itself, without a body. That answer is kept back here, so that the
//! gateway's own can be sent in its place.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::StatusCode;
use memchr::memmem;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::activity::Activity;
use crate::protocol::forwarding::X_REQUEST_ID;

/// How HTTP/2 begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is read at first.
const FIRST_READ_BYTES: usize = 8 << 10;

/// How long a client may take to hang up once it was told that its connection is over.
const LINGER: Duration = Duration::from_secs(2);

/// How much it may send meanwhile.
const MAX_LINGER_BYTES: u64 = 1 << 20;

/// The version of HTTP that a client in clear text has begun to speak.
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
    version: Version,
    activity: Arc<Activity>,
    /// Whether some of what was to be written is not written yet.
    is_behind: bool,
    /// The status of hyper's own refusal.
    refusal: Option<StatusCode>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    /// Reads until it is clear which version the client speaks; `None` if it leaves before that.
    pub(super) async fn begin(mut inner: T, activity: Arc<Activity>) -> io::Result<Option<(Self, Version)>> {
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
        if version == Version::Http2 {
            activity.begin_http2();
        }
        Ok(Some((Self::new(inner, ahead.freeze(), version, activity), version)))
    }

    fn new(inner: T, ahead: Bytes, version: Version, activity: Arc<Activity>) -> Self {
        Self { inner, ahead, version, activity, is_behind: false, refusal: None }
    }

    /// The status with which hyper refused a head, if it did and all that came before is written.
    pub(super) fn refusal(&self) -> Option<StatusCode> {
        self.refusal
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
            tokio::io::copy(&mut self.inner.take(MAX_LINGER_BYTES), &mut tokio::io::sink()).await
        };
        // A client that fails meanwhile, or takes its time, is nobody's concern any more.
        drop(tokio::time::timeout(LINGER, saying).await);
    }

    /// Closes so that the client can tell it from an end: by a reset. A socket of the file system knows none.
    pub(super) fn reset(self)
    where
        T: AsFd,
    {
        // Fails only for a socket that is broken already.
        drop(SockRef::from(&self.inner).set_linger(Some(Duration::ZERO)));
    }

    /// Takes hyper's own refusal for written; it says how many bytes that are.
    fn keep_back(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.version != Version::Http1 || self.is_behind {
            return None;
        }
        self.refusal = Some(refusal_in(bytes)?);
        Some(bytes.len())
    }

    /// Notes how much of what was to be written was.
    fn note(&mut self, written: Poll<io::Result<usize>>, offered: usize) -> Poll<io::Result<usize>> {
        self.is_behind = true;
        let written = ready!(written)?;
        self.is_behind = written < offered;
        self.activity.sent();
        Poll::Ready(Ok(written))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.ahead.is_empty() {
            let length = this.ahead.len().min(buffer.remaining());
            buffer.put_slice(this.ahead.get(..length).unwrap_or_default());
            this.ahead.advance(length);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
        if buffer.filled().len() > before && this.version == Version::Http1 {
            this.activity.received();
        }
        Poll::Ready(Ok(()))
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

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(kept) = self.keep_back(bytes) {
            return Poll::Ready(Ok(kept));
        }
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.note(written, bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The gateway's own refusal is still to be said.
        if self.refusal.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(context)
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
        self.note(written, bytes.iter().map(|slice| slice.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
