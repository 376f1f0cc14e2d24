//! Jobs at set times.

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::submit;
use super::writer::{Fail, Tx};
use crate::check;
use crate::clock::moment;
use crate::error::{Error, Result};
use crate::job::JobId;
use crate::schedule::{NewSchedule, Schedule};

/// The most schedules.
const MAX_SCHEDULES: i64 = 1_000;
/// Bytes of a name.
const MAX_NAME_BYTES: usize = 128;
/// Schedules of one round.
const MAX_TICKED: i64 = 100;

/// Makes or replaces a schedule.
pub(super) fn put(tx: &mut Tx<'_>, schedule: &NewSchedule) -> Result<Schedule, Fail> {
    check::text("name", &schedule.name, MAX_NAME_BYTES)?;
    if schedule.name.is_empty() {
        return Err(Error::Invalid("a schedule needs a name".into()).into());
    }
    submit::check(schedule.job.clone())?;
    let next_at = schedule.next_after(moment(tx.now))?;
    let next_at = next_at.filter(|_| !schedule.paused);
    let sql = "SELECT count(*) FROM schedules WHERE name <> ?1";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let others: i64 = statement.query_row([&schedule.name], |row| row.get(0))?;
    if others >= MAX_SCHEDULES {
        let why = format!("{MAX_SCHEDULES} schedules are the most: delete one first");
        return Err(Error::Invalid(why).into());
    }
    let text = serde_json::to_string(schedule).unwrap_or_default();
    let sql = "INSERT INTO schedules (name, schedule, next_at) VALUES (?1, ?2, ?3) \
               ON CONFLICT DO UPDATE SET schedule = ?2, next_at = ?3 RETURNING last_job";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let next_millis = next_at.map(|at| at.as_millisecond());
    let last_job = statement.query_row(params![schedule.name, text, next_millis], last_job)?;
    // The thread is to look when the next one is due.
    tx.is_ready.set(true);
    Ok(Schedule {
        schedule: schedule.clone(),
        next_at,
        last_job,
    })
}

fn last_job(row: &Row<'_>) -> rusqlite::Result<Option<JobId>> {
    let bytes: Option<[u8; 16]> = row.get("last_job")?;
    Ok(bytes.map(|bytes| JobId(Uuid::from_bytes(bytes))))
}

/// All schedules by name.
pub(super) fn all(sql: &Connection) -> rusqlite::Result<Vec<Schedule>> {
    let text = "SELECT schedule, next_at, last_job FROM schedules ORDER BY name";
    let mut statement = sql.prepare_cached(text)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        let next_at: Option<i64> = row.get(1)?;
        let Ok(schedule) = serde_json::from_str(&text) else {
            tracing::warn!(schedule = text, "a schedule cannot be read");
            continue;
        };
        found.push(Schedule {
            schedule,
            next_at: next_at.map(moment),
            last_job: last_job(row)?,
        });
    }
    Ok(found)
}

/// Deletes a schedule; whether there was one.
pub(super) fn delete(tx: &Tx<'_>, name: &str) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM schedules WHERE name = ?1";
    Ok(tx.sql.prepare_cached(sql)?.execute([name])? > 0)
}

/// When the next schedule is due.
pub(super) fn next_due(sql: &Connection) -> rusqlite::Result<Option<i64>> {
    let text = "SELECT min(next_at) FROM schedules WHERE next_at IS NOT NULL";
    sql.prepare_cached(text)?.query_row([], |row| row.get(0))
}

/// Submits the jobs of schedules that are due. However many times were missed, each is
/// submitted once.
pub(super) fn tick(tx: &mut Tx<'_>) -> Result<u64, Fail> {
    let sql = "SELECT name, schedule, next_at FROM schedules WHERE next_at IS NOT NULL \
               AND next_at <= ?1 ORDER BY next_at LIMIT ?2";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let due = statement.query_map(params![tx.now, MAX_TICKED], read)?;
    let due: Vec<(String, String, i64)> = due.collect::<rusqlite::Result<_>>()?;
    let mut submitted = 0;
    for (name, text, at) in due {
        let ticked = serde_json::from_str::<NewSchedule>(&text)
            .map_err(|error| Error::Invalid(format!("schedule `{name}`: {error}")))
            .and_then(|schedule| {
                let next = schedule.next_after(moment(tx.now))?;
                let mut job = schedule.job;
                job.idempotency_key = Some(format!("schedule {name} {}", moment(at)));
                Ok((submit::check(job)?, next))
            });
        let (checked, next) = match ticked {
            Ok(ticked) => ticked,
            Err(error) => {
                // It was checked when it was made, so this version of the program or of the
                // time zones reads it differently. It rests rather than failing for ever.
                tracing::error!(%error, schedule = name, "the schedule cannot be followed: it rests");
                let sql = "UPDATE schedules SET next_at = NULL WHERE name = ?1";
                tx.sql.prepare_cached(sql)?.execute([&name])?;
                continue;
            }
        };
        let job = submit::submit(tx, &checked)?.job;
        let sql = "UPDATE schedules SET next_at = ?2, last_job = ?3 WHERE name = ?1";
        let next = next.map(|next| next.as_millisecond());
        let values = params![name, next, job.id.0.as_bytes()];
        tx.sql.prepare_cached(sql)?.execute(values)?;
        submitted += 1;
    }
    Ok(submitted)
}
