//! What a configuration may say about how a method is served over REST: [`Overrides`] as they are written at each
//! level, and the [`Settings`] of one method that they add up to.
//!
//! Meaning of each: `docs/config.md`.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::protocol::metadata::HeaderRules;
use crate::protocol::rest::accept::StreamFormat;
use crate::protocol::rest::error::ErrorFormat;
use crate::transcode::bind::UnknownParameters;
use crate::transcode::decode::UnknownFields;
use crate::transcode::encode::{Enums, Int64, Names, Unset};

/// How long a unary call may take where nothing else is said. Streams have no limit of their own.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// How often an idle event stream is kept alive where nothing else is said.
pub const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a level says; what it does not say is taken from the level above.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    pub unknown_parameters: Option<UnknownParameters>,
    pub ignored_parameters: Option<Arc<[Box<str>]>>,
    pub unknown_fields: Option<UnknownFields>,
    pub names: Option<Names>,
    pub enums: Option<Enums>,
    pub int64: Option<Int64>,
    pub unset: Option<Unset>,
    pub indent: Option<u8>,
    pub errors: Option<ErrorFormat>,
    pub stream: Option<StreamFormat>,
    pub sse_id_field: Option<Box<str>>,
    pub sse_event_field: Option<Box<str>>,
    pub keep_alive: Option<Duration>,
    pub patch_mask: Option<PatchMask>,
    pub success_status: Option<StatusCode>,
    pub request_headers: Option<Arc<HeaderRules>>,
    pub response_headers: Option<Arc<HeaderRules>>,
    pub compress_from: Option<CompressFrom>,
    pub timeout: Option<Duration>,
}

/// Which answers are compressed for clients that take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressFrom {
    /// Bodies of this many bytes or more.
    Bytes(usize),
    Off,
}

impl Default for CompressFrom {
    /// Where compressing begins to save more than a packet.
    fn default() -> Self {
        Self::Bytes(1 << 10)
    }
}

/// Whether the gateway fills the update mask of a PATCH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PatchMask {
    /// From the keys of the body, where the client sets none.
    #[default]
    Fill,
    /// Never.
    Leave,
}

/// What holds for one method.
#[derive(Clone, Debug)]
pub struct Settings {
    pub unknown_parameters: UnknownParameters,
    pub ignored_parameters: Arc<[Box<str>]>,
    pub unknown_fields: UnknownFields,
    pub names: Names,
    pub enums: Enums,
    pub int64: Int64,
    pub unset: Unset,
    pub indent: u8,
    pub errors: ErrorFormat,
    pub stream: StreamFormat,
    pub sse_id_field: Option<Box<str>>,
    pub sse_event_field: Option<Box<str>>,
    pub keep_alive: Duration,
    pub patch_mask: PatchMask,
    pub success_status: Option<StatusCode>,
    pub request_headers: Arc<HeaderRules>,
    pub response_headers: Arc<HeaderRules>,
    pub compress_from: CompressFrom,
    /// The configured limit; `None` leaves the default to the kind of the call.
    pub timeout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            unknown_parameters: UnknownParameters::default(),
            ignored_parameters: Arc::from([]),
            unknown_fields: UnknownFields::default(),
            names: Names::default(),
            enums: Enums::default(),
            int64: Int64::default(),
            unset: Unset::default(),
            indent: 0,
            errors: ErrorFormat::default(),
            stream: StreamFormat::default(),
            sse_id_field: None,
            sse_event_field: None,
            keep_alive: DEFAULT_KEEP_ALIVE,
            patch_mask: PatchMask::default(),
            success_status: None,
            request_headers: Arc::default(),
            response_headers: Arc::default(),
            compress_from: CompressFrom::default(),
            timeout: None,
        }
    }
}

impl Settings {
    /// These settings with what a lower level says on top.
    #[must_use]
    pub fn with(mut self, overrides: &Overrides) -> Self {
        let Overrides {
            unknown_parameters,
            ignored_parameters,
            unknown_fields,
            names,
            enums,
            int64,
            unset,
            indent,
            errors,
            stream,
            sse_id_field,
            sse_event_field,
            keep_alive,
            patch_mask,
            success_status,
            request_headers,
            response_headers,
            compress_from,
            timeout,
        } = overrides.clone();
        replace(&mut self.unknown_parameters, unknown_parameters);
        replace(&mut self.ignored_parameters, ignored_parameters);
        replace(&mut self.unknown_fields, unknown_fields);
        replace(&mut self.names, names);
        replace(&mut self.enums, enums);
        replace(&mut self.int64, int64);
        replace(&mut self.unset, unset);
        replace(&mut self.indent, indent);
        replace(&mut self.errors, errors);
        replace(&mut self.stream, stream);
        self.sse_id_field = sse_id_field.or(self.sse_id_field);
        self.sse_event_field = sse_event_field.or(self.sse_event_field);
        replace(&mut self.keep_alive, keep_alive);
        replace(&mut self.patch_mask, patch_mask);
        self.success_status = success_status.or(self.success_status);
        replace(&mut self.request_headers, request_headers);
        replace(&mut self.response_headers, response_headers);
        replace(&mut self.compress_from, compress_from);
        self.timeout = timeout.or(self.timeout);
        self
    }
}

fn replace<T>(value: &mut T, with: Option<T>) {
    if let Some(with) = with {
        *value = with;
    }
}
