//! `/documents`: what is in a collection, one at a time or page by page, and
//! how it comes in. `deletion` has how it goes out.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use cairn_indexer::{Access, Document, DocumentId, Metadata, Ready, StoredDocument};
use cairn_models::CancelOnDrop;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::jobs::{self, JobInfo};
use crate::ingest;
use crate::ingest::bounds::check_held;
use crate::ingest::kinds::Spooled;
use crate::ingest::upload::Upload;
use crate::ingest::writer::{Conflict, Work};
use crate::server::auth::access_of;
use crate::server::error::{ApiError, Code, ErrorBody, Result};
use crate::server::extract::QueryString;
use crate::server::job_rights::asker_of;
use crate::server::limits::blocking;
use crate::server::owners::Most;
use crate::server::state::{Core, Service};
use crate::server::upload::{self, UploadBody};
use cairn_gateway::accounts::{Caller, Scope};

/// Most documents of one page.
const MAX_PAGE: usize = 1000;
/// Documents of a page that does not say how many.
const PAGE: usize = 100;

/// One document, without its text.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct DocumentInfo {
    /// 16 hexadecimal digits.
    pub id: String,
    /// Where it came from.
    pub uri: String,
    /// Its title.
    pub title: String,
    /// Facts for filters.
    #[schema(value_type = Object)]
    pub metadata: Metadata,
    /// Labels of its readers; empty for everyone.
    pub labels: BTreeSet<String>,
    /// Chunks it was cut into.
    pub chunks: u32,
    /// Bytes of its text.
    pub text_bytes: u64,
    /// Seconds since 1970, UTC.
    pub indexed_at: i64,
}

impl From<StoredDocument> for DocumentInfo {
    fn from(stored: StoredDocument) -> Self {
        Self {
            id: stored.id.to_string(),
            uri: stored.uri,
            title: stored.title,
            metadata: stored.metadata,
            labels: stored.labels,
            chunks: stored.chunk_count,
            text_bytes: stored.text_bytes,
            indexed_at: stored.indexed_at,
        }
    }
}

/// One page of documents, in the order of their URIs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct DocumentPage {
    /// The collection.
    pub collection: String,
    /// The commit that was read.
    pub generation: u64,
    /// Documents in the collection that the caller may read.
    pub total: usize,
    /// Documents before this page.
    pub offset: usize,
    /// The page.
    pub documents: Vec<DocumentInfo>,
}

/// One chunk of a document's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ChunkSpan {
    /// `{document_id}-{ordinal:04}`.
    pub chunk_id: String,
    /// Byte offset of its start in `text`.
    pub start: usize,
    /// Byte offset of its end.
    pub end: usize,
    /// Headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// Page at its start, for paged formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Columns of the table that it continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<String>,
}

/// One document, with its text where that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct DocumentDetail {
    /// What is known about it.
    #[serde(flatten)]
    pub info: DocumentInfo,
    /// Its whole text, with `?text=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where its chunks are in the text, with `?text=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans: Option<Vec<ChunkSpan>>,
}

/// A document that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct StoredUpload {
    /// 16 hexadecimal digits.
    pub id: String,
    /// The URI it was stored under.
    pub uri: String,
    /// Its title.
    pub title: String,
    /// Chunks it was cut into.
    pub chunks: usize,
    /// Chunks that the embedder read. For callers who read every document: it tells
    /// whether the same text is in one of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<usize>,
    /// Chunks whose vector was there already. For callers who read every document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reused: Option<usize>,
    /// What could not be read of it and was left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A file that could not be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FailedUpload {
    /// The URI it would have had.
    pub uri: String,
    /// Why.
    pub error: ApiError,
}

/// What an upload did. It is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct UploadReport {
    /// The collection.
    pub collection: String,
    /// The commit that holds the documents.
    pub generation: u64,
    /// What was stored, in the order it came.
    pub documents: Vec<StoredUpload>,
    /// What was not.
    pub failed: Vec<FailedUpload>,
}

