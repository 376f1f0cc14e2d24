//! Whether the rows of a database are what they have to be.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::blueprint::{Blueprint, Object, quoted};

/// What is wrong with rows of the tables `objects`, one sentence for each table.
pub(super) fn faults(
    connection: &Connection,
    blueprint: &Blueprint<'_>,
    objects: &[Object],
) -> rusqlite::Result<Vec<String>> {
    let mut faults = Vec::new();
    for table in objects.iter().filter(|object| object.is_table()) {
        let name = quoted(&table.name);
        let mut statement = connection.prepare(&format!("SELECT * FROM {name}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let mut unreadable = 0;
        while let Some(row) = rows.next()? {
            unreadable += usize::from(!is_text_whole(row, 0..columns)?);
        }
        if unreadable > 0 {
            faults.push(format!(
                "{unreadable} rows of the table {} hold text that is not UTF-8",
                table.name
            ));
        }
        for condition in conditions(blueprint, &table.name) {
            let sql = format!("SELECT count(*) FROM {name} WHERE NOT ({condition})");
            let unsound: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
            if unsound > 0 {
                faults.push(format!(
                    "{unsound} rows of the table {} are not what they have to be",
                    table.name
                ));
            }
        }
    }
    Ok(faults)
}

/// Deletes the rows of `table` that are not what they have to be: how many.
pub(super) fn remove_unsound(
    connection: &Connection,
    blueprint: &Blueprint<'_>,
    table: &str,
) -> rusqlite::Result<usize> {
    let name = quoted(table);
    conditions(blueprint, table)
        .map(|condition| {
            connection.execute(&format!("DELETE FROM {name} WHERE NOT ({condition})"), [])
        })
        .sum()
}

fn conditions<'a>(blueprint: &Blueprint<'a>, table: &str) -> impl Iterator<Item = &'a str> {
    let of_table = blueprint
        .sound
        .iter()
        .filter(move |(name, _)| *name == table);
    of_table.map(|(_, condition)| *condition)
}

/// Whether the texts in `columns` of a row are UTF-8, which SQLite does not look at.
pub(super) fn is_text_whole(
    row: &Row<'_>,
    mut columns: std::ops::Range<usize>,
) -> rusqlite::Result<bool> {
    columns.try_fold(true, |is_whole, at| {
        let text = match row.get_ref(at)? {
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).is_ok(),
            _ => true,
        };
        Ok(is_whole && text)
    })
}
