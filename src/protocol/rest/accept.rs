//! Stand-in until the module arrives.

/// How a stream is written where the client does not choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamFormat {
    #[default]
    Array,
    Ndjson,
    Sse,
}
