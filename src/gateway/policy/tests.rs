//! What levels add up to, outermost first.

use super::*;

fn any(providers: &[&str], inherit: bool) -> Level {
    let providers = providers.iter().map(ToString::to_string).collect();
    Level { auth: Some(AuthRule::Any { providers, optional: false, inherit }), ..Level::default() }
}

fn auth(rule: AuthRule) -> Level {
    Level { auth: Some(rule), ..Level::default() }
}

fn require(texts: &[&str], inherit: bool) -> Level {
    let written = |text: &&str| Written { place: String::new(), text: (*text).to_owned() };
    let expressions = texts.iter().map(written).collect();
    Level { require: Some(Require { expressions, inherit }), ..Level::default() }
}

fn limits(names: &[&str], inherit: bool) -> Level {
    let names = names.iter().map(ToString::to_string).collect();
    Level { limits: Some(Names { names, inherit }), ..Level::default() }
}

fn denied(net: &str, inherit: bool) -> Level {
    let rules = AddressRules { allow: Vec::new(), deny: vec![net.parse().unwrap()] };
    Level { addresses: Some(AddressLists { rules, inherit }), ..Level::default() }
}

/// The lists of providers, with a `?` behind those that may be missing.
#[track_caller]
fn check_auth(levels: &[Level], expected: &[&str]) {
    let list = |list: &AnyOf| list.providers.join(" ") + if list.optional { "?" } else { "" };
    let lists: Vec<_> = Sum::of(levels).auth.expect("a level says something").iter().map(list).collect();
    assert_eq!(lists, expected);
}

#[test]
fn each_list_of_providers_must_be_satisfied() {
    let (a, b, alone) = (any(&["a", "b"], true), any(&["c"], true), any(&["c"], false));
    assert_eq!(Sum::of(&[Level::default()]).auth, None);
    check_auth(&[a.clone(), Level::default()], &["a b"]);
    check_auth(&[a.clone(), b.clone()], &["a b", "c"]);
    check_auth(&[a.clone(), alone], &["c"]);
    check_auth(&[auth(AuthRule::None)], &[]);
    check_auth(&[a.clone(), auth(AuthRule::None)], &[]);
    check_auth(&[a.clone(), auth(AuthRule::None), b.clone()], &["c"]);
    check_auth(&[a.clone(), auth(AuthRule::Optional)], &["a b?"]);
    // What one level leaves to the caller does not change what another asks for.
    check_auth(&[a.clone(), auth(AuthRule::Optional), b], &["a b?", "c"]);
    let optional = Level {
        auth: Some(AuthRule::Any { providers: vec!["c".into()], optional: true, inherit: true }),
        ..Level::default()
    };
    check_auth(&[a, optional], &["a b", "c?"]);
}

#[test]
fn what_is_asked_of_a_credential_goes_with_it() {
    let asked = Level { scopes: vec!["read".into()], roles: vec!["admin".into()], ..any(&["a"], true) };
    let levels = [asked.clone(), Level { roles: vec!["owner".into()], ..Level::default() }];
    let sum = Sum::of(&levels);
    assert_eq!(
        (sum.scopes, sum.roles),
        (vec!["read".to_owned()], vec![vec!["admin".to_owned()], vec!["owner".into()]])
    );
    let opened = Sum::of(&[asked, require(&["x"], true), auth(AuthRule::None)]);
    assert_eq!((opened.scopes.len(), opened.roles.len(), opened.require.len()), (0, 0, 1));
}

#[test]
fn expressions_limits_and_addresses_add_up_unless_one_starts_over() {
    let texts = |levels: &[Level]| Sum::of(levels).require.into_iter().map(|written| written.text).collect::<Vec<_>>();
    assert_eq!(texts(&[require(&["a"], true), require(&["b", "c"], true)]), ["a", "b", "c"]);
    assert_eq!(texts(&[require(&["a"], true), require(&["b"], false), require(&["c"], true)]), ["b", "c"]);
    assert_eq!(Sum::of(&[limits(&["a", "b"], true), limits(&["b", "c"], true)]).limits, ["a", "b", "c"]);
    assert_eq!(Sum::of(&[limits(&["a"], true), limits(&[], false)]).limits, <[&str; 0]>::default());
    let (outer, inner) = ("10.0.0.0/8", "192.0.2.0/24");
    assert_eq!(Sum::of(&[denied(outer, true), denied(inner, true)]).addresses.len(), 2);
    assert_eq!(Sum::of(&[denied(outer, true), denied(inner, false)]).addresses.len(), 1);
}

#[test]
fn plain_values_replace() {
    let level = |cost, token| Level { cost, forward_token: token, ..Level::default() };
    let sum = Sum::of(&[level(Some(2), Some(true)), level(None, None)]);
    assert_eq!((sum.cost, sum.forward_token), (Some(2), true));
    let sum = Sum::of(&[level(Some(2), Some(true)), level(Some(3), Some(false))]);
    assert_eq!((sum.cost, sum.forward_token), (Some(3), false));
}
