//! The pool of workers of one process: takes jobs, as many at a time as waiting jobs call
//! for, and gives them back when it stops.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use cairn_jobs::{Claim, Error, Failure, Fate, Heartbeat, Lease, Queue, Stats, Update};
use cairn_models::Cancel;
use cairn_settings::config::Jobs;
use metrics::{counter, gauge};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::liveness::{self, Alive};
use super::task::{Stop, Task, Tools};
use super::{batches, kinds, schedules};
use cairn_settings::telemetry::metrics as names;

/// How often a job's progress is passed on.
const REPORT: Duration = Duration::from_millis(500);

/// How often the pool looks at the queue when nothing is said to have changed: another
/// process may have submitted, and a delay may be over.
const LOOK: Duration = Duration::from_secs(1);

/// A job that has waited for this long calls for one more worker.
const LONG: Duration = Duration::from_secs(1);

/// How often it is looked for uploads that no job needs, and for schedules whose keys are gone.
const SWEEP: Duration = Duration::from_secs(600);

/// Jobs of kinds that mostly wait for others, which run beside those that take a place.
const MOST_WAITING: usize = 256;

/// Jobs of one claim.
const MOST_CLAIMED: usize = 64;

/// How long a job that was told to stop may take before it is left alone.
const GRACE: Duration = Duration::from_secs(30);

/// The workers of one process.
pub(crate) struct Worker {
    queue: Arc<dyn Queue>,
    tools: Arc<Tools>,
    settings: Jobs,
    alive: Alive,
}

impl Worker {
    /// A pool that takes jobs once it runs.
    ///
    /// # Errors
    /// When the data folder cannot be written.
    pub(crate) fn new(queue: Arc<dyn Queue>, tools: Tools, settings: Jobs) -> io::Result<Self> {
        Ok(Self {
            alive: Alive::new(&tools.data_dir)?,
            queue,
            tools: Arc::new(tools),
            settings,
        })
    }

    /// Works until `stop`. Then no job is taken, and those that run have `patience` to end
    /// before they are stopped and given back.
    pub(crate) async fn run(self, stop: CancellationToken, patience: Duration) {
        self.take_over().await;
        let mut running = JoinSet::new();
        let mut waiting = JoinSet::new();
        let signals = Signals {
            stopping: stop.clone(),
            abort: CancellationToken::new(),
        };
        let mut changes = self.queue.changes();
        let mut wanted = self.settings.workers;
        let mut swept: Option<Instant> = None;
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
                swept = Some(Instant::now());
                self.sweep().await;
            }
            let free = wanted.saturating_sub(running.len());
            let (mut taken, mut beside) = (0, 0);
            for lease in self.claim(free, waiting.len()).await {
                let (queue, tools) = (Arc::clone(&self.queue), Arc::clone(&self.tools));
                let most = Duration::from_secs(self.settings.max_seconds);
                let lease_time = Duration::from_secs(self.settings.lease_seconds);
                let place = match kinds::find(&lease.job.kind) {
                    Some(kind) if kind.mostly_waits() => {
                        beside += 1;
                        &mut waiting
                    }
                    _ => {
                        taken += 1;
                        &mut running
                    }
                };
                place.spawn(work(queue, tools, lease, most, lease_time, signals.clone()));
            }
            gauge!(names::JOBS_RUNNING).set((running.len() + waiting.len()) as f64);
            if beside > 0 {
                // They took none of the places that are free.
                continue;
            }
            if taken > 0 && taken == free {
                // There may be more than this pool takes at a time.
                wanted = self.wanted(running.len()).await;
                if wanted > running.len() {
                    continue;
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(_) = running.join_next(), if !running.is_empty() => {}
                Some(_) = waiting.join_next(), if !waiting.is_empty() => {}
                changed = changes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
                () = tokio::time::sleep(LOOK) => wanted = self.wanted(running.len()).await,
            }
        }
        self.queue.drain();
        let end = ended([&mut running, &mut waiting]);
        if tokio::time::timeout(patience, end).await.is_err() {
            signals.abort.cancel();
            let end = ended([&mut running, &mut waiting]);
            if tokio::time::timeout(GRACE, end).await.is_err() {
                tracing::warn!("some jobs do not stop; they are tried again once their leases end");
            }
        }
    }

    /// Takes jobs from workers whose processes have ended.
    async fn take_over(&self) {
        for name in liveness::dead(&self.tools.data_dir) {
            match self.queue.reclaim(&name).await {
                Ok(jobs) => {
                    if jobs > 0 {
                        tracing::info!(jobs, "jobs of a worker that has gone are tried again");
                    }
                    liveness::forget(&self.tools.data_dir, &name);
                }
                Err(error) => tracing::warn!(%error, "jobs of a worker that has gone stay with it"),
            }
        }
    }

    async fn sweep(&self) {
        let queue = self.queue.as_ref();
        if let Err(error) = self.tools.spool.sweep(queue).await {
            tracing::warn!(%error, "uploads that no job needs stay on the disk");
        }
        if let Err(error) = schedules::let_rest(queue, &self.tools.accounts).await {
            tracing::warn!(%error, "schedules whose keys are gone go on");
        }
        if let Some(chats) = &self.tools.chats
            && let Err(error) = batches::sweep(chats, queue, &self.tools.accounts).await
        {
            tracing::warn!(%error, "batches without a job wait, and old ones stay");
        }
    }

    /// Takes jobs while `free` places are free and `waiting` jobs mostly wait.
    async fn claim(&self, free: usize, waiting: usize) -> Vec<Lease> {
        let takes = |kind: &&&dyn kinds::Kind| {
            let has_room = match kind.mostly_waits() {
                true => waiting < MOST_WAITING,
                false => free > 0,
            };
            has_room && kind.can_run(&self.tools)
        };
        let kinds = kinds::KINDS.iter().filter(takes);
        let kinds: Vec<_> = kinds.map(|kind| kind.name().to_owned()).collect();
        if kinds.is_empty() {
            return Vec::new();
        }
        let limit = if free > 0 { free } else { MOST_CLAIMED };
        let claim = Claim {
            worker: self.alive.name().to_owned(),
            kinds,
            limit: limit.min(MOST_CLAIMED),
        };
        match self.queue.claim(claim).await {
            Ok(leases) => leases,
            Err(error) => {
                tracing::warn!(%error, "jobs cannot be taken");
                tokio::time::sleep(LOOK).await;
                Vec::new()
            }
        }
    }

    /// How many jobs may run: one more than do now while one has waited long, and down to
    /// the least when none waits.
    async fn wanted(&self, running: usize) -> usize {
        let least = self.settings.workers;
        let Ok(stats) = self.queue.stats().await else {
            return least;
        };
        publish(&stats);
        let waits = stats.oldest_ready.is_some_and(|age| age >= LONG);
        let wanted = if waits {
            running + 1
        } else {
            running.max(least)
        };
        wanted.clamp(least, self.settings.max_workers)
    }
}

