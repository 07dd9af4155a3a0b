//! Configuration files, good and bad, with the exact text and place of every mistake.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;

use super::problem::Style;
use super::*;
use crate::call::settings::{Overrides, PatchMask, Settings};
use crate::pb::google::api::http_rule::Pattern;
use crate::protocol::metadata::HeaderRules;
use crate::protocol::rest::accept::StreamFormat;
use crate::protocol::rest::error::ErrorFormat;
use crate::transcode::encode::{Names, Unset};
use crate::upstream;
use crate::upstream::config::{Address, TlsConfig};

const EXAMPLE: &str = "descriptors: { paths: [a.binpb] }\nupstreams: { a: { address: 'h:1' } }\n";

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "PORT" => "9000",
        "HOST" => "10.0.0.1",
        "EMPTY" => "",
        "SECRET" => "hunter2",
        "WORKERS" => "3",
        _ => return None,
    };
    Some(value.to_owned())
}

fn parsed(text: &str) -> Result<Config, Invalid> {
    let surroundings = Surroundings { environment: &environment, access_log: AccessLog::Text };
    parse(text, Path::new("conf/lockgate.yaml"), &surroundings)
}

/// A legal file with `text` on top.
#[track_caller]
fn legal(text: &str) -> Config {
    match parsed(&format!("{text}\n{EXAMPLE}")) {
        Ok(config) => config,
        Err(invalid) => panic!("{invalid}"),
    }
}

/// The problems of a file with these lines on top of a legal one, without the file's name.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    check_whole(&format!("{text}\n{EXAMPLE}"), expected);
}

#[track_caller]
fn check_whole(text: &str, expected: &[&str]) {
    let invalid = parsed(text).expect_err("it has mistakes");
    let found: Vec<_> = invalid
        .problems()
        .iter()
        .map(|problem| problem.to_string().strip_prefix("conf/lockgate.yaml:").expect("it names the file").to_owned())
        .collect();
    assert_eq!(found, expected, "\n{}", invalid.render(Style::Plain));
}

#[track_caller]
fn same(left: impl Debug, right: impl Debug) {
    assert_eq!(format!("{left:?}"), format!("{right:?}"));
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = legal("");
    let [listener] = config.listeners.as_slice() else { panic!("one listener") };
    assert_eq!(listener.address, server::config::Address::Tcp("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(listener.limits, server::config::Limits::default());
    assert_eq!(config.admin, Some("127.0.0.1:9901".parse().unwrap()));
    assert_eq!(config.runtime.grace, Duration::ZERO);
    assert_eq!(config.runtime.drain, Duration::from_secs(30));
    assert!(config.runtime.workers > 0);
    assert_eq!(config.access_log, AccessLog::Text);
    assert_eq!(config.file, Some(PathBuf::from("conf/lockgate.yaml")));
    assert_eq!(config.gateway.upstreams, [upstream::Config::new("a", vec![tcp("h", 1)])]);
    assert_eq!(config.gateway.defaults, Overrides::default());
}

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.to_owned(), port }
}

#[test]
fn listeners_admin_and_runtime_are_read() {
    let config = legal(
        "listeners:\n  public:\n    address: '[::]:80'\n    limits: { connections: 7, per_ip: 3, header_bytes: 64KiB, body: 1MB, body_ratio: 20, buffered: 2MB, \
         handshake_timeout: 2s, \
         first_byte: 3s, header_timeout: 1.5s, body_timeout: 1m, idle: 250ms, write_stall: 4s, age: 1d, streams: 9 }\n  local: { address: unix:run/x.sock }\n\
         admin: off\nruntime: { workers: 4, grace: 5s, drain: 1h }\ntelemetry: { access_log: off }",
    );
    let [public, local] = config.listeners.as_slice() else { panic!("two listeners") };
    assert_eq!(public.name, "public");
    assert_eq!(public.address, server::config::Address::Tcp("[::]:80".parse().unwrap()));
    let limits = server::config::Limits {
        connections: 7,
        per_ip: Some(3),
        header_bytes: 64 << 10,
        body_bytes: 1_000_000,
        body_ratio: 20,
        buffered_bytes: 2_000_000,
        handshake_timeout: Duration::from_secs(2),
        first_byte: Duration::from_secs(3),
        header_timeout: Duration::from_millis(1500),
        body_timeout: Duration::from_secs(60),
        write_stall: Duration::from_secs(4),
        age: Duration::from_secs(86_400),
        idle: Duration::from_millis(250),
        streams: 9,
    };
    assert_eq!(public.limits, limits);
    let large = legal("listeners: { a: { address: '127.0.0.1:1', limits: { body: 1GiB } } }");
    assert_eq!(large.listeners[0].limits.buffered_bytes, 1 << 30);
    assert_eq!(local.address, server::config::Address::Unix("conf/run/x.sock".into()));
    assert_eq!(config.admin, None);
    let runtime = Runtime { workers: 4, grace: Duration::from_secs(5), drain: Duration::from_secs(3600) };
    assert_eq!(config.runtime, runtime);
    assert_eq!(config.access_log, AccessLog::Off);
}

