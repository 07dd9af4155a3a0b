//! The backend of most tests: a tonic server of `lockgate.test.v1`, over real loopback gRPC in this process.
//!
//! It answers as the comments in `echo.proto` say, and tells the probe of a call (see [`probe`]) what it saw.
//!
//! [`probe`]: super::probe

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt as _;
use lockgate::pb::google::api::HttpBody;
use lockgate::pb::lockgate::test::v1::echo_server::{Echo, EchoServer};
use lockgate::pb::lockgate::test::v1::legacy_echo_server::{LegacyEcho, LegacyEchoServer};
use lockgate::pb::lockgate::test::v1::{
    DownloadRequest, DownloadResponse, Everything, FailRequest, Legacy, LegacyHolder, MetadataRequest,
    MetadataResponse, SleepRequest, SleepResponse, StreamRequest, Summary, UpdateRequest, UpdateTwiceRequest,
    UploadRequest, metadata_response,
};
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status, Streaming};

use super::probe::{Event, State};
use super::{RUNTIME, listen, oracle};

/// The largest message that the backend reads: above all that tests send.
const MAX_MESSAGE: usize = 256 << 20;

type Answer<T> = Result<Response<T>, Status>;
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The backend that tests share.
pub(crate) fn address() -> SocketAddr {
    static SHARED: LazyLock<SocketAddr> = LazyLock::new(|| start("127.0.0.1:0"));
    *SHARED
}

/// Starts one more backend; `127.0.0.1:0` finds a free port.
pub(crate) fn start(address: &str) -> SocketAddr {
    let (listener, address) = listen(address);
    serve(listener);
    address
}

/// Serves on a port that is bound already.
pub(crate) fn serve(listener: TcpListener) {
    let echo = EchoServer::new(Service).max_decoding_message_size(MAX_MESSAGE);
    let legacy = LegacyEchoServer::new(Service).max_decoding_message_size(MAX_MESSAGE);
    let server = Server::builder().layer(tower::layer::layer_fn(WithTrailers)).add_service(echo).add_service(legacy);
    RUNTIME.spawn(async move { server.serve_with_incoming(TcpListenerStream::new(listener)).await });
}

/// A message that the oracle knows by name.
trait Named: Message + Default {
    const NAME: &'static str;
}

