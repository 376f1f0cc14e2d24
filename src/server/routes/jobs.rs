//! `/jobs`: work that is done in its own time, submitted, followed, and called off.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use cairn_jobs::{Filter, Job, NewJob, Purge, Submitted};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::batches::settle_for;
use super::documents::{collection_or_default, open_collection};
use crate::ingest::{self, Payload, Request};
use crate::server::error::{ApiError, Code, ErrorBody, Result};
use crate::server::extract::{JsonBody, QueryString};
use crate::server::job_rights::{asker_of, find, read_id, sees_all, visible};
use crate::server::limits::blocking;
use crate::server::state::Service;
use cairn_gateway::accounts::Caller;

/// Repeating a submission with the same value gives the first job.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 256;
/// Jobs of a list that does not say how many, and most of one.
const LIST: usize = 100;
const MAX_LIST: usize = 1000;
/// Errors of documents that a job shows.
const MAX_ERRORS: usize = 100;

/// What is to be done.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct JobBody {
    /// `text` (fields `text`, `uri`, `title`), `url` (`url`), `sitemap` (`url`, `max_pages`),
    /// `folder` (`path`, `remove_most`, `dry_run`), `bucket` (`name`, `prefix`, `remove_most`),
    /// `re-embed` (`model`), `git` (`path`, `revision`, `name`, `remove_most`), `files`
    /// (`files`, by their ids), `delete` (`uri` or `document_id`), `compact`, `evaluate`
    /// (`path`, `modes`, `k`, `limit`) or `ask` (`query`, `agent`, `model`). Files become
    /// `upload` jobs by `POST /documents`, and chats `batch` jobs by `POST /v1/batches`.
    #[schema(example = "url")]
    kind: String,
    /// Where the documents go; the default collection if none.
    collection: Option<String>,
    /// What that kind needs to know; those that bring documents take `labels` and `metadata`,
    /// too.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    fields: Map<String, Value>,
}

/// How far a job is. What is not known is 0 or missing.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobProgress {
    /// Documents or files that are done.
    done: u64,
    /// All of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// Bytes that were read.
    bytes: u64,
    /// All of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_total: Option<u64>,
}

/// A document of a job that failed, while others went on.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobDocumentError {
    /// Its path or address.
    document: String,
    /// The stage it failed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
    /// What happened and what to do.
    message: String,
}

/// A failed attempt.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobFailure {
    /// When it ended.
    at: String,
    /// The stage it ended in.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
    /// What happened, the outermost error first.
    chain: Vec<String>,
    /// Whether trying again was known to be useless.
    permanent: bool,
}

/// A job.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobInfo {
    /// Its name.
    id: String,
    /// What it does.
    kind: String,
    /// Where the documents go; empty where there are none, as in a batch.
    collection: String,
    /// What it works on: an address, a URI, a question, the name of a file or folder, or the
    /// id of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    /// `queued`, `running`, `input_required`, `done`, `failed` or `cancelled`.
    state: String,
    /// Whether it was told to stop, and still runs.
    cancel_requested: bool,
    /// What it does now, or did last: `fetch`, `scan`, `parse`, `index`, `embed`, `commit`,
    /// `compact`, `search`.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
    /// How far it is.
    progress: JobProgress,
    /// Seconds until its end, judged by the rate measured so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<f64>,
    /// What came out; of a job in `input_required`, what it asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    result: Option<Value>,
    /// Attempts that were begun.
    attempts: u32,
    /// How many there are at most.
    max_attempts: u32,
    /// Attempts that failed, the last one last.
    failures: Vec<JobFailure>,
    /// Documents that failed.
    documents_failed: u64,
    /// The first 100 of them, where one job is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    document_errors: Vec<JobDocumentError>,
    /// When it was submitted.
    created_at: String,
    /// When its last attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

impl JobInfo {
    fn new(job: Job) -> Self {
        let eta = job.eta(Timestamp::now());
        let payload: Option<Payload> = serde_json::from_value(job.payload).ok();
        Self {
            id: job.id.to_string(),
            kind: job.kind,
            about: payload.as_ref().and_then(|payload| about(&payload.input)),
            collection: payload
                .map(|payload| payload.collection)
                .unwrap_or_default(),
            state: job.state.to_string(),
            cancel_requested: job.cancel_requested,
            stage: job.stage,
            progress: JobProgress {
                done: job.progress.done,
                total: job.progress.total,
                bytes: job.progress.bytes,
                bytes_total: job.progress.bytes_total,
            },
            eta_seconds: eta.map(|eta| eta.as_secs_f64()),
            result: job.result,
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            failures: job
                .failures
                .into_iter()
                .map(|attempt| JobFailure {
                    at: attempt.at.to_string(),
                    stage: attempt.stage,
                    chain: attempt.chain,
                    permanent: attempt.permanent,
                })
                .collect(),
            documents_failed: job.document_errors,
            document_errors: Vec::new(),
            created_at: job.created_at.to_string(),
            started_at: job.started_at.map(|at| at.to_string()),
            ended_at: job.ended_at.map(|at| at.to_string()),
        }
    }
}

