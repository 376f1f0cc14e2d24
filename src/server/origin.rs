//! Browser pages of other origins may not change anything here, and may not
//! come in under a name of their own. Reading across origins is held back by
//! the browser itself, which asks for CORS headers.
//!
//! A page can point its own name at 127.0.0.1 after it was loaded (DNS
//! rebinding); to the browser it then calls its own origin. What gives it away
//! is the `Host` header, so a service on a loopback address answers to IP
//! addresses, `localhost` and `server.allowed_hosts` alone.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::error::{ApiError, Code};
use super::state::Service;

/// Refuses a request that a page of an origin we do not know has sent: a form
/// or an upload needs no CORS permission to arrive.
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
    if !may_pass(request.method(), request.headers(), &server.cors_origins) {
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
    let header = request.headers().get(header::HOST);
    let authority = match header {
        // One that is no text is nobody's name.
        Some(value) => value.to_str().unwrap_or_default(),
        // HTTP/2 has it in the URI.
        None => return request.uri().host(),
    };
    let name = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(authority, |(name, _)| name);
    Some(name)
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

fn may_pass(method: &Method, headers: &HeaderMap, allowed: &[String]) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    origin
        .to_str()
        .is_ok_and(|origin| is_own(origin, host) || allowed.iter().any(|allowed| allowed == origin))
}

fn is_own(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some() && authority == host
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
}
