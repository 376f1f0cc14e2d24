//! `/feedback`: what people say of answers.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::usage::{own_key, period};
use crate::server::error::{ApiError, Code, ErrorBody, Result};
use crate::server::extract::{JsonBody, QueryString};
use crate::server::limits::blocking;
use crate::server::state::Service;
use cairn_gateway::accounts::feedback::{Cited, Feedback, FeedbackRow, FeedbackStore, Rating};
use cairn_gateway::accounts::{AccountsError, Caller};

/// Bytes of an answer, as it was shown.
const MAX_ANSWER: usize = 64 << 10;
/// Bytes of a comment.
const MAX_COMMENT: usize = 4 << 10;
/// Texts that an answer cites.
const MAX_CITED: usize = 50;
/// Bytes of one of them, its address included.
const MAX_CITED_BYTES: usize = 16 << 10;
/// Rows that are listed, and how many if it is not said.
const MAX_ROWS: usize = 1000;
const ROWS: usize = 50;

/// What somebody says of one answer. The texts are kept as they are sent, so that the
/// answer can become a question of an evaluation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedbackBody {
    /// Whether it helped.
    rating: Rating,
    /// The question.
    question: String,
    /// The answer, as it was shown.
    #[serde(default)]
    answer: String,
    /// Anything else.
    #[serde(default)]
    comment: String,
    /// What the answer cited.
    #[serde(default)]
    cited: Vec<Cited>,
}

/// Which feedback.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeedbackParams {
    /// Of one rating.
    #[param(inline)]
    rating: Option<Rating>,
    /// The first day that counts, in UTC; thirty days ago if not given.
    since: Option<String>,
    /// The last day that counts, in UTC.
    until: Option<String>,
    /// Rows at most, 1 to 1000.
    #[param(default = 50)]
    limit: Option<usize>,
}

/// Feedback, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedbackList {
    /// What was said.
    feedback: Vec<FeedbackRow>,
}

/// Says whether an answer helped, in the place of what was said before. Only who asked may
/// say it.
///
/// # Errors
/// `not_found` for an answer that was not given to this caller; `invalid_request` names the
/// field; `storage` when it cannot be kept.
#[utoipa::path(put, path = "/feedback/{query_id}", tag = "questions", request_body = FeedbackBody,
    params(("query_id" = String, Path, description = "The answer's `query_id`")),
    responses(
        (status = 204, description = "It is kept"),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such answer", body = ErrorBody),
    ))]
pub(crate) async fn put(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(query_id): Path<String>,
    JsonBody(body): JsonBody<FeedbackBody>,
) -> Result<StatusCode> {
    at_most(
        "question",
        body.question.len(),
        service.config().server.max_query_bytes,
    )?;
    at_most("answer", body.answer.len(), MAX_ANSWER)?;
    at_most("comment", body.comment.len(), MAX_COMMENT)?;
    if body.question.trim().is_empty() {
        return Err(ApiError::invalid("question", "`question` is empty"));
    }
    if body.cited.len() > MAX_CITED {
        let message = format!("`cited` may hold {MAX_CITED} texts");
        return Err(ApiError::invalid("cited", message));
    }
    for cited in &body.cited {
        at_most("cited", cited.uri.len() + cited.text.len(), MAX_CITED_BYTES)?;
    }
    let said = Feedback {
        query_id,
        rating: body.rating,
        question: body.question,
        answer: body.answer,
        comment: body.comment,
        cited: body.cited,
    };
    change(service, move |store| store.put(&caller, &said)).await
}

/// Takes back what was said of an answer.
///
/// # Errors
/// `not_found` for an answer that was not given to this caller; `storage`.
#[utoipa::path(delete, path = "/feedback/{query_id}", tag = "questions",
    params(("query_id" = String, Path, description = "The answer's `query_id`")),
    responses(
        (status = 204, description = "Nothing is kept of it"),
        (status = 404, description = "No such answer", body = ErrorBody),
    ))]
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(query_id): Path<String>,
) -> Result<StatusCode> {
    change(service, move |store| store.delete(&caller, &query_id)).await
}

/// Lists what was said: of all answers for an administrator, and of those that were given
/// to the caller's own key for everybody else.
///
/// # Errors
/// `invalid_request` names the field; `storage`.
#[utoipa::path(get, path = "/feedback", tag = "questions", params(FeedbackParams),
    responses(
        (status = 200, description = "The newest first", body = FeedbackList),
        (status = 400, description = "The request is wrong", body = ErrorBody),
    ))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    QueryString(params): QueryString<FeedbackParams>,
) -> Result<Json<FeedbackList>> {
    let limit = params.limit.unwrap_or(ROWS);
    if !(1..=MAX_ROWS).contains(&limit) {
        let message = format!("`limit` must lie in 1..={MAX_ROWS}, not {limit}");
        return Err(ApiError::invalid("limit", message));
    }
    let period = period(params.since.as_deref(), params.until.as_deref())?;
    let key = own_key(&caller);
    let feedback = blocking(move || {
        let store = FeedbackStore::open(&service.config().storage.data_dir)?;
        Ok(store.list(limit, period, params.rating, key.as_ref())?)
    })
    .await?;
    Ok(Json(FeedbackList { feedback }))
}

async fn change(
    service: Arc<Service>,
    work: impl FnOnce(&FeedbackStore) -> std::result::Result<bool, AccountsError> + Send + 'static,
) -> Result<StatusCode> {
    let there = blocking(move || {
        // An answer is written to the ledger after its last event was sent.
        service.accounts().flush();
        Ok(work(&FeedbackStore::open(
            &service.config().storage.data_dir,
        )?)?)
    });
    match there.await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => {
            let message = "no answer with this query_id was given to you";
            Err(ApiError::new(Code::NotFound, message))
        }
    }
}

fn at_most(param: &str, bytes: usize, most: usize) -> Result<()> {
    if bytes <= most {
        return Ok(());
    }
    let message = format!("`{param}` has {bytes} bytes; at most {most} are kept");
    Err(ApiError::invalid(param, message))
}
