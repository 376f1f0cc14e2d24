//! The documents that a caller may see, by its labels and by the filter of its question.

use std::sync::Arc;

use cairn_engine::retrieve::{Engine, Ranks, SearchError, Source};
use cairn_indexer::{Access, DocumentId, Selection, Snapshot, StoredChunk, StoredDocument};

use crate::registry::unknown;
use crate::tool::{ToolContext, ToolError};

/// How many documents are searched for a similar name.
const MAX_NEAR: usize = 1000;

/// A commit of a collection, as visible to a caller.
pub(super) struct Visible {
    snapshot: Arc<Snapshot>,
    access: Access,
    /// What the question's filter allows; `None` for everything.
    selection: Option<Selection>,
}

impl Visible {
    /// The last commit. Blocks.
    pub(super) fn open(engine: &Engine, context: &ToolContext) -> Result<Self, ToolError> {
        let search = &context.search;
        let index = engine.current_collection(&search.collection);
        let snapshot = index.map_err(|error| failed(&error))?.snapshot();
        let access = context.access();
        let selection = match &search.filter {
            None => None,
            filter => snapshot
                .select(filter.as_ref(), &access)
                .map_err(|error| failed(&error.into()))?,
        };
        Ok(Self {
            snapshot,
            access,
            selection,
        })
    }

    fn selects(&self, id: DocumentId) -> bool {
        let Some(selection) = &self.selection else {
            return true;
        };
        let first = self.snapshot.chunk_named(&format!("{id}-0000"));
        first.is_some_and(|chunk| selection.contains(chunk))
    }

    /// Up to `limit` documents for which `wanted` is true, in the order of their URIs, after
    /// skipping `offset` of them; and whether there are more.
    pub(super) fn list(
        &self,
        offset: usize,
        limit: usize,
        wanted: impl Fn(&StoredDocument) -> bool,
    ) -> Result<(Vec<StoredDocument>, bool), ToolError> {
        const PAGE: usize = 500;
        let (mut found, mut passed, mut at) = (Vec::new(), 0, 0);
        loop {
            let page = self.snapshot.documents(at, PAGE, &self.access);
            let page = page.map_err(|error| failed(&error.into()))?;
            let is_last = page.len() < PAGE;
            at += page.len();
            for document in page {
                if !self.selects(document.id) || !wanted(&document) {
                    continue;
                }
                if passed < offset {
                    passed += 1;
                    continue;
                }
                if found.len() == limit {
                    return Ok((found, true));
                }
                found.push(document);
            }
            if is_last {
                return Ok((found, false));
            }
        }
    }

    /// The document with this id or URI.
    pub(super) fn find(&self, name: &str) -> Result<StoredDocument, ToolError> {
        let by_id = DocumentId::parse(name).map(|id| self.snapshot.document(id, &self.access));
        let by_id = by_id.transpose().map_err(|error| failed(&error.into()))?;
        if let Some(document) = by_id.flatten()
            && self.selects(document.id)
        {
            return Ok(document);
        }
        let (found, _) = self.list(0, 1, |document| document.uri == name)?;
        if let Some(document) = found.into_iter().next() {
            return Ok(document);
        }
        let (near, _) = self.list(0, MAX_NEAR, |_| true)?;
        let ids: Vec<String> = near
            .iter()
            .map(|document| document.id.to_string())
            .collect();
        let looks_like_id = name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let known: Vec<&str> = match looks_like_id {
            true => ids.iter().map(String::as_str).collect(),
            false => near.iter().map(|document| document.uri.as_str()).collect(),
        };
        let message = unknown("document", name, &known);
        Err(ToolError::not_found(format!(
            "{message} (list_documents lists them)"
        )))
    }

    /// The chunks of a found document.
    pub(super) fn chunks(&self, id: DocumentId) -> Result<Vec<StoredChunk>, ToolError> {
        let chunks = self.snapshot.document_chunks(id, &self.access);
        let chunks = chunks.map_err(|error| failed(&error.into()))?;
        Ok(chunks.unwrap_or_default())
    }
}

/// A stored chunk as a source.
pub(super) fn source(stored: StoredChunk) -> Source {
    Source {
        n: 0,
        chunk_id: stored.chunk_id,
        document_id: stored.document_id.to_string(),
        uri: stored.uri,
        title: stored.title,
        heading_path: stored.chunk.heading_path,
        page: stored.chunk.page,
        pages: Vec::new(),
        columns: stored.chunk.columns,
        code_blocks: stored.chunk.code_blocks,
        start: stored.chunk.span.start,
        end: stored.chunk.span.end,
        text: stored.chunk.text.into(),
        score: 0.0,
        cosine: None,
        copies: 0,
        ranks: Ranks::default(),
    }
}

/// A failed search, reported to a model.
pub(super) fn failed(error: &SearchError) -> ToolError {
    match error.param() {
        Some(param) => ToolError::arguments(format!("`{param}`: {error}")),
        None => ToolError::failed(error.to_string()),
    }
}
