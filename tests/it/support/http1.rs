//! An HTTP/1.1 client that sends exactly the bytes it is given and shows exactly what comes back: headers in their
//! order and case, chunks as they arrive, and whether a body came to its end.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;
use super::tls::{self, Wire};

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As its framing says.
    Clean,
    /// By the connection's end, where the framing promised more.
    Cut,
}

/// A connection to the gateway.
pub(crate) struct Connection {
    stream: BufReader<Wire>,
    sent: Vec<u8>,
    received: Vec<u8>,
    framing: Framing,
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// Everything up to the empty line.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

/// A whole response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
    /// The exchange as it went over the wire, to explain a failure.
    pub(crate) exchange: String,
}

impl Connection {
    /// Connects.
    #[track_caller]
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap_or_else(|error| panic!("can't connect to {address}: {error}"))
    }

    /// Connects, or tells why not.
    pub(crate) fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::on(Wire::Clear(stream)))
    }

    /// A connection whose handshake is done.
    pub(crate) fn over(stream: tls::Stream) -> Self {
        Self::on(Wire::Tls(Box::new(stream)))
    }

    fn on(wire: Wire) -> Self {
        Self { stream: BufReader::new(wire), sent: Vec::new(), received: Vec::new(), framing: Framing::None }
    }

    /// Sends these bytes as they are.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("can't send: {error}\n{}", self.exchange()));
    }

    /// Sends these bytes, or tells why not.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sent.extend_from_slice(bytes);
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends one chunk of a chunked body.
    #[track_caller]
    pub(crate) fn send_chunk(&mut self, data: &[u8]) {
        let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
        chunk.extend_from_slice(data);
        chunk.extend_from_slice(b"\r\n");
        self.send(&chunk);
    }

    /// Closes the sending side.
    pub(crate) fn finish(&mut self) {
        let _ = self.stream.get_ref().socket().shutdown(Shutdown::Write);
    }

    /// What went over this connection since the last whole response.
    pub(crate) fn exchange(&self) -> String {
        let mut text = String::from("\n--- sent\n");
        show(&self.sent, &mut text);
        text.push_str("\n--- received\n");
        show(&self.received, &mut text);
        text.push('\n');
        text
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let result = self.stream.read_until(b'\n', &mut line);
        self.received.extend_from_slice(&line);
        result?;
        if !line.ends_with(b"\r\n") {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended within a line"));
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Reads one response's head; `HEAD` has no body after it.
    pub(crate) fn try_head(&mut self, verb: &str) -> io::Result<Head> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
        let mut head = Head { status, headers: Vec::new() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other("a header without a colon"))?;
            head.headers.push((name.to_owned(), value.trim().to_owned()));
        }
        self.framing = if verb == "HEAD" || status == 204 || status == 304 || status < 200 {
            Framing::None
        } else if head.all("transfer-encoding").any(|value| value.eq_ignore_ascii_case("chunked")) {
            Framing::Chunked
        } else if let Some(length) = head.get("content-length") {
            Framing::Length(length.parse().map_err(|_| io::Error::other("a content-length that is none"))?)
        } else {
            Framing::UntilClose
        };
        Ok(head)
    }

    /// Reads one response's head.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Head {
        self.try_head("GET").unwrap_or_else(|error| panic!("no response head: {error}{}", self.exchange()))
    }

    /// The next piece of the body as it comes (a chunk, or what one read gives); `Ok(None)` at its clean end.
    pub(crate) fn try_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.framing {
            Framing::None | Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                let mut piece = vec![0; usize::try_from(left.min(1 << 16)).unwrap()];
                let count = self.read(&mut piece)?;
                if count == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body ended early"));
                }
                piece.truncate(count);
                self.framing = Framing::Length(left - count as u64);
                Ok(Some(piece))
            }
            Framing::UntilClose => {
                let mut piece = vec![0; 1 << 16];
                let count = self.read(&mut piece)?;
                piece.truncate(count);
                Ok((count > 0).then_some(piece))
            }
            Framing::Chunked => {
                let size = self.line()?;
                let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
                    .map_err(|_| io::Error::other(format!("no chunk size: {size:?}")))?;
                let mut piece = vec![0; size];
                let result = self.stream.read_exact(&mut piece);
                self.keep(&piece);
                result?;
                // After the last chunk the trailer section, which ends with an empty line as well.
                while !self.line()?.is_empty() {}
                if size == 0 {
                    self.framing = Framing::None;
                    return Ok(None);
                }
                Ok(Some(piece))
            }
        }
    }

    /// The next piece of the body; panics at its end.
    #[track_caller]
    pub(crate) fn piece(&mut self) -> String {
        match self.try_piece() {
            Ok(Some(piece)) => String::from_utf8(piece).expect("the body is text"),
            Ok(None) => panic!("the body ended{}", self.exchange()),
            Err(error) => panic!("the body broke off: {error}{}", self.exchange()),
        }
    }

    /// Reads on until what came contains this text; pieces may come split.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> String {
        let mut all = String::new();
        while !all.contains(text) {
            all.push_str(&self.piece());
        }
        all
    }

    /// The rest of the body, and how it ended.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, End) {
        let mut body = Vec::new();
        loop {
            match self.try_piece() {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => return (body, End::Clean),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("nothing comes{}", self.exchange()),
                Err(_) => return (body, End::Cut),
            }
        }
    }

    /// Reads one whole response.
    #[track_caller]
    pub(crate) fn response(&mut self, verb: &str) -> Response {
        let mut head = self.try_head(verb);
        while matches!(&head, Ok(head) if head.status < 200) {
            head = self.try_head(verb);
        }
        let head = head.unwrap_or_else(|error| panic!("no response: {error}{}", self.exchange()));
        let (body, end) = self.rest();
        let exchange = self.exchange();
        self.sent.clear();
        self.received.clear();
        Response { head, body, end, exchange }
    }

    /// Sends a request made of its parts, and reads the response.
    #[track_caller]
    pub(crate) fn call(&mut self, request: &Request<'_>) -> Response {
        self.send(&request.bytes());
        self.response(request.verb())
    }

    /// That the other side closes the connection, without a byte more.
    #[track_caller]
    pub(crate) fn closed(&mut self) {
        let mut rest = Vec::new();
        let result = self.stream.read_to_end(&mut rest);
        let timed_out = matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        assert!(!timed_out, "the connection stays open{}", self.exchange());
        assert!(rest.is_empty(), "more came: {:?}{}", String::from_utf8_lossy(&rest), self.exchange());
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(into)?;
        self.keep(&into[..count]);
        Ok(count)
    }

    fn keep(&mut self, bytes: &[u8]) {
        // Enough to explain a failure, without keeping a big body twice.
        if self.received.len() < 1 << 16 {
            self.received.extend_from_slice(bytes);
        }
    }
}

