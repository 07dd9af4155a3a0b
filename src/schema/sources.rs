//! Several descriptor sets as one list of files, every file once and every import present.
//!
//! What protoc, buf and a reflection service say of one file differs in source info, in options and in whether JSON
//! names are spelt out; so files are compared by what a schema is made of, not by their bytes. The files of
//! `google/protobuf/`, `google/api/` and `google/rpc/` exist in as many versions as there are protocs: the first wins,
//! and those that nobody brings are supplied.

use std::collections::{HashMap, HashSet};

use prost::Message as _;

use super::census::{self, MAX_ELEMENTS, MAX_NESTING, Uncountable};
use super::descriptor::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use super::error::{Errors, LoadError, Place};
use super::json_name::lower_camel_case;
use super::load::SourceSet;

/// One `.proto` file.
#[derive(Debug)]
pub(crate) struct File {
    /// The set that brought it.
    pub(crate) origin: String,
    pub(crate) proto: FileDescriptorProto,
    /// Whether no set brought it, so that it came out of this binary.
    pub(crate) supplied: bool,
}

/// The longest name of a file; it is kept with each of its messages.
const MAX_FILE_NAME_BYTES: usize = 1024;

/// How many files of a circle of imports are named.
const MAX_CYCLE_NAMES: usize = 8;

/// How many circles of imports are reported.
const MAX_CYCLES: usize = 20;

/// The packages of which some set or this binary has files.
const SHARED_PACKAGES: [&str; 3] = ["google.protobuf", "google.api", "google.rpc"];

impl File {
    pub(crate) fn name(&self) -> &str {
        self.proto.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn package(&self) -> &str {
        self.proto.package.as_deref().unwrap_or_default()
    }

    /// A place in this file.
    pub(crate) fn place(&self, element: Option<String>) -> Place {
        Place { origin: self.origin.clone(), file: self.name().to_owned(), element }
    }
}

/// The files of all `sets`, then those that are supplied.
pub(crate) fn merge(sets: &[SourceSet], errors: &mut Errors) -> Vec<File> {
    let mut merged = Merged::default();
    let mut elements = 0;
    for set in sets {
        let too_large = |what, limit| LoadError::TooLarge { origin: set.origin.clone(), what, limit };
        match census::count(&set.bytes, MAX_ELEMENTS - elements) {
            Ok(count) => elements += count,
            Err(Uncountable::TooDeep) => {
                errors.push(|| too_large("the nesting of messages", MAX_NESTING));
                continue;
            }
            Err(Uncountable::TooMany) => {
                let what = "the number of files, messages, fields, values and methods";
                errors.push(|| too_large(what, MAX_ELEMENTS));
                continue;
            }
            // Decoding says where.
            Err(Uncountable::Malformed) => {}
        }
        merged.add_set(set, errors);
    }
    let Merged { mut files, mut by_name } = merged;
    supply(&mut files, &mut by_name);
    check_imports(&files, &by_name, errors);
    files
}

/// The files so far.
#[derive(Default)]
struct Merged {
    files: Vec<File>,
    by_name: HashMap<String, usize>,
}

impl Merged {
    fn add_set(&mut self, set: &SourceSet, errors: &mut Errors) {
        let undecodable = |cause: String| LoadError::Undecodable { origin: set.origin.clone(), cause };
        let decoded = match FileDescriptorSet::decode(set.bytes.clone()) {
            Ok(decoded) => decoded,
            Err(error) => return errors.push(|| undecodable(error.to_string())),
        };
        if decoded.file.is_empty() {
            errors.push(|| LoadError::Empty { origin: set.origin.clone() });
        }
        for (number, bytes) in (1..).zip(decoded.file) {
            match FileDescriptorProto::decode(bytes) {
                Ok(proto) => self.add_file(set, proto, errors),
                Err(error) => errors.push(|| undecodable(format!("file {number} of the set: {error}"))),
            }
        }
    }

