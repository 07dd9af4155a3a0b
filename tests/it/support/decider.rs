//! An external decider as a test tells it: a tonic server of `envoy.service.auth.v3.Authorization`, one a test.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use lockgate::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use lockgate::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use lockgate::pb::envoy::service::auth::v3::authorization_server::{Authorization, AuthorizationServer};
use lockgate::pb::envoy::service::auth::v3::check_response::HttpResponse;
use lockgate::pb::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use lockgate::pb::envoy::r#type::v3::HttpStatus;
use lockgate::pb::google::rpc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::{RUNTIME, listen};

/// What a decider does with a question.
pub(crate) enum Reply {
    Says(CheckResponse),
    Fails(Status),
    /// It never answers.
    Hangs,
}

type Script = Box<dyn Fn(&HttpRequest) -> Reply + Send + Sync>;

/// A decider, and what it was asked.
pub(crate) struct Decider {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<AttributeContext>>>,
}

struct Service {
    script: Script,
    asked: Arc<Mutex<Vec<AttributeContext>>>,
}

impl Decider {
    /// Starts one.
    pub(crate) fn start(script: impl Fn(&HttpRequest) -> Reply + Send + Sync + 'static) -> Self {
        let (listener, address) = listen("127.0.0.1:0");
        let asked = Arc::default();
        let service = Service { script: Box::new(script), asked: Arc::clone(&asked) };
        let server = Server::builder().add_service(AuthorizationServer::new(service));
        RUNTIME.spawn(async move { server.serve_with_incoming(TcpListenerStream::new(listener)).await });
        Self { address, asked }
    }

    /// Everything that it was asked so far.
    pub(crate) fn asked(&self) -> Vec<AttributeContext> {
        self.asked.lock().unwrap().clone()
    }

    /// The one question that it was asked.
    #[track_caller]
    pub(crate) fn question(&self) -> AttributeContext {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:#?}");
        asked.remove(0)
    }
}

#[tonic::async_trait]
impl Authorization for Service {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let attributes = request.into_inner().attributes.unwrap();
        let http = attributes.request.clone().unwrap().http.unwrap();
        self.asked.lock().unwrap().push(attributes);
        match (self.script)(&http) {
            Reply::Says(answer) => Ok(Response::new(answer)),
            Reply::Fails(status) => Err(status),
            Reply::Hangs => std::future::pending().await,
        }
    }
}

fn options(pairs: &[(&str, &str)]) -> Vec<HeaderValueOption> {
    let option = |(key, value): &(&str, &str)| {
        let header = HeaderValue { key: (*key).to_owned(), value: (*value).to_owned(), ..HeaderValue::default() };
        HeaderValueOption { header: Some(header), ..HeaderValueOption::default() }
    };
    pairs.iter().map(option).collect()
}

fn says(code: i32, message: &str, response: HttpResponse) -> Reply {
    let status = rpc::Status { code, message: message.to_owned(), ..rpc::Status::default() };
    Reply::Says(CheckResponse { status: Some(status), http_response: Some(response) })
}

/// Leave to pass, and nothing else.
pub(crate) fn allow() -> Reply {
    allow_with(&[], &[], &[])
}

/// Leave to pass, with metadata, what is to be taken away, and headers for the answer.
pub(crate) fn allow_with(metadata: &[(&str, &str)], remove: &[&str], answer: &[(&str, &str)]) -> Reply {
    let response = OkHttpResponse {
        headers: options(metadata),
        headers_to_remove: remove.iter().map(|name| (*name).to_owned()).collect(),
        response_headers_to_add: options(answer),
    };
    says(0, "", HttpResponse::OkResponse(response))
}

/// A denial with an HTTP status and headers, and a body that nobody must see.
pub(crate) fn deny(http: i32, headers: &[(&str, &str)]) -> Reply {
    let response = DeniedHttpResponse {
        status: Some(HttpStatus { code: http }),
        headers: options(headers),
        body: "<h1>the decider's own</h1>".to_owned(),
    };
    says(7, "because of rule 17", HttpResponse::DeniedResponse(response))
}
