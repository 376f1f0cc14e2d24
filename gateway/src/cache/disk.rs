//! The copy of the cache on the disk: one SQLite file, one thread that writes.
//!
//! Answers are written behind the calls that made them; what a crash loses is
//! asked again. The thread also notices a purge by another process.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, params};

use super::answer::Answer;
use super::key::Key;
use super::memory::{Entry, Memory};
use super::{Millis, now};
use crate::databases::Blueprint;
use cairn_files::private;
use cairn_settings::config;

/// The file in the data folder.
pub(crate) const FILE: &str = "cache.sqlite";
/// Answers that may wait to be written; more are not kept on the disk.
const WAITING: usize = 1024;
/// How often the thread looks whether another process purged the file.
const LOOK: Duration = Duration::from_secs(1);
/// Answers between two checks of the file's size.
const TRIM_EVERY: usize = 256;
/// How long a statement waits for another process.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, scope BLOB NOT NULL, route TEXT NOT NULL, question TEXT,
    vector BLOB, answer TEXT NOT NULL, bytes INTEGER NOT NULL, created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_created ON answers(created);
CREATE TABLE IF NOT EXISTS purges (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL);
INSERT OR IGNORE INTO purges VALUES (1, 0);
";

/// What doctor compares the file with.
pub(crate) const BLUEPRINT: Blueprint<'static> = Blueprint {
    migrations: &[SCHEMA],
    is_versioned: false,
    sound: &[],
    repair_sql: "",
};

/// The way to the thread.
pub(super) struct Disk(SyncSender<Work>);

enum Work {
    Put(Key, Box<Entry>),
    Flush(SyncSender<()>),
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// SQLite says no.
    #[error("{path}: the cache cannot be used ({cause}); delete the file, it holds copies only")]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        cause: rusqlite::Error,
    },
    /// The folder or a thread cannot be made.
    #[error("{path}: the cache cannot be opened ({cause})")]
    Machine {
        /// The file.
        path: PathBuf,
        /// What the machine said.
        cause: std::io::Error,
    },
}

/// Opens the file in `folder`, making both when they are not there.
pub(super) fn open(folder: &Path) -> Result<Connection, CacheError> {
    let path = folder.join(FILE);
    let machine = |cause| CacheError::Machine {
        path: path.clone(),
        cause,
    };
    // Only the owner may read questions and answers. The files that SQLite makes alongside
    // this one get its permissions.
    private::data_folder(folder)
        .and_then(|()| private::file(&path))
        .map_err(machine)?;
    let failed = |cause| CacheError::Database {
        path: path.clone(),
        cause,
    };
    let connection = Connection::open(&path).map_err(failed)?;
    connection
        .busy_timeout(BUSY)
        .and_then(|()| connection.pragma_update(None, "journal_mode", "WAL"))
        // Copies only: a lost second costs nothing.
        .and_then(|()| connection.pragma_update(None, "synchronous", "NORMAL"))
        .and_then(|()| connection.execute_batch(SCHEMA))
        .map_err(failed)?;
    Ok(connection)
}

/// Whether there is a file in `folder`.
pub(super) fn exists(folder: &Path) -> bool {
    folder.join(FILE).is_file()
}

/// The path of the file, for messages.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// How long a flush may take.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);

impl Disk {
    /// Fills `memory` from the file and starts the thread.
    pub(super) fn start(
        folder: &Path,
        settings: &config::Cache,
        memory: Arc<Mutex<Memory>>,
    ) -> Result<Self, CacheError> {
        let connection = open(folder)?;
        let file = path(folder);
        let max_bytes = settings.max_mb.saturating_mul(1 << 20);
        let keep = settings.stale_seconds.max(settings.ttl_seconds);
        let mut writer = DiskWriter {
            connection,
            memory,
            max_bytes: i64::try_from(max_bytes).unwrap_or(i64::MAX),
            keep: keep.saturating_mul(1000),
            purges: 0,
            written: 0,
        };
        writer.load().map_err(|cause| CacheError::Database {
            path: file.clone(),
            cause,
        })?;
        let (sender, work) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("answer cache".to_owned())
            .spawn(move || writer.run(&work))
            .map_err(|cause| CacheError::Machine { path: file, cause })?;
        Ok(Self(sender))
    }

