//! How much work the service takes at the same time, and for how long.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use cairn_models::Cancel;
use tokio::sync::OwnedSemaphorePermit;

use super::error::{ApiError, Code};
use super::state::Service;

/// The right to work on one request. Held until the last clone is dropped: a
/// handler that answers with a stream keeps one in the stream.
#[derive(Clone, Debug)]
pub(super) struct Permit(#[allow(dead_code)] Arc<OwnedSemaphorePermit>);

/// Takes a permit, or answers "overloaded" at once: a queue without end helps
/// nobody. Refuses work while the service stops.
pub(super) async fn admit(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    if service.lifecycle().stopping().is_cancelled() {
        return shutting_down().into_response();
    }
    let Ok(permit) = Arc::clone(service.permits()).try_acquire_owned() else {
        return ApiError::new(
            Code::Overloaded,
            "the service works on as many requests as it may; try again in a moment",
        )
        .into_response();
    };
    let permit = Permit(Arc::new(permit));
    request.extensions_mut().insert(permit.clone());
    let response = next.run(request).await;
    drop(permit);
    response
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

/// What new work is told while the service stops.
pub(super) fn shutting_down() -> ApiError {
    ApiError::new(
        Code::ShuttingDown,
        "the service stops; try again in a moment",
    )
}

/// Cancels the work of a request whose future is dropped: the client went away,
/// or the time was up.
#[derive(Debug, Default)]
pub(super) struct CancelOnDrop(Cancel);

impl CancelOnDrop {
    /// The token to hand to the work.
    pub(super) fn token(&self) -> Cancel {
        self.0.clone()
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
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
