//! What a collection is built with, and what a search can vary.

use crate::words::Analyzer;
use crate::{Error, ErrorKind, Result};

/// How a collection is cut, embedded and tokenized. Stored with the first
/// commit; a writer with other settings gets an error of kind `Mismatch` that
/// says what to do. Readers use what is stored.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct IndexSettings {
    /// Most tokens of one chunk as the embedder sees it: special tokens included.
    pub chunk_tokens: usize,
    /// Tokens that two neighbouring chunks share.
    pub chunk_overlap: usize,
    /// Embed in windows of at most this many tokens and pool their vectors.
    pub embed_window: usize,
    /// Put title and heading path before the text that is embedded and indexed.
    pub context: bool,
    /// Stemming language of the words, e.g. `english`, or `none`.
    pub language: String,
    /// Rows from which a vector segment becomes an HNSW graph. May change from
    /// one writer to the next.
    pub graph_min_rows: usize,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            chunk_tokens: 512,
            chunk_overlap: 50,
            embed_window: 256,
            context: true,
            language: "english".into(),
            graph_min_rows: 10_000,
        }
    }
}

impl IndexSettings {
    /// Refuses lengths below which chunking makes no sense, and languages that
    /// there is no analyzer for.
    pub(super) fn check(&self) -> Result<()> {
        let rules = [
            ("chunk_tokens must be at least 16", self.chunk_tokens >= 16),
            ("embed_window must be at least 16", self.embed_window >= 16),
            (
                "chunk_overlap must be less than half of chunk_tokens",
                self.chunk_overlap * 2 < self.chunk_tokens,
            ),
        ];
        match rules.iter().find(|(_, holds)| !holds) {
            Some((rule, _)) => Err(Error::new(ErrorKind::InvalidInput, *rule)),
            None => Analyzer::new(&self.language).map(|_| ()),
        }
    }

    /// The first setting in which an index that was built with `self` cannot
    /// take documents under `wanted`: its name, what is stored, what is wanted.
    pub(super) fn conflict(&self, wanted: &Self) -> Option<(&'static str, String, String)> {
        let pairs = [
            (
                "chunking.tokens",
                self.chunk_tokens.to_string(),
                wanted.chunk_tokens.to_string(),
            ),
            (
                "chunking.overlap",
                self.chunk_overlap.to_string(),
                wanted.chunk_overlap.to_string(),
            ),
            (
                "chunking.embed_window",
                self.embed_window.to_string(),
                wanted.embed_window.to_string(),
            ),
            (
                "chunking.context",
                self.context.to_string(),
                wanted.context.to_string(),
            ),
            (
                "chunking.language",
                self.language.clone(),
                wanted.language.clone(),
            ),
        ];
        pairs
            .into_iter()
            .find(|(_, stored, wanted)| stored != wanted)
    }
}

/// BM25's parameters.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Bm25 {
    /// How soon more occurrences of a word stop counting.
    pub k1: f32,
    /// How much long chunks are held back, from 0 to 1.
    pub b: f32,
}

impl Default for Bm25 {
    fn default() -> Self {
        Self { k1: 1.2, b: 0.75 }
    }
}
