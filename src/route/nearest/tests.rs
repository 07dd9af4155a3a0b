//! Suggestions.

use crate::route::template::PathTemplate;

use super::{distance, name};

#[test]
fn a_misspelt_name_is_recognised() {
    let names = || ["display_name", "user_id", "email"].into_iter();
    assert_eq!(name("userid", names()), Some("user_id"));
    assert_eq!(name("displayName", names()), Some("display_name"));
    assert_eq!(name("emial", names()), Some("email"));
    assert_eq!(name("quantity", names()), None);
    assert_eq!(name("", names()), None);
}

#[track_caller]
fn check_order(path: &str, templates: &[&str]) {
    let distances: Vec<usize> =
        templates.iter().map(|template| distance(path, &PathTemplate::parse(template).unwrap())).collect();
    assert!(distances.is_sorted(), "{path}: {distances:?}");
}

#[test]
fn the_nearest_template_is_the_one_with_the_fewest_edits() {
    check_order("/v1/user/7", &["/v1/users/{id}", "/v1/users", "/v2/orders/{id}/items/{item}"]);
    check_order("/v1/users/7/", &["/v1/users/{id}", "/v1/users"]);
    check_order("/v1/files/a/b/c", &["/v1/files/{path=**}", "/v1/users/{id}", "/v1/files"]);
    check_order("/v1/users:serch", &["/v1/users:search", "/v1/users:import", "/v1/users/{id}:search"]);
    check_order("/", &["/", "/v1", "/v1/users"]);
}

#[test]
fn long_paths_are_cut() {
    let path = "/a".repeat(4096);
    assert!(distance(&path, &PathTemplate::parse("/a/b").unwrap()) > 0);
}
