//! How long a lookup takes among 10 bindings and among 10,000.
//!
//! `one` asks for the same path again and again, `hundred` for those of a hundred bindings (or of all ten) in turn, and
//! `all` for those of every binding, so that it also shows what 10,000 bindings cost once they are all in use and the
//! tables leave the processor's second-level cache. `miss` is a path that nothing matches.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::Method;
use lockgate::pb::google::api::HttpRule;
use lockgate::pb::google::api::http_rule::Pattern;
use lockgate::route::captures::Captures;
use lockgate::route::router::{Router, TrailingSlash};
use lockgate::route::rule::{ConfiguredRule, Unannotated, bindings};
use lockgate::schema::Schema;
use lockgate::schema::load::SourceSet;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    ServiceDescriptorProto,
};

/// How many paths one iteration looks up.
const LOOKUPS: usize = 1000;

fn schema(methods: usize) -> Schema {
    let name = FieldDescriptorProto {
        name: Some("name".to_owned()),
        number: Some(1),
        label: Some(Label::Optional.into()),
        r#type: Some(Type::String.into()),
        ..FieldDescriptorProto::default()
    };
    let message = DescriptorProto { name: Some("Request".to_owned()), field: vec![name], ..DescriptorProto::default() };
    let method = |number: usize| MethodDescriptorProto {
        name: Some(format!("Method{number}")),
        input_type: Some(".bench.Request".to_owned()),
        output_type: Some(".bench.Request".to_owned()),
        ..MethodDescriptorProto::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("Service".to_owned()),
        method: (0..methods).map(method).collect(),
        ..ServiceDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("bench.proto".to_owned()),
        package: Some("bench".to_owned()),
        message_type: vec![message],
        service: vec![service],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    };
    let bytes = Bytes::from(FileDescriptorSet { file: vec![file] }.encode_to_vec());
    Schema::load(&[SourceSet { origin: "bench".to_owned(), bytes }]).expect("the descriptors are valid")
}

/// The four shapes: what stands before and behind the method's number in the template, and behind it in a path.
const SHAPES: [(&str, &str, &str); 4] = [
    ("/v1/kinds", "/{name}", "/12345678"),
    ("/v1/kinds", "/{name}/items", "/12345678/items"),
    ("/v1/{name=kinds", "/*/items/*}", "/12345678/items/abcdefgh"),
    ("/v1/kinds", "/{name}:archive", "/12345678:archive"),
];

fn template(number: usize) -> String {
    SHAPES.get(number % 4).map(|(before, behind, _)| format!("{before}{number}{behind}")).unwrap_or_default()
}

/// Writes a path of this method's binding; a path of a real request is in the cache as well, as it was just read.
fn write_path(number: usize, path: &mut String) {
    path.clear();
    path.push_str("/v1/kinds");
    path.push_str(itoa::Buffer::new().format(number));
    path.push_str(SHAPES.get(number % 4).map(|(_, _, behind)| *behind).unwrap_or_default());
}

fn router(count: usize) -> Router {
    let schema = schema(count);
    let rules: Vec<ConfiguredRule> = (0..count)
        .map(|number| ConfiguredRule {
            selector: format!("bench.Service.Method{number}"),
            rule: HttpRule { pattern: Some(Pattern::Get(template(number))), ..HttpRule::default() },
            place: "bench:1:1".to_owned(),
        })
        .collect();
    let bindings = bindings(&schema, &rules, |_| Unannotated::Hide).expect("the rules are valid");
    Router::compile(bindings, |_| TrailingSlash::Strict).expect("the bindings differ")
}

fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(LOOKUPS as u64));
    for count in [10, 10_000] {
        let router = router(count);
        let mut captures = Captures::new();
        let mut path = String::new();
        let mut look_up = |path: &str| black_box(router.find(&Method::GET, black_box(path), &mut captures).is_ok());
        group.bench_function(BenchmarkId::new("one", count), |bencher| {
            write_path(6, &mut path);
            bencher.iter(|| (0..LOOKUPS).filter(|_| look_up(&path)).count());
        });
        for (name, used) in [("hundred", count.min(100)), ("all", count)] {
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                let mut turn = 0;
                bencher.iter(|| {
                    (0..LOOKUPS)
                        .filter(|_| {
                            turn = (turn + 1) % used;
                            // A prime, so that the order is scattered.
                            write_path(turn * 7919 % count, &mut path);
                            look_up(&path)
                        })
                        .count()
                });
            });
        }
        group.bench_function(BenchmarkId::new("miss", count), |bencher| {
            bencher.iter(|| (0..LOOKUPS).filter(|_| look_up("/v1/kinds6/12345678/other")).count());
        });
    }
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
