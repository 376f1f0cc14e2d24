//! What a worker says about its job, with the token of its lease.

use rusqlite::{OptionalExtension as _, params};
use serde_json::Value;

use super::events::{self, Kind};
use super::rows::{self, Phase};
use super::submit;
use super::writer::{Fail, Tx};
use super::{breaker, control, outbox};
use crate::clock::moment;
use crate::error::{Error, Result};
use crate::job::{Attempt, DocumentError};
use crate::lease::{Failure, Fate, Heartbeat, Token, Update};
use crate::options::millis;
use crate::{backoff, check};

/// Errors of documents that are kept of a job; more are counted only.
const MAX_DOCUMENT_ERRORS: u64 = 1_000;
/// Failed attempts that are kept.
const MAX_FAILURES: usize = 20;
/// The longest pause that another side may ask for.
const MAX_RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// A job under a lease that holds.
pub(super) struct Leased {
    pub(super) n: i64,
    pub(super) number: u64,
    pub(super) cancel: bool,
    pub(super) attempts: u32,
    pub(super) max_attempts: u32,
    pub(super) source: Option<String>,
    pub(super) stage: Option<String>,
    pub(super) worker: Option<String>,
}

pub(super) const LEASED: &str =
    "SELECT n, token, cancel, attempts, max_attempts, source, stage, worker FROM jobs";

pub(super) fn leased(row: &rusqlite::Row<'_>) -> rusqlite::Result<Leased> {
    Ok(Leased {
        n: row.get(0)?,
        number: row.get(1)?,
        cancel: row.get(2)?,
        attempts: row.get(3)?,
        max_attempts: row.get(4)?,
        source: row.get(5)?,
        stage: row.get(6)?,
        worker: row.get(7)?,
    })
}

/// The job of `token`, if its lease holds.
fn hold(tx: &Tx<'_>, token: Token) -> Result<Leased, Fail> {
    let sql = format!("{LEASED} WHERE id = ?1 AND phase = 3 AND token = ?2");
    let mut statement = tx.sql.prepare_cached(&sql)?;
    let values = params![token.job.0.as_bytes(), token.number];
    let found = statement.query_row(values, leased).optional()?;
    found.ok_or_else(|| Error::StaleLease(token.job).into())
}

/// Prolongs the lease.
pub(super) fn heartbeat(tx: &mut Tx<'_>, token: Token) -> Result<Heartbeat, Fail> {
    let job = hold(tx, token)?;
    Ok(prolong(tx, &job)?)
}

fn prolong(tx: &Tx<'_>, job: &Leased) -> rusqlite::Result<Heartbeat> {
    let until = tx.now.saturating_add(millis(tx.shared.options.lease));
    let sql = "UPDATE jobs SET lease_until = ?2 WHERE n = ?1";
    tx.sql.prepare_cached(sql)?.execute(params![job.n, until])?;
    Ok(Heartbeat {
        until: moment(until),
        cancel: job.cancel,
    })
}

/// Notes how far the job is.
pub(super) fn progress(tx: &mut Tx<'_>, token: Token, update: &Update) -> Result<Heartbeat, Fail> {
    let job = hold(tx, token)?;
    let stage = update.stage.as_deref().map(check::stage);
    let is_new_stage = stage.is_some() && stage != job.stage;
    if is_new_stage {
        let sql = "UPDATE jobs SET stage = ?2, stage_at = ?3 WHERE n = ?1";
        tx.sql
            .prepare_cached(sql)?
            .execute(params![job.n, stage, tx.now])?;
    }
    if let Some(progress) = update.progress {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let sql =
            "UPDATE jobs SET done = ?2, total = ?3, bytes = ?4, bytes_total = ?5 WHERE n = ?1";
        tx.sql.prepare_cached(sql)?.execute(params![
            job.n,
            number(progress.done),
            progress.total.map(number),
            number(progress.bytes),
            progress.bytes_total.map(number),
        ])?;
    }
    add_errors(tx, job.n, &update.errors)?;
    events::add(
        tx,
        job.n,
        if is_new_stage {
            Kind::Change
        } else {
            Kind::Progress
        },
    )?;
    Ok(prolong(tx, &job)?)
}

fn add_errors(tx: &Tx<'_>, n: i64, errors: &[DocumentError]) -> rusqlite::Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let sql = "SELECT document_errors FROM jobs WHERE n = ?1";
    let mut count: u64 = tx
        .sql
        .prepare_cached(sql)?
        .query_row([n], |row| row.get(0))?;
    for error in errors {
        if count < MAX_DOCUMENT_ERRORS {
            let text =
                serde_json::to_string(&check::document_error(error.clone())).unwrap_or_default();
            let sql = "INSERT INTO document_errors VALUES (?1, ?2, ?3)";
            tx.sql
                .prepare_cached(sql)?
                .execute(params![n, count, text])?;
        }
        count += 1;
    }
    let sql = "UPDATE jobs SET document_errors = ?2 WHERE n = ?1";
    tx.sql
        .prepare_cached(sql)?
        .execute(params![n, count])
        .map(drop)
}

