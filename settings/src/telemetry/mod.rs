//! Logs, metrics and traces: what an operator sees of a running service; and
//! what is masked before anybody sees it.

mod logs;
pub mod metrics;
pub mod redact;
mod traces;

pub use logs::{Question, Verbosity, init_logs};
pub use traces::{REQUEST_SPAN, TRACE_TARGET, Traces, begin_request, end_request, finish_traces};
