//! The local generator as a provider: one model on one thread behind a bounded
//! queue. A full queue is an answer (`RateLimited`), not a wait without end.

use std::sync::Arc;
use std::time::Duration;

use cairn_models::{Cancel, ErrorKind, FinishReason, GenerateRequest, Generator};
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::{
    ChatRequest, ChatStream, Provider, ProviderError, ProviderErrorKind, ProviderEvent, Usage,
};

/// Pieces of text that may wait for a slow reader before the model waits too.
const PIECES: usize = 64;

struct Job {
    request: GenerateRequest,
    cancel: Cancel,
    out: mpsc::Sender<Result<ProviderEvent, ProviderError>>,
}

/// A [`Generator`] that answers chats, one at a time.
pub struct LocalProvider {
    generator: Arc<dyn Generator>,
    queue: mpsc::Sender<Job>,
}

impl LocalProvider {
    /// Starts the model's thread; at most `waiting` chats queue for it.
    pub fn new(generator: Arc<dyn Generator>, waiting: usize) -> std::io::Result<Self> {
        let (queue, mut jobs) = mpsc::channel::<Job>(waiting.max(1));
        let model = Arc::clone(&generator);
        std::thread::Builder::new()
            .name("generator".to_owned())
            .spawn(move || {
                while let Some(job) = jobs.blocking_recv() {
                    run(&*model, job);
                }
            })?;
        Ok(Self { generator, queue })
    }

    /// Tokens in `text` as this model counts them.
    pub fn count_tokens(&self, text: &str) -> cairn_models::Result<usize> {
        self.generator.count_tokens(text)
    }
}

impl Provider for LocalProvider {
    fn name(&self) -> &str {
        super::LOCAL
    }

    fn context_tokens(&self) -> usize {
        self.generator.context_tokens()
    }

    fn chat(&self, request: ChatRequest, cancel: Cancel) -> ChatStream {
        let (out, mut pieces) = mpsc::channel(PIECES);
        // The stream's own token, so that dropping it ends this call alone.
        let own = Cancel::never();
        let job = Job {
            request: GenerateRequest {
                messages: request.messages,
                max_tokens: request.max_tokens,
                temperature: request.temperature,
                stop: request.stop,
                ..GenerateRequest::default()
            },
            cancel: own.clone(),
            out,
        };
        let sent = self.queue.try_send(job);
        let guard = CancelOnDrop(own);
        Box::pin(async_stream::stream! {
            let _guard = guard;
            if let Err(full) = sent {
                yield Err(match full {
                    mpsc::error::TrySendError::Full(_) => ProviderError {
                        kind: ProviderErrorKind::RateLimited,
                        message: "the local model has too many requests waiting; try again in a few seconds".to_owned(),
                        retry_after: Some(Duration::from_secs(5)),
                    },
                    mpsc::error::TrySendError::Closed(_) => ProviderError {
                        kind: ProviderErrorKind::Unreachable,
                        message: "the local model has stopped; restart the service".to_owned(),
                        retry_after: None,
                    },
                });
                return;
            }
            let mut ended = false;
            loop {
                let piece = tokio::select! {
                    piece = pieces.recv() => piece,
                    () = super::cancelled(&cancel) => {
                        yield Err(ProviderError::cancelled());
                        return;
                    }
                };
                let Some(piece) = piece else { break };
                ended = !matches!(piece, Ok(ProviderEvent::Delta(_)));
                yield piece;
            }
            if !ended {
                yield Err(ProviderError {
                    kind: ProviderErrorKind::Unreachable,
                    message: "the local model broke off; see the log of the service".to_owned(),
                    retry_after: None,
                });
            }
        }.boxed())
    }
}

fn run(model: &dyn Generator, job: Job) {
    if job.cancel.is_cancelled() || job.out.is_closed() {
        return;
    }
    let cancel = job.cancel.clone();
    let out = &job.out;
    // A generator that panics takes its answer with it, not the thread.
    let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        model.generate(&job.request, &job.cancel, &mut |text| {
            if out
                .blocking_send(Ok(ProviderEvent::Delta(text.to_owned())))
                .is_err()
            {
                cancel.cancel();
            }
        })
    }));
    let last = match written {
        Ok(Ok(generation)) if generation.finish_reason == FinishReason::Cancelled => {
            Err(ProviderError::cancelled())
        }
        Ok(Ok(generation)) => Ok(ProviderEvent::Done {
            finish: generation.finish_reason,
            usage: Usage {
                prompt_tokens: generation.prompt_tokens,
                completion_tokens: generation.completion_tokens,
                cost_usd: 0.0,
            },
            model: model.id().to_owned(),
        }),
        Ok(Err(error)) => Err(ProviderError {
            kind: match error.kind() {
                ErrorKind::Overloaded => ProviderErrorKind::RateLimited,
                ErrorKind::Cancelled => ProviderErrorKind::Cancelled,
                ErrorKind::InvalidInput => ProviderErrorKind::Rejected,
                _ => ProviderErrorKind::Unreachable,
            },
            message: format!("the local model failed: {error}"),
            retry_after: None,
        }),
        Err(_) => return,
    };
    // Nobody listens any more: nothing to tell.
    let _ = out.blocking_send(last);
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
