//! Which upstreams are kept from one load to the next.

use super::*;
use crate::upstream::config::{Address, TlsConfig};

/// Two authorities, made by `openssl req -new -x509`.
const AUTHORITIES: [&str; 2] = [
    "-----BEGIN CERTIFICATE-----\n\
     MIIBizCCATGgAwIBAgIUYvBm8Oz6vdrwayxx/ub+wl4S6BswCgYIKoZIzj0EAwIw\n\
     GjEYMBYGA1UEAwwPbG9ja2dhdGUgdGVzdCBhMCAXDTI2MTEyNDE4NTM0MVoYDzIx\n\
     MjYxMDMxMTg1MzQxWjAaMRgwFgYDVQQDDA9sb2NrZ2F0ZSB0ZXN0IGEwWTATBgcq\n\
     hkjOPQIBBggqhkjOPQMBBwNCAARu+utGEbuSHyfykSfykGsnwaAQjPy5peOWlJXS\n\
     emZEjg+XCNbTm2Ko/eJtmjxiRbO111SU6US4pF4NReiaVHNHo1MwUTAdBgNVHQ4E\n\
     FgQU5jly1qmxWNaWr5Cww5SwpoN7uEYwHwYDVR0jBBgwFoAU5jly1qmxWNaWr5Cw\n\
     w5SwpoN7uEYwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiACzUTw\n\
     k+jsTbQlPWxdLsbg23KCEIjrVRIjpx0mdjmRxgIhALDPBQFYojDTPLJmrZ6waEUN\n\
     YQg/sjdqQlCezbYp7ncU\n\
     -----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\n\
     MIIBizCCATGgAwIBAgIUWZY+aNbUodAWDYpTBbTPt82RDuswCgYIKoZIzj0EAwIw\n\
     GjEYMBYGA1UEAwwPbG9ja2dhdGUgdGVzdCBiMCAXDTI2MTEyNDE4NTM0MVoYDzIx\n\
     MjYxMDMxMTg1MzQxWjAaMRgwFgYDVQQDDA9sb2NrZ2F0ZSB0ZXN0IGIwWTATBgcq\n\
     hkjOPQIBBggqhkjOPQMBBwNCAAR54NwtygQrPcRHlhqH+CXz6KPXuZOWrG1lMZsd\n\
     T8rVBHruWeI8BF4Z0jvVI9f7VSYHOTanhCEh6qkHcAVqm2H8o1MwUTAdBgNVHQ4E\n\
     FgQUtNgSPFZFvR8MqAhutgHCFqUR3JQwHwYDVR0jBBgwFoAUtNgSPFZFvR8MqAhu\n\
     tgHCFqUR3JQwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiBLL+DG\n\
     waQDLRZW0c9H31xO1QpXoWxsdlUCCftFhyIG5gIhAOo+lJ6bnDLF+rXpJS7GnylW\n\
     d7gnuc5tWWLD+cxvBOAM\n\
     -----END CERTIFICATE-----\n",
];

fn config(tls: Option<TlsConfig>) -> upstream::Config {
    let address = Address::Tcp { host: "upstream.test".into(), port: 443 };
    upstream::Config { tls, ..upstream::Config::new("upstream", vec![address]) }
}

#[test]
fn an_upstream_is_kept_while_it_and_its_files_stay_the_same() {
    let folder = std::env::temp_dir().join(format!("lockgate-load-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let ca = folder.join("ca.pem");
    let tls = TlsConfig { ca: Some(ca.clone()), server_name: None, identity: None };
    let idle = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let environment = Environment::for_inspection(idle.handle());
    let again = |config: &upstream::Config, previous: &[Arc<Upstream>]| {
        upstreams(std::slice::from_ref(config), &environment, previous).unwrap()
    };
    std::fs::write(&ca, AUTHORITIES[0]).unwrap();
    for config in [config(None), config(Some(tls.clone()))] {
        let first = again(&config, &[]);
        assert!(Arc::ptr_eq(&first[0], &again(&config, &first)[0]));
        let changed = upstream::Config { max_requests: 1, ..config };
        assert!(!Arc::ptr_eq(&first[0], &again(&changed, &first)[0]));
    }
    let config = config(Some(tls));
    let first = again(&config, &[]);
    // Written anew, and with words around what counts.
    std::fs::write(&ca, format!("# the same\n{}", AUTHORITIES[0])).unwrap();
    assert!(Arc::ptr_eq(&first[0], &again(&config, &first)[0]));
    std::fs::write(&ca, AUTHORITIES[1]).unwrap();
    let second = again(&config, &first);
    assert!(!Arc::ptr_eq(&first[0], &second[0]));
    std::fs::write(&ca, AUTHORITIES.concat()).unwrap();
    assert!(!Arc::ptr_eq(&second[0], &again(&config, &second)[0]));
    std::fs::remove_dir_all(&folder).unwrap();
}
