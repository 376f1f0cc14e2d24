//! Many chats to be answered in their own time: stored at once, polled for, answered one by one
//! by whoever works on the batch.
//!
//! An item is `waiting` until its result is on the disk, so whoever takes over from a worker
//! that was stopped or killed goes on where it was. An item that was under way then is asked
//! again.

mod batches;
mod store;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::accounts::{AccountsError, KeyId};

pub use batches::Batches;

/// Most items of one batch.
pub const MAX_ITEMS: usize = 10_000;

/// One chat of a batch that is submitted.
#[derive(Clone, Debug, PartialEq)]
pub struct NewItem {
    /// The caller's own name for it, unique in its batch.
    pub custom_id: String,
    /// The chat.
    pub request: Value,
}

/// How far a batch is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct BatchInfo {
    /// Its id.
    pub id: String,
    /// `in_progress`, `completed` or `cancelled`.
    pub status: &'static str,
    /// The job that answers it.
    #[serde(rename = "job_id", skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Milliseconds since 1970, like the time below.
    pub created_at: i64,
    /// When the last item ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// Items by what became of them.
    pub counts: BatchCounts,
    /// Who submitted it.
    #[serde(skip)]
    pub key: Option<KeyId>,
}

/// Items of a batch by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct BatchCounts {
    /// All of them.
    pub total: u64,
    /// Not ended yet.
    pub waiting: u64,
    /// Answered.
    pub done: u64,
    /// Without an answer.
    pub failed: u64,
    /// Cancelled before they were answered.
    pub cancelled: u64,
}

/// One item and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct BatchItem {
    /// The caller's own name for it.
    pub custom_id: String,
    /// `waiting`, `done`, `failed` or `cancelled`.
    pub state: String,
    /// The response of an item that is `done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub response: Option<Value>,
    /// The error of an item that `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub error: Option<Value>,
}

/// A batch that somebody begins to work on, or goes on with.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    /// How far it is.
    pub info: BatchInfo,
    /// How long ago it was submitted.
    pub age: Duration,
    /// Bytes of the requests that wait, as JSON.
    pub bytes_waiting: u64,
    /// Items that have failed, and their errors.
    pub failed: Vec<(String, Value)>,
}

/// An item that waits for its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Its place in the batch.
    pub n: i64,
    /// The caller's own name for it.
    pub custom_id: String,
    /// The chat.
    pub request: Value,
    /// Bytes of the request as JSON.
    pub bytes: u64,
}

/// What can go wrong with batches.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The batch makes no sense; the message is for clients.
    #[error("{0}")]
    Invalid(String),
    /// There is no such batch, or not of this caller.
    #[error("there is no batch `{0}`")]
    NotFound(String),
    /// The database fails.
    #[error(transparent)]
    Storage(#[from] AccountsError),
    /// The disk does not keep up.
    #[error("the database of batches is busy")]
    Busy,
    /// A thread of the service died.
    #[error("a thread of the service died")]
    Internal,
}
