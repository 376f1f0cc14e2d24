//! `/v1/vector_stores/{id}/file_batches`: one job that puts many files into a collection.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use cairn_jobs::{Job, State as JobState};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::paging::{Page, PageParams};
use super::standing::{self, FileCounts, StoreFile, collection_of};
use super::store_files::{NewFile, check_state, put};
use super::{Labels, check_chunking, refuse};
use crate::ingest::kinds::files::files_of;
use crate::server::error::{ApiError, Code, ErrorBody, Result};
use crate::server::extract::{JsonBody, QueryString};
use crate::server::job_rights;
use crate::server::state::Service;
use cairn_gateway::accounts::Caller;

/// Files to put into a vector store: `file_ids`, or `files` with what is said of each.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchBody {
    /// Uploaded files.
    file_ids: Option<Vec<String>>,
    /// Facts of all files of `file_ids`.
    #[schema(value_type = Option<Object>)]
    attributes: Option<Map<String, Value>>,
    /// Labels of their readers; empty for everyone. Cairn's own field.
    labels: Labels,
    /// `auto` only.
    #[schema(value_type = Option<Object>)]
    chunking_strategy: Option<Value>,
    /// Uploaded files with what is said of each.
    files: Option<Vec<NewFile>>,
}

/// A batch: a job.
#[derive(Serialize, ToSchema)]
pub(crate) struct FileBatch {
    /// The job's id.
    id: String,
    /// `vector_store.files_batch`.
    object: &'static str,
    /// Seconds since 1970, UTC.
    created_at: i64,
    /// The collection.
    vector_store_id: String,
    /// `in_progress`, `completed`, `failed` or `cancelled`.
    status: &'static str,
    /// How many files stand where.
    file_counts: FileCounts,
}

impl FileBatch {
    fn new(job: &Job, store: String) -> Self {
        let counts = FileCounts::of_job(job);
        Self {
            id: job.id.to_string(),
            object: "vector_store.files_batch",
            created_at: job.created_at.as_second(),
            vector_store_id: store,
            status: match job.state {
                JobState::Done => "completed",
                // All is in, and the worker is about to say so.
                JobState::Running if counts.in_progress == 0 => "completed",
                JobState::Failed => "failed",
                JobState::Cancelled => "cancelled",
                _ => "in_progress",
            },
            file_counts: counts,
        }
    }
}

/// The batch `id` of `store`, if the caller may know of it.
async fn find(service: &Service, caller: &Caller, store: &str, id: &str) -> Result<Job> {
    let missing = || {
        let id: String = id.chars().take(80).collect();
        let message = format!("there is no batch `{id}` of the vector store `{store}`");
        ApiError::new(Code::NotFound, message)
    };
    let job = match job_rights::find(service, caller, id).await {
        Err(error) if matches!(error.code, Code::NotFound | Code::InvalidRequest) => {
            return Err(missing());
        }
        found => found?,
    };
    let is_ours = job.kind == "files" && collection_of(&job).as_deref() == Some(store);
    is_ours.then_some(job).ok_or_else(missing)
}

/// Puts uploaded files into a vector store, by one job.
///
/// # Errors
/// `not_found` for the store or a file; `invalid_request`, `forbidden`.
#[utoipa::path(post, path = "/v1/vector_stores/{id}/file_batches", tag = "vector stores",
    request_body = BatchBody,
    params(("id" = String, Path, description = "The collection's name")),
    responses(
        (status = 200, description = "The batch", body = FileBatch),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 403, description = "A label that the key does not hold", body = ErrorBody),
        (status = 404, description = "No such store or file", body = ErrorBody),
    ))]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(store): Path<String>,
    JsonBody(body): JsonBody<BatchBody>,
) -> Result<Json<FileBatch>> {
    check_chunking(body.chunking_strategy.as_ref())?;
    let files = match (body.file_ids, body.files) {
        (Some(ids), None) => ids
            .into_iter()
            .map(|file_id| NewFile {
                attributes: body.attributes.clone(),
                labels: body.labels.clone(),
                ..NewFile::plain(file_id)
            })
            .collect(),
        (None, Some(files)) => {
            let of_all = [
                ("attributes", body.attributes.is_some()),
                ("labels", body.labels.is_some()),
            ];
            refuse(&of_all, "with `files` each file has its own")?;
            files
        }
        _ => {
            let message = "a batch has either `file_ids` or `files`";
            return Err(ApiError::invalid("file_ids", message));
        }
    };
    let job = put(&service, &caller, &store, files).await?;
    Ok(Json(FileBatch::new(&job, store)))
}

/// Says how far a batch is.
///
/// # Errors
/// `not_found`, also for the batch of another tenant.
#[utoipa::path(get, path = "/v1/vector_stores/{id}/file_batches/{batch_id}", tag = "vector stores",
    params(("id" = String, Path, description = "The collection's name"),
        ("batch_id" = String, Path, description = "The id of the batch")),
    responses(
        (status = 200, description = "The batch", body = FileBatch),
        (status = 404, description = "No such batch", body = ErrorBody),
    ))]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((store, id)): Path<(String, String)>,
) -> Result<Json<FileBatch>> {
    let job = find(&service, &caller, &store, &id).await?;
    Ok(Json(FileBatch::new(&job, store)))
}

/// Calls a batch off. What is in the vector store stays there.
///
/// # Errors
/// `not_found`, also for the batch of another tenant.
#[utoipa::path(post, path = "/v1/vector_stores/{id}/file_batches/{batch_id}/cancel",
    tag = "vector stores",
    params(("id" = String, Path, description = "The collection's name"),
        ("batch_id" = String, Path, description = "The id of the batch")),
    responses(
        (status = 200, description = "The batch", body = FileBatch),
        (status = 404, description = "No such batch", body = ErrorBody),
    ))]
pub(crate) async fn cancel(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((store, id)): Path<(String, String)>,
) -> Result<Json<FileBatch>> {
    let job = find(&service, &caller, &store, &id).await?;
    let job = service.jobs()?.cancel(job.id).await?;
    Ok(Json(FileBatch::new(&job, store)))
}

/// Lists the files of a batch that the caller may know of.
///
/// # Errors
/// `invalid_request`, `not_found`.
#[utoipa::path(get, path = "/v1/vector_stores/{id}/file_batches/{batch_id}/files",
    tag = "vector stores",
    params(("id" = String, Path, description = "The collection's name"),
        ("batch_id" = String, Path, description = "The id of the batch"), PageParams),
    responses(
        (status = 200, description = "One page", body = Page<StoreFile>),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such batch", body = ErrorBody),
    ))]
pub(crate) async fn files(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((store, id)): Path<(String, String)>,
    QueryString(params): QueryString<PageParams>,
) -> Result<Json<Page<StoreFile>>> {
    refuse(
        &[("purpose", params.purpose.is_some())],
        "the files of a batch have one purpose",
    )?;
    check_state(params.filter.as_deref())?;
    let job = find(&service, &caller, &store, &id).await?;
    let mut files = Vec::new();
    for id in files_of(&job.payload) {
        files.extend(standing::of_file(&service, &caller, &store, id).await?);
    }
    if let Some(state) = &params.filter {
        files.retain(|file| file.status == state);
    }
    Ok(Json(params.page(files, |file| file.id.clone())?))
}
