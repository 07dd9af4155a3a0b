//! What a decider's answer means: a denial and what the client is told, or leave to pass and what is changed.
//!
//! A decider's word is bounded: what it says beyond that, under names that it may not set, or in characters that can't
//! be sent, is left out. The body of an error is always the gateway's own.

use http::StatusCode;
use http::header::{Entry, HeaderMap, HeaderName, HeaderValue};

use super::Config;
use crate::pb::envoy::config::core::v3::HeaderValueOption;
use crate::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use crate::pb::envoy::service::auth::v3::check_response::HttpResponse;
use crate::pb::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use crate::pb::google::rpc;
use crate::protocol::metadata;
use crate::status::{Blame, Code, Status};

/// Headers of one list of an answer.
const MAX_HEADERS: usize = 64;

/// Names and values of one list together.
const MAX_HEADER_BYTES: usize = 16 << 10;

/// What the log keeps of a decider's own words.
const MAX_MESSAGE_CHARS: usize = 256;

/// What a decider said.
#[derive(Debug)]
pub(super) enum Decision {
    Allowed,
    Denied(Status),
}

/// What the deciders that let a request pass change of it.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Changes {
    /// Metadata that they set.
    pub(in crate::gateway) metadata: HeaderMap,
    /// Headers of the client that end here.
    pub(in crate::gateway) withheld: Vec<HeaderName>,
    /// For the answer.
    answer: Vec<Edit>,
}

impl Changes {
    /// Puts on an answer what the deciders want there.
    pub(in crate::gateway) fn write_answer(&self, headers: &mut HeaderMap) {
        for edit in &self.answer {
            edit.clone().apply(headers);
        }
    }
}

/// A header to be set.
#[derive(Clone, Debug)]
struct Edit {
    name: HeaderName,
    value: HeaderValue,
    action: Action,
}

/// What becomes of a header of the same name that is there already.
#[derive(Clone, Copy, Debug)]
enum Action {
    /// It stays beside the new one.
    Append,
    /// It stays, and the new one is left out.
    AddIfAbsent,
    /// It goes.
    Overwrite,
    /// It goes; without one, the new one is left out.
    OverwriteIfPresent,
}

impl Edit {
    fn apply(self, headers: &mut HeaderMap) {
        let Self { name, value, action } = self;
        match (action, headers.entry(name)) {
            (Action::Append, Entry::Occupied(mut there)) => there.append(value),
            (Action::Overwrite | Action::OverwriteIfPresent, Entry::Occupied(mut there)) => drop(there.insert(value)),
            (Action::Append | Action::AddIfAbsent | Action::Overwrite, Entry::Vacant(free)) => drop(free.insert(value)),
            (Action::AddIfAbsent, Entry::Occupied(_)) | (Action::OverwriteIfPresent, Entry::Vacant(_)) => {}
        }
    }
}

/// What an answer says; `changes` gains what a request that may pass is changed by. Where `status` and the rest say
/// different things, the request is denied.
///
/// # Errors
/// If the answer says nothing: an empty message must let nobody pass.
pub(super) fn read(answer: CheckResponse, config: &Config, changes: &mut Changes) -> Result<Decision, Status> {
    let code = answer.status.as_ref().map(|status| status.code);
    match (code, answer.http_response) {
        (None, None) => Err(Status::bad_upstream("the answer has neither a status nor a response")),
        (Some(0), None) => Ok(Decision::Allowed),
        (None | Some(0), Some(HttpResponse::OkResponse(response))) => {
            allow(response, config, changes);
            Ok(Decision::Allowed)
        }
        (_, Some(HttpResponse::DeniedResponse(response))) => {
            Ok(Decision::Denied(denied(config, answer.status, response)))
        }
        (Some(_), None | Some(HttpResponse::OkResponse(_))) => {
            Ok(Decision::Denied(denied(config, answer.status, DeniedHttpResponse::default())))
        }
    }
}

