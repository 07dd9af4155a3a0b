//! Requests as they should be, and each way of being two things at once.

use proptest::prelude::*;

use super::*;

const MAX: usize = 1 << 16;

/// Shows `input` in pieces of this size, as a socket would; what was passed, and how it ended.
fn run(input: &[u8], piece: usize) -> (Vec<u8>, Then, usize) {
    let mut watch = Watch::new(MAX);
    let (mut passed, mut held) = (Vec::new(), Vec::new());
    for bytes in input.chunks(piece) {
        held.extend_from_slice(bytes);
        let seen = watch.look(&held);
        passed.extend(held.drain(..seen.pass));
        match seen.then {
            Then::Nothing => assert!(held.is_empty()),
            Then::Hold => assert!(!held.is_empty()),
            then => return (passed, then, watch.heads()),
        }
    }
    let then = if held.is_empty() { Then::Nothing } else { Then::Hold };
    (passed, then, watch.heads())
}

#[track_caller]
fn passes(input: &str, heads: usize) {
    for piece in [1, 2, 3, 7, input.len()] {
        let (passed, then, found) = run(input.as_bytes(), piece);
        assert_eq!((then, found), (Then::Nothing, heads), "{input:?} by {piece}");
        assert_eq!(passed, input.as_bytes());
    }
}

/// That `bad` is refused, alone and behind requests that are served.
#[track_caller]
fn refused(bad: &str, fault: Fault) {
    let good = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n\r\n\n\
                POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x\r\na\n\n\r\n0\r\nt: 1\r\n\r\n";
    for (before, heads) in [("", 0), (good, 2)] {
        let input = format!("{before}{bad}");
        for piece in [1, 5, input.len()] {
            let (passed, then, found) = run(input.as_bytes(), piece);
            assert_eq!((then, found), (Then::Refuse(fault), heads), "{input:?} by {piece}");
            assert_eq!(passed, before.as_bytes(), "nothing of it is passed on");
        }
    }
}

#[track_caller]
fn malformed(bad: &str, part: &'static str) {
    let mut watch = Watch::new(MAX);
    match watch.look(bad.as_bytes()).then {
        Then::Refuse(fault @ Fault::Malformed(found, _)) if found == part => refused(bad, fault),
        other => panic!("{bad:?}: {other:?}"),
    }
}

#[test]
fn requests_pass_whole_and_in_pieces() {
    passes("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 1);
    passes("\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n\r\nGET /b HTTP/1.1\r\nHOST: b:80\r\n\r\n", 2);
    passes(
        "GET / HTTP/1.0\r\n\r\nGET http://[::1]:8080/?x=%23|{} HTTP/1.1\r\nhost: [::1]:8080\r\n\r\nOPTIONS * HTTP/1.1\r\nhost:\ta \r\n\r\n",
        3,
    );
    passes("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n\n\n\n\n\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", 2);
    passes("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", 2);
    passes(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n00a;n=\"v\"\r\n0123456789\r\n0\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nx: \u{e9}\r\n\r\n",
        2,
    );
}

#[test]
fn a_bare_line_feed_is_refused() {
    for bad in [
        "GET / HTTP/1.1\nhost: a\n\n",
        "GET / HTTP/1.1\r\nhost: a\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\n",
        "\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        malformed(bad, "request");
    }
}

#[test]
fn a_first_line_that_is_none_is_refused() {
    for line in [
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / http/1.1",
        "GET\t/ HTTP/1.1",
        "G(T / HTTP/1.1",
        " / HTTP/1.1",
        "GET /\rx HTTP/1.1\rx",
        "PRI * HTTP/2.0",
    ] {
        malformed(&format!("{line}\r\nhost: a\r\n\r\n"), "request");
    }
}

#[test]
fn a_target_with_what_no_target_has_is_refused() {
    for target in ["/a#b", "/a\\b", "/é", "/a\0b", "/a\tb", "/a\x7f", "a", "ftp://a/", "//", "**", "a:80"] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n");
        if target == "//" {
            passes(&request, 1);
        } else {
            malformed(&request, "target");
        }
    }
    refused("CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", Fault::Connect);
}

