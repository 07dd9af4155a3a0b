//! Schemas for tests, out of `.proto` sources in the test itself.

use prost_reflect::DescriptorPool;
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, File, FileResolver, GoogleFileResolver};

use super::Schema;
use super::load::SourceSet;

/// Compiles `.proto` sources, given as (name, text); `google/protobuf`, `google/api` and `google/rpc` may be imported.
pub(crate) fn pool(sources: &'static [(&'static str, &'static str)]) -> DescriptorPool {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources(sources));
    resolver.add(GoogleFileResolver::new());
    resolver.add(DescriptorSetFileResolver::new(prost::Message::decode(crate::pb::DESCRIPTORS).unwrap()));
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    for (name, _) in sources {
        compiler.open_file(name).unwrap_or_else(|error| panic!("{error:?}"));
    }
    compiler.descriptor_pool()
}

/// The same types as a schema.
pub(crate) fn schema(pool: &DescriptorPool) -> Schema {
    let set = SourceSet { origin: "the test's sources".to_owned(), bytes: pool.encode_to_vec().into() };
    Schema::load(&[set]).unwrap()
}

#[derive(Debug)]
struct Sources(&'static [(&'static str, &'static str)]);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|(at, _)| *at == name) {
            Some((name, source)) => File::from_source(name, source),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}
