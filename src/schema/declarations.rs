//! Everything that the files declare: names in their scopes, ids, and the features that hold there.
//!
//! The first of two passes; types are resolved in the second, when every name is known.

use std::collections::HashSet;

use super::descriptor::{
    DescriptorProto, EnumDescriptorProto, FeatureSet, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto,
    ServiceDescriptorProto,
};
use super::editions::{Edition, Features};
use super::error::{Errors, LoadError};
use super::sources::{File, shorten};
use super::symbols::{Entity, MAX_FULL_NAME_BYTES, Refusal, Symbol, Symbols};
use super::{EnumId, MessageId};

/// The longest package name, as protoc has it.
const MAX_PACKAGE_BYTES: usize = 511;

/// How many bytes the names that a schema keeps may have in all.
const MAX_NAMES_BYTES: usize = 256 << 20;

/// What all files declare, in the order of their declaration.
#[derive(Debug)]
pub(crate) struct Declarations<'a> {
    pub(crate) symbols: Symbols<'a>,
    /// An id is a position in here.
    pub(crate) messages: Vec<MessageDeclaration<'a>>,
    /// An id is a position in here.
    pub(crate) enums: Vec<EnumDeclaration<'a>>,
    pub(crate) extensions: Vec<ExtensionDeclaration<'a>>,
    pub(crate) methods: Vec<MethodDeclaration<'a>>,
}

/// Where something is declared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) file: &'a File,
    pub(crate) edition: Edition,
    pub(crate) features: Features,
    /// The position of the file.
    position: usize,
}

#[derive(Debug)]
pub(crate) struct MessageDeclaration<'a> {
    pub(crate) proto: &'a DescriptorProto,
    pub(crate) symbol: Symbol,
    /// With the message's own features.
    pub(crate) site: Site<'a>,
}

#[derive(Debug)]
pub(crate) struct EnumDeclaration<'a> {
    pub(crate) proto: &'a EnumDescriptorProto,
    pub(crate) symbol: Symbol,
    /// With the enum's own features.
    pub(crate) site: Site<'a>,
    /// The names of its values.
    pub(crate) values: HashSet<&'a str>,
}

#[derive(Debug)]
pub(crate) struct ExtensionDeclaration<'a> {
    pub(crate) proto: &'a FieldDescriptorProto,
    pub(crate) symbol: Symbol,
    /// With the features of the scope around it.
    pub(crate) site: Site<'a>,
}

#[derive(Debug)]
pub(crate) struct MethodDeclaration<'a> {
    pub(crate) proto: &'a MethodDescriptorProto,
    pub(crate) symbol: Symbol,
    pub(crate) site: Site<'a>,
}

impl<'a> Declarations<'a> {
    /// Collects what `files` declare.
    pub(crate) fn collect(files: &'a [File], errors: &mut Errors) -> Self {
        let declarations = Self {
            symbols: Symbols::new(),
            messages: Vec::new(),
            enums: Vec::new(),
            extensions: Vec::new(),
            methods: Vec::new(),
        };
        let mut collector = Collector { files, declarations, names_bytes: 0, errors };
        for (position, file) in files.iter().enumerate() {
            collector.file(position, file);
        }
        if collector.names_bytes > MAX_NAMES_BYTES {
            let origin = "all descriptor sets".to_owned();
            let what = "the bytes of all full names";
            collector.errors.push(|| LoadError::TooLarge { origin, what, limit: MAX_NAMES_BYTES });
        }
        collector.declarations
    }

    pub(crate) fn message(&self, id: MessageId) -> &MessageDeclaration<'a> {
        self.messages.get(id.index()).expect("ids are made for declared messages")
    }

    pub(crate) fn enumeration(&self, id: EnumId) -> &EnumDeclaration<'a> {
        self.enums.get(id.index()).expect("ids are made for declared enums")
    }
}

impl MessageDeclaration<'_> {
    /// Whether it is the entry of a map.
    pub(crate) fn is_map_entry(&self) -> bool {
        self.proto.options.as_ref().and_then(|options| options.map_entry) == Some(true)
    }

    /// Whether it is in the old MessageSet wire format.
    pub(crate) fn is_message_set(&self) -> bool {
        self.proto.options.as_ref().and_then(|options| options.message_set_wire_format) == Some(true)
    }
}

struct Collector<'a, 'e> {
    files: &'a [File],
    declarations: Declarations<'a>,
    names_bytes: usize,
    errors: &'e mut Errors,
}

