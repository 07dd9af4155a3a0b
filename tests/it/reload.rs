//! Files that change under a running gateway: whatever way they are put in place, they are live soon; a broken change
//! is refused as a whole; no request notices.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use crate::support::echo;
use crate::support::folder::Folder;
use crate::support::gateway::{Gateway, configuration, descriptors, lockgate};
use crate::support::http1::{End, Request};
use crate::support::probe::{Event, Probe};

/// "Within two seconds", and as much again for a busy machine.
const LIVE: Duration = Duration::from_secs(4);

/// The tests' descriptors, with another path in the place of `/v1/ping`; `to` is as long.
fn moved(to: &str) -> Vec<u8> {
    let from = b"/v1/ping";
    assert_eq!(to.len(), from.len());
    let mut set = fs::read(descriptors()).expect("the set is there");
    for at in 0..set.len() - from.len() {
        if set[at..].starts_with(from) {
            set[at..at + from.len()].copy_from_slice(to.as_bytes());
        }
    }
    set
}

/// A gateway whose descriptors are at this path of a folder.
fn watching(folder: &Folder, path: &str) -> Gateway {
    let upstream = echo::address().to_string();
    Gateway::start(
        lockgate()
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1"])
            .args(["--upstream", &upstream, "--descriptors"])
            .arg(folder.join(path)),
    )
}

#[track_caller]
fn live(gateway: &Gateway, target: &str) {
    gateway.within(LIVE, target, |gateway| gateway.get(target).status() == 200);
}

/// That a change was refused: told, counted, and without effect.
#[track_caller]
fn refused(gateway: &Gateway, target: &str, mark: usize) {
    let log = gateway.process.stderr.find(mark, LIVE, |line| line.contains("set.binpb"));
    assert!(log.is_some(), "no log line tells it\n{}", gateway.process.output());
    let counted = |gateway: &Gateway| {
        let text = gateway.ask("/metrics").text().to_owned();
        let wanted = |line: &&str| {
            let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0);
            line.contains("reload") && !line.starts_with('#') && !line.contains("success") && value > 0.0
        };
        text.lines().any(|line| wanted(&line) && line.contains('{'))
    };
    gateway.within(LIVE, "the refused reload is counted", counted);
    let ready = gateway.ask("/readyz");
    assert_eq!(ready.status(), 200, "{}", ready.exchange);
    assert!(ready.text().len() > 10, "the body does not tell it{}", ready.exchange);
    gateway.get(target).expect(200);
}

#[test]
fn a_file_written_in_place_is_live() {
    let folder = Folder::new();
    folder.write("set.binpb", moved("/v1/ping"));
    let gateway = watching(&folder, "set.binpb");
    gateway.get("/v1/ping").expect(200);
    gateway.get("/v1/pong").expect(404);
    folder.write("set.binpb", moved("/v1/pong"));
    live(&gateway, "/v1/pong");
    gateway.get("/v1/ping").expect(404);
    assert!(gateway.metric("lockgate_reloads_total", &[]) > 0.0 || gateway.ask("/metrics").text().contains("reload"));
}

#[test]
fn a_file_put_in_place_of_another_is_live() {
    let folder = Folder::new();
    folder.write("set.binpb", moved("/v1/ping"));
    let gateway = watching(&folder, "set.binpb");
    for target in ["/v1/pong", "/v1/pung", "/v1/peng"] {
        folder.replace("set.binpb", moved(target));
        live(&gateway, target);
    }
    gateway.get("/v1/ping").expect(404);
}

