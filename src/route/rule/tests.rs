//! Rules to bindings: annotations, configured rules and methods without either, and every mistake with its place.

use bytes::Bytes;
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, File, FileResolver, GoogleFileResolver};

use crate::pb::google::api::http_rule::Pattern;
use crate::pb::google::api::{CustomHttpPattern, HttpRule};
use crate::route::RouteError;
use crate::route::router::{Router, TrailingSlash};
use crate::schema::load::SourceSet;
use crate::schema::{FieldPath, MethodId, Schema};
use crate::transcode::bind::BodyTarget;

use super::{Binding, ConfiguredRule, Source, Unannotated, bindings};

const MESSAGES: &str = r#"
syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

message Request {
  string name = 1;
  int64 id = 2;
  bool flag = 3;
  bytes data = 4;
  Color color = 5;
  double ratio = 6;
  optional string nick_name = 7;
  repeated string tags = 8;
  map<string, string> labels = 9;
  Item item = 10;
  repeated Item items = 11;
  google.protobuf.Timestamp created = 12;
  google.protobuf.Duration age = 13;
  google.protobuf.FieldMask mask = 14;
  google.protobuf.StringValue title = 15;
  google.protobuf.Any any = 16;
  google.protobuf.Struct struct = 17;
  google.protobuf.Value value = 18;
  google.protobuf.Empty empty = 19;
  google.protobuf.ListValue list = 20;
  oneof choice { string left = 21; Item right = 22; }
}
message Item { string name = 1; Owner owner = 2; repeated string notes = 3; }
message Owner { string name = 1; }
message Response { string text = 1; repeated Item items = 2; map<string, Item> by_name = 3; }
enum Color { NONE = 0; RED = 1; }
"#;

#[derive(Debug)]
struct OneSource(String);

impl FileResolver for OneSource {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == "shop.proto" { File::from_source(name, &self.0) } else { Err(protox::Error::file_not_found(name)) }
    }
}

/// The messages above with a service of these methods, each given as `Name: option text`.
fn schema(methods: &[&str]) -> Schema {
    let methods: String = methods
        .iter()
        .map(|method| {
            let (name, rule) = method.split_once(": ").unwrap_or((method, ""));
            let option =
                if rule.is_empty() { String::new() } else { format!("option (google.api.http) = {{ {rule} }};") };
            format!("rpc {name}(Request) returns (Response) {{ {option} }}\n")
        })
        .collect();
    let mut resolver = ChainFileResolver::new();
    resolver.add(OneSource(format!("{MESSAGES}\nservice Shop {{ {methods} }}")));
    resolver.add(GoogleFileResolver::new());
    resolver.add(DescriptorSetFileResolver::new(prost::Message::decode(crate::pb::DESCRIPTORS).unwrap()));
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file("shop.proto").unwrap_or_else(|error| panic!("{error:?}"));
    let bytes = Bytes::from(compiler.encode_file_descriptor_set());
    Schema::load(&[SourceSet { origin: "shop.binpb".to_owned(), bytes }]).unwrap()
}

fn annotated(methods: &[&str]) -> Result<Vec<Binding>, Vec<RouteError>> {
    bindings(&schema(methods), &[], |_| Unannotated::Expose)
}

/// `POST /v1/{id} id body=*` and its like, with fields by their numbers in the message.
fn describe(schema: &Schema, binding: &Binding) -> String {
    let method = schema.method(binding.method);
    let (input, output) = (schema.message(method.input), schema.message(method.output));
    let mut text = format!("{} {} {}", method.name, binding.verb, binding.template);
    for path in &binding.variables {
        text += &format!(" {}", path_names(schema, method.input, path));
    }
    match binding.body {
        BodyTarget::None => {}
        BodyTarget::Whole => text += " body=*",
        BodyTarget::Field(field) => text += &format!(" body={}", input.field(field).name),
    }
    if let Some(field) = binding.response_body {
        text += &format!(" response={}", output.field(field).name);
    }
    text
}

fn path_names(schema: &Schema, input: crate::schema::MessageId, path: &FieldPath) -> String {
    let mut message = Some(input);
    let mut names = Vec::new();
    for &index in &path.0 {
        let field = schema.message(message.unwrap()).field(index);
        names.push(&*field.name);
        message = field.kind.message();
    }
    names.join(".")
}

