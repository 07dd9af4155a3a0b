//! `lockgate routes`: every route as a table.

use clap::Args;

use super::table::table;
use super::{Failure, Logging, print, report};
use crate::call::endpoint::Endpoint;
use crate::config::flags::Flags;
use crate::route::rule::Source;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

const EXAMPLES: &str = "\
Examples:
  lockgate routes --config lockgate.yaml
  lockgate routes --descriptors shop.binpb --upstream 127.0.0.1:50051

The source of a route is the file with its annotation, the place of its rule in the configuration, or `unannotated`
with the file of a method that has neither.";

pub(super) fn run(arguments: &Arguments, logging: &Logging) -> Result<(), Failure> {
    let (_, gateway) = report::loaded(&arguments.flags, logging)?;
    let rows = gateway.endpoints().iter().map(|endpoint| RouteRow::of(endpoint)).collect();
    print(&RouteRow::table(rows))
}

/// One route, as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RouteRow {
    pub template: String,
    pub verb: String,
    pub method: String,
    pub upstream: String,
    pub source: String,
}

impl RouteRow {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        let binding = &endpoint.binding;
        Self {
            template: binding.template.to_string(),
            verb: binding.verb.to_string(),
            method: binding.full_name.to_string(),
            upstream: endpoint.upstream.config().name.clone(),
            source: source(&binding.source),
        }
    }

    /// Sorted by template.
    pub(super) fn table(mut rows: Vec<Self>) -> String {
        rows.sort();
        let rows: Vec<_> =
            rows.into_iter().map(|row| [row.verb, row.template, row.method, row.upstream, row.source]).collect();
        table(["VERB", "TEMPLATE", "METHOD", "UPSTREAM", "SOURCE"], &rows)
    }
}

/// Where a binding comes from.
fn source(source: &Source) -> String {
    match source {
        Source::Annotation { file } => file.to_string(),
        Source::Configuration { place } => place.to_string(),
        Source::Unannotated { file } => format!("unannotated, {file}"),
    }
}
