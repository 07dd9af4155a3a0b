//! The address of an upstream: `HOST:PORT`, `static:HOST:PORT,…`, `dns:///HOST:PORT`, `unix:PATH`.

use std::path::Path;

use crate::upstream::config::Address;

/// Ways to find backends that other gateways know, lest they be taken for host names.
const LATER: [&str; 4] = ["srv", "file", "k8s", "xds"];

/// # Errors
///
/// What was found and what is expected, without the place.
pub(crate) fn parse(text: &str, folder: &Path) -> Result<Vec<Address>, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(format!("`{text}` names no path, expected `unix:PATH`"));
        }
        return Ok(vec![Address::Unix(folder.join(path))]);
    }
    if let Some(rest) = text.strip_prefix("dns:") {
        let Some(target) = rest.strip_prefix("///") else {
            return Err(format!("`{text}` is no DNS target that is known here, expected `dns:///HOST:PORT`"));
        };
        return Ok(vec![host_and_port(target)?]);
    }
    if let Some((scheme, _)) = text.split_once(':').filter(|(scheme, _)| LATER.contains(scheme)) {
        return Err(format!(
            "addresses of the kind `{scheme}:` are not known, expected `HOST:PORT`, `static:HOST:PORT,…`, \
             `dns:///HOST:PORT` or `unix:PATH`"
        ));
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(format!(
            "`{text}` is a URL, expected `HOST:PORT`; for TLS, give the upstream a `tls` mapping (`tls: {{}}` will do)"
        ));
    }
    text.strip_prefix("static:").unwrap_or(text).split(',').map(|address| host_and_port(address.trim())).collect()
}

/// An IPv6 address stands in brackets, and loses them here.
pub(crate) fn host_and_port(text: &str) -> Result<Address, String> {
    let wrong = || format!("`{text}` is no address, expected `HOST:PORT`");
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("`{text}` has no port, expected `HOST:PORT`"))?;
    let port: u16 = port
        .parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("`{text}` ends in no port from 1 to 65535, expected `HOST:PORT`"))?;
    let host = match host.strip_prefix('[') {
        Some(rest) => {
            let host = rest.strip_suffix(']').ok_or_else(wrong)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            host
        }
        None if host.contains(':') => return Err(format!("{}: IPv6 addresses stand in brackets", wrong())),
        None => host,
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(legal) {
        return Err(wrong());
    }
    Ok(Address::Tcp { host: host.to_owned(), port })
}
