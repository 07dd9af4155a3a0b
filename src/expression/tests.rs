//! What is accepted and refused, with messages and places; what expressions come to over real wire bytes; hostile
//! bytes; and the bounds at their edges.

mod time;

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value as Json, json};

use super::facts::{Auth, Facts, Http};
use super::message::{MAX_ELEMENTS, MAX_VALUE_BYTES};
use super::syntax::{MAX_BRACKETS, MAX_TEXT_BYTES, MAX_TREE_DEPTH};
use super::typing::Type;
use super::value::Value;
use super::work::MAX_WORK;
use super::{Environment, EvaluationError, Expression};
use crate::schema::Schema;
use crate::schema::testing::{pool, schema};

const SOURCES: &[(&str, &str)] = &[
    (
        "t.proto",
        r#"syntax = "proto3"; package t;
        import "google/protobuf/struct.proto";
        import "google/protobuf/wrappers.proto";
        import "google/protobuf/timestamp.proto";
        import "google/protobuf/duration.proto";
        import "google/protobuf/any.proto";
        import "old.proto";
        enum Color { NONE = 0; RED = 1; BLUE = 2; }
        message User { string tenant = 1; int64 level = 2; User boss = 3; repeated string tags = 4; }
        message Item { string sku = 1; int32 quantity = 2; optional int32 discount = 3; User owner = 4;
                       repeated Item parts = 5; map<string, int32> sizes = 6; }
        message Request {
            string tenant = 1; int32 count = 2; int64 big = 3; uint64 huge = 4; double ratio = 5; bool flag = 6;
            bytes raw = 7; Color color = 8; User user = 9; repeated Item items = 10; repeated int32 numbers = 11;
            repeated string names = 12; map<string, string> labels = 13; map<int64, Item> by_id = 14;
            optional string nick = 15; sint32 s32 = 16; sint64 s64 = 17; fixed32 f32 = 18; sfixed64 sf64 = 19;
            float single = 20; uint32 u32 = 21; repeated Color colors = 22;
            oneof choice { string text = 23; int32 number = 24; User person = 25; }
            google.protobuf.Struct data = 26; google.protobuf.Value any_value = 27; google.protobuf.ListValue list = 28;
            google.protobuf.StringValue maybe = 29; google.protobuf.Int64Value maybe_int = 30;
            google.protobuf.Timestamp at = 31; google.protobuf.Any any = 32; old.Old old = 33;
            map<uint32, bool> switches = 34; repeated google.protobuf.Int32Value boxed = 35; string camel_case = 36;
            google.protobuf.Duration ttl = 37; repeated google.protobuf.Timestamp times = 38;
            map<string, google.protobuf.Duration> spans = 39;
        }"#,
    ),
    (
        "old.proto",
        r#"syntax = "proto2"; package old;
        enum Kind { SECOND = 2; FIRST = 1; }
        message Old {
            optional int32 port = 1 [default = 8080]; optional string host = 2 [default = "local"];
            optional bool on = 3 [default = true]; optional bytes key = 4 [default = "a\001\xff\n"];
            optional double share = 5 [default = inf]; optional Kind kind = 6; optional Kind first = 7 [default = FIRST];
            repeated Kind kinds = 8; optional group Inner = 9 { optional int32 deep = 1; }
            repeated int32 plain = 10; required int32 must = 11;
        }"#,
    ),
];

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| pool(SOURCES));
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| schema(&POOL));

fn environment() -> Environment<'static> {
    Environment { request: SCHEMA.find_message("t.Request").map(|id| (&*SCHEMA, id)) }
}

fn wire(message: &Json) -> Vec<u8> {
    let descriptor = POOL.get_message_by_name("t.Request").unwrap();
    DynamicMessage::deserialize(descriptor, message).unwrap().encode_to_vec()
}

fn claims() -> serde_json::Map<String, Json> {
    let claims = json!({
        "tenant": "acme", "level": 7, "huge": u64::MAX, "ratio": 0.5, "admin": true, "groups": ["a", "b"],
        "org": {"name": "x", "depth": {"n": 1}}, "none": null, "https://acme/id": "42",
    });
    claims.as_object().unwrap().clone()
}

/// 2027-01-15T08:00:00.5Z
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_800_000_000_500)
}

/// Evaluates over a caller, a `GET /v1/things` and this message.
fn evaluate(expression: &Expression, wire: &[u8]) -> Result<Value, EvaluationError> {
    let mut headers = HeaderMap::new();
    headers.append("x-one", "first".parse().unwrap());
    headers.append("x-one", "second".parse().unwrap());
    headers.append("accept", "text/html".parse().unwrap());
    let (claims, roles) = (claims(), ["admin".to_owned(), "reader".to_owned()]);
    let auth = Auth {
        subject: "jo",
        id: "users:jo",
        provider: "users",
        plan: "pro",
        roles: &roles,
        scopes: &["read".to_owned()],
        claims: &claims,
    };
    expression.evaluate(&Facts {
        auth: Some(auth),
        request: Some(wire),
        client_address: "192.0.2.7",
        http: Http { method: "GET", path: "/v1/things", host: "api.example.com", headers: &headers },
        now: now(),
    })
}