#[track_caller]
fn check(methods: &[&str], expected: &[&str]) {
    let schema = schema(methods);
    let found = bindings(&schema, &[], |_| Unannotated::Expose).unwrap_or_else(|errors| panic!("{errors:?}"));
    let found: Vec<String> = found.iter().map(|binding| describe(&schema, binding)).collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn check_errors(methods: &[&str], expected: &[&str]) {
    let errors = annotated(methods).expect_err("the rules have mistakes");
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected);
}

#[test]
fn every_kind_of_rule_is_a_binding() {
    check(
        &[
            r#"Get: get: "/v1/{name}""#,
            r#"Put: put: "/v1/{name}" body: "*""#,
            r#"Post: post: "/v1/{name}" body: "item""#,
            r#"Delete: delete: "/v1/{name}""#,
            r#"Patch: patch: "/v1/{item.name}" body: "item""#,
            r#"Purge: custom { kind: "PURGE" path: "/v1/{name}" }"#,
            r#"Any: custom { kind: "*" path: "/any" } body: "*""#,
            r#"Head: custom { kind: "HEAD" path: "/v1/head" }"#,
            "Plain",
        ],
        &[
            "Get GET /v1/{name} name",
            "Put PUT /v1/{name} name body=*",
            "Post POST /v1/{name} name body=item",
            "Delete DELETE /v1/{name} name",
            "Patch PATCH /v1/{item.name} item.name body=item",
            "Purge PURGE /v1/{name} name",
            "Any * /any body=*",
            "Head HEAD /v1/head",
            "Plain POST /shop.v1.Shop/Plain body=*",
        ],
    );
}

