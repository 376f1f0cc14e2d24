//! Which job is next, and for whom.
//!
//! The cost does not depend on how many jobs wait: a lane for each priority, tenant and kind
//! says where to look, and each step is a search in an index.

use std::sync::atomic::Ordering;

use rusqlite::{OptionalExtension as _, params};

use super::writer::{Fail, Tx};
use super::{breaker, events, rows, submit, worker};
use crate::clock::moment;
use crate::error::Result;
use crate::lease::{Claim, Lease, Token};
use crate::options::millis;

/// Delayed jobs that one claim makes ready.
const MAX_PROMOTED: usize = 256;
/// Lanes that one claim looks into for each job.
const MAX_LOOKS: usize = 256;
/// How often one claim lets jobs of a failing source wait, some hundreds at a time.
const MAX_HELD: usize = 4;

/// Takes up to `claim.limit` jobs.
pub(super) fn claim(tx: &mut Tx<'_>, claim: &Claim) -> Result<Vec<Lease>, Fail> {
    if tx.shared.draining.load(Ordering::SeqCst) || super::control::paused(tx.sql)?.is_some() {
        return Ok(Vec::new());
    }
    promote(tx)?;
    let kinds = match claim.kinds.is_empty() {
        true => None,
        false => Some(serde_json::json!(claim.kinds).to_string()),
    };
    let mut leases = Vec::new();
    while leases.len() < claim.limit {
        let Some(n) = next(tx, kinds.as_deref())? else {
            break;
        };
        leases.push(lease(tx, n, &claim.worker)?);
    }
    Ok(leases)
}

/// Makes delayed jobs ready whose time has come.
fn promote(tx: &Tx<'_>) -> rusqlite::Result<()> {
    let sql = "SELECT n FROM jobs INDEXED BY jobs_wake WHERE phase = 1 AND wake_at <= ?1 \
               ORDER BY wake_at LIMIT ?2";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let due = statement.query_map(params![tx.now, MAX_PROMOTED as i64], |row| row.get(0))?;
    let due: Vec<i64> = due.collect::<rusqlite::Result<_>>()?;
    for n in due {
        let sql = "UPDATE jobs SET phase = 0, held = 0 WHERE n = ?1";
        tx.sql.prepare_cached(sql)?.execute([n])?;
        submit::open_lane(tx, n)?;
    }
    Ok(())
}

/// The job whose turn it is.
fn next(tx: &Tx<'_>, kinds: Option<&str>) -> rusqlite::Result<Option<i64>> {
    let mut held = 0;
    for _ in 0..MAX_LOOKS {
        let sql = "SELECT priority, tenant FROM lanes \
                   WHERE ?1 IS NULL OR kind IN (SELECT value FROM json_each(?1)) \
                   ORDER BY priority DESC, served, tenant LIMIT 1";
        let mut statement = tx.sql.prepare_cached(sql)?;
        let lane = statement.query_row([kinds], |row| Ok((row.get(0)?, row.get(1)?)));
        let lane: Option<(i64, String)> = lane.optional()?;
        let Some((priority, tenant)) = lane else {
            return Ok(None);
        };
        let Some((n, source)) = first(tx, priority, &tenant, kinds)? else {
            continue; // Its empty lanes are gone now.
        };
        let Some(source) = source else {
            serve(tx, &tenant)?;
            return Ok(Some(n));
        };
        match breaker::hold_until(tx, &source, n)? {
            None => {
                serve(tx, &tenant)?;
                return Ok(Some(n));
            }
            Some(until) if held < MAX_HELD => {
                breaker::hold(tx, &source, until)?;
                held += 1;
            }
            Some(_) => break,
        }
    }
    // What is left is found by the next claim.
    tx.is_ready.set(true);
    Ok(None)
}

