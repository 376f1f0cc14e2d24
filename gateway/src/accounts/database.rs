//! The SQLite file of the gateway: opening it, and the steps from one format to
//! the next.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::AccountsError;
use cairn_files::private;

/// The file in the data folder.
pub(crate) const FILE: &str = "gateway.sqlite";

/// How long a statement waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// Each takes the database from its index to the next `user_version`. Never
/// edit one that was released: add another.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
];

/// The newest format.
const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Opens the database in `folder`, making both when they are not there.
pub(crate) fn open(folder: &Path) -> Result<Connection, AccountsError> {
    let path = folder.join(FILE);
    // Hashes and, where that is switched on, masked texts: nobody else's to read. The
    // files that SQLite makes beside this one get its permissions.
    private::data_folder(folder)
        .and_then(|()| private::file(&path))
        .map_err(|cause| AccountsError::Folder {
            path: folder.to_owned(),
            cause,
        })?;
    let failed = |cause| AccountsError::Database {
        path: path.clone(),
        cause,
    };
    let connection = Connection::open(&path).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    // One writer and any number of readers beside it; a commit is on the disk
    // when it returns.
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
        .map_err(failed)?;
    migrate(connection, path)
}

/// Opens the database in `folder` to read from it; none where there is none.
pub(super) fn open_existing(folder: &Path) -> Result<Option<Connection>, AccountsError> {
    let path = folder.join(FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let failed = |cause| AccountsError::Database {
        path: path.clone(),
        cause,
    };
    // Writable, because the first reader after a crash finishes its log.
    let connection =
        Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    migrate(connection, path).map(Some)
}

fn migrate(mut connection: Connection, path: PathBuf) -> Result<Connection, AccountsError> {
    let failed = |cause| AccountsError::Database {
        path: path.clone(),
        cause,
    };
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
    };
    if version(&connection).map_err(failed)? == KNOWN {
        return Ok(connection);
    }
    // Another process may migrate at the same time: the version is read again
    // once nobody else can write.
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(failed)?;
    let found = version(&transaction).map_err(failed)?;
    if found > KNOWN {
        drop(transaction);
        let known = KNOWN;
        return Err(AccountsError::TooNew { path, found, known });
    }
    for step in &MIGRATIONS[found as usize..] {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction
        .pragma_update(None, "user_version", KNOWN)
        .and_then(|()| transaction.commit())
        .map_err(failed)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_twice_and_knows_its_version() {
        let dir = tempfile::tempdir().unwrap();
        assert!(open_existing(dir.path()).unwrap().is_none());
        let first = open(dir.path()).unwrap();
        let second = open(dir.path()).unwrap();
        for connection in [&first, &second] {
            let version = |row: &rusqlite::Row<'_>| row.get::<_, u32>(0);
            let found = connection.pragma_query_value(None, "user_version", version);
            assert_eq!(found.unwrap(), KNOWN);
        }
        assert!(open_existing(dir.path()).unwrap().is_some());
    }

    #[test]
    fn a_newer_format_and_a_damaged_file_are_named() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path())
            .unwrap()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        let error = open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("newer Cairn"), "{error}");

        let damaged = tempfile::tempdir().unwrap();
        std::fs::write(damaged.path().join(FILE), vec![b'x'; 4096]).unwrap();
        let error = open(damaged.path()).unwrap_err().to_string();
        assert!(error.contains(FILE) && error.contains("backup"), "{error}");
    }
}
