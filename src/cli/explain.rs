//! `lockgate explain`: which route a request takes, and why; for a request without a route, the nearest ones.

use clap::Args;
use http::Method;

use super::routes::row;
use super::table::table;
use super::{Failure, Logging, callers, print, report};
use crate::admin::Route;
use crate::call::endpoint::Endpoint;
use crate::config::Config;
use crate::config::effective::{self, Effective, Origin};
use crate::config::flags::Flags;
use crate::gateway::{Found, Gateway};
use crate::route::captures::Captures;
use crate::route::router::Miss;
use crate::schema::{FieldIndex, Message};
use crate::transcode::bind::BodyTarget;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The HTTP method of the request.
    #[arg(value_name = "METHOD", value_parser = parse_verb)]
    verb: Method,

    /// The path of the request, as it is sent; a query is passed over.
    #[arg(value_name = "PATH")]
    path: String,

    #[command(flatten)]
    flags: Flags,
}

const EXAMPLES: &str = "\
Examples:
  lockgate explain GET /v1/users/mira --config lockgate.yaml
  lockgate explain POST /v1/orders:cancel -d shop.binpb -u 127.0.0.1:50051

The exit code is 1 if no route takes the request; then the nearest routes are shown.";

fn parse_verb(text: &str) -> Result<Method, String> {
    let known = text.to_ascii_uppercase();
    Method::from_bytes(known.as_bytes()).map_err(|_| "it is not an HTTP method".to_owned())
}

pub(super) fn run(arguments: &Arguments, logging: &Logging) -> Result<(), Failure> {
    let (config, gateway) = report::loaded(&arguments.flags, logging)?;
    let path = arguments.path.split(['?', '#']).next().unwrap_or_default();
    let mut captures = Captures::new();
    match gateway.find(&arguments.verb, path, &mut captures) {
        Ok(found) => print(&Explanation::of(&config, &gateway, found, path, &captures).print()),
        Err(miss) => Err(Failure::Failed(explain_miss(&gateway, &arguments.verb, path, &miss))),
    }
}

/// Why a request takes its route.
#[derive(Clone, Debug)]
pub(super) struct Explanation {
    pub route: Route,
    /// Paths of fields, and the texts that the request gives them.
    pub variables: Vec<(String, String)>,
    pub body: String,
    pub response_body: String,
    /// The other routes that the path matches, best first.
    pub others: Vec<Route>,
    /// Who may call, by whom they are known, and what the upstream is told of them.
    pub callers: String,
    pub settings: Vec<Effective>,
}

impl Explanation {
    fn of(config: &Config, gateway: &Gateway, found: Found<'_>, path: &str, captures: &Captures) -> Self {
        let endpoint: &Endpoint = found.endpoint;
        let schema = gateway.schema();
        let binding = &endpoint.binding;
        let variables = binding.template.variables().iter().enumerate().map(|(position, variable)| {
            (variable.path.to_string(), captures.get(position).unwrap_or_default().to_owned())
        });
        let method = schema.method(binding.method);
        Self {
            route: row(endpoint),
            variables: variables.collect(),
            body: body(&binding.body, schema.message(endpoint.input)),
            response_body: match binding.response_body {
                None => "the whole message".to_owned(),
                Some(index) => field(index, schema.message(endpoint.output)),
            },
            others: others(gateway, endpoint, path),
            callers: callers::describe(&config.gateway, method, found.policy),
            settings: effective::settings(&config.gateway, &method.service, &method.name),
        }
    }

    pub(super) fn print(&self) -> String {
        let Route { template, verb, method, upstream, source } = &self.route;
        let mut text = format!("{verb} {template}\n");
        let mut line = |key: &str, value: &str| text.push_str(&format!("  {key:<10} {value}\n"));
        line("method", method);
        line("upstream", upstream);
        line("source", source);
        for (path, value) in &self.variables {
            line("variable", &format!("{path} = {value:?}"));
        }
        line("body", &self.body);
        line("answer", &self.response_body);
        if !self.others.is_empty() {
            text.push_str("\nThe path also matches, but less closely or for another HTTP method:\n");
            text.push_str(&indent(&listed(&self.others)));
        }
        text.push_str("\nCallers:\n");
        text.push_str(&indent(&self.callers));
        text.push_str("\nSettings:\n");
        let rows: Vec<_> = self
            .settings
            .iter()
            .map(|setting| [setting.key.to_owned(), setting.value.clone(), origin(setting.origin).to_owned()])
            .collect();
        text.push_str(&indent(&table(["KEY", "VALUE", "FROM"], &rows)));
        text
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Method => "the method",
        Origin::Service => "its service",
        Origin::Defaults => "defaults",
        Origin::BuiltIn => "-",
    }
}

fn body(target: &BodyTarget, message: &Message) -> String {
    match target {
        BodyTarget::None => "none; other fields are parameters".to_owned(),
        BodyTarget::Whole => "the whole message, but for the variables; no parameters".to_owned(),
        BodyTarget::Field(index) => format!("{}; other fields are parameters", field(*index, message)),
    }
}

fn field(index: FieldIndex, message: &Message) -> String {
    format!("the field `{}`", message.field(index).name)
}

fn others(gateway: &Gateway, chosen: &Endpoint, path: &str) -> Vec<Route> {
    let candidates = gateway.router().candidates(path).unwrap_or_default();
    rows(gateway, &candidates).filter(|other| *other != row(chosen)).collect()
}

/// Routes by their positions in the router.
fn rows<'g>(gateway: &'g Gateway, positions: &'g [usize]) -> impl Iterator<Item = Route> + 'g {
    positions.iter().filter_map(|&position| gateway.endpoints().get(position)).map(|endpoint| row(endpoint))
}

fn listed(rows: &[Route]) -> String {
    let rows: Vec<_> = rows.iter().map(|row| [row.verb.clone(), row.template.clone(), row.method.clone()]).collect();
    table(["VERB", "TEMPLATE", "METHOD"], &rows)
}

fn explain_miss(gateway: &Gateway, verb: &Method, path: &str, miss: &Miss) -> String {
    match miss {
        Miss::NotFound => {
            let nearest: Vec<_> = rows(gateway, &gateway.router().nearest(path)).collect();
            print_miss(&format!("no route matches {path} (404)"), "The nearest routes", &nearest)
        }
        Miss::MethodNotAllowed(allow) => {
            let allow = allow.to_str().unwrap_or_default();
            let candidates = gateway.router().candidates(path).unwrap_or_default();
            let matching: Vec<_> = rows(gateway, &candidates).collect();
            let why = format!("{path} has routes, but none for {verb} (405, Allow: {allow})");
            print_miss(&why, "The routes of this path", &matching)
        }
        Miss::Bad(status) => print_miss(&format!("{path} is no legal path (400): {}", status.message()), "", &[]),
    }
}

pub(super) fn print_miss(why: &str, title: &str, rows: &[Route]) -> String {
    if rows.is_empty() {
        return why.to_owned();
    }
    format!("{why}\n\n{title}:\n{}", indent(listed(rows).trim_end()))
}

fn indent(text: &str) -> String {
    let ends_line = if text.ends_with('\n') { "\n" } else { "" };
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n") + ends_line
}
