//! A request's body as it comes from the client, within the listener's bounds.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::endpoint::{Endpoint, RequestForm};
use super::progress::Progress;
use crate::protocol::compression::{self, Codings};
use crate::protocol::rest::content::{self, Content as ContentType};
use crate::status::{Blame, Code, Status};
use crate::transcode::position::Position;

/// The body of a request, as hyper reads it.
pub type Incoming = hyper::body::Incoming;

/// A body that is read whole comes at least this fast, from its beginning to any moment after [`SLOW_START`].
const MIN_BYTES_PER_SECOND: usize = 1 << 10;

/// How long a body may take its time.
const SLOW_START: Duration = Duration::from_secs(10);

/// A body up to this size takes nothing of a listener's room: there are many, and what a connection's windows let come is
/// more.
const MAX_FREE_BYTES: usize = 16 << 10;

/// The bounds of a request's body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Before and after decompression; for a stream, of each message.
    pub max_bytes: usize,
    /// How many times what was sent a body may be once it is decompressed.
    pub max_ratio: u32,
    /// For the whole of it; for a stream, between messages.
    pub timeout: Duration,
    room: &'static Room,
}

/// How much of the bodies that are read whole a listener holds at once, over all workers.
#[derive(Debug)]
struct Room {
    max_bytes: usize,
    held: AtomicUsize,
}

/// A body's part of the room, which is given back when it is dropped.
#[derive(Debug)]
struct Held {
    room: &'static Room,
    bytes: usize,
}

impl BodyLimits {
    /// Those of a listener, whose bodies that are read whole share `max_held_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize, max_ratio: u32, timeout: Duration, max_held_bytes: usize) -> Self {
        // A listener lives as long as the process. Each request has a copy of this, and counts no references.
        let room = Box::leak(Box::new(Room { max_bytes: max_held_bytes, held: AtomicUsize::new(0) }));
        Self { max_bytes, max_ratio, timeout, room }
    }
}

impl Held {
    fn new(room: &'static Room) -> Self {
        Self { room, bytes: 0 }
    }

