//! `listeners`: what a file says of them → [`server::Config`].

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::file::{self, ClientMode, MinVersion};
use super::super::placed::{Named, Placed};
use super::super::unit::Size;
use super::Check;
use crate::gateway::head::{Redirect, Underscores};
use crate::protocol::client_address::{AddressRules, Header, Trust};
use crate::server;
use crate::tls::server as tls;

/// What a request's header fields may be given: hyper needs the lower bound, and memory the upper.
const HEADER_BYTES: std::ops::RangeInclusive<usize> = 8 << 10..=1 << 20;

/// The most listeners: each has sockets and a task in every worker.
const MAX_LISTENERS: usize = 64;

/// The most networks of one list: each request may be compared with all of them.
const MAX_NETWORKS: usize = 1000;

/// The most certificates of a listener: each has its files looked at a few times a second.
const MAX_CERTIFICATES: usize = 1000;

impl Check<'_> {
    pub(super) fn listeners(&mut self, listeners: Option<Named<file::Listener>>) -> Option<Vec<server::Config>> {
        let Some(Named(listeners)) = listeners else {
            let address = server::config::Address::Tcp(file::DEFAULT_LISTEN.parse().ok()?);
            return Some(vec![server::Config::new("default".into(), address)]);
        };
        let mut checked: Vec<server::Config> = Vec::new();
        if let Some((more, _)) = listeners.get(MAX_LISTENERS) {
            self.problems.push(more.span, format!("`listeners` has more than {MAX_LISTENERS}"));
        }
        for (name, listener) in listeners.into_iter().take(MAX_LISTENERS) {
            let span = listener.address.span;
            let Some(address) = self.listener_address(&listener.address) else { continue };
            if let Some(other) = checked.iter().find(|other| other.address == address && !takes_any_port(&address)) {
                let message = format!("listener `{}` has the address of listener `{}`", name.value, other.name);
                self.problems.push(span, message);
            }
            checked.push(self.listener(name.value, address, listener));
        }
        Some(checked)
    }

    fn listener(&mut self, name: String, address: server::config::Address, listener: file::Listener) -> server::Config {
        server::Config {
            name,
            address,
            tls: listener.tls.map(|tls| self.listener_tls(tls)),
            trust: Trust {
                proxies: self.networks(&listener.client_ip.trusted_proxies),
                header: match listener.client_ip.header {
                    file::ClientHeader::XForwardedFor => Header::XForwardedFor,
                    file::ClientHeader::Forwarded => Header::Forwarded,
                },
            },
            proxy_protocol: match listener.client_ip.proxy_protocol {
                file::Switch::Off => server::config::ProxyProtocol::Off,
                file::Switch::On => server::config::ProxyProtocol::On,
            },
            addresses: AddressRules {
                allow: self.networks(&listener.addresses.allow),
                deny: self.networks(&listener.addresses.deny),
            },
            underscores: match listener.underscore_headers {
                file::UnderscoreHeaders::Drop => Underscores::Drop,
                file::UnderscoreHeaders::Reject => Underscores::Reject,
                file::UnderscoreHeaders::Allow => Underscores::Allow,
            },
            redirect: listener.redirect.and_then(|redirect| self.redirect(&redirect)),
            limits: self.limits(listener.limits),
        }
    }

    pub(super) fn networks(&mut self, texts: &[Placed<String>]) -> Vec<IpNet> {
        if let Some(more) = texts.get(MAX_NETWORKS) {
            self.problems.push(more.span, format!("there are more than {MAX_NETWORKS} networks"));
        }
        let mut networks = Vec::with_capacity(texts.len());
        for text in texts.iter().take(MAX_NETWORKS) {
            let single = || text.value.parse::<IpAddr>().map(IpNet::from).ok();
            match text.value.parse::<IpNet>().ok().or_else(single) {
                Some(network) => networks.push(network.trunc()),
                None => {
                    let message = format!(
                        "`{}` is no address and no network, expected one such as `192.0.2.1`, `10.0.0.0/8` or \
                         `2001:db8::/32`",
                        text.value
                    );
                    self.problems.push(text.span, message);
                }
            }
        }
        networks
    }

    fn redirect(&mut self, text: &Placed<String>) -> Option<Redirect> {
        let port = match text.value.strip_prefix("https") {
            Some("") => Some(None),
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()).filter(|port| *port > 0).map(Some),
            None => None,
        };
        if port.is_none() {
            let message = format!("found `{}` for `redirect`, expected `https` or `https:PORT`", text.value);
            self.problems.push(text.span, message);
        }
        port.map(|port| Redirect { port })
    }

    fn listener_address(&mut self, address: &Placed<String>) -> Option<server::config::Address> {
        if let Some(path) = address.value.strip_prefix("unix:") {
            if path.is_empty() {
                self.problems.push(address.span, format!("`{}` names no path, expected `unix:PATH`", address.value));
                return None;
            }
            return Some(server::config::Address::Unix(self.path(path)));
        }
        self.socket_address(address).map(server::config::Address::Tcp)
    }

    fn listener_tls(&mut self, given: file::ListenerTls) -> tls::Config {
        let file::ListenerTls { certificates, client_certificates, min_version } = given;
        match certificates.value.get(MAX_CERTIFICATES) {
            Some(more) => {
                self.problems.push(more.cert.span, format!("`certificates` has more than {MAX_CERTIFICATES}"));
            }
            None if certificates.value.is_empty() => {
                let message = "`certificates` has none, expected at least one `{ cert: FILE, key: FILE }`";
                self.problems.push(certificates.span, message);
            }
            None => {}
        }
        let identity = |pair: &file::CertificatePair| tls::Identity {
            certificates: self.path(&pair.cert.value),
            key: self.path(&pair.key.value),
        };
        let clients = client_certificates.and_then(|clients| {
            let demand = match clients.mode {
                ClientMode::Off => return None,
                ClientMode::Optional => tls::Demand::Optional,
                ClientMode::Required => tls::Demand::Required,
            };
            Some(tls::ClientCertificates { ca: self.path(&clients.ca.value), demand })
        });
        tls::Config {
            certificates: certificates.value.iter().map(identity).collect(),
            client_certificates: clients,
            min_version: match min_version {
                MinVersion::Tls12 => tls::MinVersion::Tls12,
                MinVersion::Tls13 => tls::MinVersion::Tls13,
            },
        }
    }

    fn buffered_bytes(&mut self, given: Option<Placed<Size>>, body_bytes: usize) -> usize {
        let Some(Placed { value: Size(bytes), span }) = given else {
            return server::config::Limits::default().buffered_bytes.max(body_bytes);
        };
        if bytes < body_bytes {
            let [found, least] = [bytes, body_bytes].map(super::super::unit::print_size);
            let message = format!("found `{found}` for `buffered`, expected at least the `{least}` of `body`");
            self.problems.push(span, message);
        }
        bytes
    }

    fn limits(&mut self, given: file::ListenerLimits) -> server::config::Limits {
        let Size(header_bytes) = given.header_bytes.value;
        if !HEADER_BYTES.contains(&header_bytes) {
            let found = super::super::unit::print_size(header_bytes);
            let message = format!("found `{found}` for `header_bytes`, expected a size from `8KiB` to `1MiB`");
            self.problems.push(given.header_bytes.span, message);
        }
        let Size(body_bytes) = given.body;
        server::config::Limits {
            connections: usize::try_from(given.connections.0).unwrap_or(usize::MAX),
            per_ip: given.per_ip.map(|count| usize::try_from(count.0).unwrap_or(usize::MAX)),
            header_bytes,
            body_bytes,
            body_ratio: given.body_ratio.0,
            buffered_bytes: self.buffered_bytes(given.buffered, body_bytes),
            handshake_timeout: given.handshake_timeout.0,
            first_byte: given.first_byte.0,
            header_timeout: given.header_timeout.0,
            body_timeout: given.body_timeout.0,
            write_stall: given.write_stall.0,
            age: given.age.0,
            idle: given.idle.0,
            streams: given.streams.0,
        }
    }
}

fn takes_any_port(address: &server::config::Address) -> bool {
    match address {
        server::config::Address::Tcp(address) => address.port() == 0,
        server::config::Address::Unix(_) => false,
    }
}
