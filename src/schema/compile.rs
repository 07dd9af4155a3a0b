//! `.proto` sources compiled in the process, by protox: proto2 and proto3.
//!
//! Imports are looked up below the root, then among the files of google/protobuf, google/api and google/rpc that this
//! binary carries. This is the one place of the module that reads files.

use std::cell::Cell;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::thread;

use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use protox::{Compiler, Error};

use super::error::{Errors, LoadError};
use super::load::SourceSet;

/// The sources that protox does not bring itself.
const BUILT_IN: [(&str, &str); 6] = [
    ("google/api/annotations.proto", include_str!("../../proto/google/api/annotations.proto")),
    ("google/api/http.proto", include_str!("../../proto/google/api/http.proto")),
    ("google/api/httpbody.proto", include_str!("../../proto/google/api/httpbody.proto")),
    ("google/rpc/code.proto", include_str!("../../proto/google/rpc/code.proto")),
    ("google/rpc/error_details.proto", include_str!("../../proto/google/rpc/error_details.proto")),
    ("google/rpc/status.proto", include_str!("../../proto/google/rpc/status.proto")),
];

/// How many files one compilation reads. The compiler goes from import to import by recursion.
const MAX_FILES: usize = 10_000;

/// The stack for [`MAX_FILES`] imports in a chain.
const STACK_BYTES: usize = 256 << 20;

/// The largest source file.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Compiles `files`, given relative to `root` or with `root` in front, and everything that they import.
///
/// # Errors
///
/// The first mistake of each file, with line and column.
pub fn compile(root: &Path, files: &[PathBuf]) -> Result<SourceSet, Vec<LoadError>> {
    let failed = |cause: &dyn fmt::Display| {
        Err(vec![LoadError::Source { message: format!("{}: can't be compiled: {cause}", root.display()) }])
    };
    match apart(|| compile_files(root, files)) {
        Ok(Ok(compiled)) => compiled,
        Ok(Err(_)) => failed(&"the compiler gave up"),
        Err(error) => failed(&error),
    }
}

/// Runs the compiler on a thread of its own: for the stack, and because it may panic.
fn apart<T: Send>(compile: impl FnOnce() -> T + Send) -> io::Result<thread::Result<T>> {
    let builder = thread::Builder::new().name("compile".to_owned()).stack_size(STACK_BYTES);
    thread::scope(|scope| Ok(builder.spawn_scoped(scope, compile)?.join()))
}

fn compile_files(root: &Path, files: &[PathBuf]) -> Result<SourceSet, Vec<LoadError>> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(SourceFolder { root: root.to_owned() });
    resolver.add(GoogleFileResolver::new());
    resolver.add(BuiltInSources);
    let mut compiler = Compiler::with_file_resolver(Bounded { resolver, files: Cell::new(0) });
    compiler.include_imports(true).include_source_info(true);
    let mut errors = Errors::default();
    let mut messages: Vec<String> = Vec::new();
    for file in files {
        let compiled = match import_name(root, file) {
            Some(name) if !root.join(&name).is_file() => Err(format!("{}: no such file", root.join(&name).display())),
            Some(name) => compiler.open_file(&name).map(|_| ()).map_err(|error| message(root, &error)),
            None => Err(format!("{}: not below {}", file.display(), root.display())),
        };
        // Several files may fail by one mistake in what they import.
        if let Some(message) = compiled.err().filter(|message| !messages.contains(message)) {
            errors.push(|| LoadError::Source { message: message.clone() });
            messages.push(message);
        }
    }
    errors.check(())?;
    Ok(SourceSet { origin: root.display().to_string(), bytes: compiler.encode_file_descriptor_set().into() })
}

/// The name by which other files import `file`.
fn import_name(root: &Path, file: &Path) -> Option<String> {
    let below = match file.strip_prefix(root) {
        Ok(below) if file.is_absolute() || !root.join(file).is_file() => below,
        _ => file,
    };
    let mut name = String::new();
    for component in below.components() {
        match component {
            Component::Normal(component) => {
                if !name.is_empty() {
                    name.push('/');
                }
                name.push_str(component.to_str()?);
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::ParentDir => return None,
        }
    }
    Some(name)
}

/// The compiler's error with its place in front: `root/file.proto:3:14: …`.
fn message(root: &Path, error: &Error) -> String {
    match error.file() {
        // The debug form has line and column, where there are any.
        Some(file) => match format!("{error:?}") {
            placed if placed.starts_with(file) => root.join(placed).display().to_string(),
            unplaced => format!("{}: {unplaced}", root.join(file).display()),
        },
        // An error of our own resolver, whose text begins with the place.
        None => root.join(error.to_string()).display().to_string(),
    }
}

/// Ends a compilation of too many files.
struct Bounded<R> {
    resolver: R,
    /// How many files were read.
    files: Cell<usize>,
}

impl<R: FileResolver> FileResolver for Bounded<R> {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        if self.files.replace(self.files.get() + 1) >= MAX_FILES {
            return Err(Unreadable::at(name, format!("found more than {MAX_FILES} files; expected fewer")));
        }
        self.resolver.open_file(name)
    }
}

/// Finds sources below a folder.
struct SourceFolder {
    root: PathBuf,
}

impl FileResolver for SourceFolder {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        let own = Path::new(name).components().all(|component| matches!(component, Component::Normal(_)));
        let path = self.root.join(name);
        if !own || !path.is_file() {
            return Err(Error::file_not_found(name));
        }
        let size = fs::metadata(&path).map_err(|error| Unreadable::at(name, error.to_string()))?.len();
        if size > MAX_FILE_BYTES {
            return Err(Unreadable::at(name, format!("found {size} bytes; expected at most {MAX_FILE_BYTES}")));
        }
        let source = fs::read_to_string(&path).map_err(|error| Unreadable::at(name, error.to_string()))?;
        if let Some(line) = edition_line(&source) {
            return Err(Unreadable::at(
                &format!("{name}:{line}:1"),
                "editions are not compiled in the process; compile the file with `buf build -o set.binpb` or `protoc \
                 --include_imports --descriptor_set_out=set.binpb`, and load the descriptor set"
                    .to_owned(),
            ));
        }
        File::from_source(name, &source)
    }
}

/// Finds the sources that this binary carries.
struct BuiltInSources;

impl FileResolver for BuiltInSources {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        match BUILT_IN.iter().find(|(file, _)| *file == name) {
            Some((_, source)) => File::from_source(name, source),
            None => Err(Error::file_not_found(name)),
        }
    }
}

/// A source that the compiler does not get to see.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {reason}")]
struct Unreadable {
    place: String,
    reason: String,
}

impl Unreadable {
    fn at(place: &str, reason: String) -> Error {
        Error::new(Self { place: place.to_owned(), reason })
    }
}

/// The line of the `edition` statement, which is the first statement of a file that has one.
fn edition_line(source: &str) -> Option<usize> {
    let mut rest = source.trim_start_matches('\u{feff}');
    loop {
        rest = rest.trim_start();
        rest = match rest.get(..2) {
            Some("//") => rest.split_once('\n').map_or("", |(_, rest)| rest),
            Some("/*") => rest.split_once("*/").map_or("", |(_, rest)| rest),
            _ => break,
        };
    }
    let value = rest.strip_prefix("edition")?.trim_start();
    let before = source.len() - rest.len();
    value.starts_with('=').then(|| source.bytes().take(before).filter(|byte| *byte == b'\n').count() + 1)
}

#[cfg(test)]
mod tests;
