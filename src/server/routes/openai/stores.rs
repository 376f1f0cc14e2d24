//! `/v1/vector_stores`: collections, as vector stores.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Path, State};
use axum::{Extension, Json};
use cairn_indexer::{Access, Index};
use cairn_jobs::{Filter, State as JobState};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::files::Deleted;
use super::paging::{Page, PageParams};
use super::standing::{FileCounts, collection_of, under_way};
use super::store_files::{NewFile, put};
use super::{asks, check_chunking, refuse};
use crate::server::auth::access_of;
use crate::server::error::{ApiError, Code, ErrorBody, Result};
use crate::server::extract::{JsonBody, QueryString};
use crate::server::job_rights::sees_all;
use crate::server::limits::blocking;
use crate::server::routes::documents::open_collection;
use crate::server::state::Service;
use cairn_engine::retrieve::Engine;
use cairn_gateway::accounts::Caller;

/// How long a deletion waits for whoever writes.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most jobs that a deletion calls off.
const MAX_JOBS: usize = 1000;

/// Why a store has no facts of its own.
const NO_FACTS: &str = "a vector store is a collection, which has a name and documents and \
                        nothing else";

/// A vector store that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreBody {
    /// The collection's name, and the store's id: a-z, 0-9, `-` and `_`. One is chosen if none
    /// is given.
    name: Option<String>,
    /// Uploaded files to put into it.
    file_ids: Option<Vec<String>>,
    /// `auto` only.
    #[schema(value_type = Option<Object>)]
    chunking_strategy: Option<Value>,
    /// Not taken.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// Not taken.
    #[schema(value_type = Option<Object>)]
    expires_after: Option<Value>,
    /// Not taken.
    #[schema(value_type = Option<String>)]
    description: Option<Value>,
}

/// A collection as a vector store.
#[derive(Serialize, ToSchema)]
pub(crate) struct VectorStore {
    /// The collection's name.
    id: String,
    /// `vector_store`.
    object: &'static str,
    /// Seconds since 1970, UTC.
    created_at: u64,
    /// The same.
    name: String,
    /// `completed`, or `in_progress` while jobs of the caller bring files.
    status: &'static str,
    /// Bytes of the texts that the caller may read.
    usage_bytes: u64,
    /// Documents that the caller may read, and files on their way.
    file_counts: FileCounts,
    /// Empty.
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// Not known.
    last_active_at: Option<u64>,
    /// None.
    expires_after: Option<u64>,
    /// Never.
    expires_at: Option<u64>,
}

impl VectorStore {
    /// Opens the collection, so it may block.
    fn read(
        engine: &Engine,
        name: &str,
        access: &Access,
        under_way: &BTreeMap<String, FileCounts>,
    ) -> Result<Self> {
        let snapshot = engine.current_collection(name)?.snapshot();
        let mut file_counts = under_way.get(name).copied().unwrap_or_default();
        file_counts.completed = snapshot.readable_counts(access)?.0 as u64;
        file_counts.total = file_counts.completed
            + file_counts.in_progress
            + file_counts.failed
            + file_counts.cancelled;
        Ok(Self {
            id: name.to_owned(),
            object: "vector_store",
            created_at: created_at(engine, name),
            name: name.to_owned(),
            status: match file_counts.in_progress {
                0 => "completed",
                _ => "in_progress",
            },
            usage_bytes: snapshot.readable_bytes(access),
            file_counts,
            metadata: Map::new(),
            last_active_at: None,
            expires_after: None,
            expires_at: None,
        })
    }
}

/// When the folder of a collection was made, in seconds since 1970; 0 if unknown.
fn created_at(engine: &Engine, name: &str) -> u64 {
    let metadata = engine
        .collection_folder(name)
        .ok()
        .and_then(|folder| std::fs::metadata(folder).ok());
    let made =
        metadata.and_then(|metadata| metadata.created().or_else(|_| metadata.modified()).ok());
    let since = made.and_then(|made: SystemTime| made.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

/// The store `name` as `caller` sees it.
async fn read(service: &Arc<Service>, caller: &Caller, name: String) -> Result<Json<VectorStore>> {
    let under_way = under_way(service, caller).await?;
    let (engine, access) = (service.core()?.engine.clone(), access_of(caller));
    blocking(move || VectorStore::read(&engine, &name, &access, &under_way).map(Json))
        .await
        .map_err(no_store)
}

/// Names the store where a collection is missing.
pub(super) fn no_store(error: ApiError) -> ApiError {
    match error.code {
        Code::NotFound => ApiError::new(
            Code::NotFound,
            "there is no such vector store; GET /v1/vector_stores lists them",
        ),
        _ => error,
    }
}

/// Makes a vector store: an empty collection, into which `file_ids` are put by a job.
///
/// # Errors
/// `invalid_request`, also where the name is taken; `not_found` for a file.
#[utoipa::path(post, path = "/v1/vector_stores", tag = "vector stores", request_body = StoreBody,
    responses(
        (status = 200, description = "The store", body = VectorStore),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such file", body = ErrorBody),
    ))]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<StoreBody>,
) -> Result<Json<VectorStore>> {
    refuse(
        &[
            ("metadata", asks(body.metadata.as_ref())),
            ("expires_after", asks(body.expires_after.as_ref())),
            ("description", asks(body.description.as_ref())),
        ],
        NO_FACTS,
    )?;
    check_chunking(body.chunking_strategy.as_ref())?;
    let named = |error: ApiError| match error.param.as_deref() {
        Some("collection") => ApiError {
            param: Some("name".into()),
            ..error
        },
        _ => error,
    };
    let chosen = || format!("vs_{}", uuid::Uuid::new_v4().simple());
    let name = body.name.unwrap_or_else(chosen);
    let engine = service.core()?.engine.clone();
    engine
        .check_collection_name(&name)
        .map_err(|error| named(error.into()))?;
    let wanted = name.clone();
    let taken = blocking(move || Ok(engine.collections()?.contains(&wanted))).await?;
    if taken {
        let message = format!("there is a vector store `{name}` already; choose another name");
        return Err(ApiError::invalid("name", message));
    }
    let files = body.file_ids.unwrap_or_default();
    let files: Vec<NewFile> = files.into_iter().map(NewFile::plain).collect();
    super::store_files::check(&service, &caller, &files).await?;
    open_collection(&service, &name, &caller)
        .await
        .map_err(named)?;
    if !files.is_empty() {
        put(&service, &caller, &name, files).await?;
    }
    read(&service, &caller, name).await
}

