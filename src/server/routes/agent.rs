//! `/query/{id}/input` and `/traces/{id}`: runs of agents that wait for a person, and what
//! runs did.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use cairn_agent::{ResumeError, Trace};
use cairn_models::CancelOnDrop;
use futures::StreamExt as _;
use serde::Deserialize;
use utoipa::ToSchema;

use super::query::{self, Waits};
use crate::server::answering::{self, Observed, OutcomeRecorder};
use crate::server::error::{ApiError, Code, ErrorBody};
use crate::server::extract::JsonBody;
use crate::server::limits::Permit;
use crate::server::state::Service;
use cairn_engine::answer::Answered;
use cairn_gateway::accounts::{CallIds, Caller};

/// Most calls that one decision names.
const MAX_APPROVED: usize = 100;

/// What a person has decided.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decision {
    /// Ids of the calls that may be made; the others may not.
    #[schema(max_items = 100)]
    pub approve: Vec<String>,
    /// Server-sent events, or one JSON object.
    #[schema(default = true)]
    pub stream: Option<bool>,
}

/// Goes on with a run that waits for a person.
///
/// # Errors
/// `not_found` for a run that does not wait, or not for this key; `forbidden` when what the
/// key may read has changed since.
#[utoipa::path(post, path = "/query/{id}/input", tag = "questions", request_body = Decision,
    params(("id" = String, Path, description = "The `run_id`")),
    responses(
        (status = 200, description = "As of `POST /query`",
            content((Answered = "application/json"), (String = "text/event-stream"))),
        (status = 202, description = "With `stream: false`: it waits again", body = Waits),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such run waits", body = ErrorBody),
        (status = 403, description = "The key's rights have changed", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
    ))]
pub(crate) async fn input(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(decision): JsonBody<Decision>,
) -> Result<Response, ApiError> {
    if decision.approve.len() > MAX_APPROVED {
        let message = format!("`approve` may name {MAX_APPROVED} calls");
        return Err(ApiError::invalid("approve", message));
    }
    let cancel = CancelOnDrop::default();
    let calls = CallIds::default();
    let agent = &service.core()?.agent;
    let events = agent.resume(&id, &decision.approve, &caller, &calls, cancel.token());
    let events = events.map_err(|error| match error {
        ResumeError::Unknown => ApiError::new(Code::NotFound, error.to_string()),
        ResumeError::RightsChanged => ApiError::new(Code::Forbidden, error.to_string()),
    })?;
    let recorder = OutcomeRecorder::new(&service, &caller, &calls);
    let events = Observed::new(events.boxed(), recorder);
    match decision.stream.unwrap_or(true) {
        true => Ok(answering::respond(events, cancel, permit, &service)),
        false => query::in_one_piece(events).await,
    }
}

/// Shows what an agent did for an answer: to whoever asked, with the rights of then.
///
/// # Errors
/// `not_found` for a run that is not known any more, or was not yours.
#[utoipa::path(get, path = "/traces/{id}", tag = "questions",
    params(("id" = String, Path, description = "The `query_id` of the answer")),
    responses(
        (status = 200, description = "The run, with personal data masked", body = Trace),
        (status = 404, description = "No such run", body = ErrorBody),
    ))]
pub(crate) async fn trace(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Trace>, ApiError> {
    let trace = service.core()?.agent.trace(&id, &caller);
    let missing = || {
        let message = "there is no trace of such a run; they are kept for agent.trace_minutes";
        ApiError::new(Code::NotFound, message)
    };
    trace.map(Json).ok_or_else(missing)
}
