//! TLS towards clients: certificates by name, client certificates, versions, and files that are replaced.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::SupportedProtocolVersion;
use tokio_rustls::TlsConnector;

use crate::support::folder::Folder;
use crate::support::gateway::{Gateway, configuration, lockgate};
use crate::support::http1::{Connection, Request};
use crate::support::http2::Client as Http2;
use crate::support::tls::{Authority, Client, Identity};
use crate::support::{block_on, echo};

/// How soon a changed file counts, and as much again for a busy machine.
const LIVE: Duration = Duration::from_secs(4);

const OLD: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const NEW: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// A gateway with TLS, its authority and its files.
struct Secured {
    gateway: Gateway,
    authority: Authority,
    folder: Folder,
    api: Identity,
}

impl Secured {
    /// With `api.crt` for `api.test`, and what else `write` puts there; `tls` are keys of the listener's `tls`.
    fn start(tls: &str, write: impl FnOnce(&Authority, &Folder)) -> Self {
        let (authority, folder) = (Authority::new(), Folder::new());
        let api = authority.issue(&["api.test"]);
        api.write(&folder, "api");
        write(&authority, &folder);
        let certificates = "{ cert: api.crt, key: api.key }";
        let tls = if tls.contains("certificates: [") {
            tls.to_owned()
        } else {
            format!("certificates: [{certificates}], {tls}")
        };
        let listener = format!("listeners: {{ public: {{ address: 127.0.0.1:0, tls: {{ {tls} }} }} }}");
        let file = folder.write("lockgate.yaml", configuration(echo::address(), &listener));
        let gateway = Gateway::start(lockgate().arg("serve").arg("-c").arg(file));
        Self { gateway, authority, folder, api }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.address
    }

    /// One request with this client; an error where there is no connection.
    fn ping(&self, client: &Client) -> io::Result<u16> {
        let mut connection = Connection::over(client.connect(self.address(), "api.test")?);
        connection.try_send(&Request::new("GET /v1/ping").bytes())?;
        connection.try_head("GET").map(|head| head.status)
    }
}

#[test]
fn both_versions_of_http_are_spoken_as_agreed() {
    let secured = Secured::start("", |_, _| {});
    let client = secured.authority.client();
    for protocols in [&["http/1.1"][..], &[], &["h2", "http/1.1"]] {
        let stream = client.clone().offering(protocols).connect(secured.address(), "api.test").unwrap();
        let expected: Option<&[u8]> = protocols.first().map(|protocol| protocol.as_bytes());
        assert_eq!(stream.conn.alpn_protocol(), expected);
        if protocols.first() != Some(&"h2") {
            Connection::over(stream).call(&Request::new("GET /v1/ping")).expect(200);
        }
    }
    block_on(async {
        let tcp = tokio::net::TcpStream::connect(secured.address()).await.unwrap();
        let connector = TlsConnector::from(client.offering(&["h2"]).config());
        let stream = connector.connect("api.test".try_into().unwrap(), tcp).await.unwrap();
        let mut client = Http2::over(stream, secured.address()).await;
        let mut exchange = client.get("/v1/ping", &[]).await;
        assert_eq!(exchange.head().await.unwrap().status(), 200);
    });
}

#[test]
fn a_proxy_speaks_before_the_handshake() {
    let (authority, folder) = (Authority::new(), Folder::new());
    authority.issue(&["api.test"]).write(&folder, "api");
    let listener = "listeners: { public: { address: 127.0.0.1:0, tls: { certificates: [{ cert: api.crt, key: api.key }] }, \
                    client_ip: { trusted_proxies: [127.0.0.1], proxy_protocol: on } } }";
    let file = folder.write("lockgate.yaml", configuration(echo::address(), listener));
    let gateway = Gateway::start(lockgate().arg("serve").arg("-c").arg(file));
    let before = b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n";
    let stream = authority.client().connect_after(before, gateway.address, "api.test").unwrap();
    let answer = Connection::over(stream).call(&Request::new("POST /v1/metadata").json("{}")).expect(200);
    assert!(answer.text().contains("for=203.0.113.7"), "{}", answer.exchange);
    assert!(authority.client().connect(gateway.address, "api.test").is_err());
}

#[test]
fn the_upstream_is_told_that_it_was_https() {
    let secured = Secured::start("", |_, _| {});
    let stream = secured.authority.client().connect(secured.address(), "api.test").unwrap();
    let request = Request::new("POST /v1/metadata").json("{}");
    let answer = Connection::over(stream).call(&request).expect(200);
    assert!(answer.text().contains("proto=https"), "{}", answer.exchange);
}

