//! An HTTP/2 server that behaves as a test tells it, call by call: for upstreams that no gRPC library would be.
//!
//! A test registers a script and puts its header on the request. Scripts of many tests share one server and, through
//! one gateway, one connection: what goes wrong in one must not touch another.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::net::TcpStream;

use super::{RUNTIME, listen};

type Done = Pin<Box<dyn Future<Output = ()> + Send>>;
type Script = Arc<dyn Fn(Call) -> Done + Send + Sync>;

static SCRIPTS: LazyLock<Mutex<BTreeMap<String, Script>>> = LazyLock::new(Mutex::default);

/// One call that reached the server.
pub(crate) struct Call {
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
    /// The how-manieth call of this script it is, from 1.
    pub(crate) number: u32,
}

/// A script that is registered for as long as its test runs.
pub(crate) struct Scripted {
    id: String,
    calls: Arc<AtomicU32>,
}

impl Scripted {
    /// Registers a script.
    pub(crate) fn new<F, D>(script: F) -> Self
    where
        F: Fn(Call) -> D + Send + Sync + 'static,
        D: Future<Output = ()> + Send + 'static,
    {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let id = format!("s{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let calls = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&calls);
        let script: Script = Arc::new(move |mut call| {
            call.number = counter.fetch_add(1, Ordering::SeqCst) + 1;
            Box::pin(script(call))
        });
        SCRIPTS.lock().unwrap().insert(id.clone(), script);
        Self { id, calls }
    }

    /// The header that chooses the script.
    pub(crate) fn header(&self) -> String {
        format!("x-script: {}", self.id)
    }

    /// The same as name and value.
    pub(crate) fn header_pair(&self) -> (&'static str, String) {
        ("x-script", self.id.clone())
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if let Ok(mut scripts) = SCRIPTS.lock() {
            scripts.remove(&self.id);
        }
    }
}

/// The server that tests share.
pub(crate) fn address() -> SocketAddr {
    static SHARED: LazyLock<SocketAddr> = LazyLock::new(start);
    *SHARED
}

/// Starts one more.
pub(crate) fn start() -> SocketAddr {
    let (listener, address) = listen("127.0.0.1:0");
    RUNTIME.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Serves one connection.
pub(crate) async fn serve(stream: TcpStream) {
    let mut builder = h2::server::Builder::new();
    builder.max_header_list_size(1 << 20).initial_window_size(1 << 20).initial_connection_window_size(8 << 20);
    builder.max_send_buffer_size(64 << 20).max_concurrent_reset_streams(10_000);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let script = request.headers().get("x-script").and_then(|id| id.to_str().ok());
        let script = script.and_then(|id| SCRIPTS.lock().unwrap().get(id).cloned());
        let call = Call { request, respond, number: 0 };
        match script {
            Some(script) => tokio::spawn(script(call)),
            None => tokio::spawn(echo(call)),
        };
    }
}

/// Without a script: answers a unary call with its request, as `Echo` does.
async fn echo(mut call: Call) {
    let body = call.read().await;
    let mut stream = call.head(&[]);
    stream.send_data(body.into(), false).ok();
    finish(&mut stream, &[("grpc-status", "0")]);
}

impl Call {
    /// The whole request body, frames and all.
    pub(crate) async fn read(&mut self) -> Vec<u8> {
        self.read_to_end().await.unwrap_or_default()
    }

    /// The whole request body, or how it was cut. Servers that stand on hyper can't tell: they take a stream that was
    /// cancelled for one that ended.
    pub(crate) async fn read_to_end(&mut self) -> Result<Vec<u8>, h2::Error> {
        let body = self.request.body_mut();
        let mut all = Vec::new();
        while let Some(data) = body.data().await {
            let data = data?;
            let _ = body.flow_control().release_capacity(data.len());
            all.extend_from_slice(&data);
        }
        Ok(all)
    }

    /// Sends a good head, and these headers with it.
    pub(crate) fn head(&mut self, more: &[(&str, &str)]) -> SendStream<Bytes> {
        let mut response = Response::new(());
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        response.headers_mut().extend(headers(more));
        self.respond.send_response(response, false).expect("the stream is open")
    }

    /// Sends a head of any kind, and nothing after it.
    pub(crate) fn only(&mut self, status: u16, more: &[(&str, &str)]) {
        let mut response = Response::builder().status(status).body(()).expect("a status");
        response.headers_mut().extend(headers(more));
        self.respond.send_response(response, true).expect("the stream is open");
    }

    /// Sends a head of any kind with a body, and no trailers.
    pub(crate) fn plain(&mut self, status: u16, more: &[(&str, &str)], body: &'static str) {
        let mut response = Response::builder().status(status).body(()).expect("a status");
        response.headers_mut().extend(headers(more));
        let mut stream = self.respond.send_response(response, false).expect("the stream is open");
        stream.send_data(Bytes::from_static(body.as_bytes()), true).ok();
    }

    /// A whole good answer.
    pub(crate) async fn answer(&mut self, message: &[u8]) {
        self.read().await;
        let mut stream = self.head(&[]);
        stream.send_data(frame(message), false).ok();
        finish(&mut stream, &[("grpc-status", "0")]);
    }

    /// Resets the stream before any head.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }
}

/// Sends trailers; the caller may be gone already.
pub(crate) fn finish(stream: &mut SendStream<Bytes>, trailers: &[(&str, &str)]) {
    stream.send_trailers(headers(trailers)).ok();
}

/// Headers out of pairs.
pub(crate) fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (HeaderName::try_from(*name).expect("a header name"), HeaderValue::try_from(*value).expect("a header value"))
    };
    pairs.iter().map(pair).collect()
}

/// A message in a gRPC frame.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    framed(0, u32::try_from(message.len()).expect("it is small"), message)
}

/// A gRPC frame whose flag and length say what they are told to say.
pub(crate) fn framed(flag: u8, length: u32, message: &[u8]) -> Bytes {
    let mut bytes = vec![flag];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(message);
    bytes.into()
}

/// Compresses by gzip.
pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).expect("writing to memory never fails");
    encoder.finish().expect("writing to memory never fails")
}
