//! Whether the databases in a data folder are whole, and what can be saved of one that is not.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::accounts::database::{FILE as ACCOUNTS, open_immutable};
use crate::cache::FILE as CACHE;
use crate::salvage::{Salvage, SalvageError, salvage, with_end};

/// Most faults of one file that are told.
const MAX_FAULTS: usize = 5;

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
    /// What SQLite says is wrong with it; `None` if it is whole.
    pub fault: Option<String>,
}

/// Reads the databases of the gateway that are in `folder` from end to end and changes
/// nothing.
pub fn check_databases(folder: &Path) -> Vec<DatabaseCheck> {
    let own = [
        (ACCOUNTS, DatabaseKind::Accounts),
        (CACHE, DatabaseKind::Cache),
    ];
    own.into_iter()
        .filter_map(|(name, kind)| check_database(&folder.join(name), kind))
        .collect()
}

/// Reads the database `file` from end to end and changes nothing; `None` if it does not exist.
pub fn check_database(file: &Path, kind: DatabaseKind) -> Option<DatabaseCheck> {
    file.is_file().then(|| DatabaseCheck {
        file: file.to_owned(),
        kind,
        fault: match faults(file) {
            Ok(faults) if faults.is_empty() => None,
            Ok(faults) => Some(faults.join("; ")),
            Err(error) => Some(error.to_string()),
        },
    })
}

/// Rows that keys rely on, made where they are lost: see [`crate::salvage()`].
const MEND_ACCOUNTS: &str =
    "INSERT INTO key_changes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM key_changes);";

/// Rebuilds the damaged databases of the gateway in `folder`; that of cached
/// answers is deleted. What was done with each.
pub fn repair_databases(folder: &Path) -> Vec<(PathBuf, Result<Option<Salvage>, SalvageError>)> {
    let damaged = check_databases(folder).into_iter();
    let damaged = damaged.filter(|checked| checked.fault.is_some());
    damaged
        .map(|checked| {
            let done = match checked.kind {
                DatabaseKind::Cache => remove(&checked.file).map(|()| None),
                _ => salvage(&checked.file, MEND_ACCOUNTS).map(Some),
            };
            (checked.file, done)
        })
        .collect()
}

/// Removes a database and its log.
fn remove(file: &Path) -> Result<(), SalvageError> {
    for end in ["-wal", "-shm", ""] {
        match std::fs::remove_file(with_end(file, end)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// SQLite's own examination: pages, indexes, and whether rows fit their tables.
pub(crate) fn faults(file: &Path) -> rusqlite::Result<Vec<String>> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let connection = match cairn_files::private::is_read_only(folder) {
        true => open_immutable(file)?,
        false => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(file, flags)?
        }
    };
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(vec!["it has no tables".to_owned()]);
    }
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({MAX_FAULTS})"))?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    let said: Vec<String> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(said.into_iter().filter(|line| line != "ok").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_noticed_and_named() {
        let place = tempfile::tempdir().unwrap();
        assert!(check_databases(place.path()).is_empty());
        let file = place.path().join(ACCOUNTS);
        drop(crate::accounts::database::open(place.path()).unwrap());
        let fault = |name: &str| {
            let found = check_databases(place.path());
            assert_eq!(found.len(), 1, "{name}");
            found[0].fault.clone()
        };
        assert_eq!(fault("whole"), None);

        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        assert!(fault("cut").is_some());
        std::fs::write(&file, "").unwrap();
        assert!(fault("empty").unwrap().contains("no tables"));
        std::fs::write(&file, [b'x'; 5000]).unwrap();
        assert!(fault("not a database").is_some());
    }
}
