//! The events of one answer, in the order in which they are sent: an agent's `step`s, `sources`,
//! then `delta` and `citation`, then `done`, `input_required` or `error`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::retrieve::{SearchResponse, Source, Timings};
use cairn_gateway::{CacheUse, Usage};

/// One event of an answer.
#[derive(Clone, Debug)]
pub enum AnswerEvent {
    /// Something that an agent did before it answered.
    Step(Box<Step>),
    /// What was found, sent before the answer begins.
    Sources(SearchResponse),
    /// Some text of the answer.
    Delta {
        /// The text.
        text: String,
    },
    /// A checked citation in the text sent so far.
    Citation(Citation),
    /// The end of a complete answer.
    Done(Box<Done>),
    /// An agent waits until a person allows what it wants to do.
    InputRequired(Box<InputRequired>),
    /// The end of a failed answer.
    Error {
        /// A code from the table of errors, e.g. `overloaded`.
        code: &'static str,
        /// What happened and what to do.
        message: String,
        /// Whether the same request may succeed later.
        retryable: bool,
    },
}

/// What an agent did: it made a plan, or called a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Its number in the run, from 1.
    pub n: u32,
    /// The model's turn that it belongs to, from 1. Steps of one turn ran concurrently.
    pub turn: u32,
    /// What the model wrote before the call, cut to one paragraph.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub thought: String,
    /// The tool, or `plan`.
    pub tool: String,
    /// The arguments of the call; for `plan`, a list of steps.
    #[schema(value_type = Object)]
    pub arguments: serde_json::Value,
    /// The outcome, in one line.
    pub result: String,
    /// Whether the tool did what it was asked.
    pub ok: bool,
    /// Milliseconds that the tool took.
    pub milliseconds: f64,
    /// Cost of the model's turn in US dollars, given at the first step of the turn.
    #[serde(default)]
    pub cost_usd: f64,
}

/// Calls that an agent may make only after a person has allowed them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InputRequired {
    /// The waiting run; `POST /query/{run_id}/input` continues it.
    pub run_id: String,
    /// How long it waits, in seconds.
    pub expires_in_seconds: u64,
    /// The calls.
    pub calls: Vec<PendingCall>,
}

/// A call that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PendingCall {
    /// Identifies the call in the decision.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// The arguments of the call.
    #[schema(value_type = Object)]
    pub arguments: serde_json::Value,
}

/// A place in the answer that cites a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// The source's number.
    pub n: u32,
    /// The source's chunk.
    pub chunk_id: String,
    /// Offset of the `[n]` mark in the answer, in Unicode scalar values.
    pub start: usize,
    /// Offset of the mark's end.
    pub end: usize,
    /// Where the quotation begins in the source's `text`, in Unicode scalar values; only for
    /// quotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_start: Option<usize>,
    /// Where the quotation ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_end: Option<usize>,
    /// The source's page that contains the cited text, for paged formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
}

/// A finished answer: the last event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// The id of the request.
    pub query_id: String,
    /// The complete answer, with its `[n]` marks.
    pub answer: String,
    /// Every citation in it.
    pub citations: Vec<Citation>,
    /// Whether the evidence was too weak to answer.
    pub refused: bool,
    /// Whether every sentence is supported by a cited source.
    pub grounded: bool,
    /// Probability that the sources answer the question; below `answer.refuse_below` the question
    /// is refused.
    #[serde(default)]
    pub answerability: f32,
    /// Why the answer ended: `stop`, `length`, `cancelled`, `refused`.
    pub finish_reason: String,
    /// What wrote it: a provider's name, or `extractive`.
    pub provider: String,
    /// The model that wrote it.
    pub model: String,
    /// Tokens and cost.
    pub usage: Usage,
    /// Whether a cached answer of the model was returned.
    #[serde(default, skip_serializing_if = "CacheUse::is_none")]
    pub cache: CacheUse,
    /// Milliseconds by stage, including `first_token` and `total`.
    pub timings_ms: Timings,
    /// What was cut short or missing.
    pub degraded: Vec<String>,
}

/// A finished answer and its sources: the body of `stream: false`, and the output of `cairn query
/// --json`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Answered {
    /// The last event; its times and notes include those of the search.
    #[serde(flatten)]
    pub done: Done,
    /// The collection that was searched.
    pub collection: String,
    /// The commit that was searched.
    pub generation: u64,
    /// What was found, best first, as in the `sources` event.
    pub sources: Vec<Source>,
    /// What the agent did before it answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

impl Answered {
    /// Combines `done` with what was `found` for it.
    pub fn new(done: Done, found: SearchResponse) -> Self {
        Self {
            done,
            collection: found.collection,
            generation: found.generation,
            sources: found.sources,
            steps: Vec::new(),
        }
    }
}
