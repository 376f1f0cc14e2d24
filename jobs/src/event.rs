//! What happened to a job, in order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::{Progress, State};

/// How a job stood after a change. Each is complete in itself: a consumer that missed some
/// knows from the latest one what there is to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Grows with every change of the job, from 1. Numbers may be missing: reports of
    /// progress replace the one before, and only the latest 256 events are kept.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The state.
    pub state: State,
    /// The stage.
    pub stage: Option<String>,
    /// Attempts started.
    pub attempts: u32,
    /// How far it is.
    pub progress: Progress,
    /// Documents that failed.
    pub document_errors: u64,
    /// The latest error, where there was one.
    pub error: Option<String>,
}
