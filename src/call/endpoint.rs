//! Stand-in until the module arrives.

use std::sync::Arc;

use super::settings::Settings;
use crate::route::rule::Binding;
use crate::schema::MessageId;
use crate::upstream::Upstream;

/// One method under one binding.
#[derive(Debug)]
pub struct Endpoint {
    pub upstream: Arc<Upstream>,
    pub binding: Binding,
    pub settings: Settings,
    pub input: MessageId,
    pub output: MessageId,
}
