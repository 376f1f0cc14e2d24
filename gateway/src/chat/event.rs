//! What the gateway sends while a chat is answered.

use std::pin::Pin;

use futures::Stream;
use serde::{Deserialize, Serialize};

use super::{ProviderError, ToolCall};
use crate::accounts::CacheUse;

/// Why a model stopped writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was done, or a stop text came.
    Stop,
    /// `max_tokens` or the context was full.
    Length,
    /// It waits for the results of functions.
    ToolCalls,
    /// The provider's filter ended it.
    ContentFilter,
}

impl Finish {
    /// As it stands in events and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Tokens and money of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Usage {
    /// Tokens read, those of the provider's prompt cache included.
    pub prompt_tokens: usize,
    /// Tokens written.
    pub completion_tokens: usize,
    /// Tokens of the prompt that the provider had cached, and charges less for.
    #[serde(default)]
    pub cached_prompt_tokens: usize,
    /// Price in US dollars; 0 for local models and cached answers.
    pub cost_usd: f64,
    /// The provider did not say: the tokens are estimated from the texts.
    #[serde(default)]
    pub estimated: bool,
}

impl Usage {
    /// Tokens read and written.
    pub fn total_tokens(&self) -> usize {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }

    /// Adds what another call took.
    pub fn add(&mut self, other: &Self) {
        let sum = |a: &mut usize, b: usize| *a = a.saturating_add(b);
        sum(&mut self.prompt_tokens, other.prompt_tokens);
        sum(&mut self.completion_tokens, other.completion_tokens);
        sum(&mut self.cached_prompt_tokens, other.cached_prompt_tokens);
        self.cost_usd += other.cost_usd;
        self.estimated |= other.estimated;
    }
}

/// Who served a whole answer, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// The provider's name.
    pub provider: String,
    /// The model, as the provider names it.
    pub model: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens and money.
    pub usage: Usage,
    /// Whether it came from the cache.
    pub cache: CacheUse,
    /// Attempts after the first with the same target.
    pub retries: u32,
    /// Targets that were given up before this one.
    pub fallbacks: u32,
    /// What did not go as planned, in plain sentences.
    pub notes: Vec<String>,
}

/// One step of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatEvent {
    /// Some text.
    Delta(String),
    /// A function that the model asks for.
    ToolCall(ToolCall),
    /// The last event of a complete answer.
    Done(Box<Served>),
}

/// Events until `Done` or the first error, which ends it. Dropping the stream
/// ends the provider's work.
pub type ChatStream = Pin<Box<dyn Stream<Item = Result<ChatEvent, ProviderError>> + Send>>;
