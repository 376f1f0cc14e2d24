//! What can be asked without changing anything.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::control;
use super::rows::{self, Phase};
use super::writer::Fail;
use crate::error::{Error, Result};
use crate::job::{DocumentError, Job, JobId};
use crate::queue::Filter;
use crate::stats::{Count, Stats};

/// Rows of one answer.
const MAX_ROWS: usize = 1_000;
/// Characters of JSON in one list of jobs.
const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;

/// Jobs, the latest submitted first.
pub(super) fn list(sql: &Connection, filter: &Filter, limit: usize) -> Result<Vec<Job>, Fail> {
    let before = match filter.before {
        None => i64::MAX,
        Some(id) => {
            let text = "SELECT n FROM jobs WHERE id = ?1";
            let mut statement = sql.prepare_cached(text)?;
            let found = statement.query_row(params![id.0.as_bytes()], |row| row.get(0));
            found.optional()?.ok_or(Error::NotFound(id))?
        }
    };
    let phases = filter.states.iter().flat_map(|state| Phase::of(*state));
    let mut phases: Vec<i64> = phases.map(|phase| phase as i64).collect();
    phases.sort_unstable();
    phases.dedup();
    let limit = i64::try_from(limit.min(MAX_ROWS)).unwrap_or(0);
    let rest = "AND (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR kind = ?2)";
    // First which ones, then as many of them as fit.
    let mut found: Vec<(i64, usize)> = Vec::new();
    let mut query = |condition: &str, phase: Option<i64>| -> rusqlite::Result<()> {
        let text = format!(
            "SELECT n, length(payload) + ifnull(length(result), 0) + ifnull(length(input), 0) \
             + ifnull(length(failures), 0) FROM jobs WHERE n < ?3 AND (?5 IS NULL OR ?5 = phase) \
             {condition} {rest} ORDER BY n DESC LIMIT ?4"
        );
        let mut statement = sql.prepare_cached(&text)?;
        let values = params![filter.tenant, filter.kind, before, limit, phase];
        for row in statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))? {
            found.push(row?);
        }
        Ok(())
    };
    // One walk down an index for each phase, so that a few dead letters are found among
    // many jobs.
    match (phases.is_empty(), &filter.tenant) {
        (true, Some(_)) => query("AND tenant = ?1", None)?,
        (true, None) => query("", None)?,
        (false, _) => {
            for phase in phases {
                query("AND phase = ?5", Some(phase))?;
            }
        }
    }
    found.sort_unstable_by_key(|(n, _)| std::cmp::Reverse(*n));
    found.truncate(limit as usize);
    let mut left = MAX_LIST_BYTES;
    let mut jobs = Vec::new();
    for (n, bytes) in found {
        if bytes > left && !jobs.is_empty() {
            break;
        }
        left = left.saturating_sub(bytes);
        jobs.push(rows::by_number(sql, n)?);
    }
    Ok(jobs)
}

/// What failed inside job `id`.
pub(super) fn document_errors(
    sql: &Connection,
    id: JobId,
    after: usize,
    limit: usize,
) -> Result<Vec<DocumentError>, Fail> {
    let text = "SELECT n FROM jobs WHERE id = ?1";
    let mut statement = sql.prepare_cached(text)?;
    let n = statement.query_row(params![id.0.as_bytes()], |row| row.get::<_, i64>(0));
    let n = n.optional()?.ok_or(Error::NotFound(id))?;
    let text = "SELECT error FROM document_errors WHERE n = ?1 AND i >= ?2 ORDER BY i LIMIT ?3";
    let mut statement = sql.prepare_cached(text)?;
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let values = params![n, number(after), number(limit.min(MAX_ROWS))];
    let mut errors = Vec::new();
    for error in statement.query_map(values, |row| row.get::<_, String>(0))? {
        errors.extend(serde_json::from_str(&error?).ok());
    }
    Ok(errors)
}

/// How the queue stands at `now`, in milliseconds since 1970.
pub(super) fn stats(sql: &Connection, now: i64) -> Result<Stats, Fail> {
    // Phases before `running` are one state.
    let text = "SELECT max(phase), kind, tenant, sum(jobs), \
                sum(jobs) FILTER (WHERE phase = 0) FROM counts WHERE jobs > 0 \
                GROUP BY max(phase, 2), kind, tenant ORDER BY max(phase, 2), kind, tenant";
    let mut stats = Stats::default();
    let mut statement = sql.prepare_cached(text)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        stats.counts.push(Count {
            state: Phase::from_number(row.get(0)?)?.state(),
            kind: row.get(1)?,
            tenant: row.get(2)?,
            jobs: row.get(3)?,
        });
        stats.ready += row.get::<_, Option<u64>>(4)?.unwrap_or(0);
    }
    // Delayed ones whose time has come are ready, although no claim has moved them yet.
    let text = "SELECT count(*), min(run_at) FROM jobs INDEXED BY jobs_wake \
                WHERE phase = 1 AND wake_at <= ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let (due, oldest_due): (u64, Option<i64>) = sql.prepare_cached(text)?.query_row([now], read)?;
    stats.ready += due;
    let text = "SELECT run_at FROM jobs WHERE phase = 0 ORDER BY n LIMIT 1";
    let oldest = sql
        .prepare_cached(text)?
        .query_row([], |row| row.get(0))
        .optional()?;
    stats.oldest_ready = oldest
        .into_iter()
        .chain(oldest_due)
        .min()
        .map(|run_at: i64| Duration::from_millis(now.saturating_sub(run_at).max(0).unsigned_abs()));
    let text = "SELECT source FROM breakers WHERE open_until IS NOT NULL ORDER BY source LIMIT ?1";
    let mut statement = sql.prepare_cached(text)?;
    let sources = statement.query_map([MAX_ROWS as i64], |row| row.get(0))?;
    stats.open_sources = sources.collect::<rusqlite::Result<_>>()?;
    stats.paused = control::paused(sql)?;
    Ok(stats)
}
