//! A job: what is asked, how far it is, and how it ended.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The name of a job: a UUID of version 7, so that names sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub(crate) Uuid);

impl JobId {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "each one differs")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for a worker, its time, its turn behind an ordering key, or its source.
    Queued,
    /// A worker has it.
    Running,
    /// It waits for what a person must add ([`crate::Queue::give_input`]).
    InputRequired,
    /// It ended well. Terminal.
    Done,
    /// It ended in an error: a dead letter. Terminal until somebody retries it.
    Failed,
    /// Somebody called it off. Terminal.
    Cancelled,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::InputRequired,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether nothing more happens by itself.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// As it stands in JSON, metrics and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::InputRequired => "input_required",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of an MCP task that says the same. A task has no word for waiting in a
    /// queue, so `queued` and `running` are both `working`; the other four are one to one.
    pub fn mcp_status(self) -> &'static str {
        match self {
            Self::Queued | Self::Running => "working",
            Self::InputRequired => "input_required",
            Self::Done => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, crate::Error> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            crate::Error::Invalid(format!("`{text}` is not a state: use one of {names}"))
        })
    }
}

/// Which jobs with the same `unique_key` a submission is folded into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unique {
    /// Any that has not ended.
    #[default]
    Live,
    /// Only those that still wait: one that runs may have passed what the submission is
    /// about, so it is not enough.
    Waiting,
}

/// A job to be submitted. Only `kind` and `payload` are needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// What sort of work it is; workers choose by it. At most 64 bytes.
    pub kind: String,
    /// What the worker needs to know: references, not bodies. At most 256 KiB of JSON.
    pub payload: Value,
    /// Who asked. Tenants with waiting jobs are served in turn.
    #[serde(default)]
    pub tenant: String,
    /// Jobs with the same key run one at a time, in the order of their submission. The
    /// key holds for all tenants.
    #[serde(default)]
    pub ordering_key: Option<String>,
    /// A job of the tenant with the same key, live as `unique` says, is returned instead of
    /// a second one.
    #[serde(default)]
    pub unique_key: Option<String>,
    /// Which jobs `unique_key` looks at.
    #[serde(default)]
    pub unique: Unique,
    /// The tenant's first job with this key is returned for as long as it is kept,
    /// whatever became of it.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// What the job fetches from, for example a host. When it fails again and again, jobs
    /// with the same source wait ([`crate::Options::breaker_failures`]).
    #[serde(default)]
    pub source: Option<String>,
    /// Higher ones go first.
    #[serde(default)]
    pub priority: i16,
    /// Not before this moment.
    #[serde(default)]
    pub run_at: Option<Timestamp>,
    /// How often it is tried, at most 100; `None` for the queue's default of 5.
    #[serde(default)]
    pub max_attempts: Option<u32>,
    /// What all attempts together may cost, in millionths of a dollar; `None` for no limit.
    #[serde(default)]
    pub cost_cap: Option<u64>,
}

impl NewJob {
    /// One with defaults for everything else.
    pub fn new(kind: impl Into<String>, payload: Value) -> Self {
        Self {
            kind: kind.into(),
            payload,
            tenant: String::new(),
            ordering_key: None,
            unique_key: None,
            unique: Unique::Live,
            idempotency_key: None,
            source: None,
            priority: 0,
            run_at: None,
            max_attempts: None,
            cost_cap: None,
        }
    }
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Submitted {
    /// The job: the new one, or the one that was there.
    pub job: Job,
    /// Why it is not a new one; `None` if it is.
    pub existing: Option<Existing>,
}

/// Why a submission led to a job that was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// The idempotency key was used before.
    Idempotent,
    /// A live job has the unique key.
    Unique,
}

/// How far a job is. What is not known is 0 or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Units (documents, files, requests) that are finished, failed ones among them.
    pub done: u64,
    /// Units in all.
    pub total: Option<u64>,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_total: Option<u64>,
}

/// One failed attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which lease it was ([`crate::Token::number`]).
    pub number: u64,
    /// When it ended.
    pub at: Timestamp,
    /// The stage it ended in.
    pub stage: Option<String>,
    /// What happened, the outermost error first.
    pub chain: Vec<String>,
    /// Whether trying again was known to be useless.
    pub permanent: bool,
}

/// Something that went wrong with one document of a job that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentError {
    /// Which one: a path or an address.
    pub document: String,
    /// The stage it failed in.
    #[serde(default)]
    pub stage: Option<String>,
    /// What happened.
    pub message: String,
}

/// A job as it stands in the queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What sort of work it is.
    pub kind: String,
    /// What the worker needs to know.
    pub payload: Value,
    /// Who asked.
    pub tenant: String,
    /// See [`NewJob::ordering_key`].
    pub ordering_key: Option<String>,
    /// See [`NewJob::unique_key`].
    pub unique_key: Option<String>,
    /// See [`NewJob::idempotency_key`].
    pub idempotency_key: Option<String>,
    /// See [`NewJob::source`].
    pub source: Option<String>,
    /// See [`NewJob::priority`].
    pub priority: i16,
    /// Where it stands.
    pub state: State,
    /// Whether somebody wants it to stop; its worker is told at its next heartbeat.
    pub cancel_requested: bool,
    /// Attempts of the present budget that were started.
    pub attempts: u32,
    /// How many it has.
    pub max_attempts: u32,
    /// What it is doing.
    pub stage: Option<String>,
    /// Since when.
    pub stage_at: Option<Timestamp>,
    /// How far it is.
    pub progress: Progress,
    /// What it may cost, in millionths of a dollar.
    pub cost_cap: Option<u64>,
    /// What it has cost.
    pub cost_spent: u64,
    /// What came out, when done; what is asked for, when `input_required`.
    pub result: Option<Value>,
    /// What a person added ([`crate::Queue::give_input`]).
    pub input: Option<Value>,
    /// Attempts that failed, the latest 20, the last one last.
    pub failures: Vec<Attempt>,
    /// Documents that failed; [`crate::Queue::document_errors`] lists them.
    pub document_errors: u64,
    /// The worker that has it, or had it last.
    pub worker: Option<String>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// The moment before which it does not run.
    pub run_at: Timestamp,
    /// When its last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Until when its worker has it.
    pub lease_until: Option<Timestamp>,
    /// The number of its latest event.
    pub event_seq: u64,
}

impl Job {
    /// The time that is left at the rate measured in this stage, by bytes where their sum
    /// is known, else by units; `None` if nothing was measured.
    pub fn eta(&self, now: Timestamp) -> Option<std::time::Duration> {
        if self.state != State::Running {
            return None;
        }
        let progress = &self.progress;
        let (done, total) = match progress.bytes_total {
            Some(total) if progress.bytes > 0 => (progress.bytes, total),
            _ => (progress.done, progress.total?),
        };
        let passed = now.duration_since(self.stage_at?).as_secs_f64();
        if done == 0 || passed <= 0.0 {
            return None;
        }
        let left = total.saturating_sub(done) as f64 * passed / done as f64;
        std::time::Duration::try_from_secs_f64(left).ok()
    }
}