/// Books `cost` if the job may cost that much.
pub(super) fn spend(tx: &mut Tx<'_>, token: Token, cost: u64) -> Result<Heartbeat, Fail> {
    let job = hold(tx, token)?;
    let sql = "SELECT cost_cap, cost_spent FROM jobs WHERE n = ?1";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let (cap, spent): (Option<u64>, u64) = statement.query_row([job.n], read)?;
    // Without a cap, what the database can count is the limit.
    let limit = cap.unwrap_or(i64::MAX.unsigned_abs());
    let after = spent.saturating_add(cost);
    if after > limit {
        return Err(Fail::Say(Error::CostCap {
            id: token.job,
            cap: limit,
            spent,
            asked: cost,
        }));
    }
    let sql = "UPDATE jobs SET cost_spent = ?2 WHERE n = ?1";
    tx.sql.prepare_cached(sql)?.execute(params![job.n, after])?;
    Ok(prolong(tx, &job)?)
}

/// Ends the job well.
pub(super) fn complete(tx: &mut Tx<'_>, token: Token, result: &str) -> Result<(), Fail> {
    let job = hold(tx, token)?;
    if let Some(source) = &job.source {
        breaker::works(tx, source)?;
    }
    let sql = "UPDATE jobs SET result = ?2 WHERE n = ?1";
    tx.sql
        .prepare_cached(sql)?
        .execute(params![job.n, result])?;
    Ok(control::end(tx, job.n, Phase::Done)?)
}

/// Ends the attempt with a failure.
pub(super) fn fail(tx: &mut Tx<'_>, token: Token, failure: &Failure) -> Result<Fate, Fail> {
    let job = hold(tx, token)?;
    if let Some(source) = &job.source {
        match failure.permanent {
            // It was there to say so.
            true => breaker::works(tx, source)?,
            false => breaker::failed(tx, source, job.n)?,
        }
    }
    let options = &tx.shared.options;
    let pause = backoff::pause(job.attempts, options.backoff_min, options.backoff_max);
    let asked = failure.retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
    let failure = failure.clone();
    Ok(ended_badly(tx, &job, failure, millis(pause.max(asked)))?)
}

/// What becomes of `job`, whose attempt ended with `failure`; another one waits `pause`
/// milliseconds.
pub(super) fn ended_badly(
    tx: &mut Tx<'_>,
    job: &Leased,
    failure: Failure,
    pause: i64,
) -> rusqlite::Result<Fate> {
    let failure = check::failure(failure);
    let permanent = failure.permanent;
    let sql = "SELECT failures FROM jobs WHERE n = ?1";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let before: Option<String> = statement.query_row([job.n], |row| row.get(0))?;
    let mut failures = before.map_or_else(Vec::new, |text| rows::attempts(&text));
    failures.push(Attempt {
        number: job.number,
        at: moment(tx.now),
        stage: job.stage.clone(),
        chain: failure.chain,
        permanent,
    });
    failures.drain(..failures.len().saturating_sub(MAX_FAILURES));
    let text = serde_json::to_string(&failures).unwrap_or_default();
    let sql = "UPDATE jobs SET failures = ?2 WHERE n = ?1";
    tx.sql.prepare_cached(sql)?.execute(params![job.n, text])?;
    if job.cancel {
        control::end(tx, job.n, Phase::Cancelled)?;
        return Ok(Fate::Cancelled);
    }
    if permanent || job.attempts >= job.max_attempts {
        control::end(tx, job.n, Phase::Failed)?;
        return Ok(Fate::Dead);
    }
    let at = tx.now.saturating_add(pause);
    submit::queue(tx, job.n, at, true)?;
    events::add(tx, job.n, Kind::Change)?;
    tx.count(|| metrics::counter!("cairn_jobs_retries_total").increment(1));
    Ok(Fate::Retry { at: moment(at) })
}

/// Gives the job back.
pub(super) fn release(tx: &mut Tx<'_>, token: Token) -> Result<(), Fail> {
    let job = hold(tx, token)?;
    if job.cancel {
        return Ok(control::end(tx, job.n, Phase::Cancelled)?);
    }
    uncount(tx, job.n)?;
    submit::queue(tx, job.n, tx.now, true)?;
    Ok(events::add(tx, job.n, Kind::Change)?)
}

fn uncount(tx: &Tx<'_>, n: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE jobs SET attempts = max(0, attempts - 1) WHERE n = ?1";
    tx.sql.prepare_cached(sql)?.execute([n]).map(drop)
}

/// Ends the job because somebody asked for it.
pub(super) fn confirm_cancel(tx: &mut Tx<'_>, token: Token) -> Result<(), Fail> {
    let job = hold(tx, token)?;
    if !job.cancel {
        let id = token.job;
        let (state, wanted) = (crate::State::Running, "be cancelled by its worker unasked");
        return Err(Fail::Say(Error::WrongState { id, state, wanted }));
    }
    Ok(control::end(tx, job.n, Phase::Cancelled)?)
}

/// Lets the job wait for a person.
pub(super) fn ask_input(tx: &mut Tx<'_>, token: Token, question: &str) -> Result<(), Fail> {
    let job = hold(tx, token)?;
    if job.cancel {
        return Ok(control::end(tx, job.n, Phase::Cancelled)?);
    }
    uncount(tx, job.n)?;
    let sql = "UPDATE jobs SET phase = 4, lease_until = NULL, result = ?2 WHERE n = ?1";
    tx.sql
        .prepare_cached(sql)?
        .execute(params![job.n, question])?;
    outbox::add(tx, job.n)?;
    Ok(events::add(tx, job.n, Kind::Change)?)
}

/// `value` as text within its bounds.
pub(super) fn text(name: &str, value: &Value) -> Result<String> {
    check::json(name, value)
}
