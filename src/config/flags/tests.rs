//! Flags, their variables, and what they can't say.

use super::*;

fn loaded(change: impl FnOnce(&mut Flags)) -> Result<Config, Vec<String>> {
    let mut flags =
        Flags { descriptors: vec!["a.binpb".into()], upstream: vec!["127.0.0.1:50051".to_owned()], ..Flags::default() };
    change(&mut flags);
    let surroundings = Surroundings { environment: &|_| None, access_log: AccessLog::Json };
    flags.load(&surroundings).map_err(|error| match error {
        FlagsError::Usage(messages) => messages,
        FlagsError::File(error) => vec![error.to_string()],
    })
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Flags), expected: &[&str]) {
    assert_eq!(loaded(change).expect_err("they are wrong"), expected);
}

#[track_caller]
fn upstream(text: &str, expected: Result<upstream::Config, &str>) {
    assert_eq!(parse_upstream(text), expected.map_err(str::to_owned), "{text}");
}

fn tcp(host: &str, port: u16) -> Vec<Address> {
    vec![Address::Tcp { host: host.to_owned(), port }]
}

#[test]
fn flags_alone_make_a_configuration() {
    let config = loaded(|_| {}).unwrap();
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].address, server::config::Address::Tcp("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(config.admin, Some("127.0.0.1:9901".parse().unwrap()));
    assert_eq!(config.descriptors.paths, [PathBuf::from("a.binpb")]);
    assert_eq!(config.gateway.upstreams, [upstream::Config::new("127.0.0.1:50051", tcp("127.0.0.1", 50051))]);
    assert_eq!(config.file, None);

    let config = loaded(|flags| {
        flags.listen = Some("unix:/run/x".to_owned());
        flags.admin = Some("off".to_owned());
        flags.workers = Some("3".to_owned());
        flags.descriptors.clear();
        flags.reflect = true;
    })
    .unwrap();
    assert_eq!(config.listeners[0].address, server::config::Address::Unix("/run/x".into()));
    assert_eq!(config.admin, None);
    assert_eq!(config.runtime.workers, 3);
    assert_eq!(config.descriptors.reflection, ["127.0.0.1:50051"]);
}

#[test]
fn upstreams_are_read() {
    let tls = Some(TlsConfig { ca: None, server_name: None, identity: None });
    let new = |name: &str, addresses| upstream::Config::new(name, addresses);
    upstream("h:1", Ok(new("h:1", tcp("h", 1))));
    upstream("shop=http://h:1", Ok(new("shop", tcp("h", 1))));
    upstream("http://h", Ok(new("http://h", tcp("h", 80))));
    upstream("https://h/", Ok(upstream::Config { tls: tls.clone(), ..new("https://h/", tcp("h", 443)) }));
    upstream("x=https://[::1]", Ok(upstream::Config { tls: tls.clone(), ..new("x", tcp("::1", 443)) }));
    upstream("x=https://[::1]:7", Ok(upstream::Config { tls, ..new("x", tcp("::1", 7)) }));
    upstream(
        "a.b.*=h:1",
        Ok(upstream::Config { services: Some(vec!["a.b.*".to_owned()]), ..new("a.b.*", tcp("h", 1)) }),
    );
    upstream("x=unix:/s", Ok(new("x", vec![Address::Unix("/s".into())])));
    upstream("x=", Err("`` has no port, expected `HOST:PORT`"));
    upstream("=h:1", Err("`=h:1` has an empty name, expected `NAME=URI`"));
    upstream("http://h/path", Err("`http://h/path` has more than a host and a port, and gRPC uses nothing else"));
    upstream("h:0", Err("`h:0` ends in no port from 1 to 65535, expected `HOST:PORT`"));
}

#[test]
fn what_is_missing_or_wrong_is_told_at_once() {
    refused(
        |flags| *flags = Flags { listen: Some("x".to_owned()), workers: Some("0".to_owned()), ..Flags::default() },
        &[
            "--workers: found `0`, expected `auto` or a number of threads from 1 to 1024",
            "--listen: `x` is no address to listen on, expected `IP:PORT`",
            "nothing says where the gRPC server is: give --upstream HOST:PORT",
            "nothing says which services there are: give --descriptors PATH, or --reflect to ask the upstream",
        ],
    );
    refused(|flags| flags.upstream = vec!["h:1".to_owned(), "h:1".to_owned()], &["--upstream: `h:1` is given twice"]);
    refused(
        |flags| flags.upstream.push("h:2".to_owned()),
        &[
            "2 of --upstream don't say which services they have, expected only one without: name them by service or package \
           (--upstream acme.users.v1.UserService=HOST:PORT)",
        ],
    );
}

#[test]
fn flags_do_not_go_with_a_file() {
    refused(
        |flags| {
            flags.config = Some("x.yaml".into());
            flags.upstream.clear();
            flags.listen = Some("127.0.0.1:1".to_owned());
        },
        &[
            "--descriptors (LOCKGATE_DESCRIPTORS) does not go with --config (LOCKGATE_CONFIG): the file's `descriptors` says it",
            "--listen (LOCKGATE_LISTEN) does not go with --config (LOCKGATE_CONFIG): the file's `listeners` says it",
        ],
    );
}
