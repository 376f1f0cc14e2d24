//! Sources that fail again and again: their jobs wait, and one of them tries now and then.

use rusqlite::{OptionalExtension as _, params};

use super::submit;
use super::writer::Tx;
use crate::options::millis;

/// Jobs that are held or let go at once; the others follow when they are met.
const MAX_MOVED: usize = 256;

/// Until when job `n` of `source` is to wait; `None` if it may run. The first one that
/// asks after the pause tries for all.
pub(super) fn hold_until(tx: &Tx<'_>, source: &str, n: i64) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT open_until, probe FROM breakers WHERE source = ?1 AND open_until IS NOT NULL";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let open = statement.query_row([source], |row| Ok((row.get(0)?, row.get(1)?)));
    let open: Option<(i64, Option<i64>)> = open.optional()?;
    let Some((open_until, probe)) = open else {
        return Ok(None);
    };
    if open_until > tx.now {
        return Ok(Some(open_until));
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE n = ?1 AND phase = 3)";
    let mut statement = tx.sql.prepare_cached(sql)?;
    if statement.query_row([probe], |row| row.get(0))? {
        let pause = millis(tx.shared.options.breaker_min).max(1);
        return Ok(Some(tx.now.saturating_add(pause)));
    }
    let sql = "UPDATE breakers SET probe = ?2 WHERE source = ?1";
    tx.sql.prepare_cached(sql)?.execute(params![source, n])?;
    Ok(None)
}

/// Lets the ready jobs of `source` wait until `until`.
pub(super) fn hold(tx: &Tx<'_>, source: &str, until: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE jobs SET phase = 1, held = 1, wake_at = ?2 WHERE n IN (\
               SELECT n FROM jobs INDEXED BY jobs_source WHERE source = ?1 \
               AND source IS NOT NULL AND phase = 0 ORDER BY n LIMIT ?3)";
    let values = params![source, until, MAX_MOVED as i64];
    tx.sql.prepare_cached(sql)?.execute(values).map(drop)
}

/// Notes that job `n` of `source` failed in a way that may pass.
pub(super) fn failed(tx: &Tx<'_>, source: &str, n: i64) -> rusqlite::Result<()> {
    let options = &tx.shared.options;
    if options.breaker_failures == 0 {
        return Ok(());
    }
    let sql = "INSERT INTO breakers (source, failures) VALUES (?1, 1) \
               ON CONFLICT DO UPDATE SET failures = failures + 1 \
               RETURNING failures, open_until IS NOT NULL, opened, probe";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let (failures, is_open, opened, probe): (u32, bool, u32, Option<i64>) =
        statement.query_row([source], read)?;
    let opens = match is_open {
        true => probe == Some(n),
        false => failures >= options.breaker_failures,
    };
    if !opens {
        return Ok(()); // One that began before the source was seen to be down says nothing new.
    }
    let doubled = 1_u32.checked_shl(opened.min(31)).unwrap_or(u32::MAX);
    let pause = options.breaker_min.saturating_mul(doubled);
    let pause = millis(pause.min(options.breaker_max));
    let sql = "UPDATE breakers SET open_until = ?2, opened = opened + 1, probe = NULL \
               WHERE source = ?1";
    let until = tx.now.saturating_add(pause);
    tx.sql
        .prepare_cached(sql)?
        .execute(params![source, until])?;
    hold(tx, source, until)
}

/// Notes that the worker of job `n` was lost: if the job tried an open source for the
/// others, that failed; otherwise it says nothing about the source.
pub(super) fn lost(tx: &Tx<'_>, source: &str, n: i64) -> rusqlite::Result<()> {
    let sql = "SELECT EXISTS (SELECT 1 FROM breakers WHERE source = ?1 AND probe = ?2)";
    let mut statement = tx.sql.prepare_cached(sql)?;
    match statement.query_row(params![source, n], |row| row.get(0))? {
        true => failed(tx, source, n),
        false => Ok(()),
    }
}

/// Notes that `source` answers, and lets its jobs go.
pub(super) fn works(tx: &Tx<'_>, source: &str) -> rusqlite::Result<()> {
    let sql = "DELETE FROM breakers WHERE source = ?1 RETURNING open_until IS NOT NULL";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let was_open = statement.query_row([source], |row| row.get(0)).optional()?;
    if was_open != Some(true) {
        return Ok(());
    }
    let sql = "SELECT n FROM jobs INDEXED BY jobs_source WHERE source = ?1 AND source IS NOT NULL \
               AND phase = 1 AND held = 1 ORDER BY n LIMIT ?2";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let held = statement.query_map(params![source, MAX_MOVED as i64], |row| row.get(0))?;
    let held: Vec<i64> = held.collect::<rusqlite::Result<_>>()?;
    for n in held {
        let sql = "UPDATE jobs SET phase = 0, held = 0 WHERE n = ?1";
        tx.sql.prepare_cached(sql)?.execute([n])?;
        submit::open_lane(tx, n)?;
    }
    Ok(())
}
