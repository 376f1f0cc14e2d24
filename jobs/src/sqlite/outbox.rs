//! Messages about jobs, written by the transaction that changes the job: none is lost
//! between the two, and none tells of what did not happen.

use rusqlite::params;
use serde_json::json;
use uuid::Uuid;

use super::rows;
use super::writer::Tx;
use crate::clock::moment;

/// Bytes of a result that a message carries; a longer one is fetched from the service.
const MAX_RESULT_BYTES: usize = 16 * 1024;

/// Tells the tenant's endpoints how job `n` stands now.
pub(super) fn add(tx: &mut Tx<'_>, n: i64) -> rusqlite::Result<()> {
    let sql = "SELECT e.id, e.types, e.kinds FROM endpoints e JOIN jobs j ON j.tenant = e.tenant \
               WHERE j.n = ?1 AND e.is_active";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let endpoints = statement.query_map([n], read)?;
    let endpoints: Vec<([u8; 16], String, String)> = endpoints.collect::<rusqlite::Result<_>>()?;
    if endpoints.is_empty() {
        return Ok(());
    }
    let job = rows::by_number(tx.sql, n)?;
    let kind = format!("job.{}", job.state);
    let fits = |value: &serde_json::Value| value.to_string().len() <= MAX_RESULT_BYTES;
    let error = job.failures.last().map(|attempt| attempt.chain.join(": "));
    let message = json!({
        "type": kind,
        "timestamp": moment(tx.now).to_string(),
        "data": {
            "id": job.id,
            "kind": job.kind,
            "state": job.state,
            "attempts": job.attempts,
            "progress": job.progress,
            "document_errors": job.document_errors,
            "result": job.result.filter(fits),
            "error": error.filter(|_| job.state == crate::State::Failed),
            "created_at": job.created_at,
            "ended_at": job.ended_at,
        },
    });
    let message = message.to_string();
    for (endpoint, types, kinds) in endpoints {
        if !names(&types, &kind) || !names(&kinds, &job.kind) {
            continue;
        }
        let id = format!("msg_{}", Uuid::now_v7().simple());
        let sql = "INSERT INTO deliveries (id, endpoint, type, payload, next_at, created_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?5)";
        let values = params![id, endpoint, kind, message, tx.now];
        tx.sql.prepare_cached(sql)?.execute(values)?;
        tx.has_messages.set(true);
    }
    Ok(())
}

/// Whether the JSON list `list` is empty or has `name`.
fn names(list: &str, name: &str) -> bool {
    let list: Vec<String> = serde_json::from_str(list).unwrap_or_default();
    list.is_empty() || list.iter().any(|item| item == name)
}
