//! Logs and metrics: what an operator sees of a running service.

mod logs;

pub use logs::{Question, Verbosity, init_logs};
