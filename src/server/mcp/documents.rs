//! `search`, `fetch`, and documents as resources.

use cairn_indexer::{DocumentId, StoredDocument};
use rmcp::model::{ReadResourceResult, Resource, ResourceContents};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::handler::Asked;
use crate::server::auth::access_of;
use crate::server::error::{ApiError, Code};
use crate::server::limits::blocking;
use crate::server::links::{SCHEME, link};
use cairn_engine::retrieve::SearchRequest;
use cairn_gateway::accounts::Scope;

pub(super) const SEARCH: &str = "Finds the passages of the documents that answer a question or \
    match some words, best first. Give `fetch` the id of a result to read it.";
pub(super) const FETCH: &str = "Reads a passage that `search` has found, with what stands around \
    it, or the beginning of a document.";

/// Results of a search.
const RESULTS: usize = 10;
/// Bytes of a fetched text before and after the passage, about 6,000 tokens together.
const BEFORE_BYTES: usize = 4 << 10;
const AFTER_BYTES: usize = 16 << 10;
/// Documents of one page of resources.
const PAGE: usize = 100;
/// Bytes of a resource.
const MAX_RESOURCE_BYTES: usize = 1 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchArgs {
    /// A question, or words.
    query: String,
}

/// What was found.
#[derive(Serialize, JsonSchema)]
pub(super) struct Found {
    results: Vec<Hit>,
}

#[derive(Serialize, JsonSchema)]
struct Hit {
    /// For `fetch`.
    id: String,
    title: String,
    /// Where the document is from.
    url: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FetchArgs {
    /// The id of a result, or of a document.
    id: String,
}

/// A text.
#[derive(Serialize, JsonSchema)]
pub(super) struct Fetched {
    id: String,
    title: String,
    text: String,
    url: String,
    metadata: Map<String, Value>,
}

pub(super) async fn search(asked: &Asked, args: SearchArgs) -> Result<Value, ApiError> {
    asked.require(Scope::Search)?;
    let service = &asked.service;
    let config = service.config();
    let request = SearchRequest {
        top_k: RESULTS,
        access: access_of(&asked.caller),
        ..SearchRequest::default_of(&config.retrieval, args.query, &config.storage.collection)
    };
    let engine = &service.core()?.engine;
    let found = engine.search(request, asked.cancel.token()).await?;
    let hits = found.sources.into_iter().map(|source| {
        let heading = source
            .heading_path
            .last()
            .filter(|last| **last != source.title);
        Hit {
            url: link(&source.document_id, &source.uri),
            id: source.chunk_id,
            title: match heading {
                Some(heading) => format!("{} > {heading}", source.title),
                None => source.title,
            },
        }
    });
    Ok(json!(Found {
        results: hits.collect(),
    }))
}

pub(super) async fn fetch(asked: &Asked, args: FetchArgs) -> Result<Value, ApiError> {
    asked.require(Scope::Search)?;
    let engine = asked.service.core()?.engine.clone();
    let collection = asked.service.config().storage.collection.clone();
    let access = access_of(&asked.caller);
    blocking(move || {
        let missing = || {
            let id: String = args.id.chars().take(80).collect();
            let message = format!("there is no passage or document `{id}`; search gives ids");
            ApiError::new(Code::NotFound, message)
        };
        let (document, ordinal) = match args.id.rsplit_once('-') {
            Some((document, ordinal)) => (document, ordinal.parse::<usize>().ok()),
            None => (args.id.as_str(), Some(0)),
        };
        let id = DocumentId::parse(document).ok_or_else(missing)?;
        let snapshot = engine.current_collection(&collection)?.snapshot();
        let stored = snapshot.document(id, &access)?.ok_or_else(missing)?;
        let chunks = snapshot.document_chunks(id, &access)?.unwrap_or_default();
        let chunk = ordinal.and_then(|at| chunks.get(at)).ok_or_else(missing)?;
        let text = snapshot.document_text(id, &access)?.unwrap_or_default();
        let span = &chunk.chunk.span;
        let start = text.floor_char_boundary(span.start.saturating_sub(BEFORE_BYTES));
        let end = text.floor_char_boundary((span.end + AFTER_BYTES).min(text.len()));
        let shown = text.get(start..end).unwrap_or_default().to_owned();
        let metadata = json!({
            "uri": stored.uri,
            "headings": chunk.chunk.heading_path,
            "page": chunk.chunk.page,
            "passage_start": span.start - start,
            "passage_end": span.end - start,
            "bytes_before": start,
            "bytes_after": text.len() - end,
        });
        Ok(json!(Fetched {
            url: link(&stored.id.to_string(), &stored.uri),
            id: args.id.clone(),
            title: stored.title,
            text: shown,
            metadata: metadata.as_object().cloned().unwrap_or_default(),
        }))
    })
    .await
}

/// One page of documents, and where the next one begins.
pub(super) async fn list(
    asked: &Asked,
    cursor: Option<&str>,
) -> Result<(Vec<Resource>, Option<String>), ApiError> {
    asked.require(Scope::Search)?;
    let offset: usize = match cursor {
        None => 0,
        Some(cursor) => cursor
            .parse()
            .map_err(|_| ApiError::invalid("cursor", "`cursor` is not one that was given out"))?,
    };
    let engine = asked.service.core()?.engine.clone();
    let collection = asked.service.config().storage.collection.clone();
    let access = access_of(&asked.caller);
    blocking(move || {
        let snapshot = engine.current_collection(&collection)?.snapshot();
        let mut documents = snapshot.documents(offset, PAGE + 1, &access)?;
        let next = (documents.len() > PAGE).then(|| (offset + PAGE).to_string());
        documents.truncate(PAGE);
        Ok((documents.into_iter().map(resource).collect(), next))
    })
    .await
}

fn resource(stored: StoredDocument) -> Resource {
    let mut resource = Resource::new(format!("{SCHEME}{}", stored.id), stored.uri);
    resource.title = Some(stored.title);
    resource.mime_type = Some("text/plain".into());
    resource.size = Some(stored.text_bytes);
    resource
}

/// The text of a document, up to a bound.
pub(super) async fn read(asked: &Asked, uri: &str) -> Result<ReadResourceResult, ApiError> {
    asked.require(Scope::Search)?;
    let id = uri.strip_prefix(SCHEME).and_then(DocumentId::parse);
    let missing = || {
        ApiError::new(
            Code::NotFound,
            "there is no such document; list the resources",
        )
    };
    let id = id.ok_or_else(missing)?;
    let engine = asked.service.core()?.engine.clone();
    let collection = asked.service.config().storage.collection.clone();
    let (access, uri) = (access_of(&asked.caller), uri.to_owned());
    blocking(move || {
        let snapshot = engine.current_collection(&collection)?.snapshot();
        let text = snapshot.document_text(id, &access)?;
        let text = text.ok_or_else(|| {
            ApiError::new(
                Code::NotFound,
                "there is no such document; list the resources",
            )
        })?;
        let end = text.floor_char_boundary(MAX_RESOURCE_BYTES.min(text.len()));
        let mut shown = text[..end].to_owned();
        if end < text.len() {
            shown.push_str(&format!(
                "\n\n({} more bytes; `fetch` reads around a passage)",
                text.len() - end
            ));
        }
        Ok(ReadResourceResult::new(vec![ResourceContents::text(
            shown, uri,
        )]))
    })
    .await
}