#[test]
fn the_method_of_a_refused_head_is_told_where_it_can_be_read() {
    for (head, expected) in [
        ("GET / HTTP/1.1\r\n", Some("GET")),
        ("\r\n\r\nDELETE /a b c", Some("DELETE")),
        ("PURGE-ALL x", Some("PURGE-ALL")),
        ("POST ", Some("POST")),
        ("POST", None),
        ("", None),
        (" / HTTP/1.1", None),
        ("GET\t/ HTTP/1.1", None),
        ("GE\u{e9}T / HTTP/1.1", None),
        ("hello\r\nGET / HTTP/1.1", None),
        ("\u{16}\u{3}\u{1} x", None),
    ] {
        assert_eq!(method(head.as_bytes()).as_ref().map(Method::as_str), expected, "{head:?}");
    }
    let long = |length: usize| method(format!("{} /", "A".repeat(length)).as_bytes()).is_some();
    assert!(long(MAX_METHOD_BYTES) && !long(MAX_METHOD_BYTES + 1));
}

#[test]
fn a_line_that_is_no_field_is_refused() {
    for line in ["x", ": x", "x : y", " x: y", "\tfolded", "x\u{e9}: y", "x: a\0b", "x: a\rb", "x: \x7f", "x(y): z"] {
        malformed(&format!("GET / HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\n"), "header");
    }
}

