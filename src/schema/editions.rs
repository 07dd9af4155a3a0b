//! Features of editions, resolved from file to field.
//!
//! proto2 and proto3 are editions like the others here: a file's edition gives the defaults, and file, message, oneof,
//! enum and field each override some of what they inherit. Defaults: `edition_defaults` in
//! `google/protobuf/descriptor.proto`; rules: <https://protobuf.dev/editions/features/>.

use super::descriptor::{FeatureSet, FileDescriptorProto};
use super::error::{LoadError, Place};

/// The edition of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edition {
    Proto2,
    Proto3,
    Edition2023,
    Edition2024,
}

/// `features.field_presence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldPresence {
    Explicit,
    Implicit,
    LegacyRequired,
}

/// The features that hold at one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) field_presence: FieldPresence,
    pub(crate) closed_enums: bool,
    pub(crate) packed: bool,
    pub(crate) utf8: bool,
    pub(crate) delimited: bool,
    /// `LEGACY_BEST_EFFORT`: JSON names may clash.
    pub(crate) legacy_json: bool,
}

/// A feature that has a value which its enum does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownFeature {
    pub(crate) name: &'static str,
    pub(crate) value: i32,
}

impl Edition {
    /// The edition of `file`, or what it says where that is none we know.
    pub(crate) fn of(file: &FileDescriptorProto) -> Result<Self, String> {
        match (file.syntax.as_deref(), file.edition) {
            (None | Some("" | "proto2"), _) => Ok(Self::Proto2),
            (Some("proto3"), _) => Ok(Self::Proto3),
            (Some("editions"), Some(998)) => Ok(Self::Proto2),
            (Some("editions"), Some(999)) => Ok(Self::Proto3),
            (Some("editions"), Some(1000)) => Ok(Self::Edition2023),
            (Some("editions"), Some(1001)) => Ok(Self::Edition2024),
            (Some("editions"), Some(1002)) => Err("edition 2026".into()),
            (Some("editions"), Some(number)) => Err(format!("edition number {number}")),
            (Some("editions"), None) => Err("`syntax = \"editions\"` without an edition".into()),
            (Some(syntax), _) => Err(format!("syntax {syntax:?}")),
        }
    }

    /// What holds where nothing is said.
    pub(crate) const fn defaults(self) -> Features {
        match self {
            Self::Proto2 => Features {
                field_presence: FieldPresence::Explicit,
                closed_enums: true,
                packed: false,
                utf8: false,
                delimited: false,
                legacy_json: true,
            },
            Self::Proto3 => Features { field_presence: FieldPresence::Implicit, ..Self::Edition2023.defaults() },
            Self::Edition2023 | Self::Edition2024 => Features {
                field_presence: FieldPresence::Explicit,
                closed_enums: false,
                packed: true,
                utf8: true,
                delimited: false,
                legacy_json: false,
            },
        }
    }

    /// Whether labels and options stand where editions have features.
    pub(crate) const fn is_legacy(self) -> bool {
        matches!(self, Self::Proto2 | Self::Proto3)
    }
}

impl Features {
    /// These features with what an element says on top of them.
    pub(crate) fn with(mut self, features: Option<&FeatureSet>) -> Result<Self, UnknownFeature> {
        let Some(features) = features else { return Ok(self) };
        match features.field_presence.unwrap_or(0) {
            0 => {}
            1 => self.field_presence = FieldPresence::Explicit,
            2 => self.field_presence = FieldPresence::Implicit,
            3 => self.field_presence = FieldPresence::LegacyRequired,
            value => return Err(UnknownFeature { name: "field_presence", value }),
        }
        let mut choose = |name, value: Option<i32>, [yes, no]: [i32; 2], target: fn(&mut Self) -> &mut bool| {
            match value.unwrap_or(0) {
                0 => {}
                value if value == yes => *target(&mut self) = true,
                value if value == no => *target(&mut self) = false,
                value => return Err(UnknownFeature { name, value }),
            }
            Ok(())
        };
        choose("enum_type", features.enum_type, [2, 1], |it| &mut it.closed_enums)?;
        choose("repeated_field_encoding", features.repeated_field_encoding, [1, 2], |it| &mut it.packed)?;
        choose("utf8_validation", features.utf8_validation, [2, 3], |it| &mut it.utf8)?;
        choose("message_encoding", features.message_encoding, [2, 1], |it| &mut it.delimited)?;
        choose("json_format", features.json_format, [2, 1], |it| &mut it.legacy_json)?;
        Ok(self)
    }
}

impl UnknownFeature {
    /// The mistake of an element that has it.
    pub(crate) fn at(self, place: Place) -> LoadError {
        let found = format!("features.{} = {}", self.name, self.value);
        LoadError::Invalid { place, found, expected: "a value that edition 2023 or 2024 defines" }
    }
}
