//! Streamed bodies cut into messages, in any chunks.

use proptest::prelude::*;

use super::*;
use crate::status::Code;

fn array(max_message_bytes: usize) -> Splitter {
    Splitter::array(Position::START, max_message_bytes)
}

/// Push in chunks of these sizes (over and over), take all that is whole after each, then end.
fn run(mut splitter: Splitter, body: &[u8], sizes: &[usize]) -> Result<Vec<String>, Status> {
    let (mut rest, mut messages) = (body, Vec::new());
    let mut take = |splitter: &mut Splitter| -> Result<(), Status> {
        while let Some(message) = splitter.next()? {
            messages.push(String::from_utf8(message.to_vec()).unwrap());
        }
        Ok(())
    };
    for &size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        splitter.push(Bytes::copy_from_slice(chunk));
        take(&mut splitter)?;
    }
    splitter.end();
    take(&mut splitter)?;
    Ok(messages)
}

const SIZES: [&[usize]; 4] = [&[1000], &[1], &[2, 3], &[7, 1]];

#[track_caller]
fn check_lines(body: &str, expected: &[&str]) {
    for sizes in SIZES {
        assert_eq!(run(Splitter::lines(100), body.as_bytes(), sizes).unwrap(), expected, "{sizes:?}");
    }
}

#[track_caller]
fn check_array(body: &str, expected: &[&str]) {
    for sizes in SIZES {
        assert_eq!(run(array(100), body.as_bytes(), sizes).unwrap(), expected, "{sizes:?}");
    }
}

#[track_caller]
fn check_illegal(body: &str, message: &str) {
    for sizes in SIZES {
        let status = run(array(100), body.as_bytes(), sizes).expect_err(body);
        assert_eq!((status.code(), status.http().as_u16()), (Code::InvalidArgument, 400));
        assert_eq!(status.message(), message, "{sizes:?}");
    }
}

#[test]
fn lines_are_messages_and_blank_ones_are_passed_over() {
    check_lines("", &[]);
    check_lines("\n\r\n \t\n", &[]);
    check_lines("{}", &["{}"]);
    check_lines("{}\n[]\n", &["{}", "[]"]);
    check_lines("{}\r\n\r\n[]\r\n", &["{}", "[]"]);
    check_lines("\n{\"a\":\"x\\ny\"}\n\n  2  \n3", &["{\"a\":\"x\\ny\"}", "  2  ", "3"]);
}

