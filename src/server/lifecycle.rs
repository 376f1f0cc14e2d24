//! From start to stop: what the service does right now, for `/ready` and the
//! page, and how it is told to stop.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

/// Where the service is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Models are fetched and loaded; questions get `not_ready`.
    Starting,
    /// Questions are answered.
    Ready,
    /// No new work is taken; open streams may end.
    Stopping,
}

/// An indexing run that goes on alongside the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct IndexingProgress {
    /// Files that are done.
    pub files_done: u64,
    /// Files that were found.
    pub files_total: u64,
    /// Chunks that are done.
    pub chunks: u64,
}

/// What `/ready` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether questions are answered now.
    pub ready: bool,
    /// Where the service is in its life.
    pub phase: Phase,
    /// What it does alongside answering, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity: Option<String>,
    /// The indexing run that goes on, if one does: answers know only what is
    /// committed so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indexing: Option<IndexingProgress>,
}

#[derive(Debug, Default)]
struct Now {
    ready: bool,
    activity: Option<String>,
    indexing: Option<IndexingProgress>,
}

/// Shared by the command that starts the service and the routes.
#[derive(Debug, Default)]
pub struct Lifecycle {
    now: Mutex<Now>,
    readied: CancellationToken,
    stopping: CancellationToken,
    abort: CancellationToken,
}

impl Lifecycle {
    /// Says that questions are answered from now on.
    pub fn set_ready(&self) {
        self.lock().ready = true;
        self.readied.cancel();
    }

    /// Says what is being done, or that nothing is.
    pub fn set_activity(&self, activity: Option<String>) {
        self.lock().activity = activity;
    }

    /// Says how far an indexing run is, or that none goes on.
    pub fn set_indexing(&self, progress: Option<IndexingProgress>) {
        self.lock().indexing = progress;
    }

    /// Takes no new work; open streams may end.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Ends open streams too.
    pub fn abort(&self) {
        self.stopping.cancel();
        self.abort.cancel();
    }

    /// Fires with [`Lifecycle::set_ready`].
    pub fn readied(&self) -> &CancellationToken {
        &self.readied
    }

    /// Fires with [`Lifecycle::stop`].
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Fires with [`Lifecycle::abort`].
    pub fn aborted(&self) -> &CancellationToken {
        &self.abort
    }

    /// What `/ready` says.
    pub fn readiness(&self) -> Readiness {
        let now = self.lock();
        let phase = match (self.stopping.is_cancelled(), now.ready) {
            (true, _) => Phase::Stopping,
            (false, true) => Phase::Ready,
            (false, false) => Phase::Starting,
        };
        Readiness {
            ready: phase == Phase::Ready,
            phase,
            activity: now.activity.clone(),
            indexing: now.indexing.clone(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        // Each statement leaves it whole, also in a thread that died.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