#[test]
fn an_upstream_of_no_services_stands_beside_the_one_of_the_rest() {
    let config = parsed(
        "upstreams: { all: { address: 'h:1' }, asked: { services: [], address: 'h:2' } }\ndescriptors: { paths: [a] }\n",
    );
    let config = config.unwrap_or_else(|invalid| panic!("{invalid}"));
    let services: Vec<_> = config.gateway.upstreams.into_iter().map(|upstream| upstream.services).collect();
    assert_eq!(services, [None, Some(Vec::new())]);
}

#[test]
fn upstreams_and_descriptors_are_read_with_paths_relative_to_the_file() {
    let config = parsed(
        "descriptors:\n  paths: [sets/, /abs.pb]\n  proto: [{ root: proto }, { root: p2, files: ['a/*.proto'] }]\n  \
         reflection: [two]\nupstreams:\n  one:\n    services: [a.b.C, a.d.*]\n    address: 'static:h1:1, [::1]:2'\n    \
         tls: { ca: ca.pem, server_name: x.test, cert: c.pem, key: k.pem }\n    connections: { per_worker: 2, \
         max_requests: 5, connect_timeout: 1s }\n    limits: { response: 1KiB, print: 2KiB }\n  two: { address: \
         'dns:///h3:3', tls: {} }\n",
    );
    let config = config.unwrap_or_else(|invalid| panic!("{invalid}"));
    let one = upstream::Config {
        name: "one".to_owned(),
        services: Some(vec!["a.b.C".to_owned(), "a.d.*".to_owned()]),
        addresses: vec![tcp("h1", 1), tcp("::1", 2)],
        tls: Some(TlsConfig {
            ca: Some("conf/ca.pem".into()),
            server_name: Some("x.test".to_owned()),
            identity: Some(("conf/c.pem".into(), "conf/k.pem".into())),
        }),
        max_response_bytes: 1024,
        max_print_bytes: 2048,
        connections_per_worker: 2,
        max_requests: 5,
        connect_timeout: Duration::from_secs(1),
    };
    let system = TlsConfig { ca: None, server_name: None, identity: None };
    let two = upstream::Config { tls: Some(system), ..upstream::Config::new("two", vec![tcp("h3", 3)]) };
    assert_eq!(config.gateway.upstreams, [one, two]);
    let descriptors = Descriptors {
        paths: vec!["conf/sets/".into(), "/abs.pb".into()],
        proto: vec![
            ProtoSource { root: "conf/proto".into(), files: vec!["**/*.proto".to_owned()] },
            ProtoSource { root: "conf/p2".into(), files: vec!["a/*.proto".to_owned()] },
        ],
        reflection: vec!["two".to_owned()],
        embedded: None,
    };
    assert_eq!(config.descriptors, descriptors);
}

