//! The events of one answer, in the order of the wire: an agent's `step`s, `sources`, then
//! `delta` and `citation`, then `done`, `input_required` or `error`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::retrieve::{SearchResponse, Source, Timings};
use cairn_gateway::{CacheUse, Usage};

/// One step of an answer.
#[derive(Clone, Debug)]
pub enum AnswerEvent {
    /// Something that an agent did before it answered.
    Step(Box<Step>),
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
    /// An agent stopped until somebody allows what it wants to do.
    InputRequired(Box<InputRequired>),
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

/// What an agent did: it made a plan, or called a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Its number in the run, from 1.
    pub n: u32,
    /// The turn of the model that it belongs to, from 1. Steps of one turn ran together.
    pub turn: u32,
    /// What the model wrote before it, cut to one paragraph.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub thought: String,
    /// The tool, or `plan`.
    pub tool: String,
    /// What the model gave the tool; a list of steps for `plan`.
    #[schema(value_type = Object)]
    pub arguments: serde_json::Value,
    /// What came of it, in one line.
    pub result: String,
    /// Whether the tool did what it was asked.
    pub ok: bool,
    /// Milliseconds that the tool took.
    pub milliseconds: f64,
    /// US dollars of the model's turn, at the first step of the turn.
    #[serde(default)]
    pub cost_usd: f64,
}

/// Calls that an agent may not make before a person has allowed them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InputRequired {
    /// The run that waits: `POST /query/{run_id}/input` goes on with it.
    pub run_id: String,
    /// Seconds for which it waits.
    pub expires_in_seconds: u64,
    /// The calls.
    pub calls: Vec<PendingCall>,
}

/// A call that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PendingCall {
    /// Names it in the decision.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// What the model gives the tool.
    #[schema(value_type = Object)]
    pub arguments: serde_json::Value,
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
    /// What an agent did before it answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

impl Answered {
    /// `done`, with what was `found` for it.
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
