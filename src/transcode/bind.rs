//! Stand-in until the module arrives.

/// What becomes of what is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownParameters {
    #[default]
    Reject,
    Ignore,
}
