//! A client's socket with the bytes that were read to tell HTTP/1.1 from HTTP/2, noting what it receives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::activity::Activity;

/// How HTTP/2 begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is read at first.
const FIRST_READ_BYTES: usize = 8 << 10;

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
        Ok(Some((Self { inner, ahead: ahead.freeze(), version, activity }, version)))
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

impl<T: AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.activity.sent();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(context, bytes))?;
        self.activity.sent();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