    /// Takes what a body of this size asks for.
    fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        if bytes <= MAX_FREE_BYTES {
            return Ok(());
        }
        let more = bytes.saturating_sub(self.bytes);
        self.bytes += more;
        if self.room.held.fetch_add(more, Ordering::Relaxed) + more > self.room.max_bytes {
            let message = "too much of request bodies is held at once";
            return Err(Status::new(Code::Unavailable, Blame::Gateway, message)
                .with_header(RETRY_AFTER, HeaderValue::from_static("1")));
        }
        Ok(())
    }

    /// The same bytes, with which this is dropped.
    fn keep(self, bytes: Bytes) -> Bytes {
        if self.bytes == 0 { bytes } else { Bytes::from_owner(Kept { bytes, _held: self }) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.room.held.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Bytes with what they take of the room.
struct Kept {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A whole body, understood as far as its headers go.
#[derive(Debug)]
pub(super) enum Content {
    /// No bytes at all.
    Nothing,
    /// And where it begins in the body.
    Json(Bytes, Position),
    Form(Bytes),
    Raw {
        content_type: String,
        data: Bytes,
    },
}

/// Reads all of a unary call's body.
pub(super) async fn read_whole(
    endpoint: &Endpoint,
    headers: &HeaderMap,
    body: Incoming,
    (limits, progress): (BodyLimits, &Progress),
) -> Result<Content, Status> {
    if endpoint.request_form == RequestForm::None {
        return expect_nothing(body, limits).await.map(|()| Content::Nothing);
    }
    let raw = matches!(endpoint.request_form, RequestForm::HttpBody(_));
    if body.is_end_stream() {
        let nothing = || Ok(Content::Raw { content_type: raw_type(headers)?, data: Bytes::new() });
        return if raw { nothing() } else { Ok(Content::Nothing) };
    }
    // What can't be understood is refused before it is read.
    let codings = Codings::of(headers)?;
    let content_type = ContentType::of(headers);
    if !raw && matches!(content_type, ContentType::Lines | ContentType::Other) {
        return Err(content::unsupported(headers));
    }
    let bytes = read_bytes(headers, body, limits).await?;
    progress.add_request_bytes(bytes.len());
    if bytes.is_empty() && !raw {
        return Ok(Content::Nothing);
    }
    let bytes = decode(&codings, bytes, limits)?;
    Ok(match content_type {
        _ if raw => Content::Raw { content_type: raw_type(headers)?, data: bytes },
        ContentType::Form => Content::Form(bytes),
        ContentType::Json | ContentType::Lines | ContentType::Other => Content::Json(bytes, Position::START),
    })
}

/// The body without its codings. What came is given back before what it became is taken.
fn decode(codings: &Codings, bytes: Bytes, limits: BodyLimits) -> Result<Bytes, Status> {
    let bytes = compression::decode_body(codings, bytes, limits.max_bytes, limits.max_ratio)?;
    if codings.is_identity() {
        return Ok(bytes);
    }
    let mut held = Held::new(limits.room);
    held.grow(bytes.len())?;
    Ok(held.keep(bytes))
}

/// A binding without body reads none; one that comes is the client's mistake.
async fn expect_nothing(mut body: Incoming, limits: BodyLimits) -> Result<(), Status> {
    if body.is_end_stream() {
        return Ok(());
    }
    let refused = || Status::invalid_argument("body", "this method takes no body");
    if body.size_hint().exact().is_some_and(|length| length > 0) {
        return Err(refused());
    }
    let until = Instant::now() + limits.timeout;
    while let Some(frame) = next_frame(&mut body, until).await? {
        if frame.is_data() && frame.data_ref().is_some_and(|data| !data.is_empty()) {
            return Err(refused());
        }
    }
    Ok(())
}

async fn read_bytes(headers: &HeaderMap, body: Incoming, limits: BodyLimits) -> Result<Bytes, Status> {
    if content_length(headers).is_some_and(|length| length > limits.max_bytes as u64) {
        return Err(content::too_large(limits.max_bytes));
    }
    let begun = Instant::now();
    match tokio::time::timeout_at(begun + limits.timeout, collect(body, limits, begun)).await {
        Ok(collected) => collected,
        Err(_) => Err(too_slow()),
    }
}

/// All bytes; without a copy if they come in one piece.
async fn collect(mut body: Incoming, limits: BodyLimits, begun: Instant) -> Result<Bytes, Status> {
    let max_bytes = limits.max_bytes;
    let mut held = Held::new(limits.room);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = next_frame(&mut body, begun + patience(first.len() + rest.len())).await? {
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > max_bytes {
            return Err(content::too_large(max_bytes));
        }
        held.grow(first.len() + rest.len() + data.len())?;
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            // What is announced is at most the limit, and reserved only once some of it has come.
            let announced = body.size_hint().lower().min(max_bytes as u64);
            rest.reserve(first.len() + data.len() + usize::try_from(announced).unwrap_or(0));
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(held.keep(if rest.is_empty() { first } else { rest.freeze() }))
}

/// How long after the beginning of a body more must have come than this.
fn patience(bytes: usize) -> Duration {
    SLOW_START.max(Duration::from_secs((bytes / MIN_BYTES_PER_SECOND) as u64))
}

/// The next frame of a body, if it comes in time.
pub(super) async fn next_frame(body: &mut Incoming, until: Instant) -> Result<Option<http_body::Frame<Bytes>>, Status> {
    match tokio::time::timeout_at(until, body.frame()).await {
        Ok(frame) => frame.transpose().map_err(broken_off),
        Err(_) => Err(too_slow()),
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The content type of a body that is passed on as it is.
pub(super) fn raw_type(headers: &HeaderMap) -> Result<String, Status> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(String::new()) };
    let text = std::str::from_utf8(value.as_bytes());
    text.map(ToOwned::to_owned).map_err(|_| content::unsupported(headers))
}

fn too_slow() -> Status {
    Status::new(Code::DeadlineExceeded, Blame::Client, "the request body did not come in time")
        .with_http(StatusCode::REQUEST_TIMEOUT)
}

fn broken_off(error: hyper::Error) -> Status {
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    if cause.is_some_and(|cause| matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData)) {
        return Status::invalid_argument("body", "the framing of the body is malformed").with_cause(error);
    }
    Status::new(Code::Cancelled, Blame::Client, "the request body broke off").with_cause(error)
}

#[cfg(test)]
mod tests {
    //! Bodies that come slowly, and many at once. Time is paused: nothing here waits.

    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body_util::Empty;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncWriteExt;
    use tokio::sync::mpsc;

    use super::*;

    fn limits(max_held_bytes: usize) -> BodyLimits {
        BodyLimits::new(1 << 20, 100, Duration::from_secs(60), max_held_bytes)
    }

    /// Of a body of 40 KiB, `first` bytes come at once and `then` bytes every second: after so many seconds it is read,
    /// or refused with this status.
    #[track_caller]
    fn check(first: usize, then: usize, seconds: u64, expected: Result<usize, StatusCode>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let found = runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let (sender, mut receiver) = mpsc::channel(1);
            let service = service_fn(|request: http::Request<Incoming>| {
                let sender = sender.clone();
                async move {
                    let begun = Instant::now();
                    let read = read_bytes(&HeaderMap::new(), request.into_body(), limits(1 << 20)).await;
                    let read = read.map(|bytes| bytes.len()).map_err(|status| status.http());
                    sender.send((begun.elapsed().as_secs(), read)).await.unwrap();
                    Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
                }
            });
            let sending = async {
                client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 40960\r\n\r\n").await.unwrap();
                client.write_all(&vec![b'x'; first]).await.unwrap();
                let mut left = 40960 - first;
                while left > 0 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    let next = then.min(left);
                    client.write_all(&vec![b'x'; next]).await.unwrap();
                    left -= next;
                }
                std::future::pending().await
            };
            let serving = async {
                http1::Builder::new().serve_connection(TokioIo::new(server), service).await.unwrap();
                std::future::pending().await
            };
            tokio::select! {
                found = receiver.recv() => found.unwrap(),
                () = sending => unreachable!(),
                () = serving => unreachable!(),
            }
        });
        assert_eq!(found, (seconds, expected), "{first} bytes, then {then} a second");
    }

    #[test]
    fn a_body_that_trickles_is_refused_before_its_time_is_up() {
        check(1, 0, 10, Err(StatusCode::REQUEST_TIMEOUT));
        check(0, 500, 10, Err(StatusCode::REQUEST_TIMEOUT));
        check(20 << 10, 0, 20, Err(StatusCode::REQUEST_TIMEOUT));
    }

    #[test]
    fn a_body_that_comes_fast_enough_is_read() {
        check(40 << 10, 0, 0, Ok(40 << 10));
        check(0, 2 << 10, 20, Ok(40 << 10));
        check(16 << 10, 1 << 10, 24, Ok(40 << 10));
    }

    #[test]
    fn what_bodies_hold_together_is_bounded_and_given_back() {
        let room = limits(100_000).room;
        let is_refused = |held: &mut Held, bytes| {
            let refused = held.grow(bytes).err();
            assert!(refused.iter().all(|status| status.http() == StatusCode::SERVICE_UNAVAILABLE));
            assert!(refused.iter().all(|status| status.headers()[RETRY_AFTER] == "1"));
            refused.is_some()
        };
        let mut first = Held::new(room);
        assert!(!is_refused(&mut first, 30_000));
        assert!(!is_refused(&mut first, 60_000));
        let first = first.keep(Bytes::from(vec![1; 60_000]));
        let mut second = Held::new(room);
        assert!(!is_refused(&mut second, 40_000));
        assert!(!is_refused(&mut Held::new(room), MAX_FREE_BYTES), "small bodies are not counted");
        assert!(is_refused(&mut Held::new(room), MAX_FREE_BYTES + 1));
        assert!(is_refused(&mut second, 40_001));
        drop(second);
        let part = first.slice(..10);
        drop(first);
        assert!(is_refused(&mut Held::new(room), 40_001), "some of the first is held");
        drop(part);
        assert!(!is_refused(&mut Held::new(room), 100_000));
        assert_eq!(room.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_a_body_inflates_to_is_held_as_well() {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&[b'x'; 50_000]).unwrap();
        let body = Bytes::from(encoder.finish().unwrap());
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let limits = limits(80_000);
        let decode = || decode(&Codings::of(&headers).unwrap(), body.clone(), limits);
        let held = decode().unwrap();
        assert_eq!(held.len(), 50_000);
        assert_eq!(decode().unwrap_err().http(), StatusCode::SERVICE_UNAVAILABLE);
        drop(held);
        assert!(decode().is_ok());
    }
}
