//! Logs, metrics and traces: what an operator sees of a running service; and
//! what is masked before anybody sees it.

mod logs;
pub mod metrics;
pub mod redact;
mod traces;

use std::time::Duration;

pub use logs::{Question, Verbosity, init_logs};
pub use traces::{REQUEST_SPAN, TRACE_TARGET, Traces, begin_request, end_request, finish_traces};

/// `duration` in milliseconds, to the microsecond: clocks are not more precise, and further
/// digits are noise.
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
