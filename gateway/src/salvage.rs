//! Saves what can be read of a damaged SQLite file: the rows go into a new file, which then
//! takes the place of the old one. The old one is kept alongside it.
//!
//! SQLite has no checksums: a row that can be read and fits its table is taken for whole.

use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, Params, Row, params_from_iter};

use cairn_files::private;

/// Most reads that begin again behind a page that cannot be read, for one table.
const MAX_PROBES: usize = 1_000;

/// What was saved of one table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SavedTable {
    /// Its name.
    pub table: String,
    /// Rows in the new file.
    pub rows: usize,
    /// Whether the table was read from end to end.
    pub whole: bool,
}

/// A database that was rebuilt.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Salvage {
    /// Its tables, as they were made.
    pub tables: Vec<SavedTable>,
    /// The damaged file.
    pub kept: PathBuf,
}

/// Why a database was left as it was.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// Another process has it open.
    #[error("another process has the database open; stop the service and try again")]
    InUse,
    /// Its tables cannot be told.
    #[error("nothing of the database can be read; restore a backup (`cairn restore`)")]
    Nothing,
    /// The disk.
    #[error("the new file cannot be written: {0}")]
    Disk(#[from] std::io::Error),
    /// The new database.
    #[error("the new database cannot be made: {0}")]
    Database(#[from] rusqlite::Error),
}

/// Rebuilds the database `file` from the rows that can be read. `repair_sql` is SQL that
/// runs in the new one before its triggers are made, for rows that others rely on.
///
/// A kill at any moment leaves the old file or the new one.
///
/// # Errors
/// See [`SalvageError`]; then the file is as it was.
pub fn salvage(file: &Path, repair_sql: &str) -> Result<Salvage, SalvageError> {
    let old = open_alone(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let scratch = tempfile::Builder::new()
        .prefix(".cairn-repair-")
        .tempdir_in(folder)?;
    let path = scratch.path().join("new.sqlite");
    private::file(&path)?;
    let new = Connection::open(&path)?;
    let tables = copy(&old, &new, repair_sql)?;
    let wrong: String = new.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
    if wrong != "ok" {
        return Err(SalvageError::Nothing);
    }
    close(new)?;
    std::fs::File::open(&path)?.sync_all()?;
    // What is in the log goes into the file where it can, so that the file alone is all.
    let finished = old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    if let Err(error) = finished {
        tracing::debug!(%error, "the log of a damaged database cannot be finished");
    }
    drop(old);
    let kept = name_for_old(file);
    for end in ["-wal", "-shm"] {
        let log = with_end(file, end);
        if log.exists() {
            std::fs::rename(&log, with_end(&kept, end))?;
        }
    }
    std::fs::hard_link(file, &kept).or_else(|_| std::fs::copy(file, &kept).map(|_| ()))?;
    std::fs::rename(&path, file)?;
    cairn_files::sync_folder(folder)?;
    Ok(Salvage { tables, kept })
}

/// Opens the file for this process alone, unless another one has it open.
fn open_alone(file: &Path) -> Result<Connection, SalvageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let old = Connection::open_with_flags(file, flags).map_err(|_| SalvageError::Nothing)?;
    let take = || -> rusqlite::Result<i64> {
        old.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        // Cells are looked at before they are believed.
        old.pragma_update(None, "cell_size_check", true)?;
        old.execute_batch("BEGIN EXCLUSIVE; COMMIT;")?;
        old.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
    };
    match take() {
        Ok(tables) if tables > 0 => Ok(old),
        Err(rusqlite::Error::SqliteFailure(error, _))
            if matches!(
                error.code,
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked
            ) =>
        {
            Err(SalvageError::InUse)
        }
        _ => Err(SalvageError::Nothing),
    }
}

fn close(connection: Connection) -> Result<(), SalvageError> {
    connection.close().map_err(|(_, error)| error.into())
}

/// The file alongside `file` whose name ends so, such as its log.
pub(crate) fn with_end(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// A name alongside `file` that is free.
fn name_for_old(file: &Path) -> PathBuf {
    let name = |n: u32| with_end(file, &format!(".damaged-{n}"));
    (1..)
        .map(name)
        .find(|path| !path.exists())
        .unwrap_or_else(|| name(0))
}

/// Copies tables, rows, and then what depends on them.
fn copy(
    old: &Connection,
    new: &Connection,
    repair_sql: &str,
) -> Result<Vec<SavedTable>, SalvageError> {
    let version: i64 = old.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let (tables, rest) = schema(old).map_err(|_| SalvageError::Nothing)?;
    new.execute_batch("BEGIN")?;
    let mut saved = Vec::new();
    for (name, sql) in tables {
        new.execute_batch(&sql)?;
        saved.push(copy_table(old, new, name)?);
    }
    new.execute_batch(repair_sql)?;
    rest.iter().try_for_each(|sql| new.execute_batch(sql))?;
    new.pragma_update(None, "user_version", version)?;
    new.execute_batch("COMMIT")?;
    Ok(saved)
}

/// The tables with what makes them, and what makes everything else.
#[allow(clippy::type_complexity, reason = "named where it is taken apart")]
fn schema(old: &Connection) -> rusqlite::Result<(Vec<(String, String)>, Vec<String>)> {
    let mut statement = old.prepare(
        "SELECT type, name, sql FROM sqlite_schema
         WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
        ))
    })?;
    let (mut tables, mut rest) = (Vec::new(), Vec::new());
    for row in rows {
        let (kind, name, sql) = row?;
        match kind == "table" {
            true => tables.push((name, sql)),
            false => rest.push(sql),
        }
    }
    Ok((tables, rest))
}

