//! Depth and age of the queue.

use std::time::Duration;

use serde::Serialize;

use crate::job::State;

/// How many jobs of a kind and tenant are in a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The state.
    pub state: State,
    /// The kind.
    pub kind: String,
    /// The tenant.
    pub tenant: String,
    /// How many.
    pub jobs: u64,
}

/// How the queue stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Everything that is kept, terminal jobs too.
    pub counts: Vec<Count>,
    /// Jobs that a worker could take now.
    pub ready: u64,
    /// How long the oldest of those has waited.
    pub oldest_ready: Option<Duration>,
    /// Sources that fail again and again, whose jobs wait.
    pub open_sources: Vec<String>,
    /// Why the queue is paused; `None` if it runs.
    pub paused: Option<String>,
}

impl Stats {
    /// How many jobs are in `state`.
    pub fn of(&self, state: State) -> u64 {
        let of_state = self.counts.iter().filter(|count| count.state == state);
        of_state.map(|count| count.jobs).sum()
    }
}
