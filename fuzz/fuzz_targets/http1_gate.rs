//! HTTP/1 as the gate sees it and as hyper reads it: what passes is the same requests with the same bodies, and however
//! the bytes are cut, the same of them pass.
//!
//! The input is two bytes of cuts and the bytes of a connection.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use libfuzzer_sys::fuzz_target;
use lockgate::protocol::http1::{Then, Watch};

/// Short, so that its edge is within reach.
const MAX_HEAD_BYTES: usize = 1024;

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    method: String,
    target: String,
    body: Vec<u8>,
    /// Whether the body came to its end.
    whole: bool,
}

/// What the gate made of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    passed: Vec<u8>,
    /// Behind which of them each head was taken.
    heads: Vec<usize>,
    refused: Option<Then>,
    between: bool,
}

/// Shows the gate the bytes in pieces, as a connection does: what is held is shown again.
fn watch<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Verdict {
    let mut watch = Watch::new(MAX_HEAD_BYTES);
    let mut verdict = Verdict::default();
    let mut held = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        let before = watch.heads();
        let seen = watch.look(&held);
        verdict.passed.extend(held.drain(..seen.pass));
        for _ in before..watch.heads() {
            verdict.heads.push(verdict.passed.len());
        }
        match seen.then {
            Then::Nothing => assert!(held.is_empty()),
            Then::Hold => assert!(held.len() <= MAX_HEAD_BYTES),
            then @ (Then::Refuse(_) | Then::Break) => {
                verdict.refused = Some(then);
                break;
            }
        }
    }
    verdict.between = watch.between_requests();
    verdict
}

/// The requests in the bytes that passed, by the places at which heads end.
fn split(verdict: &Verdict) -> Vec<Seen> {
    let mut requests = Vec::new();
    let mut start = 0;
    for (number, end) in verdict.heads.iter().enumerate() {
        let (head, rest) = verdict.passed[start..].split_at(end - start);
        let head = std::str::from_utf8(&head[..head.len()]).map(str::to_owned);
        let head = head.unwrap_or_else(|_| String::from_utf8_lossy(&verdict.passed[start..*end]).into_owned());
        let mut lines = head.split("\r\n").skip_while(|line| line.is_empty());
        let mut first = lines.next().expect("a head has a first line").split(' ');
        let mut word = || first.next().expect("a first line has three words").to_owned();
        let (method, target) = (word(), word());
        let field = |name: &str| {
            let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
            lines.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        let (body, length, whole) = if field("transfer-encoding").is_some() {
            chunked(rest)
        } else {
            let length: usize = field("content-length").map_or(0, |length| length.parse().unwrap_or(usize::MAX));
            let taken = length.min(rest.len());
            (rest[..taken].to_vec(), taken, taken == length)
        };
        assert!(whole || number + 1 == verdict.heads.len(), "a head within a body");
        requests.push(Seen { method, target, body, whole });
        start = end + length;
    }
    // Behind the last body nothing passes.
    assert_eq!(start, verdict.passed.len());
    requests
}

/// The content of a chunked body, how many bytes it took, and whether it is whole.
fn chunked(bytes: &[u8]) -> (Vec<u8>, usize, bool) {
    let mut content = Vec::new();
    let mut at = 0;
    let line = |at: usize| bytes[at..].windows(2).position(|pair| pair == b"\r\n");
    loop {
        let Some(end) = line(at) else { return (content, bytes.len(), false) };
        let size = std::str::from_utf8(&bytes[at..at + end]).expect("the line of a size is ASCII");
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).expect("a size is a number");
        at += end + 2;
        if size == 0 {
            break;
        }
        let taken = size.min(bytes.len() - at);
        content.extend_from_slice(&bytes[at..at + taken]);
        at += taken;
        if taken < size || bytes.len() - at < 2 {
            return (content, bytes.len(), false);
        }
        at += 2;
    }
    loop {
        let Some(end) = line(at) else { return (content, bytes.len(), false) };
        at += end + 2;
        if end == 0 {
            return (content, at, true);
        }
    }
}

