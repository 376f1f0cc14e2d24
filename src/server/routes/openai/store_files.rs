//! `/v1/vector_stores/{id}/files`: documents of a collection, as files of a vector store.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use cairn_jobs::Job;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::files::{Deleted, disk, find};
use super::paging::{Page, PageParams};
use super::standing::{self, StoreFile, not_in, on_its_way};
use super::stores::no_store;
use super::{Labels, check_chunking, document_of, refuse};
use crate::ingest::Request;
use crate::server::auth::access_of;
use crate::server::error::{ApiError, Code, ErrorBody, Result};
use crate::server::extract::{JsonBody, QueryString};
use crate::server::limits::blocking;
use crate::server::routes::{deletion, jobs};
use crate::server::state::Service;
use cairn_gateway::accounts::Caller;

/// Most files of the caller's that are looked at for those that are on their way.
const MAX_WAITING: usize = 1000;

/// A file to put into a vector store.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFile {
    /// An uploaded file.
    pub(super) file_id: String,
    /// Facts for filters.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) attributes: Option<Map<String, Value>>,
    /// Labels of its readers; empty for everyone. Cairn's own field.
    #[serde(default)]
    pub(super) labels: Labels,
    /// `auto` only.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) chunking_strategy: Option<Value>,
}

impl NewFile {
    /// One of which nothing is said.
    pub(super) fn plain(file_id: String) -> Self {
        Self {
            file_id,
            attributes: None,
            labels: None,
            chunking_strategy: None,
        }
    }
}

/// Checks that `files` are there and that nothing is asked of them that cannot be.
pub(super) async fn check(
    service: &Arc<Service>,
    caller: &Caller,
    files: &[NewFile],
) -> Result<()> {
    for file in files {
        check_chunking(file.chunking_strategy.as_ref())?;
        find(service, caller, &file.file_id).await?;
    }
    Ok(())
}

/// Submits the job that puts `files` into `store`.
///
/// # Errors
/// `not_found` for the store or a file; those of `POST /jobs`.
pub(super) async fn put(
    service: &Arc<Service>,
    caller: &Caller,
    store: &str,
    files: Vec<NewFile>,
) -> Result<Job> {
    check(service, caller, &files).await?;
    let (engine, name) = (service.core()?.engine.clone(), store.to_owned());
    let found = blocking(move || Ok(engine.collection(&name)?)).await;
    found.map_err(no_store)?;
    let mut ids = Vec::new();
    let mut named = Vec::new();
    for file in files {
        let id = document_of(&file.file_id)?;
        ids.push(id);
        let mut entry = json!({"id": id.to_string()});
        if let Some(attributes) = file.attributes {
            entry["metadata"] = attributes.into();
        }
        if let Some(labels) = file.labels {
            entry["labels"] = json!(labels);
        }
        named.push(entry);
    }
    let request = Request {
        kind: "files".to_owned(),
        collection: store.to_owned(),
        fields: [("files".to_owned(), Value::Array(named))]
            .into_iter()
            .collect(),
        idempotency_key: None,
        spooled: None,
    };
    let job = jobs::enqueue(service, caller, request).await?.job;
    let (service, store, id) = (Arc::clone(service), store.to_owned(), job.id.to_string());
    blocking(move || {
        let attached = service.uploads().attach(&ids, &store, &id);
        attached.map_err(|error| disk(&error))
    })
    .await?;
    Ok(job)
}

/// Puts an uploaded file into a vector store, by a job.
///
/// # Errors
/// `not_found` for the store or the file; `invalid_request`, `forbidden`.
#[utoipa::path(post, path = "/v1/vector_stores/{id}/files", tag = "vector stores",
    request_body = NewFile,
    params(("id" = String, Path, description = "The collection's name")),
    responses(
        (status = 200, description = "The file, on its way", body = StoreFile),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 403, description = "A label that the key does not hold", body = ErrorBody),
        (status = 404, description = "No such store or file", body = ErrorBody),
    ))]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<NewFile>,
) -> Result<Json<StoreFile>> {
    let upload = find(&service, &caller, &body.file_id).await?;
    put(&service, &caller, &id, vec![body]).await?;
    Ok(Json(StoreFile::waiting(&upload, &id, "in_progress")))
}

/// Lists the files of a vector store: those of the caller that are not in it yet, then the
/// documents that the caller may read, in the order of their URIs.
///
/// # Errors
/// `invalid_request`, `not_found`.
#[utoipa::path(get, path = "/v1/vector_stores/{id}/files", tag = "vector stores",
    params(("id" = String, Path, description = "The collection's name"), PageParams),
    responses(
        (status = 200, description = "One page", body = Page<StoreFile>),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such store", body = ErrorBody),
    ))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(store): Path<String>,
    QueryString(params): QueryString<PageParams>,
) -> Result<Json<Page<StoreFile>>> {
    let limit = params.limit()?;
    refuse(
        &[
            ("purpose", params.purpose.is_some()),
            ("before", params.before.is_some()),
            ("order", params.order.is_some()),
        ],
        "documents are in the order of their URIs",
    )?;
    check_state(params.filter.as_deref())?;
    let state = params.filter.as_deref();
    let waiting = waiting(&service, &caller, &store).await?;
    let is_after = |file: &StoreFile| params.after.as_ref() == Some(&file.id);
    let place = waiting.iter().position(is_after);
    let skipped = match (&params.after, place) {
        (None, _) => 0,
        (Some(_), Some(place)) => place + 1,
        (Some(_), None) => waiting.len(),
    };
    let mut items: Vec<StoreFile> = waiting.into_iter().skip(skipped).collect();
    items.retain(|file| state.is_none_or(|state| file.status == state));
    if state.is_none_or(|state| state == "completed") {
        // Behind a document only; behind a file on its way all of them.
        let behind = match params.after.as_deref().map(document_of).transpose()? {
            Some(id) => standing::document(&service, &caller, &store, id)
                .await
                .map_err(no_store)?
                .map(|document| document.uri),
            None => None,
        };
        if params.after.is_some() && behind.is_none() && place.is_none() {
            return Err(ApiError::invalid("after", "`after` is not in the list"));
        }
        let (engine, name) = (service.core()?.engine.clone(), store.clone());
        let access = access_of(&caller);
        let documents = blocking(move || {
            let snapshot = engine.current_collection(&name)?.snapshot();
            Ok(snapshot.documents_after(behind.as_deref(), limit + 1, &access))
        })
        .await
        .map_err(no_store)?;
        items.extend(
            documents
                .into_iter()
                .map(|document| StoreFile::of_document(document, &store)),
        );
    }
    Ok(Json(Page::new(items, limit, |file| file.id.clone())))
}