#[test]
fn additional_bindings_are_bindings_of_their_own() {
    check(
        &[r#"Get: get: "/v1/{name}" additional_bindings { get: "/v1/items/{item.name}" }
             additional_bindings { post: "/v1/get" body: "*" response_body: "text" }"#],
        &[
            "Get GET /v1/{name} name",
            "Get GET /v1/items/{item.name} item.name",
            "Get POST /v1/get body=* response=text",
        ],
    );
}

#[test]
fn a_body_may_be_any_field_also_one_that_the_path_binds() {
    check(
        &[
            r#"A: post: "/a" body: "tags""#,
            r#"B: post: "/b" body: "labels""#,
            r#"C: post: "/c/{name}" body: "name""#,
            r#"D: post: "/d/{item.owner.name}" body: "item""#,
            r#"E: delete: "/e" body: "*""#,
            r#"F: post: "/f" body: "nickName""#,
        ],
        &[
            "A POST /a body=tags",
            "B POST /b body=labels",
            "C POST /c/{name} name body=name",
            "D POST /d/{item.owner.name} item.owner.name body=item",
            "E DELETE /e body=*",
            "F POST /f body=nick_name",
        ],
    );
}

#[test]
fn a_response_body_may_be_any_field() {
    check(
        &[
            r#"A: get: "/a" response_body: "text""#,
            r#"B: get: "/b" response_body: "items""#,
            r#"C: get: "/c" response_body: "by_name""#,
        ],
        &["A GET /a response=text", "B GET /b response=items", "C GET /c response=by_name"],
    );
}

#[test]
fn a_path_binds_scalars_enums_and_messages_that_are_text() {
    for field in [
        "name",
        "id",
        "flag",
        "data",
        "color",
        "ratio",
        "nick_name",
        "created",
        "age",
        "mask",
        "title",
        "item.name",
        "item.owner.name",
        "left",
        "right.name",
        "created.seconds",
    ] {
        check(&[&format!(r#"Get: get: "/v1/{{{field}}}""#)], &[&format!("Get GET /v1/{{{field}}} {field}")]);
    }
    check(&[r#"Get: get: "/v1/{nickName}""#], &["Get GET /v1/{nickName} nick_name"]);
    check(&[r#"Get: get: "/v1/{name=a/**}:go""#], &["Get GET /v1/{name=a/**}:go name"]);
}

#[test]
fn lists_maps_and_messages_in_a_path_are_refused() {
    let refused = |field: &str, column: usize, message: &str| {
        check_errors(
            &[&format!(r#"Get: get: "/v1/{{{field}}}""#)],
            &[&format!("shop.proto: shop.v1.Shop.Get: template \"/v1/{{{field}}}\", column {column}: {message}")],
        );
    };
    let text = "a path binds scalars, enums, Timestamp, Duration, FieldMask and wrappers";
    refused("tags", 6, "\"tags\" is a list or a map: a path binds singular fields");
    refused("labels", 6, "\"labels\" is a list or a map: a path binds singular fields");
    refused("items.name", 6, "\"items\" is a list or a map: a path binds singular fields");
    refused("item.notes", 11, "\"notes\" is a list or a map: a path binds singular fields");
    refused("item", 6, &format!("\"item\" is a shop.v1.Item: {text}"));
    refused("item.owner", 6, &format!("\"item.owner\" is a shop.v1.Owner: {text}"));
    refused("any", 6, &format!("\"any\" is a google.protobuf.Any: {text}"));
    refused("struct", 6, &format!("\"struct\" is a google.protobuf.Struct: {text}"));
    refused("value", 6, &format!("\"value\" is a google.protobuf.Value: {text}"));
    refused("list", 6, &format!("\"list\" is a google.protobuf.ListValue: {text}"));
    refused("empty", 6, &format!("\"empty\" is a google.protobuf.Empty: {text}"));
    refused("name.first", 11, "\"name\" is no message: it has no field \"first\"");
}

#[test]
fn unknown_fields_have_a_suggestion_if_one_is_near() {
    check_errors(
        &[
            r#"A: get: "/a/{nmae}""#,
            r#"B: get: "/b/{item.ownr.name}""#,
            r#"C: get: "/c/{zebra_crossing}""#,
            r#"D: post: "/d" body: "itm""#,
            r#"E: get: "/e" response_body: "txt""#,
        ],
        &[
            "shop.proto: shop.v1.Shop.A: template \"/a/{nmae}\", column 5: shop.v1.Request has no field \"nmae\" (did \
             you mean \"name\"?)",
            "shop.proto: shop.v1.Shop.B: template \"/b/{item.ownr.name}\", column 10: shop.v1.Item has no field \
             \"ownr\" (did you mean \"owner\"?)",
            "shop.proto: shop.v1.Shop.C: template \"/c/{zebra_crossing}\", column 5: shop.v1.Request has no field \
             \"zebra_crossing\"",
            "shop.proto: shop.v1.Shop.D: template \"/d\": shop.v1.Request has no field \"itm\" (did you mean \
             \"item\"?)",
            "shop.proto: shop.v1.Shop.E: template \"/e\": shop.v1.Response has no field \"txt\" (did you mean \
             \"text\"?)",
        ],
    );
}

#[test]
fn two_variables_never_bind_the_same_field() {
    check_errors(
        &[
            r#"A: get: "/a/{name}/{name}""#,
            r#"B: get: "/b/{nick_name}/{nickName}""#,
            r#"C: get: "/c/{created}/{created.seconds}""#,
        ],
        &[
            "shop.proto: shop.v1.Shop.A: template \"/a/{name}/{name}\", column 12: the variable \"name\" stands here \
             a second time",
            "shop.proto: shop.v1.Shop.B: template \"/b/{nick_name}/{nickName}\", column 17: \"nickName\" and \
             \"nick_name\" are the same field",
            "shop.proto: shop.v1.Shop.C: template \"/c/{created}/{created.seconds}\", column 15: \"created.seconds\" \
             and \"created\" overlap: one is a part of the other",
        ],
    );
}

#[test]
fn bodies_are_fields_of_the_message_itself() {
    check_errors(
        &[r#"A: post: "/a" body: "item.owner""#, r#"B: get: "/b" response_body: "items.name""#],
        &[
            "shop.proto: shop.v1.Shop.A: template \"/a\": body \"item.owner\" is a path: expected a field of \
             shop.v1.Request itself",
            "shop.proto: shop.v1.Shop.B: template \"/b\": response_body \"items.name\" is a path: expected a field of \
             shop.v1.Response itself",
        ],
    );
}

#[test]
fn get_and_head_have_no_body() {
    check_errors(
        &[r#"A: get: "/a" body: "*""#, r#"B: custom { kind: "HEAD" path: "/b" } body: "item""#],
        &[
            "shop.proto: shop.v1.Shop.A: template \"/a\": a GET binding can't have a body: clients and proxies drop it",
            "shop.proto: shop.v1.Shop.B: template \"/b\": a HEAD binding can't have a body: clients and proxies drop it",
        ],
    );
}

#[test]
fn a_rule_has_a_path_and_an_http_method() {
    check_errors(
        &[
            r#"A: body: "*""#,
            r#"B: get: """#,
            r#"C: custom { kind: "BAD METHOD" path: "/c" }"#,
            r#"D: custom { path: "/d" }"#,
            r#"E: get: "v1/e""#,
        ],
        &[
            "shop.proto: shop.v1.Shop.A: the rule has no path: expected get, put, post, delete, patch or custom",
            "shop.proto: shop.v1.Shop.B: the rule has no path: expected get, put, post, delete, patch or custom",
            "shop.proto: shop.v1.Shop.C: template \"/c\": the HTTP method \"BAD METHOD\" is not a token: expected \
             something like \"PURGE\", or \"*\" for any",
            "shop.proto: shop.v1.Shop.D: template \"/d\": the HTTP method \"\" is not a token: expected something \
             like \"PURGE\", or \"*\" for any",
            "shop.proto: shop.v1.Shop.E: template \"v1/e\", column 1: a template begins with \"/\", found \"v1/e\"",
        ],
    );
}

#[test]
fn additional_bindings_do_not_nest() {
    check_errors(
        &[r#"A: get: "/a" additional_bindings { get: "/b" additional_bindings { get: "/c" } }"#],
        &[
            "shop.proto: shop.v1.Shop.A: template \"/b\": additional_bindings can't have additional_bindings of their own",
        ],
    );
}

#[test]
fn every_mistake_of_a_rule_is_reported() {
    check_errors(
        &[
            r#"A: get: "/a/{tags}/{nmae}" body: "*" response_body: "nothing_like_it"
               additional_bindings { post: "/b/{" body: "itm" }"#,
            r#"B: post: "/c//d" body: "*""#,
        ],
        &[
            "shop.proto: shop.v1.Shop.A: template \"/a/{tags}/{nmae}\", column 5: \"tags\" is a list or a map: a path \
             binds singular fields",
            "shop.proto: shop.v1.Shop.A: template \"/a/{tags}/{nmae}\", column 12: shop.v1.Request has no field \
             \"nmae\" (did you mean \"name\"?)",
            "shop.proto: shop.v1.Shop.A: template \"/a/{tags}/{nmae}\": a GET binding can't have a body: clients and \
             proxies drop it",
            "shop.proto: shop.v1.Shop.A: template \"/a/{tags}/{nmae}\": shop.v1.Response has no field \
             \"nothing_like_it\"",
            "shop.proto: shop.v1.Shop.A: template \"/b/{\", column 5: expected the name of a field",
            "shop.proto: shop.v1.Shop.A: template \"/b/{\": shop.v1.Request has no field \"itm\" (did you mean \
             \"item\"?)",
            "shop.proto: shop.v1.Shop.B: template \"/c//d\", column 4: a segment is empty: it could never match",
        ],
    );
}

/// A rule of the configuration for `GET path`, on the given line.
fn configured(selector: &str, path: &str, line: usize) -> ConfiguredRule {
    let rule = HttpRule { pattern: Some(Pattern::Get(path.to_owned())), ..HttpRule::default() };
    ConfiguredRule { selector: selector.to_owned(), rule, place: format!("lockgate.yaml:{line}:7") }
}

#[test]
fn a_configured_rule_overrides_the_annotation_as_a_whole() {
    let schema = schema(&[r#"A: get: "/a" additional_bindings { get: "/also/a" }"#, r#"B: get: "/b""#, "C"]);
    let rules = [configured("shop.v1.Shop.A", "/new/{name}", 3), configured("shop.v1.Shop.C", "/c", 4)];
    let found = bindings(&schema, &rules, |_| Unannotated::Expose).unwrap();
    let described: Vec<String> = found.iter().map(|binding| describe(&schema, binding)).collect();
    assert_eq!(described, ["A GET /new/{name} name", "B GET /b", "C GET /c"]);
    assert_eq!(found[0].source, Source::Configuration { place: "lockgate.yaml:3:7".into() });
    assert_eq!(found[1].source, Source::Annotation { file: "shop.proto".into() });
    assert_eq!(&*found[0].full_name, "shop.v1.Shop.A");
}

#[test]
fn the_last_rule_for_a_selector_counts() {
    let schema = schema(&["A"]);
    let rules = [configured("shop.v1.Shop.A", "/first", 3), configured("shop.v1.Shop.A", "/last", 4)];
    let found = bindings(&schema, &rules, |_| Unannotated::Expose).unwrap();
    assert_eq!(found.iter().map(|it| it.template.as_str()).collect::<Vec<_>>(), ["/last"]);
}

#[test]
fn selectors_name_methods() {
    let rules = [
        configured("shop.v1.Shop.Gat", "/a", 3),
        configured("shop.v1.*", "/b", 4),
        configured("other.v1.Thing.Do", "/c", 5),
        configured("shop.v1.Shop.Get", "/v1/{nmae}", 6),
    ];
    let errors = bindings(&schema(&["Get"]), &rules, |_| Unannotated::Expose).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "lockgate.yaml:3:7: shop.v1.Shop.Gat: there is no method \"shop.v1.Shop.Gat\" (did you mean \
             \"shop.v1.Shop.Get\"?)",
            "lockgate.yaml:4:7: shop.v1.*: the selector \"shop.v1.*\" has a wildcard: name each method by its full name",
            "lockgate.yaml:5:7: other.v1.Thing.Do: there is no method \"other.v1.Thing.Do\"",
            "lockgate.yaml:6:7: shop.v1.Shop.Get: template \"/v1/{nmae}\", column 6: shop.v1.Request has no field \
             \"nmae\" (did you mean \"name\"?)",
        ]
    );
}

#[test]
fn a_configured_rule_may_have_any_pattern() {
    let custom = CustomHttpPattern { kind: "LOCK".to_owned(), path: "/lock/{id}".to_owned() };
    let inner =
        HttpRule { pattern: Some(Pattern::Put("/put".to_owned())), body: "item".to_owned(), ..HttpRule::default() };
    let rule = HttpRule {
        pattern: Some(Pattern::Custom(custom)),
        response_body: "items".to_owned(),
        additional_bindings: vec![inner],
        ..HttpRule::default()
    };
    let schema = schema(&["A"]);
    let configured = ConfiguredRule { selector: "shop.v1.Shop.A".to_owned(), rule, place: "c.yaml:1:1".to_owned() };
    let found = bindings(&schema, &[configured], |_| Unannotated::Hide).unwrap();
    let found: Vec<String> = found.iter().map(|binding| describe(&schema, binding)).collect();
    assert_eq!(found, ["A LOCK /lock/{id} id response=items", "A PUT /put body=item"]);
}

#[test]
fn methods_without_a_rule_are_exposed_or_hidden_one_by_one() {
    let schema = schema(&["A", "B", r#"C: get: "/c""#]);
    let hidden = schema.find_method("shop.v1.Shop.B");
    let decide = |method: MethodId| if Some(method) == hidden { Unannotated::Hide } else { Unannotated::Expose };
    let found = bindings(&schema, &[], decide).unwrap();
    let described: Vec<String> = found.iter().map(|binding| describe(&schema, binding)).collect();
    assert_eq!(described, ["A POST /shop.v1.Shop/A body=*", "C GET /c"]);
    assert_eq!(found[0].source, Source::Unannotated { file: "shop.proto".into() });
}

#[test]
fn a_conflict_names_both_methods_with_their_places() {
    let schema = schema(&[r#"A: get: "/v1/{name}""#, r#"B: get: "/v1/{id=*}""#, "C"]);
    let rules = [configured("shop.v1.Shop.C", "/v1/{nick_name}", 9)];
    let found = bindings(&schema, &rules, |_| Unannotated::Expose).unwrap();
    let errors = Router::compile(found, TrailingSlash::Strict).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "shop.proto: shop.v1.Shop.B: template \"/v1/{id=*}\": it can't be told apart from GET \"/v1/{name}\" of \
             shop.v1.Shop.A in shop.proto",
            "lockgate.yaml:9:7: shop.v1.Shop.C: template \"/v1/{nick_name}\": it can't be told apart from GET \
             \"/v1/{name}\" of shop.v1.Shop.A in shop.proto",
        ]
    );
}
