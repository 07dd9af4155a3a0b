//! The text forms of the well-known types that are strings in ProtoJSON.

pub(crate) mod decode_mask;
pub(crate) mod decode_time;