    pub(super) fn put(&self, key: Key, entry: &Entry) {
        let work = Work::Put(key, Box::new(entry.clone()));
        if let Err(TrySendError::Full(_)) = self.0.try_send(work) {
            tracing::debug!("the cache's disk is slow; an answer is kept in memory only");
        }
    }

    pub(super) fn flush(&self) {
        let (done, waiting) = sync_channel(1);
        // What is kept are copies: a disk that hangs is not worth waiting for.
        if self.0.try_send(Work::Flush(done)).is_ok() {
            waiting.recv_timeout(FLUSH_PATIENCE).ok();
        }
    }
}

struct DiskWriter {
    connection: Connection,
    memory: Arc<Mutex<Memory>>,
    max_bytes: i64,
    keep: Millis,
    /// Purges of the file so far.
    purges: i64,
    written: usize,
}

impl DiskWriter {
    /// Until the cache is dropped.
    fn run(mut self, work: &Receiver<Work>) {
        loop {
            let result = match work.recv_timeout(LOOK) {
                Ok(Work::Put(key, entry)) => self.put(&key, &entry),
                Ok(Work::Flush(done)) => {
                    done.send(()).ok();
                    Ok(())
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(error) = result {
                tracing::warn!(%error, "the cache's file cannot be written; answers stay in memory");
            }
        }
    }

    /// Reads what is young enough, the newest last, so that it stays longest.
    fn load(&mut self) -> rusqlite::Result<()> {
        self.trim()?;
        self.purges = self.count_purges()?;
        let mut statement = self.connection.prepare(
            "SELECT key, scope, route, question, vector, answer, created FROM answers ORDER BY created",
        )?;
        let mut rows = statement.query([])?;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(row) = rows.next()? {
            let json: String = row.get(5)?;
            // Of an older Cairn, perhaps: such an answer is asked again.
            let Ok(answer) = serde_json::from_str::<Answer>(&json) else {
                continue;
            };
            let vector: Option<Vec<u8>> = row.get(4)?;
            let entry = Entry {
                answer: Arc::new(answer),
                scope: Key(row.get(1)?),
                route: row.get(2)?,
                question: row.get(3)?,
                vector: vector.map(|bytes| floats(&bytes)),
                created: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
            };
            memory.put(Key(row.get(0)?), entry);
        }
        Ok(())
    }

    fn put(&mut self, key: &Key, entry: &Entry) -> rusqlite::Result<()> {
        let answer = serde_json::to_string(entry.answer.as_ref())
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let vector = entry.vector.as_ref().map(|vector| bytes(vector));
        let mut statement = self.connection.prepare_cached(
            "INSERT OR REPLACE INTO answers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        statement.execute(params![
            key.0,
            entry.scope.0,
            entry.route,
            entry.question,
            vector,
            answer,
            i64::try_from(entry.bytes()).unwrap_or(i64::MAX),
            i64::try_from(entry.created).unwrap_or(i64::MAX),
        ])?;
        drop(statement);
        self.written += 1;
        if self.written.is_multiple_of(TRIM_EVERY) {
            self.trim()?;
        }
        Ok(())
    }

    /// Deletes what is too old, and the oldest of what is too much.
    fn trim(&self) -> rusqlite::Result<()> {
        let oldest = i64::try_from(now().saturating_sub(self.keep)).unwrap_or(0);
        self.connection
            .execute("DELETE FROM answers WHERE created <= ?1", [oldest])?;
        self.connection.execute(
            "DELETE FROM answers WHERE key IN (SELECT key FROM (
                SELECT key, SUM(bytes) OVER (ORDER BY created DESC, key) AS newer FROM answers
            ) WHERE newer > ?1)",
            [self.max_bytes],
        )?;
        Ok(())
    }

    /// After a purge by another process, what is left is all there is.
    fn look(&mut self) -> rusqlite::Result<()> {
        if self.count_purges()? != self.purges {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.clear();
            drop(memory);
            self.load()?;
        }
        Ok(())
    }

    fn count_purges(&self) -> rusqlite::Result<i64> {
        self.connection
            .query_row("SELECT count FROM purges", [], |row| row.get(0))
    }
}

fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Arc<[f32]> {
    let parts = bytes.chunks_exact(4);
    parts
        .map(|part| f32::from_le_bytes([part[0], part[1], part[2], part[3]]))
        .collect()
}
