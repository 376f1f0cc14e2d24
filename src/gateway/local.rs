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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};

    use cairn_models::{Error, Generation};

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
            model: None,
            messages: Vec::new(),
            max_tokens: 1,
            temperature: 0.0,
            stop: Vec::new(),
        }
    }

    async fn last(mut stream: ChatStream) -> ProviderError {
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
            assert_eq!(error.kind, ProviderErrorKind::Unreachable);
            model.wait_for_start(count);
        }
    }

    #[tokio::test]
    async fn errors_keep_their_kind() {
        for (kind, expected) in [
            (ErrorKind::InvalidInput, ProviderErrorKind::Rejected),
            (ErrorKind::Overloaded, ProviderErrorKind::RateLimited),
            (ErrorKind::Machine, ProviderErrorKind::Unreachable),
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
