//! Milliseconds by stage, for the response and the metrics.

use std::time::{Duration, Instant};

use cairn_settings::telemetry::milliseconds;

use super::api::Timings;

/// How long each stage of a search took.
#[derive(Default)]
pub(super) struct Clock {
    timings: Timings,
}

impl Clock {
    /// Records that `stage` took `took`.
    pub(super) fn note(&mut self, stage: &'static str, took: Duration) {
        metrics::histogram!("cairn_stage_seconds", "stage" => stage).record(took.as_secs_f64());
        self.timings.insert(stage.to_owned(), milliseconds(took));
    }

    /// The records, with `total` since `start`.
    pub(super) fn finish(mut self, start: Instant) -> Timings {
        self.note("total", start.elapsed());
        self.timings
    }
}

/// The result of `work`, and how long it took.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}
