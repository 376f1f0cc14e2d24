//! The events of one answer, in the order of the wire: `sources`, then `delta`
//! and `citation`, then `done` or `error`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::retrieve::{SearchResponse, Source, Timings};
use cairn_gateway::{CacheUse, Usage};

/// One step of an answer.
#[derive(Clone, Debug)]
pub enum AnswerEvent {
    /// What was found, before any word is written.
    Sources(SearchResponse),
    /// Some text of the answer.
    Delta {
        /// The text.
        text: String,
    },
    /// A checked citation in the text sent so far.
    Citation(Citation),
    /// The end of a whole answer.
    Done(Box<Done>),
    /// The end of a failed one.
    Error {
        /// A code of the table of errors, e.g. `overloaded`.
        code: &'static str,
        /// What happened and what to do.
        message: String,
        /// Whether the same request may succeed later.
        retryable: bool,
    },
}

/// A place in the answer that rests on a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// The source's number.
    pub n: u32,
    /// The source's chunk.
    pub chunk_id: String,
    /// Offset of the `[n]` mark in the answer, in Unicode scalar values.
    pub start: usize,
    /// Offset of its end.
    pub end: usize,
    /// Where what is quoted begins in the source's `text`, in Unicode scalar values;
    /// only of quotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_start: Option<usize>,
    /// Where it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_end: Option<usize>,
    /// The page of the source that says it, for paged formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
}

/// A finished answer: the last event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// The id of the request.
    pub query_id: String,
    /// The whole answer, with its `[n]` marks.
    pub answer: String,
    /// Every citation in it.
    pub citations: Vec<Citation>,
    /// Whether the evidence was too weak to answer.
    pub refused: bool,
    /// Whether every sentence rests on a cited source.
    pub grounded: bool,
    /// Probability that the sources answer the question; below `answer.refuse_below` it
    /// is refused.
    #[serde(default)]
    pub answerability: f32,
    /// Why it ended: `stop`, `length`, `cancelled`, `refused`.
    pub finish_reason: String,
    /// Who wrote it: a provider's name, or `extractive`.
    pub provider: String,
    /// The model that wrote it.
    pub model: String,
    /// Tokens and money.
    pub usage: Usage,
    /// Whether an earlier answer of the model was given again.
    #[serde(default, skip_serializing_if = "CacheUse::is_none")]
    pub cache: CacheUse,
    /// Milliseconds by stage, `first_token` and `total` among them.
    pub timings_ms: Timings,
    /// What was cut short or missing.
    pub degraded: Vec<String>,
}

/// A finished answer and the sources that it cites: the body of `stream: false`, and what
/// `cairn query --json` prints.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Answered {
    /// The last event; its times and notes hold those of the search.
    #[serde(flatten)]
    pub done: Done,
    /// The collection that was searched.
    pub collection: String,
    /// The commit that was searched.
    pub generation: u64,
    /// What was found, best first, as in the `sources` event.
    pub sources: Vec<Source>,
}

impl Answered {
    /// `done`, with what was `found` for it.
    pub fn new(done: Done, found: SearchResponse) -> Self {
        Self {
            done,
            collection: found.collection,
            generation: found.generation,
            sources: found.sources,
        }
    }
}
