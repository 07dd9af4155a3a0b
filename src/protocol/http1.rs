//! HTTP/1 requests as bytes, looked at before the library that serves them sees them (RFC 9112).
//!
//! Where two readers of a request may see different ends, hosts or targets in it, one of them can be deceived. Such a
//! request is refused here, whatever the library would make of it: it forgives bare line feeds and cuts a target at `#`
//! without a word. [`Watch`] follows the framing of one connection from head to head, and holds a head back until it is
//! whole, so that nothing of a refused one is seen. No byte of a head is looked at twice, however many pieces it comes in.
//!
//! ```text
//! POST /v1/echo HTTP/1.1\r\n        METHOD SP target SP HTTP/1.0 or HTTP/1.1
//! host: api.example.com\r\n         exactly one with HTTP/1.1, and that of the target where it names one
//! transfer-encoding: chunked\r\n    this alone, or content-length once, or neither
//! \r\n
//! ```

use std::net::Ipv6Addr;
use std::ops::ControlFlow;

use http::{Method, StatusCode};

use crate::status::{Blame, Code, Status};

/// Header fields of one request.
pub const MAX_FIELDS: usize = 100;

/// The longest line of a chunk's size, extensions included.
const MAX_CHUNK_LINE_BYTES: usize = 256;

/// All trailers of one request.
const MAX_TRAILER_BYTES: usize = 8 << 10;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The part, and what is wrong with it.
    Malformed(&'static str, &'static str),
    /// More than [`MAX_FIELDS`], or a head longer than is read at all.
    TooLarge,
    /// `CONNECT`, after which the bytes are no HTTP any more.
    Connect,
}

impl Fault {
    /// As it is answered.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Malformed(part, why) => Status::invalid_argument(part, why),
            Self::TooLarge => too_large(),
            Self::Connect => method_not_allowed("CONNECT"),
        }
    }
}

/// A request that is refused: why, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub fault: Fault,
    /// `None` where its first line can't be read so far.
    pub method: Option<Method>,
}

/// No method is longer: whatever is, was not meant as one.
const MAX_METHOD_BYTES: usize = 32;

/// The method of the head that `bytes` begin with, whole or not; `None` if they don't begin with one.
#[must_use]
pub fn method(bytes: &[u8]) -> Option<Method> {
    let mut rest = bytes;
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        rest = after;
    }
    let end = memchr::memchr(b' ', rest.get(..=MAX_METHOD_BYTES).unwrap_or(rest))?;
    let method = rest.get(..end).filter(|method| method.iter().all(is_token))?;
    Method::from_bytes(method).ok()
}

/// 431.
pub(crate) fn too_large() -> Status {
    Status::new(Code::ResourceExhausted, Blame::Client, "the request's headers are too large")
        .with_http(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

/// 405, for what no path allows.
pub(crate) fn method_not_allowed(what: &str) -> Status {
    const ALLOWED: http::HeaderValue = http::HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    Status::new(Code::Unimplemented, Blame::Client, format!("{what} is not allowed here"))
        .with_http(StatusCode::METHOD_NOT_ALLOWED)
        .with_header(http::header::ALLOW, ALLOWED)
}

/// What becomes of bytes that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// So many may be passed on.
    pub pass: usize,
    pub then: Then,
}

/// What becomes of the bytes behind those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// There are none.
    Nothing,
    /// They begin a head: they are to be shown again with what follows them.
    Hold,
    /// They, and all that follows, are no request; an answer is due.
    Refuse(Fault),
    /// A body is malformed: there is no telling where it ends.
    Break,
}

/// The place in a connection's bytes.
#[derive(Debug)]
pub struct Watch {
    state: State,
    /// Of [`State::Head`].
    begun: Begun,
    /// The longest head that is held back.
    max_head_bytes: usize,
    /// Heads that were passed on.
    heads: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of a body are to come.
    Body(u64),
    /// In the line of a chunk's size.
    Size(Size),
    /// So many bytes of a chunk are to come, and the end of its line.
    Chunk(u64),
    /// Behind a chunk: `\r\n`, of which so many bytes have come.
    ChunkEnd(u8),
    /// In the lines behind the last chunk.
    Trailer(Trailer),
    /// Refused or broken.
    Over,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    bytes: u64,
    digits: u8,
    length: usize,
    extension: bool,
    cr: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Trailer {
    length: usize,
    /// Of this line, without its end.
    line: usize,
    cr: bool,
}

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
}

impl Watch {
    /// Before the first byte of a connection.
    #[must_use]
    pub fn new(max_head_bytes: usize) -> Self {
        Self { state: State::Head, begun: Begun::default(), max_head_bytes, heads: 0 }
    }

    /// How many heads were passed on by now.
    #[must_use]
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Whether the last request has been read to its end, and no other has begun.
    #[must_use]
    pub fn between_requests(&self) -> bool {
        self.state == State::Head
    }

