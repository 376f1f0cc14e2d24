//! The seam: what every queue does. The conformance suite in `tests/` says what that means.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::error::Result;
use crate::event::Event;
use crate::job::{DocumentError, Job, JobId, NewJob, State, Submitted};
use crate::lease::{Claim, Failure, Fate, Heartbeat, Lease, Token, Update};
use crate::schedule::{NewSchedule, Schedule};
use crate::stats::Stats;

/// Which jobs to list. What is none or empty does not limit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// In one of these states.
    pub states: Vec<State>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Older than this job: the last one of the page before.
    pub before: Option<JobId>,
}

/// Which terminal jobs to delete.
#[derive(Clone, Debug)]
pub enum Purge {
    /// This one.
    Job(JobId),
    /// Those that ended before, in one of these states (empty for all).
    EndedBefore {
        /// The moment.
        moment: Timestamp,
        /// The states.
        states: Vec<State>,
        /// Only of this tenant.
        tenant: Option<String>,
    },
}

/// A durable queue. Every method that changes something returns when the change would
/// survive a power cut.
///
/// Calls with a [`Token`] are a worker's; they fail with [`crate::Error::StaleLease`] when the
/// lease is over, and the worker must stop then. All of them prolong the lease.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Submits jobs, all or none, in this order; at most 1,000. The replies are in the same
    /// order.
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>>;

    /// Takes jobs that are ready: the highest priority first, tenants in turn, each
    /// tenant's in the order of submission. Empty when there are none, the queue is paused
    /// or this process drains. To wait for work, call [`Queue::changes`] before this.
    async fn claim(&self, claim: Claim) -> Result<Vec<Lease>>;

    /// Prolongs the lease, and hears whether the job is to be cancelled.
    async fn heartbeat(&self, token: Token) -> Result<Heartbeat>;

    /// Reports how far the job is.
    async fn progress(&self, token: Token, update: Update) -> Result<Heartbeat>;

    /// Books `cost` millionths of a dollar before they are spent. [`crate::Error::CostCap`]
    /// books nothing.
    async fn spend(&self, token: Token, cost: u64) -> Result<Heartbeat>;

    /// Ends the job well, with at most 256 KiB of `result`. A job that was to be cancelled
    /// is done all the same: its work was.
    async fn complete(&self, token: Token, result: Value) -> Result<()>;

    /// Ends the attempt. The job is tried again after a jittered pause, or is a dead letter
    /// when the failure is permanent or the attempts are used up.
    async fn fail(&self, token: Token, failure: Failure) -> Result<Fate>;

    /// Gives the job back at once without counting the attempt, for a worker that stops.
    async fn release(&self, token: Token) -> Result<()>;

    /// Confirms that the worker has stopped because somebody asked for it.
    async fn confirm_cancel(&self, token: Token) -> Result<()>;

    /// Ends the attempt without counting it: the job waits for a person, who is shown
    /// `question`.
    async fn ask_input(&self, token: Token, question: Value) -> Result<()>;

    /// Adds what a job in `input_required` waits for: it is queued again.
    async fn give_input(&self, id: JobId, input: Value) -> Result<Job>;

    /// A job; `None` if it is unknown or was purged.
    async fn get(&self, id: JobId) -> Result<Option<Job>>;

    /// Jobs, the latest submitted first; at most 1,000, and 8 MiB of JSON: a page may be
    /// shorter than `limit`, and only an empty one is the end.
    async fn list(&self, filter: Filter, limit: usize) -> Result<Vec<Job>>;

    /// What failed inside a job, in the order of the reports, from the `after`th on; at most
    /// 1,000.
    async fn document_errors(
        &self,
        id: JobId,
        after: usize,
        limit: usize,
    ) -> Result<Vec<DocumentError>>;

    /// Calls a job off. One that waits is cancelled at once; for one that runs this is a
    /// request, which its worker hears; a worker that never answers is reaped, which cancels
    /// it too. A terminal job is returned as it is.
    async fn cancel(&self, id: JobId) -> Result<Job>;

    /// Queues a failed or cancelled job again under its id, with a new budget of attempts.
    async fn retry(&self, id: JobId) -> Result<Job>;

    /// Deletes terminal jobs and everything about them; returns how many. A live job is
    /// [`crate::Error::WrongState`].
    async fn purge(&self, purge: Purge) -> Result<u64>;

    /// Events of a job later than `seq` (0 for all that are kept), the first ones first; at
    /// most 256.
    async fn events_after(&self, id: JobId, seq: u64) -> Result<Vec<Event>>;

    /// As [`Queue::events_after`], and waits up to `wait` for the first. Empty when none
    /// came, or at once when the job has ended.
    async fn wait_events(&self, id: JobId, seq: u64, wait: Duration) -> Result<Vec<Event>>;

    /// How the queue stands.
    async fn stats(&self) -> Result<Stats>;

    /// Stops all claims, in every process and over restarts, until [`Queue::resume`]. What
    /// runs goes on.
    async fn pause(&self, reason: &str) -> Result<()>;

    /// Ends a pause.
    async fn resume(&self) -> Result<()>;

    /// Stops claims of this process for good: what runs is finished or released by its
    /// workers.
    fn drain(&self);

    /// Takes jobs from workers whose lease has run out; returns how many. The queue does
    /// this by itself every minute.
    async fn reap(&self) -> Result<u64>;

    /// As [`Queue::reap`], for all leases of workers whose name begins with `prefix`,
    /// because it is known that they are gone: after a restart of the only process.
    async fn reclaim(&self, prefix: &str) -> Result<u64>;

    /// Makes or replaces a schedule.
    async fn put_schedule(&self, schedule: NewSchedule) -> Result<Schedule>;

    /// All schedules by name.
    async fn schedules(&self) -> Result<Vec<Schedule>>;

    /// Deletes a schedule; whether there was one.
    async fn delete_schedule(&self, name: &str) -> Result<bool>;

    /// Submits the jobs of schedules that are due; returns how many. The queue does this by
    /// itself.
    async fn tick(&self) -> Result<u64>;

    /// Changes whenever a claim may find something that it did not find before.
    fn changes(&self) -> watch::Receiver<u64>;
}
