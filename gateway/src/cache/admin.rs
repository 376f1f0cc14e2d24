//! What the command line sees of the cache, and deletes from it.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;

use super::disk::{self, CacheError};

/// What is in the cache of a data folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CacheStats {
    /// Answers.
    pub answers: u64,
    /// Bytes that count against `cache.max_mb`.
    pub bytes: u64,
    /// Milliseconds since 1970 when the oldest was written.
    pub oldest_ms: Option<u64>,
    /// The same of the newest.
    pub newest_ms: Option<u64>,
    /// By route, in the order of their names.
    pub routes: Vec<RouteStats>,
}

/// What is in the cache of one route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteStats {
    /// The route.
    pub route: String,
    /// Answers.
    pub answers: u64,
    /// Answers that are also found by a question of the same meaning.
    pub semantic: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Looks at the cache in `folder`; empty where there is none.
///
/// # Errors
/// When the file cannot be read.
pub fn stats(folder: &Path) -> Result<CacheStats, CacheError> {
    read(folder, |connection| {
        let mut statement = connection.prepare(
            "SELECT route, COUNT(*), COUNT(vector), SUM(bytes), MIN(created), MAX(created)
             FROM answers GROUP BY route ORDER BY route",
        )?;
        let mut rows = statement.query([])?;
        let mut stats = CacheStats::default();
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        while let Some(row) = rows.next()? {
            let route = RouteStats {
                route: row.get(0)?,
                answers: number(row.get(1)?),
                semantic: number(row.get(2)?),
                bytes: number(row.get(3)?),
            };
            let (oldest, newest) = (number(row.get(4)?), number(row.get(5)?));
            stats.oldest_ms = Some(stats.oldest_ms.map_or(oldest, |old| old.min(oldest)));
            stats.newest_ms = Some(stats.newest_ms.map_or(newest, |new| new.max(newest)));
            stats.answers += route.answers;
            stats.bytes += route.bytes;
            stats.routes.push(route);
        }
        Ok(stats)
    })
}

/// Deletes every answer, or those of one route, and returns how many. A running
/// service forgets them within a second.
///
/// # Errors
/// When the file cannot be written.
pub fn purge(folder: &Path, route: Option<&str>) -> Result<u64, CacheError> {
    read(folder, |connection| {
        let deleted = match route {
            Some(route) => connection.execute("DELETE FROM answers WHERE route = ?1", [route])?,
            None => connection.execute("DELETE FROM answers", [])?,
        };
        connection.execute("UPDATE purges SET count = count + 1", [])?;
        // What was deleted is not to be read from the file's free pages.
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .optional()?;
        connection.execute_batch("VACUUM")?;
        Ok(deleted as u64)
    })
}

fn read<T: Default>(
    folder: &Path,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, CacheError> {
    if !disk::exists(folder) {
        return Ok(T::default());
    }
    let connection = disk::open(folder)?;
    work(&connection).map_err(|cause| CacheError::Database {
        path: disk::path(folder),
        cause,
    })
}
