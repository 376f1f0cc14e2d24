//! From a question to ranked chunks: lexical and dense search in parallel, then fusion, then
//! re-ranking, each timed, under one deadline.
//!
//! [`Engine`] is the entry point. A search runs through `question` (what may be asked), `prepared`
//! (where it looks), `search` (the order of the stages), `find` (words and vectors), `lists` with
//! `fusion`, `hop` (documents that the first hits mention), `rerank` with `windows`, and `blend`.
//! `overview` describes what is in a collection, and `suggest` what can be asked about it, by the
//! rules of `drafting`. `texts` makes the models available to other programs.

mod ahead;
mod api;
mod blend;
mod cell;
mod collections;
pub mod drafting;
mod engine;
mod error;
mod find;
pub mod fusion;
mod hop;
mod lists;
mod overview;
mod pages;
mod prepared;
mod question;
mod rerank;
mod search;
mod settings;
pub mod stages;
mod suggest;
#[cfg(test)]
mod tests;
mod texts;
mod timing;
mod vectors;
mod windows;

pub use ahead::ReadAhead;
pub use api::{
    ByteRange, Expand, Mode, PageStart, Ranks, SearchRequest, SearchResponse, Source, Timings,
};
pub use engine::Engine;
pub use error::{SearchError, SearchErrorKind};
pub use overview::Overview;
pub use prepared::PreparedSearch;
pub use settings::{bm25, index_settings};
pub use texts::{Embedded, Judged};
