//! Sources that compile, and mistakes with their places.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use protox::file::{File, FileResolver};
use protox::{Compiler, Error};

use super::{Bounded, apart, compile};
use crate::schema::Schema;
use crate::schema::tests::fixture;

/// A folder with `files` in it, gone when the test is over.
struct Sources(PathBuf);

impl Sources {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("lockgate-compile-{}-{name}", std::process::id()));
        for (file, source) in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, source).unwrap();
        }
        Self(root)
    }

    fn compile(&self, files: &[&str]) -> Result<Schema, Vec<String>> {
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let set = compile(&self.0, &files).and_then(|set| Schema::load(&[set]));
        set.map_err(|errors| errors.iter().map(|error| error.to_string().replace(&self.path(), "ROOT")).collect())
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema")
}

#[test]
fn sources_make_the_schema_that_protoc_makes() {
    let files = ["library.proto", "legacy.proto"].map(PathBuf::from);
    let compiled = compile(&fixtures(), &files).unwrap_or_else(|errors| panic!("{errors:#?}"));
    // And to the merge they are the same files.
    let both = [compiled.clone(), fixture("library"), fixture("legacy")];
    assert!(Schema::load(&both).is_ok(), "{:?}", Schema::load(&both));
    let compiled = Schema::load(&[compiled]).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let protoc = Schema::load(&[fixture("library"), fixture("legacy")]).unwrap();
    for message in protoc.messages().iter().filter(|message| message.full_name.starts_with("fixtures.")) {
        let other = compiled.message(compiled.find_message(&message.full_name).unwrap());
        let describe = |schema: &Schema, message: &crate::schema::Message| {
            let fields = message.fields.iter();
            let name = message.full_name.to_string();
            fields.map(|field| crate::schema::tests::describe(schema, &format!("{name}/{}", field.name))).collect()
        };
        let (expected, found): (Vec<String>, Vec<String>) = (describe(&protoc, message), describe(&compiled, other));
        assert_eq!(found, expected, "{}", message.full_name);
    }
    let methods = |schema: &Schema| -> Vec<String> {
        let name = |id| schema.message(id).full_name.to_string();
        let methods = schema.methods().iter();
        methods.map(|it| format!("{} {} {} {:?}", it.path, name(it.input), name(it.output), it.http)).collect()
    };
    assert_eq!(methods(&compiled), methods(&protoc));
}

#[test]
fn a_file_is_named_with_or_without_its_root() {
    let root = fixtures();
    for file in [PathBuf::from("library.proto"), PathBuf::from("./library.proto"), root.join("library.proto")] {
        assert!(compile(&root, std::slice::from_ref(&file)).is_ok(), "{}", file.display());
    }
}

#[test]
fn built_in_files_can_be_imported() {
    let sources = Sources::new(
        "built-in",
        &[(
            "a.proto",
            "syntax = \"proto3\"; import \"google/rpc/status.proto\"; import \"google/rpc/error_details.proto\"; import \
             \"google/api/httpbody.proto\"; import \"google/api/annotations.proto\"; import \
             \"google/protobuf/field_mask.proto\"; message A { google.rpc.Status status = 1; }",
        )],
    );
    assert!(sources.compile(&["a.proto"]).is_ok());
}

#[track_caller]
fn check(name: &str, files: &[(&str, &str)], expected: &[&str]) {
    let sources = Sources::new(name, files);
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    assert_eq!(sources.compile(&names).map(|_| ()).unwrap_err(), expected);
}

#[test]
fn mistakes_have_file_line_and_column() {
    check(
        "mistakes",
        &[
            ("syntax.proto", "syntax = \"proto3\";\nmessage {\n}\n"),
            ("name.proto", "syntax = \"proto3\";\nmessage A {\n  Bar bar = 1;\n}\n"),
            ("import.proto", "syntax = \"proto3\";\nimport \"nowhere.proto\";\n"),
            ("number.proto", "syntax = \"proto3\";\nmessage A { int32 a = 1; int32 b = 1; }\n"),
            ("fine.proto", "syntax = \"proto3\";\nmessage Fine {}\n"),
        ],
        &[
            "ROOT/syntax.proto:2:9: expected an identifier, but found '{'",
            "ROOT/name.proto:3:3: name 'Bar' is not defined",
            "ROOT/import.proto:2:1: import 'nowhere.proto' not found",
            "ROOT/number.proto:2:36: field number '1' is already used",
        ],
    );
}

