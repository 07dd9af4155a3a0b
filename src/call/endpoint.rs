//! All that load time knows of one method under one binding.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::HeaderValue;
use http::uri::PathAndQuery;
use prometheus_client::metrics::counter::Counter;

use super::settings::{DEFAULT_TIMEOUT, PatchMask, Settings};
use crate::route::rule::{Binding, Verb};
use crate::schema::{FieldIndex, Method, Presence, Schema, WellKnown};
use crate::status::{Detail, Status};
use crate::telemetry::metrics::MethodMetrics;
use crate::transcode::bind::{self, BodyTarget, Target};
use crate::transcode::decode::DecodeOptions;
use crate::transcode::encode::{EncodeOptions, Source};
use crate::transcode::plan::Plan;
use crate::transcode::{http_body, mask};
use crate::upstream::Upstream;

/// How messages flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    Unary,
    ServerStream,
    ClientStream,
    BidiStream,
}

/// What a request's HTTP body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestForm {
    /// Nothing: the binding has no body.
    None,
    /// JSON, or a form.
    Json,
    /// Bytes as they are, in a `google.api.HttpBody`: the whole message, or this field of it.
    HttpBody(Option<FieldIndex>),
}

/// What an answer's HTTP body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseForm {
    /// The message as JSON.
    Message,
    /// One field of it as JSON.
    Field(FieldIndex),
    /// Bytes as they are, out of a `google.api.HttpBody`: the whole message, or this field of it.
    HttpBody(Option<FieldIndex>),
}

/// One method under one binding.
#[derive(Debug)]
pub struct Endpoint {
    pub plan: Arc<Plan>,
    pub upstream: Arc<Upstream>,
    pub binding: Binding,
    pub settings: Settings,
    pub kind: CallKind,
    /// `/package.Service/Method`
    pub path: PathAndQuery,
    /// The path template, as it was written.
    pub template: Box<str>,
    pub input: crate::schema::MessageId,
    pub output: crate::schema::MessageId,
    pub request_form: RequestForm,
    pub response_form: ResponseForm,
    pub decode: DecodeOptions,
    pub encode: EncodeOptions,
    /// The field of the request that a PATCH's mask is filled into.
    pub patch_mask: bind::PatchMask,
    pub metrics: Arc<MethodMetrics>,
    /// Whether path and parameters alone make a legal message: it has no required field.
    pub(super) binds_without_body: bool,
    pub(super) sse_id: Option<FieldIndex>,
    pub(super) sse_event: Option<FieldIndex>,
    pub(super) ignored_status_overrides: Counter,
    /// The size of the last answer, as a guess for the next buffer.
    last_answer_bytes: AtomicUsize,
}

/// What an HttpBody without a content type is.
pub(super) const DEFAULT_CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The largest buffer that is made ready on the guess that the next answer is like the last.
const MAX_GUESS_BYTES: usize = 1 << 20;

/// What [`Endpoint::build`] is made from.
pub struct Parts {
    pub schema: Arc<Schema>,
    pub plan: Arc<Plan>,
    pub upstream: Arc<Upstream>,
    pub binding: Binding,
    pub settings: Settings,
    pub metrics: Arc<MethodMetrics>,
    pub ignored_status_overrides: Counter,
}

impl Endpoint {
    /// Compiles what a configuration and a schema say of one binding.
    #[must_use]
    pub fn build(parts: Parts) -> Self {
        let Parts { schema, plan, upstream, binding, settings, metrics, ignored_status_overrides } = parts;
        let method = schema.method(binding.method);
        let path = PathAndQuery::try_from(&*method.path).expect("names of services and methods make a path");
        let encode = EncodeOptions {
            names: settings.names,
            enums: settings.enums,
            int64: settings.int64,
            unset: settings.unset,
            indent: settings.indent,
            max_bytes: upstream.config().max_print_bytes,
        };
        let patch_mask = match settings.patch_mask {
            PatchMask::Fill => patch_mask(&plan, method, &binding),
            PatchMask::Leave => bind::PatchMask::Leave,
        };
        Self {
            kind: CallKind::of(method),
            path,
            template: binding.template.to_string().into(),
            input: method.input,
            output: method.output,
            request_form: request_form(&schema, method, &binding.body),
            response_form: response_form(&schema, method, binding.response_body),
            decode: DecodeOptions { unknown_fields: settings.unknown_fields },
            encode,
            patch_mask,
            metrics,
            ignored_status_overrides,
            binds_without_body: schema
                .message(method.input)
                .fields
                .iter()
                .all(|field| field.presence != Presence::Required),
            sse_id: sse_field(&schema, method, settings.sse_id_field.as_deref()),
            sse_event: sse_field(&schema, method, settings.sse_event_field.as_deref()),
            last_answer_bytes: AtomicUsize::new(0),
            plan,
            upstream,
            binding,
            settings,
        }
    }

    /// How long a call may take if the client does not ask for less.
    #[must_use]
    pub fn timeout(&self) -> Option<std::time::Duration> {
        self.settings.timeout.or(match self.kind {
            CallKind::Unary => Some(DEFAULT_TIMEOUT),
            CallKind::ServerStream | CallKind::ClientStream | CallKind::BidiStream => None,
        })
    }

    /// A message of the answer as JSON, by the response body of the binding.
    ///
    /// # Errors
    /// INTERNAL if the message is illegal or too large.
    pub(super) fn encode(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
        super::scratch::with(|scratch| match self.response_form {
            ResponseForm::Field(field) => scratch.encoder.encode_field(&self.source(message), field, out),
            ResponseForm::Message | ResponseForm::HttpBody(_) => {
                scratch.encoder.encode(&self.plan, self.output, message, &self.encode, out)
            }
        })
    }