/// Evaluates over nobody and nothing.
fn evaluate_anonymous(expression: &Expression) -> Result<Value, EvaluationError> {
    let http = Http { method: "GET", path: "/", host: "h", headers: &HeaderMap::new() };
    expression.evaluate(&Facts { auth: None, request: None, client_address: "::1", http, now: now() })
}

#[track_caller]
fn compile(text: &str, expected: Type) -> Expression {
    Expression::compile(text, &environment(), expected).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"))
}

#[track_caller]
fn holds(text: &str, message: &Json) {
    assert_eq!(evaluate(&compile(text, Type::Bool), &wire(message)), Ok(Value::Bool(true)), "{text} over {message}");
}

#[track_caller]
fn fails(text: &str, message: &Json, expected: &str) {
    let error = evaluate(&compile(text, Type::Dyn), &wire(message)).expect_err(text);
    assert_eq!(error.to_string(), expected, "{text}");
}

/// The only mistake: the part of the text that it is about, and its message.
#[track_caller]
fn refused(text: &str, expected: Type, part: &str, message: &str) {
    let mistakes = Expression::compile(text, &environment(), expected).expect_err(text);
    let [mistake] = mistakes.as_slice() else { panic!("{text}: {mistakes:?}") };
    assert_eq!((text.get(mistake.range.clone()), mistake.message.as_str()), (Some(part), message), "{text}");
}

#[test]
fn callers_are_seen() {
    let none = json!({});
    for text in [
        "'admin' in auth.roles",
        "!('writer' in auth.roles)",
        "auth.subject == 'jo' && auth.id == 'users:jo' && auth.provider == 'users' && auth.plan == 'pro'",
        "auth.scopes == ['read']",
        "auth.scopes[0] == 'read' && size(auth.roles) == 2",
        "auth.claims.tenant == 'acme'",
        "auth.claims['https://acme/id'] == '42'",
        "auth.claims.level == 7 && auth.claims.level + 1 == 8 && auth.claims.level > 6.5",
        "auth.claims.huge == 18446744073709551615u",
        "auth.claims.ratio < 1.0",
        "auth.claims.admin",
        "'b' in auth.claims.groups",
        "auth.claims.groups.exists(group, group == 'a')",
        "auth.claims.org.depth.n == 1",
        "has(auth.claims.org.depth) && !has(auth.claims.org.width)",
        "has(auth.claims.tenant) && !has(auth.claims.missing)",
        "has(auth.subject) && has(auth.roles) && has(auth.claims)",
        "!has(auth.claims.missing) || auth.claims.missing == 'x'",
        "auth.claims.none == null",
        "'tenant' in auth.claims",
        "size(auth.claims) == 9",
        "auth.claims.all(name, name != '')",
        "true || auth.claims.missing",
    ] {
        holds(text, &none);
    }
    fails("auth.claims.missing == 'x'", &none, "auth.claims has no \"missing\"");
    fails("auth.claims.org.missing == 'x'", &none, "no such key");
    fails("auth.claims.tenant > 5", &none, "found no matching overload for '_>_' applied to '(string, int)'");
    fails("auth.claims.tenant.missing", &none, "found no matching overload for '_._' applied to '(string, string)'");
}

#[test]
fn nobody_is_empty() {
    for text in [
        "auth.subject == '' && auth.id == '' && auth.provider == '' && auth.plan == ''",
        "auth.roles == [] && auth.scopes.size() == 0 && size(auth.claims) == 0",
        "!has(auth.subject) && !has(auth.claims.tenant) && !has(auth.roles)",
    ] {
        assert_eq!(evaluate_anonymous(&compile(text, Type::Bool)), Ok(Value::Bool(true)), "{text}");
    }
    let error = evaluate_anonymous(&compile("auth.claims.tenant == 'x'", Type::Bool)).unwrap_err();
    assert_eq!(error.to_string(), "auth.claims has no \"tenant\"");
    assert_eq!(evaluate_anonymous(&compile("request.tenant == ''", Type::Bool)), Err(EvaluationError::NoRequest));
}

#[test]
fn the_client_and_http_are_seen() {
    for text in [
        "client.ip == '192.0.2.7'",
        "http.method == 'GET' && http.path.startsWith('/v1/') && http.host.endsWith('.com')",
        "http.headers['x-one'] == 'first, second'",
        "http.headers.accept.contains('html')",
        "'accept' in http.headers && !('cookie' in http.headers)",
        "has(http.headers.accept) && !has(http.headers.cookie)",
        "size(http.headers) == 2",
        "http.path.matches('^/v[0-9]+/') && matches(http.path, 'things$') && !http.path.matches('^x')",
    ] {
        holds(text, &json!({}));
    }
    fails("http.headers.cookie == ''", &json!({}), "http.headers has no \"cookie\"");
    fails("http.headers['x-two'] == ''", &json!({}), "http.headers has no \"x-two\"");
}

