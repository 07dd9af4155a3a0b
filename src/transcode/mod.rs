//! JSON to wire and wire to JSON, by tables that are compiled once per schema.
//!
//! One pass each way, no tree and no dynamic message between; the caller brings the buffers. Specification:
//! <https://protobuf.dev/programming-guides/json/> and <https://protobuf.dev/programming-guides/encoding/>.

pub mod bind;
pub mod decode;
pub mod encode;
pub mod http_body;
pub mod mask;
pub mod plan;
pub mod position;

mod fault;
mod json;
pub(crate) mod well_known;
pub(crate) mod wire;

/// How deep messages, objects and arrays may nest, in JSON and on the wire, also through `Any` and `Struct`.
pub const MAX_DEPTH: usize = 100;
