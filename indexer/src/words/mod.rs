//! Words: how text becomes terms, and how terms rank chunks.

mod analyzer;
mod bm25;
mod fold;
mod language;
mod number;
mod split;

#[cfg(test)]
mod bm25_tests;
#[cfg(test)]
mod number_tests;

/// Version of what [`Analyzer`] makes of a text. A collection whose words are of an
/// earlier one is searched as it is, and read again by its next writer.
///
/// 2: numbers in any grouping, umlauts written out, vowel marks, half-width kana.
pub(crate) const ANALYSIS: u32 = 2;

pub use analyzer::{Analyzer, MAX_QUERY_TERMS, QueryTerm};
pub use bm25::WordSearch;
pub use language::stemmer;
