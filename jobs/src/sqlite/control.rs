//! What people do with jobs, and how jobs end.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::events::{self, Kind};
use super::outbox;
use super::rows::{self, Phase};
use super::submit;
use super::writer::{Fail, Tx};
use crate::error::{Error, Result};
use crate::job::{Job, JobId, State};
use crate::queue::Purge;

/// Jobs that one transaction deletes.
const MAX_PURGED: i64 = 500;

/// Ends job `n` in the terminal `phase`.
pub(super) fn end(tx: &mut Tx<'_>, n: i64, phase: Phase) -> rusqlite::Result<()> {
    let sql = "SELECT kind, ordering_key, phase FROM jobs WHERE n = ?1";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (kind, key, before): (String, Option<String>, i64) = statement.query_row([n], read)?;
    let sql = "UPDATE jobs SET phase = ?2, ended_at = ?3, lease_until = NULL, held = 0 \
               WHERE n = ?1";
    tx.sql
        .prepare_cached(sql)?
        .execute(params![n, phase as i64, tx.now])?;
    // One that ends while it waits for its turn passes it to no other.
    if let Some(key) = key.filter(|_| before != Phase::Behind as i64) {
        submit::advance(tx, &key)?;
    }
    let state = phase.state().as_str();
    tx.count(move || {
        let labels = [("kind", kind), ("state", state.to_owned())];
        metrics::counter!("cairn_jobs_finished_total", &labels).increment(1);
    });
    outbox::add(tx, n)?;
    events::add(tx, n, Kind::Change)
}

/// The row number and phase of job `id`.
fn find(tx: &Tx<'_>, id: JobId) -> Result<(i64, Phase), Fail> {
    let sql = "SELECT n, phase FROM jobs WHERE id = ?1";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found = statement.query_row(params![id.0.as_bytes()], read);
    let (n, phase): (i64, i64) = found.optional()?.ok_or(Error::NotFound(id))?;
    Ok((n, Phase::from_number(phase)?))
}

/// Calls job `id` off, or asks its worker to.
pub(super) fn cancel(tx: &mut Tx<'_>, id: JobId) -> Result<Job, Fail> {
    let (n, phase) = find(tx, id)?;
    match phase.state() {
        State::Queued | State::InputRequired => end(tx, n, Phase::Cancelled)?,
        State::Running => {
            let sql = "UPDATE jobs SET cancel = 1 WHERE n = ?1 AND cancel = 0";
            if tx.sql.prepare_cached(sql)?.execute([n])? > 0 {
                events::add(tx, n, Kind::Change)?;
            }
        }
        State::Done | State::Failed | State::Cancelled => {}
    }
    Ok(rows::by_number(tx.sql, n)?)
}

/// Queues the failed or cancelled job `id` again.
pub(super) fn retry(tx: &mut Tx<'_>, id: JobId) -> Result<Job, Fail> {
    let (n, phase) = find(tx, id)?;
    let state = phase.state();
    if !matches!(state, State::Failed | State::Cancelled) {
        let wanted = "be tried again: only failed and cancelled jobs can";
        return Err(Fail::Say(Error::WrongState { id, state, wanted }));
    }
    let sql = "UPDATE jobs SET attempts = 0, cost_spent = 0, cancel = 0, ended_at = NULL, \
               result = NULL, run_at = ?2 WHERE n = ?1";
    tx.sql.prepare_cached(sql)?.execute(params![n, tx.now])?;
    submit::queue(tx, n, tx.now, false)?;
    events::add(tx, n, Kind::Change)?;
    Ok(rows::by_number(tx.sql, n)?)
}

/// Queues job `id`, which waited for `input`.
pub(super) fn give_input(tx: &mut Tx<'_>, id: JobId, input: &str) -> Result<Job, Fail> {
    let (n, phase) = find(tx, id)?;
    if phase != Phase::InputRequired {
        let (state, wanted) = (phase.state(), "take input: it asked for none");
        return Err(Fail::Say(Error::WrongState { id, state, wanted }));
    }
    let sql = "UPDATE jobs SET input = ?2, result = NULL WHERE n = ?1";
    tx.sql.prepare_cached(sql)?.execute(params![n, input])?;
    submit::queue(tx, n, tx.now, true)?;
    events::add(tx, n, Kind::Change)?;
    Ok(rows::by_number(tx.sql, n)?)
}

/// Deletes terminal jobs, at most some hundreds; returns how many, and whether there may be
/// more.
pub(super) fn purge(tx: &mut Tx<'_>, purge: &Purge) -> Result<(u64, bool), Fail> {
    match purge {
        Purge::Job(id) => {
            let (n, phase) = find(tx, *id)?;
            let state = phase.state();
            if !state.is_terminal() {
                let (id, wanted) = (*id, "be deleted: cancel it first");
                return Err(Fail::Say(Error::WrongState { id, state, wanted }));
            }
            tx.sql
                .prepare_cached("DELETE FROM jobs WHERE n = ?1")?
                .execute([n])?;
            Ok((1, false))
        }
        Purge::EndedBefore {
            moment,
            states,
            tenant,
        } => {
            let phases: Vec<i64> = states
                .iter()
                .flat_map(|state| Phase::of(*state))
                .map(|phase| phase as i64)
                .collect();
            let phases = (!phases.is_empty()).then(|| serde_json::json!(phases).to_string());
            let sql = "DELETE FROM jobs WHERE n IN (SELECT n FROM jobs WHERE phase > 4 \
                       AND ended_at < ?1 \
                       AND (?2 IS NULL OR phase IN (SELECT value FROM json_each(?2))) \
                       AND (?3 IS NULL OR tenant = ?3) LIMIT ?4)";
            let values = params![moment.as_millisecond(), phases, tenant, MAX_PURGED];
            let deleted = tx.sql.prepare_cached(sql)?.execute(values)?;
            Ok((deleted as u64, deleted as i64 == MAX_PURGED))
        }
    }
}

/// Why the queue is paused; `None` if it runs.
pub(super) fn paused(sql: &Connection) -> rusqlite::Result<Option<String>> {
    let text = "SELECT value FROM settings WHERE name = 'paused'";
    let mut statement = sql.prepare_cached(text)?;
    statement.query_row([], |row| row.get(0)).optional()
}

/// Pauses the queue with a reason, or ends the pause.
pub(super) fn pause(tx: &Tx<'_>, reason: Option<&str>) -> rusqlite::Result<()> {
    match reason {
        Some(reason) => {
            let sql = "INSERT OR REPLACE INTO settings VALUES ('paused', ?1)";
            tx.sql.prepare_cached(sql)?.execute([reason])?;
        }
        None => {
            let sql = "DELETE FROM settings WHERE name = 'paused'";
            tx.sql.prepare_cached(sql)?.execute([])?;
            tx.is_ready.set(true);
        }
    }
    Ok(())
}
