//! The client's side of a call as REST: media types, errors, and the framings of streams both ways.

pub mod accept;
pub mod array;
pub mod content;
pub mod error;
pub mod ndjson;
pub mod split;
pub mod sse;
