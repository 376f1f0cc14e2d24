//! The SQLite file: opening it, and the steps from one format to the next.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::error::{Error, Result};
use crate::options::Options;

/// The file in the data folder.
pub const FILE: &str = "jobs.sqlite";

/// Each takes the database from its index to the next `user_version`. Never edit one that
/// was released: add another.
pub const MIGRATIONS: &[&str] = &[
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
];

/// Tables, and what is true of each of their rows, in SQL.
pub const SOUND_ROWS: &[(&str, &str)] = &[
    (
        "jobs",
        "length(id) = 16 AND phase BETWEEN 0 AND 7 AND json_valid(payload)
         AND json_valid(result) IS NOT 0 AND json_valid(input) IS NOT 0
         AND json_valid(failures) IS NOT 0",
    ),
    ("events", "json_valid(event)"),
    ("document_errors", "json_valid(error)"),
    ("schedules", "json_valid(schedule)"),
    (
        "endpoints",
        "length(id) = 16 AND json_valid(types) AND json_valid(kinds) AND json_valid(secrets)",
    ),
    ("deliveries", "state BETWEEN 0 AND 2"),
];

/// SQL that puts right, in a database some of whose rows were lost, what was counted of them
/// and the rows that there is always one of.
pub const REPAIR_SQL: &str = "
    INSERT INTO turn (n) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM turn);
    UPDATE jobs SET phase = 0 WHERE phase = 2 AND n IN (
        SELECT min(n) FROM jobs WHERE ordering_key IS NOT NULL AND phase < 5
        GROUP BY ordering_key);
    DELETE FROM counts;
    INSERT INTO counts SELECT phase, kind, tenant, count(*) FROM jobs GROUP BY 1, 2, 3;
    DELETE FROM events WHERE n NOT IN (SELECT n FROM jobs);
    DELETE FROM document_errors WHERE n NOT IN (SELECT n FROM jobs);
    INSERT OR IGNORE INTO tenants SELECT DISTINCT tenant, 0 FROM jobs WHERE phase = 0;
    INSERT OR IGNORE INTO lanes SELECT DISTINCT priority, tenant, kind, 0 FROM jobs
        WHERE phase = 0;
";

/// The newest format.
pub(crate) const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Makes folder and file where they are missing, and brings the file to the newest format.
pub(crate) fn open(folder: &Path, options: &Options) -> Result<(Connection, PathBuf)> {
    let path = folder.join(FILE);
    // Only the owner may read payloads and results. The files that SQLite makes alongside
    // this one get its permissions.
    cairn_files::private::data_folder(folder)
        .and_then(|()| cairn_files::private::file(&path))
        .map_err(|cause| match cause.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Error::ReadOnly { path: path.clone() }
            }
            std::io::ErrorKind::StorageFull => Error::DiskFull { path: path.clone() },
            _ => Error::Folder {
                path: folder.to_owned(),
                cause: Arc::new(cause),
            },
        })?;
    let mut connection = connect(&path, options)?;
    migrate(&mut connection, &path)?;
    // The name of a new file is as durable as its bytes.
    cairn_files::sync_folder(folder).map_err(|cause| Error::Folder {
        path: folder.to_owned(),
        cause: Arc::new(cause),
    })?;
    Ok((connection, path))
}

/// Another connection to the file.
pub(crate) fn connect(path: &Path, options: &Options) -> Result<Connection> {
    let connect = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(options.busy)?;
        // One writer and any number of readers alongside it; a commit is on the disk when it
        // returns.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // The same pages change with every job: the longer the log, the less often each is
        // copied back. 16 MiB of log are read in a moment after a crash.
        connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
        connection.pragma_update(None, "cache_size", -8_192)?; // KiB
        if let Some(pages) = options.max_pages {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        connection.set_prepared_statement_cache_capacity(128);
        Ok(connection)
    };
    connect().map_err(|cause| failed(path, cause))
}

/// Brings the file to the newest format.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    let failed = |cause| failed(path, cause);
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
    };
    if version(connection).map_err(failed)? == KNOWN {
        return Ok(());
    }
    // Another process may migrate at the same time: the version is read again once nothing
    // else can write.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let found = version(&transaction).map_err(failed)?;
    if found > KNOWN {
        return Err(Error::TooNew {
            path: path.to_owned(),
            found,
            known: KNOWN,
        });
    }
    for step in &MIGRATIONS[found as usize..] {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction
        .pragma_update(None, "user_version", KNOWN)
        .and_then(|()| transaction.commit())
        .map_err(failed)
}

/// `cause`, in the words of the queue.
pub(crate) fn failed(path: &Path, cause: rusqlite::Error) -> Error {
    let path = path.to_owned();
    match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::DiskFull { path },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            Error::ReadOnly { path }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { path },
        _ => Error::Database {
            path,
            cause: Arc::new(cause),
        },
    }
}
