//! Batches in the gateway's database. A `dropped` item has failed because its job did, and is
//! asked again if that is tried again; to callers it is `failed`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde_json::Value;
use uuid::Uuid;

use super::{BatchCounts, BatchError, BatchInfo, BatchItem, Begun, NewItem, Waiting};
use crate::accounts::{AccountsError, KeyId, database};
use crate::clock::now_millis;

/// The batches of one data folder.
pub(super) struct Store {
    connection: Connection,
    path: PathBuf,
}

type Result<T> = std::result::Result<T, BatchError>;

impl Store {
    pub(super) fn open(data_dir: &Path) -> Result<Self> {
        let connection = database::open(data_dir)?;
        let store = Self {
            connection,
            path: data_dir.join(database::FILE),
        };
        let on = store.connection.pragma_update(None, "foreign_keys", true);
        on.map_err(|cause| store.failed(cause))?;
        Ok(store)
    }

    /// Stores a batch, whole or not at all.
    pub(super) fn submit(&mut self, key: Option<&KeyId>, items: &[NewItem]) -> Result<String> {
        let id = Uuid::now_v7().to_string();
        let mut put = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            transaction.execute(
                "INSERT INTO batches (id, key_id, created_at) VALUES (?1, ?2, ?3)",
                params![id, key.map(KeyId::as_str), now_millis()],
            )?;
            let sql = "INSERT INTO batch_items (batch_id, n, custom_id, request, state) \
                       VALUES (?1, ?2, ?3, ?4, 'waiting')";
            let mut statement = transaction.prepare(sql)?;
            for (n, item) in (0_i64..).zip(items) {
                statement.execute(params![id, n, item.custom_id, item.request.to_string()])?;
            }
            drop(statement);
            transaction.commit()
        };
        let result = put();
        result.map_err(|cause| self.failed(cause))?;
        Ok(id)
    }

    /// Notes the job that answers the batch.
    pub(super) fn queued(&self, id: &str, job: &str) -> Result<()> {
        let sql = "UPDATE batches SET job = ?2 WHERE id = ?1";
        self.change(sql, params![id, job])
    }

    /// Deletes the batch.
    pub(super) fn withdraw(&self, id: &str) -> Result<()> {
        self.change("DELETE FROM batches WHERE id = ?1", [id])
    }

    /// How far the batch `id` is.
    pub(super) fn get(&self, id: &str) -> Result<BatchInfo> {
        let sql = format!("{SELECT} WHERE b.id = ?1 GROUP BY b.id");
        let found = self.connection.query_row(&sql, [id], info).optional();
        let found = found.map_err(|cause| self.failed(cause))?;
        found.ok_or_else(|| BatchError::NotFound(id.to_owned()))
    }

    /// The latest batches of `key`, or of everybody with none, the newest first.
    pub(super) fn list(&self, key: Option<&KeyId>, limit: usize) -> Result<Vec<BatchInfo>> {
        let sql = format!(
            "{SELECT} WHERE ?1 IS NULL OR b.key_id = ?1 GROUP BY b.id ORDER BY b.id DESC LIMIT ?2"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(&sql, params![key.map(KeyId::as_str), limit], info)
    }

    /// Items of a batch in their order.
    pub(super) fn items(&self, id: &str, offset: usize, limit: usize) -> Result<Vec<BatchItem>> {
        let sql = "SELECT custom_id, state, result FROM batch_items WHERE batch_id = ?1 \
                   AND n >= ?2 ORDER BY n LIMIT ?3";
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.rows(sql, params![id, number(offset), number(limit)], |row| {
            let mut state: String = row.get(1)?;
            let result: Option<String> = row.get(2)?;
            let result = result.map(|text| parsed(&text));
            let (response, error) = match state.as_str() {
                "done" => (result, None),
                _ => (None, result),
            };
            if state == "dropped" {
                state = "failed".to_owned();
            }
            Ok(BatchItem {
                custom_id: row.get(0)?,
                state,
                response,
                error,
            })
        })
    }

    /// All that have not ended.
    pub(super) fn unended(&self) -> Result<Vec<BatchInfo>> {
        let sql = format!("{SELECT} WHERE b.ended_at IS NULL GROUP BY b.id ORDER BY b.id");
        self.rows(&sql, [], info)
    }

    /// Lets what was cancelled or dropped wait again, and says what there is to do.
    pub(super) fn begin(&mut self, id: &str) -> Result<Begun> {
        let mut again = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            let sql = "UPDATE batch_items SET state = 'waiting', result = NULL \
                       WHERE batch_id = ?1 AND state IN ('cancelled', 'dropped')";
            if transaction.execute(sql, [id])? > 0 {
                let sql = "UPDATE batches SET cancelled_at = NULL, ended_at = NULL WHERE id = ?1";
                transaction.execute(sql, [id])?;
            }
            transaction.commit()
        };
        let result = again();
        result.map_err(|cause| self.failed(cause))?;
        let info = self.get(id)?;
        let sql = "SELECT coalesce(sum(length(CAST(request AS BLOB))), 0) FROM batch_items \
                   WHERE batch_id = ?1 AND state = 'waiting'";
        let bytes = self.connection.query_row(sql, [id], |row| row.get(0));
        let bytes: i64 = bytes.map_err(|cause| self.failed(cause))?;
        let sql = "SELECT custom_id, result FROM batch_items \
                   WHERE batch_id = ?1 AND state = 'failed' ORDER BY n";
        let failed = self.rows(sql, [id], |row| {
            let error: Option<String> = row.get(1)?;
            Ok((row.get(0)?, parsed(&error.unwrap_or_default())))
        })?;
        let age = (now_millis() - info.created_at).max(0).unsigned_abs();
        Ok(Begun {
            info,
            age: Duration::from_millis(age),
            bytes_waiting: bytes.unsigned_abs(),
            failed,
        })
    }

    /// The first `limit` waiting items of the batch behind the `after`th.
    pub(super) fn waiting(&self, id: &str, after: i64, limit: usize) -> Result<Vec<Waiting>> {
        let sql = "SELECT n, custom_id, request FROM batch_items \
                   WHERE batch_id = ?1 AND n > ?2 AND state = 'waiting' ORDER BY n LIMIT ?3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(sql, params![id, after, limit], |row| {
            let request: String = row.get(2)?;
            Ok(Waiting {
                n: row.get(0)?,
                custom_id: row.get(1)?,
                request: parsed(&request),
                bytes: request.len() as u64,
            })
        })
    }

    /// Whether the batch was cancelled, or is there no more.
    pub(super) fn is_cancelled(&self, id: &str) -> Result<bool> {
        let sql = "SELECT cancelled_at IS NOT NULL FROM batches WHERE id = ?1";
        let found = self.connection.query_row(sql, [id], |row| row.get(0));
        let found = found.optional().map_err(|cause| self.failed(cause))?;
        Ok(found.unwrap_or(true))
    }

    /// Ends an item, unless it has ended already, and its batch with the last.
    pub(super) fn end(&mut self, id: &str, n: i64, state: &str, result: &Value) -> Result<()> {
        let result = result.to_string();
        self.end_items(id, |transaction| {
            transaction.execute(
                "UPDATE batch_items SET state = ?3, result = ?4 \
                 WHERE batch_id = ?1 AND n = ?2 AND state = 'waiting'",
                params![id, n, state, result],
            )
        })
    }

    /// Cancels what waits of a batch.
    pub(super) fn cancel(&mut self, id: &str) -> Result<()> {
        self.end_items(id, |transaction| {
            transaction.execute(
                "UPDATE batches SET cancelled_at = ?2 WHERE id = ?1 AND ended_at IS NULL",
                params![id, now_millis()],
            )?;
            transaction.execute(
                "UPDATE batch_items SET state = 'cancelled' \
                 WHERE batch_id = ?1 AND state = 'waiting'",
                [id],
            )
        })
    }

    /// Lets what waits of a batch fail for now.
    pub(super) fn drop_rest(&mut self, id: &str, error: &Value) -> Result<()> {
        let error = error.to_string();
        self.end_items(id, |transaction| {
            transaction.execute(
                "UPDATE batch_items SET state = 'dropped', result = ?2 \
                 WHERE batch_id = ?1 AND state = 'waiting'",
                params![id, error],
            )
        })
    }

    /// Makes a change that ends items, and ends the batch in which nothing waits any more.
    fn end_items(
        &mut self,
        id: &str,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<usize>,
    ) -> Result<()> {
        let put = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            change(&transaction)?;
            transaction.execute(END, params![id, now_millis()])?;
            transaction.commit()
        };
        let result = put();
        result.map_err(|cause| self.failed(cause))
    }

    /// Deletes batches that ended longer than `keep` ago, with their texts.
    pub(super) fn sweep(&self, keep: Duration) -> Result<()> {
        let before =
            now_millis().saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        self.change("DELETE FROM batches WHERE ended_at < ?1", [before])
    }

    fn change(&self, sql: &str, values: impl rusqlite::Params) -> Result<()> {
        let changed = self.connection.execute(sql, values);
        changed.map(drop).map_err(|cause| self.failed(cause))
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let query = || -> rusqlite::Result<Vec<T>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_map(values, read)?.collect()
        };
        query().map_err(|cause| self.failed(cause))
    }

    fn failed(&self, cause: rusqlite::Error) -> BatchError {
        BatchError::Storage(AccountsError::Database {
            path: self.path.clone(),
            cause,
        })
    }
}

