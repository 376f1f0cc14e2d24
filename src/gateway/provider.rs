//! The seam behind which every language model stands.

use std::pin::Pin;

use cairn_models::{Cancel, Message};
use futures::Stream;
use serde::{Deserialize, Serialize};

pub use cairn_models::FinishReason as Finish;

/// One chat completion to run.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    /// The model's name as the provider knows it; the provider's default if
    /// none.
    pub model: Option<String>,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Most tokens to write.
    pub max_tokens: usize,
    /// 0 is greedy.
    pub temperature: f32,
    /// Texts that end the answer.
    pub stop: Vec<String>,
}

/// Tokens and money of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: usize,
    /// Tokens among them that the provider had cached.
    #[serde(default)]
    pub cached_prompt_tokens: usize,
    /// Tokens written.
    pub completion_tokens: usize,
    /// Price in US dollars; 0 for local models.
    pub cost_usd: f64,
}

/// What a provider sends.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderEvent {
    /// Some text.
    Delta(String),
    /// The last event of a complete answer.
    Done {
        /// Why it ended.
        finish: Finish,
        /// What it took.
        usage: Usage,
        /// The model that answered.
        model: String,
    },
}

/// The kinds a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// Nobody answers there, or the connection broke.
    Unreachable,
    /// It took longer than a deadline allows.
    Timeout,
    /// Too many requests: try again later.
    RateLimited,
    /// The key is missing or wrong.
    Unauthorized,
    /// The request is not one that the provider takes.
    Rejected,
    /// The answer cannot be understood.
    Garbled,
    /// The caller cancelled.
    Cancelled,
}

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What a caller can act on.
    pub kind: ProviderErrorKind,
    /// What happened, without keys or question text.
    pub message: String,
    /// When the provider asks to be left alone until.
    pub retry_after: Option<std::time::Duration>,
}

impl ProviderError {
    /// The caller went away.
    pub fn cancelled() -> Self {
        Self {
            kind: ProviderErrorKind::Cancelled,
            message: "the request was cancelled".to_owned(),
            retry_after: None,
        }
    }
}

/// Events until `Done` or the first error, which ends it.
pub type ChatStream = Pin<Box<dyn Stream<Item = Result<ProviderEvent, ProviderError>> + Send>>;

/// Something that completes chats.
pub trait Provider: Send + Sync {
    /// Its name in `done` events, logs and the config.
    fn name(&self) -> &str;

    /// Tokens of prompt and answer that fit.
    fn context_tokens(&self) -> usize;

    /// Starts a completion. Dropping the stream, or `cancel`, ends the
    /// provider's work.
    fn chat(&self, request: ChatRequest, cancel: Cancel) -> ChatStream;
}