/// Which page of which collection.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// The collection; the default one if none.
    collection: Option<String>,
    /// Documents to skip.
    offset: Option<usize>,
    /// Documents of the page, 1 to 1000; 100 if not given.
    limit: Option<usize>,
}

/// Which collection, and whether the text is wanted.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShowParams {
    /// The collection; the default one if none.
    collection: Option<String>,
    /// Send the text and where its chunks lie.
    text: Option<bool>,
}

pub(super) fn collection_or_default(service: &Service, name: Option<String>) -> String {
    name.unwrap_or_else(|| service.config().storage.collection.clone())
}

pub(super) fn read_id(path: Result<Path<String>, PathRejection>) -> Result<DocumentId> {
    let id = path.ok().and_then(|Path(text)| DocumentId::parse(&text));
    id.ok_or_else(|| ApiError::invalid("id", "a document's id has 16 hexadecimal digits"))
}

pub(super) fn no_document(id: DocumentId, collection: &str) -> ApiError {
    ApiError::new(
        Code::NotFound,
        format!("there is no document {id} in collection `{collection}`"),
    )
}

/// Lists documents, page by page.
///
/// # Errors
/// `invalid_request`, `not_found`, `not_ready`.
#[utoipa::path(get, path = "/documents", tag = "documents", params(PageParams),
    responses(
        (status = 200, description = "One page", body = DocumentPage),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such collection", body = ErrorBody),
    ))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    QueryString(params): QueryString<PageParams>,
) -> Result<Json<DocumentPage>> {
    let limit = params.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        let message = format!("`limit` must lie in 1..={MAX_PAGE}, not {limit}");
        return Err(ApiError::invalid("limit", message));
    }
    let engine = service.core()?.engine.clone();
    let collection = collection_or_default(&service, params.collection);
    let offset = params.offset.unwrap_or(0);
    blocking(move || {
        let snapshot = engine.current_collection(&collection)?.snapshot();
        let documents = snapshot.documents(offset, limit, &access_of(&caller))?;
        Ok(Json(DocumentPage {
            collection,
            generation: snapshot.generation(),
            total: snapshot.readable_counts(&access_of(&caller))?.0,
            offset,
            documents: documents.into_iter().map(Into::into).collect(),
        }))
    })
    .await
}

/// Shows one document, with its text on request.
///
/// # Errors
/// `invalid_request`, `not_found`, `not_ready`.
#[utoipa::path(get, path = "/documents/{id}", tag = "documents",
    params(("id" = String, Path, description = "16 hexadecimal digits"), ShowParams),
    responses(
        (status = 200, description = "The document", body = DocumentDetail),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such document", body = ErrorBody),
    ))]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    QueryString(params): QueryString<ShowParams>,
) -> Result<Json<DocumentDetail>> {
    let id = read_id(path)?;
    let engine = service.core()?.engine.clone();
    let collection = collection_or_default(&service, params.collection);
    blocking(move || {
        let snapshot = engine.current_collection(&collection)?.snapshot();
        let access = access_of(&caller);
        // What the caller may not read is not there.
        let stored = snapshot.document(id, &access)?;
        let stored = stored.ok_or_else(|| no_document(id, &collection))?;
        let (mut text, mut spans) = (None, None);
        if params.text == Some(true) {
            text = snapshot.document_text(id, &access)?;
            let chunks = snapshot.document_chunks(id, &access)?.unwrap_or_default();
            let span = |stored: cairn_indexer::StoredChunk| ChunkSpan {
                chunk_id: stored.chunk_id,
                start: stored.chunk.span.start,
                end: stored.chunk.span.end,
                heading_path: stored.chunk.heading_path,
                page: stored.chunk.page,
                columns: stored.chunk.columns,
            };
            spans = Some(chunks.into_iter().map(span).collect());
        }
        Ok(Json(DocumentDetail {
            info: stored.into(),
            text,
            spans,
        }))
    })
    .await
}

