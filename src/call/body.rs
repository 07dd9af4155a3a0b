//! The body of an answer: nothing, bytes that are all there, or a stream that is pulled.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};

use super::downlink::Downlink;
use crate::status::Status;

/// Why a body ends before its end: the connection or stream is then cut, so that the client can tell.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut short: {0}")]
pub struct CutShort(pub Box<dyn Error + Send + Sync>);

/// Whether an answer of this status has content (RFC 9110, 15.3.5, 15.3.6 and 15.4.5).
#[must_use]
pub fn has_content(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The body of an answer.
pub enum Body {
    Empty,
    Full(Bytes),
    Stream(Box<Downlink>),
}

impl Body {
    /// The number of bytes, where they are all there.
    #[must_use]
    pub fn known_len(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Full(bytes) => u64::try_from(bytes.len()).ok(),
            Self::Stream(_) => None,
        }
    }
}

impl Body {
    /// How a stream failed after its head, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<&Status> {
        match self {
            Self::Empty | Self::Full(_) => None,
            Self::Stream(stream) => stream.failure(),
        }
    }

    /// Whether nothing is left of it to send.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Stream(stream) => stream.is_over(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Stream(stream) => Pin::new(&mut **stream).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