    /// A field of the message as text, for an event's `id:` or `event:`.
    pub(super) fn sse_text(&self, field: Option<FieldIndex>, message: &[u8]) -> Result<Option<String>, Status> {
        let Some(field) = field else { return Ok(None) };
        let mut text = Vec::new();
        super::scratch::with(|scratch| scratch.encoder.encode_text(&self.source(message), field, &mut text))?;
        Ok(Some(String::from_utf8(text).expect("what is printed is UTF-8")))
    }

    fn source<'a>(&'a self, message: &'a [u8]) -> Source<'a> {
        Source { plan: &self.plan, message: self.output, wire: message, options: &self.encode }
    }

    /// What a request is bound to.
    pub(super) fn target(&self) -> Target<'_> {
        Target {
            message: self.input,
            body: self.binding.body,
            variables: &self.binding.variables,
            unknown_parameters: self.settings.unknown_parameters,
            ignored_parameters: &self.settings.ignored_parameters,
            options: self.decode,
            patch_mask: self.patch_mask,
        }
    }

    /// Appends an HttpBody, as the message or as the field of it that the body is bound to.
    pub(super) fn write_raw(&self, content_type: &str, data: &[u8], out: &mut Vec<u8>) {
        match self.request_form {
            RequestForm::None | RequestForm::Json => {}
            RequestForm::HttpBody(None) => http_body::write(content_type, data, out),
            RequestForm::HttpBody(Some(field)) => {
                http_body::write_field(&self.plan, (self.input, field), (content_type, data), out);
            }
        }
    }

    /// The content type and the data of an HttpBody, which is the message or this field of it.
    pub(super) fn read_raw(&self, field: Option<FieldIndex>, message: &Bytes) -> Result<(HeaderValue, Bytes), Status> {
        let within = match field {
            None => message.clone(),
            Some(field) => message.slice_ref(http_body::find_field(&self.plan, (self.output, field), message)?),
        };
        let found = http_body::read(&within)?;
        let content_type = within.get(found.content_type).filter(|name| !name.is_empty());
        let content_type = content_type.and_then(|name| HeaderValue::from_bytes(name).ok());
        Ok((content_type.unwrap_or(DEFAULT_CONTENT_TYPE), within.slice(found.data)))
    }

    /// A detail of a status as JSON.
    pub fn encode_detail(&self, detail: &Detail, out: &mut Vec<u8>) {
        super::scratch::with(|scratch| scratch.encoder.encode_detail(&self.plan, detail, &self.encode, out));
    }

    /// `package.Service/Method`
    #[must_use]
    pub fn rpc(&self) -> &str {
        self.path.path().trim_start_matches('/')
    }

    /// An empty buffer of the size that the last answer had.
    pub(super) fn answer_buffer(&self) -> Vec<u8> {
        let last = self.last_answer_bytes.load(Ordering::Relaxed).min(MAX_GUESS_BYTES);
        Vec::with_capacity(last + last / 8)
    }

    /// Notes the size of an answer.
    pub(super) fn note_answer(&self, bytes: usize) {
        self.last_answer_bytes.store(bytes, Ordering::Relaxed);
    }
}

impl CallKind {
    fn of(method: &Method) -> Self {
        match (method.client_streaming, method.server_streaming) {
            (false, false) => Self::Unary,
            (false, true) => Self::ServerStream,
            (true, false) => Self::ClientStream,
            (true, true) => Self::BidiStream,
        }
    }
}

/// The mask of a PATCH whose body is one field of the request.
fn patch_mask(plan: &Plan, method: &Method, binding: &Binding) -> bind::PatchMask {
    let is_patch = binding.verb == Verb::Only(http::Method::PATCH);
    match binding.body {
        BodyTarget::Field(body) if is_patch => {
            mask::find(plan, method.input, body).map_or(bind::PatchMask::Leave, bind::PatchMask::Fill)
        }
        BodyTarget::Field(_) | BodyTarget::Whole | BodyTarget::None => bind::PatchMask::Leave,
    }
}

fn request_form(schema: &Schema, method: &Method, body: &BodyTarget) -> RequestForm {
    let is_http_body = |id| schema.message(id).well_known == Some(WellKnown::HttpBody);
    match body {
        BodyTarget::None => RequestForm::None,
        BodyTarget::Whole if is_http_body(method.input) => RequestForm::HttpBody(None),
        BodyTarget::Field(field) => match schema.message(method.input).field(*field).kind.message() {
            Some(id) if is_http_body(id) => RequestForm::HttpBody(Some(*field)),
            _ => RequestForm::Json,
        },
        BodyTarget::Whole => RequestForm::Json,
    }
}

fn response_form(schema: &Schema, method: &Method, response_body: Option<FieldIndex>) -> ResponseForm {
    let is_http_body = |id| schema.message(id).well_known == Some(WellKnown::HttpBody);
    match response_body {
        None if is_http_body(method.output) => ResponseForm::HttpBody(None),
        None => ResponseForm::Message,
        Some(field) => match schema.message(method.output).field(field).kind.message() {
            Some(id) if is_http_body(id) => ResponseForm::HttpBody(Some(field)),
            _ => ResponseForm::Field(field),
        },
    }
}

fn sse_field(schema: &Schema, method: &Method, name: Option<&str>) -> Option<FieldIndex> {
    schema.message(method.output).find_field(name?).map(|(index, _)| index)
}
