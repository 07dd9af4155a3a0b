//! Content codings: of request bodies (RFC 9110, section 8.4), and of an upstream's messages (`grpc-encoding`).
//!
//! What is inflated is bounded by what the caller takes: a stage reads on only when it is asked for more, and hands out
//! 32 KiB or little more at a time. Windows are bounded too: 8 MiB for zstd (RFC 9659), 16 MiB for brotli
//! (RFC 7932, without its large-window extension). So is what comes of a body in all, by the ratio to what was sent, and
//! what one of its codings gives to the next: two thousand bytes of brotli can hold a gibibyte of gzip that holds nothing.

pub mod answer;
mod stage;

use std::slice;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use self::stage::{Counted, Failure, Most, Pull, Stage};
use crate::protocol::envelope::Message;
use crate::protocol::rest::content;
use crate::status::{Blame, Code, Status};

/// How much a stage inflates at a time.
const PIECE_BYTES: usize = 32 * 1024;
/// What each coding of a body may inflate to before a ratio counts.
pub const FREE_BYTES: u64 = 1 << 20;
/// How many times what was sent one coding may give to the next: what is compressed already hardly compresses again.
const MAX_RATIO_WITHIN: u64 = 4;
/// More codings on top of each other serve nobody but an attacker.
const MAX_CODINGS: usize = 3;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// One coding that is not `identity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Brotli,
    Zstd,
}

/// The codings of a request body, in the order in which they were applied; none is `identity`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codings(SmallVec<[Coding; MAX_CODINGS]>);

impl Codings {
    /// By `Content-Encoding`.
    ///
    /// # Errors
    /// 415 for a coding that is not known here, and for more than three.
    pub fn of(headers: &HeaderMap) -> Result<Self, Status> {
        let mut codings = SmallVec::new();
        for value in headers.get_all(CONTENT_ENCODING) {
            let text = value.to_str().map_err(|_| unsupported("not ASCII"))?;
            for token in text.split(',').map(str::trim).filter(|token| !token.is_empty()) {
                let is = |name: &str| token.eq_ignore_ascii_case(name);
                let coding = match () {
                    () if is("identity") => continue,
                    () if is("gzip") || is("x-gzip") => Coding::Gzip,
                    () if is("br") => Coding::Brotli,
                    () if is("zstd") => Coding::Zstd,
                    () => return Err(unsupported(token)),
                };
                if codings.len() == MAX_CODINGS {
                    return Err(unsupported(text));
                }
                codings.push(coding);
            }
        }
        Ok(Self(codings))
    }

    /// Whether the body is as it is.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.0.is_empty()
    }
}

/// A whole request body without its codings.
///
/// # Errors
/// 413 for more than `max_bytes` and for more than `max_ratio` times what was sent, 400 for what is broken or cut short.
pub fn decode_body(codings: &Codings, body: Bytes, max_bytes: usize, max_ratio: u32) -> Result<Bytes, Status> {
    if codings.is_identity() {
        return if body.len() <= max_bytes { Ok(body) } else { Err(content::too_large(max_bytes)) };
    }
    let mut decoder = BodyDecoder::new(codings, max_ratio);
    decoder.push(body);
    decoder.end();
    gather(|| decoder.next(), || content::too_large(max_bytes), max_bytes)
}

/// Takes the codings off a request body while it streams.
///
/// [`Self::push`] what came, take [`Self::next`] until there is none; when the body is over say [`Self::end`] and take
/// the rest. On the whole there is no limit but the ratio: whoever takes the pieces knows what it can hold.
pub struct BodyDecoder {
    /// The last coding that was applied comes first. Empty once it failed.
    stages: SmallVec<[Counted; 1]>,
    /// How many bytes came.
    received: u64,
    max_ratio: u32,
}

impl BodyDecoder {
    /// For a body of these codings, which may inflate to [`FREE_BYTES`], and beyond that to `max_ratio` times what came.
    #[must_use]
    pub fn new(codings: &Codings, max_ratio: u32) -> Self {
        let stages = codings.0.iter().rev().map(|&coding| Counted::new(Stage::new(coding)));
        let mut stages: SmallVec<_> = stages.collect();
        if stages.is_empty() {
            stages.push(Counted::new(Stage::identity()));
        }
        Self { stages, received: 0, max_ratio: max_ratio.max(1) }
    }

    /// Take in what came.
    pub fn push(&mut self, chunk: Bytes) {
        self.received = self.received.saturating_add(chunk.len() as u64);
        if let Some(first) = self.stages.first_mut() {
            first.push(chunk);
        }
    }

    /// The body is over.
    pub fn end(&mut self) {
        if let Some(first) = self.stages.first_mut() {
            first.end();
        }
    }