#[test]
fn fields_are_read_from_the_wire() {
    let message = json!({
        "tenant": "acme", "count": -3, "big": "9223372036854775807", "huge": "18446744073709551615", "ratio": 2.5,
        "flag": true, "raw": "AQI=", "color": "BLUE", "user": {"tenant": "t", "boss": {"level": "9", "tags": ["x"]}},
        "items": [{"sku": "a", "quantity": 1}, {"sku": "b", "quantity": 2, "discount": 0, "owner": {"level": 3},
                  "parts": [{"sku": "c"}], "sizes": {"s": 4}}],
        "numbers": [1, 2, -3], "names": ["n", "m"], "labels": {"k": "v", "empty": ""},
        "byId": {"-5": {"sku": "five"}}, "s32": -7, "s64": "-8", "f32": 9, "sf64": "-10", "single": 1.5, "u32": 4294967295u32,
        "colors": ["RED", "NONE"], "switches": {"7": true}, "boxed": [1, 0], "camelCase": "c",
    });
    for text in [
        "request.tenant == auth.claims.tenant",
        "request.count == -3 && request.count < 0 && request.count + 5 == 2",
        "request.big == 9223372036854775807",
        "request.huge == 18446744073709551615u && request.huge > request.big",
        "request.ratio == 2.5 && request.single == 1.5 && request.flag",
        "request.raw == b'\\x01\\x02' && size(request.raw) == 2",
        "request.color == 2 && request.colors == [1, 0]",
        "request.user.tenant == 't' && request.user.boss.level == 9 && request.user.boss.boss.boss.level == 0",
        "request.user.boss.tags[0] == 'x' && request.user.tags == []",
        "request.s32 == -7 && request.s64 == -8 && request.f32 == 9u && request.sf64 == -10",
        "request.u32 == 4294967295u && request.u32 == 4294967295",
        "request.numbers == [1, 2, -3] && 2 in request.numbers && !(4 in request.numbers)",
        "request.names.exists_one(name, name == 'm') && request.names.map(name, name + '!') == ['n!', 'm!']",
        "request.labels.k == 'v' && request.labels['empty'] == '' && 'k' in request.labels && !('z' in request.labels)",
        "request.by_id[-5].sku == 'five' && request.switches[7u] && request.switches[7]",
        "size(request.items) == 2 && request.items[1].sku == 'b'",
        "request.items.all(item, item.quantity > 0 && item.sku != '')",
        "request.items.filter(item, item.quantity > 1).map(item, item.sku) == ['b']",
        "request.items.map(item, item.quantity == 2, item.owner.level) == [3]",
        "request.items.exists(item, has(item.discount)) && !request.items.all(item, has(item.discount))",
        "request.items.exists(item, has(item.owner)) && request.items.exists(item, !has(item.owner))",
        "request.items.exists(item, item.parts.exists(part, part.sku == 'c')) && request.items[0].owner.boss.level == 0",
        "request.items[1].sizes.s == 4 && request.items[1].sizes == {'s': 4}",
        "has(request.user.boss) && !has(request.user.boss.boss) && has(request.items) && has(request.labels)",
        "has(request.numbers) && has(request.tenant) && !has(request.nick)",
        "request.camel_case == 'c' && request.camelCase == 'c' && request.byId[-5].sku == 'five'",
        "request.boxed == [1, 0]",
        "request.labels.all(key, request.labels[key] == 'v' || key == 'empty')",
        "request.items.map(request, request.sku) == ['a', 'b']",
    ] {
        holds(text, &message);
    }
}

#[test]
fn unset_fields_have_their_defaults() {
    for text in [
        "request.tenant == '' && request.count == 0 && request.huge == 0u && request.ratio == 0.0 && !request.flag",
        "request.raw == b'' && request.color == 0 && request.user.boss.tenant == '' && request.items == []",
        "request.labels == {} && request.text == '' && request.person.tenant == '' && request.nick == ''",
        "!has(request.user) && !has(request.items) && !has(request.tenant) && !has(request.text) && !has(request.data)",
        "request.maybe == null && request.maybe_int == null && request.any_value == null",
        "request.data == {} && request.list == []",
        "request.old.port == 8080 && request.old.host == 'local' && request.old.on && request.old.share > 1e300",
        "request.old.key == b'a\\x01\\xff\\n' && request.old.kind == 2 && request.old.first == 1",
        "request.old.inner.deep == 0 && !has(request.old.inner) && request.old.must == 0 && !has(request.old.port)",
    ] {
        let text = &text.replace("request.items == []", "size(request.items) == 0");
        holds(text, &json!({}));
    }
    // An implicit field that is written as its default is not set; an explicit one is.
    let bytes = [0x10, 0x00, 0x7a, 0x00];
    let expression = compile("!has(request.count) && has(request.nick) && request.nick == ''", Type::Bool);
    assert_eq!(evaluate(&expression, &bytes), Ok(Value::Bool(true)));
}

#[test]
fn well_known_messages_are_what_they_stand_for() {
    let message = json!({
        "data": {"a": 1, "b": {"c": [true, null, "x"]}}, "anyValue": [1.5, "y"], "list": [1, {"z": 2}],
        "maybe": "here", "maybeInt": "0",
    });
    for text in [
        "request.data.a == 1 && request.data.b.c[2] == 'x' && request.data['b'].c[1] == null && request.data.b.c[0]",
        "request.any_value == [1.5, 'y'] && request.list[1].z == 2.0 && size(request.list) == 2",
        "request.maybe == 'here' && request.maybe.startsWith('h') && request.maybe_int == 0 && has(request.maybe_int)",
        "request.maybe_int + 1 == 1 && request.maybe_int < 1",
        "has(request.data.a) && !has(request.data.z)",
    ] {
        holds(text, &message);
    }
    fails("request.maybe_int + 1", &json!({}), "operands that add does not take");
}

