//! A collection as the questions of one's own look things up in it.

use std::collections::{BTreeMap, BTreeSet};

use cairn_eval::Span;
use cairn_eval::custom::Library;
use cairn_eval::spans::places;
use cairn_indexer::{Access, DocumentId, Snapshot};

/// Names of documents and passages, and their texts.
pub(crate) struct Shelf<'a> {
    snapshot: &'a Snapshot,
    /// URIs by id.
    documents: BTreeMap<String, String>,
    uris: BTreeSet<String>,
}

impl<'a> Shelf<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> cairn_indexer::Result<Self> {
        let all = snapshot.documents(0, usize::MAX, &Access::All)?;
        let documents: BTreeMap<String, String> = all
            .into_iter()
            .map(|document| (document.id.to_string(), document.uri))
            .collect();
        let uris = documents.values().cloned().collect();
        Ok(Self {
            snapshot,
            documents,
            uris,
        })
    }
}

impl Library for Shelf<'_> {
    fn document(&self, name: &str) -> Option<String> {
        match self.uris.contains(name) {
            true => Some(name.to_owned()),
            false => self.documents.get(name).cloned(),
        }
    }

    fn has_passage(&self, id: &str) -> bool {
        let Some((document, ordinal)) = id.rsplit_once('-') else {
            return false;
        };
        let (Some(document), Ok(ordinal)) = (DocumentId::parse(document), ordinal.parse::<u32>())
        else {
            return false;
        };
        let stored = self
            .snapshot
            .document(document, &Access::All)
            .ok()
            .flatten();
        stored.is_some_and(|stored| ordinal < stored.chunk_count)
    }

    fn text(&self, uri: &str) -> Option<String> {
        let id = DocumentId::of_uri(uri);
        self.snapshot.document_text(id, &Access::All).ok().flatten()
    }

    fn find(&self, uri: Option<&str>, text: &str) -> Vec<Span> {
        let in_one = |uri: &str| -> Vec<Span> {
            let document = self.text(uri).unwrap_or_default();
            let span = |place: std::ops::Range<usize>| Span {
                uri: uri.to_owned(),
                start: place.start,
                end: place.end,
            };
            places(&document, text).into_iter().map(span).collect()
        };
        match uri {
            Some(uri) => in_one(uri),
            None => self.uris.iter().flat_map(|uri| in_one(uri)).collect(),
        }
    }
}
