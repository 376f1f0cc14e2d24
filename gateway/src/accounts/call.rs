//! What is known of one call to a model: before it, and after it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::caller::KeyId;
use crate::Usage;

/// What a call will take at most, before it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Most tokens of the answer.
    pub max_completion_tokens: usize,
}

impl Estimate {
    /// Both together.
    pub fn tokens(self) -> u64 {
        self.prompt_tokens
            .saturating_add(self.max_completion_tokens) as u64
    }
}

/// What a call is for, and which target is asked first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallInfo {
    /// The `x-request-id` of the request that it belongs to; empty if none.
    pub request_id: String,
    /// The route of the gateway: `answer`, `rewrite`, `chat`, ...
    pub route: String,
    /// The provider of the first target.
    pub provider: String,
    /// The model of the first target.
    pub model: String,
}

/// The ids of the calls that were made for one thing: filled as they are admitted.
/// Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct CallIds(Arc<Mutex<Vec<Uuid>>>);

impl CallIds {
    /// One more.
    pub(crate) fn add(&self, id: Uuid) {
        self.lock().push(id);
    }

    /// Those so far.
    pub fn all(&self) -> Vec<Uuid> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Uuid>> {
        // A list is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an answer came from, if not from a provider.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum CacheUse {
    /// A provider wrote it.
    #[default]
    None,
    /// The same request was answered before.
    Exact,
    /// One that means the same was answered before.
    Semantic,
    /// An old answer, because no provider could be reached.
    Stale,
}

impl CacheUse {
    /// Whether a provider wrote it.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// As it stands in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Exact => "exact",
            Self::Semantic => "semantic",
            Self::Stale => "stale",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It has not ended; or the process that made it was killed.
    #[default]
    Open,
    /// With a whole answer.
    Done,
    /// Every target failed.
    Failed,
    /// The client cancelled it.
    Cancelled,
    /// The stream was dropped before its end.
    Broken,
}

impl Outcome {
    /// As it stands in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Broken => "broken",
        }
    }
}

/// What is known of a call, for the ledger, the log and the metrics. It holds
/// no text of a question or an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallRecord {
    /// Time-ordered; the ledger's primary key, so that a call counts once.
    pub call_id: Uuid,
    /// When it was admitted.
    #[serde(skip)]
    pub at: SystemTime,
    /// The request that it belongs to.
    pub request_id: String,
    /// Who called.
    pub key: Option<KeyId>,
    /// Whose key it is.
    pub tenant: String,
    /// The route of the gateway.
    pub route: String,
    /// Who answered.
    pub provider: String,
    /// The model that answered, as the provider says.
    pub model: String,
    /// Tokens and money.
    pub usage: Usage,
    /// From admission to the end.
    pub latency: Duration,
    /// From admission to the first token.
    pub ttft: Option<Duration>,
    /// Whether a cache answered.
    pub cache: CacheUse,
    /// Attempts beyond the first on the same target.
    pub retries: u32,
    /// Targets that were given up.
    pub fallbacks: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Why the answer ended (`stop`, `length`, ...), or the kind of the error.
    pub finish: String,
}
