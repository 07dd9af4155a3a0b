//! Where a redirect leads.

use super::Redirect;
use http::{Request, StatusCode};

#[track_caller]
fn check(target: &str, host: Option<&str>, port: Option<u16>, expected: &str) {
    let mut request = Request::builder().uri(target);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let status = Redirect { port }.status(&head);
    assert_eq!(status.http(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(status.headers().get("location").unwrap(), expected);
}

#[test]
fn a_redirect_leads_to_the_same_place_by_https() {
    check("/a?b=%2f", Some("api.test"), None, "https://api.test/a?b=%2f");
    check("/", Some("api.test:8080"), None, "https://api.test/");
    check("/", Some("api.test:8080"), Some(8443), "https://api.test:8443/");
    check("/", Some("[::1]"), None, "https://[::1]/");
    check("/", Some("[::1]:80"), Some(444), "https://[::1]:444/");
    check("http://other.test:80/x", Some("api.test"), None, "https://other.test/x");
    assert_eq!(Redirect { port: None }.status(&Request::new(()).into_parts().0).http(), StatusCode::BAD_REQUEST);
}

#[test]
fn what_is_no_path_is_not_sent_elsewhere() {
    for host in ["api.test", "api.test:8080", "[::1]"] {
        let head = Request::builder().method("OPTIONS").uri("*").header("host", host).body(()).unwrap();
        assert_eq!(Redirect { port: Some(8443) }.status(&head.into_parts().0).http(), StatusCode::BAD_REQUEST);
    }
    check("http://a?b", None, Some(8443), "https://a:8443/?b");
}
