//! The grammar as tables, and as a property.

use proptest::prelude::*;

use super::{Extent, MAX_SEGMENTS, MAX_TEMPLATE_BYTES, PathTemplate, Segment};

/// A template as `segments | variables | verb`.
fn describe(template: &PathTemplate) -> String {
    let segments: Vec<String> = template
        .segments()
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => format!("{text:?}"),
            Segment::One => "*".to_owned(),
            Segment::Rest => "**".to_owned(),
        })
        .collect();
    let variables: Vec<String> = template
        .variables()
        .iter()
        .map(|variable| {
            let extent = match variable.extent {
                Extent::One => "",
                Extent::Several => "+",
                Extent::Open => "..",
            };
            format!("{}={:?}{extent}@{}", variable.path, variable.segments, variable.column)
        })
        .collect();
    format!("{} | {} | {}", segments.join(" "), variables.join(" "), template.verb().unwrap_or("-"))
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let template = PathTemplate::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(describe(&template), expected, "{text}");
    assert_eq!(template.to_string(), text);
}

#[track_caller]
fn check_error(text: &str, column: usize, message: &str) {
    let error = PathTemplate::parse(text).expect_err(text);
    assert_eq!(error.column, column, "{text}: {error}");
    assert!(error.message.contains(message), "{text}: {error}");
}

