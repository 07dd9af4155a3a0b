//! Descriptor sets to a schema: everything resolved and checked, every mistake reported at once.
//!
//! The steps: count (`census`), merge (`sources`), declare (`declarations`), then resolve messages, enums and methods.
//! The input may be hostile: no step recurses or grows without a bound.

use bytes::Bytes;

use super::declarations::{Declarations, EnumDeclaration, ExtensionDeclaration, MethodDeclaration};
use super::error::{Errors, LoadError};
use super::fields::{FieldSource, Role};
use super::messages::{MessageBuilder, MessageDraft};
use super::sources::{self, shorten};
use super::symbols::Entity;
use super::{Enum, EnumValue, Message, MessageId, Method, MethodId, Schema, well_known};

const IDEMPOTENCY_NO_SIDE_EFFECTS: i32 = 1;
const IDEMPOTENCY_IDEMPOTENT: i32 = 2;

/// One serialized `google.protobuf.FileDescriptorSet`.
#[derive(Clone, Debug)]
pub struct SourceSet {
    /// What messages call it: a file, a folder or an upstream.
    pub origin: String,
    pub bytes: Bytes,
}

impl Schema {
    /// Merges and resolves `sets`.
    ///
    /// The well-known types, google/api and google/rpc are always there; their services are not.
    ///
    /// # Errors
    ///
    /// All mistakes of all sets, each with its place.
    pub fn load(sets: &[SourceSet]) -> Result<Self, Vec<LoadError>> {
        let mut errors = Errors::default();
        let files = sources::merge(sets, &mut errors);
        let declarations = Declarations::collect(&files, &mut errors);
        errors.hide_unresolved_without_files();
        let schema = Resolver { declarations: &declarations, errors: &mut errors }.schema();
        // Without all of its types a schema can't even be looked at.
        let schema = errors.check(schema)?;
        well_known::check(&schema, &mut errors);
        errors.check(schema)
    }
}

/// The second pass: declarations to the types of a schema.
struct Resolver<'a, 'e> {
    declarations: &'a Declarations<'a>,
    errors: &'e mut Errors,
}

