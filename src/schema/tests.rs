//! Real descriptor sets, as protoc writes them: see `tests/fixtures/schema/`.

use bytes::Bytes;

use super::load::SourceSet;
use super::{Enum, Kind, Presence, Schema, Shape, WellKnown};

/// The set of a fixture.
pub(crate) fn fixture(name: &str) -> SourceSet {
    let path = format!("{}/tests/fixtures/schema/{name}.binpb", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    SourceSet { origin: format!("{name}.binpb"), bytes: Bytes::from(bytes) }
}

#[track_caller]
fn load(names: &[&str]) -> Schema {
    let sets: Vec<SourceSet> = names.iter().map(|name| fixture(name)).collect();
    Schema::load(&sets).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// A field in one line: what differs from a singular, implicit, valid-UTF-8 field.
pub(crate) fn describe(schema: &Schema, path: &str) -> String {
    let (message, name) = path.rsplit_once('/').unwrap();
    let message = schema.message(schema.find_message(message).unwrap());
    let field = message.fields.iter().find(|field| *field.name == *name).unwrap();
    let kind = match field.kind {
        Kind::Enum(id) => format!("enum {}", schema.enumeration(id).full_name),
        Kind::Message(id) => format!("message {}", schema.message(id).full_name),
        Kind::Group(id) => format!("group {}", schema.message(id).full_name),
        kind => format!("{kind:?}").to_lowercase(),
    };
    let mut text = format!("{} {} {kind}", field.number, field.json_name);
    match field.shape {
        Shape::Singular => {}
        Shape::Repeated => text.push_str(" repeated"),
        Shape::Map => text.push_str(" map"),
    }
    match field.presence {
        Presence::Implicit => {}
        Presence::Explicit => text.push_str(" explicit"),
        Presence::Required => text.push_str(" required"),
    }
    if let Some(oneof) = field.oneof {
        text.push_str(&format!(" in {}", message.oneofs[usize::from(oneof)]));
    }
    for (is, word) in [(field.packed, " packed"), (field.utf8, " utf8"), (field.extension, " extension")] {
        text.push_str(if is { word } else { "" });
    }
    if let Some(default) = &field.default {
        text.push_str(&format!(" = {default}"));
    }
    text
}

#[track_caller]
fn check(fixture: &str, path: &str, expected: &str) {
    assert_eq!(describe(&load(&[fixture]), path), expected, "{path}");
}

#[test]
fn proto3_fields_are_resolved() {
    for (name, expected) in [
        ("name", "1 name string utf8"),
        ("subtitle", "2 subtitle string explicit utf8"),
        ("pages_total", "3 pagesTotal int64"),
        ("ratings", "4 ratings int32 repeated packed"),
        ("unpacked_ratings", "5 unpackedRatings int32 repeated"),
        ("tags", "6 tags string repeated utf8"),
        ("authors", "7 authors message fixtures.library.Book.AuthorsEntry map"),
        ("paper", "9 paper string explicit in format utf8"),
        ("ebook", "10 ebook message fixtures.library.Book.Ebook explicit in format"),
        ("odd", "11 odd enum fixtures.library.Genre explicit in format"),
        ("genre", "12 genre enum fixtures.library.Genre explicit"),
        ("published", "13 published message google.protobuf.Timestamp explicit"),
        ("nothing", "15 nothing enum google.protobuf.NullValue"),
        ("cover", "16 coverImage bytes"),
        ("_odd__name_9x", "18 OddName9x string utf8"),
    ] {
        check("library", &format!("fixtures.library.Book/{name}"), expected);
    }
    check("library", "fixtures.library.Book.AuthorsEntry/key", "1 key string utf8");
    check("library", "fixtures.library.Book.AuthorsEntry/value", "2 value message fixtures.library.Author explicit");
}

#[test]
fn proto2_fields_are_resolved() {
    for (name, expected) in [
        ("id", "1 id string required"),
        ("count", "2 count int32 explicit = -42"),
        ("ratio", "3 ratio double explicit = -inf"),
        ("color", "4 color enum fixtures.legacy.Color explicit = BLUE"),
        ("blob", "5 blob bytes explicit = \\001\\\"x"),
        ("detail", "6 detail group fixtures.legacy.Thing.Detail explicit"),
        ("part", "7 part group fixtures.legacy.Thing.Part repeated"),
        ("loose", "8 loose int32 repeated"),
        ("dense", "9 dense int32 repeated packed"),
        ("colors", "11 colors message fixtures.legacy.Thing.ColorsEntry map"),
        ("left", "12 left string explicit in choice"),
        ("right", "13 right group fixtures.legacy.Thing.Right explicit in choice"),
        (
            "fixtures.legacy.Thing.nested_extension",
            "101 [fixtures.legacy.Thing.nested_extension] message fixtures.legacy.Thing explicit extension",
        ),
        ("fixtures.legacy.top_extension", "100 [fixtures.legacy.top_extension] int32 repeated packed extension"),
        (
            "fixtures.legacy.groupextension",
            "102 [fixtures.legacy.groupextension] group fixtures.legacy.GroupExtension explicit extension",
        ),
    ] {
        check("legacy", &format!("fixtures.legacy.Thing/{name}"), expected);
    }
    check(
        "relics",
        "fixtures.relics.Set/fixtures.relics.Item.item",
        "2147483646 [fixtures.relics.Item.item] message fixtures.relics.Item explicit extension",
    );
}

#[test]
fn editions_resolve_features_of_fields() {
    for (name, expected) in [
        ("text", "1 text string explicit utf8"),
        ("implicit", "2 implicit int32"),
        ("required", "3 required int32 required"),
        ("packed", "4 packed int32 repeated packed"),
        ("expanded", "5 expanded int32 repeated"),
        ("raw", "6 raw string explicit"),
        ("prefixed", "7 prefixed message fixtures.edition_2023.Plain explicit"),
        ("delimited", "8 delimited group fixtures.edition_2023.Plain explicit"),
        ("children", "9 children message fixtures.edition_2023.Plain.ChildrenEntry map"),
        ("left", "13 left int32 explicit in choice"),
        (
            "fixtures.edition_2023.extension",
            "100 [fixtures.edition_2023.extension] group fixtures.edition_2023.Plain explicit extension",
        ),
    ] {
        check("edition_2023", &format!("fixtures.edition_2023.Plain/{name}"), expected);
    }
    check("edition_2023", "fixtures.edition_2023.Plain.LooseEntry/key", "1 key string explicit");
    check("edition_2023", "fixtures.edition_2023.Plain.LooseEntry/value", "2 value string explicit");
}

#[test]
fn features_of_a_file_are_inherited_and_overridden() {
    for (name, expected) in [
        ("text", "1 text string"),
        ("explicit", "2 explicit string explicit"),
        ("expanded", "3 expanded int32 repeated"),
        ("packed", "4 packed int32 repeated packed"),
        ("delimited", "5 delimited group fixtures.edition_2023_file.Outer explicit"),
        ("prefixed", "6 prefixed message fixtures.edition_2023_file.Outer explicit"),
        ("children", "7 children message fixtures.edition_2023_file.Outer.ChildrenEntry map"),
        ("strict", "8 strict string utf8"),
        ("closed", "9 closed enum fixtures.edition_2023_file.Closed explicit"),
        ("left", "10 left string explicit in choice"),
    ] {
        check("edition_2023_file", &format!("fixtures.edition_2023_file.Outer/{name}"), expected);
    }
    let children = "fixtures.edition_2023_file.Outer.ChildrenEntry/value";
    check("edition_2023_file", children, "2 value message fixtures.edition_2023_file.Outer explicit");
    check("edition_2023_file", "fixtures.edition_2023_file.Outer.Inner/expanded", "2 expanded int32 repeated");
}

#[test]
fn edition_2024_has_the_defaults_of_2023() {
    for (name, expected) in [
        ("text", "1 text string explicit utf8"),
        ("implicit", "2 implicit int32"),
        ("packed", "3 packed int32 repeated packed"),
        ("delimited", "4 delimited group fixtures.edition2024.Plain explicit"),
        ("kind", "5 kind enum fixtures.edition2024.Kind explicit"),
        ("book", "6 book message fixtures.library.Book explicit"),
    ] {
        check("edition_2024", &format!("fixtures.edition2024.Plain/{name}"), expected);
    }
}

fn enumeration<'s>(schema: &'s Schema, name: &str) -> &'s Enum {
    schema.enums().iter().find(|enumeration| &*enumeration.full_name == name).unwrap()
}

