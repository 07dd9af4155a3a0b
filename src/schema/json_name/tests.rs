//! JSON names as protoc makes them.

use super::lower_camel_case;

#[track_caller]
fn check(name: &str, expected: &str) {
    assert_eq!(lower_camel_case(name), expected, "{name}");
}

#[test]
fn only_letters_behind_underscores_change() {
    check("foo", "foo");
    check("foo_bar", "fooBar");
    check("foo__bar_", "fooBar");
    check("_foo", "Foo");
    check("Foo_Bar", "FooBar");
    check("FOO_bar", "FOOBar");
    check("foo_1bar_2", "foo1bar2");
    check("_", "");
    check("", "");
}