    /// The next piece; `None` if more must come first, or, once the body is over, if that was all.
    ///
    /// # Errors
    /// 400 for what is broken, for what stands behind the end of it, and, once the body is over, for what was cut short;
    /// 413 beyond the ratio.
    #[expect(clippy::should_implement_trait, reason = "it is asked again after more was pushed")]
    pub fn next(&mut self) -> Result<Option<Bytes>, Status> {
        if self.stages.is_empty() {
            return Err(broken_body("it failed before"));
        }
        let times = |ratio| FREE_BYTES.max(self.received.saturating_mul(ratio));
        let most = Most { last: times(self.max_ratio.into()), within: times(MAX_RATIO_WITHIN) };
        let failure = match stage::pull(&mut self.stages, most) {
            Ok(Pull::Piece(piece)) => return Ok(Some(piece)),
            Ok(Pull::Pending | Pull::End) => return Ok(None),
            Err(failure) => failure,
        };
        self.stages.clear();
        Err(match failure {
            Failure::Broken(error) => broken_body(error),
            Failure::Excess => inflates_too_much(u64::from(self.max_ratio), "its size"),
            Failure::ExcessWithin => inflates_too_much(MAX_RATIO_WITHIN, "its size before the last coding is off"),
        })
    }
}

/// The coding of an upstream's compressed messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageCoding {
    Identity,
    Gzip,
}

impl MessageCoding {
    /// What the gateway can read, for `grpc-accept-encoding`.
    pub const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip");

    /// By `grpc-encoding`.
    ///
    /// # Errors
    /// INTERNAL, HTTP 502, for a coding that the gateway did not offer.
    pub fn of(headers: &HeaderMap) -> Result<Self, Status> {
        match headers.get(&GRPC_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity" | b"") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(other) => {
                let shown = String::from_utf8_lossy(other);
                Err(Status::bad_upstream(format!("the upstream used the coding `{shown}` that was not offered")))
            }
        }
    }

    /// The message's payload, inflated if it is compressed.
    ///
    /// # Errors
    /// INTERNAL, HTTP 502: beyond `max_bytes`, broken, or compressed without a coding.
    pub fn decode(self, message: Message, max_bytes: usize) -> Result<Bytes, Status> {
        match (message.compressed, self) {
            (false, _) => Ok(message.payload),
            (true, Self::Identity) => Err(Status::bad_upstream("a message is compressed, but no coding was named")),
            (true, Self::Gzip) => inflate(message.payload, max_bytes),
        }
    }
}

fn inflate(payload: Bytes, max_bytes: usize) -> Result<Bytes, Status> {
    let too_large = || Status::bad_upstream(format!("a message inflates beyond the limit of {max_bytes} bytes"));
    let mut stage = Counted::new(Stage::new(Coding::Gzip));
    stage.push(payload);
    stage.end();
    let all = Most { last: u64::MAX, within: u64::MAX };
    let next = || match stage::pull(slice::from_mut(&mut stage), all) {
        Ok(Pull::Piece(piece)) => Ok(Some(piece)),
        Ok(Pull::Pending | Pull::End) => Ok(None),
        Err(Failure::Excess | Failure::ExcessWithin) => Err(too_large()),
        Err(Failure::Broken(error)) => {
            Err(Status::bad_upstream(format!("a compressed message could not be inflated: {error}")))
        }
    };
    gather(next, too_large, max_bytes)
}

/// All pieces in one; a single one is not copied.
fn gather(
    mut next: impl FnMut() -> Result<Option<Bytes>, Status>,
    too_large: impl Fn() -> Status,
    max_bytes: usize,
) -> Result<Bytes, Status> {
    let first = next()?.unwrap_or_default();
    if first.len() > max_bytes {
        return Err(too_large());
    }
    let Some(mut piece) = next()? else { return Ok(first) };
    let mut whole = BytesMut::from(&*first);
    loop {
        if whole.len().saturating_add(piece.len()) > max_bytes {
            return Err(too_large());
        }
        whole.extend_from_slice(&piece);
        match next()? {
            Some(more) => piece = more,
            None => return Ok(whole.freeze()),
        }
    }
}

fn unsupported(found: &str) -> Status {
    let shown: String = found.chars().take(100).collect();
    let message = format!("unsupported content encoding `{shown}`, expected gzip, br, zstd or identity");
    // RFC 9110, section 15.5.16: this header tells a coding from a media type that is not supported.
    Status::new(Code::InvalidArgument, Blame::Client, message)
        .with_http(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        .with_header(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br, zstd"))
}

fn inflates_too_much(max_ratio: u64, size: &str) -> Status {
    let message = format!("the request body inflates to more than {max_ratio} times {size}");
    Status::new(Code::ResourceExhausted, Blame::Client, message).with_http(StatusCode::PAYLOAD_TOO_LARGE)
}

fn broken_body(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Status {
    Status::invalid_argument("", "the request body does not decode by its content encoding, or was cut short")
        .with_cause(cause)
}

#[cfg(test)]
mod tests;
