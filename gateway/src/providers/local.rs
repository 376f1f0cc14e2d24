//! The local generator as a provider: one model on one thread behind a bounded
//! queue. A full queue is an answer (`RateLimited`), not a wait without end.

use std::sync::Arc;
use std::time::Duration;

use cairn_models::{
    Cancel, Error, ErrorKind, FinishReason, GenerateRequest, Generation, Generator, Message, Role,
    Worker,
};
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::super::chat::{
    ChatMessage, ChatRequest, ChatRole, Finish, Provider, ProviderError, ProviderErrorKind,
    ProviderEvent, ProviderStream, Usage,
};
use super::super::{LOCAL, cancelled};

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
        request.parameter_besides(&[])
    }

    fn chat(&self, request: ChatRequest, cancel: Cancel) -> ProviderStream {
        if !request.tools.is_empty() {
            let message = "the local model knows no tools; leave them out or ask another provider";
            let error = ProviderError::new(ProviderErrorKind::Rejected, LOCAL, message);
            return futures::stream::iter([Err(error)]).boxed();
        }
        let defaults = GenerateRequest::default();
        let request = GenerateRequest {
            messages: request.messages.into_iter().map(plain).collect(),
            max_tokens: request.max_tokens,
            temperature: request.temperature,
            top_p: request.top_p.unwrap_or(defaults.top_p),
            seed: request.seed.unwrap_or(defaults.seed),
            stop: request.stop,
            ..defaults
        };
        let (out, mut pieces) = mpsc::channel::<String>(PIECES);
        // The stream's own token, so that dropping it ends this call alone.
        let own = Cancel::never();
        let guard = CancelOnDrop(own.clone());
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
                    () = cancelled(&cancel) => {
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

/// A turn as the generator knows it. Results of tools, which an earlier model
/// of the conversation may have asked for, are what the user brought.
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
            "the local model does not take this request; ask something shorter",
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

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// Writes words until it is cancelled; counts what it started and ended.
    #[derive(Default)]
    struct Endless {
        started: (Mutex<usize>, Condvar),
        cancelled: AtomicUsize,
        panics: bool,
        fails: Option<ErrorKind>,
    }

    impl Endless {
        fn wait_for_start(&self, count: usize) {
            let (started, changed) = &self.started;
            let enough = changed.wait_while(started.lock().unwrap(), |n| *n < count);
            drop(enough.unwrap());
        }
    }

    impl Generator for Endless {
        fn id(&self) -> &str {
            "endless"
        }

        fn context_tokens(&self) -> usize {
            100
        }

        fn count_tokens(&self, text: &str) -> cairn_models::Result<usize> {
            Ok(text.len())
        }

        fn generate(
            &self,
            _request: &GenerateRequest,
            cancel: &Cancel,
            on_text: &mut dyn FnMut(&str),
        ) -> cairn_models::Result<Generation> {
            *self.started.0.lock().unwrap() += 1;
            self.started.1.notify_all();
            assert!(!self.panics, "a defect of the model");
            if let Some(kind) = self.fails {
                return Err(Error::new(kind, "on purpose"));
            }
            while !cancel.is_cancelled() {
                on_text("word ");
            }
            self.cancelled.fetch_add(1, Ordering::SeqCst);
            Ok(Generation {
                finish_reason: FinishReason::Cancelled,
                prompt_tokens: 0,
                completion_tokens: 0,
                first_token: Duration::ZERO,
            })
        }
    }

    fn request() -> ChatRequest {
        ChatRequest {
            max_tokens: 1,
            ..ChatRequest::default()
        }
    }

    async fn last(mut stream: ProviderStream) -> ProviderError {
        loop {
            match stream.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error,
                None => panic!("ended without an end"),
            }
        }
    }

    #[tokio::test]
    async fn a_full_queue_is_an_answer_and_dropping_frees_it() {
        let model = Arc::new(Endless::default());
        let provider = LocalProvider::new(model.clone(), 1).unwrap();
        let mut first = provider.chat(request(), Cancel::never());
        assert!(matches!(
            first.next().await,
            Some(Ok(ProviderEvent::Delta(_)))
        ));
        let mut second = provider.chat(request(), Cancel::never());
        let full = last(provider.chat(request(), Cancel::never())).await;
        assert_eq!(full.kind, ProviderErrorKind::RateLimited);
        assert!(full.retry_after.is_some());
        drop(first);
        assert!(matches!(
            second.next().await,
            Some(Ok(ProviderEvent::Delta(_)))
        ));
        assert_eq!(model.cancelled.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn cancelling_ends_the_call() {
        let model = Arc::new(Endless::default());
        let provider = LocalProvider::new(model.clone(), 1).unwrap();
        let cancel = Cancel::never();
        let stream = provider.chat(request(), cancel.clone());
        model.wait_for_start(1);
        cancel.cancel();
        assert_eq!(last(stream).await.kind, ProviderErrorKind::Cancelled);
    }

    #[tokio::test]
    async fn a_panic_ends_one_answer_and_not_the_thread() {
        let model = Arc::new(Endless {
            panics: true,
            ..Endless::default()
        });
        let provider = LocalProvider::new(model.clone(), 4).unwrap();
        for count in 1..=2 {
            let error = last(provider.chat(request(), Cancel::never())).await;
            assert_eq!(error.kind, ProviderErrorKind::Failed);
            model.wait_for_start(count);
        }
    }

    #[tokio::test]
    async fn errors_keep_their_kind() {
        for (kind, expected) in [
            (ErrorKind::InvalidInput, ProviderErrorKind::TooLong),
            (ErrorKind::Overloaded, ProviderErrorKind::RateLimited),
            (ErrorKind::Machine, ProviderErrorKind::Failed),
        ] {
            let model = Endless {
                fails: Some(kind),
                ..Endless::default()
            };
            let provider = LocalProvider::new(Arc::new(model), 1).unwrap();
            assert_eq!(
                last(provider.chat(request(), Cancel::never())).await.kind,
                expected
            );
        }
    }
}
