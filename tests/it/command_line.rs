//! The command line: what it says, where it says it, and the exit code.

use std::process::Command;

use crate::support::folder::Folder;
use crate::support::gateway::{Gateway, configuration, descriptors, lockgate, repository};
use crate::support::process::{Finished, run};
use crate::support::{PATIENCE, echo, listen};

/// Runs a command with a configuration file.
fn with(command: &str, text: &str, arguments: &[&str]) -> Finished {
    let folder = Folder::new();
    let file = folder.write("lockgate.yaml", text);
    run(lockgate().arg(command).arg("-c").arg(file).args(arguments))
}

fn usual(more: &str) -> String {
    configuration("127.0.0.1:1".parse().expect("it is an address"), more)
}

/// That `check` fails with exit code 1, and says all of this.
#[track_caller]
fn wrong(text: &str, says: &[&str]) {
    let finished = with("check", text, &[]);
    let output = format!("{}\n{}", finished.stdout, finished.stderr);
    assert_eq!(finished.code, Some(1), "{text}\n{output}");
    assert!(!output.contains("panicked"), "{output}");
    for part in says {
        assert!(output.contains(part), "it does not say {part:?}:\n{text}\n{output}");
    }
}

/// The line of a text in which a part is, from 1.
fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).expect("it is there") + 1
}

#[test]
fn a_good_configuration_is_fine() {
    let finished = with("check", &usual("defaults: { timeout: 2s }"), &[]);
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
}

#[test]
fn a_mistake_has_its_place() {
    for (more, says) in [
        ("defaults:\n  tiemout: 2s", &["tiemout", "timeout"] as &[&str]),
        ("defaults:\n  timeout: soon", &["soon"]),
        ("defaults:\n  errors: loud", &["loud", "status", "problem"]),
        ("nonsense: 1", &["nonsense"]),
        ("services:\n  lockgate.test.v1.Echoo: { timeout: 1s }", &["lockgate.test.v1.Echoo", "lockgate.test.v1.Echo"]),
        ("services:\n  lockgate.test.v1.Echo:\n    Unarry: { timeout: 1s }", &["Unarry", "Unary"]),
        ("defaults:\n  success_status: 404", &["404"]),
        ("defaults:\n  json: { indent: many }", &["many"]),
    ] {
        let text = usual(more);
        let part = more.split(['\n', ' ', ':']).rfind(|part| says[0].contains(part) && !part.is_empty());
        let line = line_of(&text, part.unwrap_or(says[0]));
        wrong(&text, &[says, &[&format!("lockgate.yaml:{line}:")]].concat());
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let more = "defaults:\n  tiemout: 2s\n  errors: loud\nservices:\n  no.Such.Service: { timeout: 1s }\nnonsense: 1";
    wrong(&usual(more), &["tiemout", "loud", "nonsense"]);
    wrong(
        &usual("services:\n  no.Such.Service: { timeout: 1s }\n  no.Other.Service: {}"),
        &["no.Such.Service", "no.Other.Service"],
    );
}

#[test]
fn yaml_that_is_none_has_its_place() {
    wrong("listeners: [\n", &["lockgate.yaml:"]);
    wrong("listeners: { a: { address: 127.0.0.1:0 }\nadmin: \"", &["lockgate.yaml:"]);
    wrong("defaults: {}\ndefaults: {}\n", &["defaults"]);
}

#[test]
fn rules_that_are_wrong_are_told_with_method_template_and_column() {
    let rules = [
        ("/v1/{string_value", "{string_value"),
        ("v1/a", "v1/a"),
        ("/v1/{string_value=**}/x/{last=**}", "**"),
        ("/v1/**/x", "**"),
        ("/v1/{nope}", "nope"),
        ("/v1/{strings}", "strings"),
        ("/v1/{child}", "child"),
        ("/v1/{string_value}/{string_value}", "string_value"),
        ("/v1/{child.nope}", "child.nope"),
        ("/v1/a{string_value}", "a{string_value}"),
        ("/v1//a", "//"),
    ];
    for (template, says) in rules {
        let rule = format!("http:\n  rules:\n    - {{ selector: lockgate.test.v1.Echo.Plain, get: \"{template}\" }}");
        wrong(&usual(&rule), &["lockgate.test.v1.Echo.Plain", says]);
    }
    for (rule, says) in [
        ("selector: lockgate.test.v1.Echo.Plain, post: /v9, body: nope", "nope"),
        ("selector: lockgate.test.v1.Echo.Plain, get: /v9, response_body: nope", "nope"),
        ("selector: lockgate.test.v1.Echo.Nope, get: /v9", "lockgate.test.v1.Echo.Nope"),
        ("selector: lockgate.test.v1.Echo.Plain", "lockgate.test.v1.Echo.Plain"),
    ] {
        wrong(&usual(&format!("http:\n  rules:\n    - {{ {rule} }}")), &[says]);
    }
}

#[test]
fn bindings_that_can_not_be_told_apart_are_told_both() {
    let rule = "http:\n  rules:\n    - { selector: lockgate.test.v1.Echo.Plain, get: \"/v1/echo/{last}\" }";
    wrong(&usual(rule), &["lockgate.test.v1.Echo.Plain", "lockgate.test.v1.Echo.Unary"]);
}

#[test]
fn descriptors_that_are_broken_are_told_by_their_file() {
    let folder = Folder::new();
    let good = std::fs::read(descriptors()).expect("the set is there");
    for (name, content) in [
        ("garbage.binpb", vec![0xff; 100]),
        ("cut.binpb", good[..good.len() / 2].to_vec()),
        ("empty.binpb", Vec::new()),
        ("text.binpb", b"syntax = \"proto3\";".to_vec()),
    ] {
        let file = folder.write(name, content);
        let finished = run(lockgate().args(["check", "--upstream", "127.0.0.1:1", "--descriptors"]).arg(file));
        let output = format!("{}{}", finished.stdout, finished.stderr);
        assert_eq!(finished.code, Some(1), "{name}: {output}");
        assert!(output.contains(name) && !output.contains("panicked"), "{name}: {output}");
    }
    let missing = folder.join("missing.binpb");
    let finished = run(lockgate().args(["check", "--upstream", "127.0.0.1:1", "--descriptors"]).arg(missing));
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("missing.binpb") || finished.stdout.contains("missing.binpb"));
}

