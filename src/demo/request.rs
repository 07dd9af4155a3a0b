//! The requests that `lockgate demo` prints: each works against a fresh shop, in any order and more than once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::{Method, StatusCode};

/// A request to paste into a shell.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it shows, in a few words.
    pub title: &'static str,
    /// The command.
    pub curl: String,
    pub verb: Method,
    /// The path and the query, as they are sent.
    pub path: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
    pub body: Option<&'static str>,
    /// The status that it is answered with.
    pub status: StatusCode,
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

impl Request {
    /// All of them, for a gateway that listens here.
    pub(crate) fn all(listen: SocketAddr) -> Vec<Self> {
        let mut requests = vec![
            Self::get("Look up a product by a name with slashes", "/v1/categories/books/products/tide-tables"),
            Self::get(
                "Search with parameters",
                "/v1/products?query=tea&maxPriceCents=5000&orderBy=PRODUCT_ORDER_PRICE_DESCENDING&pageSize=2",
            ),
            Self {
                verb: Method::POST,
                headers: JSON,
                body: Some(
                    r#"{"lines": [{"product": "categories/kitchen/products/welcome-card", "quantity": 1}], "payment": {"voucherCode": "SPRING-2026"}}"#,
                ),
                status: StatusCode::CREATED,
                ..Self::get("Place an order", "/v1/users/mira/orders")
            },
            Self {
                verb: Method::PATCH,
                headers: JSON,
                body: Some(r#"{"displayName": "Mira da Costa", "address": {"city": "Lisboa", "countryCode": "PT"}}"#),
                ..Self::get("Change two fields, named by a mask", "/v1/users/mira?updateMask=displayName,address.city")
            },
            Self {
                verb: Method::POST,
                headers: JSON,
                body: Some(
                    r#"{"userId": "mira", "lines": [{"product": "categories/books/products/tide-tables", "quantity": 0}]}"#,
                ),
                status: StatusCode::BAD_REQUEST,
                ..Self::get("Fail, and learn every reason", "/v1/orders")
            },
            Self {
                headers: &[("accept", "application/x-ndjson")],
                ..Self::get("Watch an order until it is delivered", "/v1/orders/1003:watch?interval=0.5s")
            },
        ];
        for request in &mut requests {
            request.curl = request.command(reachable(listen));
        }
        requests
    }

    fn get(title: &'static str, path: &'static str) -> Self {
        let status = StatusCode::OK;
        Self { title, curl: String::new(), verb: Method::GET, path, headers: &[], body: None, status }
    }

    fn command(&self, address: SocketAddr) -> String {
        let mut command = String::from("curl -sS");
        // Without buffering, so that a stream is seen as it comes.
        if self.headers.iter().any(|(name, _)| *name == "accept") {
            command.push('N');
        }
        if self.verb != Method::GET {
            command.push_str(&format!(" -X {}", self.verb));
        }
        command.push_str(&format!(" {}", quote(&format!("http://{address}{}", self.path))));
        for (name, value) in self.headers {
            command.push_str(&format!(" -H {}", quote(&format!("{name}: {value}"))));
        }
        if let Some(body) = self.body {
            command.push_str(&format!(" -d {}", quote(body)));
        }
        command
    }
}

/// An address that a client on this machine can connect to.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

/// A word of a POSIX shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
