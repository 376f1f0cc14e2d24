//! `/v1/files`: files on their way into collections.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::paging::{Page, PageParams};
use super::{UPLOAD, document_of, file_id, no_file, refuse};
use crate::ingest::bounds::check_uri;
use crate::ingest::uploads::{KeepError, UploadedFile, now};
use crate::server::error::{ApiError, Code, ErrorBody, Result};
use crate::server::extract::QueryString;
use crate::server::limits::blocking;
use crate::server::routes::deletion;
use crate::server::state::Service;
use crate::server::upload::{parts, text_of};
use cairn_gateway::accounts::Caller;

/// What a file may be for: documents. Others have no use here.
const PURPOSES: [&str; 2] = ["assistants", "user_data"];

/// A file.
#[derive(Serialize, ToSchema)]
pub(crate) struct FileObject {
    /// `file-` and the id of the document that becomes of it.
    id: String,
    /// `file`.
    object: &'static str,
    /// Its size.
    bytes: u64,
    /// Seconds since 1970, UTC.
    created_at: i64,
    /// When it is deleted; what was made of it stays.
    expires_at: i64,
    /// Its name.
    filename: String,
    /// What the client said.
    purpose: String,
    /// `processed`.
    status: &'static str,
}

impl FileObject {
    fn new(upload: UploadedFile, service: &Service) -> Self {
        let days = i64::try_from(service.config().uploads.keep_days).unwrap_or(i64::MAX);
        Self {
            id: file_id(upload.id()),
            object: "file",
            bytes: upload.bytes,
            created_at: upload.created_at,
            expires_at: upload
                .created_at
                .saturating_add(days.saturating_mul(86_400)),
            filename: upload.name,
            purpose: upload.purpose,
            status: "processed",
        }
    }
}

/// A file that is gone.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deleted {
    /// Its id.
    pub(super) id: String,
    /// What it was.
    pub(super) object: &'static str,
    /// True.
    pub(super) deleted: bool,
}

/// The parts of the form.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the form in the OpenAPI document")]
pub(crate) struct FileForm {
    /// The file, with its name.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// `assistants` or `user_data`.
    purpose: String,
}

impl From<KeepError> for ApiError {
    fn from(error: KeepError) -> Self {
        match &error {
            KeepError::Full(message) => Self::invalid("file", message.clone()),
            KeepError::Disk(cause) => disk(cause),
        }
    }
}

/// What a client is told of the disk.
pub(super) fn disk(cause: &std::io::Error) -> ApiError {
    tracing::error!(%cause, "uploaded files cannot be stored or read");
    let message = "uploaded files cannot be stored or read now; the log of the service says why";
    ApiError::new(Code::Storage, message)
}

/// The files that `caller` uploaded belong to its key.
pub(super) fn key_of(caller: &Caller) -> Option<String> {
    caller.key().map(|key| key.as_str().to_owned())
}

/// The file `id`, if `caller` uploaded it.
///
/// # Errors
/// `not_found`, `storage`.
pub(super) async fn find(
    service: &Arc<Service>,
    caller: &Caller,
    id: &str,
) -> Result<UploadedFile> {
    let document = document_of(id)?;
    let (service, key, id) = (Arc::clone(service), key_of(caller), id.to_owned());
    blocking(move || {
        let found = service.uploads().get(document, key.as_deref());
        found
            .map_err(|error| disk(&error))?
            .ok_or_else(|| no_file(&id))
    })
    .await
}

