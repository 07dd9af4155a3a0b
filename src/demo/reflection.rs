//! Server reflection, v1 and v1alpha: the descriptors of the shop's server, file by file.
//!
//! An answer holds the one file that was asked for; a client asks for its imports by their names. The two versions
//! have the same bytes, so the older one is answered by the newer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::StreamExt;
use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use tonic::codegen::BoxStream;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::pb::grpc::reflection::v1::server_reflection_request::MessageRequest;
use crate::pb::grpc::reflection::v1::server_reflection_response::MessageResponse;
use crate::pb::grpc::reflection::v1::server_reflection_server::ServerReflection;
use crate::pb::grpc::reflection::v1::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest,
    ServerReflectionResponse, ServiceResponse,
};
use crate::pb::grpc::reflection::v1alpha;

/// The index of the descriptors that a server shows.
#[derive(Clone, Debug)]
pub(crate) struct Reflection(Arc<Index>);

#[derive(Debug, Default)]
struct Index {
    services: Vec<String>,
    files: HashMap<String, File>,
    /// The name of the file by the full name of what it declares.
    symbols: HashMap<String, String>,
    /// The name of the file by the number of the extension, by the full name of the message that is extended.
    extensions: HashMap<String, BTreeMap<i32, String>>,
}

/// A serialized `FileDescriptorProto`, with the options that prost-types would drop.
#[derive(Debug)]
struct File(Vec<u8>);

/// A `FileDescriptorSet` whose files stay as they are.
#[derive(Clone, PartialEq, Eq, Message)]
struct FileSet {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

impl Reflection {
    /// Shows `services`, and every file of the set.
    pub(crate) fn new(descriptors: &[u8], services: &[&str]) -> Result<Self, prost::DecodeError> {
        let services = services.iter().map(|&service| service.to_owned()).collect();
        let mut index = Index { services, ..Index::default() };
        for bytes in FileSet::decode(descriptors)?.file {
            let file = FileDescriptorProto::decode(bytes.as_slice())?;
            index.add(&file);
            index.files.insert(file.name().to_owned(), File(bytes));
        }
        Ok(Self(Arc::new(index)))
    }
}

impl Index {
    fn add(&mut self, file: &FileDescriptorProto) {
        let (scope, name) = (file.package(), file.name());
        for message in &file.message_type {
            self.add_message(scope, message, name);
        }
        for enumeration in &file.enum_type {
            self.add_enum(scope, enumeration, name);
        }
        for service in &file.service {
            let service_name = join(scope, service.name());
            for method in &service.method {
                self.symbols.insert(join(&service_name, method.name()), name.to_owned());
            }
            self.symbols.insert(service_name, name.to_owned());
        }
        self.add_extensions(scope, &file.extension, name);
    }

    fn add_message(&mut self, scope: &str, message: &DescriptorProto, file: &str) {
        let name = join(scope, message.name());
        for nested in &message.nested_type {
            self.add_message(&name, nested, file);
        }
        for enumeration in &message.enum_type {
            self.add_enum(&name, enumeration, file);
        }
        for field in &message.field {
            self.symbols.insert(join(&name, field.name()), file.to_owned());
        }
        for oneof in &message.oneof_decl {
            self.symbols.insert(join(&name, oneof.name()), file.to_owned());
        }
        self.add_extensions(&name, &message.extension, file);
        self.symbols.insert(name, file.to_owned());
    }

    fn add_enum(&mut self, scope: &str, enumeration: &EnumDescriptorProto, file: &str) {
        self.symbols.insert(join(scope, enumeration.name()), file.to_owned());
        // Values are siblings of their enum.
        for value in &enumeration.value {
            self.symbols.insert(join(scope, value.name()), file.to_owned());
        }
    }

    fn add_extensions(&mut self, scope: &str, extensions: &[FieldDescriptorProto], file: &str) {
        for extension in extensions {
            self.symbols.insert(join(scope, extension.name()), file.to_owned());
            let extended = extension.extendee().trim_start_matches('.').to_owned();
            self.extensions.entry(extended).or_default().insert(extension.number(), file.to_owned());
        }
    }

    fn answer(&self, request: ServerReflectionRequest) -> ServerReflectionResponse {
        let answer = match &request.message_request {
            Some(MessageRequest::FileByFilename(name)) => self.file(Some(name), name),
            Some(MessageRequest::FileContainingSymbol(symbol)) => self.file(self.symbols.get(symbol), symbol),
            Some(MessageRequest::FileContainingExtension(extension)) => {
                let numbers = self.extensions.get(&extension.containing_type);
                let file = numbers.and_then(|numbers| numbers.get(&extension.extension_number));
                self.file(file, &format!("{}[{}]", extension.containing_type, extension.extension_number))
            }
            Some(MessageRequest::AllExtensionNumbersOfType(name)) => self.extension_numbers(name),
            Some(MessageRequest::ListServices(_)) => {
                let service = self.services.iter().map(|name| ServiceResponse { name: name.clone() }).collect();
                MessageResponse::ListServicesResponse(ListServiceResponse { service })
            }
            None => failure(Code::InvalidArgument, "the request asks for nothing".to_owned()),
        };
        let valid_host = request.host.clone();
        ServerReflectionResponse { valid_host, original_request: Some(request), message_response: Some(answer) }
    }

    fn file(&self, name: Option<&String>, asked: &str) -> MessageResponse {
        match name.and_then(|name| self.files.get(name)) {
            Some(File(bytes)) => {
                let file_descriptor_proto = vec![bytes.clone()];
                MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto })
            }
            None => failure(Code::NotFound, format!("`{asked}` was not found")),
        }
    }

    fn extension_numbers(&self, name: &str) -> MessageResponse {
        let numbers = self.extensions.get(name);
        if numbers.is_none() && !self.symbols.contains_key(name) {
            return failure(Code::NotFound, format!("`{name}` was not found"));
        }
        MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
            base_type_name: name.to_owned(),
            extension_number: numbers.into_iter().flat_map(|numbers| numbers.keys().copied()).collect(),
        })
    }
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

fn failure(code: Code, error_message: String) -> MessageResponse {
    MessageResponse::ErrorResponse(ErrorResponse { error_code: code.into(), error_message })
}

/// The same message in the other version.
fn convert<T: Message + Default>(message: &impl Message) -> Result<T, Status> {
    T::decode(message.encode_to_vec().as_slice()).map_err(|error| Status::internal(error.to_string()))
}

#[tonic::async_trait]
impl ServerReflection for Reflection {
    type ServerReflectionInfoStream = BoxStream<ServerReflectionResponse>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let index = Arc::clone(&self.0);
        let answers = request.into_inner().map(move |request| Ok(index.answer(request?)));
        Ok(Response::new(Box::pin(answers)))
    }
}

#[tonic::async_trait]
impl v1alpha::server_reflection_server::ServerReflection for Reflection {
    type ServerReflectionInfoStream = BoxStream<v1alpha::ServerReflectionResponse>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<v1alpha::ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let index = Arc::clone(&self.0);
        let answers = request.into_inner().map(move |request| convert(&index.answer(convert(&request?)?)));
        Ok(Response::new(Box::pin(answers)))
    }
}