/// Waits until all of these jobs have ended.
async fn ended(jobs: [&mut JoinSet<()>; 2]) {
    for jobs in jobs {
        while jobs.join_next().await.is_some() {}
    }
}

fn publish(stats: &Stats) {
    gauge!(names::JOBS_READY).set(stats.ready as f64);
    let age = stats.oldest_ready.unwrap_or_default();
    gauge!(names::JOBS_OLDEST_SECONDS).set(age.as_secs_f64());
}

/// What a process tells its jobs when it stops.
#[derive(Clone)]
struct Signals {
    /// Nothing more begins.
    stopping: CancellationToken,
    /// What runs is to stop.
    abort: CancellationToken,
}

/// Does one job, from its lease to its end.
async fn work(
    queue: Arc<dyn Queue>,
    tools: Arc<Tools>,
    lease: Lease,
    most: Duration,
    lease_time: Duration,
    signals: Signals,
) {
    let token = lease.token;
    let kind = kinds::find(&lease.job.kind);
    let kind_name = lease.job.kind.clone();
    let payload = lease.job.payload.clone();
    let cancel = Cancel::default();
    let task = Task::new(
        Arc::clone(&tools),
        lease.job,
        cancel.clone(),
        signals.stopping,
    );
    let said = task.said();
    let mut doing = tokio::task::spawn_blocking(move || {
        let run = || {
            let kind = kind.ok_or_else(|| {
                Stop::permanent(format!("this version has no kind of job `{kind_name}`"))
            })?;
            let payload = task.payload()?;
            // A key that is gone may have nothing done any more.
            payload.caller(&task.tools().accounts)?;
            kind.run(&payload, &task)
        };
        // A defect must not end the worker.
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|_| {
            Err(Stop::Failed(Failure::transient(
                "the job panicked; this is a defect of Cairn",
            )))
        })
    });
    let begun = Instant::now();
    let mut heard = begun;
    let mut why = None;
    let mut told = begun;
    let result = loop {
        tokio::select! {
            result = &mut doing => break Some(result),
            () = tokio::time::sleep(REPORT) => {}
            () = signals.abort.cancelled(), if why.is_none() => why = Some(Why::Stopping),
        }
        let update = std::mem::take(&mut *said.lock().unwrap_or_else(PoisonError::into_inner));
        let silent =
            update.stage.is_none() && update.progress.is_none() && update.errors.is_empty();
        if !silent || heard.elapsed() > lease_time / 4 {
            heard = Instant::now();
            match report(queue.as_ref(), token, update, silent).await {
                Ok(beat) if beat.cancel => why = why.or(Some(Why::Asked)),
                Ok(_) => {}
                Err(Error::StaleLease(_)) => why = Some(Why::Stale),
                Err(error) => tracing::warn!(%error, job = %token.job, "progress cannot be stored"),
            }
        }
        if begun.elapsed() > most {
            why = why.or(Some(Why::TooLong));
        }
        if why.is_some() && !cancel.is_cancelled() {
            told = Instant::now();
            cancel.cancel();
        }
        if why.is_some() && told.elapsed() > GRACE {
            break None;
        }
    };
    // What was said last, so that a reader of the ended job sees all of it.
    let update = std::mem::take(&mut *said.lock().unwrap_or_else(PoisonError::into_inner));
    if why != Some(Why::Stale)
        && let Ok(beat) = report(queue.as_ref(), token, update, false).await
        && beat.cancel
    {
        why = why.or(Some(Why::Asked));
    }
    let result = match result {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(Stop::Failed(Failure::transient(error.to_string()))),
        None => Err(Stop::Failed(Failure::transient(
            "the job did not stop when it was told to",
        ))),
    };
    match end(queue.as_ref(), token, result, why, most).await {
        // Only now: until its end is stored, the job may have to run again.
        Ok(true) => {
            if let (Some(kind), Ok(payload)) = (kind, serde_json::from_value(payload)) {
                kind.forget(&payload, &tools);
            }
        }
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(%error, job = %token.job, "the end of a job cannot be stored");
        }
    }
}

