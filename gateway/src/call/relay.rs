//! What a target writes, under the limits between texts and for the whole call.

use cairn_models::Cancel;
use futures::{Stream, StreamExt as _};
use tokio::time::Instant;

use super::attempt::ended;
use super::begin::Begun;
use super::bounds::believable;
use super::estimate;
use super::written::{Overrun, Written, after_overrun};
use crate::accounts::CacheUse;
use crate::chat::{
    ChatEvent, ChatRequest, Finish, ProviderError, ProviderErrorKind, ProviderEvent, Served,
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
        let mut written = Written::new(request.max_tokens);
        let mut event = Ok(first);
        let cancelled = cancel.cancelled();
        let silence = tokio::time::sleep_until(end);
        tokio::pin!(cancelled, silence);
        let error = loop {
            let over = match event {
                // The model is at work.
                Ok(ProviderEvent::Delta(text)) if text.is_empty() => false,
                Ok(ProviderEvent::Delta(text)) => {
                    let (text, over) = written.take(text);
                    if !text.is_empty() || !over {
                        yield Ok(ChatEvent::Delta(text));
                    }
                    over
                }
                Ok(ProviderEvent::ToolCall(tool)) => {
                    // Half a call is none.
                    let over = written.take_whole(&[&tool.name, &tool.arguments]);
                    if !over {
                        yield Ok(ChatEvent::ToolCall(tool));
                    }
                    over
                }
                Ok(ProviderEvent::Done { finish, usage, model }) => {
                    permit.succeeded();
                    yield Ok(ChatEvent::Done(Box::new(Served {
                        provider: name.to_owned(),
                        model,
                        finish,
                        usage: usage
                            .and_then(|usage| believable(usage, request, written.bytes))
                            .unwrap_or_else(|| estimate::usage(request, written.tokens)),
                        cache: CacheUse::None,
                        retries,
                        fallbacks,
                        notes,
                    })));
                    return;
                }
                Err(error) => break error,
            };
            if over {
                let (usage, model) = match after_overrun(&mut stream, end).await {
                    Overrun::Ended { usage, model, bytes } => {
                        let received = written.bytes.saturating_add(bytes);
                        (usage.and_then(|usage| believable(usage, request, received)), model)
                    }
                    Overrun::Quiet { tokens } => {
                        written.tokens = written.tokens.saturating_add(tokens);
                        (None, target.model.clone())
                    }
                    Overrun::Flood => break flood(name, request.max_tokens),
                };
                permit.succeeded();
                let mut notes = notes;
                notes.push(format!(
                    "{name} wrote more than the {} tokens that were asked for, and was stopped",
                    request.max_tokens
                ));
                yield Ok(ChatEvent::Done(Box::new(Served {
                    provider: name.to_owned(),
                    model,
                    finish: Finish::Length,
                    usage: usage.unwrap_or_else(|| estimate::usage(request, written.tokens)),
                    cache: CacheUse::None,
                    retries,
                    fallbacks,
                    notes,
                })));
                return;
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

fn flood(name: &str, max_tokens: usize) -> ProviderError {
    let message = format!(
        "{name} wrote far more than the {max_tokens} tokens that were asked for, and did not end"
    );
    ProviderError::new(ProviderErrorKind::TooLarge, name, message)
}

fn late(name: &str, what: &str, key: &str) -> ProviderError {
    let message = format!("{name} {what}; try again, or raise {key} in [deadlines]");
    ProviderError::new(ProviderErrorKind::Timeout, name, message)
}
