//! The protobuf wire format: varints, tags and the skipping of what is not known.
//!
//! Specification: <https://protobuf.dev/programming-guides/encoding/>.

use crate::schema::Kind;

/// The form of a value behind its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint,
    Fixed64,
    Length,
    StartGroup,
    EndGroup,
    Fixed32,
}

impl WireType {
    /// The form in which one value of this kind is written.
    pub(crate) const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Sint32 | Kind::Sint64 => Self::Varint,
            Kind::Bool | Kind::Enum(_) => Self::Varint,
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Self::Fixed64,
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Self::Fixed32,
            Kind::String | Kind::Bytes | Kind::Message(_) => Self::Length,
            Kind::Group(_) => Self::StartGroup,
        }
    }

    /// The lowest three bits of a tag.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Varint => 0,
            Self::Fixed64 => 1,
            Self::Length => 2,
            Self::StartGroup => 3,
            Self::EndGroup => 4,
            Self::Fixed32 => 5,
        }
    }
}