/// What tells a job apart from others of its kind. Of a path it is the last name only.
fn about(input: &Value) -> Option<String> {
    let text = |field: &str| input.get(field).and_then(Value::as_str);
    let named = ["url", "uri", "query", "document_id", "name", "batch"].into_iter();
    let of_path = || {
        let path = std::path::Path::new(text("path")?);
        path.file_name().and_then(|name| name.to_str())
    };
    let found = named.filter_map(text).next().or_else(of_path);
    found.map(str::to_owned)
}

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// In this state only.
    state: Option<String>,
    /// Of this kind only.
    kind: Option<String>,
    /// Submitted before this job: the last one of the page before.
    before: Option<String>,
    /// Jobs of the page, 1 to 1000; 100 if not given.
    limit: Option<usize>,
}

/// Jobs, the latest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobList {
    /// The page.
    jobs: Vec<JobInfo>,
}

/// What a person answers to a job that asks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputBody {
    /// Whether the job is to do what it asked about.
    confirm: bool,
}

impl From<cairn_jobs::Error> for ApiError {
    fn from(error: cairn_jobs::Error) -> Self {
        use cairn_jobs::Error;
        match &error {
            Error::Invalid(message) => Self::invalid("kind", message.clone()),
            Error::NotFound(_) | Error::NoEndpoint(_) | Error::NoDelivery(_) => {
                Self::new(Code::NotFound, error.to_string())
            }
            Error::WrongState { .. } => Self::invalid("id", error.to_string()),
            Error::Overloaded => Self::new(Code::Overloaded, error.to_string()),
            Error::Unreachable { .. } | Error::StreamFull { .. } | Error::Server(_) => {
                tracing::error!(%error, "the queue of jobs failed");
                let message = "jobs cannot be stored now: the servers of the queue do not answer or \
                               have no room; the log of the service says more";
                Self::new(Code::Storage, message)
            }
            Error::Busy { .. } | Error::DiskFull { .. } | Error::ReadOnly { .. } => {
                tracing::error!(%error, "the queue of jobs failed");
                let message = "jobs cannot be stored now: the disk is full, read-only or too slow";
                Self::new(Code::Storage, message)
            }
            _ => Self::internal(error),
        }
    }
}

/// Submits work. It is durable when the response comes; a worker of this service or
/// `cairn worker` does it.
///
/// # Errors
/// `invalid_request` names the field; `forbidden`, `too_large`, `storage`.
#[utoipa::path(post, path = "/jobs", tag = "jobs", request_body = JobBody,
    params(("idempotency-key" = Option<String>, Header,
        description = "The same key gives the first job again")),
    responses(
        (status = 202, description = "Accepted", body = JobInfo),
        (status = 200, description = "The job was there already", body = JobInfo),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 403, description = "Not with this API key", body = ErrorBody),
    ))]
pub(crate) async fn submit(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<JobBody>,
) -> Result<Response> {
    let request = Request {
        kind: body.kind,
        collection: collection_or_default(&service, body.collection),
        fields: body.fields,
        idempotency_key: idempotency_key(&headers)?,
        spooled: None,
    };
    let submitted = enqueue(&service, &caller, request).await?;
    Ok(accepted(submitted))
}

/// Puts a job into the queue.
pub(super) async fn submit_one(service: &Service, job: NewJob) -> Result<Submitted> {
    let submitted = service.jobs()?.submit(vec![job]).await?.pop();
    submitted.ok_or_else(|| ApiError::internal("the queue gave no job"))
}

/// Says that a job is there, and where to look at it.
pub(super) fn accepted(submitted: Submitted) -> Response {
    let status = match submitted.existing {
        Some(_) => StatusCode::OK,
        None => StatusCode::ACCEPTED,
    };
    let info = JobInfo::new(submitted.job);
    let mut response = (status, Json(&info)).into_response();
    if let Ok(place) = HeaderValue::try_from(format!("/jobs/{}", info.id)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// Checks what `caller` asks for and puts it into the queue, with its collection made.
///
/// # Errors
/// Those of [`submit`].
pub(super) async fn enqueue(
    service: &Arc<Service>,
    caller: &Caller,
    request: Request,
) -> Result<Submitted> {
    // Without a queue nothing is made.
    service.jobs()?;
    let collection = request.collection.clone();
    service.core()?.engine.check_collection_name(&collection)?;
    let asker = asker_of(service, caller);
    // Paths are looked at, which may block.
    let of_service = Arc::clone(service);
    let job = blocking(move || {
        let settings = &of_service.config().jobs;
        let job = ingest::new_job(request, &asker, settings, of_service.fetcher()?)?;
        Ok(job)
    })
    .await?;
    open_collection(service, &collection, caller).await?;
    submit_one(service, job).await
}

/// Lists jobs of the caller's tenant, the latest first; `admin` sees all. A key with labels
/// sees those that were submitted with no other labels than its own.
///
/// # Errors
/// `invalid_request`, `storage`.
#[utoipa::path(get, path = "/jobs", tag = "jobs", params(ListParams),
    responses((status = 200, description = "One page", body = JobList)))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    QueryString(params): QueryString<ListParams>,
) -> Result<Json<JobList>> {
    let limit = params.limit.unwrap_or(LIST);
    if !(1..=MAX_LIST).contains(&limit) {
        let message = format!("`limit` must lie in 1..={MAX_LIST}, not {limit}");
        return Err(ApiError::invalid("limit", message));
    }
    let state = params.state.map(|state| {
        let read = state.parse::<cairn_jobs::State>();
        read.map_err(|error| ApiError::invalid("state", error.to_string()))
    });
    let filter = Filter {
        states: state.transpose()?.into_iter().collect(),
        tenant: (!sees_all(&caller)).then(|| caller.tenant().to_owned()),
        kind: params.kind,
        before: params.before.map(|id| read_id(&id)).transpose()?,
    };
    let jobs = visible(service.jobs()?.as_ref(), &caller, filter, limit).await?;
    let jobs = jobs.into_iter().map(JobInfo::new).collect();
    Ok(Json(JobList { jobs }))
}

