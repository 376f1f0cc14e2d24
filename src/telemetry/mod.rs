//! Logs, metrics and traces: what an operator sees of a running service; and
//! what is masked before anybody sees it.

mod logs;
pub mod metrics;
pub mod redact;

pub use logs::{Question, Verbosity, init_logs};

/// The target of spans that go into traces and are of no use in the log.
pub const TRACE_TARGET: &str = "cairn::trace";
