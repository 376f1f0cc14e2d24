//! Who may do what: API keys in front of every route but the page and what says
//! whether the service lives.
//!
//! As long as no key was ever made, everybody may do everything: that is the
//! service of one person on one machine. The first key closes it, and losing the keys
//! does not open it again.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use cairn_indexer::Access;

use super::error::{ApiError, Code};
use super::routes::ui;
use super::state::Service;
use cairn_gateway::accounts::{Accounts, Caller, LimitError, RateHeaders, Scope};

/// Which documents `caller` may read.
pub(super) fn access_of(caller: &Caller) -> Access {
    Access::from(caller.labels())
}

/// Carries a key, alongside `Authorization: Bearer`.
pub(super) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Nothing; a key may be shown.
    Nothing,
    /// Any key.
    Key,
    /// A key with this scope.
    Scope(Scope),
}

/// Checks that `caller` may do what `scope` allows.
///
/// # Errors
/// `forbidden` names the scope.
pub(super) fn require(caller: &Caller, scope: Scope) -> Result<(), ApiError> {
    if caller.scopes().allow(scope) {
        return Ok(());
    }
    let message = format!("this API key does not have the scope `{scope}`");
    Err(ApiError::new(Code::Forbidden, message))
}

/// What the route `path` asks for. A route that is missing here is for
/// administrators.
fn needs(method: &Method, path: &str) -> Needs {
    let reading = matches!(*method, Method::GET | Method::HEAD);
    match path {
        "/health" | "/ready" => Needs::Nothing,
        path if ui::is_part(path) => Needs::Nothing,
        "/openapi.json" => Needs::Key,
        // Each tool of MCP asks for its scope, and so does each model of a chat.
        "/mcp" | "/v1/chat/completions" | "/v1/models" | "/v1/models/{*id}" => Needs::Key,
        // A key sees what it took itself; an administrator's sees everything.
        "/usage" => Needs::Key,
        "/query" | "/query/{id}/input" | "/traces/{id}" | "/v1/responses" => {
            Needs::Scope(Scope::Query)
        }
        "/feedback" | "/feedback/{query_id}" => Needs::Scope(Scope::Query),
        "/search" | "/collections" | "/retrieval" => Needs::Scope(Scope::Search),
        // The models that search, in the format of text-embeddings-inference.
        "/embed" | "/rerank" | "/info" => Needs::Scope(Scope::Search),
        "/documents" | "/documents/{id}" if reading => Needs::Scope(Scope::Search),
        "/documents" | "/documents/{id}" => Needs::Scope(Scope::DocumentsWrite),
        path if ["/jobs", "/schedules", "/webhooks"]
            .iter()
            .any(|top| is_below(path, top)) =>
        {
            Needs::Scope(Scope::Jobs)
        }
        "/metrics" => Needs::Scope(Scope::Metrics),
        "/v1/vector_stores/{id}/search" => Needs::Scope(Scope::Search),
        path if is_below(path, "/v1/vector_stores") || is_below(path, "/v1/files") => match reading
        {
            true => Needs::Scope(Scope::Search),
            false => Needs::Scope(Scope::DocumentsWrite),
        },
        path if path.starts_with("/v1/") => Needs::Scope(Scope::Chat),
        "/v2/rerank" => Needs::Scope(Scope::Chat),
        _ => Needs::Scope(Scope::Admin),
    }
}

fn is_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Lets a request through with its [`Caller`], or says why not.
pub(super) async fn guard(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    // A path without a route hears so from the router.
    let Some(path) = request.extensions().get::<MatchedPath>() else {
        return next.run(request).await;
    };
    let needs = needs(request.method(), path.as_str());
    let accounts = service.accounts();
    let caller = match identify(accounts, request.headers()) {
        Ok(caller) => caller,
        Err(_) if needs == Needs::Nothing => return next.run(request).await,
        Err(error) => return unauthorized(error),
    };
    if let Needs::Scope(scope) = needs
        && let Err(error) = require(&caller, scope)
    {
        return error.into_response();
    }
    let (caller, headers) = match needs {
        // The page looks at /ready every second: that is no use of the key.
        Needs::Nothing => (caller, RateHeaders::default()),
        _ => match accounts.enter(&caller) {
            Ok(entered) => entered,
            Err(error) => return limited(&error),
        },
    };
    let key = caller.key().cloned();
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    // A call to a model knows better how the limits stand by now.
    if !response
        .headers()
        .contains_key("x-ratelimit-limit-requests")
    {
        add_rate_headers(response.headers_mut(), &headers);
    }
    // Lets the access log name the key.
    if let Some(key) = key {
        response.extensions_mut().insert(key);
    }
    response
}