macro_rules! named {
    ($($type:ty = $name:literal),* $(,)?) => { $(impl Named for $type { const NAME: &'static str = $name; })* };
}

named! {
    Everything = "lockgate.test.v1.Everything",
    UpdateRequest = "lockgate.test.v1.UpdateRequest",
    UpdateTwiceRequest = "lockgate.test.v1.UpdateTwiceRequest",
    FailRequest = "lockgate.test.v1.FailRequest",
    SleepRequest = "lockgate.test.v1.SleepRequest",
    MetadataRequest = "lockgate.test.v1.MetadataRequest",
    StreamRequest = "lockgate.test.v1.StreamRequest",
    DownloadRequest = "lockgate.test.v1.DownloadRequest",
    UploadRequest = "lockgate.test.v1.UploadRequest",
    Legacy = "lockgate.test.v1.Legacy",
    LegacyHolder = "lockgate.test.v1.LegacyHolder",
    HttpBody = "google.api.HttpBody",
    () = "google.protobuf.Empty",
    prost_types::Struct = "google.protobuf.Struct",
    prost_types::Value = "google.protobuf.Value",
    prost_types::Timestamp = "google.protobuf.Timestamp",
    prost_types::Any = "google.protobuf.Any",
}

/// A call in progress: dropped before its end, it was cancelled.
struct Call {
    probe: Option<Arc<State>>,
    ended: bool,
}

impl Call {
    fn begin(method: &str, metadata: &MetadataMap) -> Self {
        let id = metadata.get("x-probe").and_then(|id| id.to_str().ok());
        let call = Self { probe: State::of(id), ended: false };
        call.tell(Event::Called { method: method.to_owned(), metadata: entries(metadata) });
        call
    }

    /// Begins a call with its one message.
    fn unary<T: Named>(method: &str, request: Request<T>) -> (Self, T) {
        let call = Self::begin(method, request.metadata());
        let message = request.into_inner();
        call.message(&message);
        (call, message)
    }

    fn tell(&self, event: Event) {
        if let Some(probe) = &self.probe {
            probe.tell(event);
        }
    }

    fn message<T: Named>(&self, message: &T) {
        if self.probe.is_some() {
            self.tell(Event::Message(oracle::json(T::NAME, &message.encode_to_vec())));
        }
    }

    /// The next message of a request stream.
    async fn next<T: Named>(&self, stream: &mut Streaming<T>) -> Result<Option<T>, Status> {
        match stream.message().await {
            Ok(Some(message)) => {
                self.message(&message);
                Ok(Some(message))
            }
            Ok(None) => {
                self.tell(Event::RequestEnded);
                Ok(None)
            }
            Err(status) => {
                self.tell(Event::RequestBroken);
                Err(status)
            }
        }
    }

    /// Waits for the test's leave, then hands a message over.
    async fn produce(&self, number: u32) {
        if let Some(probe) = &self.probe {
            probe.passed().await;
            probe.tell(Event::Produced(number));
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.tell(Event::Finished);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.tell(Event::Cancelled);
        }
    }
}

fn entries(metadata: &MetadataMap) -> Vec<(String, String)> {
    let entry = |entry: KeyAndValueRef<'_>| match entry {
        KeyAndValueRef::Ascii(key, value) => {
            (key.to_string(), String::from_utf8_lossy(value.as_encoded_bytes()).into_owned())
        }
        KeyAndValueRef::Binary(key, value) => {
            (key.to_string(), value.to_bytes().map_or_else(|_| "?".to_owned(), |bytes| STANDARD.encode(bytes)))
        }
    };
    metadata.iter().map(entry).collect()
}

/// Answers with the request, whatever it is.
async fn echo<T: Named>(method: &str, request: Request<T>) -> Answer<T> {
    let (mut call, message) = Call::unary(method, request);
    if call.probe.is_some() {
        call.produce(0).await;
    }
    call.end();
    Ok(Response::new(message))
}

/// The status that a request describes; `None` succeeds.
fn failure(request: &FailRequest) -> Option<Status> {
    if request.code == 0 {
        return None;
    }
    let details = lockgate::pb::google::rpc::Status {
        code: request.code,
        message: request.message.clone(),
        details: request.details.clone(),
    };
    let code = Code::from_i32(request.code);
    if request.details.is_empty() {
        return Some(Status::new(code, request.message.clone()));
    }
    Some(Status::with_details(code, request.message.clone(), details.encode_to_vec().into()))
}

fn duration(duration: Option<&prost_types::Duration>) -> Duration {
    duration.and_then(|duration| Duration::try_from(*duration).ok()).unwrap_or_default()
}

/// The deadline as it arrived.
fn timeout(metadata: &MetadataMap) -> Option<prost_types::Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().ok()?;
    let duration = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        _ => Duration::from_nanos(number),
    };
    prost_types::Duration::try_from(duration).ok()
}

struct Sending {
    call: Call,
    request: StreamRequest,
    next: u32,
}

/// What `ServerStream` sends, one message whenever it is asked for.
fn numbered(call: Call, request: StreamRequest) -> Answers<Everything> {
    let sending = Sending { call, request, next: 0 };
    Box::pin(stream::unfold(Some(sending), |sending| async move {
        let mut sending = sending?;
        let number = sending.next;
        if number >= sending.request.count {
            let end = sending.request.end.as_ref().and_then(failure);
            sending.call.end();
            return end.map(|status| (Err(status), None));
        }
        let interval = duration(sending.request.interval.as_ref());
        if !interval.is_zero() {
            tokio::time::sleep(interval).await;
        }
        sending.call.produce(number).await;
        sending.next += 1;
        let mut message = sending.request.message.clone().unwrap_or_default();
        message.int32_value = i32::try_from(number).unwrap_or_default();
        Some((Ok(message), Some(sending)))
    }))
}

/// The bytes that a download consists of.
pub(crate) fn content(size: u64) -> Vec<u8> {
    (0..size).map(|index| u8::try_from(index % 251).expect("it is below 251")).collect()
}

struct Pieces {
    call: Call,
    request: DownloadRequest,
    at: u64,
}

