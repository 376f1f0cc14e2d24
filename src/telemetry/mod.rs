//! Logs and metrics: what an operator sees of a running service.

mod logs;
pub mod metrics;

pub use logs::{Question, Verbosity, init_logs};