impl<'a> Collector<'a, '_> {
    fn file(&mut self, position: usize, file: &'a File) {
        let edition = match Edition::of(&file.proto) {
            Ok(edition) => edition,
            Err(found) => {
                let found = shorten(&found);
                return self.errors.push(|| LoadError::UnknownEdition { place: file.place(None), found });
            }
        };
        let site = Site { file, edition, features: edition.defaults(), position };
        let Some(scope) = self.package(&site) else { return };
        let FileDescriptorProto { message_type, enum_type, extension, service, options, .. } = &file.proto;
        let features = options.as_ref().and_then(|options| options.features.as_ref());
        let site = self.refine(site, features, scope);
        message_type.iter().for_each(|message| self.message(&site, scope, message));
        enum_type.iter().for_each(|enumeration| self.enumeration(&site, scope, enumeration));
        extension.iter().for_each(|extension| self.extension(&site, scope, extension));
        service.iter().for_each(|service| self.service(&site, scope, service));
    }

    /// The scope of the file's package.
    fn package(&mut self, site: &Site<'a>) -> Option<Symbol> {
        let package = site.file.package();
        if package.len() > MAX_PACKAGE_BYTES {
            self.errors.push(|| LoadError::Invalid {
                place: site.file.place(None),
                found: format!("a package name of {} bytes", package.len()),
                expected: "at most 511",
            });
            return None;
        }
        let mut names = package.split('.').filter(|_| !package.is_empty());
        names.try_fold(Symbol::ROOT, |scope, name| self.declare(site, scope, Some(name), Entity::Package))
    }

    /// Nested no deeper than the census allows.
    fn message(&mut self, site: &Site<'a>, scope: Symbol, proto: &'a DescriptorProto) {
        let id = u32::try_from(self.declarations.messages.len()).expect("the number of elements is bounded");
        let name = proto.name.as_deref();
        let Some(symbol) = self.declare(site, scope, name, Entity::Message(MessageId(id))) else { return };
        let features = proto.options.as_ref().and_then(|options| options.features.as_ref());
        let site = self.refine(*site, features, symbol);
        self.declarations.messages.push(MessageDeclaration { proto, symbol, site });
        for field in &proto.field {
            self.declare(&site, symbol, field.name.as_deref(), Entity::Field);
        }
        for oneof in &proto.oneof_decl {
            self.declare(&site, symbol, oneof.name.as_deref(), Entity::Oneof);
        }
        proto.nested_type.iter().for_each(|nested| self.message(&site, symbol, nested));
        proto.enum_type.iter().for_each(|enumeration| self.enumeration(&site, symbol, enumeration));
        proto.extension.iter().for_each(|extension| self.extension(&site, symbol, extension));
    }

    fn enumeration(&mut self, site: &Site<'a>, scope: Symbol, proto: &'a EnumDescriptorProto) {
        let id = u32::try_from(self.declarations.enums.len()).expect("the number of elements is bounded");
        let name = proto.name.as_deref();
        let Some(symbol) = self.declare(site, scope, name, Entity::Enum(EnumId(id))) else { return };
        let features = proto.options.as_ref().and_then(|options| options.features.as_ref());
        let site = self.refine(*site, features, symbol);
        let values = proto.value.iter().filter_map(|value| value.name.as_deref()).collect();
        self.declarations.enums.push(EnumDeclaration { proto, symbol, site, values });
        // As in C++, a value's name is in the scope that the enum is in.
        for value in &proto.value {
            self.declare(&site, scope, value.name.as_deref(), Entity::EnumValue);
        }
    }

    fn extension(&mut self, site: &Site<'a>, scope: Symbol, proto: &'a FieldDescriptorProto) {
        if let Some(symbol) = self.declare(site, scope, proto.name.as_deref(), Entity::Extension) {
            self.declarations.extensions.push(ExtensionDeclaration { proto, symbol, site: *site });
        }
    }

    fn service(&mut self, site: &Site<'a>, scope: Symbol, proto: &'a ServiceDescriptorProto) {
        let Some(scope) = self.declare(site, scope, proto.name.as_deref(), Entity::Service) else { return };
        for proto in &proto.method {
            if let Some(symbol) = self.declare(site, scope, proto.name.as_deref(), Entity::Method) {
                self.declarations.methods.push(MethodDeclaration { proto, symbol, site: *site });
            }
        }
    }

    /// Declares a name; says so and gives none where it can't be.
    fn declare(&mut self, site: &Site<'a>, scope: Symbol, name: Option<&'a str>, entity: Entity) -> Option<Symbol> {
        let name = name.unwrap_or_default();
        let symbols = &mut self.declarations.symbols;
        let refusal = match symbols.declare(scope, name, entity, site.position) {
            Ok(symbol) => {
                if entity.is_kept() {
                    self.names_bytes += symbols.full_name_bytes(symbol) + site.file.name().len();
                }
                return Some(symbol);
            }
            Err(refusal) => refusal,
        };
        self.errors.push(|| {
            let scope = symbols.full_name(scope);
            let dot = if scope.is_empty() { "" } else { "." };
            let place = site.file.place(Some(format!("{} {scope}{dot}{}", entity.word(), shorten(name))));
            match refusal {
                Refusal::NotAnIdentifier => LoadError::Invalid {
                    place,
                    found: format!("the name {:?}", shorten(name)),
                    expected: "letters, digits and underscores",
                },
                Refusal::TooLong => LoadError::Invalid {
                    place,
                    found: format!("a full name of more than {MAX_FULL_NAME_BYTES} bytes"),
                    expected: "a shorter one",
                },
                Refusal::Taken { file, entity } => {
                    let first = self.files.get(file).map(|file| file.place(None).to_string()).unwrap_or_default();
                    LoadError::DuplicateSymbol { place, first: format!("as {} in {first}", entity.word()) }
                }
            }
        });
        None
    }

    /// `site` with the features that the element `symbol` sets.
    fn refine(&mut self, mut site: Site<'a>, features: Option<&FeatureSet>, symbol: Symbol) -> Site<'a> {
        // protoc allows features under editions only.
        let features = features.filter(|_| !site.edition.is_legacy());
        match site.features.with(features) {
            Ok(features) => site.features = features,
            Err(unknown) => {
                let element = self.declarations.symbols.full_name(symbol);
                self.errors.push(|| unknown.at(site.file.place(Some(element))));
            }
        }
        site
    }
}