/// Says how far a job is, and what failed.
///
/// # Errors
/// `not_found`, also for the job of another tenant.
#[utoipa::path(get, path = "/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "The id of the job")),
    responses(
        (status = 200, description = "The job", body = JobInfo),
        (status = 404, description = "No such job", body = ErrorBody),
    ))]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<JobInfo>> {
    let job = find(&service, &caller, &id).await?;
    let id = job.id;
    let mut info = JobInfo::new(job);
    if info.documents_failed > 0 {
        let errors = service.jobs()?.document_errors(id, 0, MAX_ERRORS).await?;
        let shown = errors.into_iter().map(|error| JobDocumentError {
            document: error.document,
            stage: error.stage,
            message: error.message,
        });
        info.document_errors = shown.collect();
    }
    Ok(Json(info))
}

/// Calls a job off. One that runs stops at its next step; what it has committed stays.
///
/// # Errors
/// `not_found`.
#[utoipa::path(post, path = "/jobs/{id}/cancel", tag = "jobs",
    params(("id" = String, Path, description = "The id of the job")),
    responses(
        (status = 200, description = "The job", body = JobInfo),
        (status = 404, description = "No such job", body = ErrorBody),
    ))]
pub(crate) async fn cancel(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<JobInfo>> {
    let job = find(&service, &caller, &id).await?;
    Ok(Json(JobInfo::new(service.jobs()?.cancel(job.id).await?)))
}

/// Queues a failed or cancelled job again.
///
/// # Errors
/// `not_found`; `invalid_request` where it has not failed.
#[utoipa::path(post, path = "/jobs/{id}/retry", tag = "jobs",
    params(("id" = String, Path, description = "The id of the job")),
    responses(
        (status = 202, description = "The job", body = JobInfo),
        (status = 404, description = "No such job", body = ErrorBody),
    ))]
pub(crate) async fn retry(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<JobInfo>)> {
    let job = find(&service, &caller, &id).await?;
    let job = service.jobs()?.retry(job.id).await?;
    Ok((StatusCode::ACCEPTED, Json(JobInfo::new(job))))
}

/// Answers a job in `input_required`; then it is queued again.
///
/// # Errors
/// `not_found`; `invalid_request` where it asks nothing.
#[utoipa::path(post, path = "/jobs/{id}/input", tag = "jobs", request_body = InputBody,
    params(("id" = String, Path, description = "The id of the job")),
    responses(
        (status = 202, description = "The job", body = JobInfo),
        (status = 404, description = "No such job", body = ErrorBody),
    ))]
pub(crate) async fn input(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<InputBody>,
) -> Result<(StatusCode, Json<JobInfo>)> {
    let job = find(&service, &caller, &id).await?;
    let answer = serde_json::json!({ "confirm": body.confirm });
    let job = service.jobs()?.give_input(job.id, answer).await?;
    Ok((StatusCode::ACCEPTED, Json(JobInfo::new(job))))
}

/// Forgets a job that has ended.
///
/// # Errors
/// `not_found`; `invalid_request` for one that has not ended.
#[utoipa::path(delete, path = "/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "The id of the job")),
    responses(
        (status = 204, description = "Forgotten"),
        (status = 404, description = "No such job", body = ErrorBody),
    ))]
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let job = find(&service, &caller, &id).await?;
    settle_for(&service, &job).await?;
    service.jobs()?.purge(Purge::Job(job.id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value.to_str().ok().filter(|key| {
        !key.is_empty() && key.len() <= MAX_KEY_BYTES && key.bytes().all(|b| b.is_ascii_graphic())
    });
    match key {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(ApiError::invalid(
            IDEMPOTENCY_KEY,
            "the header has 1 to 256 visible ASCII characters",
        )),
    }
}
