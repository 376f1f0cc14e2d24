//! The stages after the searches, one by one, for an evaluation that asks many
//! configurations of the same lists.

use cairn_models::{Cancel, Reranker};

pub use super::blend::blend;
use super::error::SearchError;
pub use super::lists::fuse_lists;
use super::question;
use super::rerank::{self, Passage};

/// The question as the searches see it; of any length.
pub fn clean(query: &str) -> Result<String, SearchError> {
    question::clean(query, usize::MAX)
}

/// The re-ranker's scores of titles and texts in fused order, without a
/// deadline.
pub fn read(
    reranker: &dyn Reranker,
    question: &str,
    passages: &[(&str, &str)],
    windows: usize,
    cancel: &Cancel,
) -> cairn_models::Result<Vec<Option<f32>>> {
    let passages: Vec<Passage<'_>> = passages
        .iter()
        .map(|&(title, text)| Passage { title, text })
        .collect();
    let reading = rerank::read(reranker, question, &passages, windows, None, cancel)?;
    Ok(reading.scores)
}