#[test]
fn a_name_gets_its_own_certificate() {
    let authority_pairs = "certificates: [{ cert: api.crt, key: api.key }, { cert: w.crt, key: w.key }, \
                           { cert: e.crt, key: e.key }]";
    let mut identities = Vec::new();
    let secured = Secured::start(authority_pairs, |authority, folder| {
        for (file, name) in [("w", "*.shop.test"), ("e", "exact.shop.test")] {
            let identity = authority.issue(&[name]);
            identity.write(folder, file);
            identities.push(identity);
        }
    });
    let client = secured.authority.client();
    for (name, expected) in
        [("api.test", &secured.api), ("any.shop.test", &identities[0]), ("exact.shop.test", &identities[1])]
    {
        let stream = client.connect(secured.address(), name).unwrap();
        assert!(expected.is(stream.conn.peer_certificates()), "{name}");
    }
    // The first is for everyone else: whoever asked for another name sees that it is not his.
    let error = client.connect(secured.address(), "other.test").unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[test]
fn a_client_certificate_is_checked_against_the_authority() {
    let stranger = Authority::new().issue(&["client.test"]);
    for (mode, without) in [("optional", true), ("required", false), ("off", true)] {
        let tls = format!("client_certificates: {{ ca: ca.crt, mode: {mode} }}");
        let secured = Secured::start(&tls, |authority, folder| drop(folder.write("ca.crt", &authority.pem)));
        let client = secured.authority.client();
        let own = secured.authority.issue(&["client.test"]);
        assert_eq!(secured.ping(&client.clone().showing(&own)).unwrap(), 200, "{mode}");
        assert_eq!(secured.ping(&client).is_ok(), without, "{mode}");
        assert_eq!(secured.ping(&client.showing(&stranger)).is_ok(), mode == "off", "{mode}");
    }
}

#[test]
fn versions_below_the_oldest_are_not_spoken() {
    for (tls, old) in [("min_version: \"1.2\"", true), ("min_version: 1.3", false)] {
        let secured = Secured::start(tls, |_, _| {});
        let client = secured.authority.client();
        assert_eq!(secured.ping(&client.clone().speaking(OLD)).is_ok(), old);
        assert_eq!(secured.ping(&client.speaking(NEW)).unwrap(), 200);
    }
}

#[test]
fn clear_text_on_a_secured_port_is_closed() {
    let secured = Secured::start("", |_, _| {});
    let mut connection = secured.gateway.connect();
    connection.send(&Request::new("GET /v1/ping").bytes());
    assert!(connection.try_head("GET").is_err());
}

#[test]
fn a_file_that_is_not_good_keeps_the_gateway_from_starting() {
    let folder = Folder::new();
    let identity = Authority::new().issue(&["api.test"]);
    identity.write(&folder, "api");
    folder.write("api.key", Authority::new().issue(&["api.test"]).key);
    let listener =
        "listeners: { public: { address: 127.0.0.1:0, tls: { certificates: [{ cert: api.crt, key: api.key }] } } }";
    let file = folder.write("lockgate.yaml", configuration(echo::address(), listener));
    for command in ["serve", "check"] {
        let finished = crate::support::process::run(lockgate().args([command, "-c"]).arg(&file));
        assert_ne!(finished.code, Some(0), "{command}");
        assert!(finished.stderr.contains("api.crt"), "{command}: {}", finished.stderr);
    }
}

/// The end of a certificate that ends when this year begins, as the metric tells it.
const YEAR_2041: f64 = 2_240_611_200.0;

#[test]
fn files_that_are_replaced_are_shown_to_new_connections() {
    let secured = Secured::start("", |_, _| {});
    let client = secured.authority.client();
    let mut old = Connection::over(client.connect(secured.address(), "api.test").unwrap());
    old.call(&Request::new("GET /v1/ping")).expect(200);
    let next = secured.authority.issue_until(&["api.test"], 2041);
    secured.folder.replace("api.crt", &next.certificate);
    secured.folder.replace("api.key", &next.key);
    secured.gateway.within(LIVE, "the new certificate is shown", |gateway| {
        let stream = client.connect(gateway.address, "api.test").unwrap();
        next.is(stream.conn.peer_certificates())
    });
    assert_eq!(secured.gateway.metric("lockgate_tls_certificate_expiry_seconds", &["public"]), YEAR_2041);
    // It touches no connection, and rebuilds nothing.
    old.call(&Request::new("GET /v1/ping")).expect(200);
    assert_eq!(secured.gateway.metric("lockgate_reloads_total", &[]), 0.0);
}

#[test]
fn a_bad_pair_keeps_the_old_one_and_is_told() {
    let secured = Secured::start("", |_, _| {});
    let client = secured.authority.client();
    secured.folder.replace("api.key", secured.authority.issue(&["api.test"]).key);
    secured.gateway.within(LIVE, "it is counted", |gateway| {
        gateway.metric("lockgate_tls_reload_failures_total", &["public"]) == 1.0
    });
    let ready = secured.gateway.ask("/readyz").expect(200);
    assert!(ready.text().contains("api.crt"), "{}", ready.exchange);
    let stream = client.connect(secured.address(), "api.test").unwrap();
    assert!(secured.api.is(stream.conn.peer_certificates()));
    secured.folder.replace("api.key", &secured.api.key);
    secured.gateway.within(LIVE, "it is no longer complained of", |gateway| {
        !gateway.ask("/readyz").expect(200).text().contains("api.crt")
    });
    assert_eq!(secured.ping(&client).unwrap(), 200);
}

#[test]
fn an_authority_that_is_replaced_counts_from_the_next_connection() {
    let tls = "client_certificates: { ca: ca.crt }";
    let secured = Secured::start(tls, |authority, folder| drop(folder.write("ca.crt", &authority.pem)));
    let client = secured.authority.client();
    let (own, next) = (secured.authority.issue(&["client.test"]), Authority::new());
    assert_eq!(secured.ping(&client.clone().showing(&own)).unwrap(), 200);
    secured.folder.replace("ca.crt", &next.pem);
    let stranger = next.issue(&["client.test"]);
    secured
        .gateway
        .within(LIVE, "the new authority is asked", |_| secured.ping(&client.clone().showing(&stranger)).is_ok());
    assert!(secured.ping(&client.showing(&own)).is_err());
}