#[test]
fn what_comes_twice_is_merged_and_the_last_wins() {
    let parts = [
        json!({"tenant": "a", "user": {"tenant": "x", "level": "1", "tags": ["p"]}, "labels": {"k": "1"}, "text": "t"}),
        json!({"tenant": "b", "user": {"level": "2", "tags": ["q"]}, "labels": {"k": "2"}, "person": {"tenant": "1"}}),
        json!({"person": {"level": "5"}, "data": {"a": 1}, "anyValue": {"x": 1}}),
        json!({"data": {"b": 2}, "anyValue": {"y": 2}}),
    ];
    let bytes: Vec<u8> = parts.iter().flat_map(wire).collect();
    for text in [
        "request.tenant == 'b' && request.user.tenant == 'x' && request.user.level == 2",
        "request.user.tags == ['p', 'q'] && request.labels == {'k': '2'}",
        "request.text == '' && !has(request.text) && request.number == 0",
        "request.person.tenant == '1' && request.person.level == 5",
        "request.data == {'a': 1, 'b': 2} && request.any_value == {'x': 1, 'y': 2}",
    ] {
        assert_eq!(evaluate(&compile(text, Type::Bool), &bytes), Ok(Value::Bool(true)), "{text}");
    }
    // Another member in between unsets a message of a oneof.
    let bytes: Vec<u8> = [json!({"person": {"tenant": "1"}}), json!({"number": 3}), json!({"person": {"level": "5"}})]
        .iter()
        .flat_map(wire)
        .collect();
    let expression =
        compile("request.person.tenant == '' && request.person.level == 5 && !has(request.number)", Type::Bool);
    assert_eq!(evaluate(&expression, &bytes), Ok(Value::Bool(true)));
}

#[test]
fn lists_come_packed_or_not_and_groups_as_messages() {
    // numbers (11) packed, unpacked and packed again.
    let mixed = [0x5a, 2, 1, 2, 0x58, 3, 0x5a, 1, 4];
    let expression = compile("request.numbers == [1, 2, 3, 4]", Type::Bool);
    assert_eq!(evaluate(&expression, &mixed), Ok(Value::Bool(true)));
    // old (33): plain (10) packed, kinds (8) with an unknown number, kind (6) with one, and the group (9) in two parts.
    let old = [0x52, 2, 5, 6, 0x40, 1, 0x40, 7, 0x30, 1, 0x30, 9, 0x4b, 0x08, 3, 0x4c, 0x4b, 0x4c];
    let mut bytes = vec![0x8a, 0x02, u8::try_from(old.len()).unwrap()];
    bytes.extend(old);
    let text = "request.old.plain == [5, 6] && request.old.kinds == [1] && request.old.kind == 1 && has(request.old.inner) \
                && request.old.inner.deep == 3";
    assert_eq!(evaluate(&compile(text, Type::Bool), &bytes), Ok(Value::Bool(true)));
}

#[test]
fn values_have_the_type_that_was_expected() {
    let some = wire(&json!({"tenant": "acme", "count": 3}));
    let check = |text: &str, expected: Type, value: Value| {
        assert_eq!(evaluate(&compile(text, expected), &some), Ok(value), "{text}");
    };
    check("request.tenant + ':' + string(request.count)", Type::String, Value::String("acme:3".to_owned()));
    check("auth.claims.tenant", Type::String, Value::String("acme".to_owned()));
    check("request.count", Type::Int, Value::Int(3));
    check("[1u, 2u]", Type::list(Type::Uint), Value::List(vec![Value::Uint(1), Value::Uint(2)]));
    check("{'a': 1.5}", Type::Dyn, Value::Map(vec![(Value::String("a".to_owned()), Value::Double(1.5))]));
    check("int('7') + int(2.9) + int(uint(1)) + int(double('1'))", Type::Int, Value::Int(11));
    check("bytes('é')", Type::Bytes, Value::Bytes("é".into()));
    check("request.count > 2 ? 'many' : 'few'", Type::String, Value::String("many".to_owned()));
    check("type(request.count) == int && bool('true') && dyn(1) == 1.0", Type::Bool, Value::Bool(true));
    check("null", Type::Dyn, Value::Null);
    assert_eq!(evaluate(&compile("auth.claims.admin", Type::Bool), &some).unwrap().as_bool(), Some(true));
    assert_eq!(evaluate(&compile("auth.subject", Type::String), &some).unwrap().as_text(), Some("jo"));
    fails("[][0]", &json!({}), "an index out of bounds");
    let error = evaluate(&compile("auth.claims.level", Type::String), &some).unwrap_err();
    assert_eq!(error.to_string(), "found int, expected string");
}

#[test]
fn errors_of_evaluation_hold_no_values() {
    let message = json!({"tenant": "secret", "count": 0, "big": "9223372036854775807"});
    fails("1 / request.count", &message, "division by zero");
    fails("request.big + 1", &message, "overflow in add");
    fails("-(-request.big - 1)", &message, "overflow in negate");
    fails("int(request.tenant)", &message, "int() does not take this value");
    fails("request.labels[request.tenant]", &message, "no such key");
    fails("request.names[3]", &message, "an index out of bounds");
    fails("dyn(request.tenant) - 1", &message, "operands that sub does not take");
}

