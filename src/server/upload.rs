//! What `POST /documents` takes: JSON or a multipart form, checked.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::header::CONTENT_TYPE;
use cairn_indexer::Metadata;
use serde::Deserialize;
use utoipa::ToSchema;

use super::error::{ApiError, Code, Result};
use super::extract::{JsonBody, too_large};
use super::json;
use crate::ingest::bounds::{MAX_LABELS, check_labels, check_metadata, check_name, check_uri};
use crate::ingest::kinds::Marks;
use crate::ingest::upload::{File, FileName, Upload};

/// Most files of one form: each takes memory until all are stored.
const MAX_FILES: usize = 256;

/// One document as JSON. An unknown field is refused.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadBody {
    /// Its identity: there is one document of a URI. Derived from the text if
    /// none.
    pub uri: Option<String>,
    /// Its title; the first heading or line if none.
    pub title: Option<String>,
    /// Its text; Markdown is understood.
    pub text: String,
    /// Facts for filters.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Metadata>,
    /// Labels of its readers; empty for everyone.
    pub labels: Option<BTreeSet<String>>,
    /// The collection; the default one if none, made when there is none.
    pub collection: Option<String>,
    /// Whether it replaces a document with the same URI and another text, which is an
    /// error otherwise.
    #[serde(default)]
    pub replace: bool,
}

/// The parts of a multipart form.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the form in the OpenAPI document")]
pub(super) struct UploadForm {
    /// A file of any format that is read; may be repeated. Its file name is the
    /// document's URI.
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<u8>,
    /// The collection.
    collection: Option<String>,
    /// Labels of all files: a JSON list of texts.
    labels: Option<String>,
    /// Facts about all files: a JSON object.
    metadata: Option<String>,
    /// Whether the files replace documents with the same names and another text, which
    /// is an error otherwise: `true` or `false`.
    replace: Option<bool>,
}

/// Reads the body in whichever form it comes. Gives the collection that it names, too.
///
/// # Errors
/// `invalid_request`, `too_large`, `unsupported_media`.
pub(super) async fn read(request: Request) -> Result<(Option<String>, Upload)> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    if kind.starts_with("multipart/form-data") {
        read_form(request).await
    } else if kind.starts_with("application/json") {
        let JsonBody(body) = <JsonBody<UploadBody>>::from_request(request, &()).await?;
        from_json(body)
    } else {
        Err(ApiError::new(
            Code::UnsupportedMedia,
            "send a document as `application/json` or files as `multipart/form-data`",
        ))
    }
}

fn from_json(body: UploadBody) -> Result<(Option<String>, Upload)> {
    // The same text without a URI is the same document, however often it comes.
    let uri = body
        .uri
        .unwrap_or_else(|| format!("text:{}", cairn_indexer::DocumentId::of_uri(&body.text)));
    check_uri("uri", &uri)?;
    if let Some(title) = &body.title {
        check_name("title", title)?;
    }
    let labels = body.labels.unwrap_or_default();
    check_labels(&labels)?;
    let metadata = body.metadata.unwrap_or_default();
    check_metadata(&metadata)?;
    let name = FileName {
        uri,
        title: body.title,
        content_type: Some("text/markdown; charset=utf-8".into()),
    };
    let bytes = body.text.into();
    let upload = Upload {
        replace: body.replace,
        files: vec![File { name, bytes }],
        marks: Marks { metadata, labels },
    };
    Ok((body.collection, upload))
}

/// The parts of a multipart form, one after the other.
pub(super) struct Parts(Multipart);

/// One part.
pub(super) struct Part {
    pub(super) name: String,
    /// Only of files.
    pub(super) file_name: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) bytes: Bytes,
}

/// The parts of the form in `request`.
///
/// # Errors
/// `invalid_request` for what is not a form.
pub(super) async fn parts(request: Request) -> Result<Parts> {
    let form = Multipart::from_request(request, &()).await;
    form.map(Parts).map_err(|error| {
        let message = format!("the form cannot be read: {}", error.body_text());
        ApiError::new(Code::InvalidRequest, message)
    })
}

impl Parts {
    /// The next part, whole.
    ///
    /// # Errors
    /// `invalid_request`, `too_large`.
    pub(super) async fn next(&mut self) -> Result<Option<Part>> {
        let malformed = |error: axum::extract::multipart::MultipartError| {
            if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
                return too_large();
            }
            let message = format!("the form cannot be read: {}", error.body_text());
            ApiError::new(Code::InvalidRequest, message)
        };
        let Some(part) = self.0.next_field().await.map_err(malformed)? else {
            return Ok(None);
        };
        Ok(Some(Part {
            name: part.name().unwrap_or_default().to_owned(),
            file_name: part.file_name().map(ToOwned::to_owned),
            content_type: part.content_type().map(ToOwned::to_owned),
            bytes: part.bytes().await.map_err(malformed)?,
        }))
    }
}

async fn read_form(request: Request) -> Result<(Option<String>, Upload)> {
    let mut form = parts(request).await?;
    let mut upload = Upload::default();
    let mut collection = None;
    while let Some(part) = form.next().await? {
        let Part {
            name,
            file_name,
            content_type,
            bytes,
        } = part;
        match (name.as_str(), file_name) {
            ("file", Some(uri)) => {
                if upload.files.len() == MAX_FILES {
                    let message = format!("a form has at most {MAX_FILES} files; send more forms");
                    return Err(ApiError::invalid("file", message));
                }
                check_uri("file", &uri)?;
                // Browsers call every file they do not know a stream of bytes.
                let content_type = content_type.filter(|kind| kind != "application/octet-stream");
                let name = FileName {
                    uri,
                    title: None,
                    content_type,
                };
                upload.files.push(File { name, bytes });
            }
            ("collection", None) => collection = Some(text_of("collection", &bytes)?),
            ("replace", None) => {
                upload.replace = match &bytes[..] {
                    b"true" => true,
                    b"false" => false,
                    _ => {
                        let message = "`replace` is `true` or `false`";
                        return Err(ApiError::invalid("replace", message));
                    }
                }
            }
            ("labels", None) => {
                json::check(&bytes, MAX_LABELS + 2)?;
                let labels = serde_json::from_slice(&bytes).map_err(|error| {
                    ApiError::invalid(
                        "labels",
                        format!("`labels` is a JSON list of texts: {error}"),
                    )
                })?;
                check_labels(&labels)?;
                upload.marks.labels = labels;
            }
            ("metadata", None) => {
                json::check(&bytes, json::MAX_VALUES)?;
                let metadata = serde_json::from_slice(&bytes).map_err(|error| {
                    ApiError::invalid("metadata", format!("`metadata` is a JSON object: {error}"))
                })?;
                check_metadata(&metadata)?;
                upload.marks.metadata = metadata;
            }
            ("file", None) => {
                return Err(ApiError::invalid(
                    "file",
                    "the part `file` has no file name",
                ));
            }
            (other, _) => {
                let other: String = other.chars().take(100).collect();
                return Err(ApiError::invalid(
                    &*other,
                    format!(
                        "`{other}` is not a part of this form; parts are `file`, `collection`, \
                             `labels`, `metadata` and `replace`"
                    ),
                ));
            }
        }
    }
    Ok((collection, upload))
}

/// The text of a part.
///
/// # Errors
/// `invalid_request` names the part.
pub(super) fn text_of(param: &str, bytes: &Bytes) -> Result<String> {
    let text = std::str::from_utf8(bytes).map(ToOwned::to_owned);
    text.map_err(|_| ApiError::invalid(param, format!("`{param}` is not UTF-8")))
}
