//! Browser pages of other origins may neither change anything here nor spend anything,
//! and may not come in under a name of their own. Reading across origins is held back by
//! the browser itself, which asks for CORS headers.
//!
//! A form, an upload or an image needs no CORS permission to arrive, and `GET /query` may
//! ask a model that costs money. Browsers say where a request comes from: in
//! `Sec-Fetch-Site` where the service is on this machine or behind TLS, in `Origin` for
//! everything but plain reading, and mostly in `Referer`. Each that is there must name our
//! own page or an origin of `server.cors_origins`; whoever sends none is not a browser. A user
//! may always open the page itself by a link.
//!
//! A page can point its own name at 127.0.0.1 after it was loaded (DNS
//! rebinding); to the browser it then calls its own origin. What gives it away
//! is the `Host` header, so a service on a loopback address answers to IP
//! addresses, `localhost` and `server.allowed_hosts` alone.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::error::{ApiError, Code};
use super::routes::ui;
use super::state::Service;

/// Where a request comes from, as the browser sees it: `same-origin`, `same-site`,
/// `cross-site`, or `none` for what the user does.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// `navigate` where the user opens a page.
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Refuses a request that a page of an origin we do not know has sent.
pub(super) async fn guard(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let server = &service.config().server;
    let host = host(&request);
    if !host.is_none_or(|host| is_known(host, &server.bind, &server.allowed_hosts)) {
        return ApiError::new(
            Code::ForbiddenHost,
            "this service does not answer to that host name; add it to server.allowed_hosts",
        )
        .into_response();
    }
    if !may_pass(&request, &server.cors_origins) {
        return ApiError::new(
            Code::ForbiddenOrigin,
            "a page of another origin may not do this; add the origin to server.cors_origins",
        )
        .into_response();
    }
    next.run(request).await
}

/// The name under which the service was called, without the port.
fn host(request: &Request) -> Option<&str> {
    let authority = authority(request)?;
    let name = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(authority, |(name, _)| name);
    Some(name)
}

/// The same with the port, where one was named.
fn authority(request: &Request) -> Option<&str> {
    match request.headers().get(header::HOST) {
        // One that is not text names no origin.
        Some(value) => Some(value.to_str().unwrap_or_default()),
        // HTTP/2 has it in the URI.
        None => request
            .uri()
            .authority()
            .map(|authority| authority.as_str()),
    }
}

/// Whether `host` is a name for a service that listens on `bind`.
fn is_known(host: &str, bind: &str, allowed: &[String]) -> bool {
    let on_loopback = bind
        .parse::<SocketAddr>()
        .map_or(bind.starts_with("localhost"), |address| {
            address.ip().is_loopback()
        });
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    (!on_loopback && allowed.is_empty())
        || literal.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// Whether the page that sent the request, if one did, is ours or one of `allowed`.
fn may_pass(request: &Request, allowed: &[String]) -> bool {
    let headers = request.headers();
    let own = authority(request);
    let is_known = |value: &HeaderValue| {
        let origin = value.to_str().ok();
        origin.is_some_and(|origin| is_own(origin, own) || is_allowed(origin, allowed))
    };
    if !headers.get_all(header::ORIGIN).iter().all(is_known) {
        return false;
    }
    // CORS lets these pages do what our own may do.
    let origin = headers.get(header::ORIGIN);
    let origin = origin.and_then(|value| value.to_str().ok());
    if origin.is_some_and(|origin| is_allowed(origin, allowed)) {
        return true;
    }
    let opens_page = is_opened(request);
    let mut sites = headers.get_all(SITE).iter().peekable();
    if sites.peek().is_some() {
        let is_near = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
        return sites.all(is_near) || opens_page;
    }
    if origin.is_some() {
        return true;
    }
    // An old browser, or one that calls over plain HTTP from another machine.
    let is_known_page = |value: &HeaderValue| {
        let page = value.to_str().ok();
        page.is_some_and(|page| is_page_of(page, own, allowed))
    };
    headers.get_all(header::REFERER).iter().all(is_known_page) || opens_page
}

/// Whether the user opens the page, by a link or a bookmark: that does nothing yet.
fn is_opened(request: &Request) -> bool {
    let mode = request.headers().get(MODE);
    matches!(*request.method(), Method::GET | Method::HEAD)
        && ui::is_part(request.uri().path())
        && mode.is_none_or(|mode| mode == "navigate")
}

fn is_allowed(origin: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|allowed| allowed == origin)
}

fn is_own(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some() && authority == host
}