/// The caller of a request with these headers.
fn identify(accounts: &Accounts, headers: &HeaderMap) -> Result<Caller, ApiError> {
    if !accounts.requires_keys() {
        return Ok(Caller::anonymous());
    }
    let refused = |message: String| ApiError::new(Code::Unauthorized, message);
    let key = key_of(headers).ok_or_else(|| {
        refused("this service needs an API key; send `Authorization: Bearer KEY`".to_owned())
    })?;
    accounts
        .authenticate(key)
        .map_err(|error| refused(error.to_string()))
}

/// The key in `Authorization: Bearer` or `x-api-key`.
fn key_of(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key)
    });
    let own = || headers.get(API_KEY).and_then(|value| value.to_str().ok());
    bearer.or_else(own).map(str::trim)
}

fn unauthorized(error: ApiError) -> Response {
    let mut response = error.into_response();
    let scheme = HeaderValue::from_static("Bearer realm=\"cairn\"");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, scheme);
    response
}

/// The response to a request that a limit of its key refuses: 429, with the
/// seconds to wait and how the limits stand.
pub(super) fn limited(error: &LimitError) -> Response {
    let code = match error.kind.is_budget() {
        true => Code::BudgetExceeded,
        false => Code::RateLimited,
    };
    let mut response = ApiError::new(code, error.to_string()).into_response();
    let headers = response.headers_mut();
    headers.remove(header::RETRY_AFTER);
    if let Some(wait) = error.retry_after {
        let seconds = wait.as_secs_f64().ceil() as u64;
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    add_rate_headers(headers, &error.headers);
    response
}

/// Says how the limits of a key stand.
pub(super) fn add_rate_headers(headers: &mut HeaderMap, rates: &RateHeaders) {
    for (name, value) in rates.iter() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_and_the_state_are_open() {
        let get = |path| needs(&Method::GET, path);
        for path in ["/", "/app.js", "/style.css", "/health", "/ready"] {
            assert_eq!(get(path), Needs::Nothing, "{path}");
        }
        assert_eq!(get("/openapi.json"), Needs::Key);
        assert_eq!(get("/documents/{id}"), Needs::Scope(Scope::Search));
        assert_eq!(
            needs(&Method::DELETE, "/documents/{id}"),
            Needs::Scope(Scope::DocumentsWrite)
        );
        assert_eq!(get("/v1/models"), Needs::Key);
        assert_eq!(get("/v1/batches"), Needs::Scope(Scope::Chat));
        for path in ["/v1/embeddings", "/v1/rerank", "/v2/rerank"] {
            assert_eq!(get(path), Needs::Scope(Scope::Chat), "{path}");
        }
        for path in ["/embed", "/rerank", "/info"] {
            assert_eq!(get(path), Needs::Scope(Scope::Search), "{path}");
        }
        let post = |path| needs(&Method::POST, path);
        for path in ["/v1/files", "/v1/vector_stores/{id}/files"] {
            assert_eq!(get(path), Needs::Scope(Scope::Search), "{path}");
            assert_eq!(post(path), Needs::Scope(Scope::DocumentsWrite), "{path}");
        }
        let search = "/v1/vector_stores/{id}/search";
        assert_eq!(post(search), Needs::Scope(Scope::Search));
        assert_eq!(get("/something/new"), Needs::Scope(Scope::Admin));
    }

    #[test]
    fn keys_are_read_from_both_headers() {
        let key = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            key_of(&headers).map(str::to_owned)
        };
        assert_eq!(key("authorization", "Bearer k"), Some("k".into()));
        assert_eq!(key("authorization", "bearer  k "), Some("k".into()));
        assert_eq!(key("x-api-key", "k"), Some("k".into()));
        for bad in ["Basic k", "k", ""] {
            assert_eq!(key("authorization", bad), None);
        }
    }
}
