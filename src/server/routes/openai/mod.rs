//! OpenAI's surface over the documents: a vector store is a collection, a file of it is a
//! document, and what puts files into it is a job.

pub(in crate::server) mod batches;
pub(in crate::server) mod files;
pub(in crate::server) mod paging;
pub(in crate::server) mod responses;
pub(in crate::server) mod search;
pub(in crate::server) mod standing;
pub(in crate::server) mod store_files;
pub(in crate::server) mod stores;

use std::collections::BTreeSet;

use cairn_indexer::{DocumentId, Metadata};
use serde_json::{Map, Value};

use crate::server::error::{ApiError, Code, Result};

/// What ids of files begin with; 16 hexadecimal digits follow, the document's id.
const FILE: &str = "file-";

/// The id of the file that the document `id` is.
fn file_id(id: impl std::fmt::Display) -> String {
    format!("{FILE}{id}")
}

/// The document that the file `id` is.
///
/// # Errors
/// `not_found` for what no file is called.
fn document_of(id: &str) -> Result<DocumentId> {
    let digits = id.strip_prefix(FILE);
    digits
        .and_then(DocumentId::parse)
        .ok_or_else(|| no_file(id))
}

fn no_file(id: &str) -> ApiError {
    let id: String = id.chars().take(80).collect();
    ApiError::new(Code::NotFound, format!("there is no file `{id}`"))
}

/// What uris of uploaded files begin with, before their name, so that each is a document of
/// its own.
const UPLOAD: &str = "upload-";

/// What people call the document with this URI.
fn file_name(uri: &str) -> &str {
    let uploaded = uri.strip_prefix(UPLOAD);
    let name = uploaded.and_then(|rest| rest.split_once('/'));
    name.map_or(uri, |(_, name)| name)
}

/// Facts of a document as attributes: texts, numbers and booleans.
fn attributes(metadata: Metadata) -> Map<String, Value> {
    let is_plain = |(_, value): &(String, Value)| {
        matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
    };
    metadata.into_iter().filter(is_plain).collect()
}

/// Refuses what of a body cannot be honoured: `fields` and whether each asks for something.
///
/// # Errors
/// `invalid_request` names the field.
fn refuse(fields: &[(&str, bool)], why: &str) -> Result<()> {
    match fields.iter().find(|(_, asks)| *asks) {
        None => Ok(()),
        Some((name, _)) => Err(ApiError::invalid(
            *name,
            format!("`{name}` is not taken: {why}; leave it out"),
        )),
    }
}

/// Whether a field asks for something.
fn asks(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    }
}

/// Refuses a way of cutting files that is not Cairn's own.
fn check_chunking(strategy: Option<&Value>) -> Result<()> {
    let other = asks(strategy) && strategy.is_some_and(|strategy| strategy["type"] != "auto");
    refuse(
        &[("chunking_strategy", other)],
        "documents are cut as [chunking] of the configuration says",
    )
}

/// Labels of a request's own, which OpenAI's clients send as an extra field.
type Labels = Option<BTreeSet<String>>;