#[test]
fn a_body_has_one_length() {
    for lines in [
        "content-length: 1\r\ncontent-length: 1",
        "content-length: 1, 1",
        "content-length: +1",
        "content-length: -1",
        "content-length: ",
        "content-length: 1 1",
        "content-length: 0x1",
        "content-length: 99999999999999999999",
        "content-length: 1\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 0",
    ] {
        malformed(&format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n"), "content-length");
    }
    for lines in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: ",
        "transfer-encoding: \x0bchunked",
    ] {
        let part = if lines.contains('\x0b') { "header" } else { "transfer-encoding" };
        malformed(&format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n"), part);
    }
    malformed("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", "transfer-encoding");
}

#[test]
fn a_request_has_one_host() {
    for lines in [
        "x: y",
        "host: a\r\nhost: a",
        "host: a\r\nHost: b",
        "host: ",
        "host: a b",
        "host: u@a",
        "host: a:b",
        "host: a/b",
        "host: a:1:2",
    ] {
        malformed(&format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n"), "host");
    }
    malformed("GET / HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n", "host");
}

#[test]
fn the_host_of_a_target_is_one_and_the_same() {
    for (target, host) in
        [("http://a/", "a"), ("HTTPS://A.test:80?x=/@", "a.TEST:80"), ("http://[::1]/", "[::1]"), ("http://a", "a")]
    {
        passes(&format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n"), 1);
    }
    passes("GET http://a/ HTTP/1.0\r\n\r\n", 1);
    for target in
        ["http://u@a/", "http://u:p@a/", "http:///x", "http://?x", "http://a:b/", "https://a,b@c", "http://[a]/"]
    {
        malformed(&format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"), "target");
        malformed(&format!("GET {target} HTTP/1.0\r\n\r\n"), "target");
    }
    for (target, host) in [("http://a/", "b"), ("http://a:80/", "a"), ("http://a/", "a:80"), ("http://a@b/", "")] {
        let part = if target.contains('@') { "target" } else { "host" };
        malformed(&format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n"), part);
    }
}

#[test]
fn no_byte_of_a_head_is_looked_at_twice() {
    let mut watch = Watch::new(MAX);
    let mut held = b"\r\nGET / HTTP/1.1\r\nhost: a\r\nx: y".to_vec();
    assert_eq!(watch.look(&held).then, Then::Hold);
    // What was seen may be anything now, but for the line that is not whole.
    held[..27].fill(b'\n');
    held.extend_from_slice(b"\r\n");
    assert_eq!(watch.look(&held).then, Then::Hold);
    held.fill(b'\n');
    held.extend_from_slice(b"\r\n");
    assert_eq!(watch.look(&held), Seen { pass: held.len(), then: Then::Nothing });
}

#[test]
fn a_first_line_is_refused_before_its_head_is_whole() {
    for (line, fault) in [
        ("CONNECT a:80 HTTP/1.1\r\n", Fault::Connect),
        ("nonsense\r\n", Fault::Malformed("request", "its first line is no `METHOD target HTTP/1.1`")),
        ("GET http://u@a/ HTTP/1.1\r\n", Fault::Malformed("target", "its host is none")),
    ] {
        refused(line, fault);
    }
}

#[test]
fn heads_have_bounds() {
    let fields = |count| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(count));
    passes(&fields(MAX_FIELDS - 1), 1);
    refused(&fields(MAX_FIELDS), Fault::TooLarge);
    let endless = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(MAX));
    let mut watch = Watch::new(MAX);
    assert_eq!(watch.look(endless.as_bytes()).then, Then::Refuse(Fault::TooLarge));
    assert_eq!(watch.look(b"GET").then, Then::Break, "nothing follows a refusal");
}

#[test]
fn a_head_beyond_the_limit_is_too_large_whatever_is_wrong_behind_it() {
    let start = "GET / HTTP/1.1\r\nhost: a\r\nx: ";
    // The line feed of the malformed line is the last byte within the limit, or the first one beyond it.
    for (pad, expected) in
        [(MAX - 3, Fault::Malformed("header", "a value has a control character")), (MAX - 2, Fault::TooLarge)]
    {
        let input = format!("{start}{}\u{1}\r\n\r\n", "x".repeat(pad - start.len()));
        for piece in [MAX / 2, MAX - 1, MAX, MAX + 1, input.len()] {
            assert_eq!(run(input.as_bytes(), piece), (Vec::new(), Then::Refuse(expected), 0), "{pad} by {piece}");
        }
    }
    for (pad, heads) in [(MAX - 4, 1), (MAX - 3, 0)] {
        let input = format!("{start}{}\r\n\r\n", "x".repeat(pad - start.len()));
        for piece in [MAX / 2, MAX, input.len()] {
            let (_, then, found) = run(input.as_bytes(), piece);
            let expected = if heads == 1 { Then::Nothing } else { Then::Refuse(Fault::TooLarge) };
            assert_eq!((then, found), (expected, heads), "{pad} by {piece}");
        }
    }
}

#[test]
fn a_malformed_chunk_breaks_the_connection() {
    let long = format!("1;{}\r\n", "x".repeat(MAX_CHUNK_LINE_BYTES));
    let trailers = format!("0\r\nx: {}", "y".repeat(MAX_TRAILER_BYTES));
    for body in [
        "1\nx",
        "\r\n",
        "g\r\n",
        "1 \r\n",
        "-1\r\n",
        "0x1\r\n",
        "1\r\nxy",
        "1\r\nx\n",
        "1;\n",
        "1;\0\r\n",
        "1\rx",
        ";\r\n",
        "11112222333344445\r\n",
        "0\r\nx: y\n",
        "0\r\n\n",
        "0\r\nx\rz",
        &long,
        &trailers,
    ] {
        let input = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        for piece in [1, input.len()] {
            assert_eq!(run(input.as_bytes(), piece).1, Then::Break, "{body:?}");
        }
    }
}

/// What requests are made of, in pieces that meet in odd ways.
const PARTS: [&str; 20] = [
    "GET / HTTP/1.1\r\n",
    "POST /a HTTP/1.1\r\nhost: a\r\n",
    "host: a\r\n",
    "content-length: 3\r\n",
    "\r\n",
    "\n",
    "\r",
    "abc",
    "transfer-encoding: chunked\r\n",
    "3\r\n",
    "0\r\n",
    "x: y\r\n",
    " ",
    "\0",
    "#",
    "G",
    ";",
    "ffffffffffffffff\r\n",
    "0\r\n\r\n",
    "abc\r\n",
];

proptest! {
    #[test]
    fn pieces_are_seen_as_the_whole(parts in proptest::collection::vec(0..PARTS.len(), 0..40), piece in 1_usize..20) {
        let input: String = parts.iter().map(|part| PARTS[*part]).collect();
        let whole = run(input.as_bytes(), input.len().max(1));
        prop_assert_eq!(run(input.as_bytes(), piece), whole);
    }
}
