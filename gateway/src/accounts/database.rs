//! The SQLite file of the gateway: opening it, and the steps from one format to
//! the next.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::AccountsError;
use crate::databases::Blueprint;
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
    include_str!("migrations/3.sql"),
    include_str!("migrations/4.sql"),
];

/// What doctor compares the file with.
pub(crate) const BLUEPRINT: Blueprint<'static> = Blueprint {
    migrations: MIGRATIONS,
    is_versioned: true,
    // One key that cannot be read keeps the service from starting. Texts of batches and of
    // feedback are shown as they are.
    sound: &[
        (
            "keys",
            "length(hash) = 32 AND coalesce(length(old_hash), 32) = 32
             AND json_valid(labels) AND json_valid(scopes) AND json_valid(limits)
             AND NOT EXISTS (SELECT 1 FROM json_each(scopes) WHERE value NOT IN ('search',
                 'query', 'documents:write', 'jobs', 'chat', 'tools', 'metrics', 'admin'))
             AND NOT EXISTS (SELECT 1 FROM json_each(limits) WHERE type NOT IN ('integer', 'real')
                 OR key NOT IN ('requests_per_minute', 'concurrent_streams',
                 'tokens_per_minute', 'tokens_per_day', 'tokens_per_month', 'usd_per_day',
                 'usd_per_month'))",
        ),
        (
            "batch_items",
            "state IN ('waiting', 'done', 'failed', 'dropped', 'cancelled') AND json_valid(request)",
        ),
        ("feedback", "rating IN ('up', 'down') AND json_valid(cited)"),
    ],
    repair_sql: "INSERT INTO key_changes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM key_changes);",
};

/// The newest format.
const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Opens the database in `folder`, making both when they are not there. In a folder where
/// nothing can be written, what is there can be read and every change fails.
pub(crate) fn open(folder: &Path) -> Result<Connection, AccountsError> {
    if private::is_read_only(folder) {
        return open_read_only(folder);
    }
    let path = folder.join(FILE);
    // Only the owner may read hashes and, where switched on, masked texts. The
    // files that SQLite makes alongside this one get its permissions.
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
    // One writer and any number of readers alongside it; a commit is on the disk
    // when it returns.
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
        .map_err(failed)?;
    migrate(connection, path)
}

/// Opens the database in `folder` to read from it; `None` if there is none.
pub(super) fn open_existing(folder: &Path) -> Result<Option<Connection>, AccountsError> {
    let path = folder.join(FILE);
    if !path.is_file() {
        return Ok(None);
    }
    if private::is_read_only(folder) {
        return open_read_only(folder).map(Some);
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

/// Opens the database in `folder` without making or changing a file; an empty one where
/// there is none.
pub(super) fn open_read_only(folder: &Path) -> Result<Connection, AccountsError> {
    let path = folder.join(FILE);
    let failed = |cause| AccountsError::Database {
        path: path.clone(),
        cause,
    };
    if !path.exists() {
        let connection = migrate(Connection::open_in_memory().map_err(failed)?, path.clone())?;
        let locked = connection.pragma_update(None, "query_only", true);
        return locked.map(|()| connection).map_err(failed);
    }
    // What the last commits changed may be in the log alongside it: keys that were revoked.
    // SQLite reads that only with the index of the log, which it would have to make.
    let log = folder.join(format!("{FILE}-wal"));
    if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(AccountsError::UnfinishedLog { path: log });
    }
    let connection = open_immutable(&path).map_err(failed)?;
    match version(&connection).map_err(failed)? {
        KNOWN => Ok(connection),
        found if found > KNOWN => Err(AccountsError::TooNew {
            path,
            found,
            known: KNOWN,
        }),
        found => Err(AccountsError::TooOld { path, found }),
    }
}

/// Opens a database on read-only storage: it cannot change, so it needs no locks,
/// for which there would have to be files. Its log is not looked at.
pub(crate) fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let mut address = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' => {
                address.push(char::from(*byte));
            }
            byte => address.push_str(&format!("%{byte:02x}")),
        }
    }
    address.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(address, flags)
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn migrate(mut connection: Connection, path: PathBuf) -> Result<Connection, AccountsError> {
    let failed = |cause| AccountsError::Database {
        path: path.clone(),
        cause,
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
    fn what_cannot_be_written_can_be_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a folder?#%41");
        std::fs::create_dir(&folder).unwrap();
        let refused = |connection: &Connection| {
            let error = connection.execute("DELETE FROM keys", []).unwrap_err();
            assert!(error.to_string().contains("readonly"), "{error}");
        };
        refused(&open_read_only(&folder).unwrap());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        let writer = open(&folder).unwrap();
        let sql = "INSERT INTO batches (id, created_at) VALUES ('b', 1)";
        writer.execute(sql, []).unwrap();
        // A log that holds more than the file must not be passed over.
        let error = open_read_only(&folder).unwrap_err().to_string();
        assert!(error.contains("gateway.sqlite-wal"), "{error}");
        drop(writer);
        let reader = open_read_only(&folder).unwrap();
        let count = |connection: &Connection| {
            connection.query_row("SELECT count(*) FROM batches", [], |row| {
                row.get::<_, u32>(0)
            })
        };
        assert_eq!(count(&reader).unwrap(), 1);
        refused(&reader);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        for (version, said) in [(99, "newer Cairn"), (1, "older Cairn")] {
            let writer = open(&folder).unwrap();
            writer.pragma_update(None, "user_version", version).unwrap();
            drop(writer);
            let error = open_read_only(&folder).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            let writer = Connection::open(folder.join(FILE)).unwrap();
            writer.pragma_update(None, "user_version", KNOWN).unwrap();
        }
    }

    #[test]
    fn a_batch_of_an_older_format_still_waits() {
        let dir = tempfile::tempdir().unwrap();
        let old = Connection::open(dir.path().join(FILE)).unwrap();
        for step in &MIGRATIONS[..3] {
            old.execute_batch(step).unwrap();
        }
        old.execute_batch(
            "PRAGMA user_version = 3; INSERT INTO batches (id, created_at) VALUES ('b', 1);
             INSERT INTO batch_items VALUES ('b', 0, 'first', '{}', 'waiting', NULL)",
        )
        .unwrap();
        drop(old);
        let new = open(dir.path()).unwrap();
        let sql = "SELECT job IS NULL AND state = 'waiting' FROM batches JOIN batch_items";
        assert!(new.query_row(sql, [], |row| row.get::<_, bool>(0)).unwrap());
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
