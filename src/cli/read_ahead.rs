//! Reading passages for re-ranking, with its progress: what `index` does after its last
//! commit, and `eval` before its first question.

use cairn_engine::retrieve::{Engine, ReadAhead, SearchError, SearchErrorKind};
use cairn_models::{Cancel, Effort};

use super::context::Context;
use super::ticker::Ticker;

/// Reads what is not read yet of the collection `name`; stops when `cancel` says so, and
/// what was read is kept. `None` where there is nothing to do, or another process at it.
///
/// # Errors
/// Those of [`Engine::read_ahead`], but for the cancellation.
pub(super) fn read_ahead(
    context: &Context,
    engine: &Engine,
    name: &str,
    cancel: &Cancel,
) -> Result<Option<ReadAhead>, SearchError> {
    let mut ticker = None;
    let result = engine.read_ahead(name, Effort::Full, cancel, &mut |step, _| {
        let ticker = ticker.get_or_insert_with(|| {
            Ticker::new(context, "Reading passages for re-ranking", step.chunks)
        });
        ticker.set(step.read, step.chunks);
    });
    match result {
        Err(error) if error.kind() == SearchErrorKind::Cancelled => Ok(None),
        result => result,
    }
}
