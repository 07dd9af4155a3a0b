//! How a request fails: one boxed [`Status`] from any step, turned into bytes by `protocol` alone.
//!
//! The codes are those of `google.rpc.Code` (gRPC's `statuscodes.md`). What the client reads is the code, the public
//! message and the details; the private cause is for the log.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;

use crate::pb::google::rpc::BadRequest;
use crate::pb::google::rpc::bad_request::FieldViolation;

/// A canonical gRPC status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    /// Every code, in the order of its number.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The code of this number; `None` for a number that the specification does not list.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name in `google.rpc.Code`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// The HTTP status that `google/rpc/code.proto` gives for this code.
    #[must_use]
    pub fn http(self) -> StatusCode {
        let number = match self {
            Self::Ok => 200,
            Self::Cancelled => 499,
            Self::InvalidArgument | Self::FailedPrecondition | Self::OutOfRange => 400,
            Self::DeadlineExceeded => 504,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Aborted => 409,
            Self::PermissionDenied => 403,
            Self::ResourceExhausted => 429,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::Unauthenticated => 401,
            Self::Unknown | Self::Internal | Self::DataLoss => 500,
        };
        StatusCode::from_u16(number).expect("every number above is a valid status")
    }
}

/// The longest name of a field that is told to the client.
const MAX_FIELD_CHARACTERS: usize = 256;

/// The longest one in the log: what is longer may be a key or a token where a name belongs.
const MAX_LOGGED_FIELD_BYTES: usize = 40;

/// Whose fault a failure is: it decides how loud the log is and which metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The request could not be served as it came.
    Client,
    /// The gateway could not do its part.
    Gateway,
    /// The upstream failed, or said so.
    Upstream,
}

/// One `google.protobuf.Any` of a status' details, not interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The type URL, such as `type.googleapis.com/google.rpc.BadRequest`.
    pub type_url: String,
    /// The serialized message.
    pub value: Bytes,
}

impl Detail {
    /// A message under its full name.
    pub(crate) fn of(name: &str, message: &impl Message) -> Self {
        Self { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec().into() }
    }
}

/// The failure of one request.
#[derive(Debug)]
pub struct Status(Box<Inner>);

#[derive(Debug)]
struct Inner {
    /// The numeric code: an upstream may send one that [`Code`] does not know.
    number: u32,
    code: Code,
    message: Cow<'static, str>,
    details: Vec<Detail>,
    blame: Blame,
    /// An HTTP status that says more than the code's own, such as 405 or 413.
    http: Option<StatusCode>,
    /// Headers that belong to the answer, such as `allow`, and the upstream's metadata.
    headers: HeaderMap,
    cause: Option<Box<dyn Error + Send + Sync>>,
    /// What the log says instead of the message, which may quote what a client sent.
    logged: Option<Cow<'static, str>>,
    /// Why the caller was not let through, in a word.
    refusal: Option<&'static str>,
}

impl Status {
    /// A failure of this code, with a message that the client reads.
    pub fn new(code: Code, blame: Blame, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            number: code.number().into(),
            code,
            message: message.into(),
            details: Vec::new(),
            blame,
            http: None,
            headers: HeaderMap::new(),
            cause: None,
            logged: None,
            refusal: None,
        }))
    }

    /// INVALID_ARGUMENT with a `BadRequest` detail that names the field: a JSON path, a parameter or a template variable.
    pub fn invalid_argument(field: impl Into<String>, description: impl Into<String>) -> Self {
        let (field, description) = (clip(field.into()), description.into());
        let message = if field.is_empty() { description.clone() } else { format!("{field}: {description}") };
        let violation = FieldViolation { field: field.clone(), description, ..FieldViolation::default() };
        let detail = BadRequest { field_violations: vec![violation] };
        let logged = if field.len() > MAX_LOGGED_FIELD_BYTES { "a field with a long name".into() } else { field };
        Self::new(Code::InvalidArgument, Blame::Client, message)
            .with_detail(Detail::of("google.rpc.BadRequest", &detail))
            .logged_as(logged)
    }

    /// INTERNAL, HTTP 502: the upstream sent what can't be understood. `cause` is for the log alone.
    pub fn bad_upstream(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, Blame::Upstream, "the upstream sent an answer that could not be understood")
            .with_http(StatusCode::BAD_GATEWAY)
            .with_cause(cause)
    }

    /// UNAVAILABLE: the upstream can't be reached. `cause` is for the log alone.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Code::Unavailable, Blame::Upstream, "the upstream is unavailable").with_cause(cause)
    }

    /// A failure as an upstream reported it; a number that [`Code`] does not list is UNKNOWN to HTTP, and kept.
    #[must_use]
    pub fn from_upstream(number: u32, message: String, details: Vec<Detail>) -> Self {
        let mut status = Self::new(Code::from_number(number).unwrap_or(Code::Unknown), Blame::Upstream, message);
        status.0.number = number;
        status.0.details = details;
        status
    }

    /// The same with one detail more.
    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> Self {
        self.0.details.push(detail);
        self
    }

    /// The same with another HTTP status than the code's.
    #[must_use]
    pub fn with_http(mut self, http: StatusCode) -> Self {
        self.0.http = Some(http);
        self
    }

    /// The same with a header on the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// The same with what the log should know and the client should not.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The same with this in the log instead of the message, which quotes what a client sent.
    #[must_use]
    pub fn logged_as(mut self, what: impl Into<Cow<'static, str>>) -> Self {
        self.0.logged = Some(what.into());
        self
    }

    /// The same as a refusal of the caller, with the reason in a word of a closed set: for the log and the metrics.
    #[must_use]
    pub fn with_refusal(mut self, reason: &'static str) -> Self {
        self.0.refusal = Some(reason);
        self
    }

    /// Why the caller was not let through.
    #[must_use]
    pub fn refusal(&self) -> Option<&'static str> {
        self.0.refusal
    }

    /// The code; UNKNOWN for a number that the specification does not list.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The code's number as it came.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// What the client reads.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The details, in order.
    #[must_use]
    pub fn details(&self) -> &[Detail] {
        &self.0.details
    }

    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        self.0.blame
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn http(&self) -> StatusCode {
        self.0.http.unwrap_or_else(|| self.0.code.http())
    }

    /// Headers that belong to the answer.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The same headers, to add to.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.0.headers
    }

    /// What went wrong inside, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync)> {
        self.0.cause.as_deref()
    }
}

impl fmt::Display for Status {
    /// For the log: of a field that a client filled, its name alone. What it held may be a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.code.name())?;
        match self.0.logged.as_deref().unwrap_or(&self.0.message) {
            "" => {}
            told => write!(formatter, ": {told}")?,
        }
        match &self.0.cause {
            Some(cause) => write!(formatter, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl Error for Status {}

/// A name that a client may have made up, cut short.
fn clip(mut name: String) -> String {
    if let Some((at, _)) = name.char_indices().nth(MAX_FIELD_CHARACTERS) {
        name.truncate(at);
        name.push('…');
    }
    name
}
