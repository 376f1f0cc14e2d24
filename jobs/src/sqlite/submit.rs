//! Jobs come in, and take their place.

use rusqlite::{OptionalExtension as _, params};

use super::events;
use super::rows::{self, Phase};
use super::writer::{Fail, Tx};
use crate::check;
use crate::error::{Error, Result};
use crate::job::{Existing, JobId, NewJob, Submitted, Unique};

/// A job whose bounds were checked, with its payload as text.
pub(super) struct Checked {
    job: NewJob,
    payload: String,
}

/// Checks the bounds of `job`.
pub(super) fn check(job: NewJob) -> Result<Checked> {
    check::job(&job)?;
    let payload = check::json("payload", &job.payload)?;
    Ok(Checked { job, payload })
}

/// Checks the bounds of all `jobs`.
pub(super) fn check_all(jobs: Vec<NewJob>) -> Result<Vec<Checked>> {
    let max = check::MAX_SUBMISSION;
    if jobs.len() > max {
        return Err(Error::Invalid(format!(
            "at most {max} jobs are submitted together"
        )));
    }
    let checked: Vec<_> = jobs.into_iter().map(check).collect::<Result<_>>()?;
    let bytes: usize = checked.iter().map(|checked| checked.payload.len()).sum();
    let max = check::MAX_SUBMISSION_BYTES;
    if bytes > max {
        let why =
            format!("{bytes} bytes of payload are submitted together, and {max} are the most");
        return Err(Error::Invalid(why));
    }
    Ok(checked)
}

/// Stores `checked`, or finds the job that stands for it.
pub(super) fn submit(tx: &mut Tx<'_>, checked: &Checked) -> Result<Submitted, Fail> {
    let job = &checked.job;
    if let Some((n, existing)) = find(tx, job)? {
        return Ok(Submitted {
            job: rows::by_number(tx.sql, n)?,
            existing: Some(existing),
        });
    }
    let id = JobId::new();
    let run_at = job
        .run_at
        .map_or(tx.now, |at| at.as_millisecond().max(tx.now));
    let n = tx
        .sql
        .prepare_cached(
            "INSERT INTO jobs (id, kind, payload, tenant, ordering_key, unique_key, \
             idempotency_key, source, priority, phase, wake_at, run_at, max_attempts, cost_cap, \
             created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12, ?13, ?14)",
        )?
        .insert(params![
            id.0.as_bytes(),
            job.kind,
            checked.payload,
            job.tenant,
            job.ordering_key,
            job.unique_key,
            job.idempotency_key,
            job.source,
            job.priority,
            place_of(tx, job.ordering_key.as_deref(), run_at)? as i64,
            run_at,
            job.max_attempts.unwrap_or(tx.shared.options.max_attempts),
            job.cost_cap,
            tx.now,
        ])?;
    open_lane(tx, n)?;
    events::add(tx, n, events::Kind::Change)?;
    let kind = job.kind.clone();
    tx.count(move || metrics::counter!("cairn_jobs_submitted_total", "kind" => kind).increment(1));
    Ok(Submitted {
        job: rows::by_number(tx.sql, n)?,
        existing: None,
    })
}

/// The job that stands for `job` already.
fn find(tx: &Tx<'_>, job: &NewJob) -> rusqlite::Result<Option<(i64, Existing)>> {
    if let Some(key) = &job.idempotency_key {
        let sql = "SELECT n FROM jobs WHERE tenant = ?1 AND idempotency_key = ?2 \
                   AND idempotency_key IS NOT NULL";
        let mut statement = tx.sql.prepare_cached(sql)?;
        let found = statement.query_row([&job.tenant, key], |row| row.get(0));
        if let Some(n) = found.optional()? {
            return Ok(Some((n, Existing::Idempotent)));
        }
    }
    if let Some(key) = &job.unique_key {
        let last = match job.unique {
            Unique::Live => Phase::InputRequired,
            Unique::Waiting => Phase::Behind,
        };
        let sql = "SELECT n FROM jobs WHERE tenant = ?1 AND unique_key = ?2 AND phase <= ?3 \
                   AND unique_key IS NOT NULL AND phase < 5 ORDER BY n LIMIT 1";
        let mut statement = tx.sql.prepare_cached(sql)?;
        let values = params![job.tenant, key, last as i64];
        let found = statement.query_row(values, |row| row.get(0)).optional()?;
        return Ok(found.map(|n| (n, Existing::Unique)));
    }
    Ok(None)
}

/// Where a job is placed that is not to run before `wake_at`.
fn place_of(tx: &Tx<'_>, ordering_key: Option<&str>, wake_at: i64) -> rusqlite::Result<Phase> {
    if let Some(key) = ordering_key {
        let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE ordering_key = ?1 AND phase < 5)";
        let is_behind = tx
            .sql
            .prepare_cached(sql)?
            .query_row([key], |row| row.get(0))?;
        if is_behind {
            return Ok(Phase::Behind);
        }
    }
    Ok(match wake_at > tx.now {
        true => Phase::Delayed,
        false => Phase::Ready,
    })
}

/// Queues job `n`, which is not live or holds its ordering key, not before `wake_at`.
pub(super) fn queue(tx: &Tx<'_>, n: i64, wake_at: i64, holds_key: bool) -> rusqlite::Result<()> {
    let sql = "SELECT ordering_key FROM jobs WHERE n = ?1";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let key: Option<String> = statement.query_row([n], |row| row.get(0))?;
    let phase = place_of(tx, key.as_deref().filter(|_| !holds_key), wake_at)?;
    let sql = "UPDATE jobs SET phase = ?2, wake_at = ?3, lease_until = NULL WHERE n = ?1";
    tx.sql
        .prepare_cached(sql)?
        .execute(params![n, phase as i64, wake_at])?;
    open_lane(tx, n)
}

/// Lets the next job behind `ordering_key`, whose holder has ended, take its place.
pub(super) fn advance(tx: &Tx<'_>, ordering_key: &str) -> rusqlite::Result<()> {
    let sql = "SELECT n, wake_at FROM jobs INDEXED BY jobs_ordering WHERE ordering_key = ?1 \
               AND phase < 5 AND phase = 2 \
               ORDER BY n LIMIT 1";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let next = statement.query_row([ordering_key], |row| Ok((row.get(0)?, row.get(1)?)));
    match next.optional()? {
        Some((n, wake_at)) => queue(tx, n, wake_at, true),
        None => Ok(()),
    }
}

/// Sees to it that claims look where job `n` is, if it is ready.
pub(super) fn open_lane(tx: &Tx<'_>, n: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO lanes SELECT j.priority, j.tenant, j.kind, \
               coalesce((SELECT served FROM tenants t WHERE t.tenant = j.tenant), 0) \
               FROM jobs j WHERE j.n = ?1 AND j.phase = 0 ON CONFLICT DO NOTHING";
    tx.sql.prepare_cached(sql)?.execute([n])?;
    tx.is_ready.set(true);
    Ok(())
}
