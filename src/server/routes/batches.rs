//! `/v1/batches`: many chats at once, answered in their own time and polled for.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::chat::{self, ChatBody};
use crate::server::error::{ApiError, Code, ErrorBody};
use crate::server::extract::{JsonBody, QueryString};
use crate::server::state::Service;
use cairn_gateway::accounts::Caller;
use cairn_gateway::batch::{BatchError, BatchInfo, BatchItem, Execute, ItemOutcome, NewItem};

/// Batches of one list.
const LIST: usize = 100;
/// Results of a page that does not say how many, and most of one.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// Most values in the JSON of a batch: some hundred for each of its chats.
const MAX_VALUES: usize = 1_000_000;

/// How long a batch rests when a provider is full and does not say for how long.
const WAIT: Duration = Duration::from_secs(5);
/// Most that it rests: a key may get a larger budget meanwhile.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// Chats to be answered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubmitBody {
    /// 1 to 10,000 of them.
    requests: Vec<RequestBody>,
}

/// One chat of a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestBody {
    /// The caller's own name for it, unique in its batch.
    custom_id: String,
    /// The body of `POST /v1/chat/completions`; `stream` must be false.
    #[schema(value_type = ChatBody)]
    body: Value,
}

/// Which page of the results.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResultParams {
    /// Results to skip.
    offset: Option<usize>,
    /// Results of the page, 1 to 1000; 100 if not given.
    limit: Option<usize>,
}

/// The caller's batches, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchList {
    /// At most 100.
    batches: Vec<BatchInfo>,
}

/// One page of results, in the order the chats were submitted in.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResultPage {
    /// How far the batch is.
    batch: BatchInfo,
    /// Results before this page.
    offset: usize,
    /// The page. What has no answer yet is `waiting`.
    results: Vec<BatchItem>,
}

impl From<BatchError> for ApiError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Invalid(message) => Self::invalid("requests", message),
            BatchError::NotFound(_) => Self::new(Code::NotFound, error.to_string()),
            BatchError::Storage(cause) => {
                tracing::error!(%cause, "the database of batches failed");
                Self::new(
                    Code::Storage,
                    "batches cannot be stored or read now; the log of the service says why",
                )
            }
            BatchError::Busy => Self::new(
                Code::Storage,
                "the disk of the service does not keep up; try again in a moment",
            ),
            other => Self::internal(other),
        }
    }
}

/// Submits chats to be answered in their own time, by the deadlines of the route
/// `batch`. They are durable when the response comes.
///
/// # Errors
/// `invalid_request` names the request that is wrong.
#[utoipa::path(post, path = "/v1/batches", tag = "models", request_body = SubmitBody,
    responses(
        (status = 202, description = "Stored", body = BatchInfo),
        (status = 400, description = "A request is wrong", body = ErrorBody),
    ))]
pub(crate) async fn submit(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<SubmitBody, MAX_VALUES>,
) -> Result<(StatusCode, Json<BatchInfo>), ApiError> {
    let core = service.core()?;
    let check = |(n, request): (usize, RequestBody)| {
        let blame = |error: ApiError| {
            let field = error
                .param
                .map(|param| format!(".{param}"))
                .unwrap_or_default();
            ApiError::invalid(format!("requests[{n}].body{field}"), error.message)
        };
        chat::check(&request.body).map_err(blame)?;
        Ok(NewItem {
            custom_id: request.custom_id,
            request: request.body,
        })
    };
    let items: Result<Vec<NewItem>, ApiError> =
        body.requests.into_iter().enumerate().map(check).collect();
    let info = core.batches.submit(&caller, items?).await?;
    Ok((StatusCode::ACCEPTED, Json(info)))
}

/// Lists the caller's latest batches.
///
/// # Errors
/// `not_ready`, `storage`.
#[utoipa::path(get, path = "/v1/batches", tag = "models",
    responses((status = 200, description = "The batches", body = BatchList)))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<BatchList>, ApiError> {
    let batches = service.core()?.batches.list(&caller, LIST).await?;
    Ok(Json(BatchList { batches }))
}

/// Says how far a batch is.
///
/// # Errors
/// `not_found`, also for the batch of another key.
#[utoipa::path(get, path = "/v1/batches/{id}", tag = "models",
    params(("id" = String, Path, description = "The id of the batch")),
    responses(
        (status = 200, description = "The batch", body = BatchInfo),
        (status = 404, description = "No such batch", body = ErrorBody),
    ))]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<BatchInfo>, ApiError> {
    Ok(Json(service.core()?.batches.get(&caller, &id).await?))
}

/// Gives the results of a batch, page by page, also while it goes on.
///
/// # Errors
/// `not_found`, `invalid_request`.
#[utoipa::path(get, path = "/v1/batches/{id}/results", tag = "models",
    params(("id" = String, Path, description = "The id of the batch"), ResultParams),
    responses(
        (status = 200, description = "One page", body = ResultPage),
        (status = 404, description = "No such batch", body = ErrorBody),
    ))]
pub(crate) async fn results(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    QueryString(params): QueryString<ResultParams>,
) -> Result<Json<ResultPage>, ApiError> {
    let limit = params.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        let message = format!("`limit` must lie in 1..={MAX_PAGE}, not {limit}");
        return Err(ApiError::invalid("limit", message));
    }
    let offset = params.offset.unwrap_or(0);
    let batches = &service.core()?.batches;
    let results = batches.items(&caller, &id, offset, limit).await?;
    let batch = batches.get(&caller, &id).await?;
    Ok(Json(ResultPage {
        batch,
        offset,
        results,
    }))
}

/// Cancels what of a batch has no answer yet.
///
/// # Errors
/// `not_found`, also for the batch of another key.
#[utoipa::path(post, path = "/v1/batches/{id}/cancel", tag = "models",
    params(("id" = String, Path, description = "The id of the batch")),
    responses(
        (status = 200, description = "The batch", body = BatchInfo),
        (status = 404, description = "No such batch", body = ErrorBody),
    ))]
pub(crate) async fn cancel(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<BatchInfo>, ApiError> {
    Ok(Json(service.core()?.batches.cancel(&caller, &id).await?))
}

/// Answers one chat of a batch.
pub(crate) fn executor(service: Arc<Service>) -> Arc<Execute> {
    Arc::new(move |caller, request| {
        let service = Arc::clone(&service);
        async move {
            match chat::answer(&service, caller, &request).await {
                Ok(response) => ItemOutcome::Done(response),
                Err((error, wait)) => match (error.code, wait) {
                    // A limit of the key; without a time, waiting does not help.
                    (Code::RateLimited, Some(wait)) => {
                        ItemOutcome::RetryAfter(wait.min(MAX_WAIT), json!(error))
                    }
                    (Code::Overloaded, wait) => {
                        ItemOutcome::RetryAfter(wait.unwrap_or(WAIT).min(MAX_WAIT), json!(error))
                    }
                    _ => ItemOutcome::Failed(json!(error)),
                },
            }
        }
        .boxed()
    })
}
