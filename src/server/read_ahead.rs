//! Reads passages for re-ranking while the service runs, so that questions compare instead
//! of reading: one thread, on one core, for half of the time.

use std::collections::HashMap;
use std::time::Duration;

use cairn_engine::retrieve::{Engine, ReadAhead, SearchErrorKind};
use cairn_models::{Cancel, Effort};
use metrics::gauge;
use tokio_util::sync::{CancellationToken, DropGuard};

use cairn_settings::telemetry::metrics as names;

/// How often it looks for commits, and how long it waits after a failure.
const LOOK: Duration = Duration::from_secs(1);

/// Longest rest after one step.
const MAX_REST: Duration = Duration::from_millis(500);

/// Ends the thread when it is dropped.
#[derive(Debug)]
pub(super) struct Reader {
    _stop: DropGuard,
}

impl Reader {
    /// Starts the thread over all open collections of `engine`.
    ///
    /// # Errors
    /// When the machine has no thread for it.
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let cancel = Cancel::default();
        let stopped = stop.clone();
        let run = move || {
            // The last commit of each collection that was read to its end.
            let mut seen = HashMap::new();
            while !stopped.is_cancelled() {
                look(&engine, &stopped, &cancel, &mut seen);
                std::thread::sleep(LOOK);
            }
        };
        std::thread::Builder::new()
            .name("read ahead".into())
            .spawn(run)?;
        Ok(Self {
            _stop: stop.drop_guard(),
        })
    }
}

fn look(
    engine: &Engine,
    stopped: &CancellationToken,
    cancel: &Cancel,
    seen: &mut HashMap<String, u64>,
) {
    for (name, index) in engine.open_collections() {
        let generation = index.snapshot().generation();
        if seen.get(&name) == Some(&generation) {
            continue;
        }
        let step = &mut |step, worked| {
            show(&name, step);
            if stopped.is_cancelled() {
                cancel.cancel();
                return;
            }
            // As long as it worked: the other half is for questions.
            std::thread::sleep(MAX_REST.min(worked));
        };
        match engine.read_ahead(&name, Effort::OneCore, cancel, step) {
            Ok(Some(done)) => {
                show(&name, done);
                seen.insert(name, generation);
            }
            // Another process reads, or there is nothing to read.
            Ok(None) => {}
            Err(error) if error.kind() == SearchErrorKind::Cancelled => return,
            Err(error) => {
                tracing::info!(collection = name, %error, "passages are not read ahead");
                // Not every second: until the next commit.
                seen.insert(name, generation);
            }
        }
    }
}

fn show(collection: &str, step: ReadAhead) {
    let gauge = |name| gauge!(name, "collection" => collection.to_owned());
    gauge(names::PASSAGES_READ).set(step.read as f64);
    gauge(names::PASSAGES).set(step.chunks as f64);
}