#[test]
fn several_files_may_fail_by_one_mistake() {
    check(
        "shared",
        &[
            ("a.proto", "syntax = \"proto3\"; import \"broken.proto\";"),
            ("b.proto", "syntax = \"proto3\"; import \"broken.proto\";"),
            ("broken.proto", "syntax = \"proto3\"; message"),
        ],
        &["ROOT/broken.proto: expected an identifier, but reached end of file"],
    );
}

#[test]
fn editions_are_refused_with_a_way_out() {
    let hint = "editions are not compiled in the process; compile the file with `buf build -o set.binpb` or `protoc \
                --include_imports --descriptor_set_out=set.binpb`, and load the descriptor set";
    check(
        "edition",
        &[("new.proto", "// Of today.\n/* edition = \"2022\"; */\n\n  edition = \"2023\";\nmessage A {}")],
        &[&format!("ROOT/new.proto:4:1: {hint}")],
    );
    let sources =
        Sources::new("edition-word", &[("old.proto", "syntax = \"proto3\"; message A { int32 edition = 1; }")]);
    assert!(sources.compile(&["old.proto"]).is_ok());
}

#[test]
fn imports_do_not_leave_the_root() {
    let sources = Sources::new(
        "escape",
        &[
            ("outside.proto", "syntax = \"proto3\";"),
            ("root/up.proto", "syntax = \"proto3\"; import \"../outside.proto\";"),
            ("root/absolute.proto", "syntax = \"proto3\"; import \"/etc/hostname\";"),
        ],
    );
    for file in ["up.proto", "absolute.proto"] {
        assert!(compile(&sources.0.join("root"), &[PathBuf::from(file)]).is_err(), "{file}");
    }
}

#[test]
fn files_that_are_not_there_are_named() {
    let sources = Sources::new("absent", &[("latin.proto", "")]);
    fs::write(sources.0.join("latin.proto"), b"syntax = \"proto3\"; // \xe9").unwrap();
    assert_eq!(
        sources.compile(&["absent.proto", "latin.proto", "../up.proto"]).map(|_| ()).unwrap_err(),
        [
            "ROOT/absent.proto: no such file",
            "ROOT/latin.proto: stream did not contain valid UTF-8",
            "../up.proto: not below ROOT",
        ]
    );
}

#[test]
fn imports_in_a_circle_are_reported() {
    check(
        "circle",
        &[
            ("a.proto", "syntax = \"proto3\"; import \"b.proto\";"),
            ("b.proto", "syntax = \"proto3\"; import \"a.proto\";"),
        ],
        &[
            "ROOT/a.proto: import cycle detected: a.proto -> b.proto -> a.proto",
            "ROOT/b.proto: import cycle detected: b.proto -> a.proto -> b.proto",
        ],
    );
}

/// A file that imports the next one, without end.
struct Endless;

impl FileResolver for Endless {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        let number: usize = name.trim_end_matches(".proto").parse().unwrap();
        File::from_source(name, &format!("syntax = \"proto3\"; import \"{}.proto\";", number + 1))
    }
}

#[test]
fn an_endless_chain_of_imports_does_not_end_the_process() {
    let message = apart(|| {
        let mut compiler = Compiler::with_file_resolver(Bounded { resolver: Endless, files: Cell::new(0) });
        compiler.open_file("0.proto").map(|_| ()).unwrap_err().to_string()
    });
    let expected = "10000.proto: found more than 10000 files; expected fewer";
    assert_eq!(message.unwrap().unwrap(), expected);
}

#[test]
fn a_panic_of_the_compiler_is_an_error() {
    assert!(apart(|| panic!("as prost-reflect does")).unwrap().is_err());
}

#[test]
fn deep_nesting_does_not_end_the_process() {
    let deep = format!("syntax = \"proto3\";{}{}", "message A{".repeat(10_000), "}".repeat(10_000));
    let option = format!("syntax = \"proto3\"; option (x) = {}{};", "{a ".repeat(100_000), "}".repeat(100_000));
    let sources = Sources::new("deep", &[("deep.proto", &deep), ("option.proto", &option)]);
    assert_eq!(sources.compile(&["deep.proto", "option.proto"]).map(|_| ()).unwrap_err().len(), 2);
}
