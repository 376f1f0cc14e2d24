//! The seam behind which every language model stands.

use std::pin::Pin;

use cairn_models::Cancel;
use futures::Stream;

use super::{ChatRequest, Finish, ProviderError, ToolCall, Usage};

/// What a provider sends.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderEvent {
    /// Some text. Without a letter: the model is at work, on its reasoning for one.
    Delta(String),
    /// A function that the model asks for, whole.
    ToolCall(ToolCall),
    /// The last event of a complete answer.
    Done {
        /// Why it ended.
        finish: Finish,
        /// What it took; `None` if the provider does not say.
        usage: Option<Usage>,
        /// The model that answered.
        model: String,
    },
}

/// Events until `Done` or the first error, which ends it.
pub type ProviderStream = Pin<Box<dyn Stream<Item = Result<ProviderEvent, ProviderError>> + Send>>;

/// Something that completes chats.
pub trait Provider: Send + Sync {
    /// Its name in `done` events, logs and the config.
    fn name(&self) -> &str;

    /// Tokens of prompt and answer that fit.
    fn context_tokens(&self) -> usize;

    /// The first parameter of `request` that it could only pass over; it is not asked
    /// then.
    fn refuses<'a>(&self, _request: &'a ChatRequest) -> Option<&'a str> {
        None
    }

    /// Starts a completion. Dropping the stream, or `cancel`, ends the
    /// provider's work.
    fn chat(&self, request: ChatRequest, cancel: Cancel) -> ProviderStream;
}