/// A download in pieces, made one by one.
fn pieces(call: Call, request: DownloadRequest) -> Answers<HttpBody> {
    let pieces = Pieces { call, request, at: 0 };
    Box::pin(stream::unfold(Some(pieces), |pieces| async move {
        let mut pieces = pieces?;
        let request = &pieces.request;
        if request.fail_after_bytes.is_some_and(|limit| pieces.at >= limit) {
            pieces.call.end();
            return Some((Err(Status::data_loss("the download broke off")), None));
        }
        if pieces.at >= request.size {
            pieces.call.end();
            return None;
        }
        let interval = duration(request.interval.as_ref());
        if !interval.is_zero() {
            tokio::time::sleep(interval).await;
        }
        let size = if request.piece_bytes == 0 { 16 << 10 } else { u64::from(request.piece_bytes) };
        let end = (pieces.at + size).min(request.size);
        let data = (pieces.at..end).map(|index| u8::try_from(index % 251).expect("it is below 251")).collect();
        let first = pieces.at == 0;
        pieces.call.produce(u32::try_from(pieces.at / size).unwrap_or(u32::MAX)).await;
        let content_type = if first { content_type(&pieces.request) } else { String::new() };
        pieces.at = end;
        Some((Ok(HttpBody { content_type, data, extensions: Vec::new() }), Some(pieces)))
    }))
}

fn content_type(request: &DownloadRequest) -> String {
    if request.content_type.is_empty() { "application/octet-stream".to_owned() } else { request.content_type.clone() }
}

/// Adds up the bodies of an upload.
#[derive(Default)]
struct Sum {
    summary: Summary,
    checksum: flate2::Crc,
}

impl Sum {
    fn add(&mut self, body: &HttpBody) {
        if self.summary.count == 0 {
            self.summary.content_type.clone_from(&body.content_type);
        }
        self.summary.count += 1;
        self.summary.bytes += body.data.len() as u64;
        self.checksum.update(&body.data);
    }

    fn done(mut self) -> Response<Summary> {
        self.summary.checksum = self.checksum.sum();
        Response::new(self.summary)
    }
}

/// The metadata that a request asks for; keys that end in `-bin` have their values in base64.
fn headers(map: &HashMap<String, String>) -> HeaderMap {
    let entry = |(key, value): (&String, &String)| {
        (HeaderName::try_from(key).expect("a header name"), HeaderValue::try_from(value).expect("a header value"))
    };
    map.iter().map(entry).collect()
}

/// Trailers beside `grpc-status`, which tonic can't send with a success.
#[derive(Clone)]
struct Trailing(HeaderMap);

/// Adds them.
#[derive(Clone)]
struct WithTrailers<S>(S);

impl<S> tower::Service<http::Request<tonic::body::Body>> for WithTrailers<S>
where
    S: tower::Service<
            http::Request<tonic::body::Body>,
            Response = http::Response<tonic::body::Body>,
            Error = Infallible,
        >,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let response = self.0.call(request);
        Box::pin(async move {
            let response = response.await?;
            let Some(Trailing(more)) = response.extensions().get::<Trailing>().cloned() else { return Ok(response) };
            Ok(response.map(|body| {
                tonic::body::Body::new(body.map_frame(move |mut frame| {
                    if let Some(trailers) = frame.trailers_mut() {
                        trailers.extend(more.clone());
                    }
                    frame
                }))
            }))
        })
    }
}

/// The implementation of both services.
struct Service;

#[tonic::async_trait]
impl Echo for Service {
    async fn unary(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("Unary", request).await
    }

    async fn plain(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("Plain", request).await
    }

    async fn search(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("Search", request).await
    }

    async fn nested(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("Nested", request).await
    }

    async fn typed(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("Typed", request).await
    }

    async fn part(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("Part", request).await
    }

    async fn field(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("Field", request).await
    }

    async fn resource(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("Resource", request).await
    }

    async fn publish(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("Publish", request).await
    }

    async fn rank_literal(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("RankLiteral", request).await
    }

    async fn rank_segment(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("RankSegment", request).await
    }

    async fn rank_tail(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("RankTail", request).await
    }

    async fn custom(&self, request: Request<Everything>) -> Answer<Everything> {
        echo("Custom", request).await
    }

    async fn update(&self, request: Request<UpdateRequest>) -> Answer<UpdateRequest> {
        echo("Update", request).await
    }

