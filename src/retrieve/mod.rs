//! Question in, ranked chunks out: lexical and dense search in parallel, then
//! fusion, then re-ranking, each timed, under one deadline.
//!
//! [`Engine`] is the door. Behind it, one search runs through `question` (what
//! may be asked), `search` (the stages in their order), `find` (words and
//! vectors), `lists` with `fusion`, `rerank` with `windows`, and `blend`.

mod api;
mod blend;
mod collections;
mod engine;
mod error;
mod find;
pub mod fusion;
mod lists;
mod question;
mod rerank;
mod search;
pub(crate) mod stages;
#[cfg(test)]
mod tests;
mod timing;
mod vectors;
mod windows;

pub use api::{Mode, Ranks, SearchRequest, SearchResponse, Source, Timings};
pub use engine::Engine;
pub use error::{SearchError, SearchErrorKind};