#[test]
fn what_an_expression_uses_is_known() {
    for (text, request, auth) in [
        ("auth.subject", false, true),
        ("client.ip", false, false),
        ("string(has(auth.claims.x))", false, true),
        ("request.tenant", true, false),
        ("string(has(request.user))", true, false),
        ("['a'].map(auth, auth)[0]", false, false),
        ("http.headers['accept']", false, false),
        ("request.tenant + auth.claims.tenant", true, true),
    ] {
        let expression = compile(text, Type::String);
        assert_eq!((expression.uses_request(), expression.uses_auth()), (request, auth), "{text}");
    }
    let mistakes = Expression::compile("request.a == 'x'", &Environment::default(), Type::Bool).unwrap_err();
    assert_eq!(mistakes[0].message, "there is no request message to look at here");
}

#[test]
fn unknown_names_are_refused() {
    let check = |text: &str, part: &str, message: &str| refused(text, Type::Bool, part, message);
    check("auht.subject == 'x'", "auht", "unknown variable \"auht\" (did you mean \"auth\"?)");
    check("auth.role == 'x'", "role", "auth has no field \"role\" (did you mean \"roles\"?)");
    check("client.port == 'x'", "port", "client has no field \"port\"");
    check("request.tenent == 'x'", "tenent", "t.Request has no field \"tenent\" (did you mean \"tenant\"?)");
    check("request.user.bos.level == 1", "bos", "t.User has no field \"bos\" (did you mean \"boss\"?)");
    check("has(request.user.bos)", "bos", "t.User has no field \"bos\" (did you mean \"boss\"?)");
    check("request.items.all(i, i.sk == '')", "sk", "t.Item has no field \"sk\" (did you mean \"sku\"?)");
    check("request.items.all(i, j.sku == '')", "j", "unknown variable \"j\" (did you mean \"i\"?)");
    check("request.tenant.x == 'a'", "x", "found string, which has no field \"x\"");
    check(
        "auth == 1",
        "auth",
        "auth is no value, expected one of its fields: subject, id, provider, plan, roles, scopes, claims",
    );
    check("zise('x') == 1", "zise('x')", "unknown function \"zise\" (did you mean \"size\"?)");
    check("'x'.startWith('x')", "'x'.startWith('x')", "unknown function \"startWith\" (did you mean \"startsWith\"?)");
    check("http.headers['X-One'] == 'a'", "'X-One'", "found \"X-One\", expected the name of a header in lower case");
    check("t.User{tenant: 'x'} == 1", "t.User{tenant: 'x'}", "t.User{…}: expressions don't make messages");
}

#[test]
fn wrong_types_are_refused() {
    let check = |text: &str, part: &str, message: &str| refused(text, Type::Bool, part, message);
    check("request.tenant", "request.tenant", "found string, expected bool");
    check("request.count == 'x'", "request.count == 'x'", "found int and string, expected the same type on both sides");
    check(
        "request.color == 'RED'",
        "request.color == 'RED'",
        "found int and string, expected the same type on both sides",
    );
    check(
        "request.user == request.user",
        "request.user == request.user",
        "messages can't be compared: compare their fields",
    );
    check("request.count && true", "request.count", "found int, expected bool");
    check("!request.tenant", "request.tenant", "found string, expected bool");
    check("-request.huge > 1", "request.huge", "found uint, expected int or double");
    check(
        "request.count + request.huge == 1",
        "request.count + request.huge",
        "found int and uint, expected two numbers of the same type, strings, bytes or lists",
    );
    check(
        "request.tenant - 'a' == 'b'",
        "request.tenant - 'a'",
        "found string and string, expected two numbers of the same type",
    );
    check(
        "request.ratio % 2.0 == 0.0",
        "request.ratio % 2.0",
        "found double and double, expected two ints or two uints",
    );
    check(
        "request.tenant < 1",
        "request.tenant < 1",
        "found string and int, expected two numbers, strings, bytes, bools, timestamps or durations",
    );
    check("1 in auth.roles", "1", "found int, expected string: it is looked for in list(string)");
    check("'a' in request.tenant", "request.tenant", "found string, expected a list or a map behind \"in\"");
    check("1 in request.labels", "1", "found int, expected string: it is looked for in map(string, string)");
    check("auth.roles['x'] == 'a'", "'x'", "found string, expected int as the index of a list");
    check("request.labels[1] == 'a'", "1", "found int, expected string as the key of map(string, string)");
    check("request.count[0] == 1", "request.count", "found int, expected a list or a map");
    check("(true ? 'a' : 1) == 'a'", "1", "found int, expected string as on the other side of the colon");
    check("{[1]: 2}.size() == 1", "[1]", "found list(int) as a key, expected bool, int, uint or string");
}