    async fn update_twice(&self, request: Request<UpdateTwiceRequest>) -> Answer<UpdateTwiceRequest> {
        echo("UpdateTwice", request).await
    }

    async fn ping(&self, request: Request<()>) -> Answer<()> {
        echo("Ping", request).await
    }

    async fn echo_struct(&self, request: Request<prost_types::Struct>) -> Answer<prost_types::Struct> {
        echo("EchoStruct", request).await
    }

    async fn echo_value(&self, request: Request<prost_types::Value>) -> Answer<prost_types::Value> {
        echo("EchoValue", request).await
    }

    async fn echo_timestamp(&self, request: Request<prost_types::Timestamp>) -> Answer<prost_types::Timestamp> {
        echo("EchoTimestamp", request).await
    }

    async fn echo_any(&self, request: Request<prost_types::Any>) -> Answer<prost_types::Any> {
        echo("EchoAny", request).await
    }

    async fn echo_body(&self, request: Request<HttpBody>) -> Answer<HttpBody> {
        echo("EchoBody", request).await
    }

    type PlainStreamStream = Answers<Everything>;

    async fn plain_stream(&self, request: Request<StreamRequest>) -> Answer<Self::PlainStreamStream> {
        let (call, request) = Call::unary("PlainStream", request);
        Ok(Response::new(numbered(call, request)))
    }

    async fn fail(&self, request: Request<FailRequest>) -> Answer<Everything> {
        let (mut call, request) = Call::unary("Fail", request);
        call.end();
        failure(&request).map_or_else(|| Ok(Response::new(Everything::default())), Err)
    }

    async fn sleep(&self, request: Request<SleepRequest>) -> Answer<SleepResponse> {
        let timeout = timeout(request.metadata());
        let (mut call, request) = Call::unary("Sleep", request);
        tokio::time::sleep(duration(request.duration.as_ref())).await;
        call.end();
        Ok(Response::new(SleepResponse { timeout }))
    }

    async fn metadata(&self, request: Request<MetadataRequest>) -> Answer<MetadataResponse> {
        let entries = entries(request.metadata());
        let (mut call, request) = Call::unary("Metadata", request);
        call.end();
        let entry = |(key, value)| metadata_response::Entry { key, value };
        let mut response = Response::new(MetadataResponse { entries: entries.into_iter().map(entry).collect() });
        *response.metadata_mut() = MetadataMap::from_headers(headers(&request.initial));
        response.extensions_mut().insert(Trailing(headers(&request.trailing)));
        Ok(response)
    }

    type ServerStreamStream = Answers<Everything>;

    async fn server_stream(&self, request: Request<StreamRequest>) -> Answer<Self::ServerStreamStream> {
        let (mut call, request) = Call::unary("ServerStream", request);
        // Without a message there is no head before the failure either.
        if let (0, Some(status)) = (request.count, request.end.as_ref().and_then(failure)) {
            call.end();
            return Err(status);
        }
        Ok(Response::new(numbered(call, request)))
    }

    type ServerStreamFieldStream = Answers<Everything>;

    async fn server_stream_field(&self, request: Request<StreamRequest>) -> Answer<Self::ServerStreamFieldStream> {
        let (call, request) = Call::unary("ServerStreamField", request);
        let numbered = numbered(call, request).map(|message| {
            let mut message = message?;
            message.child = Some(Box::new(Everything { int32_value: message.int32_value, ..Everything::default() }));
            Ok(message)
        });
        Ok(Response::new(Box::pin(numbered)))
    }

    async fn client_stream(&self, request: Request<Streaming<Everything>>) -> Answer<Summary> {
        let mut call = Call::begin("ClientStream", request.metadata());
        let mut messages = request.into_inner();
        let mut summary = Summary::default();
        while let Some(message) = call.next(&mut messages).await? {
            summary.count += 1;
            summary.bytes += message.encoded_len() as u64;
            if summary.count == 1 {
                summary.first = Some(message.clone());
            }
            summary.last = Some(message);
        }
        call.end();
        Ok(Response::new(summary))
    }

    type BidiStream = Answers<Everything>;

