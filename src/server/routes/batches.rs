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
use crate::ingest::batches::{self, Answer, Outcome};
use crate::server::error::{ApiError, Code, ErrorBody};
use crate::server::extract::{JsonBody, QueryString};
use crate::server::state::Service;
use cairn_gateway::Gateway;
use cairn_gateway::accounts::Caller;
use cairn_gateway::batch::{BatchError, BatchInfo, BatchItem, NewItem};
use cairn_jobs::Job;

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

impl From<batches::Error> for ApiError {
    fn from(error: batches::Error) -> Self {
        match error {
            batches::Error::Kept(error) => error.into(),
            batches::Error::Queue(error) => error.into(),
        }
    }
}

/// Submits chats to be answered in their own time, by the deadlines of the route
/// `batch`. They are durable when the response comes; the job `job_id` answers them.
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
    let batches = &core.batches;
    let info = batches.submit(&caller, items?).await?;
    match enqueue(&service, &info, &caller).await {
        Ok(info) => Ok((StatusCode::ACCEPTED, Json(info))),
        Err(error) => {
            // Its client hears that it was not taken.
            batches.withdraw(&info.id).await?;
            Err(error)
        }
    }
}

async fn enqueue(
    service: &Service,
    info: &BatchInfo,
    caller: &Caller,
) -> Result<BatchInfo, ApiError> {
    let (batches, queue) = (&service.core()?.batches, service.jobs()?);
    Ok(batches::enqueue(batches, queue.as_ref(), &info.id, caller).await?)
}

/// The batch as its job stands.
async fn settle(service: &Service, info: BatchInfo) -> Result<BatchInfo, ApiError> {
    let (batches, accounts) = (&service.core()?.batches, service.accounts());
    match service.jobs() {
        Ok(queue) => Ok(batches::settle(batches, queue.as_ref(), accounts, info).await?),
        // As far as it is known, then.
        Err(_) => Ok(info),
    }
}

/// Settles the batch of a job that is to be forgotten: later nobody could tell how it ended.
pub(super) async fn settle_for(service: &Service, job: &Job) -> Result<(), ApiError> {
    let Some(id) = batches::id_of(job) else {
        return Ok(());
    };
    match service.core()?.batches.get(&Caller::anonymous(), &id).await {
        Ok(info) => settle(service, info).await.map(drop),
        Err(BatchError::NotFound(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The batch `id` of the caller, as its job stands.
async fn find(service: &Service, caller: &Caller, id: &str) -> Result<BatchInfo, ApiError> {
    let info = service.core()?.batches.get(caller, id).await?;
    settle(service, info).await
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
    let mut batches = service.core()?.batches.list(&caller, LIST).await?;
    for info in &mut batches {
        *info = settle(&service, info.clone()).await?;
    }
    Ok(Json(BatchList { batches }))
}

/// Says how far a batch is.
///
/// # Errors
/// `not_found`, also for the batch of another key, unless the caller's has the scope `admin`.
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
    Ok(Json(find(&service, &caller, &id).await?))
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
    // Before the items: of a batch that is said to have ended, they are all there.
    let batch = find(&service, &caller, &id).await?;
    let results = batches.items(&caller, &id, offset, limit).await?;
    Ok(Json(ResultPage {
        batch,
        offset,
        results,
    }))
}

/// Cancels what of a batch has no answer yet.
///
/// # Errors
/// `not_found`, also for the batch of another key, unless the caller's has the scope `admin`.
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
    let info = find(&service, &caller, &id).await?;
    if info.ended_at.is_some() {
        return Ok(Json(info));
    }
    // First, so that a worker that sees the batch cancelled finds its job cancelled, too.
    if let Some(Ok(job)) = info.job.as_ref().map(|job| job.parse()) {
        match service.jobs()?.cancel(job).await {
            Ok(_) | Err(cairn_jobs::Error::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(service.core()?.batches.cancel(&info.id).await?))
}

/// Answers chats of batches by `gateway`.
pub(crate) fn answering(gateway: Arc<Gateway>) -> Arc<Answer> {
    Arc::new(move |caller, request| {
        let gateway = Arc::clone(&gateway);
        async move {
            match chat::answer(&gateway, caller, &request).await {
                Ok(response) => Outcome::Done(response),
                Err((error, wait)) => match (error.code, wait) {
                    // A limit of the key; without a time, waiting does not help.
                    (Code::RateLimited, Some(wait)) => {
                        Outcome::RetryAfter(wait.min(MAX_WAIT), json!(error))
                    }
                    (Code::Overloaded, wait) => {
                        Outcome::RetryAfter(wait.unwrap_or(WAIT).min(MAX_WAIT), json!(error))
                    }
                    _ => Outcome::Failed(json!(error)),
                },
            }
        }
        .boxed()
    })
}
