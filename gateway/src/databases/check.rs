//! What is wrong with a database.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::accounts::database::{self, open_immutable};
use crate::cache;
use cairn_files::private;

use super::blueprint::{Blueprint, objects};
use super::log::{self, Log};
use super::{header, rows, with_end};

/// Most faults of one file that SQLite tells.
const MAX_FAULTS: usize = 5;

/// How long another process that has a database open is waited for: it may be about to end.
const PATIENCE: Duration = Duration::from_millis(300);

/// What a database is for, and so what its loss means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    /// Keys and the ledger.
    Accounts,
    /// Copies: it may be deleted.
    Cache,
    /// Another crate's.
    Other,
}

/// What was found in one database.
#[derive(Clone, Debug)]
pub struct DatabaseCheck {
    /// The file.
    pub file: PathBuf,
    /// What it is for.
    pub kind: DatabaseKind,
    /// What is damaged or missing; `None` if it is whole.
    pub fault: Option<String>,
    /// What may be damage and loses nothing more than is lost already.
    pub warning: Option<String>,
    /// The index of its log, if that is stale or of another file and no process uses it.
    pub stale_index: Option<PathBuf>,
}

/// The databases of the gateway in a data folder.
pub(super) const OWN: [(&str, DatabaseKind, Blueprint<'static>); 2] = [
    (database::FILE, DatabaseKind::Accounts, database::BLUEPRINT),
    (cache::FILE, DatabaseKind::Cache, cache::BLUEPRINT),
];

/// Reads the databases of the gateway that are in `folder` from end to end and changes
/// nothing. See [`check_database`].
pub fn check_databases(folder: &Path) -> Vec<DatabaseCheck> {
    OWN.iter()
        .filter_map(|(name, kind, blueprint)| check_database(&folder.join(name), *kind, blueprint))
        .collect()
}

/// Reads the database `file` from end to end and changes nothing; `None` if neither it nor a
/// log of it is there. A process that has the file open itself loses its locks by that.
pub fn check_database(
    file: &Path,
    kind: DatabaseKind,
    blueprint: &Blueprint<'_>,
) -> Option<DatabaseCheck> {
    let mut checked = DatabaseCheck {
        file: file.to_owned(),
        kind,
        fault: None,
        warning: None,
        stale_index: None,
    };
    let log = with_end(file, "-wal");
    if file.symlink_metadata().is_err() {
        if !log.metadata().is_ok_and(|log| log.len() > 0) {
            return None;
        }
        checked.fault = Some("the file is missing, and its log is there".into());
        return Some(checked);
    }
    checked.fault = match checked.examine(blueprint) {
        Ok(faults) if faults.is_empty() => None,
        Ok(faults) => Some(faults.join("; ")),
        Err(error) => Some(error.to_string()),
    };
    Some(checked)
}

/// Why an examination was not finished.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("{0}")]
    Disk(#[from] io::Error),
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
}

impl DatabaseCheck {
    fn examine(&mut self, blueprint: &Blueprint<'_>) -> Result<Vec<String>, Stopped> {
        let file = &self.file;
        if private::is_read_only(file.parent().unwrap_or(Path::new(""))) {
            return Ok(contents(&open_immutable(file)?, blueprint)?);
        }
        let mut beginning = Vec::new();
        let reader = File::open(file)?;
        reader
            .take(header::HEADER_BYTES as u64)
            .read_to_end(&mut beginning)?;
        if beginning.is_empty() {
            return Ok(vec!["it is empty".into()]);
        }
        let faults = header::faults(&beginning);
        // What another process writes to is looked at through SQLite alone.
        let alone = hold(file);
        if !matches!(alone, Held::InUse) {
            let index = with_end(file, "-shm");
            let log = Log::read(&with_end(file, "-wal"), &index)?;
            if log::is_stale(&index, &log) {
                self.stale_index = Some(index);
            }
            // Copies are not flushed: a power cut may take the end of their log.
            if self.kind != DatabaseKind::Cache {
                self.warning = log.warning;
                // SQLite would take such a log, and write to the file what it can read of it.
                if let Some(fault) = log.fault {
                    return Ok(vec![fault]);
                }
            }
        }
        if !faults.is_empty() {
            let faults = faults.join(", ");
            return Ok(vec![format!("its header is damaged: {faults}")]);
        }
        drop(alone);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Ok(contents(
            &Connection::open_with_flags(file, flags)?,
            blueprint,
        )?)
    }
}

/// What became of trying to have a database for oneself.
pub(super) enum Held {
    /// No other process has it open as long as this lives.
    Alone(#[allow(dead_code, reason = "its lock is what counts")] Connection),
    /// Another process has it open.
    InUse,
    /// SQLite cannot open it.
    Unreadable,
}

/// Opens the database for this process alone, without writing to it or reading its log into it.
pub(super) fn hold(file: &Path) -> Held {
    let take = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.execute_batch("BEGIN EXCLUSIVE; ROLLBACK;")?;
        Ok(connection)
    };
    match take() {
        Ok(connection) => Held::Alone(connection),
        Err(rusqlite::Error::SqliteFailure(error, _))
            if matches!(
                error.code,
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked
            ) =>
        {
            Held::InUse
        }
        Err(_) => Held::Unreadable,
    }
}

/// What is wrong with what a connection shows: pages and indexes, by SQLite's own
/// examination; tables; rows.
pub(super) fn contents(
    connection: &Connection,
    blueprint: &Blueprint<'_>,
) -> rusqlite::Result<Vec<String>> {
    let found = objects(connection)?;
    if found.is_empty() {
        return Ok(vec!["it has no tables".to_owned()]);
    }
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({MAX_FAULTS})"))?;
    let said = statement.query_map([], |row| row.get::<_, String>(0))?;
    let said: Vec<String> = said.collect::<rusqlite::Result<_>>()?;
    let mut faults: Vec<String> = said.into_iter().filter(|line| line != "ok").collect();
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let differences = match blueprint.versions().contains(&version) {
        true => Some(blueprint.differences(version, &found)?),
        false => None,
    };
    let is_made_so = differences.as_ref().is_some_and(Vec::is_empty);
    if !is_made_so {
        match (blueprint.version_of(&found), differences) {
            (Some(made), _) => faults.push(format!(
                "it says that its format is {version}, and its tables are those of {made}"
            )),
            (None, Some(differences)) => faults.extend(differences),
            (None, None) => faults.push(format!(
                "it says that its format is {version}, which this Cairn does not know: a newer one \
                 made it, or it is damaged"
            )),
        }
    }
    if faults.is_empty() {
        faults = rows::faults(connection, blueprint, &found)?;
    }
    Ok(faults)
}
