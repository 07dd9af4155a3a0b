//! The command line as it is typed, and what its commands print.

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::check::Summary;
use super::explain::{Explanation, print_miss};
use super::routes::print_rows;
use super::*;
use crate::admin::Route;
use crate::config::effective::{Effective, Origin};

#[track_caller]
fn check(arguments: &[&str], expected: Result<(), ErrorKind>) {
    let all = ["lockgate"].iter().chain(arguments);
    assert_eq!(parse(all).map_err(|error| error.kind()), expected, "{arguments:?}");
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn command_lines_are_parsed() {
    check(&["serve", "-c", "x.yaml", "--workers", "2"], Ok(()));
    check(&["serve", "-d", "a", "-d", "b", "-u", "h:1", "-u", "n=h:2", "--reflect", "--log-format", "json"], Ok(()));
    check(&["--log-level", "debug", "demo", "--listen", "127.0.0.1:0"], Ok(()));
    check(&["check", "-c", "x.yaml"], Ok(()));
    check(&["routes", "-d", "x", "-u", "h:1"], Ok(()));
    check(&["explain", "get", "/v1", "-c", "x.yaml"], Ok(()));
    check(&["schema"], Ok(()));
    check(&["keys", "new"], Ok(()));
    check(&["keys", "new", "--id", "acme-1", "--pepper-file", "x"], Ok(()));
    check(&["keys", "hash", "--pepper-file", "x"], Ok(()));
    check(&["keys", "hash", "lk_secret"], Err(ErrorKind::UnknownArgument));
    check(&["keys"], Err(ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand));
    check(&["--version"], Err(ErrorKind::DisplayVersion));
    check(&["serve", "--help"], Err(ErrorKind::DisplayHelp));
    check(&[], Err(ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand));
    check(&["sreve"], Err(ErrorKind::InvalidSubcommand));
    check(&["explain", "G T", "/"], Err(ErrorKind::ValueValidation));
    check(&["serve", "--log-format", "xml"], Err(ErrorKind::InvalidValue));
    check(&["serve", "--lisen", "x"], Err(ErrorKind::UnknownArgument));
}

#[test]
fn every_flag_has_its_variable() {
    for command in Cli::command().get_subcommands() {
        for argument in command.get_arguments() {
            let Some(long) = argument.get_long().filter(|long| !matches!(*long, "help" | "version")) else { continue };
            let expected = format!("LOCKGATE_{}", long.replace('-', "_").to_uppercase());
            assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(expected.as_str()));
        }
    }
}

#[test]
fn every_command_has_examples_or_says_what_it_does() {
    for command in Cli::command().get_subcommands() {
        assert!(command.get_about().is_some() && command.get_after_help().is_some(), "{}", command.get_name());
    }
}

fn row(verb: &str, template: &str, method: &str) -> Route {
    let [verb, template, method] = [verb, template, method].map(str::to_owned);
    Route { template, verb, method, upstream: "shop".to_owned(), source: "shop.proto".to_owned() }
}

#[test]
fn routes_are_aligned_and_sorted() {
    let rows = vec![row("POST", "/v1/orders", "shop.Orders.Create"), row("GET", "/v1/{name=a/*}", "shop.A.Get")];
    let expected = "\
VERB  TEMPLATE        METHOD              UPSTREAM  SOURCE
POST  /v1/orders      shop.Orders.Create  shop      shop.proto
GET   /v1/{name=a/*}  shop.A.Get          shop      shop.proto
";
    assert_eq!(print_rows(rows), expected);
}

#[test]
fn an_explanation_tells_all_of_a_route() {
    let explanation = Explanation {
        route: row("GET", "/v1/{name=a/*}", "shop.A.Get"),
        variables: vec![("name".to_owned(), "a/b".to_owned())],
        body: "none; other fields are parameters".to_owned(),
        response_body: "the whole message".to_owned(),
        others: vec![row("GET", "/v1/**", "shop.A.Rest")],
        callers: "auth: any of users\nrequire: =true (a.yaml:1:2)\n".to_owned(),
        settings: vec![Effective { key: "timeout", value: "2s".to_owned(), origin: Origin::Defaults }],
    };
    let expected = "\
GET /v1/{name=a/*}
  method     shop.A.Get
  upstream   shop
  source     shop.proto
  variable   name = \"a/b\"
  body       none; other fields are parameters
  answer     the whole message

The path also matches, but less closely or for another HTTP method:
  VERB  TEMPLATE  METHOD
  GET   /v1/**    shop.A.Rest

Callers:
  auth: any of users
  require: =true (a.yaml:1:2)

Settings:
  KEY      VALUE  FROM
  timeout  2s     defaults
";
    assert_eq!(explanation.print(), expected);
}

#[test]
fn a_miss_tells_what_is_near() {
    let expected = "\
no route matches /v2 (404)

The nearest routes:
  VERB  TEMPLATE  METHOD
  GET   /v1       shop.A.Get";
    assert_eq!(
        print_miss("no route matches /v2 (404)", "The nearest routes", &[row("GET", "/v1", "shop.A.Get")]),
        expected
    );
    assert_eq!(print_miss("no", "The nearest routes", &[]), "no");
}

#[test]
fn a_summary_counts_and_notes() {
    let summary = Summary {
        listeners: vec!["public at 0.0.0.0:80".to_owned()],
        upstreams: 2,
        methods: 3,
        routes: 1,
        unserved: vec!["a.B".to_owned()],
        reflected: vec!["shop".to_owned()],
    };
    let expected = "\
ok: 1 listener, 2 upstreams, 3 methods, 1 route
  listener public at 0.0.0.0:80
  note: no upstream serves a.B, it has no routes
  note: the services of upstream shop are asked for when serving
";
    assert_eq!(summary.print(), expected);
}

#[test]
fn a_new_key_comes_with_its_entry() {
    let text = keys::entry("lk_a", "a: \"b\"", None);
    let hash = crate::auth::api_key::hash("lk_a", None);
    let entry = format!("- {{ id: \"a: \\\"b\\\"\", hash: \"{hash}\" }}");
    assert_eq!(text.lines().last(), Some(entry.as_str()));
    assert!(text.contains("# lk_a\n"));
}

#[test]
fn a_key_is_read_without_its_line_end() {
    for (input, expected) in [("lk_a\n", Some("lk_a")), ("lk_a\r\n", Some("lk_a")), ("lk_a", Some("lk_a"))]
        .into_iter()
        .chain([("", None), ("\n", None), ("a b\n", None), ("a\nb\n", None), ("\u{e9}", None)])
    {
        assert_eq!(keys::key(input.as_bytes()).ok().as_deref(), expected, "{input:?}");
    }
    assert!(keys::key("a".repeat(513).as_bytes()).is_err());
    assert!(keys::key("a".repeat(512).as_bytes()).is_ok());
}