#[test]
fn a_link_that_is_swapped_is_live() {
    // As Kubernetes mounts a ConfigMap: the file is a link into `..data`, which is a link to a folder with a time.
    let folder = Folder::new();
    folder.write("..2026_01/set.binpb", moved("/v1/ping"));
    symlink("..2026_01", folder.join("..data")).unwrap();
    symlink("..data/set.binpb", folder.join("set.binpb")).unwrap();
    let gateway = watching(&folder, "set.binpb");
    gateway.get("/v1/ping").expect(200);
    for (version, target) in [("..2026_02", "/v1/pong"), ("..2026_03", "/v1/pung")] {
        let old = fs::read_link(folder.join("..data")).unwrap();
        folder.write(&format!("{version}/set.binpb"), moved(target));
        symlink(version, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        fs::remove_dir_all(folder.path().join(old)).unwrap();
        live(&gateway, target);
    }
}

#[test]
fn a_folder_is_watched_for_files_that_come() {
    let folder = Folder::new();
    folder.write("sets/set.binpb", moved("/v1/ping"));
    let gateway = watching(&folder, "sets");
    gateway.get("/v1/ping").expect(200);
    folder.write("sets/.ignored.tmp", "x");
    folder.replace("other", "x");
    fs::write(folder.join("sets/new.binpb"), moved("/v1/ping")).unwrap();
    fs::remove_file(folder.join("sets/set.binpb")).unwrap();
    gateway.get("/v1/ping").expect(200);
    fs::write(folder.join("sets/new.binpb"), moved("/v1/pong")).unwrap();
    live(&gateway, "/v1/pong");
}

#[test]
fn a_broken_set_keeps_the_old() {
    let folder = Folder::new();
    let good = moved("/v1/ping");
    let cut = good[..good.len() / 2].to_vec();
    let garbage = vec![0xff; 1000];
    for broken in [garbage, cut, Vec::new()] {
        folder.write("set.binpb", &good);
        let gateway = watching(&folder, "set.binpb");
        let mark = gateway.process.stderr.mark();
        folder.replace("set.binpb", &broken);
        refused(&gateway, "/v1/ping", mark);
        // It is mended by the next good one, and no longer complained of.
        folder.replace("set.binpb", moved("/v1/pong"));
        live(&gateway, "/v1/pong");
        let ready = gateway.ask("/readyz");
        assert_eq!(ready.status(), 200);
        assert!(!ready.text().contains("set.binpb"), "it is still complained of{}", ready.exchange);
    }
}

#[test]
fn a_file_that_goes_away_keeps_the_old() {
    let folder = Folder::new();
    folder.write("set.binpb", moved("/v1/ping"));
    let gateway = watching(&folder, "set.binpb");
    let mark = gateway.process.stderr.mark();
    fs::remove_file(folder.join("set.binpb")).unwrap();
    refused(&gateway, "/v1/ping", mark);
    folder.write("set.binpb", moved("/v1/pong"));
    live(&gateway, "/v1/pong");
}

#[test]
fn the_configuration_is_live_as_well() {
    let gateway = Gateway::configured(&configuration(echo::address(), ""));
    let folder = gateway.folder.as_ref().unwrap();
    let keep = |more: &str| configuration(echo::address(), more);
    gateway.get("/v1/ping").expect(200);
    folder.write("lockgate.yaml", keep("defaults: { success_status: 202 }"));
    gateway.within(LIVE, "another status", |gateway| gateway.get("/v1/ping").status() == 202);
    folder.replace("lockgate.yaml", keep("defaults: { success_status: 203 }"));
    gateway.within(LIVE, "another status again", |gateway| gateway.get("/v1/ping").status() == 203);
    let mark = gateway.process.stderr.mark();
    folder.replace("lockgate.yaml", keep("defaults: { success_status: 999, nope: 1 }"));
    let told = gateway.process.stderr.find(mark, LIVE, |line| line.contains("nope"));
    assert!(told.is_some(), "{}", gateway.process.output());
    assert_eq!(gateway.get("/v1/ping").status(), 203);
    let ready = gateway.ask("/readyz");
    assert_eq!(ready.status(), 200);
    assert!(ready.text().contains("nope"), "{}", ready.exchange);
}

#[test]
fn requests_in_flight_end_on_what_they_began_with() {
    let folder = Folder::new();
    folder.write("set.binpb", moved("/v1/ping"));
    let gateway = watching(&folder, "set.binpb");
    let (unary, stream) = (Probe::gated(), Probe::gated());
    let mut first = gateway.connect();
    first.send(&Request::new("GET /v1/echo/a").header(unary.header()).bytes());
    let mut second = gateway.connect();
    let request = Request::new("GET /v1/stream/2").header("accept: application/x-ndjson").header(stream.header());
    second.send(&request.bytes());
    assert_eq!(second.head().status, 200);
    stream.pass(1);
    second.until("{}");
    unary.expect(|event| matches!(event, Event::Message(_)));

    // Not even the services are there any more.
    let set = fs::read(crate::support::gateway::repository("descriptors/shop.binpb")).unwrap();
    folder.replace("set.binpb", set);
    gateway.within(LIVE, "the old routes are gone", |gateway| gateway.get("/v1/ping").status() == 404);

    unary.pass(1);
    assert_eq!(first.response("GET").expect(200).text(), "{\"stringValue\":\"a\"}");
    stream.pass(1);
    let (rest, end) = second.rest();
    assert!(String::from_utf8_lossy(&rest).ends_with("{\"int32Value\":1}\n"));
    assert_eq!(end, End::Clean);
    // The connection is served by the new one.
    first.call(&Request::new("GET /v1/ping")).expect(404);
}

#[test]
fn many_requests_notice_nothing() {
    let folder = Folder::new();
    folder.write("set.binpb", moved("/v1/ping"));
    let gateway = watching(&folder, "set.binpb");
    let mut connection = gateway.connect();
    for target in ["/v1/pong", "/v1/pung"] {
        folder.replace("set.binpb", moved(target));
        gateway.within(LIVE, target, |gateway| {
            connection.call(&Request::new("GET /v1/echo/a")).expect(200);
            gateway.get(target).status() == 200
        });
    }
}