/// Lists the vector stores, which are all collections.
///
/// # Errors
/// `invalid_request`, `not_ready`.
#[utoipa::path(get, path = "/v1/vector_stores", tag = "vector stores", params(PageParams),
    responses(
        (status = 200, description = "One page", body = Page<VectorStore>),
        (status = 400, description = "The request is wrong", body = ErrorBody),
    ))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    QueryString(params): QueryString<PageParams>,
) -> Result<Json<Page<VectorStore>>> {
    let others = [
        ("filter", params.filter.is_some()),
        ("purpose", params.purpose.is_some()),
    ];
    refuse(&others, "vector stores are listed by their time only")?;
    let under_way = under_way(&service, &caller).await?;
    let (engine, access) = (service.core()?.engine.clone(), access_of(&caller));
    blocking(move || {
        let mut names = engine.collections()?;
        names.sort_by_cached_key(|name| (created_at(&engine, name), name.clone()));
        // Only those of the page are opened.
        let page = params.page(names, String::clone)?;
        let stores = page.try_map(|name| VectorStore::read(&engine, &name, &access, &under_way))?;
        Ok(Json(stores))
    })
    .await
}

/// Shows a vector store.
///
/// # Errors
/// `not_found`.
#[utoipa::path(get, path = "/v1/vector_stores/{id}", tag = "vector stores",
    params(("id" = String, Path, description = "The collection's name")),
    responses(
        (status = 200, description = "The store", body = VectorStore),
        (status = 404, description = "No such store", body = ErrorBody),
    ))]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<VectorStore>> {
    read(&service, &caller, id).await
}

/// Deletes a vector store: the whole collection, and the caller's jobs that write to it. For
/// keys that read every document, and for the one that made it if that reads all of it.
///
/// # Errors
/// `not_found`, `forbidden`, `collection_locked`.
#[utoipa::path(delete, path = "/v1/vector_stores/{id}", tag = "vector stores",
    params(("id" = String, Path, description = "The collection's name")),
    responses(
        (status = 200, description = "Deleted", body = Deleted),
        (status = 403, description = "Not with this API key", body = ErrorBody),
        (status = 404, description = "No such store", body = ErrorBody),
        (status = 409, description = "The collection is locked", body = ErrorBody),
    ))]
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Deleted>> {
    let (of_service, by, name) = (Arc::clone(&service), caller.clone(), id.clone());
    let allowed = blocking(move || {
        let index = of_service.core()?.engine.current_collection(&name)?;
        Ok(may_delete(&of_service, &by, &name, &index)?.then_some(index))
    });
    let index = allowed.await.map_err(no_store)?.ok_or_else(|| {
        let message = "a collection is deleted by API keys that read every document, and by the \
                       one that made it if that reads all of it";
        ApiError::new(Code::Forbidden, message)
    })?;
    call_off(&service, &caller, &id).await?;
    let (engine, name) = (service.core()?.engine.clone(), id.clone());
    blocking(move || {
        index.remove(PATIENCE)?;
        engine.forget_collection(&name);
        Ok(())
    })
    .await?;
    Ok(Json(Deleted {
        id,
        object: "vector_store.deleted",
        deleted: true,
    }))
}

/// Whether `caller` may delete the collection `name` as a whole.
fn may_delete(service: &Service, caller: &Caller, name: &str, index: &Index) -> Result<bool> {
    let access = access_of(caller);
    if access == Access::All {
        return Ok(true);
    }
    let made = caller
        .key()
        .is_some_and(|key| service.owners().is_of(name, key));
    let snapshot = index.snapshot();
    Ok(made && snapshot.readable_counts(&access)?.0 == snapshot.document_count())
}

/// Calls off what the caller's jobs would still write to `collection`.
async fn call_off(service: &Service, caller: &Caller, collection: &str) -> Result<()> {
    let queue = service.jobs()?;
    let filter = Filter {
        states: vec![JobState::Queued, JobState::Running, JobState::InputRequired],
        tenant: (!sees_all(caller)).then(|| caller.tenant().to_owned()),
        ..Filter::default()
    };
    for job in queue.list(filter, MAX_JOBS).await? {
        if collection_of(&job).as_deref() == Some(collection) {
            queue.cancel(job.id).await?;
        }
    }
    Ok(())
}
