//! Stand-in until the module arrives.

/// What becomes of what is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    #[default]
    Reject,
    Ignore,
}