#[test]
fn enums_are_closed_by_their_own_features() {
    let schema = load(&["library", "legacy", "edition_2023", "edition_2023_file"]);
    for (name, closed) in [
        ("fixtures.library.Genre", false),
        ("fixtures.legacy.Color", true),
        ("fixtures.edition_2023.Open", false),
        ("fixtures.edition_2023.Closed", true),
        ("fixtures.edition_2023_file.Closed", true),
        ("fixtures.edition_2023_file.Outer.Opened", false),
    ] {
        assert_eq!(enumeration(&schema, name).closed, closed, "{name}");
    }
    let genre = enumeration(&schema, "fixtures.library.Genre");
    let values: Vec<(&str, i32)> = genre.values.iter().map(|value| (&*value.name, value.number)).collect();
    assert_eq!(values, [("GENRE_UNSPECIFIED", 0), ("FICTION", 1), ("NOVEL", 1), ("NEGATIVE", -7)]);
}

#[test]
fn methods_are_resolved_in_order_and_built_in_services_are_left_out() {
    let schema = load(&["library"]);
    let lines: Vec<String> = schema
        .methods()
        .iter()
        .map(|method| {
            let name = |id| schema.message(id).full_name.rsplit('.').next().unwrap().to_owned();
            let streams = (method.client_streaming, method.server_streaming);
            let (input, output) = (name(method.input), name(method.output));
            format!("{} {input} {output} {streams:?} {} {}", method.path, method.no_side_effects, method.idempotent)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "/fixtures.library.Library/GetBook GetBookRequest Book (false, false) true true",
            "/fixtures.library.Library/PutBook Book Book (false, false) false true",
            "/fixtures.library.Library/Watch GetBookRequest Book (false, true) false false",
            "/fixtures.library.Library/Import Book GetBookRequest (true, false) false false",
            "/fixtures.library.Library/Chat Book HttpBody (true, true) false false",
        ]
    );
    let both = load(&["library", "edition_2024"]);
    assert_eq!(both.services().collect::<Vec<_>>(), ["fixtures.library.Library", "fixtures.edition2024.Echo"]);
    let id = schema.find_method("fixtures.library.Library.GetBook").unwrap();
    let rule = schema.method(id).http.as_ref().unwrap();
    assert_eq!(
        rule.pattern,
        Some(crate::pb::google::api::http_rule::Pattern::Get("/v1/{name=shelves/*/books/*}".into()))
    );
    assert_eq!(rule.additional_bindings.len(), 2);
    assert_eq!(rule.additional_bindings[0].response_body, "authors");
    assert!(schema.methods()[1..].iter().all(|method| method.http.is_none()));
}

