//! Descriptor sets that load, every mistake in those that don't, and hostile bytes.

use bytes::Bytes;
use prost::Message as _;

use super::SourceSet;
use crate::schema::Schema;
use crate::schema::descriptor::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FeatureSet, FieldDescriptorProto, FieldOptions,
    FileDescriptorProto, FileDescriptorSet, MessageOptions, MethodDescriptorProto, OneofDescriptorProto,
    ServiceDescriptorProto,
};
use crate::schema::tests::fixture;

mod hostile;

/// A proto3 file.
fn file(name: &str) -> FileDescriptorProto {
    FileDescriptorProto { name: Some(name.into()), syntax: Some("proto3".into()), ..Default::default() }
}

fn message(name: &str, field: Vec<FieldDescriptorProto>) -> DescriptorProto {
    DescriptorProto { name: Some(name.into()), field, ..Default::default() }
}

/// A singular field of a scalar type.
fn scalar(name: &str, number: i32) -> FieldDescriptorProto {
    let (name, number) = (Some(name.into()), Some(number));
    FieldDescriptorProto { name, number, label: Some(1), r#type: Some(9), ..Default::default() }
}

/// A singular field of a message type.
fn of_type(name: &str, number: i32, type_name: &str) -> FieldDescriptorProto {
    FieldDescriptorProto { r#type: Some(11), type_name: Some(type_name.into()), ..scalar(name, number) }
}

fn repeated(field: FieldDescriptorProto) -> FieldDescriptorProto {
    FieldDescriptorProto { label: Some(3), ..field }
}

fn enumeration(name: &str, values: &[(&str, i32)]) -> EnumDescriptorProto {
    let values = values
        .iter()
        .map(|(name, number)| EnumValueDescriptorProto { name: Some((*name).into()), number: Some(*number) });
    EnumDescriptorProto { name: Some(name.into()), value: values.collect(), options: None }
}

fn map_entry(name: &str, field: Vec<FieldDescriptorProto>) -> DescriptorProto {
    let options = Some(MessageOptions { map_entry: Some(true), ..Default::default() });
    DescriptorProto { options, ..message(name, field) }
}

fn method(name: &str, input: &str, output: &str) -> MethodDescriptorProto {
    let types = (Some(input.into()), Some(output.into()));
    MethodDescriptorProto { name: Some(name.into()), input_type: types.0, output_type: types.1, ..Default::default() }
}

fn set(origin: &str, files: &[FileDescriptorProto]) -> SourceSet {
    let file = files.iter().map(|file| Bytes::from(file.encode_to_vec())).collect();
    SourceSet { origin: origin.into(), bytes: FileDescriptorSet { file }.encode_to_vec().into() }
}

/// The mistakes of the sets, as they are shown.
fn mistakes(sets: &[SourceSet]) -> Vec<String> {
    Schema::load(sets).map_or_else(|errors| errors.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

#[track_caller]
fn check(files: &[FileDescriptorProto], expected: &[&str]) {
    assert_eq!(mistakes(&[set("a.binpb", files)]), expected);
}

/// One message in a file.
#[track_caller]
fn check_message(message: DescriptorProto, expected: &[&str]) {
    let others = vec![DescriptorProto { name: Some("Other".into()), ..Default::default() }];
    let enums = vec![enumeration("Kind", &[("ZERO", 0)])];
    let mut file =
        FileDescriptorProto { package: Some("p".into()), enum_type: enums, message_type: others, ..file("a.proto") };
    file.message_type.push(message);
    let expected: Vec<String> = expected.iter().map(|text| format!("a.binpb: a.proto: {text}")).collect();
    check(&[file], &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_file_may_come_twice_in_the_forms_that_tools_give_it() {
    let mut second = FileDescriptorProto { syntax: None, ..file("a.proto") };
    second.message_type.push(message("A", vec![scalar("some_name", 1)]));
    let mut first = FileDescriptorProto { syntax: Some("proto2".into()), ..second.clone() };
    first.message_type[0].field[0].json_name = Some("someName".into());
    first.message_type[0].options = Some(MessageOptions::default());
    second.message_type[0].field[0].label = None;
    let mut with_source_info = second.encode_to_vec();
    // Field 9, source_code_info, and field 8042, which buf adds.
    with_source_info.extend([0x4a, 2, 0x0a, 0, 0xd2, 0xf6, 0x03, 2, 0x08, 1]);
    let third = FileDescriptorSet { file: vec![with_source_info.into()] }.encode_to_vec();
    let third = SourceSet { origin: "c.binpb".into(), bytes: third.into() };
    assert_eq!(mistakes(&[set("a.binpb", &[first]), set("b.binpb", &[second]), third]), [""; 0]);
    assert_eq!(mistakes(&[fixture("library"), fixture("library"), fixture("legacy")]), [""; 0]);
}

#[test]
fn two_files_of_one_name_are_a_conflict_that_names_both() {
    let first = file("a.proto");
    let second = FileDescriptorProto { package: Some("other".into()), ..file("a.proto") };
    assert_eq!(
        mistakes(&[set("a.binpb", &[first]), set("b.binpb", &[second])]),
        ["a.proto: found in a.binpb and, with other content, in b.binpb; expected one file of this name (source info \
          aside)"]
    );
}

#[test]
fn versions_of_shared_files_are_no_conflict() {
    let empty = |field| FileDescriptorProto {
        package: Some("google.protobuf".into()),
        message_type: vec![message("Empty", field)],
        ..file("google/protobuf/empty.proto")
    };
    let (first, second) = (empty(vec![scalar("first", 1)]), empty(vec![]));
    let schema = Schema::load(&[set("a.binpb", &[first]), set("b.binpb", &[second])]).unwrap();
    let empty = schema.message(schema.find_message("google.protobuf.Empty").unwrap());
    assert_eq!(&*empty.fields[0].name, "first");
}

#[test]
fn shared_files_are_supplied_where_they_are_missing() {
    let mut user = file("a.proto");
    user.dependency = vec!["google/rpc/status.proto".into(), "google/api/annotations.proto".into()];
    user.message_type = vec![message("A", vec![of_type("status", 1, ".google.rpc.Status")])];
    let schema = Schema::load(&[set("a.binpb", &[user])]).unwrap();
    for name in ["google.rpc.Status", "google.rpc.ErrorInfo", "google.protobuf.Any", "google.api.HttpRule"] {
        assert!(schema.find_message(name).is_some(), "{name}");
    }
    assert!(schema.methods().is_empty());
}

#[test]
fn shared_types_under_another_file_name_displace_the_supplied_file() {
    let vendored = FileDescriptorProto {
        package: Some("google.rpc".into()),
        message_type: vec![message("Status", vec![scalar("own", 1)])],
        ..file("vendored/status.proto")
    };
    let schema = Schema::load(&[set("a.binpb", &[vendored])]).unwrap();
    let status = schema.message(schema.find_message("google.rpc.Status").unwrap());
    assert_eq!(&*status.file, "vendored/status.proto");
}

#[test]
fn no_set_gives_the_built_in_types() {
    let schema = Schema::load(&[]).unwrap();
    assert!(schema.find_message("google.protobuf.Any").is_some() && schema.methods().is_empty());
}

#[test]
fn a_missing_import_is_named_once_and_hides_what_follows_from_it() {
    let mut user = file("a.proto");
    user.dependency = vec!["shop/item.proto".into()];
    user.message_type = vec![message("A", vec![of_type("item", 1, ".shop.Item"), scalar("zero", 0)])];
    check(
        &[user],
        &[
            "a.binpb: a.proto: import \"shop/item.proto\" is missing; expected it in the same or another descriptor \
             set (`protoc --include_imports` puts it there)",
            "a.binpb: a.proto: field A.zero: found number 0; expected 1 to 536870911",
        ],
    );
}

#[test]
fn imports_in_a_circle_are_shown() {
    let import = |name: &str, import: &str| FileDescriptorProto { dependency: vec![import.into()], ..file(name) };
    check(
        &[import("a.proto", "b.proto"), import("b.proto", "c.proto"), import("c.proto", "b.proto")],
        &["a.binpb: b.proto: imports go in a circle: b.proto -> c.proto -> b.proto"],
    );
    check(&[import("a.proto", "a.proto")], &["a.binpb: a.proto: imports go in a circle: a.proto -> a.proto"]);
}

#[test]
fn a_set_without_files_is_empty() {
    let bytes = Bytes::new();
    let expected = "a.binpb: the descriptor set is empty; expected at least one file";
    assert_eq!(mistakes(&[SourceSet { origin: "a.binpb".into(), bytes }]), [expected]);
    // A set with no field that we know.
    let bytes = Bytes::from_static(&[0x78, 1]);
    assert_eq!(mistakes(&[SourceSet { origin: "a.binpb".into(), bytes }]), [expected]);
}

#[test]
fn what_is_no_descriptor_set_is_refused() {
    let descriptor = fixture("library").bytes;
    let truncated = descriptor.slice(..descriptor.len() - 3);
    let single_file = Bytes::from(file("a.proto").encode_to_vec());
    for bytes in [Bytes::from_static(b"syntax = \"proto3\";"), truncated, single_file] {
        let mistakes = mistakes(&[SourceSet { origin: "a.binpb".into(), bytes }]);
        assert!(mistakes[0].starts_with("a.binpb: not a descriptor set ("), "{mistakes:?}");
        assert!(mistakes[0].contains("protoc --include_imports --descriptor_set_out"), "{mistakes:?}");
    }
}

#[test]
fn one_broken_file_does_not_hide_the_mistakes_of_another() {
    let mut bad = file("b.proto");
    bad.message_type = vec![message("B", vec![scalar("zero", 0)])];
    let file = vec![Bytes::from_static(&[0xff]), bad.encode_to_vec().into()];
    let bytes = FileDescriptorSet { file }.encode_to_vec().into();
    let mistakes = mistakes(&[SourceSet { origin: "a.binpb".into(), bytes }]);
    assert!(mistakes[0].starts_with("a.binpb: not a descriptor set (file 1 of the set: "), "{mistakes:?}");
    assert_eq!(mistakes[1..], ["a.binpb: b.proto: field B.zero: found number 0; expected 1 to 536870911"]);
}

#[test]
fn editions_of_the_future_are_named() {
    for (syntax, edition, found) in [
        ("editions", Some(1002), "edition 2026"),
        ("editions", Some(1234), "edition number 1234"),
        ("editions", None, "`syntax = \"editions\"` without an edition"),
        ("proto4", None, "syntax \"proto4\""),
    ] {
        let file = FileDescriptorProto { syntax: Some(syntax.into()), edition, ..file("a.proto") };
        let expected =
            format!("a.binpb: a.proto: found {found}; expected proto2, proto3, edition 2023 or edition 2024");
        check(&[file], &[&expected]);
    }
}

#[test]
fn features_of_the_future_are_named() {
    let mut file = FileDescriptorProto { syntax: Some("editions".into()), edition: Some(1000), ..file("a.proto") };
    let features = Some(FeatureSet { field_presence: Some(9), ..Default::default() });
    let options = Some(FieldOptions { features, ..Default::default() });
    file.message_type = vec![message("A", vec![FieldDescriptorProto { options, ..scalar("a", 1) }])];
    check(
        &[file],
        &[
            "a.binpb: a.proto: field A.a: found features.field_presence = 9; expected a value that edition 2023 or 2024 \
           defines",
        ],
    );
}

#[test]
fn field_numbers_fit_a_tag_and_are_unique() {
    for number in [-1, 0, 536_870_912, i32::MAX] {
        let expected = format!("field p.A.a: found number {number}; expected 1 to 536870911");
        check_message(message("A", vec![scalar("a", number)]), &[&expected]);
    }
    check_message(message("A", vec![scalar("a", 536_870_911), scalar("b", 19_000), scalar("c", 1)]), &[]);
    check_message(
        message("A", vec![scalar("a", 1), scalar("b", 1), scalar("c", 1)]),
        &["field p.A.b: number 1 is also that of a", "field p.A.c: number 1 is also that of a"],
    );
}

#[test]
fn names_are_unique_in_their_scope() {
    check_message(
        message("A", vec![scalar("a", 1), scalar("a", 2)]),
        &["field p.A.a: defined twice, first as field in a.binpb: a.proto"],
    );
    check_message(message("Kind", vec![]), &["enum p.Kind: defined twice, first as message in a.binpb: a.proto"]);
    check_message(message("ZERO", vec![]), &["enum value p.ZERO: defined twice, first as message in a.binpb: a.proto"]);
    let first = FileDescriptorProto { message_type: vec![message("A", vec![])], ..file("a.proto") };
    let second = FileDescriptorProto { name: Some("b.proto".into()), ..first.clone() };
    let package = FileDescriptorProto { package: Some("A".into()), ..file("c.proto") };
    assert_eq!(
        mistakes(&[set("a.binpb", &[first]), set("b.binpb", &[second, package])]),
        [
            "b.binpb: b.proto: message A: defined twice, first as message in a.binpb: a.proto",
            "b.binpb: c.proto: package A: defined twice, first as message in a.binpb: a.proto",
        ]
    );
}

#[test]
fn names_are_identifiers_of_bounded_length() {
    for name in ["", "a b", "a.b", "ä", "a\"", "a-b"] {
        let found = format!("message p.{name}: found the name {name:?}; expected letters, digits and underscores");
        check_message(message(name, vec![]), &[&found]);
    }
    let long = "x".repeat(1100);
    let found =
        format!("message p.{}…: found a full name of more than 1024 bytes; expected a shorter one", "x".repeat(120));
    check_message(message(&long, vec![]), &[&found]);
    let file = FileDescriptorProto { package: Some("a.".repeat(300)), ..file("a.proto") };
    check(&[file], &["a.binpb: a.proto: found a package name of 600 bytes; expected at most 511"]);
}

#[test]
fn json_names_tell_fields_apart() {
    check_message(
        message("A", vec![scalar("foo_bar", 1), scalar("fooBar", 2)]),
        &[
            "field p.A.fooBar: JSON name \"fooBar\" is also that of field foo_bar; expected a `json_name` that tells them \
           apart",
        ],
    );
    let named = |name: &str| FieldDescriptorProto { json_name: Some(name.into()), ..scalar("fooBar", 2) };
    check_message(message("A", vec![scalar("foo_bar", 1), named("other")]), &[]);
    let options = MessageOptions { deprecated_legacy_json_field_conflicts: Some(true), ..Default::default() };
    let options = Some(options);
    check_message(DescriptorProto { options, ..message("A", vec![scalar("foo_bar", 1), named("fooBar")]) }, &[]);
    check_message(
        message("A", vec![named("[p.ext]")]),
        &["field p.A.fooBar: found json_name \"[p.ext]\"; expected a name without brackets"],
    );
}

#[test]
fn unknown_types_are_named() {
    check_message(
        message(
            "A",
            vec![
                of_type("a", 1, ".p.Missing"),
                of_type("b", 2, ".p.Kind"),
                FieldDescriptorProto { r#type: Some(14), ..of_type("c", 3, ".p.Other") },
                FieldDescriptorProto { r#type: None, ..of_type("d", 4, "") },
                FieldDescriptorProto { r#type: Some(10), ..of_type("e", 5, ".p") },
                FieldDescriptorProto { r#type: Some(19), ..scalar("f", 6) },
                FieldDescriptorProto { label: Some(4), ..scalar("g", 7) },
            ],
        ),
        &[
            "field p.A.a: type \".p.Missing\" is not defined; expected a message",
            "field p.A.b: type \".p.Kind\" is not defined; expected a message",
            "field p.A.c: type \".p.Other\" is not defined; expected an enum",
            "field p.A.d: type \"\" is not defined; expected a message or an enum",
            "field p.A.e: type \".p\" is not defined; expected a message",
            "field p.A.f: found type number 19; expected 1 to 18",
            "field p.A.g: found label number 4; expected 1 to 3",
        ],
    );
}

#[test]
fn relative_type_names_are_found_in_the_innermost_scope() {
    let inner = DescriptorProto { nested_type: vec![message("Other", vec![])], ..message("Inner", vec![]) };
    let mut outer = message("A", vec![of_type("near", 1, "Inner.Other"), of_type("far", 2, "Other")]);
    outer.field.push(of_type("full", 3, "p.A.Inner"));
    // A field of the name does not hide the type.
    outer.field.push(scalar("Other", 5));
    // Without a type, too.
    outer.field.push(FieldDescriptorProto { r#type: None, ..of_type("kind", 4, "Kind") });
    outer.nested_type.push(inner);
    check_message(outer, &[]);
    // The innermost scope with the first part counts, and it has no more.
    let mut outer = message("A", vec![of_type("a", 1, "p.Other")]);
    outer.nested_type.push(message("p", vec![]));
    check_message(outer, &["field p.A.a: type \"p.Other\" is not defined; expected a message"]);
}

#[test]
fn members_of_oneofs_are_checked() {
    let oneof = |name: &str| OneofDescriptorProto { name: Some(name.into()), options: None };
    let member = |name: &str, number, index| FieldDescriptorProto { oneof_index: Some(index), ..scalar(name, number) };
    let optional = |field| FieldDescriptorProto { proto3_optional: Some(true), ..field };
    check_message(
        DescriptorProto {
            oneof_decl: vec![oneof("empty"), oneof("_both"), oneof("fine")],
            ..message(
                "A",
                vec![
                    member("a", 1, -1),
                    member("b", 2, 3),
                    repeated(member("c", 3, 2)),
                    optional(member("d", 4, 1)),
                    member("e", 5, 1),
                    FieldDescriptorProto { label: Some(2), ..member("f", 6, 2) },
                ],
            )
        },
        &[
            "oneof p.A.empty: found 0 fields; expected one or more",
            "oneof p.A._both: found 2 fields; expected one, as in every oneof that stands for `optional`",
            "field p.A.a: found oneof_index -1; expected the position of a oneof of the message",
            "field p.A.b: found oneof_index 3; expected the position of a oneof of the message",
            "field p.A.c: found label repeated; expected label optional, as in a oneof or a map entry",
            "field p.A.f: found a required field; expected an optional one, as members of oneofs, map entries and \
             extensions are",
        ],
    );
}

#[test]
fn map_entries_have_one_form_and_one_user() {
    let user = |field, entry| DescriptorProto { nested_type: vec![entry], ..message("A", vec![field]) };
    let entry = || map_entry("MEntry", vec![scalar("key", 1), scalar("value", 2)]);
    check_message(user(repeated(of_type("m", 1, ".p.A.MEntry")), entry()), &[]);
    check_message(
        user(of_type("m", 1, ".p.A.MEntry"), entry()),
        &[
            "field p.A.m: found map entry p.A.MEntry as its type; expected a repeated field of the message that declares \
           the map entry",
        ],
    );
    let bad_entries = [
        map_entry("MEntry", vec![scalar("key", 1)]),
        map_entry("MEntry", vec![scalar("key", 1), scalar("value", 3)]),
        map_entry("MEntry", vec![of_type("key", 1, ".p.Other"), scalar("value", 2)]),
        map_entry("MEntry", vec![FieldDescriptorProto { r#type: Some(2), ..scalar("key", 1) }, scalar("value", 2)]),
        map_entry("MEntry", vec![scalar("key", 1), scalar("value", 2), scalar("more", 3)]),
    ];
    for entry in bad_entries {
        check_message(
            user(repeated(of_type("m", 1, ".p.A.MEntry")), entry),
            &[
                "map entry p.A.MEntry: found other fields; expected field 1 of an integer, bool or string type and field \
               2 of a type other than group",
            ],
        );
    }
}

#[test]
fn defaults_are_values_of_their_type() {
    let field = |name: &str, number, kind, default: &str| FieldDescriptorProto {
        r#type: Some(kind),
        default_value: Some(default.into()),
        ..scalar(name, number)
    };
    let fields = vec![
        field("a", 1, 5, "2147483648"),
        field("b", 2, 8, "yes"),
        FieldDescriptorProto { type_name: Some("p.Kind".into()), ..field("c", 3, 14, "ONE") },
        field("d", 4, 1, "1e3"),
        repeated(field("e", 5, 9, "text")),
        field("f", 6, 2, "nan"),
    ];
    check_message(
        message("A", fields),
        &[
            "field p.A.a: found default \"2147483648\"; expected a value of the field's type",
            "field p.A.b: found default \"yes\"; expected a value of the field's type",
            "field p.A.c: found default \"ONE\"; expected a value of the field's type",
            "field p.A.e: found default \"text\"; expected a value of the field's type",
        ],
    );
}

#[test]
fn enums_have_values_and_open_ones_begin_with_zero() {
    let file = FileDescriptorProto {
        enum_type: vec![enumeration("A", &[]), enumeration("B", &[("ONE", 1)]), enumeration("C", &[("NIL", 0)])],
        ..file("a.proto")
    };
    check(
        &[file],
        &[
            "a.binpb: a.proto: enum A: found no value; expected at least one",
            "a.binpb: a.proto: enum B: found a first value of number 1; expected 0, as in every open enum",
        ],
    );
}

#[test]
fn methods_take_and_give_messages() {
    let mut file = FileDescriptorProto { package: Some("p".into()), ..file("a.proto") };
    file.enum_type = vec![enumeration("Kind", &[("ZERO", 0)])];
    let methods = vec![method("Go", ".p.Missing", ".p.Kind"), method("Go", ".p.A", ".p.A")];
    file.service = vec![ServiceDescriptorProto { name: Some("S".into()), method: methods }];
    check(
        &[file],
        &[
            "a.binpb: a.proto: method p.S.Go: defined twice, first as method in a.binpb: a.proto",
            "a.binpb: a.proto: method p.S.Go: type \".p.Missing\" is not defined; expected a message",
            "a.binpb: a.proto: method p.S.Go: type \".p.Kind\" is not defined; expected a message",
        ],
    );
}

#[test]
fn extensions_extend_messages_and_keep_to_free_numbers() {
    let extension = |name: &str, number, extendee: &str| FieldDescriptorProto {
        extendee: Some(extendee.into()),
        ..scalar(name, number)
    };
    let file = |name: &str, extension| FileDescriptorProto { package: Some("p".into()), extension, ..file(name) };
    let mut first = file("a.proto", vec![extension("x", 1, ".p.A"), extension("y", 2, ".p.A"), extension("z", 2, "A")]);
    first.message_type = vec![message("A", vec![scalar("a", 1)])];
    first.extension.push(extension("nowhere", 1, ".p.B"));
    check(
        &[first],
        &[
            "a.binpb: a.proto: extension p.x: number 1 is also that of a",
            "a.binpb: a.proto: extension p.z: number 2 is also that of p.y",
            "a.binpb: a.proto: extension p.nowhere: type \".p.B\" is not defined; expected a message to extend",
        ],
    );
    // Options of two organisations.
    let option = |name: &str| extension(name, 50_000, ".google.protobuf.FieldOptions");
    check(&[file("a.proto", vec![option("one")]), file("b.proto", vec![option("two")])], &[]);
}

#[test]
fn well_known_messages_have_their_fields() {
    let file = FileDescriptorProto {
        package: Some("google.protobuf".into()),
        message_type: vec![message("Timestamp", vec![scalar("seconds", 1)])],
        ..file("google/protobuf/timestamp.proto")
    };
    check(
        &[file],
        &[
            "google/protobuf/timestamp.proto: field 1 of the well-known message google.protobuf.Timestamp: found \
             string; expected int64",
            "google/protobuf/timestamp.proto: field 2 of the well-known message google.protobuf.Timestamp: found no \
             such field; expected int32",
        ],
    );
}

#[test]
fn a_message_has_at_most_65535_fields() {
    let fields = |count| (1..=count).map(|number| scalar(&format!("f{number}"), number)).collect::<Vec<_>>();
    check_message(message("A", fields(65_535)), &[]);
    check_message(
        message("A", fields(65_536)),
        &["field p.A.f65536: found one field too many; expected at most 65535 in a message"],
    );
}

#[test]
fn a_long_list_of_mistakes_is_cut() {
    let fields = (1..=1500).map(|number| scalar(&format!("f{number}"), 0)).collect();
    let file = FileDescriptorProto { message_type: vec![message("A", fields)], ..file("a.proto") };
    let mistakes = mistakes(&[set("a.binpb", &[file])]);
    assert_eq!((mistakes.len(), mistakes[1000].as_str()), (1001, "500 more mistakes are not listed"));
}