/// Opens the collection of an upload, or makes it where `caller` may. Here and not by the
/// writer, which all collections share: one that opens slowly does not hold up others.
pub(super) async fn open_collection(
    service: &Arc<Service>,
    name: &str,
    caller: &Caller,
) -> Result<()> {
    let engine = service.core()?.engine.clone();
    let (service, name, caller) = (Arc::clone(service), name.to_owned(), caller.clone());
    blocking(move || {
        let server = &service.config().server;
        let most = Most {
            all: server.max_collections,
            of_a_key: server.max_collections_per_key,
        };
        let owners = service.owners();
        if engine.opened(&name).is_none() {
            owners.claim(&name, caller.key(), &engine.collections()?, most)?;
            engine.create_collection(&name)?;
        }
        Ok(())
    })
    .await
}

/// Cuts and embeds documents, while others write. A client that goes away ends it.
async fn prepare(core: &Core, collection: &str, documents: Vec<Document>) -> Result<Ready> {
    let (engine, name) = (core.engine.clone(), collection.to_owned());
    let cancel = CancelOnDrop::default();
    let token = cancel.token();
    blocking(move || {
        let embedder = engine.embedder().ok_or_else(|| {
            ApiError::new(
                Code::ModelFailed,
                "documents need an embedder; set models.embedder",
            )
        })?;
        let index = engine.current_collection(&name)?;
        Ok(index.prepare(documents, embedder.as_ref(), &token)?)
    })
    .await
}

/// Stores documents: one as JSON, or files as `multipart/form-data` (parts
/// named `file`, alongside optional `collection`, `labels`, `metadata` and `replace`).
///
/// The response comes after the commit: what it lists is durable. A document
/// with the same URI and the same text is stored again, with the labels and facts of the
/// request; one with another text is replaced with `replace` only, and else nothing of the
/// request is stored. A file that cannot be read is listed in
/// `failed`; when none can, its error is the response.
///
/// With the header `Prefer: respond-async`, and for uploads larger than `jobs.upload_mb`, the
/// response is a job (`202`) whose `location` says how far it is: the files are durable then,
/// and not in the collection yet. That needs the scope `jobs`, too; without it the header is
/// ignored.
///
/// # Errors
/// `invalid_request`, `too_large`, `unsupported_media`, `unreadable_document`,
/// `document_exists`, `collection_locked`, `collection_mismatch`, `overloaded`, `storage`.
#[utoipa::path(post, path = "/documents", tag = "documents",
    request_body(content(
        (UploadBody = "application/json"),
        (upload::UploadForm = "multipart/form-data"),
    )),
    params(
        ("prefer" = Option<String>, Header, description = "`respond-async` asks for a job"),
        ("idempotency-key" = Option<String>, Header,
            description = "Of an upload that becomes a job: the same key gives the first job again"),
    ),
    responses(
        (status = 201, description = "Stored", body = UploadReport),
        (status = 202, description = "Kept, and to be stored by a job", body = JobInfo),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 409, description = "A document of this name has another text, or the collection is locked or does not fit", body = ErrorBody),
        (status = 413, description = "Too large", body = ErrorBody),
        (status = 415, description = "Not a media type or format that is read", body = ErrorBody),
        (status = 422, description = "The document cannot be read", body = ErrorBody),
        (status = 403, description = "A label or a document that the key does not hold", body = ErrorBody),
        (status = 429, description = "Too many uploads", body = ErrorBody),
    ))]