impl Head {
    /// The values of a header, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value of a header.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Response {
    /// The status code.
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    /// The body as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap_or_else(|_| panic!("the body is not UTF-8{}", self.exchange))
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON: {error}{}", self.exchange))
    }

    /// That it has this status and came to its end.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.head.status, status, "another status{}", self.exchange);
        assert_eq!(self.end, End::Clean, "the body broke off{}", self.exchange);
        self
    }
}

/// A request told by its parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request<'a> {
    /// `GET /path`.
    line: &'a str,
    headers: Vec<String>,
    body: Option<Vec<u8>>,
}

impl<'a> Request<'a> {
    /// `GET /path?query`, as it goes out.
    pub(crate) fn new(line: &'a str) -> Self {
        Self { line, ..Self::default() }
    }

    /// One more header, as it goes out.
    pub(crate) fn header(mut self, line: impl Into<String>) -> Self {
        self.headers.push(line.into());
        self
    }

    /// A body of JSON.
    pub(crate) fn json(self, body: impl AsRef<[u8]>) -> Self {
        self.header("content-type: application/json").body(body)
    }

    /// A body without a word about its type.
    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    fn verb(&self) -> &'a str {
        self.line.split(' ').next().unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|line| line.split(':').next().is_some_and(|key| key.eq_ignore_ascii_case(name)))
    }

    /// The bytes that go out; `host` and the length are added where they are not given.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} HTTP/1.1\r\n", self.line);
        if !self.has("host") {
            text.push_str("host: gateway.test\r\n");
        }
        for line in &self.headers {
            text.push_str(line);
            text.push_str("\r\n");
        }
        if let Some(body) = &self.body
            && !self.has("content-length")
            && !self.has("transfer-encoding")
        {
            write!(text, "content-length: {}\r\n", body.len()).expect("writing to a string never fails");
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// Sends one request on a connection of its own.
#[track_caller]
pub(crate) fn call(address: SocketAddr, request: &Request<'_>) -> Response {
    Connection::open(address).call(request)
}

/// Sends a `GET` on a connection of its own.
#[track_caller]
pub(crate) fn get(address: SocketAddr, target: &str) -> Response {
    call(address, &Request::new(&format!("GET {target}")))
}

/// Bytes as one reads them, cut where they get long.
fn show(bytes: &[u8], text: &mut String) {
    for byte in bytes.iter().take(4096) {
        match byte {
            b'\n' => text.push('\n'),
            b'\r' => {}
            0x20..=0x7e => text.push(char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}").expect("writing to a string never fails"),
        }
    }
    if bytes.len() > 4096 {
        write!(text, "… ({} bytes)", bytes.len()).expect("writing to a string never fails");
    }
}