#[test]
fn proto_sources_are_compiled_and_their_mistakes_placed() {
    let folder = Folder::new();
    folder.write("proto/a.proto", "syntax = \"proto3\";\npackage a;\nimport \"google/api/annotations.proto\";\nmessage M { string id = 1; }\nservice S {\n  rpc Get(M) returns (M) { option (google.api.http) = { get: \"/a/{id}\" }; }\n}\n");
    let text = |_: ()| {
        let root = folder.join("proto");
        let settings = format!(
            "descriptors: {{ proto: [{{ root: \"{}\", files: [\"**/*.proto\"] }}] }}\nupstreams: {{ a: {{ services: [a.S], address: \"static:127.0.0.1:1\" }} }}",
            root.display()
        );
        usual(&settings)
    };
    let finished = with("routes", &text(()), &[]);
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    assert!(finished.stdout.contains("/a/{id}"), "{}", finished.stdout);
    folder.write("proto/b.proto", "syntax = \"proto3\";\nmessage B {\n  nope nope = 1;\n}\n");
    wrong(&text(()), &["b.proto"]);
}

#[test]
fn routes_are_a_table() {
    let finished =
        with("routes", &usual("http:\n  rules:\n    - { selector: lockgate.test.v1.Echo.Plain, get: /v9/plain }"), &[]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let row = |parts: &[&str]| {
        let found = finished.stdout.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "no line has {parts:?}:\n{}", finished.stdout);
    };
    row(&["GET", "/v1/echo/{string_value}", "lockgate.test.v1.Echo", "Unary", "echo"]);
    row(&["DELETE", "/v1/rank/{string_value=**}", "RankTail"]);
    row(&["POST", "shelves/*/books/*", ":publish", "Publish"]);
    row(&["GET", "/v9/plain", "Plain"]);
    row(&["POST", "/lockgate.test.v1.Echo/PlainStream"]);
    row(&["REPORT", "/v1/custom/report/{string_value}"]);
}

