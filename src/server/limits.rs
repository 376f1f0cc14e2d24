//! How much work the service takes at the same time, and for how long.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::connection::{Connection, Working};
use super::error::{ApiError, Code};
use super::share::{Held, Taken};
use super::state::Service;
use cairn_gateway::accounts::Caller;

/// The right to work on one request. Held until the last clone is dropped: a
/// handler that answers with a stream keeps one in the stream.
#[derive(Clone, Debug)]
pub(super) struct Permit(#[allow(dead_code)] Arc<(Held, Option<Working>)>);

/// Takes a permit, or answers "overloaded" at once: a queue without end is of
/// no use. Refuses work while the service stops.
pub(super) async fn admit(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    if service.lifecycle().stopping().is_cancelled() {
        return shutting_down().into_response();
    }
    let key = request.extensions().get::<Caller>().and_then(Caller::key);
    let held = match service.shared_permits().try_take(1, key) {
        Ok(held) => held,
        Err(taken) => return overloaded(taken).into_response(),
    };
    let connection = request.extensions().get::<Arc<Connection>>();
    let permit = Permit(Arc::new((held, connection.map(Connection::work))));
    request.extensions_mut().insert(permit.clone());
    let response = next.run(request).await;
    drop(permit);
    response
}

fn overloaded(taken: Taken) -> ApiError {
    let message = match taken {
        Taken::ByAll => "the service works on as many requests as it may; try again in a moment",
        Taken::ByKey => {
            "the service works on as many requests of this API key as its share \
             (server.key_share) allows; try again in a moment"
        }
    };
    ApiError::new(Code::Overloaded, message)
}

/// Gives up a request whose response has not begun in time. The body of a
/// response is not limited: streams have their own ends.
pub(super) async fn time_out(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let limit = Duration::from_secs(service.config().server.request_seconds);
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(
            Code::Timeout,
            "the request took longer than server.request_seconds allows",
        )
        .into_response(),
    }
}

/// Longest name of a model, in bytes.
const MAX_MODEL_BYTES: usize = 256;

/// Refuses names that no model has: they stand in messages, logs and keys of caches.
///
/// # Errors
/// `invalid_request` for `model`.
pub(super) fn check_model_name(model: &str) -> Result<(), ApiError> {
    if model.len() > MAX_MODEL_BYTES || model.chars().any(char::is_control) {
        let message =
            format!("`model` has at most {MAX_MODEL_BYTES} bytes and no control characters");
        return Err(ApiError::invalid("model", message));
    }
    Ok(())
}

/// What new work is told while the service stops.
pub(super) fn shutting_down() -> ApiError {
    ApiError::new(
        Code::ShuttingDown,
        "the service stops; try again in a moment",
    )
}

/// Runs `work` on a thread that may block.
///
/// # Errors
/// Its own error, or `internal` when it panicked.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
        .await
        .unwrap_or_else(|error| Err(ApiError::internal(error)))
}
