//! Fields and extensions: their types resolved, their features made plain.

use super::declarations::{Declarations, Site};
use super::descriptor::FieldDescriptorProto;
use super::editions::FieldPresence;
use super::error::{LoadError, Place};
use super::sources::shorten;
use super::symbols::{Entity, Symbol};
use super::{Field, Kind, Presence, Shape};

/// The greatest field number that fits a tag.
const MAX_NUMBER: u32 = (1 << 29) - 1;

/// The greatest type id of a message set's item.
const MAX_TYPE_ID: u32 = i32::MAX.cast_unsigned() - 1;

const LABEL_REQUIRED: i32 = 2;
const LABEL_REPEATED: i32 = 3;

/// A field or an extension as it is declared, and what is around it.
#[derive(Clone, Copy)]
pub(crate) struct FieldSource<'a> {
    pub(crate) declarations: &'a Declarations<'a>,
    pub(crate) proto: &'a FieldDescriptorProto,
    pub(crate) role: Role,
    /// The message around a field, the scope around an extension.
    pub(crate) scope: Symbol,
    /// With the features of what is around it: a oneof, a message or a file.
    pub(crate) site: Site<'a>,
}

/// What a field is to the message that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// In no oneof, or in one that stands for proto3's `optional`.
    Alone,
    /// In the oneof at this position.
    Member(u16),
    /// Key or value of a map's entry.
    EntryPart,
    Extension,
    /// An extension of a message in the old MessageSet format, whose numbers are no field numbers.
    SetExtension,
}