/// Ends a batch in which nothing waits.
const END: &str = "UPDATE batches SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL \
                   AND NOT EXISTS (SELECT 1 FROM batch_items WHERE batch_id = ?1 \
                   AND state = 'waiting')";

const SELECT: &str = "SELECT b.id, b.key_id, b.created_at, b.cancelled_at, b.ended_at, count(*), \
                      sum(i.state = 'waiting'), sum(i.state = 'done'), \
                      sum(i.state IN ('failed', 'dropped')), sum(i.state = 'cancelled'), b.job \
                      FROM batches b JOIN batch_items i ON i.batch_id = b.id";

fn info(row: &Row<'_>) -> rusqlite::Result<BatchInfo> {
    let key: Option<String> = row.get(1)?;
    let cancelled: Option<i64> = row.get(3)?;
    let ended: Option<i64> = row.get(4)?;
    let count = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.unsigned_abs());
    Ok(BatchInfo {
        id: row.get(0)?,
        status: match (cancelled, ended) {
            (Some(_), _) => "cancelled",
            (None, Some(_)) => "completed",
            (None, None) => "in_progress",
        },
        job: row.get(10)?,
        created_at: row.get(2)?,
        ended_at: ended,
        counts: BatchCounts {
            total: count(5)?,
            waiting: count(6)?,
            done: count(7)?,
            failed: count(8)?,
            cancelled: count(9)?,
        },
        key: key.map(KeyId::new),
    })
}

/// What was stored is JSON; what is not is damaged, and shown as its text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
