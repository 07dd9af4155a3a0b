//! Descriptors asked of an upstream: it may come late, speak either version, and come back changed.

use std::collections::HashSet;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use lockgate::pb::grpc::reflection::{v1, v1alpha};
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::support::gateway::{Gateway, configuration, lockgate};
use crate::support::{RUNTIME, echo, listen};

/// How soon a backend that came late is known: the longest pause between two tries is left open.
const FOUND: Duration = Duration::from_secs(15);

const SERVICE: &str = "shop.users.v1.UserService";
const ROUTE: &str = "/v1/users/mira";

/// Every file of the build, as serialized.
fn files() -> Vec<(FileDescriptorProto, Vec<u8>)> {
    // Options would be lost in the types, so the bytes are kept beside.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Raw {
        #[prost(bytes = "vec", repeated, tag = "1")]
        file: Vec<Vec<u8>>,
    }
    let parsed = FileDescriptorSet::decode(lockgate::pb::DESCRIPTORS).unwrap().file;
    let raw = Raw::decode(lockgate::pb::DESCRIPTORS).unwrap().file;
    parsed.into_iter().zip(raw).collect()
}

fn by_name(name: &str) -> Option<Vec<u8>> {
    files().into_iter().find(|(file, _)| file.name() == name).map(|(_, raw)| raw)
}

fn by_symbol(symbol: &str) -> Option<Vec<u8>> {
    let declares = |file: &FileDescriptorProto| {
        let package = file.package().to_owned();
        let services = file.service.iter().map(|service| format!("{package}.{}", service.name()));
        let messages = file.message_type.iter().map(|message| format!("{package}.{}", message.name()));
        services.chain(messages).any(|name| name == symbol)
    };
    files().into_iter().find(|(file, _)| declares(file)).map(|(_, raw)| raw)
}

struct Reflection;

macro_rules! reflection {
    ($version:ident) => {
        #[tonic::async_trait]
        impl $version::server_reflection_server::ServerReflection for Reflection {
            type ServerReflectionInfoStream =
                Pin<Box<dyn Stream<Item = Result<$version::ServerReflectionResponse, Status>> + Send>>;

            async fn server_reflection_info(
                &self,
                request: Request<Streaming<$version::ServerReflectionRequest>>,
            ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
                use $version::server_reflection_request::MessageRequest;
                use $version::server_reflection_response::MessageResponse;
                let answer = |request: Result<$version::ServerReflectionRequest, Status>| {
                    let request = request?;
                    let file = |raw: Option<Vec<u8>>| match raw {
                        Some(raw) => MessageResponse::FileDescriptorResponse($version::FileDescriptorResponse {
                            file_descriptor_proto: vec![raw],
                        }),
                        None => MessageResponse::ErrorResponse($version::ErrorResponse {
                            error_code: 5,
                            error_message: "not found".to_owned(),
                        }),
                    };
                    let response = match request.message_request.clone() {
                        Some(MessageRequest::ListServices(_)) => {
                            let services = [SERVICE, "grpc.reflection.v1.ServerReflection"];
                            let service = |name: &str| $version::ServiceResponse { name: name.to_owned() };
                            MessageResponse::ListServicesResponse($version::ListServiceResponse {
                                service: services.into_iter().map(service).collect(),
                            })
                        }
                        Some(MessageRequest::FileByFilename(name)) => file(by_name(&name)),
                        Some(MessageRequest::FileContainingSymbol(symbol)) => file(by_symbol(&symbol)),
                        _ => file(None),
                    };
                    Ok($version::ServerReflectionResponse {
                        valid_host: String::new(),
                        original_request: Some(request),
                        message_response: Some(response),
                    })
                };
                Ok(Response::new(Box::pin(request.into_inner().map(answer))))
            }
        }
    };
}

reflection!(v1);
reflection!(v1alpha);

/// A backend with reflection of one version and nothing else: each of its methods is unimplemented.
fn reflect(listener: TcpListener, alpha: &str) {
    let mut server = Server::builder();
    let server = if alpha == "v1alpha" {
        server.add_service(v1alpha::server_reflection_server::ServerReflectionServer::new(Reflection))
    } else {
        server.add_service(v1::server_reflection_server::ServerReflectionServer::new(Reflection))
    };
    RUNTIME.spawn(async move { server.serve_with_incoming(TcpListenerStream::new(listener)).await });
}

#[track_caller]
fn found(gateway: &Gateway) {
    // The route is there once the backend itself says that it does not implement the method.
    gateway.within(FOUND, "the route is there", |gateway| gateway.get(ROUTE).status() == 501);
}

#[test]
fn every_file_of_the_build_can_be_asked_for() {
    assert!(by_symbol(SERVICE).is_some());
    assert!(by_name("google/api/annotations.proto").is_some());
    let names: HashSet<_> = files().into_iter().map(|(file, _)| file.name().to_owned()).collect();
    assert_eq!(names.len(), files().len());
}

#[test]
fn an_upstream_is_asked_for_its_descriptors() {
    for version in ["v1", "v1alpha"] {
        let (listener, address) = listen("127.0.0.1:0");
        reflect(listener, version);
        let upstream = address.to_string();
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1", "--reflect"];
        let gateway = Gateway::start(lockgate().args(arguments).args(["--upstream", &upstream]));
        found(&gateway);
    }
}

#[test]
fn an_upstream_may_come_late_and_the_rest_serves_meanwhile() {
    let (listener, address) = listen("127.0.0.1:0");
    drop(listener);
    let settings = format!(
        "descriptors: {{ paths: [{}], reflection: [late] }}\n\
         upstreams:\n  echo: {{ services: [lockgate.test.v1.*], address: \"static:{}\" }}\n  \
         late: {{ services: [{SERVICE}], address: \"static:{address}\" }}",
        crate::support::gateway::descriptors().display(),
        echo::address(),
    );
    let gateway = Gateway::configured(&configuration(echo::address(), &settings));
    assert_eq!(gateway.ask("/readyz").status(), 200);
    gateway.get("/v1/ping").expect(200);
    gateway.get(ROUTE).expect(404);
    let (listener, _) = listen(&address.to_string());
    reflect(listener, "v1");
    found(&gateway);
    gateway.get("/v1/ping").expect(200);
}
