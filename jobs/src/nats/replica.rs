//! The copy of the tables that a process keeps: a folder of its own below the data folder,
//! which ends with it. What a process left that was killed is cleared away by the next.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cairn_files::private;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use uuid::Uuid;

use crate::error::Result;
use crate::options::Options;
use crate::sqlite::open;

/// The folder in the data folder.
const FOLDER: &str = ".cairn-replicas";
/// The file whose lock says that the process lives.
const LOCK: &str = "lock";
/// The table that says how far the copy is.
pub(super) const TABLE: &str = "replica";

/// A folder for a copy. Dropped, it is deleted.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    _lock: File,
}

impl Folder {
    /// A new one below `data_dir`.
    pub(super) fn new(data_dir: &Path) -> io::Result<Self> {
        let parent = data_dir.join(FOLDER);
        private::folder(&parent)?;
        clear(&parent);
        let path = parent.join(Uuid::now_v7().to_string());
        private::folder(&path)?;
        let lock = private::options()
            .write(true)
            .create_new(true)
            .open(path.join(LOCK))?;
        lock.try_lock().map_err(io::Error::from)?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.path).ok();
    }
}

/// Deletes the folders of processes that have ended.
fn clear(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let is_ours = |name: &str| name.parse::<Uuid>().is_ok();
        if !entry.file_name().to_str().is_some_and(is_ours) {
            continue;
        }
        let lock = File::open(entry.path().join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Opens the copy in `folder`, which may be empty or hold a snapshot: the connection that does
/// what is asked, and the one that applies what others did.
pub(super) fn open(folder: &Path, options: &Options) -> Result<(Connection, Connection, PathBuf)> {
    let (asked, path) = open::open(folder, options)?;
    let applied = open::connect(&path, options)?;
    let prepare = || {
        for connection in [&asked, &applied] {
            // It is nothing but a copy: after a power cut there is another one.
            connection.pragma_update(None, "synchronous", "OFF")?;
        }
        asked.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {TABLE} (id INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
             INSERT OR IGNORE INTO {TABLE} VALUES (1, 0);"
        ))?;
        // Whoever made a change also told what its triggers did.
        applied.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
    };
    prepare().map_err(|cause| open::failed(&path, cause))?;
    Ok((asked, applied, path))
}

/// The number of the last message of the log that is in the copy.
pub(super) fn seq(sql: &Connection) -> rusqlite::Result<u64> {
    let text = "SELECT seq FROM replica WHERE id = 1";
    sql.prepare_cached(text)?.query_row([], |row| row.get(0))
}

/// Says that the copy goes up to message `seq`.
pub(super) fn set_seq(sql: &Connection, seq: u64) -> rusqlite::Result<()> {
    let text = "UPDATE replica SET seq = ?1 WHERE id = 1";
    sql.prepare_cached(text)?.execute([seq]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dead_left_is_cleared_away() {
        let data = tempfile::tempdir().unwrap();
        let alive = Folder::new(data.path()).unwrap();
        let parent = data.path().join(FOLDER);
        let dead = parent.join(Uuid::now_v7().to_string());
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join(LOCK), "").unwrap();
        let foreign = parent.join("notes");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join(LOCK), "").unwrap();
        let second = Folder::new(data.path()).unwrap();
        assert!(alive.path.exists() && second.path.exists() && foreign.exists());
        assert!(!dead.exists());
        let path = second.path.clone();
        drop(second);
        assert!(!path.exists());
    }
}
