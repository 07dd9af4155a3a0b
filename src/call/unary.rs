//! One message to the upstream, one message back.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use smallvec::SmallVec;

use super::body::Body;
use super::endpoint::{Endpoint, ResponseForm};
use super::incoming::{self, Content};
use super::progress::Progress;
use super::{Request, ResponseHead, admitted, call_head, ended, scratch};
use crate::protocol::compression::MessageCoding;
use crate::protocol::end;
use crate::protocol::envelope::{self, Deframer};
use crate::protocol::rest::content;
use crate::route::captures::Captures;
use crate::status::Status;
use crate::transcode::bind::Parts;
use crate::transcode::position::Position;
use crate::upstream::{Answer, Answered};

/// `application/json`
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Serves a unary method.
pub(super) async fn answer(endpoint: &Endpoint, request: Request<'_>) -> Result<Response<Body>, Status> {
    let progress = request.progress;
    let (response, answer) = exchange(endpoint, request).await?;
    finish(endpoint, &response, answer, progress).await
}

/// Sends the request's one message, and waits for the head of the answer.
pub(super) async fn exchange(endpoint: &Endpoint, request: Request<'_>) -> Result<Answered, Status> {
    let content =
        incoming::read_whole(endpoint, request.headers, request.body, (request.limits, request.progress)).await?;
    let message = bind(endpoint, request.captures, request.query, &content)?;
    let message = admitted(request.gate.as_ref(), message).await?;
    let head = || call_head(endpoint, request.metadata, request.deadline);
    request.progress.begin_upstream();
    endpoint.upstream.exchange(request.worker, head, message).await
}

/// Path, parameters and body as one framed message.
pub(super) fn bind(
    endpoint: &Endpoint,
    captures: &Captures,
    query: Option<&str>,
    content: &Content,
) -> Result<Bytes, Status> {
    let (json, position, form) = match content {
        Content::Json(json, position) => (Some(&**json), *position, None),
        Content::Form(form) => (None, Position::START, Some(&**form)),
        Content::Nothing | Content::Raw { .. } => (None, Position::START, None),
    };
    let variables: SmallVec<[&str; 4]> = captures.iter().collect();
    let parts = Parts { variables: &variables, query, form, json, position };
    let mut out = frame_buffer(json.or(form).map_or(64, <[u8]>::len));
    scratch::with(|scratch| scratch.decoder.bind(&endpoint.plan, &endpoint.target(), &parts, &mut out))?;
    if let Content::Raw { content_type, data } = content {
        endpoint.write_raw(content_type, data, &mut out);
    }
    frame(out)
}

/// A buffer with room for a message and the prefix of its frame.
pub(super) fn frame_buffer(capacity: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity + envelope::PREFIX_BYTES + 64);
    out.extend_from_slice(&[0; envelope::PREFIX_BYTES]);
    out
}

/// Fills the prefix in.
pub(super) fn frame(mut out: Vec<u8>) -> Result<Bytes, Status> {
    let length = out.len().saturating_sub(envelope::PREFIX_BYTES);
    let prefix = envelope::prefix(length).ok_or_else(|| content::too_large(u32::MAX as usize))?;
    if let Some(room) = out.get_mut(..envelope::PREFIX_BYTES) {
        room.copy_from_slice(&prefix);
    }
    Ok(out.into())
}

/// Reads the answer's one message and its end, and prints it.
pub(super) async fn finish(
    endpoint: &Endpoint,
    response: &Response<()>,
    mut answer: Answer,
    progress: &Progress,
) -> Result<Response<Body>, Status> {
    end::check_head(response.status(), response.headers())?;
    let mut head = ResponseHead::new(endpoint, response.headers());
    if answer.is_end() {
        // Trailers alone: a call that ends well has a message before its end.
        let status = end::status(response.headers()).err().unwrap_or_else(no_message);
        return Err(head.into_failure(status));
    }
    let coding = MessageCoding::of(response.headers());
    let mut deframer = Deframer::new(endpoint.upstream.config().max_response_bytes);
    let message = gather(&mut answer, &mut deframer).await;
    let trailers = match &message {
        Ok(_) => answer.trailers().await?.unwrap_or_default(),
        Err(_) => HeaderMap::new(),
    };
    progress.end_upstream();
    let message = message?;
    head.add(endpoint, &trailers);
    if let Err(status) = ended(&trailers, &deframer) {
        return Err(head.into_failure(status));
    }
    let message = coding?.decode(message.ok_or_else(no_message)?, endpoint.upstream.config().max_response_bytes)?;
    print(endpoint, head, &message)
}

fn no_message() -> Status {
    Status::bad_upstream("the call ended well, but without a message")
}

/// The only message before the end of the body, if one came.
async fn gather(answer: &mut Answer, deframer: &mut Deframer) -> Result<Option<envelope::Message>, Status> {
    let mut message = None;
    while let Some(data) = answer.data().await {
        deframer.push(data?);
        while let Some(next) = deframer.next()? {
            if message.replace(next).is_some() {
                return Err(Status::bad_upstream("a second message came for a unary call"));
            }
        }
    }
    Ok(message)
}

fn print(endpoint: &Endpoint, head: ResponseHead, message: &Bytes) -> Result<Response<Body>, Status> {
    if let ResponseForm::HttpBody(field) = endpoint.response_form {
        let (content_type, data) = endpoint.read_raw(field, message)?;
        return Ok(head.into_response(endpoint, content_type, Body::from(data)));
    }
    let mut out = endpoint.answer_buffer();
    endpoint.encode(message, &mut out)?;
    endpoint.note_answer(out.len());
    Ok(head.into_response(endpoint, JSON, out.into()))
}
