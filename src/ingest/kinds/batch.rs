//! `batch`: the chats of `POST /v1/batches`. Each answer is stored when it is there, so an
//! attempt goes on where the one before was.

use std::collections::VecDeque;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use cairn_gateway::accounts::Caller;
use cairn_gateway::batch::{BatchError, Begun, Waiting};
use cairn_jobs::{Failure, NewJob, Progress};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{AcquireError, OwnedSemaphorePermit};
use tokio::time::Instant;

use super::{Checks, Kind, Plan, input};
use crate::ingest::batches::{Chats, Outcome};
use crate::ingest::task::{Stop, Task, Tools};
use crate::ingest::{Payload, Refusal};

/// As it stands in requests.
pub(in crate::ingest) const NAME: &str = "batch";

/// How often a batch is begun: what was answered is not asked again, so that being killed many
/// times in the days that a batch may take costs little.
const ATTEMPTS: u32 = 100;

/// How long a chat is tried again while limits are reached.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);

/// Chats that are read ahead.
const PAGE: usize = 64;

/// How often it is looked whether the batch was cancelled.
const LOOK: Duration = Duration::from_secs(1);

/// How long a store that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// Answers a batch.
#[derive(Debug)]
pub(super) struct Batch;

#[derive(Debug, Serialize, Deserialize)]
struct Input {
    batch: String,
}

/// The job that answers the batch `id` of `caller`.
pub(in crate::ingest) fn job(id: &str, caller: &Caller) -> NewJob {
    let payload = Payload {
        collection: String::new(),
        held: caller.labels().cloned(),
        key: caller.key().map(|key| key.as_str().to_owned()),
        input: json!(Input { batch: id.into() }),
    };
    NewJob {
        tenant: caller.tenant().to_owned(),
        // No client can send one with a blank in it.
        idempotency_key: Some(format!("{NAME} {id}")),
        max_attempts: Some(ATTEMPTS),
        ..NewJob::new(NAME, json!(payload))
    }
}

impl Kind for Batch {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self, _: Value, _: &Checks<'_>) -> Result<Plan, Refusal> {
        let message = "chats are sent to POST /v1/batches, which makes a job of them";
        Err(Refusal::invalid("kind", message))
    }

    fn can_run(&self, tools: &Tools) -> bool {
        tools.chats.is_some()
    }

    fn mostly_waits(&self) -> bool {
        true
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let Input { batch } = input(payload)?;
        let Some(chats) = &task.tools().chats else {
            return Err(Stop::permanent("this worker asks no language models"));
        };
        task.stage("ask");
        let begun = task.wait(chats.batches.begin(&batch))??;
        let round = Round::new(begun, chats, payload, task);
        task.wait(round.run())?
    }
}

impl From<BatchError> for Stop {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::NotFound(_) => Self::permanent("this batch is not kept any more"),
            error => Self::Failed(Failure::of(&error, false)),
        }
    }
}

/// A place among the chats that are worked on at the same time.
type Permit = Result<OwnedSemaphorePermit, AcquireError>;

/// One attempt at a batch.
struct Round<'a> {
    chats: &'a Chats,
    payload: &'a Payload,
    task: &'a Task,
    begun: Begun,
    at: Instant,
    /// Bytes of requests that have ended since then. The time that is left is judged by these:
    /// what earlier attempts did says nothing about it.
    bytes: u64,
    /// Chats that wait, read ahead.
    ready: VecDeque<Waiting>,
    /// The last place that was read.
    read: i64,
    /// Whether there is no more behind it.
    is_read: bool,
    /// Until when a limit lets nothing begin.
    rests: Option<Instant>,
    /// Why no more chat begins.
    stop: Option<Stop>,
}

impl<'a> Round<'a> {
    fn new(begun: Begun, chats: &'a Chats, payload: &'a Payload, task: &'a Task) -> Self {
        // The new attempt reports its own.
        for (custom_id, error) in &begun.failed {
            report(task, custom_id, error);
        }
        let round = Self {
            chats,
            payload,
            task,
            begun,
            at: Instant::now(),
            bytes: 0,
            ready: VecDeque::new(),
            read: -1,
            is_read: false,
            rests: None,
            stop: None,
        };
        round.tell();
        round
    }

