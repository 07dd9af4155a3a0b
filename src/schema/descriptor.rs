//! The part of `google/protobuf/descriptor.proto` that a schema is made of, as this module's own types.
//!
//! Unlike `prost-types` these carry `edition`, `features` and the `google.api.http` extension; what is not here
//! (source info, reserved ranges, other options) is neither kept nor compared.

use crate::pb::google::api::HttpRule;

/// `FileDescriptorSet`, with its files still in bytes, so that one broken file does not hide the mistakes of others.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(crate) struct FileDescriptorSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) file: Vec<bytes::Bytes>,
}

/// `FileDescriptorProto`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct FileDescriptorProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) package: Option<String>,
    #[prost(string, repeated, tag = "3")]
    pub(crate) dependency: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) message_type: Vec<DescriptorProto>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) enum_type: Vec<EnumDescriptorProto>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) service: Vec<ServiceDescriptorProto>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) extension: Vec<FieldDescriptorProto>,
    #[prost(message, optional, tag = "8")]
    pub(crate) options: Option<FileOptions>,
    #[prost(string, optional, tag = "12")]
    pub(crate) syntax: Option<String>,
    #[prost(int32, optional, tag = "14")]
    pub(crate) edition: Option<i32>,
}

/// `FileOptions`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct FileOptions {
    #[prost(message, optional, tag = "50")]
    pub(crate) features: Option<FeatureSet>,
}

/// `DescriptorProto`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct DescriptorProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) field: Vec<FieldDescriptorProto>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) nested_type: Vec<DescriptorProto>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) enum_type: Vec<EnumDescriptorProto>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) extension: Vec<FieldDescriptorProto>,
    #[prost(message, optional, tag = "7")]
    pub(crate) options: Option<MessageOptions>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) oneof_decl: Vec<OneofDescriptorProto>,
}

/// `MessageOptions`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct MessageOptions {
    #[prost(bool, optional, tag = "1")]
    pub(crate) message_set_wire_format: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub(crate) map_entry: Option<bool>,
    #[prost(bool, optional, tag = "11")]
    pub(crate) deprecated_legacy_json_field_conflicts: Option<bool>,
    #[prost(message, optional, tag = "12")]
    pub(crate) features: Option<FeatureSet>,
}

/// `FieldDescriptorProto`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct FieldDescriptorProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) extendee: Option<String>,
    #[prost(int32, optional, tag = "3")]
    pub(crate) number: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    pub(crate) label: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    pub(crate) r#type: Option<i32>,
    #[prost(string, optional, tag = "6")]
    pub(crate) type_name: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub(crate) default_value: Option<String>,
    #[prost(message, optional, tag = "8")]
    pub(crate) options: Option<FieldOptions>,
    #[prost(int32, optional, tag = "9")]
    pub(crate) oneof_index: Option<i32>,
    #[prost(string, optional, tag = "10")]
    pub(crate) json_name: Option<String>,
    #[prost(bool, optional, tag = "17")]
    pub(crate) proto3_optional: Option<bool>,
}

/// `FieldOptions`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct FieldOptions {
    #[prost(bool, optional, tag = "2")]
    pub(crate) packed: Option<bool>,
    #[prost(message, optional, tag = "21")]
    pub(crate) features: Option<FeatureSet>,
}

/// `OneofDescriptorProto`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct OneofDescriptorProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(message, optional, tag = "2")]
    pub(crate) options: Option<OneofOptions>,
}

/// `OneofOptions`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct OneofOptions {
    #[prost(message, optional, tag = "1")]
    pub(crate) features: Option<FeatureSet>,
}

/// `EnumDescriptorProto`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct EnumDescriptorProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) value: Vec<EnumValueDescriptorProto>,
    #[prost(message, optional, tag = "3")]
    pub(crate) options: Option<EnumOptions>,
}

/// `EnumOptions`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct EnumOptions {
    #[prost(message, optional, tag = "7")]
    pub(crate) features: Option<FeatureSet>,
}

/// `EnumValueDescriptorProto`.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(crate) struct EnumValueDescriptorProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) number: Option<i32>,
}

/// `ServiceDescriptorProto`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct ServiceDescriptorProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) method: Vec<MethodDescriptorProto>,
}

/// `MethodDescriptorProto`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct MethodDescriptorProto {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) input_type: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(crate) output_type: Option<String>,
    #[prost(message, optional, tag = "4")]
    pub(crate) options: Option<MethodOptions>,
    #[prost(bool, tag = "5")]
    pub(crate) client_streaming: bool,
    #[prost(bool, tag = "6")]
    pub(crate) server_streaming: bool,
}

/// `MethodOptions`, with the `google.api.http` extension as a field.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct MethodOptions {
    #[prost(int32, optional, tag = "34")]
    pub(crate) idempotency_level: Option<i32>,
    #[prost(message, optional, tag = "72295728")]
    pub(crate) http: Option<HttpRule>,
}

/// `FeatureSet`; its enums are numbers here, which `editions` reads.
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub(crate) struct FeatureSet {
    #[prost(int32, optional, tag = "1")]
    pub(crate) field_presence: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) enum_type: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub(crate) repeated_field_encoding: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    pub(crate) utf8_validation: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    pub(crate) message_encoding: Option<i32>,
    #[prost(int32, optional, tag = "6")]
    pub(crate) json_format: Option<i32>,
}
