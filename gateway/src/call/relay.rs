//! What a target writes, under the limits between texts and for the whole call.

use cairn_models::Cancel;
use futures::{Stream, StreamExt as _};
use tokio::time::Instant;

use super::attempt::ended;
use super::begin::Begun;
use super::bounds::bounded;
use super::estimate;
use crate::accounts::CacheUse;
use crate::cancelled;
use crate::chat::{
    ChatEvent, ChatRequest, ProviderError, ProviderErrorKind, ProviderEvent, Served,
};

/// The events of a target that has begun, until its last one.
pub(super) fn relay<'a>(
    begun: Begun,
    request: &'a ChatRequest,
    cancel: &'a Cancel,
) -> std::pin::Pin<Box<impl Stream<Item = Result<ChatEvent, ProviderError>> + Send + use<'a>>> {
    Box::pin(async_stream::stream! {
        let Begun { target, first, mut stream, permit, route, end, retries, fallbacks, notes } = begun;
        let name = target.provider.name();
        let limits = route.limits;
        let mut written = Written::default();
        let mut event = Ok(first);
        let cancelled = cancelled(cancel);
        let silence = tokio::time::sleep_until(end);
        tokio::pin!(cancelled, silence);
        let error = loop {
            match event {
                // The model is at work.
                Ok(ProviderEvent::Delta(text)) if text.is_empty() => {}
                Ok(ProviderEvent::Delta(text)) => {
                    written.add(&text);
                    yield Ok(ChatEvent::Delta(text));
                }
                Ok(ProviderEvent::ToolCall(tool)) => {
                    written.add(&tool.name);
                    written.add(&tool.arguments);
                    yield Ok(ChatEvent::ToolCall(tool));
                }
                Ok(ProviderEvent::Done { finish, usage, model }) => {
                    permit.succeeded();
                    yield Ok(ChatEvent::Done(Box::new(Served {
                        provider: name.to_owned(),
                        model,
                        finish,
                        usage: match usage {
                            Some(usage) => bounded(usage, request, written.bytes),
                            None => estimate::usage(request, written.tokens),
                        },
                        cache: CacheUse::None,
                        retries,
                        fallbacks,
                        notes,
                    })));
                    return;
                }
                Err(error) => break error,
            }
            let until = (Instant::now() + limits.token).min(end);
            silence.as_mut().reset(until);
            event = tokio::select! {
                biased;
                event = stream.next() => event.unwrap_or_else(|| Err(ended(name))),
                () = &mut cancelled => Err(ProviderError::cancelled()),
                () = &mut silence => Err(match until < end {
                    true => late(name, &format!("fell silent for {:.1} s", limits.token.as_secs_f32()), "token_ms"),
                    false => late(name, &format!("did not finish within {:.1} s", limits.total.as_secs_f32()), "total_ms"),
                }),
            };
        };
        if error.kind.blames_target() {
            permit.failed(error.retry_after, Instant::now());
        }
        yield Err(written.cut_by(error));
    })
}

/// How much was passed on.
#[derive(Default)]
struct Written {
    characters: usize,
    bytes: usize,
    tokens: usize,
}

impl Written {
    fn add(&mut self, text: &str) {
        self.characters += text.chars().count();
        self.bytes += text.len();
        self.tokens += estimate::tokens(text);
    }

    /// What a client is told that has half an answer already.
    fn cut_by(&self, error: ProviderError) -> ProviderError {
        if self.characters == 0 || error.kind == ProviderErrorKind::Cancelled {
            return error;
        }
        ProviderError {
            message: format!(
                "{}; {} characters of the answer had been sent",
                error.message, self.characters
            ),
            ..error
        }
    }
}

fn late(name: &str, what: &str, key: &str) -> ProviderError {
    let message = format!("{name} {what}; try again, or raise {key} in [deadlines]");
    ProviderError::new(ProviderErrorKind::Timeout, name, message)
}