/// Why a job was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Somebody cancelled it.
    Asked,
    /// It ran for longer than it may.
    TooLong,
    /// This process stops.
    Stopping,
    /// Another worker has it.
    Stale,
}

async fn report(
    queue: &dyn Queue,
    token: cairn_jobs::Token,
    update: Update,
    silent: bool,
) -> cairn_jobs::Result<Heartbeat> {
    match silent {
        true => queue.heartbeat(token).await,
        false => queue.progress(token, update).await,
    }
}

/// Stores how the job ended; whether it will not run again. A dead letter may, when somebody
/// retries what failed for a passing reason.
async fn end(
    queue: &dyn Queue,
    token: cairn_jobs::Token,
    result: Result<Value, Stop>,
    why: Option<Why>,
    most: Duration,
) -> cairn_jobs::Result<bool> {
    let outcome = match (&result, why) {
        (_, Some(Why::Stale)) => "stale",
        (Ok(_), _) => "done",
        (Err(Stop::Asks(_)), _) => "asked",
        (Err(_), Some(Why::Asked)) => "cancelled",
        (Err(_), Some(Why::Stopping)) | (Err(Stop::Released), _) => "released",
        (Err(_), _) => "failed",
    };
    counter!(names::JOBS_ENDED, "outcome" => outcome).increment(1);
    let failure = match (result, why) {
        (_, Some(Why::Stale)) => return Ok(false),
        (Ok(value), _) => {
            queue.complete(token, value).await?;
            return Ok(true);
        }
        (Err(Stop::Asks(question)), _) => {
            queue.ask_input(token, question).await?;
            return Ok(false);
        }
        (Err(_), Some(Why::Asked)) => {
            queue.confirm_cancel(token).await?;
            return Ok(true);
        }
        (Err(_), Some(Why::Stopping)) | (Err(Stop::Released), _) => {
            queue.release(token).await?;
            return Ok(false);
        }
        (Err(_), Some(Why::TooLong)) => {
            let seconds = most.as_secs();
            Failure::transient(format!(
                "the job ran for longer than jobs.max_seconds ({seconds})"
            ))
        }
        (Err(Stop::Cancelled), None) => Failure::transient("the job was given up"),
        (Err(Stop::Failed(failure)), None) => failure,
    };
    let permanent = failure.permanent;
    Ok(match queue.fail(token, failure).await? {
        Fate::Dead => permanent,
        Fate::Cancelled => true,
        Fate::Retry { .. } => false,
    })
}
