//! Browser pages of other origins may not change anything here. Reading is
//! held back by the browser itself, which asks for CORS headers.

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
    if may_pass(
        request.method(),
        request.headers(),
        &service.config().server.cors_origins,
    ) {
        return next.run(request).await;
    }
    ApiError::new(
        Code::ForbiddenOrigin,
        "a page of another origin may not do this; add the origin to server.cors_origins",
    )
    .into_response()
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
    use super::is_own;

    #[test]
    fn own_pages_come_from_the_host_they_call() {
        assert!(is_own("http://127.0.0.1:8620", Some("127.0.0.1:8620")));
        assert!(is_own("https://docs.example", Some("docs.example")));
        assert!(!is_own("http://127.0.0.1:9", Some("127.0.0.1:8620")));
        assert!(!is_own("null", Some("127.0.0.1:8620")));
        assert!(!is_own("http://evil.example", None));
    }
}