#[test]
fn a_path_is_explained() {
    let explain = |arguments: &[&str]| with("explain", &usual("defaults: { timeout: 7s }"), arguments);
    let finished = explain(&["GET", "/v1/rank/second?int32Value=5"]);
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    for part in ["RankSegment", "/v1/rank/{string_value}", "second", "7s"] {
        assert!(finished.stdout.contains(part), "it does not say {part:?}:\n{}", finished.stdout);
    }
    let missed = explain(&["GET", "/v1/ecco/a"]);
    assert!(format!("{}{}", missed.stdout, missed.stderr).contains("/v1/echo/{string_value}"), "{}", missed.stdout);
    let other = explain(&["PATCH", "/v1/echo/a"]);
    assert!(format!("{}{}", other.stdout, other.stderr).contains("GET"), "{}", other.stdout);
}

#[test]
fn who_is_believed_and_what_the_upstream_is_told_is_explained() {
    let folder = crate::support::folder::Folder::new();
    folder.write("keys.json", crate::guard::Signer::new("one").set());
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key can be made").serialize_pem();
    folder.write("gateway.pem", &key);
    folder.write("machines.yaml", "keys: []");
    let text = configuration(
        "127.0.0.1:1".parse().unwrap(),
        "
auth:
  providers:
    users: { jwt: { issuer: 'https://issuer.test', audience: [api, web], jwks: keys.json, cookie: session } }
    opaque:
      introspection:
        { endpoint: 'http://127.0.0.1:9/ask?key=hush-1', client_id: me, client_secret: hush-2, stale: 5m, audience: [x] }
    machines: { api_key: { keys: machines.yaml, pepper: hush-3, header: x-key } }
    partners: { mtls: { subjects: ['*.partners.test', 'spiffe://a/b/*'] } }
  forward: { x-user: =auth.subject, x-shared: hush-4 }
  sign: { key: gateway.pem, audience: [internal], header: x-caller }
defaults: { auth: [users, opaque, machines], security_headers: { x-frame-options: off } }
services:
  lockgate.test.v1.Echo:
    Ping: { auth: none }
    Search: { auth: { any: [partners], inherit: false } }
",
    );
    let file = folder.write("lockgate.yaml", text);
    let explain = |path: &str| {
        let finished = run(lockgate().args(["explain", "GET", path, "-c"]).arg(&file));
        assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
        assert!(!finished.stdout.contains("hush") && !finished.stderr.contains("hush"), "{}", finished.stdout);
        finished.stdout
    };
    let said = explain("/v1/echo/a");
    for part in [
        "provider users: jwt in cookie session, issuer https://issuer.test, audience api, web, keys in ",
        "provider opaque: introspection in header authorization (Bearer), asked of http://127.0.0.1:9/ask, audience x, \
         believed for 1m and, while nobody answers, 5m more",
        "provider machines: api_key in header x-key, known by ",
        "machines.yaml, with a pepper",
        "upstream is told: x-user =auth.subject",
        "upstream is told: x-shared, a fixed text",
        "upstream is told: x-caller, a token of issuer lockgate for audience internal, good for 1m, by ",
        "withheld of the client's headers: authorization, x-caller, x-key, x-shared, x-user",
        "withheld of the client's cookies: session",
        "security headers: cache-control, content-security-policy, ",
    ] {
        assert!(said.contains(part), "it does not say {part:?}:\n{said}");
    }
    assert!(!said.contains("partners") && !said.contains("x-frame-options"), "{said}");
    let open = explain("/v1/ping");
    assert!(!open.contains("provider ") && !open.contains("x-caller, a token"), "{open}");
    assert!(open.contains("withheld of the client's headers: x-caller, x-shared, x-user\n"), "{open}");
    let partners = explain("/v1/search");
    let part = "provider partners: mtls with *.partners.test, spiffe://a/b/*";
    assert!(partners.contains(part), "{partners}");
}

#[test]
fn the_schema_is_one() {
    let finished = run(lockgate().arg("schema"));
    assert_eq!(finished.code, Some(0));
    let schema: serde_json::Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    for key in ["listeners", "admin", "runtime", "descriptors", "upstreams", "defaults", "services", "http"] {
        assert!(schema["properties"].get(key).is_some(), "{key} is missing");
    }
}

#[test]
fn help_is_there_for_all() {
    let finished = run(lockgate().arg("--help"));
    assert_eq!(finished.code, Some(0));
    for command in ["serve", "demo", "check", "routes", "explain", "schema"] {
        assert!(finished.stdout.contains(command), "{}", finished.stdout);
        let help = run(lockgate().args([command, "--help"]));
        assert_eq!(help.code, Some(0), "{command}");
        assert!(help.stdout.lines().count() > 4, "{command}: {}", help.stdout);
    }
    let version = run(lockgate().arg("--version"));
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", version.stdout);
}

