//! Writes the sets in `descriptors/` from `proto/`: run it after changing a `.proto` file.
//!
//! ```text
//! cargo run --example descriptors
//! ```
//!
//! Its test compiles the same sets and compares them with what is checked in.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The checked-in sets: the name of the file in `descriptors/`, and the folder below `proto/` that it is made of.
const SETS: [(&str, &str); 2] = [("shop.binpb", "shop"), ("test.binpb", "lockgate/test")];

fn main() -> Result<(), Box<dyn Error>> {
    for (name, folder) in SETS {
        let path = checked_in(name);
        fs::write(&path, compile(folder)?)?;
        println!("{}", path.display());
    }
    Ok(())
}

fn checked_in(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptors").join(name)
}

/// A `google.protobuf.FileDescriptorSet` of this folder's files with all their imports and comments.
fn compile(folder: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files)?;
    files.sort();
    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&files)?;
    Ok(compiler.encode_file_descriptor_set())
}

/// Every `.proto` file below `folder`.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension() == Some(OsStr::new("proto")) {
            files.push(path);
        }
    }
    Ok(())
}

#[test]
fn checked_in_sets_are_those_of_the_sources() {
    for (name, folder) in SETS {
        let fresh = compile(folder).unwrap();
        let found = fs::read(checked_in(name)).unwrap_or_default();
        assert!(fresh == found, "descriptors/{name} is not what proto/{folder} says: cargo run --example descriptors");
    }
}
