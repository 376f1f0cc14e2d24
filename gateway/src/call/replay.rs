//! An earlier answer as a stream.

use super::super::accounts::CacheUse;
use super::super::cache::Answer;
use super::super::chat::{ChatEvent, Served};

/// The events of `answer`, found in the cache as `cache` says. Its usage is
/// what it took when it was written; it costs nothing now.
pub(super) fn replay(answer: &Answer, cache: CacheUse, notes: Vec<String>) -> Vec<ChatEvent> {
    let mut events = answer.pieces();
    let mut usage = answer.usage;
    usage.cost_usd = 0.0;
    events.push(ChatEvent::Done(Box::new(Served {
        provider: answer.provider.clone(),
        model: answer.model.clone(),
        finish: answer.finish,
        usage,
        cache,
        retries: 0,
        fallbacks: 0,
        notes,
    })));
    events
}
