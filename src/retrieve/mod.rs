//! Question in, ranked chunks out: lexical and dense search in parallel, then
//! fusion, then re-ranking, each timed, under one deadline.

mod api;

pub use api::{Mode, Ranks, SearchRequest, SearchResponse, Source, Timings};
