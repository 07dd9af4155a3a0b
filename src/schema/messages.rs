//! Messages: their fields, oneofs and map entries, checked against each other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::declarations::{Declarations, MessageDeclaration};
use super::editions::Features;
use super::error::{Errors, LoadError, Place};
use super::fields::{FieldSource, Role};
use super::{Field, Kind, Shape};

/// How many fields a message may have with its extensions; positions are 16 bits, of which the plan needs one value.
const MAX_FIELDS: usize = u16::MAX as usize;

/// A message while extensions are added to it.
#[derive(Debug)]
pub(crate) struct MessageDraft {
    pub(crate) fields: Vec<Field>,
    pub(crate) oneofs: Box<[Box<str>]>,
    /// The position of the field of each number.
    numbers: HashMap<u32, usize>,
}

/// Makes messages out of their declarations.
pub(crate) struct MessageBuilder<'a, 'e> {
    pub(crate) declarations: &'a Declarations<'a>,
    pub(crate) errors: &'e mut Errors,
}

/// What is known of a oneof before its members are made.
struct Oneof {
    features: Features,
    members: usize,
    /// Whether it stands for proto3's `optional`.
    synthetic: bool,
    /// The position among those that are no stand-ins.
    position: u16,
}

impl<'a> MessageBuilder<'a, '_> {
    /// The message without extensions.
    pub(crate) fn build(&mut self, declaration: &'a MessageDeclaration<'a>) -> MessageDraft {
        let oneofs = self.oneofs(declaration);
        let protos = &declaration.proto.field;
        let mut draft = MessageDraft {
            fields: Vec::with_capacity(protos.len()),
            oneofs: Box::default(),
            numbers: HashMap::with_capacity(protos.len()),
        };
        for proto in protos {
            let role = if declaration.is_map_entry() { Role::EntryPart } else { Role::Alone };
            let (scope, site) = (declaration.symbol, declaration.site);
            let mut source = FieldSource { declarations: self.declarations, proto, role, scope, site };
            if let Some(index) = proto.oneof_index {
                let Some(oneof) = usize::try_from(index).ok().and_then(|index| oneofs.get(index)) else {
                    let place = source.place();
                    let expected = "the position of a oneof of the message";
                    self.errors.push(|| LoadError::Invalid { place, found: format!("oneof_index {index}"), expected });
                    continue;
                };
                source.site.features = oneof.features;
                if !oneof.synthetic {
                    source.role = Role::Member(oneof.position);
                }
            }
            if let Some(field) = self.errors.take(source.build()) {
                let place = || source.place();
                let added = draft.add(field, &place);
                self.errors.take(added);
            }
        }
        let names = declaration.proto.oneof_decl.iter().zip(&oneofs).filter(|(_, oneof)| !oneof.synthetic);
        draft.oneofs = names.map(|(proto, _)| proto.name.as_deref().unwrap_or_default().into()).collect();
        self.check_json_names(declaration, &draft);
        if declaration.is_map_entry() {
            self.check_map_entry(declaration, &draft);
        }
        draft
    }

    fn oneofs(&mut self, declaration: &MessageDeclaration<'_>) -> Vec<Oneof> {
        let site = declaration.site;
        let mut oneofs = Vec::with_capacity(declaration.proto.oneof_decl.len());
        for proto in &declaration.proto.oneof_decl {
            let own = proto.options.as_ref().and_then(|options| options.features.as_ref());
            let features = site.features.with(own.filter(|_| !site.edition.is_legacy()));
            let place = || self.place(declaration, "oneof", proto.name.as_deref());
            let features = features.map_err(|unknown| unknown.at(place()));
            let features = self.errors.take(features).unwrap_or(site.features);
            oneofs.push(Oneof { features, members: 0, synthetic: false, position: 0 });
        }
        for field in &declaration.proto.field {
            let index = field.oneof_index.and_then(|index| usize::try_from(index).ok());
            if let Some(oneof) = index.and_then(|index| oneofs.get_mut(index)) {
                oneof.members += 1;
                oneof.synthetic |= field.proto3_optional == Some(true);
            }
        }
        let mut position = 0;
        for (oneof, proto) in oneofs.iter_mut().zip(&declaration.proto.oneof_decl) {
            oneof.position = position;
            position = position.saturating_add(u16::from(!oneof.synthetic));
            let expected = match (oneof.members, oneof.synthetic) {
                (0, _) => "one or more",
                (2.., true) => "one, as in every oneof that stands for `optional`",
                _ => continue,
            };
            let found = format!("{} fields", oneof.members);
            let place = || self.place(declaration, "oneof", proto.name.as_deref());
            let error = LoadError::Invalid { place: place(), found, expected };
            self.errors.push(|| error);
        }
        oneofs
    }

    fn place(&self, declaration: &MessageDeclaration<'_>, word: &str, name: Option<&str>) -> Place {
        let scope = self.declarations.symbols.full_name(declaration.symbol);
        let dot = if name.is_some() { "." } else { "" };
        declaration.site.file.place(Some(format!("{word} {scope}{dot}{}", name.unwrap_or_default())))
    }

    /// Reports fields that JSON can't tell apart, where the features (and an old option) do not allow that.
    fn check_json_names(&mut self, declaration: &MessageDeclaration<'_>, draft: &MessageDraft) {
        let options = declaration.proto.options.as_ref();
        let allowed = options.and_then(|options| options.deprecated_legacy_json_field_conflicts) == Some(true);
        if declaration.site.features.legacy_json || allowed {
            return;
        }
        let mut names: HashMap<&str, &str> = HashMap::with_capacity(draft.fields.len());
        for field in &draft.fields {
            if let Some(first) = names.insert(&field.json_name, &field.name) {
                let place = self.place(declaration, "field", Some(&field.name));
                let (json_name, first) = (super::sources::shorten(&field.json_name), first.to_owned());
                self.errors.push(|| LoadError::DuplicateJsonName { place, json_name, first });
            }
        }
    }

    /// Reports an entry that is not of the one form that a map has.
    fn check_map_entry(&mut self, declaration: &MessageDeclaration<'_>, draft: &MessageDraft) {
        let is_key = |field: &Field| {
            !matches!(
                field.kind,
                Kind::Double | Kind::Float | Kind::Bytes | Kind::Enum(_) | Kind::Message(_) | Kind::Group(_)
            )
        };
        let valid = match draft.fields.as_slice() {
            [key, value] | [value, key] if key.number == 1 => {
                is_key(key)
                    && value.number == 2
                    && !matches!(value.kind, Kind::Group(_))
                    && value.shape == Shape::Singular
            }
            _ => false,
        };
        if !valid {
            let place = self.place(declaration, "map entry", None);
            let found = "other fields".to_owned();
            let expected = "field 1 of an integer, bool or string type and field 2 of a type other than group";
            self.errors.push(|| LoadError::Invalid { place, found, expected });
        }
    }
}

impl MessageDraft {
    /// Adds a field, if its number is free.
    pub(crate) fn add(&mut self, field: Field, place: &dyn Fn() -> Place) -> Result<(), LoadError> {
        if self.fields.len() >= MAX_FIELDS {
            let found = "one field too many".to_owned();
            return Err(LoadError::Invalid { place: place(), found, expected: "at most 65535 in a message" });
        }
        match self.numbers.entry(field.number) {
            Entry::Vacant(entry) => {
                entry.insert(self.fields.len());
                self.fields.push(field);
                Ok(())
            }
            Entry::Occupied(entry) => {
                let first = self.fields.get(*entry.get()).map(|first| first.name.to_string()).unwrap_or_default();
                Err(LoadError::DuplicateNumber { place: place(), number: field.number, first })
            }
        }
    }
}
