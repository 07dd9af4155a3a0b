//! Paths of fields, and where they lead nowhere.

use crate::schema::Schema;
use crate::schema::tests::fixture;

/// The names on the way, or the message of the error.
#[track_caller]
fn check(text: &str, expected: Result<&str, &str>) {
    let schema = Schema::load(&[fixture("library")]).unwrap();
    let request = schema.find_message("fixtures.library.GetBookRequest").unwrap();
    let found = schema.find_path(request, text);
    let names = found.map(|path| {
        let (message, field) = schema.follow(request, &path);
        format!("{} {} of {}", path.steps().len(), field.name, schema.message(message).full_name)
    });
    let expected = expected.map(ToOwned::to_owned).map_err(ToOwned::to_owned);
    assert_eq!(names.map_err(|error| error.to_string()), expected, "{text}");
}

#[test]
fn a_path_goes_through_singular_messages() {
    check("name", Ok("1 name of fixtures.library.GetBookRequest"));
    check("book", Ok("1 book of fixtures.library.GetBookRequest"));
    check("book.name", Ok("2 name of fixtures.library.Book"));
    check("book.sequel.sequel.ebook.size", Ok("5 size of fixtures.library.Book.Ebook"));
}

#[test]
fn a_step_is_a_proto_name_or_a_json_name() {
    check("book.pages_total", Ok("2 pages_total of fixtures.library.Book"));
    check("book.pagesTotal", Ok("2 pages_total of fixtures.library.Book"));
    check("book.coverImage", Ok("2 cover of fixtures.library.Book"));
    check("book.cover", Ok("2 cover of fixtures.library.Book"));
}

#[test]
fn the_last_step_may_be_a_list_or_a_map() {
    check("book.tags", Ok("2 tags of fixtures.library.Book"));
    check("book.authors", Ok("2 authors of fixtures.library.Book"));
}

#[test]
fn a_wrong_step_is_named() {
    let empty =
        |path: &str| format!("field path {path:?} has an empty step; expected field names with a dot between them");
    for path in ["", ".", "book.", ".book", "book..name"] {
        check(path, Err(&empty(path)));
    }
    check("nope", Err("field path \"nope\": message fixtures.library.GetBookRequest has no field \"nope\""));
    check("book.nope.x", Err("field path \"book.nope.x\": message fixtures.library.Book has no field \"nope\""));
    for (path, step, found) in [
        ("name.x", "name", "a scalar"),
        ("book.tags.x", "tags", "a repeated field"),
        ("book.authors.x", "authors", "a map"),
    ] {
        let expected =
            format!("field path {path:?} can't go on from {step:?}: found {found}; expected a singular message");
        check(path, Err(&expected));
    }
}

#[test]
fn a_path_without_end_is_refused() {
    let schema = Schema::load(&[fixture("library")]).unwrap();
    let book = schema.find_message("fixtures.library.Book").unwrap();
    assert!(schema.find_path(book, &["sequel"; 100].join(".")).is_ok());
    let error = schema.find_path(book, &["sequel"; 101].join(".")).unwrap_err();
    assert!(error.to_string().ends_with("is too deep; expected at most 100 steps"), "{error}");
}
