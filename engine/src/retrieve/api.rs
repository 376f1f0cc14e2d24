//! Requests and responses of a search: the same types in process, on the command line (`--json`)
//! and over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use cairn_indexer::{Access, Filter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use cairn_settings::config::Mode;
use cairn_settings::config::Retrieval;

/// What to search for besides the question itself, for questions that one search does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expand {
    /// Nothing: one search.
    #[default]
    None,
    /// A second hop to the documents that the question and the first hits mention by name. No
    /// language model is called.
    Hop,
    /// A language model splits the question into at most four, which are also searched. Only for
    /// answers.
    Queries,
    /// A language model writes a passage that would answer, and its vector is searched instead of
    /// the question's. Only for answers.
    Hyde,
}

impl Expand {
    /// The configured default, for requests that do not set it.
    pub fn default_of(retrieval: &Retrieval) -> Self {
        match retrieval.hop {
            true => Self::Hop,
            false => Self::None,
        }
    }
}

/// One search.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// The question, as the user wrote it.
    pub query: String,
    /// The collection to search.
    pub collection: String,
    /// Chunks to return.
    pub top_k: usize,
    /// Candidates from each search.
    pub candidates: usize,
    /// Which searches run.
    pub mode: Mode,
    /// Whether the re-ranker reads the best candidates.
    pub rerank: bool,
    /// What to search for besides the question. A search itself handles only [`Expand::Hop`]; the
    /// other kinds are up to the caller and have no effect here.
    pub expand: Expand,
    /// Text to embed in place of the question, if any; the lexical search and the cosines of the
    /// sources still use the question.
    pub embedded: Option<String>,
    /// Condition on metadata.
    pub filter: Option<Filter>,
    /// What the caller may read.
    pub access: Access,
    /// When the response is due; stages that cannot finish in time are cut short and named in
    /// `degraded`.
    pub deadline: Option<Instant>,
}

impl SearchRequest {
    /// A search of `collection` with the documented defaults.
    pub fn new(query: impl Into<String>, collection: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            collection: collection.into(),
            top_k: 8,
            candidates: 100,
            mode: Mode::Hybrid,
            rerank: true,
            expand: Expand::None,
            embedded: None,
            filter: None,
            access: Access::All,
            deadline: None,
        }
    }

    /// The same with the defaults of a configuration.
    pub fn default_of(
        retrieval: &Retrieval,
        query: impl Into<String>,
        collection: impl Into<String>,
    ) -> Self {
        Self {
            top_k: retrieval.top_k,
            candidates: retrieval.candidates,
            mode: retrieval.mode,
            rerank: retrieval.rerank.enabled,
            expand: Expand::default_of(retrieval),
            ..Self::new(query, collection)
        }
    }
}

/// Ranks of a chunk, from 1, in each stage that saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ranks {
    /// In the BM25 list.
    pub lexical: Option<u32>,
    /// In the vector list.
    pub dense: Option<u32>,
    /// After fusion, and after a second hop if there was one.
    pub fused: Option<u32>,
    /// After re-ranking.
    pub rerank: Option<u32>,
}

/// Where a page begins in a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PageStart {
    /// The page, counted from 1.
    pub number: u32,
    /// Where its text begins in the source's `text`, in Unicode scalar values.
    pub start: usize,
}

/// A range of a text, as the schema describes [`std::ops::Range`].
#[derive(Clone, Copy, Debug, ToSchema)]
pub struct ByteRange {
    /// Its first byte, counted from 0.
    pub start: usize,
    /// The byte after its last one.
    pub end: usize,
}

/// One ranked chunk, ready to be cited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// The number that citations use, from 1.
    pub n: u32,
    /// `{document_id}-{ordinal:04}`.
    pub chunk_id: String,
    /// The document's id, 16 hexadecimal digits.
    pub document_id: String,
    /// Where the document came from.
    pub uri: String,
    /// The document's title.
    pub title: String,
    /// Headings above the chunk.
    pub heading_path: Vec<String>,
    /// For paged formats, the page of the chunk that matches the question best; its first page
    /// unless another matches better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// The pages of a chunk that spans several, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub pages: Vec<PageStart>,
    /// Columns of the table that the chunk continues; its header is in an earlier chunk.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub columns: Option<String>,
    /// Blocks of code, as byte ranges of `text`, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(value_type = Vec<ByteRange>)]
    pub code_blocks: Vec<std::ops::Range<usize>>,
    /// Byte offset of the chunk in the parsed document.
    pub start: usize,
    /// Byte offset of its end.
    pub end: usize,
    /// The chunk's text. Clones of a source share it, since it is sent, read, quoted and checked.
    #[schema(value_type = String)]
    pub text: Arc<str>,
    /// The score that ordered the list; larger is better.
    pub score: f32,
    /// Cosine of question and chunk, if vectors were searched.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cosine: Option<f32>,
    /// Other passages with the same text that could have been found instead, in this document and
    /// in others. The best one represents all of them.
    #[serde(skip_serializing_if = "is_none", default)]
    pub copies: u32,
    /// Its rank in each stage.
    pub ranks: Ranks,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_none(count: &u32) -> bool {
    *count == 0
}

/// Milliseconds by stage (`embed`, `lexical`, `dense`, `fuse`, `hop`, `rerank`, ...).
pub type Timings = BTreeMap<String, f64>;

/// What a search found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SearchResponse {
    /// Random id of this request, for logs.
    pub query_id: String,
    /// The collection that was searched.
    pub collection: String,
    /// The commit that was searched.
    pub generation: u64,
    /// Best first.
    pub sources: Vec<Source>,
    /// Milliseconds by stage.
    pub timings_ms: Timings,
    /// What was cut short or missing, in words that a person understands.
    pub degraded: Vec<String>,
}
