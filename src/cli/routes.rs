//! `lockgate routes`: every route as a table.

use clap::Args;

use super::table::table;
use super::{Failure, Logging, print, report};
use crate::admin::Route;
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
    let rows = gateway.endpoints().iter().map(|endpoint| row(endpoint)).collect();
    print(&print_rows(rows))
}

/// What an endpoint serves, with a source for people.
pub(super) fn row(endpoint: &Endpoint) -> Route {
    Route { source: source(&endpoint.binding.source), ..Route::of(endpoint) }
}

/// Routes under a header.
pub(super) fn print_rows(mut routes: Vec<Route>) -> String {
    Route::sort(&mut routes);
    let rows: Vec<_> = routes
        .into_iter()
        .map(|route| [route.verb, route.template, route.method, route.upstream, route.source])
        .collect();
    table(["VERB", "TEMPLATE", "METHOD", "UPSTREAM", "SOURCE"], &rows)
}

/// Where a binding comes from.
fn source(source: &Source) -> String {
    match source {
        Source::Annotation { file } => file.to_string(),
        Source::Configuration { place } => place.to_string(),
        Source::Unannotated { file } => format!("unannotated, {file}"),
    }
}