    async fn bidi(&self, request: Request<Streaming<Everything>>) -> Answer<Self::BidiStream> {
        let call = Call::begin("Bidi", request.metadata());
        let state = Some((call, request.into_inner(), 0));
        let answers = stream::unfold(state, |state| async move {
            let (mut call, mut messages, number) = state?;
            match call.next(&mut messages).await {
                Ok(Some(message)) if message.int32_value < 0 => {
                    call.end();
                    Some((Err(Status::new(Code::from_i32(-message.int32_value), message.string_value)), None))
                }
                Ok(Some(message)) => {
                    call.produce(number).await;
                    Some((Ok(message), Some((call, messages, number + 1))))
                }
                Ok(None) => {
                    call.end();
                    None
                }
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn download(&self, request: Request<DownloadRequest>) -> Answer<HttpBody> {
        let (mut call, request) = Call::unary("Download", request);
        call.end();
        let (content_type, data) = (content_type(&request), content(request.size));
        Ok(Response::new(HttpBody { content_type, data, extensions: Vec::new() }))
    }

    type DownloadStreamStream = Answers<HttpBody>;

    async fn download_stream(&self, request: Request<DownloadRequest>) -> Answer<Self::DownloadStreamStream> {
        let (call, request) = Call::unary("DownloadStream", request);
        Ok(Response::new(pieces(call, request)))
    }

    async fn download_field(&self, request: Request<DownloadRequest>) -> Answer<DownloadResponse> {
        let (mut call, request) = Call::unary("DownloadField", request);
        call.end();
        let (content_type, data) = (content_type(&request), content(request.size));
        let body = Some(HttpBody { content_type, data, extensions: Vec::new() });
        Ok(Response::new(DownloadResponse { body, size: request.size }))
    }

    async fn upload(&self, request: Request<HttpBody>) -> Answer<Summary> {
        let (mut call, body) = Call::unary("Upload", request);
        call.end();
        let mut sum = Sum::default();
        sum.add(&body);
        Ok(sum.done())
    }

    async fn upload_field(&self, request: Request<UploadRequest>) -> Answer<Summary> {
        let (mut call, upload) = Call::unary("UploadField", request);
        call.end();
        let mut sum = Sum::default();
        sum.summary.name = upload.name;
        sum.add(&upload.body.unwrap_or_default());
        Ok(sum.done())
    }

    async fn upload_stream(&self, request: Request<Streaming<HttpBody>>) -> Answer<Summary> {
        let mut call = Call::begin("UploadStream", request.metadata());
        let mut bodies = request.into_inner();
        let mut sum = Sum::default();
        while let Some(body) = call.next(&mut bodies).await? {
            call.produce(sum.summary.count).await;
            sum.add(&body);
        }
        call.end();
        Ok(sum.done())
    }

    async fn upload_field_stream(&self, request: Request<Streaming<UploadRequest>>) -> Answer<Summary> {
        let mut call = Call::begin("UploadFieldStream", request.metadata());
        let mut uploads = request.into_inner();
        let mut sum = Sum::default();
        while let Some(upload) = call.next(&mut uploads).await? {
            if sum.summary.count == 0 {
                sum.summary.name = upload.name;
            }
            sum.add(&upload.body.unwrap_or_default());
        }
        call.end();
        Ok(sum.done())
    }

    type EchoBodyStreamStream = Answers<HttpBody>;

    async fn echo_body_stream(&self, request: Request<Streaming<HttpBody>>) -> Answer<Self::EchoBodyStreamStream> {
        let call = Call::begin("EchoBodyStream", request.metadata());
        let state = Some((call, request.into_inner(), 0));
        let answers = stream::unfold(state, |state| async move {
            let (mut call, mut bodies, number) = state?;
            match call.next(&mut bodies).await {
                Ok(Some(body)) => {
                    call.produce(number).await;
                    Some((Ok(body), Some((call, bodies, number + 1))))
                }
                Ok(None) => {
                    call.end();
                    None
                }
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

#[tonic::async_trait]
impl LegacyEcho for Service {
    async fn unary(&self, request: Request<Legacy>) -> Answer<Legacy> {
        echo("LegacyUnary", request).await
    }

    async fn nested(&self, request: Request<LegacyHolder>) -> Answer<LegacyHolder> {
        echo("LegacyNested", request).await
    }
}

/// The checksum that an upload's summary has.
pub(crate) fn crc32(data: &[u8]) -> u32 {
    let mut checksum = flate2::Crc::new();
    checksum.update(data);
    checksum.sum()
}