#[test]
fn wrong_calls_are_refused() {
    let check = |text: &str, part: &str, message: &str| refused(text, Type::Bool, part, message);
    check("request.count.startsWith('x')", "request.count.startsWith('x')", "startsWith of int, expected string");
    check("auth.subject.startsWith()", "auth.subject.startsWith()", "startsWith with 0 arguments, expected 1");
    check("startsWith('a', 'b')", "startsWith('a', 'b')", "startsWith is a method, expected string.startsWith(…)");
    check("'1'.int() == 1", "'1'.int()", "int is a function, expected int(…)");
    check("size(request.count) == 1", "size(request.count)", "size of int, expected string, bytes, list or map");
    check("auth.roles.all(r)", "auth.roles.all(r)", "all that is not called as list.all(name, condition)");
    check("auth.roles.map(r, r)", "auth.roles.map(r, r)", "found list(string), expected bool");
    check("auth.roles.all(r, r)", "r", "found string, expected bool");
    check("request.count.all(r, true)", "request.count", "found int, expected a list or a map to loop over");
    check("auth.subject.matches(auth.id)", "auth.id", "matches: found a pattern that is computed, expected a literal");
    check("auth.subject.matches('(')", "'('", "matches: unclosed group");
    refused("request.user", Type::Dyn, "request.user", "found t.User, expected a value: select a field of the message");
    refused(
        "request.items",
        Type::Dyn,
        "request.items",
        "found list(t.Item), expected a value: select a field of the message",
    );
}

#[test]
fn what_does_not_parse_is_refused() {
    let check = |text: &str, part: &str, message: &str| refused(text, Type::Bool, part, message);
    check("", "", "an empty expression");
    check("1 +", "", "mismatched input the end: expected a value or an operator");
    check("auth.roles[0", "", "missing ']' at the end");
    check("'é' == 'é' ! true", "!", "mismatched input '!': expected a value or an operator");
    check("has(auth)", "auth", "invalid argument to has() macro");
    check("auth.?subject == ''", ".", "unsupported syntax '.?'");
    let mistakes = Expression::compile("true &&\n  1 ==== 2", &environment(), Type::Bool).unwrap_err();
    assert_eq!(mistakes[0].range, 14..15);
}

#[test]
fn every_mistake_is_reported() {
    let text = "request.tenent == 'x' && auth.role == 1 && request.count == 'x'";
    let mistakes = Expression::compile(text, &environment(), Type::Bool).unwrap_err();
    assert_eq!(mistakes.len(), 3, "{mistakes:?}");
}

/// A message with this many numbers.
fn numbers(count: usize) -> Vec<u8> {
    wire(&json!({"numbers": vec![1; count]}))
}

#[test]
fn texts_are_bounded() {
    let text = |bytes: usize| format!("'{}' != ''", "a".repeat(bytes - 8));
    compile(&text(MAX_TEXT_BYTES), Type::Bool);
    let long = text(MAX_TEXT_BYTES + 1);
    refused(&long, Type::Bool, &long, "an expression of 4097 bytes: expected at most 4096");

    let nested = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    compile(&nested(MAX_BRACKETS), Type::Bool);
    refused(&nested(MAX_BRACKETS + 1), Type::Bool, "(", "brackets that nest deeper than 32 levels");
    compile(&format!("'{0}' == r\"{0}\\\" || '\\'{0}' != \"\"\"{0}'\"\"\" // {0}\n", "(".repeat(40)), Type::Bool);
    refused(
        &format!("// it's\n{}", nested(MAX_BRACKETS + 1)),
        Type::Bool,
        "(",
        "brackets that nest deeper than 32 levels",
    );

    let chain = |levels: usize| vec!["1"; levels].join("+");
    compile(&chain(MAX_TREE_DEPTH), Type::Int);
    let deep = chain(MAX_TREE_DEPTH + 1);
    refused(&deep, Type::Int, &deep, "an expression that nests deeper than 64 levels: split it");
}

#[test]
fn texts_of_any_shape_leave_the_stack_alone() {
    let shapes = [
        ("a", ".b", ""),
        ("a", "+a", ""),
        ("", "!", "a"),
        ("", "-", "a"),
        ("", "(", ""),
        ("", "[", ""),
        ("", "{1:", ""),
        ("", "a?a:", "a"),
        ("", "a?", "a"),
        ("", "f(", ""),
        ("a", "||a", ""),
        ("a", "&&a", ""),
        ("a", ".f()", ""),
        ("a", "<a", ""),
        ("a", "[0]", ""),
        ("'", "(", "'"),
        ("", "{", ""),
        ("", "has(", ""),
        ("a", ".all(x,", ""),
        ("", "a.", ""),
        ("", "'", ""),
        ("a", " in a", ""),
        ("a", "==a", ""),
        ("", "\\", ""),
        ("", "=", ""),
    ];
    for (start, repeated, end) in shapes {
        for times in [MAX_BRACKETS, 90, 200, (MAX_TEXT_BYTES - 2) / repeated.len()] {
            let text = format!("{start}{}{end}", repeated.repeat(times));
            let _either = Expression::compile(&text, &environment(), Type::Dyn);
        }
    }
}