#[test]
fn literals_wildcards_and_variables_are_segments() {
    check("/v1/users", r#""v1" "users" |  | -"#);
    check("/v1/*/users/**", r#""v1" * "users" ** |  | -"#);
    check("/v1/{id}", r#""v1" * | id=1..2@6 | -"#);
    check("/v1/{id=*}", r#""v1" * | id=1..2@6 | -"#);
    check("/{name=shelves/*/books/*}", r#""shelves" * "books" * | name=0..4+@3 | -"#);
    check("/v1/{name=**}", r#""v1" ** | name=1..2..@6 | -"#);
    check("/v1/{name=a/**}", r#""v1" "a" ** | name=1..3..@6 | -"#);
    check("/v1/{name=a}", r#""v1" "a" | name=1..2@6 | -"#);
    check("/{a}/{b.c_d.E1}", r#"* * | a=0..1@3 b.c_d.E1=1..2@7 | -"#);
    check("/**", "** |  | -");
    check("/*", "* |  | -");
}

#[test]
fn the_root_is_a_template_without_segments() {
    check("/", " |  | -");
}

#[test]
fn a_verb_begins_at_the_last_colon() {
    check("/v1/users:search", r#""v1" "users" |  | search"#);
    check("/v1/{name=users/*}:cancel", r#""v1" "users" * | name=1..3+@6 | cancel"#);
    check("/v1/{name=**}:cancel", r#""v1" ** | name=1..2..@6 | cancel"#);
    check("/v1/**:cancel", r#""v1" ** |  | cancel"#);
    check("/v1/a:b:c", r#""v1" "a:b" |  | c"#);
    check("/v1/x:c%61ncel", r#""v1" "x" |  | cancel"#);
}

#[test]
fn other_colons_are_data() {
    check("/v1/a:b/c", r#""v1" "a:b" "c" |  | -"#);
    check("/v1/{n=a:b}", r#""v1" "a:b" | n=1..2@6 | -"#);
    check("/v1/a%3Ab", r#""v1" "a:b" |  | -"#);
}

#[test]
fn literals_are_decoded() {
    check("/v1/a%20b/%E2%82%ac", r#""v1" "a b" "€" |  | -"#);
    check("/ü/a%2Fb/%2A/%7Bx%7D", r#""ü" "a/b" "*" "{x}" |  | -"#);
    check("/a+b/~x/a=b/@/$,;'()!&", r#""a+b" "~x" "a=b" "@" "$,;'()!&" |  | -"#);
    check("/.../a./.well-known", r#""..." "a." ".well-known" |  | -"#);
}

#[test]
fn a_template_begins_with_a_slash() {
    check_error("", 1, "begins with \"/\"");
    check_error("v1/users", 1, "begins with \"/\"");
    check_error("{name=**}", 1, "begins with \"/\"");
}

#[test]
fn empty_segments_are_refused() {
    check_error("//", 2, "empty");
    check_error("/v1//x", 5, "empty");
    check_error("/v1/", 5, "empty");
    check_error("/:verb", 2, "empty");
    check_error("/v1/{a=}", 8, "empty");
    check_error("/v1/{a=b/}", 10, "empty");
    check_error("/v1/{a=/b}", 8, "empty");
    check_error("/v1/x:", 7, "empty");
    check_error("/v1/{a}:", 9, "empty");
}

#[test]
fn a_double_wildcard_is_last() {
    check_error("/v1/**/x", 5, "last");
    check_error("/v1/{a=**}/x", 8, "last");
    check_error("/v1/{a=**/x}", 8, "last");
    check_error("/**/**", 2, "last");
    check_error("/**/{a}", 2, "last");
    check_error("/{a=x/**}/{b=**}", 7, "last");
}

#[test]
fn wildcards_fill_their_segment() {
    check_error("/v1/a*", 6, "alone");
    check_error("/v1/***", 5, "alone");
    check_error("/v1/*a", 5, "alone");
    check_error("/v1/x:*", 7, "alone");
}

#[test]
fn variables_fill_their_segment() {
    check_error("/v1/a{b}", 6, "fills its segment");
    check_error("/v1/{a}b", 8, "fills its segment");
    check_error("/v1/{a}{b}", 8, "fills its segment");
    check_error("/v1/{a}:b:c", 8, "fills its segment");
}

#[test]
fn variables_do_not_nest() {
    check_error("/v1/{a={b}}", 8, "nest");
    check_error("/v1/{a=x/{b}}", 10, "nest");
    check_error("/v1/{a=x{b}}", 9, "nest");
}

#[test]
fn a_variable_stands_once() {
    check_error("/v1/{a}/{a}", 10, "second time");
    check_error("/v1/{a.b}/{c}/{a.b=x/*}", 16, "second time");
}

#[test]
fn braces_come_in_pairs() {
    check_error("/v1/{a", 7, "expected \"}\"");
    check_error("/v1/{a=x/*", 11, "expected \"}\"");
    check_error("/v1/{a/b}", 7, "expected \"}\" to end the variable \"a\", found '/'");
    check_error("/v1/{a:b}", 7, "expected \"}\"");
    check_error("/v1/a}", 6, "without its \"{\"");
    check_error("/v1/}", 5, "empty");
    check_error("/v1/{a}}", 8, "fills its segment");
    check_error("/v1/{", 6, "name of a field");
}

#[test]
fn field_paths_are_identifiers() {
    check_error("/v1/{}", 6, "name of a field");
    check_error("/v1/{=x}", 6, "name of a field");
    check_error("/v1/{.a}", 6, "name of a field");
    check_error("/v1/{a.}", 8, "name of a field");
    check_error("/v1/{a..b}", 8, "name of a field");
    check_error("/v1/{1a}", 6, "begin with '1'");
    check_error("/v1/{a-b}", 7, "'-'");
    check_error("/v1/{ä}", 6, "begin with 'ä'");
    check_error("/v1/{a.*}", 8, "'*'");
}

#[test]
fn escapes_are_checked() {
    check_error("/v1/a%", 6, "hexadecimal");
    check_error("/v1/a%2", 6, "hexadecimal");
    check_error("/v1/%zz", 5, "hexadecimal");
    check_error("/ü/%zz", 4, "hexadecimal");
    check_error("/v1/%ff", 5, "UTF-8");
    check_error("/v1/x:%", 7, "hexadecimal");
}

#[test]
fn columns_count_characters() {
    check_error("/äöü/{a}/{a}", 11, "second time");
}

#[test]
fn dot_segments_are_refused_as_unreachable() {
    check_error("/v1/../x", 5, "never match");
    check_error("/.", 2, "never match");
    check_error("/v1/%2e%2E", 5, "never match");
}

#[test]
fn queries_fragments_and_spaces_are_refused() {
    check_error("/v1/x?a=b", 6, "without query");
    check_error("/v1/x#a", 6, "without query");
    check_error("/v1/ x", 5, "%XX");
    check_error("/v1/\n", 5, "%XX");
}

#[test]
fn length_and_segments_are_bounded() {
    check_error(&format!("/{}", "a".repeat(MAX_TEMPLATE_BYTES)), 1, "at most 4096 bytes");
    assert!(PathTemplate::parse(&"/a".repeat(MAX_SEGMENTS)).is_ok());
    check_error(&"/a".repeat(MAX_SEGMENTS + 1), 2 * MAX_SEGMENTS + 2, "at most 128 segments");
}

/// One literal, with its escaped spelling.
fn literal() -> impl Strategy<Value = (String, String)> {
    let character = prop_oneof![
        8 => "[a-z0-9._~+=@-]".prop_map(|text| (text.clone(), text)),
        1 => prop_oneof![Just("/"), Just("*"), Just("{"), Just("}"), Just(":"), Just("%"), Just("é"), Just(" ")]
            .prop_map(|text| (text.to_owned(), text.bytes().map(|byte| format!("%{byte:02X}")).collect())),
    ];
    proptest::collection::vec(character, 1..5)
        .prop_map(|characters| characters.into_iter().unzip())
        .prop_filter("dot segments are refused", |(text, _): &(String, String)| text != "." && text != "..")
}

/// Segments as they are expected, with their spelling.
fn segment() -> impl Strategy<Value = (Segment, String)> {
    prop_oneof![
        literal().prop_map(|(text, spelling)| (Segment::Literal(text.into()), spelling)),
        Just((Segment::One, "*".to_owned())),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_parsed(
        parts in proptest::collection::vec((proptest::collection::vec(segment(), 1..4), any::<bool>()), 1..5),
        rest in any::<bool>(),
        verb in proptest::option::of(literal()),
    ) {
        let mut text = String::new();
        let mut segments = Vec::new();
        let mut ranges = Vec::new();
        for (position, (part, variable)) in parts.iter().enumerate() {
            let start = segments.len();
            let mut spelling = part.iter().map(|(_, spelling)| spelling.as_str()).collect::<Vec<_>>();
            segments.extend(part.iter().map(|(segment, _)| segment.clone()));
            if rest && position + 1 == parts.len() {
                spelling.push("**");
                segments.push(Segment::Rest);
            }
            let spelling = spelling.join("/");
            if *variable {
                ranges.push((format!("f{position}"), start..segments.len()));
                text += &if spelling == "*" { format!("/{{f{position}}}") } else { format!("/{{f{position}={spelling}}}") };
            } else {
                text += &format!("/{spelling}");
            }
        }
        if let Some((_, spelling)) = &verb {
            text += &format!(":{spelling}");
        }
        let template = PathTemplate::parse(&text).unwrap();
        prop_assert_eq!(template.segments(), &segments[..]);
        let variables: Vec<_> = template.variables().iter().map(|it| (it.path.to_string(), it.segments.clone())).collect();
        prop_assert_eq!(variables, ranges);
        prop_assert_eq!(template.verb(), verb.as_ref().map(|(text, _)| text.as_str()));
        prop_assert_eq!(template.to_string(), text.as_str());
        prop_assert_eq!(PathTemplate::parse(&template.to_string()).unwrap(), template);
    }

    #[test]
    fn any_text_is_a_template_or_an_error_in_it(text in "[/*{}=:.%a-c2é ]{0,24}") {
        if let Err(error) = PathTemplate::parse(&text) {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column), "{}: {}", text, error);
        }
    }
}
