//! Saves what can be read of a damaged SQLite file: the rows go into a new file, which then
//! takes the place of the old one. The old one is kept alongside it.
//!
//! SQLite has no checksums: a row that can be read and fits its table is taken for whole.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, Params, Row, params_from_iter};
use tempfile::TempDir;

use cairn_files::private;

use crate::accounts;

use super::blueprint::{Blueprint, Object, objects, quoted};
use super::check::{DatabaseKind, Held, OWN, check_database, contents, hold};
use super::log::Log;
use super::{image, rows, with_end};

/// Most reads that begin again behind a page that cannot be read, for one table.
const MAX_PROBES: usize = 1_000;

/// The files alongside a database that are of it.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// What was saved of one table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SavedTable {
    /// Its name.
    pub table: String,
    /// Rows in the new file.
    pub rows: usize,
    /// Whether the table was read from end to end, and every row fits it.
    pub whole: bool,
}

/// A database that was rebuilt.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Salvage {
    /// Its tables, as they were made.
    pub tables: Vec<SavedTable>,
    /// What was wrong with its log, so that later changes are lost; `None` if nothing was.
    pub log: Option<String>,
    /// The damaged file. Its log, if it had one, is alongside it.
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
    /// A newer Cairn made it.
    #[error("a newer Cairn may have made the database; use that version")]
    TooNew,
    /// The disk.
    #[error("the new file cannot be written: {0}")]
    Disk(#[from] std::io::Error),
    /// The new database.
    #[error("the new database cannot be made: {0}")]
    Database(#[from] rusqlite::Error),
    /// That keys are required cannot be noted.
    #[error("{0}")]
    Note(#[from] accounts::AccountsError),
}

/// Rebuilds the damaged databases of the gateway in `folder`; that of cached answers is
/// deleted. What was done with each. That keys are required stays, or is noted again.
pub fn repair_databases(folder: &Path) -> Vec<(PathBuf, Result<Option<Salvage>, SalvageError>)> {
    let mut done = Vec::new();
    for (name, kind, blueprint) in &OWN {
        let file = folder.join(name);
        let Some(checked) = check_database(&file, *kind, blueprint) else {
            continue;
        };
        if let Some(index) = &checked.stale_index {
            remove_stale(&file, index);
        }
        if checked.fault.is_none() {
            continue;
        }
        let outcome = match kind {
            DatabaseKind::Cache => remove(&file).map(|()| None),
            _ => Rebuilt::of(&file, blueprint).and_then(|rebuilt| {
                // A new file without the keys of the old one must not open the service.
                let keys = rebuilt.tables.iter().find(|table| table.table == "keys");
                if keys.is_none_or(|keys| keys.rows > 0 || !keys.whole) || rebuilt.log.is_some() {
                    accounts::require_keys(folder)?;
                }
                rebuilt.publish().map(Some)
            }),
        };
        done.push((file, outcome));
    }
    done
}

/// Removes `index`, the index of the log of the database `file`, which is stale or of another
/// file, unless another process has the database open: whether it was removed.
pub fn remove_stale(file: &Path, index: &Path) -> bool {
    !matches!(hold(file), Held::InUse)
        && match index.is_dir() {
            // Empty, or somebody's own.
            true => std::fs::remove_dir(index).is_ok(),
            false => std::fs::remove_file(index).is_ok(),
        }
}

/// Removes a database and its log.
fn remove(file: &Path) -> Result<(), SalvageError> {
    for end in COMPANIONS.into_iter().chain([""]) {
        cairn_files::remove(&with_end(file, end))?;
    }
    Ok(())
}

/// Rebuilds the database `file` from what can be read of it and of its log.
///
/// A kill at any moment leaves the old file, with its log or with the log alongside it under
/// the name that is given to old ones, or the new file.
///
/// # Errors
/// See [`SalvageError`]; then the file is as it was.
pub fn salvage(file: &Path, blueprint: &Blueprint<'_>) -> Result<Salvage, SalvageError> {
    Rebuilt::of(file, blueprint)?.publish()
}

/// A new database, alongside the damaged one that it is to replace.
struct Rebuilt {
    file: PathBuf,
    scratch: TempDir,
    new: PathBuf,
    tables: Vec<SavedTable>,
    log: Option<String>,
    /// How the damaged file and its log were when they were read.
    seen: [Option<(u64, SystemTime)>; 2],
}

impl Rebuilt {
    fn of(file: &Path, blueprint: &Blueprint<'_>) -> Result<Self, SalvageError> {
        let held = hold(file);
        if matches!(held, Held::InUse) {
            return Err(SalvageError::InUse);
        }
        let seen = look(file);
        let log = Log::read(&with_end(file, "-wal"), &with_end(file, "-shm"))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let scratch = tempfile::Builder::new()
            .prefix(".cairn-repair-")
            .tempdir_in(folder)?;
        // A log may be of another file: then the database is whole without it.
        let logs = match log.num_pages {
            0 => vec![None],
            _ => vec![Some(&log), None],
        };
        let mut best: Option<(bool, usize, PathBuf, Vec<SavedTable>, bool)> = None;
        let mut last = SalvageError::Nothing;
        for (number, used) in logs.into_iter().enumerate() {
            let image = scratch.path().join(format!("image-{number}.sqlite"));
            let new = scratch.path().join(format!("new-{number}.sqlite"));
            image::build(file, used, &image)?;
            match rebuild(&image, &new, blueprint) {
                Ok((tables, is_whole)) => {
                    let rows = tables.iter().map(|table| table.rows).sum();
                    let is_better = best
                        .as_ref()
                        .is_none_or(|best| (best.0, best.1) < (is_whole, rows));
                    if is_better {
                        best = Some((is_whole, rows, new, tables, used.is_none()));
                    }
                }
                Err(error) => last = error,
            }
            std::fs::remove_file(&image)?;
        }
        let Some((_, _, new, tables, without_log)) = best else {
            return Err(last);
        };
        drop(held);
        let foreign = (without_log && log.num_pages > 0)
            .then(|| "its log does not go with it, and was left out".to_owned());
        Ok(Self {
            file: file.to_owned(),
            scratch,
            new,
            tables,
            log: log.fault.or(foreign),
            seen,
        })
    }

    /// Puts the new file into the place of the old one.
    fn publish(self) -> Result<Salvage, SalvageError> {
        // Reading the files gave up the lock on them.
        let held = hold(&self.file);
        if matches!(held, Held::InUse) || look(&self.file) != self.seen {
            return Err(SalvageError::InUse);
        }
        drop(held);
        std::fs::File::open(&self.new)?.sync_all()?;
        let kept = name_for_old(&self.file);
        if self.file.exists() {
            std::fs::hard_link(&self.file, &kept)
                .or_else(|_| std::fs::copy(&self.file, &kept).map(|_| ()))?;
        }
        // Before the new file is there, which they are not of.
        for end in COMPANIONS {
            let companion = with_end(&self.file, end);
            if companion.symlink_metadata().is_ok() {
                std::fs::rename(&companion, with_end(&kept, end))?;
            }
        }
        std::fs::rename(&self.new, &self.file)?;
        cairn_files::sync_folder(self.file.parent().unwrap_or(Path::new("")))?;
        self.scratch.close()?;
        Ok(Salvage {
            tables: self.tables,
            log: self.log,
            kept,
        })
    }
}

/// Size and time of a database and of its log.
fn look(file: &Path) -> [Option<(u64, SystemTime)>; 2] {
    let seen = |data: Metadata| Some((data.len(), data.modified().ok()?));
    ["", "-wal"].map(|end| {
        let data = std::fs::metadata(with_end(file, end)).ok()?;
        // An empty log is made by looking.
        seen(data).filter(|(bytes, _)| end.is_empty() || *bytes > 0)
    })
}

/// A name alongside `file` that is free.
fn name_for_old(file: &Path) -> PathBuf {
    let name = |n: u32| with_end(file, &format!(".damaged-{n}"));
    let is_free = |path: &PathBuf| {
        !path.exists() && !COMPANIONS.iter().any(|end| with_end(path, end).exists())
    };
    (1..).map(name).find(is_free).unwrap_or_else(|| name(0))
}

/// Makes the database `new` of what can be read of `image`: its tables, and whether all of it
/// was whole.
fn rebuild(
    image: &Path,
    new: &Path,
    blueprint: &Blueprint<'_>,
) -> Result<(Vec<SavedTable>, bool), SalvageError> {
    let version = image::name_tables(image, blueprint).map_err(|_| SalvageError::Nothing)?;
    let version = version.ok_or(SalvageError::TooNew)?;
    let old = Connection::open(image)?;
    // Cells are looked at before they are believed.
    old.pragma_update(None, "cell_size_check", true)?;
    let is_whole = contents(&old, blueprint).is_ok_and(|faults| faults.is_empty());
    private::file(new)?;
    let new = Connection::open(new)?;
    let tables = copy(&old, &new, blueprint, version)?;
    let wrong: String = new.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
    if wrong != "ok" {
        return Err(SalvageError::Nothing);
    }
    new.close().map_err(|(_, error)| error)?;
    Ok((tables, is_whole))
}

/// Copies rows into the tables of `blueprint`, and then makes what depends on them.
fn copy(
    old: &Connection,
    new: &Connection,
    blueprint: &Blueprint<'_>,
    version: u32,
) -> Result<Vec<SavedTable>, SalvageError> {
    let found = objects(old).map_err(|_| SalvageError::Nothing)?;
    let wanted = blueprint.objects(version)?;
    let has = |table: &Object| found.iter().any(|object| object.name == table.name);
    if !wanted.iter().any(|object| object.is_table() && has(object)) {
        return Err(SalvageError::Nothing);
    }
    new.execute_batch("BEGIN")?;
    let mut saved = Vec::new();
    for table in wanted.iter().filter(|object| object.is_table()) {
        new.execute_batch(&table.sql)?;
        let mut copied = copy_table(old, new, table.name.clone())?;
        let unsound = rows::remove_unsound(new, blueprint, &table.name)?;
        copied.rows -= unsound;
        copied.whole &= unsound == 0 && has(table);
        saved.push(copied);
    }
    // So that no number is given twice.
    if let Ok(mut numbers) = old.prepare("SELECT name, seq FROM sqlite_sequence") {
        let mut rows = numbers.query([])?;
        while let Ok(Some(row)) = rows.next() {
            let (Ok(name), Ok(number)) = (row.get::<_, String>(0), row.get::<_, i64>(1)) else {
                continue;
            };
            let raise = "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1";
            new.execute(raise, (name, number))?;
        }
    }
    new.execute_batch(blueprint.repair_sql)?;
    for object in wanted.iter().filter(|object| !object.is_table()) {
        new.execute_batch(&object.sql)?;
    }
    new.pragma_update(None, "user_version", version)?;
    new.execute_batch("COMMIT")?;
    Ok(saved)
}

fn copy_table(old: &Connection, new: &Connection, name: String) -> rusqlite::Result<SavedTable> {
    let table = quoted(&name);
    let mut copier = Copier {
        old,
        insert: None,
        new,
        table: &table,
        rows: 0,
        unfit: 0,
    };
    let has_rowid = old
        .prepare(&format!("SELECT rowid FROM {table} LIMIT 0"))
        .is_ok();
    let whole = match has_rowid {
        true => copier.by_number()?,
        false => copier.by_key(&name)?,
    };
    let whole = whole && copier.unfit == 0;
    let rows = copier.rows;
    Ok(SavedTable {
        table: name,
        rows,
        whole,
    })
}

struct Copier<'a> {
    old: &'a Connection,
    new: &'a Connection,
    /// Puts a row into the new table.
    insert: Option<String>,
    /// Quoted.
    table: &'a str,
    rows: usize,
    /// Rows that do not fit the table, or hold text that is not UTF-8.
    unfit: usize,
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
        let Ok(mut found) = statement.query(from) else {
            return Ok((None, false));
        };
        let mut last = None;
        loop {
            let row = match found.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok((last, true)),
                Err(_) => return Ok((last, false)),
            };
            let Ok(number) = row.get(0) else {
                return Ok((last, false));
            };
            last = Some(number);
            if !rows::is_text_whole(row, 1..columns)? {
                self.unfit += 1;
                continue;
            }
            let values = values(row, columns)?;
            let insert = self.insert.get_or_insert_with(|| {
                let places = vec!["?"; columns - 1].join(", ");
                format!("INSERT OR IGNORE INTO {} VALUES ({places})", self.table)
            });
            let mut insert = self.new.prepare_cached(insert)?;
            match insert.execute(params_from_iter(values)) {
                Ok(changed) => {
                    self.rows += changed;
                    self.unfit += usize::from(changed == 0);
                }
                Err(rusqlite::Error::SqliteFailure(error, _))
                    if error.code == ErrorCode::ConstraintViolation =>
                {
                    self.unfit += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The values of a row behind its number.
fn values(row: &Row<'_>, columns: usize) -> rusqlite::Result<Vec<Value>> {
    (1..columns).map(|at| row.get(at)).collect()
}