#[test]
fn settings_add_up_from_defaults_to_service_to_method() {
    let config = legal(
        "defaults:\n  timeout: 2s\n  json: { names: proto }\n  headers: { request: { allow: [x-*], deny: [x-a] } }\n  \
         trailing_slash: ignore\nservices:\n  a.B:\n    errors: problem\n    unannotated: hide\n    json: { unset: emit \
         }\n    headers: { request: { deny: [x-b] } }\n    Get: { timeout: 5s, success_status: 204, stream: sse, \
         patch_mask: leave, headers: { request: { allow: [y] } } }",
    );
    let gateway = &config.gateway;
    assert_eq!(gateway.trailing_slash, crate::route::router::TrailingSlash::Ignore);
    let service = &gateway.services["a.B"];
    assert_eq!(service.unannotated, Some(gateway::config::Unannotated::Hide));
    assert_eq!(service.trailing_slash, None);
    assert_eq!(service.place, "conf/lockgate.yaml:7:3");
    let method = &service.methods["Get"];
    assert_eq!(method.place, "conf/lockgate.yaml:12:5");
    let settings = Settings::default().with(&gateway.defaults).with(&service.overrides).with(&method.overrides);
    assert_eq!(settings.timeout, Some(Duration::from_secs(5)));
    assert_eq!(settings.names, Names::Proto);
    assert_eq!(settings.unset, Unset::Emit);
    assert_eq!(settings.errors, ErrorFormat::Problem);
    assert_eq!(settings.stream, StreamFormat::Sse);
    assert_eq!(settings.patch_mask, PatchMask::Leave);
    assert_eq!(settings.success_status, Some(StatusCode::NO_CONTENT));
    let rules = |allow: &[&str], deny: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        HeaderRules::compile(Some(&owned(allow)), &owned(deny)).unwrap()
    };
    same(gateway.defaults.request_headers.as_deref().unwrap(), rules(&["x-*"], &["x-a"]));
    same(service.overrides.request_headers.as_deref().unwrap(), rules(&["x-*"], &["x-b"]));
    same(&*settings.request_headers, rules(&["y"], &["x-b"]));
    assert!(method.overrides.response_headers.is_none());
}

#[test]
fn origins_of_settings_are_told() {
    let config =
        legal("defaults: { timeout: 2s, errors: problem }\nservices: { a.B: { timeout: 3s, Get: { timeout: 4s } } }");
    let of = |service, method, key| {
        let found = effective::settings(&config.gateway, service, method).into_iter().find(|row| row.key == key);
        found.map(|row| (row.value, row.origin)).unwrap()
    };
    assert_eq!(of("a.B", "Get", "timeout"), ("4s".to_owned(), effective::Origin::Method));
    assert_eq!(of("a.B", "Put", "timeout"), ("3s".to_owned(), effective::Origin::Service));
    assert_eq!(of("a.C", "Get", "timeout"), ("2s".to_owned(), effective::Origin::Defaults));
    assert_eq!(of("a.C", "Get", "stream"), ("array".to_owned(), effective::Origin::BuiltIn));
    assert_eq!(of("a.C", "Get", "errors"), ("problem".to_owned(), effective::Origin::Defaults));
}

/// The defaults that the schema and `explain` tell are those that hold.
#[test]
fn told_defaults_are_the_built_in_ones() {
    let schema = docs::schema();
    let level = |path: &str| schema.pointer(&format!("/$defs/{path}")).unwrap().as_object().unwrap().clone();
    let mut text = "defaults:\n".to_owned();
    let mut told = 0;
    let sections = [("Level/properties", "", ""), ("Json/properties", "  json:\n", "json.")];
    for (path, header, prefix) in sections {
        text.push_str(header);
        let indent = if header.is_empty() { "  " } else { "    " };
        for (key, value) in level(path) {
            let Some(default) = value.get("default") else { continue };
            text.push_str(&format!("{indent}{key}: {default}\n"));
            let key = format!("{prefix}{key}");
            if let Some(row) =
                effective::settings(&gateway::Config::default(), "a.B", "C").iter().find(|row| row.key == key)
            {
                assert_eq!(row.value, default.as_str().map_or_else(|| default.to_string(), str::to_owned), "{key}");
                told += 1;
            }
        }
    }
    assert_eq!(told, 12, "{text}");
    let config = legal(&text);
    same(Settings::default().with(&config.gateway.defaults), Settings::default());
    assert_eq!(config.gateway.unannotated, gateway::config::Unannotated::default());
    assert_eq!(config.gateway.trailing_slash, crate::route::router::TrailingSlash::default());
}

#[test]
fn http_rules_are_read() {
    let config = legal(
        "http:\n  rules:\n    - selector: a.B.Get\n      get: /v1/{id}\n      response_body: item\n      \
         additional_bindings:\n        - { post: '/v1:get', body: '*' }\n        - { custom: { kind: LINK, path: /v1 } }",
    );
    let [rule] = config.gateway.rules.as_slice() else { panic!("one rule") };
    assert_eq!(rule.place, "conf/lockgate.yaml:3:17");
    assert_eq!(rule.rule.selector, "a.B.Get");
    assert_eq!(rule.rule.pattern, Some(Pattern::Get("/v1/{id}".to_owned())));
    assert_eq!(rule.rule.response_body, "item");
    let [post, link] = rule.rule.additional_bindings.as_slice() else { panic!("two bindings") };
    assert_eq!((post.pattern.clone(), post.body.as_str()), (Some(Pattern::Post("/v1:get".to_owned())), "*"));
    assert!(matches!(&link.pattern, Some(Pattern::Custom(custom)) if custom.kind == "LINK" && custom.path == "/v1"));
}