    async fn run(mut self) -> Result<Value, Stop> {
        let mut under_way = FuturesUnordered::new();
        // Whose turn it is decides the semaphore: each batch waits for one permit at a time, so
        // batches take turns.
        let mut turn: Option<BoxFuture<'static, Permit>> = None;
        let mut look = tokio::time::interval(LOOK);
        let stopping = self.task.stopping().clone();
        // Given back in time, a long batch is not stopped in the middle of its calls.
        let most = Duration::from_secs(self.task.tools().jobs.max_seconds) / 2;
        loop {
            self.read_ahead().await;
            let is_over = self.ready.is_empty() || self.stop.is_some();
            if is_over && under_way.is_empty() {
                break;
            }
            match is_over || self.rests.is_some() {
                true => turn = None,
                false => {
                    let permits = &self.chats.permits;
                    turn.get_or_insert_with(|| Arc::clone(permits).acquire_owned().boxed());
                }
            }
            tokio::select! {
                // In this order: nothing begins when the worker stops.
                biased;
                () = stopping.cancelled(), if self.stop.is_none() => {
                    self.stop = Some(Stop::Released);
                }
                () = tokio::time::sleep_until(self.at + most), if self.stop.is_none() => {
                    self.stop = Some(Stop::Released);
                }
                _ = look.tick() => {
                    if let Ok(true) = self.chats.batches.is_cancelled(self.id()).await {
                        return Err(Stop::Cancelled);
                    }
                }
                () = until(self.rests) => self.rests = None,
                Some((item, ended)) = under_way.next(), if !under_way.is_empty() => {
                    self.note(item, ended);
                }
                permit = when(&mut turn) => {
                    turn = None;
                    if let Some((caller, item)) = self.next() {
                        let id = self.id().to_owned();
                        let is_old = self.begun.age + self.at.elapsed() >= GIVE_UP;
                        under_way.push(ask(self.chats, id, caller, item, is_old, permit));
                    }
                }
            }
        }
        match self.stop {
            Some(stop) if !self.is_read || !self.ready.is_empty() => Err(stop),
            _ => {
                let counts = self.begun.info.counts;
                let id = self.begun.info.id;
                Ok(json!({ "batch": id, "done": counts.done, "failed": counts.failed }))
            }
        }
    }

    fn id(&self) -> &str {
        &self.begun.info.id
    }

    /// Reads more of what waits, where nothing is left of what was read.
    async fn read_ahead(&mut self) {
        if self.is_read || !self.ready.is_empty() {
            return;
        }
        match self.chats.batches.waiting(self.id(), self.read, PAGE).await {
            Ok(more) => {
                self.is_read = more.is_empty();
                self.read = more.last().map_or(self.read, |item| item.n);
                self.ready.extend(more);
            }
            // What is under way may end, and another attempt goes on.
            Err(error) => self.stop = Some(error.into()),
        }
    }

    /// The next chat, with its caller as the key stands now; `None` if that is gone.
    fn next(&mut self) -> Option<(Caller, Waiting)> {
        match self.payload.asker(&self.task.tools().accounts) {
            Ok(caller) => Some((caller, self.ready.pop_front()?)),
            Err(stop) => {
                self.stop = Some(stop);
                None
            }
        }
    }

    fn note(&mut self, item: Waiting, ended: Ended) {
        let counts = &mut self.begun.info.counts;
        match ended {
            Ended::Done => counts.done += 1,
            Ended::Failed(error) => {
                counts.failed += 1;
                report(self.task, &item.custom_id, &error);
            }
            Ended::Waits(wait) => {
                self.rests = self.rests.max(Some(Instant::now() + wait));
                self.ready.push_front(item);
                return;
            }
        }
        self.bytes += item.bytes;
        self.tell();
    }

    fn tell(&self) {
        let counts = &self.begun.info.counts;
        self.task.progress(Progress {
            done: counts.done + counts.failed,
            total: Some(counts.total),
            bytes: self.bytes,
            bytes_total: Some(self.begun.bytes_waiting),
        });
    }
}

/// Shows a chat that failed among what failed of the job.
fn report(task: &Task, custom_id: &str, error: &Value) {
    let message = error["message"].as_str();
    let message = message.map_or_else(|| error.to_string(), str::to_owned);
    task.document_failed(custom_id, "ask", message);
}

/// What became of a chat.
enum Ended {
    /// Its response is stored.
    Done,
    /// Its error is stored.
    Failed(Value),
    /// It has to wait.
    Waits(Duration),
}

/// Answers one chat, until its result is stored.
async fn ask(
    chats: &Chats,
    batch: String,
    caller: Caller,
    item: Waiting,
    is_old: bool,
    permit: Permit,
) -> (Waiting, Ended) {
    let _permit = permit;
    let answer = async { (chats.answer)(caller, item.request.clone()).await };
    // A defect must not cost the batch its other chats.
    let outcome = AssertUnwindSafe(answer).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| {
        let message = "the service failed; its log says why";
        Outcome::Failed(json!({ "code": "internal", "message": message }))
    });
    let result = match outcome {
        Outcome::Done(response) => Ok(response),
        Outcome::Failed(error) => Err(error),
        Outcome::RetryAfter(_, error) if is_old => Err(error),
        Outcome::RetryAfter(wait, _) => return (item, Ended::Waits(wait)),
    };
    while let Err(error) = chats.batches.end(&batch, item.n, result.clone()).await {
        tracing::error!(%error, "a result of a batch cannot be stored; trying again");
        tokio::time::sleep(RETRY).await;
    }
    (item, result.map_or_else(Ended::Failed, |_| Ended::Done))
}

/// When `turn` comes; never without one.
async fn when(turn: &mut Option<BoxFuture<'static, Permit>>) -> Permit {
    match turn {
        Some(turn) => turn.await,
        None => pending().await,
    }
}

/// Waits until `moment`; for ever without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => pending().await,
    }
}