/// What hyper reads from, a piece at a time; what it writes is of no interest.
struct Wire<'b> {
    rest: &'b [u8],
    piece: usize,
}

impl Read for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let count = self.piece.min(buffer.remaining()).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(count);
        buffer.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The requests that hyper reads, with the limits that the server sets it, and whether it ended without an error.
fn read(bytes: &[u8], piece: usize) -> (Vec<Seen>, bool) {
    let requests = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let requests = requests.clone();
        async move {
            let (head, mut body) = request.into_parts();
            let seen = Seen { method: head.method.to_string(), target: head.uri.to_string(), ..Seen::default() };
            let number = requests.borrow().len();
            requests.borrow_mut().push(seen);
            let mut whole = true;
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else {
                    whole = false;
                    break;
                };
                if let Some(data) = frame.data_ref() {
                    requests.borrow_mut()[number].body.extend_from_slice(data);
                }
            }
            requests.borrow_mut()[number].whole = whole;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"seen"))))
        }
    });
    let ended = {
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .half_close(true)
            .max_header_size(64 << 10)
            .max_buf_size(64 << 10)
            .serve_connection(Wire { rest: bytes, piece }, service);
        let mut connection = pin!(connection);
        let mut context = Context::from_waker(Waker::noop());
        // The wire is always ready, so that every turn gets further.
        let turns = (0..10_000 + 10 * bytes.len()).find_map(|_| match connection.as_mut().poll(&mut context) {
            Poll::Ready(ended) => Some(ended.is_ok()),
            Poll::Pending => None,
        });
        turns.expect("a connection without bytes to come ends")
    };
    let requests = requests.borrow().clone();
    (requests, ended)
}

fuzz_target!(|data: &[u8]| {
    let Some((&[piece, other], bytes)) = data.split_first_chunk() else { return };
    let (piece, other) = (usize::from(piece).max(1), usize::from(other).max(1));
    let verdict = watch(bytes.chunks(1));
    let cut = watch(bytes.chunks(piece));
    assert_eq!(
        (&cut.passed, cut.heads.len(), cut.refused, cut.between),
        (&verdict.passed, verdict.heads.len(), verdict.refused, verdict.between)
    );
    let whole = watch(std::iter::once(bytes).filter(|bytes| !bytes.is_empty()));
    assert_eq!((&whole.passed, whole.refused), (&verdict.passed, verdict.refused));

    let expected = split(&verdict);
    let (found, ended) = read(&verdict.passed, other);
    assert!(found.len() <= expected.len(), "hyper sees a request that the gate does not: {found:?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.method, expected.method);
        assert_eq!(target(&found.target), target(&expected.target));
        assert_eq!(found.body, expected.body);
        assert!(!found.whole || expected.whole, "hyper sees an end that the gate does not");
    }
    let passed = String::from_utf8_lossy(&verdict.passed).to_ascii_lowercase();
    // A body that hyper does not like, such as for its trailers, ends the connection.
    let broken = found.iter().zip(&expected).position(|(found, expected)| found.whole != expected.whole);
    assert!(broken.is_none_or(|broken| broken + 1 == found.len()), "hyper goes on behind a broken body");
    // So do an error, and the client's wish.
    let stays = ended && broken.is_none() && !passed.contains("connection:") && !passed.contains("http/1.0");
    assert!(!stays || found.len() == expected.len(), "hyper passes over a request");
});

/// A target as `http` prints it: the scheme and the host are in lower case there, and a path is never empty.
fn target(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    match text.split_once("://") {
        Some((scheme, rest)) if !rest.contains(['/', '?']) => format!("{scheme}://{rest}/"),
        Some((scheme, rest)) => match rest.split_once('?') {
            Some((authority, query)) if !authority.contains('/') => format!("{scheme}://{authority}/?{query}"),
            _ => format!("{scheme}://{rest}"),
        },
        None => text,
    }
}