#[test]
fn loops_and_variables_are_bounded() {
    compile("request.items.all(a, a.parts.all(b, b.sku != a.sku))", Type::Bool);
    refused(
        "request.items.all(a, a.parts.all(b, b.parts.all(c, c.sku != a.sku)))",
        Type::Bool,
        "b.parts.all(c, c.sku != a.sku)",
        "loops that nest deeper than 2 levels",
    );
    let chain = |loops: usize| format!("auth.roles{}", ".map(r, r + r)".repeat(loops));
    compile(&chain(8), Type::list(Type::String));
    let long = chain(9);
    refused(&long, Type::list(Type::String), &long, "more than 8 loops in one expression");

    let many = |count: usize| {
        let each: Vec<String> = (0..count).map(|at| format!("has(http.headers.h{at})")).collect();
        each.join("||")
    };
    compile(&many(32), Type::Bool);
    refused(&many(33), Type::Bool, "has(http.headers.h32)", "more than 32 different variables: split the expression");
    compile(&["request.tenant == 'x'"; 60].join(" || "), Type::Bool);
}

#[test]
fn what_is_read_from_a_message_is_bounded() {
    let size = compile("size(request.numbers)", Type::Int);
    let most = Value::Int(i64::try_from(MAX_ELEMENTS).unwrap());
    assert_eq!(evaluate(&size, &numbers(MAX_ELEMENTS)), Ok(most));
    let error = evaluate(&size, &numbers(MAX_ELEMENTS + 1)).unwrap_err();
    assert_eq!(error.to_string(), "the request has a list or map of more than 10000 elements");
    // A field that the expression doesn't name is not read, nor is one that is only asked for.
    let expression = compile("request.tenant == '' && has(request.numbers)", Type::Bool);
    assert_eq!(evaluate(&expression, &numbers(MAX_ELEMENTS + 1)), Ok(Value::Bool(true)));

    // The lists within a value count together.
    let lists = |lists: usize| wire(&json!({"list": vec![vec![1; 99]; lists]}));
    let size = compile("size(request.list)", Type::Int);
    assert_eq!(evaluate(&size, &lists(100)), Ok(Value::Int(100)));
    assert!(matches!(evaluate(&size, &lists(101)), Err(EvaluationError::BeyondBounds(_))));

    let size = compile("size(request.tenant)", Type::Int);
    let text = |bytes: usize| wire(&json!({"tenant": "a".repeat(bytes)}));
    let most = Value::Int(i64::try_from(MAX_VALUE_BYTES).unwrap());
    assert_eq!(evaluate(&size, &text(MAX_VALUE_BYTES)), Ok(most));
    let error = evaluate(&size, &text(MAX_VALUE_BYTES + 1)).unwrap_err();
    assert_eq!(error.to_string(), "the request has a value of more than 1048576 bytes");

    // google.protobuf.Value in google.protobuf.Value, as a list of one.
    let mut deep = Vec::new();
    for _ in 0..200 {
        for tag in [0x0a, 0x32] {
            let mut outer = vec![tag];
            prost::encoding::encode_varint(deep.len() as u64, &mut outer);
            outer.append(&mut deep);
            deep = outer;
        }
    }
    let mut bytes = vec![0xda, 0x01];
    prost::encoding::encode_varint(deep.len() as u64, &mut bytes);
    bytes.append(&mut deep);
    let error = evaluate(&compile("request.any_value == 1", Type::Bool), &bytes).unwrap_err();
    assert_eq!(error.to_string(), "the request has a value that nests too deep");
}

#[test]
fn work_is_bounded() {
    let none = compile("request.numbers.all(a, request.numbers.all(b, a + b == 2))", Type::Bool);
    // Each of n elements costs n + 1, and the outer loop as much again.
    const { assert!(400 * 402 < MAX_WORK && 450 * 452 > MAX_WORK) };
    assert_eq!(evaluate(&none, &numbers(400)), Ok(Value::Bool(true)));
    assert_eq!(evaluate(&none, &numbers(450)), Err(EvaluationError::TooMuchWork));

    let long = json!({"tenant": "a".repeat(1 << 16), "numbers": vec![1; 1000], "user": {"tags": vec!["t"; 9000]}});
    for text in [
        "request.numbers.all(n, !request.tenant.contains('b'))",
        "request.numbers.all(n, !request.tenant.matches('b$'))",
        "request.numbers.all(n, request.tenant != string(n))",
        "request.numbers.all(n, !('x' in request.user.tags))",
        "request.numbers.all(n, size(request.numbers.map(m, request.user)) > n)",
        "request.numbers.all(n, size([request.user.tags]) == n)",
        "request.numbers.map(n, request.tenant).size() == 1000",
        "[request.user].all(u, request.numbers.all(n, u.level == 0))",
        "['a'].map(x, request.tenant).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x)[0] == ''",
    ] {
        let outcome = evaluate(&compile(text, Type::Bool), &wire(&long));
        assert_eq!(outcome, Err(EvaluationError::TooMuchWork), "{text}");
    }
}