pub(crate) async fn upload(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response> {
    let core = service.core()?;
    let headers = request.headers().clone();
    let (collection, upload) = upload::read(request).await?;
    check_held(&upload.marks.labels, caller.labels())?;
    let collection = collection_or_default(&service, collection);
    core.engine.check_collection_name(&collection)?;
    if upload.files.is_empty() {
        return Err(no_file());
    }
    let is_large = upload.bytes() > service.config().jobs.upload_mb.saturating_mul(1 << 20);
    // If the caller could not see the job, or no worker takes jobs, the documents are stored at once.
    let may_wait = (caller.key().is_none() || caller.scopes().allow(Scope::Jobs))
        && service.job_room().is_ok();
    if may_wait && (is_large || prefers_async(&headers)) {
        return accept(&service, &caller, &headers, &collection, upload).await;
    }
    store(&service, &caller, collection, upload).await
}

fn no_file() -> ApiError {
    ApiError::invalid("file", "the form has no file")
}

/// A client's wish to be answered before the work is done (RFC 7240).
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const RESPOND_ASYNC: &str = "respond-async";

fn prefers_async(headers: &HeaderMap) -> bool {
    let values = headers.get_all(PREFER).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let mut preferences = texts.flat_map(|text| text.split(','));
    preferences.any(|preference| {
        let name = preference.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(RESPOND_ASYNC)
    })
}

/// Keeps the files on the disk and submits a job for them.
async fn accept(
    service: &Arc<Service>,
    caller: &Caller,
    headers: &HeaderMap,
    collection: &str,
    upload: Upload,
) -> Result<Response> {
    let idempotency_key = jobs::idempotency_key(headers)?;
    open_collection(service, collection, caller).await?;
    let uris = upload.files.iter().map(|file| file.name.uri.clone());
    let uris = uris.collect();
    let spool = Arc::clone(service.spool());
    let name = blocking(move || Ok(spool.put(&upload)?)).await?;
    let request = ingest::Request {
        kind: "upload".to_owned(),
        collection: collection.to_owned(),
        fields: serde_json::Map::new(),
        idempotency_key,
        spooled: Some(Spooled { name, uris }),
    };
    let asker = asker_of(service, caller);
    let settings = &service.config().jobs;
    let job = ingest::new_job(request, &asker, settings, service.fetcher()?)?;
    // Should this fail, the job may be there all the same: what no job names is swept.
    let submitted = jobs::submit_one(service, job).await?;
    if submitted.existing.is_some() {
        let spool = Arc::clone(service.spool());
        blocking(move || {
            spool.remove(name);
            Ok(())
        })
        .await?;
    }
    let mut response = jobs::accepted(submitted);
    if prefers_async(headers) {
        let applied = HeaderValue::from_static(RESPOND_ASYNC);
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

/// Stores the files while the client waits.
async fn store(
    service: &Arc<Service>,
    caller: &Caller,
    collection: String,
    upload: Upload,
) -> Result<Response> {
    let core = service.core()?;
    let replace = upload.replace;
    let parser = core.parser.clone();
    // A client that goes away takes its files along.
    let cancel = CancelOnDrop::default();
    let token = cancel.token();
    let (documents, mut failed) =
        blocking(move || Ok(upload.parse(&parser, &token, || ()))).await?;
    if documents.is_empty() {
        let first = (!failed.is_empty()).then(|| failed.swap_remove(0));
        return Err(first.map_or_else(no_file, |(_, why)| why.into()));
    }
    open_collection(service, &collection, caller).await?;
    let names: Vec<_> = documents
        .iter()
        .map(|document| {
            (
                document.id().to_string(),
                document.uri.clone(),
                document.title.clone(),
                document.warnings.clone(),
            )
        })
        .collect();
    let ready = prepare(core, &collection, documents).await?;
    let receipt = core
        .writes
        .write(
            &collection,
            Work::Put {
                documents: ready,
                conflict: Conflict::Refuse { replace },
            },
            &access_of(caller),
        )
        .await?;
    let reads_everything = access_of(caller) == Access::All;
    let stored = names.into_iter().zip(receipt.put);
    let report = UploadReport {
        collection,
        generation: receipt.generation,
        documents: stored
            .map(|((id, uri, title, warnings), put)| StoredUpload {
                id,
                uri,
                title,
                chunks: put.chunks,
                embedded: reads_everything.then_some(put.embedded),
                reused: reads_everything.then_some(put.reused),
                warnings,
            })
            .collect(),
        failed: failed
            .into_iter()
            .map(|(uri, why)| FailedUpload {
                uri,
                error: why.into(),
            })
            .collect(),
    };
    Ok((StatusCode::CREATED, Json(report)).into_response())
}