#[test]
fn variables_expand_in_values() {
    let config = legal(
        "admin: { address: \"${HOST}:${PORT}\" }\nruntime: { workers: \"${WORKERS}\", drain: \"${EMPTY:-7s}\" }\n\
         http: { rules: [{ selector: a.B.C, get: '/$${x}/$x' }] }",
    );
    assert_eq!(config.admin, Some("10.0.0.1:9000".parse().unwrap()));
    assert_eq!(config.runtime.workers, 3);
    assert_eq!(config.runtime.drain, Duration::from_secs(7));
    assert_eq!(config.gateway.rules[0].rule.pattern, Some(Pattern::Get("/${x}/$x".to_owned())));
}

#[test]
fn variables_that_do_not_expand_are_told() {
    check(
        "admin: { address: \"${NOPE}\" }\nruntime: { workers: \"${SECRET}\", drain: \"${a b}\" }",
        &[
            "1:19: the environment has no variable `NOPE`, which `${NOPE}` needs; `${NOPE:-default}` can do without",
            "2:21: found `${SECRET}` for `workers`, expected `auto` or a number of threads from 1 to 1024",
            "2:41: found `${a b}`, expected `${NAME}`, `${NAME:-default}` or `${file:PATH}`; a literal `${` is written `$${`",
        ],
    );
}

#[test]
fn every_mistake_of_a_file_is_told_at_once() {
    check_whole(
        "upstrems: {}\nlisteners:\n  p:\n    adress: 1\n    limits: { idle: 5, body: 0, streams: x }\n\
         runtime: { workers: 0 }\nadmin: of\ntelemetry: { access_log: }\n",
        &[
            "1:1: unknown key `upstrems`, expected `listeners`, `admin`, `runtime`, `descriptors`, `upstreams`, `defaults`, \
             `services`, `http`, `auth`, `rate_limits` or `telemetry`; did you mean `upstreams`?",
            "4:5: unknown key `adress` under `p`, expected `address`, `tls`, `client_ip`, `addresses`, \
             `underscore_headers`, `redirect` or `limits`; did you mean `address`?",
            "5:21: found `5` for `idle`, expected a time longer than zero with its unit, such as `20ms`, `1.5s`, `2m` or \
             `1h`, up to `365d`",
            "5:30: found `0` for `body`, expected a size in bytes such as `64KiB`, `4MiB`, `1MB` or `4096`, from `1` to `2GiB`",
            "5:42: found `x` for `streams`, expected a whole number from 1 to 4294967295",
            "6:21: found `0` for `workers`, expected `auto` or a number of threads from 1 to 1024",
            "7:8: found `of` for `admin`, expected a mapping with `address`, or `off`",
            "8:24: found no value for `access_log`, expected `json`, `text` or `off`",
        ],
    );
}

#[test]
fn mistakes_in_settings_are_told() {
    check(
        "services:\n  a.B:\n    Get: { timeout: 0s, unannotated: hide, json: { names: jsn, indent: 17 } }\n    stream: \
         foo\n    success_status: 404\n    sse: { id_field: 'a b' }\n    headers: { response: { deny: ['a b', ok-*] } }\n  \
         a/B: {}",
        &[
            "3:21: found `0s` for `timeout`, expected a time longer than zero with its unit, such as `20ms`, `1.5s`, `2m` or \
             `1h`, up to `365d`",
            "3:38: `unannotated` stands under a method, expected under a service or `defaults`",
            "3:59: found `jsn` for `names`, expected `json` or `proto`; did you mean `json`?",
            "3:72: found `17` for `indent`, expected a number from 0 to 16",
            "4:13: found `foo` for `stream`, expected `array`, `ndjson` or `sse`",
            "5:21: found `404` for `success_status`, expected a status from 200 to 399",
            "6:22: `a b` is no name of a field",
            "7:35: `a b` is no header, expected a name such as `x-tenant` or a prefix such as `x-*`",
            "8:3: `a/B` is no name of a service, expected `package.Service`",
        ],
    );
}