/// Whether the address `page` is of our own page or of an allowed origin.
fn is_page_of(page: &str, host: Option<&str>, allowed: &[String]) -> bool {
    let Some((scheme, rest)) = page.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let origin = format!("{scheme}://{authority}");
    is_own(&origin, host) || is_allowed(&origin, allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_loopback_answers_to_its_own_names() {
        let allowed = ["docs.example".to_owned()];
        let loopback = |host| is_known(host, "127.0.0.1:8620", &allowed);
        for host in [
            "127.0.0.1",
            "[::1]",
            "localhost",
            "LOCALHOST",
            "docs.example",
        ] {
            assert!(loopback(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil",
            "",
        ] {
            assert!(!loopback(host), "{host}");
        }
        assert!(is_known("any.example", "0.0.0.0:8620", &[]));
        assert!(!is_known("any.example", "0.0.0.0:8620", &allowed));
    }

    #[test]
    fn the_port_is_no_part_of_the_host() {
        let named = |host: &str| {
            let request = Request::builder().header("host", host);
            let request = request.body(axum::body::Body::empty()).unwrap();
            super::host(&request).map(str::to_owned)
        };
        assert_eq!(named("localhost:8620").as_deref(), Some("localhost"));
        assert_eq!(named("[::1]:8620").as_deref(), Some("[::1]"));
        assert_eq!(named("docs.example").as_deref(), Some("docs.example"));
    }

    #[test]
    fn own_pages_come_from_the_host_they_call() {
        assert!(is_own("http://127.0.0.1:8620", Some("127.0.0.1:8620")));
        assert!(is_own("https://docs.example", Some("docs.example")));
        assert!(!is_own("http://127.0.0.1:9", Some("127.0.0.1:8620")));
        assert!(!is_own("null", Some("127.0.0.1:8620")));
        assert!(!is_own("http://evil.example", None));
    }

    /// Whether `GET uri` or another method passes with these headers.
    fn passes(method: &str, uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri(uri);
        request = request.header("host", "127.0.0.1:8620");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        may_pass(&request, &["https://docs.example".to_owned()])
    }

    #[test]
    fn only_our_own_page_and_those_that_are_allowed_pass() {
        let elsewhere: &[&[(&str, &str)]] = &[
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "Same-Origin")],
            &[("sec-fetch-site", "")],
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
            ],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "http://127.0.0.1:8620"),
            ],
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://evil.test"),
            ],
            &[("origin", "http://evil.test")],
            &[("origin", "null")],
            &[
                ("origin", "http://127.0.0.1:8620"),
                ("origin", "http://evil.test"),
            ],
            &[("origin", "http://127.0.0.1:8621")],
            &[("origin", "http://127.0.0.1:8620.evil.test")],
            &[("referer", "http://evil.test/")],
            &[("referer", "http://evil.test/http://127.0.0.1:8620/")],
            &[("referer", "http://127.0.0.1:8620@evil.test/")],
            &[("referer", "nonsense")],
        ];
        let near: &[&[(&str, &str)]] = &[
            &[],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://127.0.0.1:8620")],
            &[("referer", "http://127.0.0.1:8620/?q=x")],
            &[
                ("sec-fetch-site", "same-origin"),
                ("referer", "http://127.0.0.1:8620/"),
            ],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://docs.example"),
            ],
            &[("referer", "https://docs.example/page")],
        ];
        for (method, uri) in [
            ("GET", "/query?q=x"),
            ("HEAD", "/query?q=x"),
            ("GET", "/documents"),
            ("GET", "/v1/models"),
            ("POST", "/search"),
            ("POST", "/"),
            ("DELETE", "/documents/00"),
            ("PATCH", "/query"),
        ] {
            for headers in elsewhere {
                assert!(!passes(method, uri, headers), "{method} {uri} {headers:?}");
            }
            for headers in near {
                assert!(passes(method, uri, headers), "{method} {uri} {headers:?}");
            }
        }
    }

    #[test]
    fn a_link_opens_the_page_and_nothing_else() {
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ];
        let old = [("referer", "http://evil.test/")];
        for uri in ["/", "/?q=x", "/app.js"] {
            assert!(passes("GET", uri, &link), "{uri}");
            assert!(passes("GET", uri, &old), "{uri}");
            assert!(!passes("POST", uri, &link), "{uri}");
        }
        assert!(!passes("GET", "/query?q=x", &link));
        assert!(!passes("GET", "//query?q=x", &link));
        let image = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
        ];
        assert!(!passes("GET", "/icon.svg", &image));
    }
}
