//! The source as it should be: the direction of imports, heads of files, sizes, and the invariants that can be read
//! off the text.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::gateway::{lockgate, repository};
use crate::support::process::run;

/// The longest file and function, tests aside.
const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;

/// One source file.
struct Source {
    /// Below `src/`, such as `call/unary.rs`.
    name: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.name.ends_with("/tests.rs") || self.name == "tests.rs" || self.name.contains("/tests/")
    }

    /// The module of `lib.rs` that it belongs to.
    fn module(&self) -> &str {
        self.name.split('/').next().expect("a name has a part").trim_end_matches(".rs")
    }

    /// Its lines without comments, and without what is only for tests, each with its number.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().take_while(|(_, line)| !line.starts_with("mod tests {"));
        lines
            .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
            .filter(|(_, line)| !line.trim().is_empty())
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
    files.sort();
}

fn sources_in(folder: &str) -> Vec<Source> {
    let root = repository(folder);
    let mut files = Vec::new();
    if root.is_dir() {
        walk(&root, &mut files);
    }
    let source = |path: PathBuf| {
        let name = path.strip_prefix(&root).expect("it is below").to_str().expect("it is text").to_owned();
        let text = fs::read_to_string(&path).expect("it is text");
        Source { name, text }
    };
    files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")).map(source).collect()
}

fn sources() -> Vec<Source> {
    sources_in("src")
}

/// The modules in the order of `lib.rs`, from above to below.
fn order() -> Vec<String> {
    let text = fs::read_to_string(repository("src/lib.rs")).expect("it is there");
    let name = |line: &str| {
        let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        line.strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned)
    };
    text.lines().filter_map(name).collect()
}

/// Fails with all complaints at once.
#[track_caller]
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// The first names after `crate::` in a line, braces included.
fn imports(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let before = line[..at].chars().next_back();
        if before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == '$') {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let names = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap_or(list));
        let names: Vec<_> = if rest.starts_with('{') { names.split(',').collect() } else { vec![names] };
        let first = |name: &str| {
            let name = name.trim();
            let end = name.find(|character: char| !character.is_alphanumeric() && character != '_');
            name[..end.unwrap_or(name.len())].to_owned()
        };
        found.extend(names.into_iter().map(first).filter(|name| !name.is_empty()));
    }
    found
}

#[test]
fn imports_are_read() {
    assert_eq!(imports("use crate::a::b;"), ["a"]);
    assert_eq!(imports("use crate::{a::b, c, d::{e}};"), ["a", "c", "d"]);
    assert_eq!(imports("let x = crate::a::f(crate::b::C);"), ["a", "b"]);
    assert!(imports("use othercrate::a;").is_empty());
}

#[test]
fn imports_point_down_the_list() {
    let order = order();
    assert!(order.len() >= 3, "the list of lib.rs is not read: {order:?}");
    let place: BTreeMap<_, _> = order.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let mut complaints = Vec::new();
    for source in sources() {
        let Some(own) = place.get(source.module()) else { continue };
        for (number, line) in source.code() {
            for name in imports(line) {
                // A macro or an item of the crate's root has no place in the list.
                let Some(other) = place.get(name.as_str()) else { continue };
                if other < own && !source.is_test() {
                    complaints.push(format!(
                        "src/{}:{number}: {} uses {name}, which is above it",
                        source.name,
                        source.module()
                    ));
                }
            }
        }
    }
    none(complaints);
}

#[test]
fn every_module_is_in_the_list() {
    let order = order();
    let missing = sources().into_iter().filter(|source| {
        !["lib", "main"].contains(&source.module()) && !order.iter().any(|name| name == source.module())
    });
    none(missing.map(|source| format!("src/{} is in no module of lib.rs", source.name)).collect());
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut complaints = Vec::new();
    for folder in ["src", "tests", "examples", "benches"] {
        for source in sources_in(folder) {
            let generated = source.text.starts_with("// This file is @generated");
            if !source.text.starts_with("//!") && !source.is_test() && !generated {
                complaints.push(format!("{folder}/{} does not begin with //!", source.name));
            }
        }
    }
    none(complaints);
}

#[test]
fn no_file_is_too_long() {
    let mut complaints = Vec::new();
    for source in sources().into_iter().filter(|source| !source.is_test()) {
        let lines = source.text.lines().take_while(|line| !line.starts_with("mod tests {")).count();
        if lines > FILE_LINES && !source.text.contains("clippy::too_many_lines, reason = \"a table") {
            complaints.push(format!("src/{} has {lines} lines", source.name));
        }
    }
    none(complaints);
}

#[test]
fn no_function_is_too_long() {
    let mut complaints = Vec::new();
    for source in sources().into_iter().filter(|source| !source.is_test()) {
        let lines: Vec<_> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let trimmed = line.trim_start();
            let named = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "async fn ",
                "pub async fn ",
                "pub(crate) async fn ",
                "const fn ",
                "pub const fn ",
                "pub(crate) const fn ",
            ];
            if !named.iter().any(|start| trimmed.starts_with(start)) {
                continue;
            }
            let end = format!("{}}}", " ".repeat(indent));
            let Some(length) = lines[at..].iter().position(|line| *line == end) else { continue };
            let expected = lines[at.saturating_sub(8)..at].iter().any(|line| line.contains("clippy::too_many_lines"));
            if length + 1 > FUNCTION_LINES + 2 && !expected {
                complaints.push(format!("src/{}:{}: {} lines: {trimmed}", source.name, at + 1, length + 1));
            }
        }
    }
    none(complaints);
}

