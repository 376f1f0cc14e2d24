//! What the queue does by itself: lost leases, old jobs, schedules.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::rows::Phase;
use super::worker::{self, Leased};
use super::writer::{Fail, Tx};
use super::{breaker, control, schedules};
use crate::backoff;
use crate::clock::moment;
use crate::error::Result;
use crate::lease::Failure;
use crate::options::millis;
use crate::queue::Purge;

/// Leases that one transaction takes back.
const MAX_REAPED: i64 = 500;

/// When the next round is.
#[derive(Default)]
pub(super) struct Upkeep {
    next: Option<Instant>,
}

impl Upkeep {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    pub(super) fn start(&mut self, now: Instant, every: Duration) {
        self.next = now.checked_add(every);
    }
}

/// One round.
pub(super) fn run(tx: &mut Tx<'_>) -> Result<(), Fail> {
    reap(tx)?;
    schedules::tick(tx)?;
    let keep = millis(tx.shared.options.keep);
    let purge = Purge::EndedBefore {
        moment: moment(tx.now.saturating_sub(keep)),
        states: Vec::new(),
        tenant: None,
    };
    control::purge(tx, &purge)?;
    let sql = "DELETE FROM deliveries WHERE n IN (\
               SELECT n FROM deliveries WHERE state > 0 AND ended_at < ?1 LIMIT 500)";
    tx.sql
        .prepare_cached(sql)?
        .execute([tx.now.saturating_sub(keep)])?;
    let sql = "DELETE FROM counts WHERE jobs = 0";
    tx.sql.prepare_cached(sql)?.execute([])?;
    // Tenants are forgotten with their last job.
    let sql = "DELETE FROM tenants WHERE NOT EXISTS \
               (SELECT 1 FROM jobs WHERE jobs.tenant = tenants.tenant)";
    tx.sql.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Takes jobs from workers whose lease has run out.
pub(super) fn reap(tx: &mut Tx<'_>) -> Result<u64, Fail> {
    let sql = format!(
        "{} WHERE phase = 3 AND lease_until <= ?1 LIMIT ?2",
        worker::LEASED
    );
    let mut statement = tx.sql.prepare_cached(&sql)?;
    let lost = statement.query_map(params![tx.now, MAX_REAPED], worker::leased)?;
    let lost: Vec<Leased> = lost.collect::<rusqlite::Result<_>>()?;
    let options = &tx.shared.options;
    for job in &lost {
        let pause = backoff::pause(job.attempts, options.backoff_min, options.backoff_max);
        take_back(
            tx,
            job,
            "gave no sign of life until its lease ran out",
            millis(pause),
        )?;
    }
    Ok(lost.len() as u64)
}

/// Takes jobs from workers whose name begins with `prefix`, because they are gone.
pub(super) fn reclaim(tx: &mut Tx<'_>, prefix: &str) -> Result<u64, Fail> {
    let sql = format!(
        "{} WHERE phase = 3 AND substr(worker, 1, length(?1)) = ?1",
        worker::LEASED
    );
    let mut statement = tx.sql.prepare_cached(&sql)?;
    let lost = statement.query_map([prefix], worker::leased)?;
    let lost: Vec<Leased> = lost.collect::<rusqlite::Result<_>>()?;
    for job in &lost {
        take_back(tx, job, "is gone", 0)?;
    }
    Ok(lost.len() as u64)
}

fn take_back(tx: &mut Tx<'_>, job: &Leased, how: &str, pause: i64) -> rusqlite::Result<()> {
    if job.cancel {
        return control::end(tx, job.n, Phase::Cancelled);
    }
    if let Some(source) = &job.source {
        breaker::lost(tx, source, job.n)?;
    }
    let worker = job.worker.as_deref().unwrap_or_default();
    let failure = Failure::transient(format!("the worker {worker} {how}"));
    tx.count(|| metrics::counter!("cairn_jobs_reaped_total").increment(1));
    worker::ended_badly(tx, job, failure, pause).map(drop)
}

/// When the next delayed job or schedule is due after `now`.
pub(super) fn next_due(
    sql: &Connection,
    now: i64,
    with_schedules: bool,
) -> rusqlite::Result<Option<i64>> {
    let text =
        "SELECT min(wake_at) FROM jobs INDEXED BY jobs_wake WHERE phase = 1 AND wake_at > ?1";
    let job: Option<i64> = sql
        .prepare_cached(text)?
        .query_row([now], |row| row.get(0))?;
    let schedule = match with_schedules {
        // One that is overdue counts until it is done.
        true => schedules::next_due(sql)?,
        false => None,
    };
    Ok(job.into_iter().chain(schedule).min())
}
