//! Compiles `proto/` with protox (no protoc, no network) into Rust types and a descriptor set, both in `OUT_DIR`.
//!
//! The set holds every file under `proto/` with its imports; `schema` supplies well-known imports out of it, and a
//! test holds `descriptors/` against it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The files of `google/protobuf/` that users' descriptor sets may lack.
const WELL_KNOWN: [&str; 11] = [
    "any",
    "api",
    "descriptor",
    "duration",
    "empty",
    "field_mask",
    "source_context",
    "struct",
    "timestamp",
    "type",
    "wrappers",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut files = Vec::new();
    collect(Path::new("proto"), &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&files)?;
    for file in WELL_KNOWN {
        compiler.open_file(format!("google/protobuf/{file}.proto"))?;
    }
    fs::write(out.join("lockgate.binpb"), compiler.encode_file_descriptor_set())?;

    let types = compiler.file_descriptor_set();
    tonic_prost_build::configure().out_dir(&out).btree_map(".shop").include_file("proto.rs").compile_fds(types)?;
    Ok(())
}

/// Every `.proto` file below `folder`.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