impl<'a> Resolver<'a, '_> {
    fn schema(mut self) -> Schema {
        let declarations = self.declarations;
        let mut builder = MessageBuilder { declarations, errors: self.errors };
        let mut drafts: Vec<MessageDraft> =
            declarations.messages.iter().map(|declaration| builder.build(declaration)).collect();
        for extension in &declarations.extensions {
            self.extend(extension, &mut drafts);
        }
        let messages: Vec<Message> =
            drafts.into_iter().zip(0u32..).map(|(draft, id)| self.message(draft, id)).collect();
        let enums: Vec<Enum> = declarations.enums.iter().map(|declaration| self.enumeration(declaration)).collect();
        let own = declarations.methods.iter().filter(|declaration| !declaration.site.file.supplied);
        let methods: Vec<Method> = own.filter_map(|declaration| self.method(declaration)).collect();
        Schema {
            message_names: names(messages.iter().map(|message| &message.full_name), MessageId),
            method_names: names(methods.iter().map(|method| &method.full_name), MethodId),
            messages,
            enums,
            methods,
        }
    }

    /// Adds an extension to the message that it extends.
    fn extend(&mut self, declaration: &ExtensionDeclaration<'a>, drafts: &mut [MessageDraft]) {
        let symbols = &self.declarations.symbols;
        let scope = symbols.parent(declaration.symbol);
        let extendee = declaration.proto.extendee.as_deref().unwrap_or_default();
        let (proto, site) = (declaration.proto, declaration.site);
        let source = FieldSource { declarations: self.declarations, proto, role: Role::Extension, scope, site };
        let Some(Entity::Message(id)) = symbols.resolve_type(scope, extendee) else {
            let (place, name) = (source.place(), shorten(extendee));
            return self.errors.push(|| LoadError::Unresolved { place, name, expected: "a message to extend" });
        };
        let message = self.declarations.message(id);
        let role = if message.is_message_set() { Role::SetExtension } else { Role::Extension };
        let source = FieldSource { role, ..source };
        let Some(field) = self.errors.take(source.build()) else { return };
        let Some(draft) = drafts.get_mut(id.index()) else { return };
        let place = || source.place();
        let added = draft.add(field, &place);
        // Numbers of options are handed out per organisation, so that those of two organisations may well clash.
        let is_option = message.site.file.name() == "google/protobuf/descriptor.proto";
        if !(is_option && matches!(added, Err(LoadError::DuplicateNumber { .. }))) {
            self.errors.take(added);
        }
    }

    fn message(&self, draft: MessageDraft, id: u32) -> Message {
        let declaration = self.declarations.message(MessageId(id));
        let full_name = self.declarations.symbols.full_name(declaration.symbol);
        Message {
            well_known: well_known::find(&full_name),
            full_name: full_name.into(),
            fields: draft.fields.into(),
            oneofs: draft.oneofs,
            map_entry: declaration.is_map_entry(),
            message_set: declaration.is_message_set(),
            file: declaration.site.file.name().into(),
        }
    }

    fn enumeration(&mut self, declaration: &EnumDeclaration<'a>) -> Enum {
        let full_name = self.declarations.symbols.full_name(declaration.symbol);
        let closed = declaration.site.features.closed_enums;
        let found = match declaration.proto.value.first().map(|value| value.number.unwrap_or(0)) {
            None => Some(("no value".to_owned(), "at least one")),
            Some(number) if number != 0 && !closed => {
                Some((format!("a first value of number {number}"), "0, as in every open enum"))
            }
            Some(_) => None,
        };
        if let Some((found, expected)) = found {
            let place = declaration.site.file.place(Some(format!("enum {full_name}")));
            self.errors.push(|| LoadError::Invalid { place, found, expected });
        }
        let values = declaration.proto.value.iter().map(|value| EnumValue {
            name: value.name.as_deref().unwrap_or_default().into(),
            number: value.number.unwrap_or(0),
        });
        Enum {
            null_value: full_name == "google.protobuf.NullValue",
            full_name: full_name.into(),
            values: values.collect(),
            closed,
            file: declaration.site.file.name().into(),
        }
    }

    fn method(&mut self, declaration: &MethodDeclaration<'a>) -> Option<Method> {
        let proto = declaration.proto;
        let symbols = &self.declarations.symbols;
        let service = symbols.full_name(symbols.parent(declaration.symbol));
        let full_name = symbols.full_name(declaration.symbol);
        let input = self.method_type(declaration, &full_name, proto.input_type.as_deref());
        let output = self.method_type(declaration, &full_name, proto.output_type.as_deref());
        let name = proto.name.as_deref().unwrap_or_default();
        let options = proto.options.as_ref();
        let idempotency = options.and_then(|options| options.idempotency_level);
        Some(Method {
            path: format!("/{service}/{name}").into(),
            full_name: full_name.into(),
            service: service.into(),
            name: name.into(),
            input: input?,
            output: output?,
            client_streaming: proto.client_streaming,
            server_streaming: proto.server_streaming,
            http: options.and_then(|options| options.http.clone()),
            no_side_effects: idempotency == Some(IDEMPOTENCY_NO_SIDE_EFFECTS),
            idempotent: matches!(idempotency, Some(IDEMPOTENCY_NO_SIDE_EFFECTS | IDEMPOTENCY_IDEMPOTENT)),
            file: declaration.site.file.name().into(),
        })
    }

    /// The message that a method takes or gives.
    fn method_type(
        &mut self,
        declaration: &MethodDeclaration<'a>,
        full_name: &str,
        type_name: Option<&str>,
    ) -> Option<MessageId> {
        let name = type_name.unwrap_or_default();
        match self.declarations.symbols.resolve_type(declaration.symbol, name) {
            Some(Entity::Message(id)) => Some(id),
            _ => {
                let place = declaration.site.file.place(Some(format!("method {full_name}")));
                self.errors.push(|| LoadError::Unresolved { place, name: shorten(name), expected: "a message" });
                None
            }
        }
    }
}

/// Ids by full name.
fn names<'n, I>(names: impl Iterator<Item = &'n Box<str>>, id: fn(u32) -> I) -> std::collections::HashMap<Box<str>, I> {
    names.cloned().zip((0..).map(id)).collect()
}

#[cfg(test)]
mod tests;