#[test]
fn a_misspelt_setting_is_no_method_and_a_misspelt_key_not_missing() {
    check("listeners: { a: { limits: {} } }", &["1:14: the key `address` is missing under `a`"]);
    check(
        "listeners: { a: { adress: '127.0.0.1:1' } }",
        &["1:19: unknown key `adress` under `a`, expected `address`, `tls`, `client_ip`, `addresses`, \
             `underscore_headers`, `redirect` or `limits`; did you mean `address`?"],
    );
    check(
        "defaults: { success_status: 70000, ignored_parameters: x, json: { indent: -1 } }",
        &[
            "1:29: found `70000` for `success_status`, expected a whole number from 0 to 65535",
            "1:56: found `x` for `ignored_parameters`, expected a list",
            "1:75: found `-1` for `indent`, expected a whole number from 0 to 255",
        ],
    );
    check(
        "services: { a.B: { timout: 2s } }",
        &["1:20: unknown key `timout` under `a.B`, expected `timeout`, `unknown_parameters`, `ignored_parameters`, \
           `unknown_fields`, `json`, `errors`, `stream`, `sse`, `keep_alive`, `patch_mask`, `success_status`, \
             `compress_from`, `headers`, `unannotated`, `trailing_slash`, `auth`, `require`, `scopes`, `roles`, `external`, `limits`, \
             `cost`, `addresses`, `forward_token`, `cors` or `security_headers`; did you mean `timeout`?"],
    );
}

#[test]
fn mistakes_in_rules_are_told() {
    let expected = "expected exactly one of `get`, `put`, `post`, `delete`, `patch` and `custom`";
    check(
        "http:\n  rules:\n    - get: /x\n    - { selector: a.B/C, get: /a, put: /b }\n    - { selector: a.B.C }\n    - { \
         selector: a.B.C, get: /a, additional_bindings: [{ selector: a.B.D, get: /b }, {}] }",
        &[
            "3:12: an HTTP rule lacks `selector`, expected `package.Service.Method`",
            "4:19: `a.B/C` names no method, expected `package.Service.Method`; did you mean `a.B.C`?",
            "4:40: an HTTP rule has two paths, expected exactly one of `get`, `put`, `post`, `delete`, `patch` and `custom`",
            &format!("5:19: an HTTP rule has no path, {expected}"),
            "6:69: `selector` stands within `additional_bindings`, expected above it",
            &format!("6:87: an HTTP rule has no path, {expected}"),
        ],
    );
}

#[test]
fn mistakes_in_upstreams_are_told() {
    check_whole(
        "descriptors: { reflection: [usres] }\nupstreams:\n  users: { address: h, services: [a.*] }\n  b: { address: \
         'h:1', services: ['a.*', 'x y'] }\n  c: { address: 'srv:///x' }\n  d: { address: 'https://h:1', tls: { cert: x } \
         }\n  e: { address: '::1:80', services: [e.E] }\n",
        &[
            "1:29: there is no upstream `usres`; did you mean `users`?",
            "3:21: `h` has no port, expected `HOST:PORT`",
            "4:35: `a.*` is served by upstream `users` already",
            "4:42: `x y` names no services, expected a full name (`acme.users.v1.UserService`) or a package (`acme.users.*`)",
            "5:17: addresses of the kind `srv:` are not known, expected `HOST:PORT`, `static:HOST:PORT,…`, `dns:///HOST:PORT` \
             or `unix:PATH`",
            "6:3: neither upstream `d` nor upstream `c` says which `services` it has, expected only one without",
            "6:17: `https://h:1` is a URL, expected `HOST:PORT`; for TLS, give the upstream a `tls` mapping (`tls: {}` will do)",
            "6:45: `cert` stands without `key`, expected both or neither",
            "7:17: `::1:80` is no address, expected `HOST:PORT`: IPv6 addresses stand in brackets",
        ],
    );
}