fn allow(response: OkHttpResponse, config: &Config, changes: &mut Changes) {
    let OkHttpResponse { headers, headers_to_remove, response_headers_to_add } = response;
    // Envoy overwrites here where nothing is said, and appends in the other lists.
    let forward = edits(headers, Action::Overwrite)
        .filter(|edit| config.forward.contains(&edit.name) && metadata::is_legal(&edit.name, &edit.value));
    forward.for_each(|edit| edit.apply(&mut changes.metadata));
    let names = headers_to_remove.into_iter().take(MAX_HEADERS);
    changes.withheld.extend(names.filter_map(|name| HeaderName::try_from(name).ok()));
    changes.answer.extend(edits(response_headers_to_add, Action::Append).filter(|edit| is_for_answers(&edit.name)));
}

fn denied(config: &Config, status: Option<rpc::Status>, response: DeniedHttpResponse) -> Status {
    let asked = response.status.and_then(|status| StatusCode::from_u16(u16::try_from(status.code).ok()?).ok());
    // 304 is no denial, and has no body to say so.
    let is_denial = |status: &StatusCode| (300..600).contains(&status.as_u16()) && *status != StatusCode::NOT_MODIFIED;
    let http = asked.filter(is_denial).unwrap_or(StatusCode::FORBIDDEN);
    let rpc::Status { code, message, .. } = status.unwrap_or_default();
    let message: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
    let cause = format!("external decider {:?} said {code}: {message}", config.name);
    let mut denied = Status::new(code_of(http), Blame::Client, "permission denied").with_http(http).with_cause(cause);
    let told = edits(response.headers, Action::Append).filter(|edit| is_for_answers(&edit.name));
    told.for_each(|edit| edit.apply(denied.headers_mut()));
    denied
}

/// The code whose HTTP status it is, so that the two say the same.
fn code_of(http: StatusCode) -> Code {
    match http {
        StatusCode::BAD_REQUEST => Code::InvalidArgument,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        _ => Code::PermissionDenied,
    }
}

/// Whether a decider may set this on an answer: nothing of the connection, the framing or the content, and not what the
/// gateway says itself.
fn is_for_answers(name: &HeaderName) -> bool {
    let name = name.as_str();
    !metadata::is_of_transport(name)
        && !["content-", "access-control-"].iter().any(|prefix| name.starts_with(prefix))
        && !matches!(name, "date" | "host" | "x-request-id")
}

/// What of a list can be sent, within the bounds.
fn edits(list: Vec<HeaderValueOption>, unsaid: Action) -> impl Iterator<Item = Edit> {
    let mut size = 0_usize;
    let edit = move |option: HeaderValueOption| {
        let action = action(&option, unsaid)?;
        let header = option.header?;
        let value = if header.raw_value.is_empty() { header.value.into_bytes() } else { header.raw_value };
        let (name, value) = (HeaderName::try_from(header.key).ok()?, HeaderValue::try_from(value).ok()?);
        size += name.as_str().len() + value.len();
        (size <= MAX_HEADER_BYTES).then_some(Edit { name, value, action })
    };
    list.into_iter().take(MAX_HEADERS).filter_map(edit)
}

/// `None` for a word that is not known. The first action can't be told from none at all.
fn action(option: &HeaderValueOption, unsaid: Action) -> Option<Action> {
    match option.append {
        Some(true) => return Some(Action::Append),
        Some(false) => return Some(Action::Overwrite),
        None => {}
    }
    Some(match HeaderAppendAction::try_from(option.append_action).ok()? {
        HeaderAppendAction::AppendIfExistsOrAdd => unsaid,
        HeaderAppendAction::AddIfAbsent => Action::AddIfAbsent,
        HeaderAppendAction::OverwriteIfExistsOrAdd => Action::Overwrite,
        HeaderAppendAction::OverwriteIfExists => Action::OverwriteIfPresent,
    })
}

#[cfg(test)]
mod tests;
