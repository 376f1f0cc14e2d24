//! Converts sections of the configuration to the index's own types.

use cairn_indexer::{Bm25, IndexSettings};
use cairn_settings::config::{Config, Retrieval};

/// The settings that a collection is built with.
pub fn index_settings(config: &Config) -> IndexSettings {
    IndexSettings {
        chunk_tokens: config.chunking.tokens,
        chunk_overlap: config.chunking.overlap,
        embed_window: config.chunking.embed_window,
        context: config.chunking.context,
        language: config.chunking.language.clone(),
        graph_min_rows: config.indexing.graph_min_rows,
    }
}

/// BM25's parameters.
pub fn bm25(options: &Retrieval) -> Bm25 {
    Bm25 {
        k1: options.bm25_k1,
        b: options.bm25_b,
    }
}