/// Refuses a state that files have not.
pub(super) fn check_state(state: Option<&str>) -> Result<()> {
    match state {
        None | Some("in_progress" | "completed" | "failed" | "cancelled") => Ok(()),
        Some(_) => {
            let message = "`filter` is in_progress, completed, failed or cancelled";
            Err(ApiError::invalid("filter", message))
        }
    }
}

/// The caller's files that are not in `store` yet, the first uploaded first.
async fn waiting(service: &Arc<Service>, caller: &Caller, store: &str) -> Result<Vec<StoreFile>> {
    let mut uploads = standing::of_caller(service, caller).await?;
    uploads.retain(|upload| upload.jobs.contains_key(store));
    uploads.sort_by_key(|upload| std::cmp::Reverse((upload.created_at, upload.id())));
    uploads.truncate(MAX_WAITING);
    let mut waiting = Vec::new();
    for upload in uploads.iter().rev() {
        let found = standing::document(service, caller, store, upload.id()).await;
        if found.map_err(no_store)?.is_none() {
            waiting.extend(on_its_way(service, upload, store).await?);
        }
    }
    Ok(waiting)
}

/// Shows a file of a vector store, also while it is on its way.
///
/// # Errors
/// `not_found`.
#[utoipa::path(get, path = "/v1/vector_stores/{id}/files/{file_id}", tag = "vector stores",
    params(("id" = String, Path, description = "The collection's name"),
        ("file_id" = String, Path, description = "The id of the file")),
    responses(
        (status = 200, description = "The file", body = StoreFile),
        (status = 404, description = "No such store or file", body = ErrorBody),
    ))]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((store, file)): Path<(String, String)>,
) -> Result<Json<StoreFile>> {
    let id = document_of(&file)?;
    let found = standing::of_file(&service, &caller, &store, id).await;
    let found = found.map_err(no_store)?;
    found.map(Json).ok_or_else(|| not_in(&store, &file))
}

/// The text of a file.
#[derive(Serialize, ToSchema)]
pub(crate) struct FileText {
    /// `vector_store.file_content.page`.
    object: &'static str,
    /// One part of type `text`.
    #[schema(value_type = Vec<Object>)]
    data: Vec<Value>,
    /// False.
    has_more: bool,
    /// None.
    next_page: Option<String>,
}

/// Gives the text that was read of a file of a vector store.
///
/// # Errors
/// `not_found`, also while the file is on its way.
#[utoipa::path(get, path = "/v1/vector_stores/{id}/files/{file_id}/content", tag = "vector stores",
    params(("id" = String, Path, description = "The collection's name"),
        ("file_id" = String, Path, description = "The id of the file")),
    responses(
        (status = 200, description = "The text", body = FileText),
        (status = 404, description = "No such store or file", body = ErrorBody),
    ))]
pub(crate) async fn content(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((store, file)): Path<(String, String)>,
) -> Result<Json<FileText>> {
    let id = document_of(&file)?;
    let (engine, name) = (service.core()?.engine.clone(), store.clone());
    let access = access_of(&caller);
    let text = blocking(move || {
        let snapshot = engine.current_collection(&name)?.snapshot();
        Ok(snapshot.document_text(id, &access)?)
    })
    .await
    .map_err(no_store)?;
    let text = text.ok_or_else(|| not_in(&store, &file))?;
    Ok(Json(FileText {
        object: "vector_store.file_content.page",
        data: vec![json!({"type": "text", "text": text})],
        has_more: false,
        next_page: None,
    }))
}

/// Removes a file from a vector store. What was uploaded stays in `/v1/files`.
///
/// # Errors
/// `not_found`, `collection_locked`.
#[utoipa::path(delete, path = "/v1/vector_stores/{id}/files/{file_id}", tag = "vector stores",
    params(("id" = String, Path, description = "The collection's name"),
        ("file_id" = String, Path, description = "The id of the file")),
    responses(
        (status = 200, description = "Deleted", body = Deleted),
        (status = 404, description = "No such store or file", body = ErrorBody),
        (status = 409, description = "The collection is locked", body = ErrorBody),
    ))]
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((store, file)): Path<(String, String)>,
) -> Result<Json<Deleted>> {
    let id = document_of(&file)?;
    let removed = deletion::remove(&service, &caller, &store, id).await;
    removed.map_err(|error| match error.code {
        Code::NotFound => not_in(&store, &file),
        _ => error,
    })?;
    Ok(Json(Deleted {
        id: file,
        object: "vector_store.file.deleted",
        deleted: true,
    }))
}