/// Keeps a file until it is put into a vector store, for `uploads.keep_days`.
///
/// # Errors
/// `invalid_request`, `too_large`, `storage`.
#[utoipa::path(post, path = "/v1/files", tag = "vector stores",
    request_body(content = FileForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The file", body = FileObject),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 413, description = "Too large", body = ErrorBody),
    ))]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<FileObject>> {
    let (mut file, mut purpose) = (None, None);
    let mut form = parts(request).await?;
    while let Some(part) = form.next().await? {
        match (part.name.as_str(), part.file_name) {
            ("file", Some(name)) if file.is_none() => {
                check_uri("file", &name)?;
                // Programs call every file they do not know a stream of bytes.
                let kind = part.content_type;
                let kind = kind.filter(|kind| kind != "application/octet-stream");
                file = Some((name, kind, part.bytes));
            }
            ("purpose", None) => purpose = Some(text_of("purpose", &part.bytes)?),
            (other, _) => {
                let other: String = other.chars().take(100).collect();
                let message = format!("`{other}` is not taken; parts are one `file` and `purpose`");
                return Err(ApiError::invalid(other, message));
            }
        }
    }
    let purpose = purpose.unwrap_or_default();
    if !PURPOSES.contains(&purpose.as_str()) {
        let message = format!("`purpose` is one of {}", PURPOSES.join(", "));
        return Err(ApiError::invalid("purpose", message));
    }
    let (name, content_type, bytes) =
        file.ok_or_else(|| ApiError::invalid("file", "the form has no part `file` with a name"))?;
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let uri = format!("{UPLOAD}{unique}/{name}");
    check_uri("file", &uri)?;
    let upload = UploadedFile {
        uri,
        name,
        content_type,
        bytes: bytes.len() as u64,
        created_at: now(),
        purpose,
        key: key_of(&caller),
        jobs: BTreeMap::new(),
        blake3: None,
    };
    blocking(move || {
        service.uploads().keep(upload.clone(), &bytes)?;
        Ok(Json(FileObject::new(upload, &service)))
    })
    .await
}

/// Lists the files that the caller's key uploaded.
///
/// # Errors
/// `invalid_request`, `storage`.
#[utoipa::path(get, path = "/v1/files", tag = "vector stores", params(PageParams),
    responses(
        (status = 200, description = "One page", body = Page<FileObject>),
        (status = 400, description = "The request is wrong", body = ErrorBody),
    ))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    QueryString(params): QueryString<PageParams>,
) -> Result<Json<Page<FileObject>>> {
    refuse(
        &[("filter", params.filter.is_some())],
        "files wait here in no state",
    )?;
    blocking(move || {
        let files = service.uploads().of(key_of(&caller).as_deref());
        let mut files = files.map_err(|error| disk(&error))?;
        if let Some(purpose) = &params.purpose {
            files.retain(|file| file.purpose == *purpose);
        }
        files.sort_by_key(|file| (file.created_at, file.id()));
        let page = params.page(files, |file| file_id(file.id()))?;
        Ok(Json(
            page.try_map(|file| Ok(FileObject::new(file, &service)))?,
        ))
    })
    .await
}

/// Shows a file.
///
/// # Errors
/// `not_found`, also for the file of another key.
#[utoipa::path(get, path = "/v1/files/{id}", tag = "vector stores",
    params(("id" = String, Path, description = "The id of the file")),
    responses(
        (status = 200, description = "The file", body = FileObject),
        (status = 404, description = "No such file", body = ErrorBody),
    ))]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<FileObject>> {
    let upload = find(&service, &caller, &id).await?;
    Ok(Json(FileObject::new(upload, &service)))
}

/// Gives a file back as it came.
///
/// # Errors
/// `not_found`, also for the file of another key.
#[utoipa::path(get, path = "/v1/files/{id}/content", tag = "vector stores",
    params(("id" = String, Path, description = "The id of the file")),
    responses(
        (status = 200, description = "Its bytes", content_type = "application/octet-stream"),
        (status = 404, description = "No such file", body = ErrorBody),
    ))]
pub(crate) async fn content(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response> {
    let upload = find(&service, &caller, &id).await?;
    let bytes = blocking(move || {
        let bytes = service.uploads().bytes(&upload);
        bytes.map_err(|error| disk(&error))
    })
    .await?;
    // Never as a page of ours, whatever it holds.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment"),
    ];
    Ok((headers, bytes).into_response())
}

/// Deletes a file, and the documents that became of it in the vector stores it was put into.
///
/// # Errors
/// `not_found`, `collection_locked`, `storage`.
#[utoipa::path(delete, path = "/v1/files/{id}", tag = "vector stores",
    params(("id" = String, Path, description = "The id of the file")),
    responses(
        (status = 200, description = "Deleted", body = Deleted),
        (status = 404, description = "No such file", body = ErrorBody),
        (status = 409, description = "A collection is locked", body = ErrorBody),
    ))]
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Deleted>> {
    let upload = find(&service, &caller, &id).await?;
    let document = upload.id();
    for collection in upload.jobs.keys() {
        match deletion::remove(&service, &caller, collection, document).await {
            Err(error) if error.code != Code::NotFound => return Err(error),
            _ => {}
        }
    }
    blocking(move || {
        let removed = service.uploads().remove(document);
        removed.map_err(|error| disk(&error))
    })
    .await?;
    let object = "file";
    let deleted = true;
    Ok(Json(Deleted {
        id,
        object,
        deleted,
    }))
}