/// Expressions that read every kind of field.
static READING: LazyLock<Vec<Expression>> = LazyLock::new(|| {
    let texts = [
        "request.tenant == auth.claims.tenant && request.user.boss.boss.tags == ['x']",
        "has(request.user.boss) || has(request.items) || has(request.labels) || has(request.huge) || has(request.text)",
        "request.items.all(i, i.quantity > 0 && i.parts.exists(p, p.owner.boss.level == 3 && has(p.discount)))",
        "request.labels.k == 'v' && request.by_id[3].sizes.s == 1 && request.switches[1u]",
        "request.data.a.b == 1 || request.any_value == 3 || request.list[0] == 'x' || request.maybe == 'y'",
        "request.old.kinds == [1] && request.old.inner.deep == 1 && request.old.plain == [1] && request.old.key == b''",
        "request.numbers == [1] && request.s64 < 3 && request.single == 1.0 && request.boxed == [1] && request.raw == b'x'",
        "request.at < now && request.ttl > duration('1s') && request.times == [now] && has(request.spans.a)",
    ];
    texts.iter().map(|text| compile(text, Type::Bool)).collect()
});

/// Fields whose values are held against those of another implementation.
static SCALARS: LazyLock<Vec<(&str, Expression)>> = LazyLock::new(|| {
    let names =
        ["tenant", "count", "big", "huge", "flag", "color", "s32", "s64", "f32", "sf64", "u32", "text", "number"];
    names.iter().map(|name| (*name, compile(&format!("request.{name}"), Type::Dyn))).collect()
});

fn assert_like_reflection(bytes: &[u8]) {
    let descriptor = POOL.get_message_by_name("t.Request").unwrap();
    let Ok(message) = DynamicMessage::decode(descriptor, bytes) else { return };
    for (name, expression) in SCALARS.iter() {
        use prost_reflect::Value as Reflected;
        let expected = match &*message.get_field_by_name(name).unwrap() {
            Reflected::Bool(value) => Value::Bool(*value),
            Reflected::I32(value) | Reflected::EnumNumber(value) => Value::Int((*value).into()),
            Reflected::I64(value) => Value::Int(*value),
            Reflected::U32(value) => Value::Uint((*value).into()),
            Reflected::U64(value) => Value::Uint(*value),
            Reflected::String(value) => Value::String(value.clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(evaluate(expression, bytes), Ok(expected), "{name} of {bytes:x?}");
    }
}

/// Fields with numbers of the message, most of them well formed.
fn some_fields() -> impl Strategy<Value = Vec<u8>> {
    let field = (1u32..40, 0u32..6, any::<u64>(), prop::collection::vec(any::<u8>(), 0..12)).prop_map(
        |(number, wire_type, varint, bytes)| {
            let mut field = Vec::new();
            prost::encoding::encode_varint((number << 3 | wire_type).into(), &mut field);
            match wire_type {
                0 => prost::encoding::encode_varint(varint >> (varint % 64), &mut field),
                1 => field.extend(varint.to_le_bytes()),
                2 => {
                    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
                    field.extend(bytes);
                }
                5 => field.extend(&varint.to_le_bytes()[..4]),
                _ => {}
            }
            field
        },
    );
    prop::collection::vec(field, 0..12).prop_map(|fields| fields.concat())
}

proptest! {
    #[test]
    fn hostile_bytes_are_an_error_or_a_value(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        READING.iter().for_each(|expression| drop(evaluate(expression, &bytes)));
        assert_like_reflection(&bytes);
    }

    #[test]
    fn fields_in_any_order_are_read_as_elsewhere(bytes in some_fields()) {
        READING.iter().for_each(|expression| drop(evaluate(expression, &bytes)));
        assert_like_reflection(&bytes);
    }

    #[test]
    fn a_broken_message_is_an_error_or_a_value(at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
        let message = json!({
            "tenant": "acme", "user": {"boss": {"boss": {"tags": ["x", "y"]}}}, "labels": {"k": "v"}, "numbers": [1, 2],
            "items": [{"quantity": 1, "parts": [{"owner": {"level": 3}, "discount": 4}]}], "byId": {"3": {"sizes": {"s": 1}}},
            "data": {"a": {"b": [1, "x", null]}}, "anyValue": {"c": 3}, "list": ["x", [1]], "maybe": "y", "boxed": [1],
            "switches": {"1": true}, "old": {"kinds": ["FIRST"], "inner": {"deep": 1}, "plain": [1], "must": 1},
        });
        let mut bytes = wire(&message);
        if let Some(slot) = bytes.get_mut(at) {
            *slot = byte;
        }
        bytes.truncate(bytes.len() - cut % bytes.len());
        READING.iter().for_each(|expression| drop(evaluate(expression, &bytes)));
    }

    #[test]
    fn any_text_compiles_or_has_mistakes_within_it(words in prop::collection::vec(prop::sample::select(vec![
        "request", ".tenant", ".user", ".items", ".all(x, x", ")", "(", "auth", ".claims", "[", "]", "'a'", "1", "1u", " in ", "==",
        "&&", "!", "has(", ".", "x", "\"", "é", " ", "?", ":", "{", "}", "+", "-", "matches(", ",", "\n", "null", ".map(x, [x]",
    ]), 0..14)) {
        let text = words.concat();
        match Expression::compile(&text, &environment(), Type::Dyn) {
            Ok(expression) => drop(evaluate(&expression, b"")),
            Err(mistakes) => {
                prop_assert!(!mistakes.is_empty());
                for mistake in mistakes {
                    prop_assert!(text.get(mistake.range.clone()).is_some(), "{text:?}: {mistake:?}");
                }
            }
        }
    }
}
