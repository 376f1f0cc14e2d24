//! The local generator as a provider: one model on one thread behind a bounded
//! queue. A full queue is an answer (`RateLimited`), not a wait without end.
//!
//! Its models know no tools: these are described in words, and a grammar holds what is
//! written to a whole call of one of them, or to plain text where that is allowed.

use std::sync::Arc;
use std::time::Duration;

use cairn_models::{
    Cancel, CancelOnDrop, Error, ErrorKind, FinishReason, GenerateRequest, Generation, Generator,
    Grammar, Message, Role, Worker,
};
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::super::LOCAL;
use super::super::chat::{
    ChatMessage, ChatRequest, ChatRole, Finish, Provider, ProviderError, ProviderErrorKind,
    ProviderEvent, ProviderStream, ToolChoice, Usage,
};
use super::text_tools::{self, Calls, Style, as_text, offered};

/// Pieces of text that may wait for a slow reader before the model waits too.
const PIECES: usize = 64;
/// When a client that found the queue full may try again: about one answer.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A [`Generator`] that answers chats, one at a time.
pub struct LocalProvider {
    generator: Arc<dyn Generator>,
    worker: Worker,
}

impl LocalProvider {
    /// Starts the model's thread; at most `waiting` chats queue for it.
    ///
    /// # Errors
    ///
    /// `Machine` when no thread can be started.
    pub fn new(generator: Arc<dyn Generator>, waiting: usize) -> cairn_models::Result<Self> {
        let worker = Worker::start("local model", waiting)?;
        Ok(Self { generator, worker })
    }
}

impl Provider for LocalProvider {
    fn name(&self) -> &str {
        LOCAL
    }

    fn context_tokens(&self) -> usize {
        self.generator.context_tokens()
    }

    fn refuses<'a>(&self, request: &'a ChatRequest) -> Option<&'a str> {
        // It calls one function at a time, which every value of it allows.
        request.parameter_besides(&[text_tools::PARALLEL])
    }

    fn chat(&self, request: ChatRequest, cancel: Cancel) -> ProviderStream {
        let prepared = Calls::of(&request, LOCAL).and_then(|calls| {
            let grammar = grammar(&request).map_err(|error| failed(&error))?;
            Ok((calls, grammar))
        });
        match prepared {
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
            Ok((None, _)) => self.write(request, None, cancel),
            Ok((Some(calls), grammar)) => {
                let request = as_text(request, Style::Bare);
                calls.taken_from(self.write(request, grammar, cancel))
            }
        }
    }
}

/// What the model may write if it is offered tools.
fn grammar(request: &ChatRequest) -> cairn_models::Result<Option<Arc<Grammar>>> {
    let tools = offered(request);
    if tools.is_empty() {
        return Ok(None);
    }
    let functions = tools
        .iter()
        .map(|tool| (tool.name.as_str(), &tool.parameters));
    let may_answer = request.tool_choice == ToolChoice::Auto;
    Grammar::calls(functions, may_answer).map(|grammar| Some(Arc::new(grammar)))
}

impl LocalProvider {
    /// Writes the next turn as text.
    fn write(
        &self,
        request: ChatRequest,
        grammar: Option<Arc<Grammar>>,
        cancel: Cancel,
    ) -> ProviderStream {
        let defaults = GenerateRequest::default();
        let request = GenerateRequest {
            messages: request.messages.into_iter().map(plain).collect(),
            max_tokens: request.max_tokens,
            temperature: request.temperature,
            top_p: request.top_p.unwrap_or(defaults.top_p),
            seed: request.seed.unwrap_or(defaults.seed),
            stop: request.stop,
            grammar,
            ..defaults
        };
        let (out, mut pieces) = mpsc::channel::<String>(PIECES);
        // The stream's own token, so that dropping it ends this call alone.
        let own = Cancel::never();
        let guard = CancelOnDrop::new(own.clone());
        let model = Arc::clone(&self.generator);
        let pending = self.worker.submit(move || {
            model.generate(&request, &own, &mut |text| {
                if out.blocking_send(text.to_owned()).is_err() {
                    own.cancel();
                }
            })
        });
        let model = self.generator.id().to_owned();
        async_stream::stream! {
            let _guard = guard;
            let pending = match pending {
                Ok(pending) => pending,
                Err(error) => {
                    yield Err(failed(&error));
                    return;
                }
            };
            loop {
                tokio::select! {
                    piece = pieces.recv() => match piece {
                        Some(text) => yield Ok(ProviderEvent::Delta(text)),
                        None => break,
                    },
                    () = cancel.cancelled() => {
                        yield Err(ProviderError::cancelled());
                        return;
                    }
                }
            }
            yield last(pending.await, model);
        }
        .boxed()
    }
}

/// A turn as the generator knows it.
fn plain(message: ChatMessage) -> Message {
    Message {
        role: match message.role {
            ChatRole::System => Role::System,
            ChatRole::Assistant => Role::Assistant,
            ChatRole::User | ChatRole::Tool => Role::User,
        },
        content: message.content,
    }
}

/// The last event of a call that came to its end.
fn last(
    ended: cairn_models::Result<Generation>,
    model: String,
) -> Result<ProviderEvent, ProviderError> {
    let generation = ended.map_err(|error| failed(&error))?;
    if generation.finish_reason == FinishReason::Cancelled {
        return Err(ProviderError::cancelled());
    }
    Ok(ProviderEvent::Done {
        finish: match generation.finish_reason {
            FinishReason::Length => Finish::Length,
            FinishReason::Stop | FinishReason::Cancelled => Finish::Stop,
        },
        usage: Some(Usage {
            prompt_tokens: generation.prompt_tokens,
            cached_prompt_tokens: 0,
            completion_tokens: generation.completion_tokens,
            ..Usage::default()
        }),
        model,
    })
}

/// A model's error for clients: its message may name files, so it goes to the
/// log.
fn failed(error: &Error) -> ProviderError {
    let (kind, message) = match error.kind() {
        ErrorKind::Overloaded => (
            ProviderErrorKind::RateLimited,
            "too many requests wait for the local model; try again in a few seconds",
        ),
        ErrorKind::Cancelled => return ProviderError::cancelled(),
        ErrorKind::InvalidInput => (
            ProviderErrorKind::TooLong,
            "the local model does not take this request; ask something shorter, or allow a call of a function more tokens",
        ),
        _ => (
            ProviderErrorKind::Failed,
            "the local model failed; the log of the service says why",
        ),
    };
    tracing::warn!(%error, "the local model did not answer");
    ProviderError {
        retry_after: (kind == ProviderErrorKind::RateLimited).then_some(RETRY_AFTER),
        ..ProviderError::new(kind, LOCAL, message)
    }
}

#[cfg(test)]
mod tests;
