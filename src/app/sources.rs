//! The files that a configuration is made of: where they are, what is in them, and whether they have changed.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use globset::{Glob, GlobSetBuilder};

use crate::config::{Config, ProtoSource};
use crate::gateway::Problem;
use crate::limit::store::Kind;
use crate::schema::compile;
use crate::schema::load::SourceSet;

/// What a descriptor set's file is called.
const DESCRIPTOR_EXTENSIONS: [&str; 5] = ["binpb", "pb", "desc", "protoset", "fds"];

/// A folder deeper than this is not read: symbolic links may make a circle.
const MAX_FOLDER_DEPTH: usize = 32;

/// Files in all folders together, at most.
const MAX_FILES: usize = 10_000;

/// The largest descriptor set that is read.
const MAX_SET_BYTES: u64 = 256 << 20;

/// Reads every descriptor set and compiles every `.proto` file that the configuration names.
pub(super) fn read(config: &Config) -> Result<Vec<SourceSet>, Vec<Problem>> {
    let mut sets = Vec::new();
    let mut problems = Vec::new();
    if let Some(bytes) = config.descriptors.embedded {
        sets.push(SourceSet { origin: "the demo".into(), bytes: Bytes::from_static(bytes) });
    }
    for path in &config.descriptors.paths {
        match descriptor_files(path) {
            Ok(files) => {
                for file in files {
                    match read_set(&file) {
                        Ok(set) => sets.push(set),
                        Err(error) => problems.push(unreadable(&file, &error)),
                    }
                }
            }
            Err(error) => problems.push(unreadable(path, &error)),
        }
    }
    for source in &config.descriptors.proto {
        match proto_files(source) {
            Ok(files) => match compile::compile(&source.root, &files) {
                Ok(set) => sets.push(set),
                Err(errors) => problems
                    .extend(errors.iter().map(|error| Problem { place: String::new(), message: error.to_string() })),
            },
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(sets) } else { Err(problems) }
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem { place: path.display().to_string(), message: error.to_string() }
}

fn read_set(file: &Path) -> io::Result<SourceSet> {
    let bytes = fs::metadata(file)?.len();
    if bytes > MAX_SET_BYTES {
        return Err(io::Error::other(format!("{bytes} bytes are more than a descriptor set of {MAX_SET_BYTES}")));
    }
    Ok(SourceSet { origin: file.display().to_string(), bytes: fs::read(file)?.into() })
}

/// The file itself, or every descriptor set in the folder and below, in the order of their names.
fn descriptor_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_set = |file: &Path| {
        let extension = file.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| DESCRIPTOR_EXTENSIONS.contains(&extension))
    };
    let files: Vec<_> = walk(path)?.into_iter().filter(|file| is_set(file)).collect();
    if files.is_empty() {
        let expected = DESCRIPTOR_EXTENSIONS.map(|extension| format!(".{extension}")).join(", ");
        return Err(io::Error::other(format!("there is no descriptor set in this folder, expected one of {expected}")));
    }
    Ok(files)
}

fn proto_files(source: &ProtoSource) -> Result<Vec<PathBuf>, Problem> {
    let problem = |message: String| Problem { place: source.root.display().to_string(), message };
    let mut globs = GlobSetBuilder::new();
    for pattern in &source.files {
        globs.add(Glob::new(pattern).map_err(|error| problem(error.to_string()))?);
    }
    let globs = globs.build().map_err(|error| problem(error.to_string()))?;
    let files = walk(&source.root).map_err(|error| problem(error.to_string()))?;
    let files: Vec<_> = files
        .into_iter()
        .filter(|file| is_proto(file))
        .filter(|file| globs.is_match(file.strip_prefix(&source.root).unwrap_or(file)))
        .collect();
    if files.is_empty() {
        return Err(problem(format!("no .proto file matches {:?}", source.files)));
    }
    Ok(files)
}

fn is_proto(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "proto")
}

/// Every file in a folder and below, in the order of their names; what begins with a dot is passed over, as
/// Kubernetes' `..data` and its like hold the same files again.
fn walk(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if !metadata.is_dir() {
                files.push(path);
            } else if depth < MAX_FOLDER_DEPTH {
                folders.push((path, depth + 1));
            }
            if files.len() > MAX_FILES {
                return Err(io::Error::other(format!("there are more than {MAX_FILES} files in this folder")));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What tells a changed file from an unchanged one: links are followed, so that a swapped link is a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, Option<Stamp>)>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// Of the file's status: a permission that is mended is a change too.
    changed: (i64, i64),
}

impl Fingerprint {
    /// Of these files.
    pub(super) fn of<'a>(files: impl Iterator<Item = &'a PathBuf>) -> Self {
        Self(files.map(|file| (file.clone(), Stamp::take(file))).collect())
    }

    /// Of every file and folder that the configuration names, but the listeners' certificates.
    pub(super) fn take(config: &Config) -> Self {
        let mut stamps = Vec::new();
        let mut add = |path: &Path| stamps.push((path.to_owned(), Stamp::take(path)));
        if let Some(file) = &config.file {
            add(file);
        }
        for path in &config.descriptors.paths {
            match descriptor_files(path) {
                Ok(files) => files.iter().for_each(|file| add(file)),
                // A folder that can't be read now, or has nothing in it.
                Err(_) => add(path),
            }
        }
        for source in &config.descriptors.proto {
            // Imports may be any file below the root.
            match walk(&source.root) {
                Ok(files) => files.iter().filter(|file| is_proto(file)).for_each(|file| add(file)),
                Err(_) => add(&source.root),
            }
        }
        for tls in config.gateway.upstreams.iter().filter_map(|upstream| upstream.tls.as_ref()) {
            let identity = tls.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
            tls.ca.iter().chain(identity).for_each(|file| add(file));
        }
        if let Some(Kind::Redis(redis)) = config.gateway.store.as_ref().map(|store| &store.kind) {
            redis.ca.iter().for_each(|file| add(file));
        }
        Self(stamps)
    }
}

impl Stamp {
    /// `None` for a file that is not there.
    fn take(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