#[test]
fn elements_are_messages() {
    check_array("", &[]);
    check_array("[]", &[]);
    check_array(" \r\n[\t] \n", &[]);
    check_array("[{}]", &["{}"]);
    check_array("[1,2.5e3 , true,null,\"x\"]", &["1", "2.5e3", "true", "null", "\"x\""]);
    check_array("[ {\"a\": [1, {\"b\": \"]},\"}]} , [[],[{}]] ]", &["{\"a\": [1, {\"b\": \"]},\"}]}", "[[],[{}]]"]);
    check_array(r#"["a\"b,","\\","\\\"]"]"#, &[r#""a\"b,""#, r#""\\""#, r#""\\\"]""#]);
    check_array("[\"ü€😀\",{\"ü\":1}]", &["\"ü€😀\"", "{\"ü\":1}"]);
}

#[test]
fn array_is_judged_strictly() {
    check_illegal("{}", "expected `[`, the start of an array, found `{` at line 1, column 1");
    check_illegal("[1,]", "expected a message, found `]` at line 1, column 4");
    check_illegal("[,1]", "expected a message, found `,` at line 1, column 2");
    check_illegal("[1,,2]", "expected a message, found `,` at line 1, column 4");
    check_illegal("[{}\n {}]", "expected `,` or `]`, found `{` at line 2, column 2");
    check_illegal("[{}{}]", "expected `,` or `]`, found `{` at line 1, column 4");
    check_illegal("[\"ü\"}", "expected `,` or `]`, found `}` at line 1, column 5");
    check_illegal("[1]\nx", "expected nothing behind the array, found `x` at line 2, column 1");
    check_illegal("[1],", "expected nothing behind the array, found `,` at line 1, column 4");
    check_illegal("\u{feff}[]", "expected `[`, the start of an array, found `\\u{ef}` at line 1, column 1");
}

#[test]
fn array_cut_short_is_never_whole() {
    let whole = "[{\"a\":\"b\\\"\"},[1,2]]";
    for end in 1..whole.len() {
        let status = run(array(100), &whole.as_bytes()[..end], &[3]).expect_err(&whole[..end]);
        assert!(status.message().contains("cut short"), "{status}");
    }
    check_illegal(" ", "the array was cut short at line 1, column 2");
}

#[test]
fn message_is_handed_on_with_its_last_byte() {
    for body in ["[{\"a\":1}", "[[1]", "[\"x\"", "[1 ", "[1,"] {
        let mut splitter = array(100);
        splitter.push(Bytes::copy_from_slice(body.as_bytes()));
        assert!(splitter.next().unwrap().is_some(), "{body}");
    }
    let mut splitter = Splitter::lines(100);
    splitter.push(Bytes::from_static(b"{}\n"));
    assert!(splitter.next().unwrap().is_some());
}

#[test]
fn message_is_known_by_where_it_begins() {
    let check = |new: fn() -> Splitter, body: &str, expected: &[&str]| {
        for sizes in SIZES {
            let (mut splitter, mut began) = (new(), Vec::new());
            let mut rest = body.as_bytes();
            for &size in sizes.iter().cycle() {
                while splitter.next().unwrap().is_some() {
                    began.push(splitter.began().to_string());
                }
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at(size.min(rest.len()));
                splitter.push(Bytes::copy_from_slice(chunk));
                rest = after;
            }
            splitter.end();
            while splitter.next().unwrap().is_some() {
                began.push(splitter.began().to_string());
            }
            assert_eq!(began, expected, "{sizes:?}");
        }
    };
    let lines = || Splitter::lines(100);
    check(lines, "{}\n\n \r\n {}\r\n{}", &["line 1, column 1", "line 4, column 1", "line 5, column 1"]);
    let elements = "[ {\"ü\":\n1}, 2,\n\n3]";
    check(|| array(100), elements, &["line 1, column 3", "line 2, column 5", "line 4, column 1"]);
    let later = || {
        let mut position = Position::START;
        position.advance(b"\n ");
        Splitter::array(position, 100)
    };
    check(later, "[1]", &["line 2, column 3"]);
}

#[test]
fn message_within_one_chunk_is_not_copied() {
    for (mut splitter, body) in [(Splitter::lines(9), "{}\n"), (array(9), "[{}]")] {
        let chunk = Bytes::copy_from_slice(body.as_bytes());
        splitter.push(chunk.clone());
        let message = splitter.next().unwrap().unwrap();
        assert!(chunk.as_ptr_range().contains(&message.as_ptr()));
    }
}

#[test]
fn message_beyond_the_limit_is_413() {
    let check = |splitter: fn(usize) -> Splitter, body: &str, fits: bool| {
        for sizes in SIZES {
            let result = run(splitter(5), body.as_bytes(), sizes);
            assert_eq!(result.map(drop).map_err(|status| status.http().as_u16()), if fits { Ok(()) } else { Err(413) });
        }
    };
    check(Splitter::lines, "12345\n12345", true);
    check(Splitter::lines, "123456\n", false);
    check(Splitter::lines, "123456", false);
    check(array, "[12345,\"123\"]", true);
    check(array, "[123456]", false);
    check(array, "[\"12345", false);
    check(array, "[[[[[[[[", false);
}

#[test]
fn nesting_is_only_counted() {
    let deep = format!("[{}{}]", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(run(array(1 << 20), deep.as_bytes(), &[4096]).unwrap().len(), 1);
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i32>().prop_map(|number| number.to_string()),
        ".{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(" ,"))),
            prop::collection::vec((".{0,4}", inner), 0..4).prop_map(|fields| {
                let field = |(name, value)| format!("{}: {value}", serde_json::to_string::<String>(&name).unwrap());
                format!("{{{}}}", fields.into_iter().map(field).collect::<Vec<_>>().join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_chunking_of_an_array_gives_the_same_messages(
        messages in prop::collection::vec(json(), 0..5),
        separator in "[ \n\r\t]{0,2},[ \n\r\t]{0,2}",
        sizes in prop::collection::vec(1..20_usize, 1..6),
    ) {
        let body = format!(" [{}] ", messages.join(&separator));
        prop_assert_eq!(run(array(10_000), body.as_bytes(), &sizes).unwrap(), messages);
    }

    #[test]
    fn any_chunking_of_lines_gives_the_same_messages(
        messages in prop::collection::vec(json(), 0..5),
        separator in "(\r?\n){1,3}",
        sizes in prop::collection::vec(1..20_usize, 1..6),
    ) {
        let body = messages.join(&separator);
        prop_assert_eq!(run(Splitter::lines(10_000), body.as_bytes(), &sizes).unwrap(), messages);
    }

    #[test]
    fn agrees_with_serde_json_on_what_is_an_array(body in r#"[\[\]{},:"\\1 a]{0,14}"#, size in 1..5_usize) {
        let valid = serde_json::from_str::<Vec<Box<serde_json::value::RawValue>>>(&body);
        let found = run(array(100), body.as_bytes(), &[size]);
        // The splitter leaves a message's inside to its decoder, so it is asked to judge what the splitter took for one.
        let legal = found.ok().filter(|_| !body.is_empty()).filter(|messages| {
            messages.iter().all(|message| serde_json::from_str::<&serde_json::value::RawValue>(message).is_ok())
        });
        prop_assert_eq!(legal, valid.ok().map(|list| list.iter().map(|raw| raw.get().to_owned()).collect()));
    }
}
