//! Words: how text becomes terms, and how terms rank chunks.

mod analyzer;
mod bm25;
mod fold;
mod language;
mod split;

#[cfg(test)]
mod bm25_tests;

pub use analyzer::{Analyzer, MAX_QUERY_TERMS, QueryTerm};
pub use bm25::WordSearch;
