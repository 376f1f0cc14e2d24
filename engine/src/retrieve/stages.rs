//! The stages after the searches, one by one, for an evaluation that tries many configurations on
//! the same lists.

use cairn_models::{Cancel, Embedder, MIN_READABLE_SHARE, Reranker};

pub use super::blend::blend;
use super::error::SearchError;
pub use super::lists::fuse_lists;
use super::question;
use super::rerank::{self, is_number};
pub use super::rerank::{Passage, Verdict, judged};

/// The question as the searches see it; of any length.
pub fn clean(query: &str) -> Result<String, SearchError> {
    question::clean(query, usize::MAX)
}

/// Whether `embedder` can read the question, so that its list may be fused with the lexical one.
pub fn is_embedded(embedder: &dyn Embedder, question: &str) -> cairn_models::Result<bool> {
    Ok(!is_number(question) && embedder.readable_share(question)? >= MIN_READABLE_SHARE)
}

/// What the re-ranker says of passages in fused order, without a deadline.
pub fn read(
    reranker: &dyn Reranker,
    question: &str,
    passages: &[Passage<'_>],
    windows: usize,
    cancel: &Cancel,
) -> cairn_models::Result<Vec<Verdict>> {
    let reading = rerank::read(reranker, question, passages, windows, None, cancel)?;
    Ok(reading.verdicts)
}