impl FieldSource<'_> {
    /// The field as a schema has it.
    pub(crate) fn build(mut self) -> Result<Field, LoadError> {
        let own = self.proto.options.as_ref().and_then(|options| options.features.as_ref());
        let own = own.filter(|_| !self.site.edition.is_legacy());
        self.site.features = self.site.features.with(own).map_err(|unknown| unknown.at(self.place()))?;
        let number = self.number()?;
        let kind = self.kind()?;
        let shape = self.shape(kind)?;
        let presence = self.presence(kind, shape)?;
        let name = self.proto.name.as_deref().unwrap_or_default();
        let extension = matches!(self.role, Role::Extension | Role::SetExtension);
        let (name, json_name) = if extension {
            let scope = self.declarations.symbols.full_name(self.scope);
            let full_name = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
            let json_name = format!("[{full_name}]");
            (full_name, json_name)
        } else {
            (name.to_owned(), self.json_name()?)
        };
        Ok(Field {
            name: name.into(),
            json_name: json_name.into(),
            number,
            kind,
            shape,
            presence,
            oneof: match self.role {
                Role::Member(position) => Some(position),
                Role::Alone | Role::EntryPart | Role::Extension | Role::SetExtension => None,
            },
            packed: shape == Shape::Repeated && is_packable(kind) && self.says_packed(),
            utf8: kind == Kind::String && self.site.features.utf8,
            extension,
            default: self.default(kind, shape)?,
        })
    }

    /// The place of the field.
    pub(crate) fn place(&self) -> Place {
        let scope = self.declarations.symbols.full_name(self.scope);
        let dot = if scope.is_empty() { "" } else { "." };
        let word = match self.role {
            Role::Alone | Role::Member(_) | Role::EntryPart => Entity::Field.word(),
            Role::Extension | Role::SetExtension => Entity::Extension.word(),
        };
        let name = shorten(self.proto.name.as_deref().unwrap_or_default());
        self.site.file.place(Some(format!("{word} {scope}{dot}{name}")))
    }

    fn invalid(&self, found: String, expected: &'static str) -> LoadError {
        LoadError::Invalid { place: self.place(), found, expected }
    }

    fn number(&self) -> Result<u32, LoadError> {
        let number = self.proto.number.unwrap_or(0);
        let (max, expected) = match self.role {
            Role::SetExtension => (MAX_TYPE_ID, "1 to 2147483646"),
            Role::Alone | Role::Member(_) | Role::EntryPart | Role::Extension => (MAX_NUMBER, "1 to 536870911"),
        };
        let valid = u32::try_from(number).ok().filter(|number| (1..=max).contains(number));
        valid.ok_or_else(|| self.invalid(format!("number {number}"), expected))
    }

    fn json_name(&self) -> Result<String, LoadError> {
        let json_name = self.proto.json_name.clone().unwrap_or_default();
        // It would pass for an extension.
        if json_name.starts_with('[') && json_name.ends_with(']') {
            return Err(self.invalid(format!("json_name {:?}", shorten(&json_name)), "a name without brackets"));
        }
        Ok(json_name)
    }

    fn kind(&self) -> Result<Kind, LoadError> {
        Ok(match self.proto.r#type {
            Some(1) => Kind::Double,
            Some(2) => Kind::Float,
            Some(3) => Kind::Int64,
            Some(4) => Kind::Uint64,
            Some(5) => Kind::Int32,
            Some(6) => Kind::Fixed64,
            Some(7) => Kind::Fixed32,
            Some(8) => Kind::Bool,
            Some(9) => Kind::String,
            Some(12) => Kind::Bytes,
            Some(13) => Kind::Uint32,
            Some(15) => Kind::Sfixed32,
            Some(16) => Kind::Sfixed64,
            Some(17) => Kind::Sint32,
            Some(18) => Kind::Sint64,
            Some(10) => match self.named_type("a message")? {
                Kind::Message(id) => Kind::Group(id),
                _ => return Err(self.unresolved("a message")),
            },
            Some(11) => match self.named_type("a message")? {
                kind @ (Kind::Message(_) | Kind::Group(_)) => kind,
                _ => return Err(self.unresolved("a message")),
            },
            Some(14) => match self.named_type("an enum")? {
                kind @ Kind::Enum(_) => kind,
                _ => return Err(self.unresolved("an enum")),
            },
            None => self.named_type("a message or an enum")?,
            Some(number) => return Err(self.invalid(format!("type number {number}"), "1 to 18")),
        })
    }

    /// The kind that `type_name` means.
    fn named_type(&self, expected: &'static str) -> Result<Kind, LoadError> {
        let name = self.proto.type_name.as_deref().unwrap_or_default();
        match self.declarations.symbols.resolve_type(self.scope, name) {
            Some(Entity::Message(id)) if self.proto.r#type != Some(10) && self.is_delimited(id) => Ok(Kind::Group(id)),
            Some(Entity::Message(id)) => Ok(Kind::Message(id)),
            Some(Entity::Enum(id)) => Ok(Kind::Enum(id)),
            _ => Err(self.unresolved(expected)),
        }
    }

    fn unresolved(&self, expected: &'static str) -> LoadError {
        let name = shorten(self.proto.type_name.as_deref().unwrap_or_default());
        LoadError::Unresolved { place: self.place(), name, expected }
    }

    /// Whether a field of this message type is delimited by tags: never a map nor what is in one.
    fn is_delimited(&self, id: super::MessageId) -> bool {
        self.site.features.delimited && self.role != Role::EntryPart && !self.declarations.message(id).is_map_entry()
    }

    fn shape(&self, kind: Kind) -> Result<Shape, LoadError> {
        let repeated = self.proto.label == Some(LABEL_REPEATED);
        if let Some(label) = self.proto.label.filter(|label| !(1..=3).contains(label)) {
            return Err(self.invalid(format!("label number {label}"), "1 to 3"));
        }
        let entry = kind.message().map(|id| self.declarations.message(id)).filter(|entry| entry.is_map_entry());
        let Some(entry) = entry else {
            return match self.role {
                Role::EntryPart | Role::Member(_) if repeated => {
                    Err(self.invalid("label repeated".to_owned(), "label optional, as in a oneof or a map entry"))
                }
                _ if repeated => Ok(Shape::Repeated),
                _ => Ok(Shape::Singular),
            };
        };
        let owned = self.declarations.symbols.parent(entry.symbol) == self.scope && self.role == Role::Alone;
        if repeated && owned && matches!(kind, Kind::Message(_)) {
            return Ok(Shape::Map);
        }
        let found = format!("map entry {} as its type", self.declarations.symbols.full_name(entry.symbol));
        Err(self.invalid(found, "a repeated field of the message that declares the map entry"))
    }

    fn presence(&self, kind: Kind, shape: Shape) -> Result<Presence, LoadError> {
        if shape != Shape::Singular {
            return Ok(Presence::Implicit);
        }
        let required = self.proto.label == Some(LABEL_REQUIRED)
            || self.site.features.field_presence == FieldPresence::LegacyRequired;
        match self.role {
            Role::Alone if required => Ok(Presence::Required),
            _ if required => Err(self.invalid(
                "a required field".to_owned(),
                "an optional one, as members of oneofs, map entries and extensions are",
            )),
            Role::Member(_) | Role::Extension | Role::SetExtension => Ok(Presence::Explicit),
            Role::Alone | Role::EntryPart => Ok(self.presence_by_features(kind)),
        }
    }

    fn presence_by_features(&self, kind: Kind) -> Presence {
        let explicit = kind.message().is_some()
            || self.proto.proto3_optional == Some(true)
            || self.site.features.field_presence != FieldPresence::Implicit;
        if explicit { Presence::Explicit } else { Presence::Implicit }
    }

    fn says_packed(&self) -> bool {
        let option = self.proto.options.as_ref().and_then(|options| options.packed);
        option.filter(|_| self.site.edition.is_legacy()).unwrap_or(self.site.features.packed)
    }

    fn default(&self, kind: Kind, shape: Shape) -> Result<Option<Box<str>>, LoadError> {
        let Some(text) = self.proto.default_value.as_deref() else { return Ok(None) };
        let valid = shape == Shape::Singular
            && match kind {
                Kind::Double | Kind::Float => text.parse::<f64>().is_ok(),
                Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => text.parse::<i32>().is_ok(),
                Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => text.parse::<i64>().is_ok(),
                Kind::Uint32 | Kind::Fixed32 => text.parse::<u32>().is_ok(),
                Kind::Uint64 | Kind::Fixed64 => text.parse::<u64>().is_ok(),
                Kind::Bool => matches!(text, "true" | "false"),
                Kind::String | Kind::Bytes => true,
                Kind::Enum(id) => self.declarations.enumeration(id).values.contains(text),
                Kind::Message(_) | Kind::Group(_) => false,
            };
        if valid {
            return Ok(Some(text.into()));
        }
        Err(self.invalid(format!("default {:?}", shorten(text)), "a value of the field's type"))
    }
}

/// Whether a list of this kind may be packed.
const fn is_packable(kind: Kind) -> bool {
    !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Group(_))
}
