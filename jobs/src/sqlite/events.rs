//! What happened to a job, in order and within bounds.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::rows::{self, Phase};
use super::writer::Tx;
use crate::check;
use crate::clock::moment;
use crate::event::Event;
use crate::job::JobId;

/// Events that are kept of a job.
pub(super) const MAX_EVENTS: i64 = 256;

/// What an event is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A state or a stage.
    Change,
    /// How far it is: it replaces the report before.
    Progress,
}

/// Notes how job `n` stands now.
pub(super) fn add(tx: &mut Tx<'_>, n: i64, kind: Kind) -> rusqlite::Result<()> {
    let sql = "UPDATE jobs SET seq = seq + 1 WHERE n = ?1 RETURNING id, seq, phase, stage, \
               attempts, done, total, bytes, bytes_total, document_errors, failures";
    let (id, event) = tx.sql.prepare_cached(sql)?.query_row([n], |row| {
        let failures: Option<String> = row.get("failures")?;
        let failures = failures.map_or_else(Vec::new, |text| rows::attempts(&text));
        let last = failures.into_iter().next_back();
        let event = Event {
            seq: row.get("seq")?,
            at: moment(tx.now),
            state: Phase::from_number(row.get("phase")?)?.state(),
            stage: row.get("stage")?,
            attempts: row.get("attempts")?,
            progress: rows::progress(row)?,
            document_errors: row.get("document_errors")?,
            error: last.map(|attempt| check::event_error(&attempt.chain)),
        };
        Ok((JobId(Uuid::from_bytes(row.get("id")?)), event))
    })?;
    if kind == Kind::Progress {
        let sql = "DELETE FROM events WHERE n = ?1 AND is_progress = 1 \
                   AND seq = (SELECT max(seq) FROM events WHERE n = ?1)";
        tx.sql.prepare_cached(sql)?.execute([n])?;
    }
    let text = serde_json::to_string(&event).unwrap_or_default();
    let sql = "INSERT INTO events VALUES (?1, ?2, ?3, ?4)";
    let values = params![n, event.seq, kind == Kind::Progress, text];
    tx.sql.prepare_cached(sql)?.execute(values)?;
    if event.seq > MAX_EVENTS as u64 {
        let sql = "DELETE FROM events WHERE n = ?1 AND seq <= (SELECT seq FROM events \
                   WHERE n = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
        tx.sql
            .prepare_cached(sql)?
            .execute(params![n, MAX_EVENTS])?;
    }
    tx.touched.push(id);
    Ok(())
}

/// The kept events of job `id` after `seq`, and whether the job has ended; `None` if there
/// is no such job.
pub(super) fn after(
    sql: &Connection,
    id: JobId,
    seq: u64,
) -> rusqlite::Result<Option<(Vec<Event>, bool)>> {
    let Some((n, is_over)) = find(sql, id)? else {
        return Ok(None);
    };
    let text = "SELECT event FROM events WHERE n = ?1 AND seq > ?2 ORDER BY seq";
    let mut statement = sql.prepare_cached(text)?;
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    let mut events = Vec::new();
    for text in statement.query_map(params![n, seq], |row| row.get::<_, String>(0))? {
        // One that cannot be read is damaged; those after it say as much.
        events.extend(serde_json::from_str(&text?).ok());
    }
    Ok(Some((events, is_over)))
}

fn find(sql: &Connection, id: JobId) -> rusqlite::Result<Option<(i64, bool)>> {
    use rusqlite::OptionalExtension as _;
    let text = "SELECT n, phase > 4 FROM jobs WHERE id = ?1";
    let mut statement = sql.prepare_cached(text)?;
    let found = statement.query_row(params![id.0.as_bytes()], |row| {
        Ok((row.get(0)?, row.get(1)?))
    });
    found.optional()
}
