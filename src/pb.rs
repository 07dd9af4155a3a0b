//! The Rust types that `build.rs` generates from `proto/`, by package, and the descriptor set of the same files.
//!
//! Generated code keeps its own style, so the lints stop here.
#![allow(clippy::all, clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, unreachable_pub, rustdoc::all)]

include!(concat!(env!("OUT_DIR"), "/proto.rs"));

/// A serialized `google.protobuf.FileDescriptorSet` of everything under `proto/`, all of `google/protobuf/` included.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lockgate.binpb"));
