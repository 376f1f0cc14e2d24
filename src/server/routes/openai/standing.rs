//! Where files stand on their way into a vector store: what the jobs say that bring them, and
//! what is in the collection.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_indexer::{Access, DocumentId, StoredDocument};
use cairn_jobs::{Job, JobId, State};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::files::{disk, key_of};
use super::{attributes, file_id, file_name};
use crate::ingest::Payload;
use crate::ingest::kinds::files::files_of;
use crate::ingest::uploads::UploadedFile;
use crate::server::auth::access_of;
use crate::server::error::{ApiError, Result};
use crate::server::limits::blocking;
use crate::server::state::Service;
use cairn_gateway::accounts::Caller;

/// Most jobs that are looked at to say how many files are under way: the latest.
const MAX_JOBS: usize = 100;
/// Most documents of a job whose failures are known by name.
const MAX_ERRORS: usize = 1000;

/// How many files stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FileCounts {
    /// Those that a job is to bring.
    pub(super) in_progress: u64,
    /// Those that are in.
    pub(super) completed: u64,
    /// Those that could not be read or stored.
    pub(super) failed: u64,
    /// Those whose job was called off before them.
    pub(super) cancelled: u64,
    /// All.
    pub(super) total: u64,
}

impl FileCounts {
    /// What has come of the files of `job`.
    pub(super) fn of_job(job: &Job) -> Self {
        let total = files_of(&job.payload).len() as u64;
        let failed = job.document_errors.min(total);
        let done = match job.state {
            State::Done => total,
            _ => job.progress.done.clamp(failed, total),
        };
        let left = total - done;
        let mut counts = Self {
            completed: done - failed,
            failed,
            total,
            ..Self::default()
        };
        match job.state {
            State::Failed => counts.failed += left,
            State::Cancelled => counts.cancelled = left,
            _ => counts.in_progress = left,
        }
        counts
    }

    fn add(&mut self, other: Self) {
        self.in_progress += other.in_progress;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
    }
}

/// What the caller's latest jobs are to bring, and could not, by collection.
pub(super) async fn under_way(
    service: &Arc<Service>,
    caller: &Caller,
) -> Result<BTreeMap<String, FileCounts>> {
    let uploads = of_caller(service, caller).await?;
    // Ids of jobs begin with their time, so that the latest are the last.
    let mut jobs: Vec<(String, String)> = uploads
        .into_iter()
        .flat_map(|upload| upload.jobs)
        .map(|(collection, job)| (job, collection))
        .collect();
    jobs.sort();
    jobs.dedup();
    let mut counts: BTreeMap<String, FileCounts> = BTreeMap::new();
    for (id, collection) in jobs.into_iter().rev().take(MAX_JOBS) {
        if let Some(job) = job_named(service, &id).await? {
            counts
                .entry(collection)
                .or_default()
                .add(FileCounts::of_job(&job));
        }
    }
    Ok(counts)
}

/// The files that `caller` uploaded.
pub(super) async fn of_caller(
    service: &Arc<Service>,
    caller: &Caller,
) -> Result<Vec<UploadedFile>> {
    let (service, key) = (Arc::clone(service), key_of(caller));
    blocking(move || {
        let files = service.uploads().of(key.as_deref());
        files.map_err(|error| disk(&error))
    })
    .await
}

/// The job `id`, which may be forgotten by now.
async fn job_named(service: &Service, id: &str) -> Result<Option<Job>> {
    match id.parse::<JobId>() {
        Ok(id) => Ok(service.jobs()?.get(id).await?),
        Err(_) => Ok(None),
    }
}

/// A file of a vector store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreFile {
    /// `file-` and the document's id.
    pub(super) id: String,
    /// `vector_store.file`.
    object: &'static str,
    /// Seconds since 1970, UTC.
    created_at: i64,
    /// The collection.
    vector_store_id: String,
    /// Its name.
    filename: String,
    /// `in_progress`, `completed`, `failed` or `cancelled`.
    pub(super) status: &'static str,
    /// Why it failed.
    #[schema(value_type = Option<Object>)]
    last_error: Option<Value>,
    /// Bytes of its text.
    usage_bytes: u64,
    /// Facts for filters.
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
    /// `{"type": "other"}`: as the configuration says.
    #[schema(value_type = Object)]
    chunking_strategy: Value,
}