#[test]
fn mistakes_in_listeners_are_told() {
    check(
        "listeners:\n  a: { address: ':80' }\n  b: { address: '0.0.0.0:1', limits: { header_bytes: 1KiB } }\n  c: { \
         address: '0.0.0.0:1' }\n  d: { address: 'unix:' }\n  e: { address: '0.0.0.0:2', limits: { buffered: 4095KiB } }",
        &[
            "2:17: `:80` is no address to listen on, expected `IP:PORT`; for every interface, `0.0.0.0:80`",
            "3:54: found `1KiB` for `header_bytes`, expected a size from `8KiB` to `1MiB`",
            "4:17: listener `c` has the address of listener `b`",
            "5:17: `unix:` names no path, expected `unix:PATH`",
            "6:50: found `4095KiB` for `buffered`, expected at least the `4MiB` of `body`",
        ],
    );
}

#[test]
fn keys_that_stand_twice_and_keys_without_value_are_told() {
    check(
        "runtime: { drain: 1s }\nruntime: { drain: 2s }\ndefaults:",
        &[
            "2:1: the key `runtime` stands twice, the first time on line 1",
            "3:9: found no value for `defaults`, expected a mapping",
        ],
    );
}

#[test]
fn what_is_no_configuration_at_all_is_told() {
    let nothing = [
        "1:1: no upstream is declared, expected at least one; for example `upstreams: { shop: { address: \
         \"127.0.0.1:50051\" } }`",
        "1:1: no source of descriptors is declared; give `descriptors` one of `paths`, `proto` and `reflection`",
    ];
    check_whole("", &nothing);
    check_whole("# nothing\n", &nothing);
    check_whole("- a\n", &["1:1: found a list, expected a mapping"]);
    check_whole("a", &["1:1: found `a`, expected a mapping"]);
    check_whole("~: 1\n", &["1:1: found a key without a name, expected text"]);
    check_whole("? [a, b]\n: 1\n", &["1:3: found a list or a mapping for a key, expected text"]);
    check_whole("a: [1, 2\nb: }", &["2:2: not legal YAML: illegal placement of ':' indicator"]);
    check_whole(
        "admin: { address: ${HOST} }\n",
        &[
            "1:20: not legal YAML: while parsing a flow mapping, did not find expected ',' or '}'; within `{ }` and `[ ]`, a \
           value with `${` stands in quotes",
        ],
    );
}

#[test]
fn hostile_files_end_in_a_mistake() {
    let level = |n: usize| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(","));
    let bomb = format!("a0: &a0 [x,x,x,x,x,x,x,x,x]\n{}", (1..9).map(level).collect::<String>());
    let texts = [
        bomb,
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        (0..3000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(),
        (0..16).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(),
        (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(),
        format!("x: {}", "a".repeat(5 << 20)),
        format!("x: &a [{}]", "*a,".repeat(10)),
        "x: ${file:/dev/zero}".to_owned(),
    ];
    for text in texts {
        let invalid = parsed(&text).expect_err("it is hostile");
        assert!(!invalid.problems().is_empty());
        assert!(invalid.render(Style::Plain).len() < 20_000);
    }
}

#[test]
fn a_file_of_mistakes_is_not_read_to_its_end() {
    let text: String = (0..300).map(|number| format!("key{number}: 1\n")).collect();
    assert_eq!(parsed(&text).unwrap_err().problems().len(), reader::MAX_PROBLEMS + 1);
}

#[test]
fn problems_are_shown_in_their_source() {
    let invalid = parsed("defaults:\n  errors: statsu\n").unwrap_err();
    let expected = "\
error: found `statsu` for `errors`, expected `status` or `problem`
 --> conf/lockgate.yaml:2:11
  |
2 |   errors: statsu
  |           ^^^^^^
  |
help: did you mean `status`?";
    assert_eq!(invalid.render(Style::Plain), expected);
}

#[test]
fn values_of_files_expand() {
    let folder = std::env::temp_dir().join(format!("lockgate-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("address"), "127.0.0.1:7\r\n").unwrap();
    let text = format!("admin: {{ address: '${{file:address}}' }}\n{EXAMPLE}");
    std::fs::write(folder.join("lockgate.yaml"), text).unwrap();
    let surroundings = Surroundings { environment: &environment, access_log: AccessLog::Json };
    let config = load(&folder.join("lockgate.yaml"), &surroundings).unwrap();
    assert_eq!(config.admin, Some("127.0.0.1:7".parse().unwrap()));
    assert_eq!(config.descriptors.paths, [folder.join("a.binpb")]);
    let missing = load(&folder.join("missing.yaml"), &surroundings).unwrap_err().to_string();
    assert!(missing.contains("can't read the configuration") && missing.contains("missing.yaml"), "{missing}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_example_of_the_documentation_is_legal() {
    let documentation = docs::markdown();
    let (_, rest) = documentation.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let config = parsed(example).unwrap_or_else(|invalid| panic!("{}", invalid.render(Style::Plain)));
    assert_eq!(config.gateway.upstreams.len(), 2);
}

#[test]
fn documentation_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, docs::markdown()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == docs::markdown(), "docs/config.md is stale: run `cargo run --example docs`");
}

#[test]
fn every_key_of_the_schema_is_described() {
    let schema = docs::schema();
    let definitions = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for definition in definitions {
        for (key, value) in definition["properties"].as_object().unwrap() {
            assert!(value["description"].is_string(), "{key} has no description");
        }
    }
}

fn pieces() -> impl Strategy<Value = String> {
    let pieces = [
        "listeners:",
        "upstreams:",
        "services:",
        "defaults:",
        "http:",
        "rules:",
        "address:",
        "a:",
        "a.B:",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        ": ",
        "'",
        "\"",
        "&a ",
        "*a",
        "<<: ",
        "!x ",
        "${",
        "}",
        "$${",
        "|\n",
        ">\n",
        "#",
        "0",
        "1s",
        "é",
        "\u{feff}",
        "\t",
        "---\n",
        "...",
        "? ",
        "~",
        "selector:",
        "limits:",
        "json:",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned), 0..40)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in prop_oneof![any::<String>(), pieces()]) {
        if let Err(invalid) = parsed(&text) {
            prop_assert!(!invalid.problems().is_empty());
            prop_assert!(!invalid.render(Style::Coloured).is_empty());
        }
    }
}