    fn add_file(&mut self, set: &SourceSet, mut proto: FileDescriptorProto, errors: &mut Errors) {
        let name = proto.name.clone().unwrap_or_default();
        if name.is_empty() || name.len() > MAX_FILE_NAME_BYTES {
            let found = format!("a file name of {} bytes", name.len());
            let place = Place { origin: set.origin.clone(), file: shorten(&name), element: None };
            return errors.push(|| LoadError::Invalid { place, found, expected: "1 to 1024 bytes" });
        }
        fill_json_names(&mut proto);
        let Some(known) = self.by_name.get(&name).and_then(|&position| self.files.get(position)) else {
            self.by_name.insert(name, self.files.len());
            self.files.push(File { origin: set.origin.clone(), proto, supplied: false });
            return;
        };
        if known.proto != proto && !is_shared(&name) {
            let (first, second) = (known.origin.clone(), set.origin.clone());
            errors.push(|| LoadError::FileConflict { file: name, first, second });
        }
    }
}

/// Whether a file of this name comes with protoc or with the public API definitions.
fn is_shared(name: &str) -> bool {
    ["google/protobuf/", "google/api/", "google/rpc/"].iter().any(|folder| name.starts_with(folder))
}

/// Spells out the JSON names, as protoc does in sets but not in what C++ and Python serve by reflection.
fn fill_json_names(file: &mut FileDescriptorProto) {
    let fill = |field: &mut FieldDescriptorProto| {
        // An extension's JSON name is never its `json_name`.
        if field.extendee.is_some() {
            field.json_name = None;
        } else if field.json_name.as_deref().is_none_or(str::is_empty) {
            field.json_name = Some(lower_camel_case(field.name.as_deref().unwrap_or_default()));
        }
    };
    file.extension.iter_mut().for_each(fill);
    let mut open: Vec<&mut DescriptorProto> = file.message_type.iter_mut().collect();
    while let Some(message) = open.pop() {
        message.field.iter_mut().for_each(fill);
        message.extension.iter_mut().for_each(fill);
        open.extend(&mut message.nested_type);
    }
}

/// Adds the built-in files that are imported, then those that clash with nothing: their types are seen in `Any`.
fn supply(files: &mut Vec<File>, by_name: &mut HashMap<String, usize>) {
    let built_in = built_in_files();
    let mut needed: HashSet<&str> = HashSet::new();
    needed.extend(files.iter().flat_map(|file| &file.proto.dependency).map(String::as_str));
    // In our set a file stands behind what it imports, so that imports of imports are seen from the end.
    for file in built_in.iter().rev() {
        if needed.contains(file.name()) && !by_name.contains_key(file.name()) {
            needed.extend(file.proto.dependency.iter().map(String::as_str));
        }
    }
    let names: HashSet<String> = files.iter().flat_map(shared_names).collect();
    let wanted: Vec<bool> = built_in
        .iter()
        .map(|file| needed.contains(file.name()) || !shared_names(file).any(|name| names.contains(&name)))
        .collect();
    for (file, _) in built_in.into_iter().zip(wanted).filter(|(_, wanted)| *wanted) {
        let complete = file.proto.dependency.iter().all(|import| by_name.contains_key(import));
        if complete && !by_name.contains_key(file.name()) {
            by_name.insert(file.name().to_owned(), files.len());
            files.push(file);
        }
    }
}

/// The files of the shared packages that this binary has.
fn built_in_files() -> Vec<File> {
    let decoded = FileDescriptorSet::decode(crate::pb::DESCRIPTORS).expect("build.rs writes a descriptor set");
    let files = decoded.file.into_iter().map(|bytes| {
        let mut proto = FileDescriptorProto::decode(bytes).expect("build.rs writes file descriptors");
        fill_json_names(&mut proto);
        File { origin: "built-in".to_owned(), proto, supplied: true }
    });
    files.filter(|file| is_shared(file.name())).collect()
}

/// The full names that `file` declares at its top level in a shared package.
fn shared_names(file: &File) -> impl Iterator<Item = String> {
    let FileDescriptorProto { message_type, enum_type, extension, service, .. } = &file.proto;
    let names = message_type.iter().map(|message| &message.name);
    let names = names.chain(enum_type.iter().map(|enumeration| &enumeration.name));
    let names = names.chain(extension.iter().map(|extension| &extension.name));
    let names = names.chain(service.iter().map(|service| &service.name));
    let shared = SHARED_PACKAGES.contains(&file.package());
    names.filter(move |_| shared).flatten().map(|name| format!("{}.{name}", file.package()))
}

/// Reports imports of files that are nowhere, and files that import each other in a circle.
fn check_imports(files: &[File], by_name: &HashMap<String, usize>, errors: &mut Errors) {
    let mut imports: Vec<Vec<usize>> = Vec::with_capacity(files.len());
    for file in files {
        let mut found = Vec::with_capacity(file.proto.dependency.len());
        for import in &file.proto.dependency {
            match by_name.get(import) {
                Some(&position) => found.push(position),
                None => errors.push(|| LoadError::MissingImport { place: file.place(None), import: shorten(import) }),
            }
        }
        imports.push(found);
    }
    for cycle in cycles(&imports) {
        let Some(first) = cycle.first().and_then(|&position| files.get(position)) else { continue };
        errors.push(|| {
            let names = cycle.iter().take(MAX_CYCLE_NAMES).filter_map(|&position| files.get(position)).map(File::name);
            let mut text = names.collect::<Vec<_>>().join(" -> ");
            if cycle.len() > MAX_CYCLE_NAMES {
                text.push_str(" -> …");
            }
            LoadError::ImportCycle { place: first.place(None), cycle: format!("{text} -> {}", first.name()) }
        });
    }
}

/// Where a file is in the search for circles.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    New,
    /// On the way from the start to where the search is.
    Open,
    Done,
}

/// Circles in a graph: all of them are broken if each one's last edge is taken away. No recursion, linear.
fn cycles(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut visits = vec![Visit::New; edges.len()];
    let mut cycles = Vec::new();
    for start in 0..edges.len() {
        let mut path: Vec<(usize, std::slice::Iter<'_, usize>)> = Vec::new();
        let mut next = Some(start);
        loop {
            if let Some(node) = next.take() {
                match visits.get_mut(node) {
                    Some(visit @ Visit::New) => {
                        *visit = Visit::Open;
                        path.push((node, edges.get(node).map(Vec::as_slice).unwrap_or_default().iter()));
                    }
                    // The bound keeps the work linear.
                    Some(Visit::Open) if cycles.len() < MAX_CYCLES => {
                        let from = path.iter().position(|(open, _)| *open == node).unwrap_or(0);
                        cycles.push(path.iter().skip(from).map(|(open, _)| *open).collect());
                    }
                    _ => {}
                }
            }
            let Some((node, rest)) = path.last_mut() else { break };
            match rest.next() {
                Some(&import) => next = Some(import),
                None => {
                    if let Some(visit) = visits.get_mut(*node) {
                        *visit = Visit::Done;
                    }
                    path.pop();
                }
            }
        }
    }
    cycles
}

/// The beginning of a text that a set could have made very long.
pub(crate) fn shorten(text: &str) -> String {
    const MAX_CHARS: usize = 120;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
