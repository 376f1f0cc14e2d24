//! `POST /search`: ranked sources without an answer.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use cairn_models::CancelOnDrop;

use super::query::QueryBody;
use crate::server::error::{ApiError, ErrorBody};
use crate::server::extract::JsonBody;
use crate::server::state::Service;
use cairn_engine::retrieve::{Expand, SearchResponse};
use cairn_gateway::accounts::Caller;
use cairn_settings::telemetry::metrics as names;

/// Finds the best passages for a question. Takes the body of `/query`; what
/// only concerns the answer has no effect. With `history`, a follow-up question is
/// searched with the words of the questions before it that it needs. No language model is
/// asked, so `expand` is `none` or `hop`.
///
/// # Errors
/// `invalid_request`, `not_found`, `overloaded`, `not_ready`, `timeout`.
#[utoipa::path(post, path = "/search", tag = "questions", request_body = QueryBody,
    responses(
        (status = 200, description = "The sources, best first", body = SearchResponse),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such collection", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
        (status = 503, description = "Not ready", body = ErrorBody),
    ))]
pub(crate) async fn search(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<QueryBody>,
) -> Result<Json<SearchResponse>, ApiError> {
    let core = service.core()?;
    let history = body.history();
    let mut request = body.into_search(service.config(), &caller)?;
    if matches!(request.expand, Expand::Queries | Expand::Hyde) {
        return Err(ApiError::invalid(
            "expand",
            "`expand` is `none` or `hop` here: `queries` and `hyde` ask a language model, \
             which only POST /query does",
        ));
    }
    request.query = core.answerer.standalone(&request.query, &history).await?;
    let cancel = CancelOnDrop::default();
    let found = core.engine.search(request, cancel.token()).await?;
    if !found.degraded.is_empty() {
        metrics::counter!(names::DEGRADED).increment(1);
    }
    Ok(Json(found))
}
