//! An HTTP/2 client in clear text by prior knowledge: streams that run both ways at once, and are reset.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection.
pub(crate) struct Client {
    sender: SendRequest<Bytes>,
    address: SocketAddr,
}

/// A request in progress, both of its directions.
pub(crate) struct Exchange {
    /// The request's body.
    pub(crate) body: SendStream<Bytes>,
    response: ResponseFuture,
}

/// The response of an exchange.
pub(crate) struct Answer {
    pub(crate) head: Response<()>,
    body: RecvStream,
    /// What came of the body, and was not taken yet.
    buffer: BytesMut,
}

impl Client {
    /// Connects with windows of the default size.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        stream.set_nodelay(true).expect("an option can be set");
        Self::over(stream, address).await
    }

    /// The same on a stream that is connected already.
    pub(crate) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: SocketAddr,
    ) -> Self {
        let (sender, connection) = h2::client::handshake(stream).await.expect("the gateway speaks HTTP/2");
        tokio::spawn(async move {
            // How the connection ends shows in each stream.
            let _ = connection.await;
        });
        Self { sender, address }
    }

    /// Waits until the gateway has seen all that was sent: it answers one request more.
    pub(crate) async fn sync(&mut self) {
        let mut exchange = self.get("/v1/ping", &[]).await;
        exchange.head().await.expect("the connection is open").rest().await.1.expect("it is answered");
    }

    /// Opens a request whose body stays open.
    pub(crate) async fn open(&mut self, verb: &str, target: &str, headers: &[(&str, &str)]) -> Exchange {
        self.send(verb, target, headers, false).await
    }

    /// Sends a request without a body.
    pub(crate) async fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Exchange {
        self.send("GET", target, headers, true).await
    }

    async fn send(&mut self, verb: &str, target: &str, headers: &[(&str, &str)], end: bool) -> Exchange {
        let mut request =
            Request::builder().method(verb).uri(format!("http://{}{target}", self.address)).body(()).unwrap();
        for (name, value) in headers {
            request.headers_mut().append(
                http::HeaderName::try_from(*name).expect("a header name"),
                http::HeaderValue::try_from(*value).expect("a header value"),
            );
        }
        let mut ready = self.sender.clone().ready().await.expect("the connection is open");
        let (response, body) = ready.send_request(request, end).expect("the request can be sent");
        Exchange { body, response }
    }
}

impl Exchange {
    /// Sends a piece of the body.
    pub(crate) fn write(&mut self, data: impl Into<Bytes>) {
        self.body.send_data(data.into(), false).expect("the stream is open");
    }

    /// Ends the body.
    pub(crate) fn end(&mut self) {
        self.body.send_data(Bytes::new(), true).expect("the stream is open");
    }

    /// Gives up.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.body.send_reset(reason);
    }

    /// Waits for the response's head.
    pub(crate) async fn head(&mut self) -> Result<Answer, h2::Error> {
        let (head, body) = (&mut self.response).await?.into_parts();
        Ok(Answer { head: Response::from_parts(head, ()), body, buffer: BytesMut::new() })
    }
}

impl Answer {
    /// The status.
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name)?.to_str().ok()
    }

    /// The next data as they come.
    pub(crate) async fn data(&mut self) -> Option<Result<Bytes, h2::Error>> {
        if !self.buffer.is_empty() {
            return Some(Ok(self.buffer.split().freeze()));
        }
        let data = self.body.data().await?;
        if let Ok(data) = &data {
            let _ = self.body.flow_control().release_capacity(data.len());
        }
        Some(data)
    }

    /// The next line, without its end.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(at + 1);
                return String::from_utf8_lossy(&line[..at]).into_owned();
            }
            let data = self.body.data().await.expect("another line comes").expect("the stream goes on");
            let _ = self.body.flow_control().release_capacity(data.len());
            self.buffer.extend_from_slice(&data);
        }
    }

    /// The rest of the body; an error if it was cut.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, Result<Option<HeaderMap>, h2::Error>) {
        let mut all = Vec::new();
        while let Some(data) = self.data().await {
            match data {
                Ok(data) => all.extend_from_slice(&data),
                Err(error) => return (all, Err(error)),
            }
        }
        let trailers = self.body.trailers().await;
        (all, trailers)
    }
}
