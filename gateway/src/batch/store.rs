//! Batches in the gateway's database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;
use uuid::Uuid;

use super::{BatchCounts, BatchError, BatchInfo, BatchItem, NewItem};
use crate::accounts::{AccountsError, KeyId, database};
use crate::clock::now_millis;

/// Where a batch and its place in it lead to one item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ItemId {
    pub(super) batch: String,
    pub(super) n: i64,
}

/// An item to be worked on.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: ItemId,
    pub(super) key: Option<KeyId>,
    /// How long ago its batch was submitted.
    pub(super) age: Duration,
    pub(super) request: Value,
}

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

    /// Whether no result can be stored.
    pub(super) fn is_read_only(&self) -> bool {
        self.connection.is_readonly("main").unwrap_or(false)
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
            let state: String = row.get(1)?;
            let result: Option<String> = row.get(2)?;
            let result = result.map(|text| parsed(&text));
            let (response, error) = match state.as_str() {
                "done" => (result, None),
                _ => (None, result),
            };
            Ok(BatchItem {
                custom_id: row.get(0)?,
                state,
                response,
                error,
            })
        })
    }

    /// The first `limit` waiting items. Batches take turns: all first items come
    /// before all second ones.
    pub(super) fn waiting(&self, limit: usize) -> Result<Vec<Waiting>> {
        let sql = "SELECT i.batch_id, i.n, b.key_id, i.request, b.created_at FROM batch_items i \
                   JOIN batches b ON b.id = i.batch_id WHERE i.state = 'waiting' \
                   ORDER BY i.n, i.batch_id LIMIT ?1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(sql, params![limit], |row| {
            let key: Option<String> = row.get(2)?;
            let request: String = row.get(3)?;
            Ok(Waiting {
                id: ItemId {
                    batch: row.get(0)?,
                    n: row.get(1)?,
                },
                key: key.map(KeyId::new),
                age: Duration::from_millis(
                    (now_millis() - row.get::<_, i64>(4)?).max(0).unsigned_abs(),
                ),
                request: parsed(&request),
            })
        })
    }

    /// Ends an item, unless it has ended already, and its batch with the last.
    pub(super) fn end(&mut self, id: &ItemId, state: &str, result: &Value) -> Result<()> {
        let mut put = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            transaction.execute(
                "UPDATE batch_items SET state = ?3, result = ?4 \
                 WHERE batch_id = ?1 AND n = ?2 AND state = 'waiting'",
                params![id.batch, id.n, state, result.to_string()],
            )?;
            transaction.execute(END, params![id.batch, now_millis()])?;
            transaction.commit()
        };
        let result = put();
        result.map_err(|cause| self.failed(cause))
    }

    /// Cancels what waits of a batch.
    pub(super) fn cancel(&mut self, id: &str) -> Result<()> {
        let mut put = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            transaction.execute(
                "UPDATE batches SET cancelled_at = ?2 WHERE id = ?1 AND ended_at IS NULL",
                params![id, now_millis()],
            )?;
            transaction.execute(
                "UPDATE batch_items SET state = 'cancelled' \
                 WHERE batch_id = ?1 AND state = 'waiting'",
                [id],
            )?;
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
        self.connection
            .execute("DELETE FROM batches WHERE ended_at < ?1", [before])
            .map(drop)
            .map_err(|cause| self.failed(cause))
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
                      sum(i.state = 'waiting'), sum(i.state = 'done'), sum(i.state = 'failed'), \
                      sum(i.state = 'cancelled') \
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
