//! Whether the databases in a data folder are whole.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::accounts::database::FILE as ACCOUNTS;
use crate::cache::FILE as CACHE;

/// Most faults of one file that are told.
const MAX_FAULTS: usize = 5;

/// What was found in one database.
#[derive(Clone, Debug)]
pub struct DatabaseCheck {
    /// The file.
    pub file: PathBuf,
    /// Whether it holds copies only, so that it may be deleted.
    pub is_cache: bool,
    /// What SQLite says is wrong with it; `None` if it is whole.
    pub fault: Option<String>,
}

/// Reads the databases that are in `folder` from end to end and changes nothing.
pub fn check_databases(folder: &Path) -> Vec<DatabaseCheck> {
    [(ACCOUNTS, false), (CACHE, true)]
        .into_iter()
        .map(|(name, is_cache)| (folder.join(name), is_cache))
        .filter(|(file, _)| file.is_file())
        .map(|(file, is_cache)| {
            let fault = match faults(&file) {
                Ok(faults) if faults.is_empty() => None,
                Ok(faults) => Some(faults.join("; ")),
                Err(error) => Some(error.to_string()),
            };
            DatabaseCheck {
                file,
                is_cache,
                fault,
            }
        })
        .collect()
}

/// SQLite's own examination: pages, indexes, and whether rows fit their tables.
fn faults(file: &Path) -> rusqlite::Result<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
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