#[test]
fn well_known_messages_are_flagged() {
    let schema = load(&["library"]);
    for (name, expected) in [
        ("google.protobuf.Any", Some(WellKnown::Any)),
        ("google.protobuf.Duration", Some(WellKnown::Duration)),
        ("google.protobuf.Empty", Some(WellKnown::Empty)),
        ("google.protobuf.FieldMask", Some(WellKnown::FieldMask)),
        ("google.protobuf.ListValue", Some(WellKnown::ListValue)),
        ("google.protobuf.Struct", Some(WellKnown::Struct)),
        ("google.protobuf.Timestamp", Some(WellKnown::Timestamp)),
        ("google.protobuf.Value", Some(WellKnown::Value)),
        ("google.protobuf.DoubleValue", Some(WellKnown::Wrapper)),
        ("google.protobuf.UInt64Value", Some(WellKnown::Wrapper)),
        ("google.protobuf.BytesValue", Some(WellKnown::Wrapper)),
        ("google.api.HttpBody", Some(WellKnown::HttpBody)),
        ("google.rpc.ErrorInfo", None),
        ("fixtures.library.Book", None),
    ] {
        assert_eq!(schema.message(schema.find_message(name).unwrap()).well_known, expected, "{name}");
    }
    assert!(enumeration(&schema, "google.protobuf.NullValue").null_value);
}

#[test]
fn oneofs_that_stand_for_optional_are_left_out() {
    let schema = load(&["library"]);
    let book = schema.message(schema.find_message("fixtures.library.Book").unwrap());
    assert_eq!(book.oneofs.iter().map(|name| &**name).collect::<Vec<_>>(), ["format"]);
}

#[test]
fn json_names_may_clash_in_legacy_json() {
    check("relics", "fixtures.relics.Clash/clash_name", "1 clashName string explicit");
    check("relics", "fixtures.relics.Clash/clashName", "2 clashName string explicit");
    check("edition_2023", "fixtures.edition_2023.LegacyNames/clash_name", "1 clashName string explicit utf8");
}

#[test]
fn message_sets_and_map_entries_are_flagged() {
    let schema = load(&["legacy", "relics"]);
    let message = |name| schema.message(schema.find_message(name).unwrap());
    assert!(message("fixtures.relics.Set").message_set);
    assert!(message("fixtures.legacy.Thing.ColorsEntry").map_entry);
    assert!(!message("fixtures.legacy.Thing").map_entry && !message("fixtures.legacy.Thing").message_set);
    assert_eq!(&*message("fixtures.legacy.Thing").file, "legacy.proto");
}
