//! Batches of chats and their jobs. The chats and their answers are kept where the gateway
//! keeps its books; the job says when they are asked, and tells of the end.

use std::sync::Arc;
use std::time::Duration;

use cairn_gateway::accounts::{Accounts, Caller};
use cairn_gateway::batch::{BatchError, BatchInfo, Batches};
use cairn_jobs::{Job, JobId, Queue, State};
use cairn_settings::config;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{Payload, kinds};

/// How old a batch is whose job is believed to be gone for good when it is not found: a process
/// hears of what others submitted in its own time.
const OLD: Duration = Duration::from_secs(24 * 3600);

/// What became of one chat.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The response.
    Done(Value),
    /// The error; trying again does not help.
    Failed(Value),
    /// A limit is reached, which the error describes: try again after a while.
    RetryAfter(Duration, Value),
}

/// Answers a chat. Dropping the future cancels it.
pub(crate) type Answer = dyn Fn(Caller, Value) -> BoxFuture<'static, Outcome> + Send + Sync;

/// What batches are answered with.
#[derive(Clone)]
pub(crate) struct Chats {
    /// Where they are kept.
    pub batches: Batches,
    /// Answers one chat.
    pub answer: Arc<Answer>,
    /// One permit for each chat that is worked on in this process.
    pub permits: Arc<Semaphore>,
    /// How long a batch is kept after its end.
    keep: Duration,
}

impl Chats {
    pub(crate) fn new(settings: &config::Batches, batches: Batches, answer: Arc<Answer>) -> Self {
        Self {
            batches,
            answer,
            permits: Arc::new(Semaphore::new(settings.parallel.max(1))),
            keep: Duration::from_secs(settings.keep_days.saturating_mul(86_400)),
        }
    }
}

/// Why a batch has no job, or how it stands cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The place where batches are kept fails.
    #[error(transparent)]
    Kept(#[from] BatchError),
    /// The queue fails.
    #[error(transparent)]
    Queue(#[from] cairn_jobs::Error),
}

/// Puts the job into the queue that answers the batch `id` of `caller`. Doing it twice gives the
/// same job.
///
/// # Errors
/// Those of the queue and of the database.
pub(crate) async fn enqueue(
    batches: &Batches,
    queue: &dyn Queue,
    id: &str,
    caller: &Caller,
) -> Result<BatchInfo, Error> {
    let submitted = queue.submit(vec![kinds::batch::job(id, caller)]).await?;
    let Some(submitted) = submitted.first() else {
        return Err(BatchError::Internal.into());
    };
    Ok(batches.queued(id, submitted.job.id.to_string()).await?)
}

/// The batch that `job` answers.
pub(crate) fn id_of(job: &Job) -> Option<String> {
    let id = job.payload.get("input")?.get("batch")?.as_str()?;
    (job.kind == kinds::batch::NAME).then(|| id.to_owned())
}

/// The batch as its job stands: when that was cancelled or is a dead letter, nothing waits.
///
/// # Errors
/// Those of the queue and of the database.
pub(crate) async fn settle(
    batches: &Batches,
    queue: &dyn Queue,
    accounts: &Accounts,
    info: BatchInfo,
) -> Result<BatchInfo, Error> {
    let job: Option<JobId> = info.job.as_ref().and_then(|id| id.parse().ok());
    let (None, Some(job)) = (info.ended_at, job) else {
        return Ok(info);
    };
    Ok(match queue.get(job).await? {
        Some(job) if job.state == State::Failed => {
            let error = why_failed(&job, accounts);
            batches.drop_rest(&info.id, error).await?
        }
        Some(job) if job.state.is_terminal() => batches.cancel(&info.id).await?,
        None if age(&info) >= OLD => batches.cancel(&info.id).await?,
        Some(_) | None => info,
    })
}

/// What the chats of a dead letter hear.
fn why_failed(job: &Job, accounts: &Accounts) -> Value {
    let chain = job.failures.last().map(|attempt| attempt.chain.join(": "));
    let message = chain.unwrap_or_else(|| "the job of this batch has failed".to_owned());
    let payload: Option<Payload> = serde_json::from_value(job.payload.clone()).ok();
    let may = payload.is_some_and(|payload| payload.asker(accounts).is_ok());
    let code = if may { "internal" } else { "unauthorized" };
    json!({ "code": code, "message": message })
}

fn age(info: &BatchInfo) -> Duration {
    let age = Timestamp::now().as_millisecond() - info.created_at;
    Duration::from_millis(age.max(0).unsigned_abs())
}

/// Gives a job to each batch that has none, because an earlier version left it waiting or a
/// process was killed before it had one; settles the others, and deletes old ones.
///
/// # Errors
/// Those of the queue and of the database.
pub(super) async fn sweep(
    chats: &Chats,
    queue: &dyn Queue,
    accounts: &Accounts,
) -> Result<(), Error> {
    let batches = &chats.batches;
    for info in batches.unended().await? {
        if info.job.is_some() {
            settle(batches, queue, accounts, info).await?;
            continue;
        }
        let caller = info.key.as_ref().map(|key| accounts.caller(key));
        match caller.unwrap_or_else(|| Ok(Caller::anonymous())) {
            Ok(caller) => {
                enqueue(batches, queue, &info.id, &caller).await?;
            }
            Err(error) => {
                let error = json!({ "code": "unauthorized", "message": error.to_string() });
                batches.drop_rest(&info.id, error).await?;
            }
        }
    }
    Ok(batches.sweep(chats.keep).await?)
}