#[test]
fn what_listeners_trust_and_show_is_read() {
    let config = legal(
        "listeners:\n  a:\n    address: '127.0.0.1:1'\n    redirect: 'https:8443'\n    underscore_headers: allow\n    \
         client_ip: { trusted_proxies: [10.1.2.3/8, '::1'], header: forwarded, proxy_protocol: on }\n    \
         addresses: { allow: [192.0.2.1], deny: ['2001:db8::/32'] }\n    \
         tls: { certificates: [{ cert: a.crt, key: /k/a.key }], client_certificates: { ca: ca.crt }, min_version: 1.3 }",
    );
    let listener = config.listeners.first().unwrap();
    same(&listener.trust.proxies, ["10.0.0.0/8", "::1/128"].map(|text| text.parse::<ipnet::IpNet>().unwrap()));
    same(listener.trust.header, crate::protocol::client_address::Header::Forwarded);
    same(listener.proxy_protocol, server::config::ProxyProtocol::On);
    same(&listener.addresses.allow, ["192.0.2.1/32".parse::<ipnet::IpNet>().unwrap()]);
    same(listener.redirect, Some(crate::gateway::head::Redirect { port: Some(8443) }));
    same(listener.underscores, crate::gateway::head::Underscores::Allow);
    let tls = listener.tls.as_ref().unwrap();
    let files: Vec<_> = tls.files().map(|file| file.to_str().unwrap()).collect();
    assert_eq!(files, ["conf/a.crt", "/k/a.key", "conf/ca.crt"]);
    same(tls.min_version, crate::tls::server::MinVersion::Tls13);
    same(tls.client_certificates.as_ref().unwrap().demand, crate::tls::server::Demand::Required);
}

#[test]
fn what_listeners_can_not_trust_and_show_is_told() {
    check(
        "listeners:\n  a:\n    address: '127.0.0.1:1'\n    redirect: http\n    \
         client_ip: { trusted_proxies: [10.0.0.0/33] }\n    addresses: { deny: [nobody] }\n    tls: { certificates: [] }",
        &[
            "4:15: found `http` for `redirect`, expected `https` or `https:PORT`",
            "5:36: `10.0.0.0/33` is no address and no network, expected one such as `192.0.2.1`, `10.0.0.0/8` or \
             `2001:db8::/32`",
            "6:25: `nobody` is no address and no network, expected one such as `192.0.2.1`, `10.0.0.0/8` or \
             `2001:db8::/32`",
            "7:26: `certificates` has none, expected at least one `{ cert: FILE, key: FILE }`",
        ],
    );
}

