//! The stages after the searches, one by one, for an evaluation that asks many
//! configurations of the same lists.

use cairn_models::{Cancel, Embedder, Reranker};

pub use super::blend::blend;
use super::error::SearchError;
pub use super::lists::fuse_lists;
use super::question;
pub use super::rerank::Verdict;
use super::rerank::{self, MIN_READABLE_SHARE, Passage, is_number};

/// The question as the searches see it; of any length.
pub fn clean(query: &str) -> Result<String, SearchError> {
    question::clean(query, usize::MAX)
}

/// Whether `embedder` can read the question, so that its list may stand beside that of
/// the words.
pub fn is_embedded(embedder: &dyn Embedder, question: &str) -> cairn_models::Result<bool> {
    Ok(!is_number(question) && embedder.readable_share(question)? >= MIN_READABLE_SHARE)
}

/// What the re-ranker says of titles and texts in fused order, without a deadline.
pub fn read(
    reranker: &dyn Reranker,
    question: &str,
    passages: &[(&str, &str)],
    windows: usize,
    cancel: &Cancel,
) -> cairn_models::Result<Vec<Verdict>> {
    let passages: Vec<Passage<'_>> = passages
        .iter()
        .map(|&(title, text)| Passage { title, text })
        .collect();
    let reading = rerank::read(reranker, question, &passages, windows, None, cancel)?;
    Ok(reading.verdicts)
}
