//! How the shop fails: a code, a message, and the details of `google/rpc/error_details.proto` that say more.

use std::time::Duration;

use prost::Message;
use tonic::Code;

use crate::pb::google::rpc::{
    BadRequest, ErrorInfo, LocalizedMessage, PreconditionFailure, QuotaFailure, ResourceInfo, RetryInfo, Status,
    bad_request, precondition_failure, quota_failure,
};

/// The `domain` of every `ErrorInfo`.
const DOMAIN: &str = "shop.example";

/// The failure of one call, or of one item of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Status);

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Status { code: code.into(), message: message.into(), details: Vec::new() })
    }

    /// INVALID_ARGUMENT for one field.
    pub(crate) fn invalid(field: &str, reason: &str, description: impl Into<String>) -> Self {
        let mut violations = Violations::default();
        violations.add(field, reason, description);
        violations.into_failure()
    }

    /// NOT_FOUND, with the type and the name of what is missing.
    pub(crate) fn not_found(resource_type: &str, resource_name: &str) -> Self {
        let info = ResourceInfo {
            resource_type: resource_type.to_owned(),
            resource_name: resource_name.to_owned(),
            owner: String::new(),
            description: "there is no such resource".to_owned(),
        };
        Self::new(Code::NotFound, format!("`{resource_name}` was not found"))
            .with("google.rpc.ResourceInfo", &info)
            .with_reason("RESOURCE_NOT_FOUND", &[("resource", resource_name)])
    }

    /// ALREADY_EXISTS, with the type and the name of what is in the way.
    pub(crate) fn already_exists(resource_type: &str, resource_name: &str, description: &str) -> Self {
        let info = ResourceInfo {
            resource_type: resource_type.to_owned(),
            resource_name: resource_name.to_owned(),
            owner: String::new(),
            description: description.to_owned(),
        };
        Self::new(Code::AlreadyExists, description).with("google.rpc.ResourceInfo", &info)
    }

    /// RESOURCE_EXHAUSTED: a bound of the shop, and when to try again.
    pub(crate) fn exhausted(subject: &str, description: &str, retry_after: Duration) -> Self {
        let violation = quota_failure::Violation { subject: subject.to_owned(), description: description.to_owned() };
        let retry = RetryInfo { retry_delay: prost_types::Duration::try_from(retry_after).ok() };
        Self::new(Code::ResourceExhausted, description)
            .with("google.rpc.QuotaFailure", &QuotaFailure { violations: vec![violation] })
            .with("google.rpc.RetryInfo", &retry)
    }

    /// FAILED_PRECONDITION, with everything that stands in the way as (type, subject, description).
    pub(crate) fn precondition(
        message: &str,
        violations: impl IntoIterator<Item = (&'static str, String, String)>,
    ) -> Self {
        let violations = violations
            .into_iter()
            .map(|(r#type, subject, description)| precondition_failure::Violation {
                r#type: r#type.to_owned(),
                subject,
                description,
            })
            .collect();
        Self::new(Code::FailedPrecondition, message)
            .with("google.rpc.PreconditionFailure", &PreconditionFailure { violations })
    }

    /// The same with a reason for programs.
    pub(crate) fn with_reason(self, reason: &str, metadata: &[(&str, &str)]) -> Self {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let info = ErrorInfo { reason: reason.to_owned(), domain: DOMAIN.to_owned(), metadata };
        self.with("google.rpc.ErrorInfo", &info)
    }

    /// The same with a message for people.
    pub(crate) fn with_localized(self, locale: &str, message: &str) -> Self {
        let localized = LocalizedMessage { locale: locale.to_owned(), message: message.to_owned() };
        self.with("google.rpc.LocalizedMessage", &localized)
    }

    /// The failure as a message, for answers that carry one.
    pub(crate) fn into_message(self) -> Status {
        self.0
    }

    fn with(mut self, name: &str, detail: &impl Message) -> Self {
        let type_url = format!("type.googleapis.com/{name}");
        self.0.details.push(prost_types::Any { type_url, value: detail.encode_to_vec() });
        self
    }
}

impl From<Failure> for tonic::Status {
    fn from(failure: Failure) -> Self {
        let details = failure.0.encode_to_vec();
        Self::with_details(Code::from_i32(failure.0.code), failure.0.message, details.into())
    }
}

/// The faults of one request, collected so that a client learns them all at once. Fields have their JSON names.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<bad_request::FieldViolation>);

impl Violations {
    pub(crate) fn add(&mut self, field: impl Into<String>, reason: &str, description: impl Into<String>) {
        self.0.push(bad_request::FieldViolation {
            field: field.into(),
            description: description.into(),
            reason: reason.to_owned(),
            localized_message: None,
        });
    }

    /// INVALID_ARGUMENT where there was a fault.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into_failure()) }
    }

    fn into_failure(self) -> Failure {
        let message = match self.0.as_slice() {
            [only] => format!("{}: {}", only.field, only.description),
            several => format!("{} fields are not valid", several.len()),
        };
        Failure::new(Code::InvalidArgument, message)
            .with("google.rpc.BadRequest", &BadRequest { field_violations: self.0 })
    }
}