#[test]
fn mistakes_in_what_the_gateway_signs_are_told_with_their_places() {
    let sign = |more: &str| format!("auth: {{ sign: {{ key: k.pem, {more} }} }}");
    let config = legal(&sign("audience: [a, b]"));
    let signed = config.gateway.sign.expect("it is there").config;
    assert_eq!((signed.key, signed.ttl), (PathBuf::from("conf/k.pem"), Duration::from_secs(60)));
    assert_eq!((signed.issuer.as_str(), signed.header, signed.key_id), ("lockgate", http::header::AUTHORIZATION, None));
    for ttl in ["1s", "1h"] {
        legal(&sign(&format!("audience: [a], ttl: {ttl}")));
    }
    check(&sign("audience: [a], ttl: 999ms"), &["1:49: found `999ms` for `ttl`, expected a time from `1s` to `1h`"]);
    check(&sign("audience: [a], ttl: 61m"), &["1:49: found `61m` for `ttl`, expected a time from `1s` to `1h`"]);
    check(&sign("audience: []"), &["1:39: `audience` is empty: no service could tell that a token is for it"]);
    check(&sign("audience: [a], kid: ''"), &["1:49: `kid` is empty, expected a name"]);
    for header in ["'a b'", "host", "x-request-id", "grpc-x", "x-token-bin", "content-type"] {
        let name = header.trim_matches('\'');
        let expected = format!("1:52: `{name}` is no header for a token, expected `authorization` or one of your own");
        check(&sign(&format!("audience: [a], header: {header}")), &[&expected]);
    }
    let twice = "auth: { forward: { X-Me: a }, sign: { key: k, audience: [a], header: x-me } }";
    check(twice, &["1:20: `auth.sign` sets `x-me` already, expected another name"]);
}

#[test]
fn an_introspection_endpoint_has_rules_and_bounds() {
    let asked = |more: &str| {
        format!(
            "auth: {{ providers: {{ p: {{ introspection: {{ endpoint: 'https://i/', client_id: a, client_secret: b{more} }} }} }} }}"
        )
    };
    let config = legal(&asked(", issuer: me, audience: [x], roles_claim: groups, leeway: 5m, ttl: 1h, stale: 1d"));
    let [crate::auth::Config::Introspection(config)] = config.gateway.providers.as_slice() else { panic!("one") };
    assert_eq!((config.issuer.as_deref(), config.audience.as_slice()), (Some("me"), &["x".to_owned()][..]));
    assert_eq!((config.roles_claim.as_str(), config.leeway.as_secs()), ("groups", 300));
    assert_eq!((config.ttl.as_secs(), config.stale.as_secs()), (3600, 86_400));
    let config = legal(&asked(""));
    let [crate::auth::Config::Introspection(config)] = config.gateway.providers.as_slice() else { panic!("one") };
    assert_eq!((config.ttl.as_secs(), config.stale, config.issuer.as_ref()), (60, Duration::ZERO, None));
    for (key, found, max) in [("ttl", "61m", "1h"), ("stale", "25h", "24h"), ("leeway", "301s", "5m")] {
        let invalid = parsed(&format!("{}\n{EXAMPLE}", asked(&format!(", {key}: {found}")))).expect_err("too long");
        let expected = format!("found `{found}` for `{key}`, expected at most `{max}`");
        assert!(invalid.problems()[0].to_string().contains(&expected), "{invalid}");
    }
}

#[test]
fn security_headers_are_of_the_set_and_have_values() {
    let policy = legal("defaults: { security_headers: { x-frame-options: off, cache-control: 'private, max-age=5' } }");
    let choice = policy.gateway.policy.security_headers.expect("it is there");
    assert!(choice.on && choice.values.len() == 2);
    for (text, told) in [
        ("maybe", "`maybe`"),
        ("[a]", "`true`, `false`, or a mapping of headers"),
        ("{ x-frame-option: DENY }", "did you mean `x-frame-options`?"),
        ("{ x-frame-options: '' }", "1:50: found `` for `x-frame-options`, expected a header's value, or `off`"),
        ("{ x-frame-options: \"a\\nb\" }", "expected a header's value, or `off`"),
        ("{ x-frame-options: \"\u{e9}\" }", "expected a header's value, or `off`"),
    ] {
        let invalid = parsed(&format!("defaults: {{ security_headers: {text} }}\n{EXAMPLE}")).expect_err("it is wrong");
        assert!(invalid.to_string().contains(told), "{text}: {invalid}");
    }
}