/// The first ready job of a tenant and its source; deletes lanes that turn out to be empty.
fn first(
    tx: &Tx<'_>,
    priority: i64,
    tenant: &str,
    kinds: Option<&str>,
) -> rusqlite::Result<Option<(i64, Option<String>)>> {
    let sql = "SELECT kind FROM lanes WHERE tenant = ?1 AND priority = ?2 \
               AND (?3 IS NULL OR kind IN (SELECT value FROM json_each(?3)))";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let lanes = statement.query_map(params![tenant, priority, kinds], |row| row.get(0))?;
    let lanes: Vec<String> = lanes.collect::<rusqlite::Result<_>>()?;
    let mut first: Option<(i64, Option<String>)> = None;
    for kind in lanes {
        let sql = "SELECT n, source FROM jobs INDEXED BY jobs_ready WHERE phase = 0 AND priority = ?1 AND tenant = ?2 \
                   AND kind = ?3 ORDER BY n LIMIT 1";
        let mut statement = tx.sql.prepare_cached(sql)?;
        let values = params![priority, tenant, kind];
        let head = statement.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)));
        match head.optional()? {
            Some(head) => {
                if first.as_ref().is_none_or(|first| head < *first) {
                    first = Some(head);
                }
            }
            None => {
                let sql = "DELETE FROM lanes WHERE priority = ?1 AND tenant = ?2 AND kind = ?3";
                tx.sql
                    .prepare_cached(sql)?
                    .execute(params![priority, tenant, kind])?;
            }
        }
    }
    Ok(first)
}

/// Sends `tenant` to the end of the line.
fn serve(tx: &Tx<'_>, tenant: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE turn SET n = n + 1 RETURNING n";
    let turn: i64 = tx
        .sql
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))?;
    let sql = "UPDATE lanes SET served = ?2 WHERE tenant = ?1";
    tx.sql.prepare_cached(sql)?.execute(params![tenant, turn])?;
    let sql = "INSERT INTO tenants VALUES (?1, ?2) ON CONFLICT DO UPDATE SET served = ?2";
    tx.sql
        .prepare_cached(sql)?
        .execute(params![tenant, turn])
        .map(drop)
}

/// Gives job `n` to `worker`.
fn lease(tx: &mut Tx<'_>, n: i64, worker: &str) -> rusqlite::Result<Lease> {
    let until = tx.now.saturating_add(millis(tx.shared.options.lease));
    let sql = "UPDATE jobs SET phase = 3, token = token + 1, attempts = attempts + 1, \
               worker = ?2, lease_until = ?3, started_at = ?4, stage = NULL, stage_at = ?4, \
               done = 0, total = NULL, bytes = 0, bytes_total = NULL, document_errors = 0 \
               WHERE n = ?1 RETURNING token";
    let number: u64 = tx
        .sql
        .prepare_cached(sql)?
        .query_row(params![n, worker, until, tx.now], |row| row.get(0))?;
    if number > 1 {
        // The new attempt reports its own.
        let sql = "DELETE FROM document_errors WHERE n = ?1";
        tx.sql.prepare_cached(sql)?.execute([n])?;
    }
    events::add(tx, n, events::Kind::Change)?;
    let job = rows::by_number(tx.sql, n)?;
    let waited = (tx.now - job.run_at.as_millisecond()).max(0) as f64 / 1_000.0;
    let kind = job.kind.clone();
    tx.count(move || {
        metrics::histogram!("cairn_jobs_wait_seconds", "kind" => kind).record(waited);
    });
    let token = Token {
        job: job.id,
        number,
    };
    Ok(Lease {
        token,
        job,
        until: moment(until),
    })
}

/// Gives back what a caller did not receive, because it went away.
#[expect(clippy::ptr_arg, reason = "what a claim returned")]
pub(super) fn undo(leases: &Vec<Lease>, tx: &mut Tx<'_>) -> Result<(), Fail> {
    leases
        .iter()
        .try_for_each(|lease| worker::release(tx, lease.token))
}