#[test]
fn a_command_line_that_is_wrong_is_2() {
    for arguments in [&["nope"] as &[&str], &["serve", "--nope"], &["explain"], &[]] {
        let finished = run(lockgate().args(arguments));
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}{}", finished.stdout, finished.stderr);
    }
}

#[test]
fn a_gateway_that_can_not_start_says_why() {
    let (listener, address) = listen("127.0.0.1:0");
    let text = address.to_string();
    let mut taken = lockgate();
    taken.args(["serve", "--listen", &text, "--admin", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--descriptors"]);
    let finished = run(taken.arg(descriptors()));
    drop(listener);
    assert_eq!(finished.code, Some(1), "{}{}", finished.stdout, finished.stderr);
    assert!(finished.stderr.contains(&text), "{}", finished.stderr);
    let nothing = run(lockgate().args(["serve", "-c", "/nonexistent/lockgate.yaml"]));
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.stderr.contains("/nonexistent/lockgate.yaml"), "{}", nothing.stderr);
    let broken = with("serve", "nonsense: 1", &[]);
    assert_eq!(broken.code, Some(1));
    assert!(broken.stderr.contains("lockgate.yaml:1:"), "{}", broken.stderr);
}

#[test]
fn flags_have_variables() {
    let mut command: Command = lockgate();
    command.arg("serve").env("LOCKGATE_LISTEN", "127.0.0.1:0").env("LOCKGATE_ADMIN", "127.0.0.1:0");
    command.env("LOCKGATE_WORKERS", "1").env("LOCKGATE_UPSTREAM", echo::address().to_string());
    command.env("LOCKGATE_DESCRIPTORS", descriptors());
    let gateway = Gateway::start(&mut command);
    gateway.get("/v1/ping").expect(200);
}

#[test]
fn flags_name_their_upstreams_and_take_folders() {
    let folder = Folder::new();
    folder.write("sets/test.binpb", std::fs::read(descriptors()).expect("it is there"));
    folder.write("sets/again.binpb", std::fs::read(descriptors()).expect("it is there"));
    folder.write("sets/README", "not a set");
    let upstream = format!("echo=http://{}", echo::address());
    let mut command = lockgate();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1"]);
    command.args(["--upstream", &upstream, "--descriptors"]).arg(folder.join("sets"));
    let gateway = Gateway::start(&mut command);
    gateway.get("/v1/ping").expect(200);
    let loud = gateway.process.stderr.find(0, PATIENCE, |line| line.to_lowercase().contains("authenticat"));
    assert!(loud.is_some(), "it does not say that nothing is authenticated\n{}", gateway.process.output());
}

#[test]
fn variables_are_put_into_the_configuration() {
    let folder = Folder::new();
    let text =
        configuration(echo::address(), "defaults: { success_status: \"${STATUS}\", errors: \"${NOPE:-problem}\" }");
    let file = folder.write("lockgate.yaml", text);
    let gateway = Gateway::start(lockgate().arg("serve").arg("-c").arg(&file).env("STATUS", "202"));
    assert_eq!(gateway.get("/v1/ping").status(), 202);
    assert!(gateway.get("/nothing").head.get("content-type").is_some_and(|kind| kind.contains("problem")));
    let missing = run(lockgate().arg("check").arg("-c").arg(&file));
    assert_eq!(missing.code, Some(1));
    assert!(format!("{}{}", missing.stdout, missing.stderr).contains("STATUS"));
}

#[test]
fn paths_are_relative_to_the_file_that_names_them() {
    let folder = Folder::new();
    folder.write("sets/test.binpb", std::fs::read(descriptors()).expect("it is there"));
    let text = configuration(echo::address(), "descriptors: { paths: [sets/] }");
    let file = folder.write("lockgate.yaml", text);
    let gateway = Gateway::start(lockgate().arg("serve").arg("-c").arg(file).current_dir(repository("src")));
    gateway.get("/v1/ping").expect(200);
}

#[test]
fn nothing_is_printed_twice_and_no_panic_shows() {
    let finished = with("check", &usual("defaults:\n  tiemout: 2s"), &[]);
    let output = format!("{}\n{}", finished.stdout, finished.stderr);
    assert_eq!(output.matches("lockgate.yaml:").count(), 1, "{output}");
}
