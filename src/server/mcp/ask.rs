//! `ask`: an answer with checked citations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::handler::Asked;
use crate::server::answering;
use crate::server::error::ApiError;
use cairn_engine::answer::{AnswerRequest, Answered};
use cairn_engine::retrieve::SearchRequest;
use cairn_gateway::accounts::Scope;

pub(super) const ASK: &str = "Answers a question from the documents, with the sources that each \
    sentence rests on; says so if they do not hold the answer.";

/// Characters of a source that is cited.
const MAX_SOURCE_CHARS: usize = 1000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AskArgs {
    /// The question, in words.
    question: String,
}

/// An answer.
#[derive(Serialize, JsonSchema)]
pub(super) struct Reply {
    /// With marks like [1] for the sources.
    answer: String,
    /// Whether the documents do not hold the answer.
    refused: bool,
    /// Whether each sentence rests on a source that it cites.
    grounded: bool,
    /// Those that are cited.
    sources: Vec<Cited>,
}

#[derive(Serialize, JsonSchema)]
struct Cited {
    n: u32,
    /// For `fetch`.
    id: String,
    title: String,
    uri: String,
    text: String,
}

pub(super) async fn ask(asked: &Asked, args: AskArgs) -> Result<Value, ApiError> {
    asked.require(Scope::Query)?;
    let service = &asked.service;
    let config = service.config();
    let search =
        SearchRequest::default_of(&config.retrieval, args.question, &config.storage.collection);
    let request = AnswerRequest::asked_by(asked.caller.clone(), search);
    let events = answering::begin(service, request, None, &asked.cancel).await?;
    let answered = answering::answered(events).await?;
    let Answered { done, sources, .. } = answered;
    let is_cited = |n: u32| done.citations.iter().any(|citation| citation.n == n);
    let cited = sources.into_iter().filter(|source| is_cited(source.n));
    let sources = cited.map(|source| Cited {
        n: source.n,
        id: source.chunk_id,
        title: source.title,
        uri: source.uri,
        text: source.text.chars().take(MAX_SOURCE_CHARS).collect(),
    });
    Ok(json!(Reply {
        sources: sources.collect(),
        refused: done.refused,
        grounded: done.grounded,
        answer: done.answer,
    }))
}
