//! The way of one call through the gateway.

use std::sync::Arc;

use cairn_models::Cancel;
use futures::StreamExt as _;
use metrics::counter;

use super::super::accounts::CacheUse;
use super::super::cache::{Answer, Lookup, lookup};
use super::super::chat::{ChatEvent, ChatRequest, ChatStream, ProviderError, ProviderErrorKind};
use super::super::routes::Plan;
use super::metering::Metered;
use super::replay::replay;
use super::{Call, CallContext, begin, relay};
use cairn_settings::config::CacheMode;
use cairn_settings::telemetry::metrics as names;

/// Runs `request` by `plan`.
pub(crate) fn run(
    context: CallContext,
    plan: Plan,
    request: ChatRequest,
    call: Call,
    cancel: Cancel,
) -> ChatStream {
    async_stream::stream! {
        let admitted = Metered::admit(&context.accounts, &plan, &request, &call).await;
        let mut metered = match admitted {
            Ok(metered) => metered,
            Err(error) => {
                yield Err(error);
                return;
            }
        };
        let Some(lookup) = cacheable(&context, &plan, &request, &call) else {
            let mut events = direct(plan, request, call, cancel, metered);
            while let Some(event) = events.next().await {
                yield event;
            }
            return;
        };
        let (hit, vector) = look(&context, &lookup).await;
        if let Some((answer, how)) = hit {
            metered.is_free();
            for event in replay(&answer, how, Vec::new()) {
                let mut event = Ok(event);
                metered.note(&mut event);
                yield event;
            }
            return;
        }
        // The first one takes the admission along; the others settle their
        // own, for nothing.
        let mut own = Some(metered);
        let (mut reader, joined) = context.flights.join(lookup.key, || {
            let metered = own.take();
            shared(context.clone(), plan, request, call, metered, lookup, vector)
        });
        count(if joined { "joined" } else { "miss" });
        if let Some(metered) = &mut own {
            metered.is_free();
        }
        let cancelled = cancel.cancelled();
        tokio::pin!(cancelled);
        loop {
            let event = tokio::select! {
                biased;
                event = reader.next() => event,
                () = &mut cancelled => Some(Err(ProviderError::cancelled())),
            };
            let mut event = event.unwrap_or_else(|| {
                let message = "the call ended in the middle; the log of the service says why";
                Err(ProviderError::new(ProviderErrorKind::Failed, "", message))
            });
            if let Some(metered) = &mut own {
                if let Ok(ChatEvent::Done(served)) = &mut event {
                    served.cache = CacheUse::Exact;
                }
                metered.note(&mut event);
            }
            let last = !matches!(event, Ok(ChatEvent::Delta(_) | ChatEvent::ToolCall(_)));
            yield event;
            if last {
                return;
            }
        }
    }
    .boxed()
}

/// What to look for, where an earlier answer will do.
fn cacheable(
    context: &CallContext,
    plan: &Plan,
    request: &ChatRequest,
    call: &Call,
) -> Option<Lookup> {
    context.cache.as_ref()?;
    let mode = plan.route.cache;
    // A sampling caller wants another answer each time.
    let sampled = request.temperature > 0.0 && request.seed.is_none();
    if mode == CacheMode::Off || call.reuse.never || sampled {
        return None;
    }
    Some(lookup(plan, request, call, mode == CacheMode::Semantic))
}

type Found = Option<(Arc<Answer>, CacheUse)>;

async fn look(context: &CallContext, lookup: &Lookup) -> (Found, Option<Arc<[f32]>>) {
    let Some(cache) = &context.cache else {
        return (None, None);
    };
    if let Some(answer) = cache.exact(&lookup.key) {
        count("exact");
        return (Some((answer, CacheUse::Exact)), None);
    }
    let (answer, vector) = cache.semantic(lookup).await;
    if let Some(answer) = answer {
        count("semantic");
        return (Some((answer, CacheUse::Semantic)), None);
    }
    (None, vector)
}

/// A call that is not shared with others.
fn direct(
    plan: Plan,
    request: ChatRequest,
    call: Call,
    cancel: Cancel,
    mut metered: Metered,
) -> ChatStream {
    async_stream::stream! {
        match begin::begin(&plan, &request, &call, &cancel, &mut metered).await {
            Err(error) => {
                let mut event = Err(error);
                metered.note(&mut event);
                yield event;
            }
            Ok(begun) => {
                let mut events = relay::relay(begun, &request, &cancel);
                while let Some(mut event) = events.next().await {
                    metered.note(&mut event);
                    let failed = event.is_err();
                    yield event;
                    if failed {
                        return;
                    }
                }
            }
        }
    }
    .boxed()
}

/// A call that others may read along, and whose answer is kept. When nobody
/// answers, an old answer is better than none.
fn shared(
    context: CallContext,
    plan: Plan,
    request: ChatRequest,
    call: Call,
    metered: Option<Metered>,
    lookup: Lookup,
    vector: Option<Arc<[f32]>>,
) -> ChatStream {
    async_stream::stream! {
        let (Some(mut metered), Some(cache)) = (metered, context.cache) else {
            return;
        };
        // Readers come and go; the call ends when the last one is gone.
        let cancel = Cancel::never();
        match begin::begin(&plan, &request, &call, &cancel, &mut metered).await {
            Err(error) => {
                let old = error.kind.falls_over().then(|| cache.stale(&lookup.key)).flatten();
                let Some(answer) = old else {
                    let mut event = Err(error);
                    metered.note(&mut event);
                    yield event;
                    return;
                };
                count("stale");
                metered.is_free();
                let note = format!("no language model answered ({error}); this is an earlier answer");
                for event in replay(&answer, CacheUse::Stale, vec![note]) {
                    let mut event = Ok(event);
                    metered.note(&mut event);
                    yield event;
                }
            }
            Ok(begun) => {
                let mut seen = Vec::new();
                let mut events = relay::relay(begun, &request, &cancel);
                while let Some(mut event) = events.next().await {
                    metered.note(&mut event);
                    if let Ok(event) = &event {
                        seen.push(event.clone());
                        if let ChatEvent::Done(_) = event
                            && let Some(answer) = Answer::of(&seen)
                        {
                            cache.put(&lookup, vector.clone(), Arc::new(answer));
                        }
                    }
                    let failed = event.is_err();
                    yield event;
                    if failed {
                        return;
                    }
                }
            }
        }
    }
    .boxed()
}

fn count(result: &'static str) {
    counter!(names::LLM_CACHE, "result" => result).increment(1);
}