fn copy_table(old: &Connection, new: &Connection, name: String) -> rusqlite::Result<SavedTable> {
    let table = quoted(&name);
    let mut copier = Copier {
        old,
        insert: None,
        new,
        table: &table,
        rows: 0,
    };
    let has_rowid = old
        .prepare(&format!("SELECT rowid FROM {table} LIMIT 0"))
        .is_ok();
    let whole = match has_rowid {
        true => copier.by_number()?,
        false => copier.by_key(&name)?,
    };
    let rows = copier.rows;
    Ok(SavedTable {
        table: name,
        rows,
        whole,
    })
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

struct Copier<'a> {
    old: &'a Connection,
    new: &'a Connection,
    /// Puts a row into the new table.
    insert: Option<String>,
    /// Quoted.
    table: &'a str,
    rows: usize,
}

impl Copier<'_> {
    /// Reads from the first row number, and behind each place that cannot be read goes on in
    /// the middle of what is left. Whether nothing was left out.
    fn by_number(&mut self) -> rusqlite::Result<bool> {
        let table = self.table;
        let up =
            format!("SELECT rowid, * FROM {table} WHERE rowid BETWEEN ?1 AND ?2 ORDER BY rowid");
        let down = format!("{up} DESC");
        let mut gaps = vec![(i64::MIN, i64::MAX)];
        let mut whole = true;
        for _ in 0..MAX_PROBES {
            let Some((low, high)) = gaps.pop() else {
                return Ok(whole);
            };
            let (below, is_all) = self.read(&up, [low, high])?;
            if is_all {
                continue;
            }
            whole = false;
            let low = below.map_or(low, |last| last.saturating_add(1));
            let (above, _) = self.read(&down, [low, high])?;
            let high = above.map_or(high, |first| first.saturating_sub(1));
            // Where neither end gave a row, the middle may; rows are numbered from 1.
            let (low, high) = (low.max(0), high.min(i64::from(u32::MAX)));
            if low < high {
                let middle = low + (high - low) / 2;
                gaps.push((low, middle));
                gaps.push((middle + 1, high));
            }
        }
        Ok(false)
    }

    /// Reads a table without row numbers from both ends.
    fn by_key(&mut self, name: &str) -> rusqlite::Result<bool> {
        let keys: Vec<String> = self
            .old
            .prepare("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?
            .query_map([name], |row| row.get::<_, String>(0))?
            .collect::<rusqlite::Result<_>>()?;
        let order = |way: &str| {
            let keys: Vec<_> = keys.iter().map(|key| quoted(key) + way).collect();
            format!(
                "SELECT 0, * FROM {} ORDER BY {}",
                self.table,
                keys.join(", ")
            )
        };
        let (up, down) = (order(""), order(" DESC"));
        let (_, is_all) = self.read(&up, [])?;
        if !is_all {
            self.read(&down, [])?;
        }
        Ok(is_all)
    }

    /// Copies what `query` gives until it is at its end or cannot be read: the number of the
    /// last row, and whether that was the end. A row that is there already, or that does not
    /// fit the table, is left out.
    fn read(&mut self, query: &str, from: impl Params) -> rusqlite::Result<(Option<i64>, bool)> {
        let Ok(mut statement) = self.old.prepare_cached(query) else {
            return Ok((None, false));
        };
        let columns = statement.column_count();
        let Ok(mut rows) = statement.query(from) else {
            return Ok((None, false));
        };
        let mut last = None;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok((last, true)),
                Err(_) => return Ok((last, false)),
            };
            let Ok((number, values)) = values(row, columns) else {
                return Ok((last, false));
            };
            last = Some(number);
            let insert = self.insert.get_or_insert_with(|| {
                let places = vec!["?"; columns - 1].join(", ");
                format!("INSERT OR IGNORE INTO {} VALUES ({places})", self.table)
            });
            let mut insert = self.new.prepare_cached(insert)?;
            match insert.execute(params_from_iter(values)) {
                Ok(changed) => self.rows += changed,
                Err(rusqlite::Error::SqliteFailure(error, _))
                    if error.code == ErrorCode::ConstraintViolation => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Number and values of a row.
fn values(row: &Row<'_>, columns: usize) -> rusqlite::Result<(i64, Vec<Value>)> {
    let values = (1..columns).map(|at| row.get::<_, Value>(at));
    Ok((row.get(0)?, values.collect::<rusqlite::Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: i64 = 4_000;

    /// A database with two tables, an index, and a trigger that counts.
    fn build(file: &Path) {
        let new = Connection::open(file).unwrap();
        new.execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
             CREATE TABLE names (name TEXT PRIMARY KEY, n INTEGER) STRICT, WITHOUT ROWID;
             CREATE TABLE changes (n INTEGER NOT NULL) STRICT;
             INSERT INTO changes VALUES (0);
             CREATE INDEX notes_text ON notes (text);
             CREATE TRIGGER noted AFTER INSERT ON notes BEGIN UPDATE changes SET n = n + 1; END;
             PRAGMA user_version = 7;
             BEGIN;",
        )
        .unwrap();
        for n in 1..=ROWS {
            let text = format!("note {n} {}", "words ".repeat(20));
            new.execute("INSERT INTO notes VALUES (?1, ?2)", (n, text))
                .unwrap();
            let name = format!("name {n:05}");
            new.execute("INSERT INTO names VALUES (?1, ?2)", (name, n))
                .unwrap();
        }
        new.execute_batch("COMMIT").unwrap();
    }

    /// Overwrites the pages from `from` to `to` of the file with what is none.
    fn spoil(file: &Path, from: usize, to: usize) {
        let mut bytes = std::fs::read(file).unwrap();
        bytes[from * 4096..to * 4096].fill(0xA5);
        std::fs::write(file, bytes).unwrap();
    }

    fn faults(file: &Path) -> Option<String> {
        crate::check::faults(file).map_or_else(
            |error| Some(error.to_string()),
            |faults| faults.first().cloned(),
        )
    }

    #[test]
    fn rows_on_both_sides_of_damage_are_saved() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a.sqlite");
        build(&file);
        let pages = std::fs::metadata(&file).unwrap().len() as usize / 4096;
        spoil(&file, pages / 3, pages / 3 + 2);
        spoil(&file, pages / 2, pages / 2 + 1);
        assert!(faults(&file).is_some());
        let damaged = std::fs::read(&file).unwrap();

        let saved = salvage(&file, "UPDATE changes SET n = n + 1").unwrap();
        assert_eq!(faults(&file), None);
        assert_eq!(std::fs::read(&saved.kept).unwrap(), damaged);
        let new = Connection::open(&file).unwrap();
        let count = |table: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM {table}");
            new.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        for table in &saved.tables {
            assert_eq!(table.rows as i64, count(&table.table), "{table:?}");
        }
        let (notes, names) = (count("notes"), count("names"));
        assert!(
            notes + names < 2 * ROWS && notes > ROWS / 2,
            "{notes}, {names}"
        );
        let sound: i64 = new
            .query_row(
                "SELECT count(*) FROM notes WHERE text GLOB 'note ' || id || ' w*'",
                [],
                |r| r.get(0),
            )
            .unwrap();
        assert_eq!(sound, notes);
        // Rows are put back, not inserted once more: no trigger has run.
        let changes: i64 = new
            .query_row("SELECT n FROM changes", [], |row| row.get(0))
            .unwrap();
        assert_eq!(changes, ROWS + 1);
        new.execute("INSERT INTO notes VALUES (?1, 'new')", [ROWS + 1])
            .unwrap();
        let changes: i64 = new
            .query_row("SELECT n FROM changes", [], |row| row.get(0))
            .unwrap();
        assert_eq!(changes, ROWS + 2);
        let version: i64 = new
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(version, 7);
        assert!(
            std::fs::read_dir(place.path())
                .unwrap()
                .flatten()
                .all(|file| !file
                    .file_name()
                    .to_string_lossy()
                    .starts_with(".cairn-repair"))
        );
    }

    #[test]
    fn a_spoiled_index_costs_no_row() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a.sqlite");
        build(&file);
        let old = Connection::open(&file).unwrap();
        let root: i64 = old
            .query_row(
                "SELECT rootpage FROM sqlite_schema WHERE name = 'notes_text'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        old.close().unwrap();
        spoil(&file, root as usize - 1, root as usize);
        assert!(faults(&file).is_some());
        let saved = salvage(&file, "").unwrap();
        assert!(saved.tables.iter().all(|table| table.whole), "{saved:?}");
        assert_eq!(faults(&file), None);
    }

    #[test]
    fn what_is_open_or_cannot_be_read_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a.sqlite");
        build(&file);
        let open = Connection::open(&file).unwrap();
        let _: i64 = open
            .query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
            .unwrap();
        assert!(matches!(salvage(&file, ""), Err(SalvageError::InUse)));
        drop(open);
        spoil(&file, 0, 1);
        let before = std::fs::read(&file).unwrap();
        assert!(matches!(salvage(&file, ""), Err(SalvageError::Nothing)));
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
}