impl StoreFile {
    /// A document.
    pub(super) fn of_document(document: StoredDocument, store: &str) -> Self {
        Self {
            id: file_id(document.id),
            object: "vector_store.file",
            created_at: document.indexed_at,
            vector_store_id: store.to_owned(),
            filename: file_name(&document.uri).to_owned(),
            status: "completed",
            last_error: None,
            usage_bytes: document.text_bytes,
            attributes: attributes(document.metadata),
            chunking_strategy: json!({"type": "other"}),
        }
    }

    /// A file that is not in the collection, or is to be put there again.
    pub(super) fn waiting(upload: &UploadedFile, store: &str, status: &'static str) -> Self {
        Self {
            id: file_id(upload.id()),
            object: "vector_store.file",
            created_at: upload.created_at,
            vector_store_id: store.to_owned(),
            filename: upload.name.clone(),
            status,
            last_error: None,
            usage_bytes: 0,
            attributes: Map::new(),
            chunking_strategy: json!({"type": "other"}),
        }
    }

    fn failed(upload: &UploadedFile, store: &str, message: &str) -> Self {
        Self {
            last_error: Some(json!({"code": "invalid_file", "message": message})),
            ..Self::waiting(upload, store, "failed")
        }
    }
}

/// Where the file `upload` stands on its way by the last job that was to put it into `store`;
/// none if it is in, or was deleted since.
pub(super) async fn on_its_way(
    service: &Arc<Service>,
    upload: &UploadedFile,
    store: &str,
) -> Result<Option<StoreFile>> {
    let job = match upload.jobs.get(store) {
        Some(id) => job_named(service, id).await?,
        None => None,
    };
    let Some(job) = job else { return Ok(None) };
    let errors = service
        .jobs()?
        .document_errors(job.id, 0, MAX_ERRORS)
        .await?;
    let own = errors
        .into_iter()
        .rfind(|error| error.document == upload.uri);
    Ok(match (job.state, own) {
        (_, Some(error)) => Some(StoreFile::failed(upload, store, &error.message)),
        (State::Done, None) => None,
        (State::Failed, None) => {
            let last = job.failures.last().map(|attempt| attempt.chain.join(": "));
            Some(StoreFile::failed(upload, store, &last.unwrap_or_default()))
        }
        (State::Cancelled, None) => Some(StoreFile::waiting(upload, store, "cancelled")),
        _ => Some(StoreFile::waiting(upload, store, "in_progress")),
    })
}

/// The document `id` of `store`, if `caller` may read it.
///
/// # Errors
/// `not_found` for a store that there is not.
pub(super) async fn document(
    service: &Service,
    caller: &Caller,
    store: &str,
    id: DocumentId,
) -> Result<Option<StoredDocument>> {
    let (engine, store) = (service.core()?.engine.clone(), store.to_owned());
    let access: Access = access_of(caller);
    blocking(move || {
        let index = engine.current_collection(&store)?;
        let found = index.snapshot().document(id, &access)?;
        if found.is_some() {
            return Ok(found);
        }
        // A job of another process may have brought it just now.
        index.refresh()?;
        Ok(index.snapshot().document(id, &access)?)
    })
    .await
}

/// The collection that `job` writes to.
pub(super) fn collection_of(job: &Job) -> Option<String> {
    let payload = serde_json::from_value::<Payload>(job.payload.clone());
    payload.ok().map(|payload| payload.collection)
}

/// Where the file `id` of `store` stands, if `caller` may know of it.
///
/// # Errors
/// `not_found` for a store that there is not.
pub(super) async fn of_file(
    service: &Arc<Service>,
    caller: &Caller,
    store: &str,
    id: DocumentId,
) -> Result<Option<StoreFile>> {
    let found = document(service, caller, store, id).await?;
    let (uploads, key) = (Arc::clone(service), key_of(caller));
    let upload = blocking(move || {
        let found = uploads.uploads().get(id, key.as_deref());
        found.map_err(|error| disk(&error))
    })
    .await?;
    let waiting = match &upload {
        Some(upload) => on_its_way(service, upload, store).await?,
        None => None,
    };
    Ok(match (waiting, found) {
        // It is in already, and is being put there again.
        (Some(waiting), Some(_)) if waiting.status == "in_progress" => Some(waiting),
        (_, Some(document)) => Some(StoreFile::of_document(document, store)),
        (waiting, None) => waiting,
    })
}

/// What a client is told of a file that is not in a store.
pub(super) fn not_in(store: &str, id: &str) -> ApiError {
    let id: String = id.chars().take(80).collect();
    let message = format!("there is no file `{id}` in the vector store `{store}`");
    ApiError::new(crate::server::error::Code::NotFound, message)
}