#[test]
fn pure_modules_touch_nothing() {
    let forbidden = [
        "tokio",
        "hyper::",
        "std::time::Instant",
        "Instant::now",
        "SystemTime",
        "std::fs",
        "std::env",
        "std::process",
        "std::thread",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "ToSocketAddrs",
    ];
    let mut complaints = Vec::new();
    for source in sources().into_iter().filter(|source| !source.is_test()) {
        if !["schema", "route", "transcode", "protocol"].contains(&source.module())
            || source.name == "schema/compile.rs"
        {
            continue;
        }
        for (number, line) in source.code() {
            let flat = line.replace("::{", "::");
            for word in forbidden {
                if line.contains(word) || flat.contains(word) {
                    complaints.push(format!("src/{}:{number}: {word}: {}", source.name, line.trim()));
                }
            }
        }
    }
    none(complaints);
}

#[test]
fn the_request_path_holds_no_tree() {
    let forbidden = ["serde_json::Value", "serde_json::Map", "serde_json::to_value", "prost_reflect", "DynamicMessage"];
    let mut complaints = Vec::new();
    for source in sources().into_iter().filter(|source| !source.is_test()) {
        if !["call", "transcode", "gateway", "protocol", "route"].contains(&source.module()) {
            continue;
        }
        for (number, line) in source.code() {
            for word in forbidden {
                if line.contains(word) {
                    complaints.push(format!("src/{}:{number}: {word}: {}", source.name, line.trim()));
                }
            }
        }
    }
    none(complaints);
}

#[test]
fn files_have_names_of_things() {
    let vague = ["utils", "util", "helpers", "helper", "common", "types", "manager", "misc"];
    let named = |source: &Source| {
        let stem = source.name.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
        vague.contains(&stem.as_str()) || source.name.split('/').any(|part| vague.contains(&part))
    };
    none(sources().into_iter().filter(named).map(|source| format!("src/{}", source.name)).collect());
}

#[test]
fn nothing_is_left_open() {
    let mut complaints = Vec::new();
    for folder in ["src", "tests", "examples", "benches"] {
        for source in sources_in(folder) {
            for (at, line) in source.text.lines().enumerate() {
                let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ign", "ore")];
                if marks.iter().any(|mark| line.contains(mark)) {
                    complaints.push(format!("{folder}/{}:{}: {}", source.name, at + 1, line.trim()));
                }
            }
        }
    }
    none(complaints);
}

/// Every file that is under version control; nothing where there is none.
fn committed() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(repository(".")).output();
    let Ok(listed) = listed else { return Vec::new() };
    let names = listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| repository(str::from_utf8(name).expect("names are text"))).collect()
}

#[test]
fn no_path_of_a_machine_is_committed() {
    let marks = [
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("C:", "\\"),
    ];
    let mut complaints = Vec::new();
    for path in committed() {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (at, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                complaints.push(format!("{}:{}: {}", path.display(), at + 1, line.trim()));
            }
        }
    }
    none(complaints);
}

#[test]
fn descriptors_are_fresh() {
    // The sets as `examples/descriptors.rs` writes them are held against the build's own compilation of `proto/`.
    use prost::Message as _;
    use prost_types::FileDescriptorSet;
    let built = FileDescriptorSet::decode(lockgate::pb::DESCRIPTORS).expect("the build's own set is sound");
    let built: BTreeMap<_, _> = built.file.iter().map(|file| (file.name(), file)).collect();
    let mut complaints = Vec::new();
    let mut files = Vec::new();
    walk(&repository("descriptors"), &mut files);
    assert!(!files.is_empty());
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "binpb")) {
        let set = FileDescriptorSet::decode(fs::read(path).expect("it can be read").as_slice()).expect("it is a set");
        for file in &set.file {
            let strip = |file: &prost_types::FileDescriptorProto| {
                let mut file = file.clone();
                file.source_code_info = None;
                file
            };
            match built.get(file.name()) {
                Some(built) if strip(built) == strip(file) => {}
                Some(_) => complaints.push(format!("{}: {} is stale", path.display(), file.name())),
                None => complaints.push(format!("{}: {} is not built", path.display(), file.name())),
            }
        }
    }
    none(complaints);
}

#[test]
fn the_documentation_of_the_configuration_is_fresh() {
    let checked_in = repository("docs/config.md");
    let text = fs::read_to_string(&checked_in).expect("docs/config.md is checked in");
    let schema = run(lockgate().arg("schema"));
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout).expect("it is JSON");
    let keys = schema["properties"].as_object().expect("the configuration has keys");
    let missing = keys.keys().filter(|key| !text.contains(&format!("`{key}`")) && !text.contains(&format!("{key}:")));
    none(missing.map(|key| format!("docs/config.md does not name {key}")).collect());
}
