//! How long a lookup takes among 10 bindings and among 10,000.
//!
//! `one` asks for the same path again and again; `all` goes through a path of every binding in a scattered order, so
//! that 10,000 bindings also show what they cost the processor's caches. `miss` is a path that nothing matches.

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

/// The template of a method, and a path that it matches.
fn route(number: usize) -> (String, String) {
    match number % 4 {
        0 => (format!("/v1/kinds{number}/{{name}}"), format!("/v1/kinds{number}/12345678")),
        1 => (format!("/v1/kinds{number}/{{name}}/items"), format!("/v1/kinds{number}/12345678/items")),
        2 => (format!("/v1/{{name=kinds{number}/*/items/*}}"), format!("/v1/kinds{number}/12345678/items/abcdefgh")),
        _ => (format!("/v1/kinds{number}/{{name}}:archive"), format!("/v1/kinds{number}/12345678:archive")),
    }
}

fn router(count: usize) -> (Router, Vec<String>) {
    let schema = schema(count);
    let (templates, paths): (Vec<String>, Vec<String>) = (0..count).map(route).unzip();
    let rules: Vec<ConfiguredRule> = templates
        .into_iter()
        .enumerate()
        .map(|(number, template)| ConfiguredRule {
            selector: format!("bench.Service.Method{number}"),
            rule: HttpRule { pattern: Some(Pattern::Get(template)), ..HttpRule::default() },
            place: "bench:1:1".to_owned(),
        })
        .collect();
    let bindings = bindings(&schema, &rules, |_| Unannotated::Hide).expect("the rules are valid");
    (Router::compile(bindings, TrailingSlash::Strict).expect("the bindings differ"), paths)
}

fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(LOOKUPS as u64));
    for count in [10, 10_000] {
        let (router, paths) = router(count);
        let mut captures = Captures::new();
        let mut look_up = |path: &str| black_box(router.find(&Method::GET, black_box(path), &mut captures).is_ok());
        let one = paths.get(6).map(String::as_str).unwrap_or_default();
        group.bench_function(BenchmarkId::new("one", count), |bencher| {
            bencher.iter(|| (0..LOOKUPS).filter(|_| look_up(one)).count());
        });
        // 7919 is a prime, so that the order is scattered and reaches every path.
        let scattered: Vec<&str> =
            (0..paths.len()).filter_map(|step| paths.get(step * 7919 % paths.len())).map(String::as_str).collect();
        group.bench_function(BenchmarkId::new("all", count), |bencher| {
            let mut path = scattered.iter().cycle();
            bencher.iter(|| path.by_ref().take(LOOKUPS).filter(|path| look_up(path)).count());
        });
        group.bench_function(BenchmarkId::new("miss", count), |bencher| {
            bencher.iter(|| (0..LOOKUPS).filter(|_| look_up("/v1/kinds6/12345678/other")).count());
        });
    }
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