    /// Looks at the next bytes; at the same once more, and those behind them, where it said [`Then::Hold`].
    pub fn look(&mut self, bytes: &[u8]) -> Seen {
        let mut pass = 0;
        while let Some(rest) = bytes.get(pass..).filter(|rest| !rest.is_empty()) {
            match self.step(rest) {
                ControlFlow::Continue(taken) => pass += taken,
                ControlFlow::Break(then) => return Seen { pass, then },
            }
        }
        Seen { pass, then: Then::Nothing }
    }

    /// Takes what belongs together from the beginning of `bytes`, which are at least one.
    fn step(&mut self, bytes: &[u8]) -> ControlFlow<Then, usize> {
        match &mut self.state {
            State::Head => self.head(bytes),
            State::Body(left) => {
                let after = left.saturating_sub(bytes.len() as u64);
                let count = usize::try_from(*left - after).unwrap_or(bytes.len());
                self.state = if after == 0 { State::Head } else { State::Body(after) };
                ControlFlow::Continue(count)
            }
            State::Chunk(left) => {
                let after = left.saturating_sub(bytes.len() as u64);
                let count = usize::try_from(*left - after).unwrap_or(bytes.len());
                self.state = if after == 0 { State::ChunkEnd(0) } else { State::Chunk(after) };
                ControlFlow::Continue(count)
            }
            State::Size(_) | State::ChunkEnd(_) | State::Trailer(_) => {
                let byte = bytes.first().copied().unwrap_or_default();
                match self.state.line_byte(byte) {
                    Some(next) => {
                        self.state = next;
                        ControlFlow::Continue(1)
                    }
                    None => self.end(Then::Break),
                }
            }
            State::Over => ControlFlow::Break(Then::Break),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> ControlFlow<Then, usize> {
        // What is beyond the limit has no say, or the answer would hang on how the bytes were cut.
        match self.begun.parse(bytes.get(..self.max_head_bytes).unwrap_or(bytes)) {
            Ok(Some((length, framing))) => {
                self.begun = Begun::default();
                self.heads += 1;
                self.state = match framing {
                    Framing::Length(0) => State::Head,
                    Framing::Length(length) => State::Body(length),
                    Framing::Chunked => State::Size(Size::default()),
                };
                ControlFlow::Continue(length)
            }
            Ok(None) if bytes.len() <= self.max_head_bytes => ControlFlow::Break(Then::Hold),
            Ok(None) => self.end(Then::Refuse(Fault::TooLarge)),
            Err(fault) => self.end(Then::Refuse(fault)),
        }
    }

    fn end(&mut self, then: Then) -> ControlFlow<Then, usize> {
        self.state = State::Over;
        ControlFlow::Break(then)
    }
}

impl State {
    /// One byte of the lines of a chunked body; `None` where it is malformed (RFC 9112, 7.1).
    fn line_byte(self, byte: u8) -> Option<Self> {
        match self {
            Self::Size(size) => size.take(byte),
            Self::ChunkEnd(0) => (byte == b'\r').then_some(Self::ChunkEnd(1)),
            Self::ChunkEnd(_) => (byte == b'\n').then_some(Self::Size(Size::default())),
            Self::Trailer(trailer) => trailer.take(byte),
            Self::Head | Self::Body(_) | Self::Chunk(_) | Self::Over => None,
        }
    }
}

impl Size {
    fn take(mut self, byte: u8) -> Option<State> {
        self.length += 1;
        if self.length > MAX_CHUNK_LINE_BYTES {
            return None;
        }
        match byte {
            b'\n' if self.cr => {
                return Some(if self.bytes == 0 {
                    State::Trailer(Trailer::default())
                } else {
                    State::Chunk(self.bytes)
                });
            }
            _ if self.cr => return None,
            b'\r' if self.digits > 0 => self.cr = true,
            b';' if self.digits > 0 => self.extension = true,
            b'\t' | 0x20..=0x7e if self.extension => {}
            _ => {
                let digit = u64::from(char::from(byte).to_digit(16)?);
                self.digits += 1;
                // Sixteen digits are all that fit.
                if self.digits > 16 {
                    return None;
                }
                self.bytes = self.bytes << 4 | digit;
            }
        }
        Some(State::Size(self))
    }
}

impl Trailer {
    fn take(mut self, byte: u8) -> Option<State> {
        self.length += 1;
        if self.length > MAX_TRAILER_BYTES {
            return None;
        }
        match byte {
            b'\n' if self.cr && self.line == 0 => return Some(State::Head),
            b'\n' if self.cr => (self.line, self.cr) = (0, false),
            _ if self.cr => return None,
            b'\r' => self.cr = true,
            b'\n' | 0 => return None,
            _ => self.line += 1,
        }
        Some(State::Trailer(self))
    }
}

/// A head that is not whole.
#[derive(Debug, Default)]
struct Begun {
    head: Option<Head>,
    /// So many bytes of it are lines that were parsed.
    parsed: usize,
    /// So many were searched for the end of a line.
    searched: usize,
}

/// What is gathered of one head.
#[derive(Debug, Default)]
struct Head {
    old: bool,
    fields: usize,
    hosts: usize,
    /// The host of its target, where it is in absolute form.
    authority: Option<Box<[u8]>>,
    length: Option<u64>,
    chunked: bool,
}

impl Begun {
    /// The length of the head that `bytes` begin with and how its body is framed; `None` while it is not whole. The next
    /// time they are to begin with the same.
    fn parse(&mut self, bytes: &[u8]) -> Result<Option<(usize, Framing)>, Fault> {
        while let Some(end) = memchr::memchr(b'\n', bytes.get(self.searched..).unwrap_or_default()) {
            let end = self.searched + end + 1;
            let line = bytes.get(self.parsed..end).unwrap_or_default();
            (self.parsed, self.searched) = (end, end);
            let line = line.strip_suffix(b"\r\n").ok_or(Fault::Malformed("request", "a line feed stands alone"))?;
            match &mut self.head {
                // RFC 9112, 2.2: empty lines before a request are passed over.
                None if line.is_empty() => {}
                None => self.head = Some(Head::begin(line)?),
                Some(head) if line.is_empty() => return Ok(Some((end, head.framing()?))),
                Some(head) => head.field(line)?,
            }
        }
        self.searched = bytes.len();
        Ok(None)
    }
}

impl Head {
    fn begin(line: &[u8]) -> Result<Self, Fault> {
        let malformed = Fault::Malformed("request", "its first line is no `METHOD target HTTP/1.1`");
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed);
        };
        if method.is_empty() || !method.iter().all(is_token) || target.is_empty() {
            return Err(malformed);
        }
        let old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(malformed),
        };
        if !target.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\')) {
            return Err(Fault::Malformed("target", "it has a character that no target has"));
        }
        if method == b"CONNECT" {
            return Err(Fault::Connect);
        }
        if !is_target(target) {
            return Err(Fault::Malformed("target", "it is no path, no URL of http or https, and no `*`"));
        }
        let authority = authority(target).map(Box::from);
        if authority.as_deref().is_some_and(|authority| !is_host(authority)) {
            return Err(Fault::Malformed("target", "its host is none"));
        }
        Ok(Self { old, authority, ..Self::default() })
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Fault> {
        let malformed = Fault::Malformed("header", "a line is no `name: value`");
        let colon = memchr::memchr(b':', line).ok_or(malformed)?;
        let (name, value) = line.split_at_checked(colon).ok_or(malformed)?;
        // A space before the name continues the line before it, one behind it hides the name from some.
        if name.is_empty() || !name.iter().all(is_token) {
            return Err(malformed);
        }
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Fault::Malformed("header", "a value has a control character"));
        }
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Fault::TooLarge);
        }
        // Most names are told apart by their length.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.hosts += 1;
        let differs = |authority: &[u8]| !authority.eq_ignore_ascii_case(value);
        match self.hosts {
            // RFC 9112, 3.2.2: the target's host counts, and a client says the same here.
            1 if self.authority.as_deref().is_some_and(differs) => {
                Err(Fault::Malformed("host", "it differs from that of the target"))
            }
            1 if is_host(value) => Ok(()),
            1 => Err(Fault::Malformed("host", "it is no host")),
            _ => Err(Fault::Malformed("host", "it is there more than once")),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        // Nineteen digits always fit.
        let digits = (1..=19).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        let length = value.iter().fold(0_u64, |length, digit| length.wrapping_mul(10) + u64::from(digit & 0xf));
        if !digits || self.length.replace(length).is_some() {
            return Err(Fault::Malformed("content-length", "it is not one number"));
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        let already = std::mem::replace(&mut self.chunked, true);
        if already || self.old || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::Malformed("transfer-encoding", "it is not `chunked` alone"));
        }
        Ok(())
    }

    fn framing(&self) -> Result<Framing, Fault> {
        if self.hosts == 0 && !self.old {
            return Err(Fault::Malformed("host", "it is missing"));
        }
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Fault::Malformed("content-length", "it stands beside transfer-encoding")),
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// RFC 9112, 3.2: origin, absolute or asterisk form.
fn is_target(target: &[u8]) -> bool {
    target.starts_with(b"/") || target == b"*" || authority(target).is_some()
}

/// What stands between the scheme and the path of a target in absolute form.
fn authority(target: &[u8]) -> Option<&[u8]> {
    let behind = |scheme: &[u8]| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let rest = behind(b"http://").or_else(|| behind(b"https://"))?;
    rest.split(|byte| matches!(byte, b'/' | b'?')).next()
}

/// Whether it is a host, with a port or without (RFC 3986, 3.2.2), and not empty.
pub(crate) fn is_host(host: &[u8]) -> bool {
    let is_port = |port: &[u8]| port.iter().all(u8::is_ascii_digit);
    if let Some(rest) = host.strip_prefix(b"[") {
        let end = memchr::memchr(b']', rest).unwrap_or(rest.len());
        let (address, rest) = rest.split_at_checked(end).unwrap_or_default();
        let address = std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
        return address && (rest == b"]" || rest.strip_prefix(b"]:").is_some_and(is_port));
    }
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(byte);
    let colon = memchr::memchr(b':', host).unwrap_or(host.len());
    let (name, port) = host.split_at_checked(colon).unwrap_or_default();
    !name.is_empty() && name.iter().all(in_name) && port.strip_prefix(b":").is_none_or(is_port)
}

#[cfg(test)]
mod tests;
