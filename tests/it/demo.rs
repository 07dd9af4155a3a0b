//! `lockgate demo`: what it prints to paste works.

use crate::support::gateway::{Gateway, lockgate};
use crate::support::http1::{self, Request};
use crate::support::process::Signal;
use crate::support::{PATIENCE, listen};

/// The words of a command, as a POSIX shell splits it: single quotes and backslashes are all that it has.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            '\\' if !quoted => word.get_or_insert_default().extend(characters.next()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[test]
fn a_command_is_split_as_a_shell_does() {
    assert_eq!(
        words(r"curl -sS 'http://a/b?c=d' -d '{'\''a'\'': 1}'"),
        ["curl", "-sS", "http://a/b?c=d", "-d", "{'a': 1}"]
    );
}

#[test]
fn it_prints_six_requests_and_each_works() {
    let address = listen("127.0.0.1:0").1.to_string();
    let gateway = Gateway::start(lockgate().args(["demo", "--listen", &address, "--admin", "127.0.0.1:0"]));
    let lines = gateway.process.stdout.all();
    let titles = lines.iter().map(|line| line.trim()).filter(|line| line.starts_with("# "));
    let titles: Vec<_> = titles.map(str::to_owned).collect();
    let commands: Vec<_> = lines.iter().filter(|line| line.trim().starts_with("curl ")).collect();
    assert_eq!(commands.len(), 6, "{}", gateway.process.output());
    // In any order, and more than once.
    for (number, command) in commands.iter().enumerate().chain(commands.iter().enumerate().rev()) {
        let words = words(command.trim());
        let after = |flag: &'static str| words.iter().zip(words.iter().skip(1)).filter(move |(word, _)| *word == flag);
        let url = words.iter().find_map(|word| word.strip_prefix("http://")).expect("there is a URL");
        let (host, path) = url.split_once('/').expect("it has a path");
        assert_eq!(host.parse(), Ok(gateway.address), "{command}");
        let body = after("-d").next().map(|(_, body)| body);
        let verb = after("-X").next().map_or(if body.is_some() { "POST" } else { "GET" }, |(_, verb)| verb);
        let line = format!("{verb} /{path}");
        let mut request = Request::new(&line);
        for (_, header) in after("-H") {
            request = request.header(header.as_str());
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = http1::call(gateway.address, &request);
        let fails = titles.get(number).is_some_and(|title| title.contains("Fail"));
        let expected = if fails { 400..500 } else { 200..300 };
        assert!(expected.contains(&response.status()), "{command}{}", response.exchange);
        assert_eq!(response.end, http1::End::Clean, "{command}{}", response.exchange);
    }
    gateway.process.signal(Signal::Interrupt);
    assert_eq!(gateway.process.wait(PATIENCE).code(), Some(0));
}
