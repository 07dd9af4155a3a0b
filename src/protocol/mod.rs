//! What goes over the wire on either side of a call, as bytes and values in, bytes and values out.
//!
//! Towards the upstream: gRPC framing ([`envelope`]), compression, metadata, deadlines and how a call ends ([`end`]),
//! by <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>. Towards the client: [`rest`]. Nothing in here
//! knows a clock, a socket, a random number or the schema; whoever calls brings them.

pub mod client_address;
pub mod compression;
pub mod cors;
pub mod deadline;
pub mod end;
pub mod envelope;
pub mod forwarding;
pub mod head;
pub mod http1;
pub mod http2;
pub mod metadata;
pub mod rest;
pub mod security_headers;
