//! Server reflection: an upstream's own word on what it serves, v1 or v1alpha.
//!
//! One stream, one question at a time: the services, the file of each, then the imports that did not come along.
//! Specification: `grpc/reflection/v1/reflection.proto` (the two versions are the same on the wire).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::SendStream;
use http::HeaderMap;
use http::uri::PathAndQuery;
use prost::Message;

use super::{Answer, CallHead, Upstream, ask, stream_failure};
use crate::pb::grpc::reflection::v1::server_reflection_request::MessageRequest;
use crate::pb::grpc::reflection::v1::server_reflection_response::MessageResponse;
use crate::pb::grpc::reflection::v1::{ServerReflectionRequest, ServerReflectionResponse};
use crate::protocol::envelope::Deframer;
use crate::protocol::{end, head};
use crate::schema::load::SourceSet;
use crate::status::{Blame, Code, Status};

/// The newest version first.
const PATHS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Services that are about the server itself and are no API of its owner.
const OWN_PACKAGES: [&str; 2] = ["grpc.reflection.", "grpc.health."];

/// How long all questions together may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// One answer, at most.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// All files together, at most.
const MAX_TOTAL_BYTES: usize = 64 << 20;

/// Files, at most.
const MAX_FILES: usize = 10_000;

/// The descriptors of everything that the upstream serves.
///
/// # Errors
/// If it can't be reached, has no reflection, or describes itself beyond the bounds.
pub async fn descriptors(upstream: &Upstream, worker: usize) -> Result<SourceSet, Status> {
    let asking = async {
        let mut refused = None;
        for path in PATHS {
            match ask_all(upstream, worker, path).await {
                Err(status) if status.code() == Code::Unimplemented => refused = Some(status),
                answered => return answered,
            }
        }
        Err(refused.expect("every version was asked and refused"))
    };
    tokio::time::timeout(TIMEOUT, asking).await.unwrap_or_else(|_| {
        let message = "the upstream did not describe its services in time";
        Err(Status::new(Code::DeadlineExceeded, Blame::Upstream, message))
    })
}

/// How the descriptors of an upstream of this name are called in messages.
#[must_use]
pub fn origin(upstream: &str) -> String {
    format!("upstream {upstream:?}")
}

async fn ask_all(upstream: &Upstream, worker: usize, path: &'static str) -> Result<SourceSet, Status> {
    let mut session = Session::open(upstream, worker, path).await?;
    let MessageResponse::ListServicesResponse(list) = session.ask(MessageRequest::ListServices("*".into())).await?
    else {
        return Err(unexpected("a list of services"));
    };
    let mut files = Files::default();
    for service in list.service {
        if !OWN_PACKAGES.iter().any(|package| service.name.starts_with(package)) {
            let answer = session.ask(MessageRequest::FileContainingSymbol(service.name.clone())).await;
            match known(answer)? {
                Some(answer) => files.add(answer)?,
                None => tracing::warn!(service = service.name, "the upstream lists this service without descriptors"),
            }
        }
    }
    while let Some(name) = files.missing.pop_front() {
        if !files.names.contains(&name) && files.asked.insert(name.clone()) {
            // A file that the server does not have may be one that every schema has; if not, loading tells of it.
            if let Some(answer) = known(session.ask(MessageRequest::FileByFilename(name)).await)? {
                files.add(answer)?;
            }
        }
    }
    Ok(SourceSet { origin: origin(&upstream.config().name), bytes: files.set.freeze() })
}

/// `None` for what the server says it does not know.
fn known(answer: Result<MessageResponse, Status>) -> Result<Option<MessageResponse>, Status> {
    match answer {
        Err(status) if status.code() == Code::NotFound => Ok(None),
        answer => answer.map(Some),
    }
}

fn unexpected(expected: &str) -> Status {
    Status::bad_upstream(format!("reflection: expected {expected}, found something else"))
}

/// The files that came, as the fields of a `FileDescriptorSet`.
#[derive(Default)]
struct Files {
    names: BTreeSet<String>,
    missing: VecDeque<String>,
    /// The files that were asked for by name.
    asked: BTreeSet<String>,
    set: BytesMut,
}

/// The two fields of a `FileDescriptorProto` that reflection needs.
#[derive(Clone, PartialEq, Message)]
struct FileHead {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "3")]
    dependency: Vec<String>,
}

impl Files {
    fn add(&mut self, answer: MessageResponse) -> Result<(), Status> {
        let MessageResponse::FileDescriptorResponse(files) = answer else {
            return Err(unexpected("a file"));
        };
        for file in files.file_descriptor_proto {
            let head = FileHead::decode(&*file).map_err(Status::bad_upstream)?;
            if !self.names.insert(head.name) {
                continue;
            }
            // `FileDescriptorSet.file`: field 1, with a length.
            self.set.put_u8(0x0a);
            prost::encoding::encode_varint(file.len() as u64, &mut self.set);
            self.set.put_slice(&file);
            self.missing.extend(head.dependency);
            if self.names.len() > MAX_FILES || self.set.len() > MAX_TOTAL_BYTES {
                return Err(Status::bad_upstream("reflection: the upstream describes more than is taken in"));
            }
        }
        Ok(())
    }
}

/// A stream of questions and answers.
struct Session {
    request: SendStream<Bytes>,
    answer: Answer,
    deframer: Deframer,
    /// Whether the question that opened the stream is still to be answered.
    opening: Opening,
}

#[derive(Clone, Copy)]
enum Opening {
    Asked,
    Answered,
}

impl Session {
    async fn open(upstream: &Upstream, worker: usize, path: &'static str) -> Result<Self, Status> {
        let mut metadata = HeaderMap::new();
        head::complete(&mut metadata, None);
        let call = || Ok(CallHead { path: PathAndQuery::from_static(path), metadata: metadata.clone() });
        let (mut request, answer) = upstream.open(worker, call).await?.split();
        // A server may hold its head back until the first message has come.
        send(&mut request, MessageRequest::ListServices("*".into()))?;
        let (response, answer) = answer.await.map_err(|failure| failure.status)?;
        end::check_head(response.status(), response.headers())?;
        if answer.is_end() {
            end::status(response.headers())?;
        }
        Ok(Self { request, answer, deframer: Deframer::new(MAX_ANSWER_BYTES), opening: Opening::Asked })
    }

    async fn ask(&mut self, question: MessageRequest) -> Result<MessageResponse, Status> {
        match std::mem::replace(&mut self.opening, Opening::Answered) {
            Opening::Asked => {}
            Opening::Answered => send(&mut self.request, question)?,
        }
        let message = loop {
            if let Some(message) = self.deframer.next()? {
                break message;
            }
            match self.answer.data().await {
                Some(data) => self.deframer.push(data?),
                None => {
                    end::status(&self.answer.trailers().await?.unwrap_or_default())?;
                    return Err(Status::bad_upstream("reflection: the stream ended before the answer"));
                }
            }
        };
        let response = ServerReflectionResponse::decode(message.payload).map_err(Status::bad_upstream)?;
        match response.message_response {
            Some(MessageResponse::ErrorResponse(error)) => {
                let number = u32::try_from(error.error_code).unwrap_or_default();
                Err(Status::from_upstream(number, error.error_message, Vec::new()))
            }
            Some(answer) => Ok(answer),
            None => Err(unexpected("an answer")),
        }
    }
}

fn send(request: &mut SendStream<Bytes>, question: MessageRequest) -> Result<(), Status> {
    let question = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    request.send_data(ask::frame(&question)?, false).map_err(stream_failure)
}
