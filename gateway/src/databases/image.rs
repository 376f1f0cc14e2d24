//! A copy of a damaged database in which is put right what is known without reading it: the
//! header, the names of its tables, and what its log holds.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use cairn_files::private;

use super::blueprint::{Blueprint, objects};
use super::header::{self, PAGE_BYTES};
use super::log::Log;
use super::with_end;

/// Copies the pages of the database `file` to `target`, with the commits of `log` in them.
///
/// # Errors
/// Those of the disk.
pub(super) fn build(file: &Path, log: Option<&Log>, target: &Path) -> io::Result<()> {
    private::file(target)?;
    let mut out = OpenOptions::new().read(true).write(true).open(target)?;
    match File::open(file) {
        Ok(mut file) => {
            io::copy(&mut file, &mut out)?;
        }
        // Perhaps all of it is in the log.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let page_bytes = PAGE_BYTES as u64;
    if let Some(log) = log.filter(|log| log.num_pages > 0) {
        let mut frames = File::open(with_end(file, "-wal"))?;
        for (page, offset) in log.pages.iter().filter(|(page, _)| **page <= log.num_pages) {
            let bytes = Log::page(&mut frames, *offset)?;
            out.seek(SeekFrom::Start(u64::from(page - 1) * page_bytes))?;
            out.write_all(&bytes)?;
        }
        out.set_len(u64::from(log.num_pages) * page_bytes)?;
    }
    let pages = out.metadata()?.len() / page_bytes;
    if pages == 0 {
        return Ok(());
    }
    out.set_len(pages * page_bytes)?;
    let mut first = [0; header::HEADER_BYTES];
    out.seek(SeekFrom::Start(0))?;
    out.read_exact(&mut first)?;
    header::put_right(&mut first, u32::try_from(pages).unwrap_or(u32::MAX));
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&first)
}

/// Gives the tables in the copy `image` the names and columns that `blueprint` has, and the
/// format that goes with them, which it returns; `None` if they may be a newer Cairn's.
///
/// # Errors
/// When its list of tables cannot be read.
pub(super) fn name_tables(
    image: &Path,
    blueprint: &Blueprint<'_>,
) -> rusqlite::Result<Option<u32>> {
    let connection = Connection::open(image)?;
    let said: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap_or(0);
    let found = objects(&connection).unwrap_or_default();
    let is_known = blueprint.versions().contains(&said);
    if is_known && blueprint.differences(said, &found)?.is_empty() {
        return Ok(Some(said));
    }
    let version = match blueprint.version_of(&found) {
        Some(version) => version,
        None if is_known => {
            write_names(&connection, blueprint, said)?;
            said
        }
        None if found.is_empty() => return Err(rusqlite::Error::QueryReturnedNoRows),
        None => return Ok(None),
    };
    connection.pragma_update(None, "user_version", version)?;
    Ok(Some(version))
}

/// A row of `sqlite_schema` as it stands in a file: its number, kind and name, then what
/// table it is of and its SQL.
type Entry = (i64, [Value; 2], [Value; 2]);

fn entries(connection: &Connection) -> rusqlite::Result<Vec<Entry>> {
    let sql = "SELECT rowid, type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        // What is not UTF-8 is not what it was.
        let value = |at| {
            row.get::<_, Value>(at)
                .or(Ok::<_, rusqlite::Error>(Value::Null))
        };
        Ok((row.get(0)?, [value(1)?, value(2)?], [value(3)?, value(4)?]))
    })?;
    rows.collect()
}

/// Writes into the list of tables what is not as it was made. An entry whose name is lost is
/// the one that is missing, if only one is.
fn write_names(
    connection: &Connection,
    blueprint: &Blueprint<'_>,
    version: u32,
) -> rusqlite::Result<()> {
    // So that SQLite reads a list that it cannot make sense of.
    connection.pragma_update(None, "writable_schema", true)?;
    let key = |entry: &Entry| format!("{:?}", entry.1);
    let mut wanted: BTreeMap<String, Entry> = entries(&blueprint.make(version)?)?
        .into_iter()
        .map(|entry| (key(&entry), entry))
        .collect();
    let mut pairs = Vec::new();
    let mut nameless = Vec::new();
    for found in entries(connection)? {
        match wanted.remove(&key(&found)) {
            Some(entry) => pairs.push((found, entry)),
            None => nameless.push(found),
        }
    }
    if let (1, Some((_, entry))) = (wanted.len(), wanted.pop_first())
        && nameless.len() == 1
        && let Some(found) = nameless.pop()
    {
        pairs.push((found, entry));
    }
    for (found, entry) in pairs {
        if (&found.1, &found.2) != (&entry.1, &entry.2) {
            let ([kind, name], [table, sql]) = (entry.1, entry.2);
            connection.execute(
                "UPDATE sqlite_schema SET type = ?2, name = ?3, tbl_name = ?4, sql = ?5
                 WHERE rowid = ?1",
                params![found.0, kind, name, table, sql],
            )?;
        }
    }
    connection.execute_batch("PRAGMA writable_schema = RESET")
}
