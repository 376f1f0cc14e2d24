//! Rows as jobs, and phases as states.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;
use uuid::Uuid;

use crate::clock::moment;
use crate::job::{Attempt, Job, JobId, Progress, State};

/// Finer than a state; as numbers in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub(crate) enum Phase {
    Ready = 0,
    Delayed = 1,
    Behind = 2,
    Running = 3,
    InputRequired = 4,
    Done = 5,
    Failed = 6,
    Cancelled = 7,
}

impl Phase {
    const ALL: [Self; 8] = [
        Self::Ready,
        Self::Delayed,
        Self::Behind,
        Self::Running,
        Self::InputRequired,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The phases of `state`.
    pub(crate) fn of(state: State) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(move |phase| phase.state() == state)
    }

    pub(crate) fn from_number(number: i64) -> rusqlite::Result<Self> {
        let found = Self::ALL.into_iter().find(|phase| *phase as i64 == number);
        found.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))
    }

    pub(crate) fn state(self) -> State {
        match self {
            Self::Ready | Self::Delayed | Self::Behind => State::Queued,
            Self::Running => State::Running,
            Self::InputRequired => State::InputRequired,
            Self::Done => State::Done,
            Self::Failed => State::Failed,
            Self::Cancelled => State::Cancelled,
        }
    }
}

/// The columns that [`job`] reads.
pub(crate) const COLUMNS: &str = "id, kind, payload, tenant, ordering_key, unique_key, \
    idempotency_key, source, priority, phase, cancel, attempts, max_attempts, stage, stage_at, \
    done, total, bytes, bytes_total, cost_cap, cost_spent, result, input, failures, \
    document_errors, worker, created_at, run_at, started_at, ended_at, lease_until, seq";

/// A row of [`COLUMNS`] as a job.
pub(crate) fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let time = |name: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(name)?.map(moment));
    let json = |name: &str| {
        let text: Option<String> = row.get(name)?;
        Ok::<_, rusqlite::Error>(text.map(|text| parsed(&text)))
    };
    let phase = Phase::from_number(row.get("phase")?)?;
    let failures: Option<String> = row.get("failures")?;
    Ok(Job {
        id: JobId(Uuid::from_bytes(row.get("id")?)),
        kind: row.get("kind")?,
        payload: json("payload")?.unwrap_or_default(),
        tenant: row.get("tenant")?,
        ordering_key: row.get("ordering_key")?,
        unique_key: row.get("unique_key")?,
        idempotency_key: row.get("idempotency_key")?,
        source: row.get("source")?,
        priority: row.get("priority")?,
        state: phase.state(),
        cancel_requested: row.get("cancel")?,
        attempts: row.get("attempts")?,
        max_attempts: row.get("max_attempts")?,
        stage: row.get("stage")?,
        stage_at: time("stage_at")?,
        progress: progress(row)?,
        cost_cap: row.get("cost_cap")?,
        cost_spent: row.get("cost_spent")?,
        result: json("result")?,
        input: json("input")?,
        failures: failures.map_or_else(Vec::new, |text| attempts(&text)),
        document_errors: row.get("document_errors")?,
        worker: row.get("worker")?,
        created_at: moment(row.get("created_at")?),
        run_at: moment(row.get("run_at")?),
        started_at: time("started_at")?,
        ended_at: time("ended_at")?,
        lease_until: time("lease_until")?,
        event_seq: row.get("seq")?,
    })
}

/// How far the job of `row` is.
pub(crate) fn progress(row: &Row<'_>) -> rusqlite::Result<Progress> {
    Ok(Progress {
        done: row.get("done")?,
        total: row.get("total")?,
        bytes: row.get("bytes")?,
        bytes_total: row.get("bytes_total")?,
    })
}

/// The list that the column `failures` holds.
pub(crate) fn attempts(text: &str) -> Vec<Attempt> {
    serde_json::from_str(text).unwrap_or_default()
}

/// What was stored is JSON; what is not is damaged, and shown as its text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// The job with the row number `n`.
pub(crate) fn by_number(sql: &Connection, n: i64) -> rusqlite::Result<Job> {
    let text = format!("SELECT {COLUMNS} FROM jobs WHERE n = ?1");
    sql.prepare_cached(&text)?.query_row([n], job)
}

/// The job `id`.
pub(crate) fn by_id(sql: &Connection, id: JobId) -> rusqlite::Result<Option<Job>> {
    let text = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
    let mut statement = sql.prepare_cached(&text)?;
    statement
        .query_row(params![id.0.as_bytes()], job)
        .optional()
}
