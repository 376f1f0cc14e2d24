//! Which rows a transaction changed, and in which columns.
//!
//! Temporary triggers, which only this connection has, note the key of each row that is
//! inserted, updated or deleted, also by the triggers of the tables. When the transaction ends
//! the rows are read as they stand then: what was undone by a savepoint is not among them.

use rusqlite::types::Value;
use rusqlite::{Connection, Row};

use super::changes::{Change, Changes};

/// In a mask: the row was inserted, so that all of it is told.
const INSERTED: i64 = 1 << 62;
/// The most columns that a mask has room for.
const MAX_COLUMNS: usize = 62;

/// A table that is watched.
struct Table {
    name: String,
    columns: Vec<String>,
    /// Positions of the columns of its primary key.
    key: Vec<usize>,
    /// Reads the touched rows: their mask, whether they are there, the key, all columns.
    read: String,
    /// Forgets them.
    forget: String,
}

/// Watches the tables of one connection.
pub(super) struct Capture {
    tables: Vec<Table>,
}

impl Capture {
    /// Watches all tables of `sql` but `except`, from now on.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) fn new(sql: &Connection, except: &str) -> rusqlite::Result<Self> {
        sql.pragma_update(None, "temp_store", "MEMORY")?;
        let mut statement = sql.prepare(
            "SELECT name FROM main.sqlite_schema WHERE type = 'table' \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> ?1 ORDER BY name",
        )?;
        let names = statement.query_map([except], |row| row.get(0))?;
        let names: Vec<String> = names.collect::<rusqlite::Result<_>>()?;
        let tables: Vec<_> = names
            .into_iter()
            .map(|name| Table::watch(sql, name))
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self { tables })
    }

    /// What the open transaction has changed so far; empty when that is nothing. The next
    /// call tells only of what comes after.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) fn take(&self, sql: &Connection) -> rusqlite::Result<Changes> {
        let mut changes = Changes::default();
        for table in &self.tables {
            table.take(sql, &mut changes)?;
        }
        Ok(changes)
    }
}

impl Table {
    fn watch(sql: &Connection, name: String) -> rusqlite::Result<Self> {
        let mut statement =
            sql.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid")?;
        let columns = statement.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let columns: Vec<(String, i64)> = columns.collect::<rusqlite::Result<_>>()?;
        let mut key: Vec<_> = (0..columns.len()).filter(|i| columns[*i].1 > 0).collect();
        key.sort_by_key(|i| columns[*i].1);
        let columns: Vec<String> = columns.into_iter().map(|(name, _)| name).collect();
        assert!(
            !key.is_empty() && columns.len() <= MAX_COLUMNS,
            "the table {name} has a primary key and at most {MAX_COLUMNS} columns"
        );
        let keys: Vec<&str> = key.iter().map(|i| columns[*i].as_str()).collect();
        let of = |row: &str| list(keys.iter().map(|key| format!("{row}.{key}")));
        let all = INSERTED | ((1 << columns.len()) - 1);
        let changed = columns
            .iter()
            .enumerate()
            .map(|(i, column)| format!("((old.{column} IS NOT new.{column}) << {i})"));
        let changed = changed.collect::<Vec<_>>().join(" | ");
        // A row under another key is another row.
        let moved: Vec<_> = keys
            .iter()
            .map(|key| format!("old.{key} IS NOT new.{key}"))
            .collect();
        let changed = format!("{changed} | iif({}, {all}, 0)", moved.join(" OR "));
        let names = list(keys.iter());
        let note = |row: &str, mask: &str| {
            format!(
                "INSERT INTO touched_{name} VALUES ({}, {mask}) \
                 ON CONFLICT DO UPDATE SET mask = mask | excluded.mask;",
                of(row)
            )
        };
        sql.execute_batch(&format!(
            "CREATE TEMP TABLE touched_{name} ({names}, mask INTEGER NOT NULL, \
                 PRIMARY KEY ({names})) WITHOUT ROWID;
             CREATE TEMP TRIGGER inserted_{name} AFTER INSERT ON main.{name} BEGIN {} END;
             CREATE TEMP TRIGGER updated_{name} AFTER UPDATE ON main.{name} BEGIN {} {} END;
             CREATE TEMP TRIGGER deleted_{name} AFTER DELETE ON main.{name} BEGIN {} END;",
            note("new", &all.to_string()),
            note("new", &changed),
            note("old", "0"),
            note("old", "0"),
        ))?;
        let join: Vec<_> = keys
            .iter()
            .map(|key| format!("t.{key} = m.{key}"))
            .collect();
        let rest = list(columns.iter().map(|column| format!("t.{column}")));
        let read = format!(
            "SELECT m.mask, t.{} IS NOT NULL, {}, {rest} FROM touched_{name} m \
             LEFT JOIN main.{name} t ON {}",
            keys[0],
            of("m"),
            join.join(" AND "),
        );
        Ok(Self {
            forget: format!("DELETE FROM touched_{name}"),
            name,
            columns,
            key,
            read,
        })
    }

    fn take(&self, sql: &Connection, changes: &mut Changes) -> rusqlite::Result<()> {
        let mut is_touched = false;
        let mut statement = sql.prepare_cached(&self.read)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            is_touched = true;
            if let Some(change) = self.change(row)? {
                changes.add(&self.name, change);
            }
        }
        if is_touched {
            sql.prepare_cached(&self.forget)?.execute([])?;
        }
        Ok(())
    }

    /// What became of a touched row; `None` if it is as it was.
    fn change(&self, row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
        let (mask, is_there): (i64, bool) = (row.get(0)?, row.get(1)?);
        let keys = 0..self.key.len();
        let key = keys.map(|i| Ok((self.columns[self.key[i]].clone(), row.get(2 + i)?)));
        let key: Vec<(String, Value)> = key.collect::<rusqlite::Result<_>>()?;
        if !is_there {
            return Ok(Some(Change::Gone { key }));
        }
        let told = (0..self.columns.len()).filter(|i| mask & (1 << i) != 0);
        let told = told.map(|i| {
            let value = row.get(2 + self.key.len() + i)?;
            Ok((self.columns[i].clone(), value))
        });
        let columns: Vec<(String, Value)> = told.collect::<rusqlite::Result<_>>()?;
        Ok(match columns.is_empty() {
            true => None,
            false if mask & INSERTED != 0 => Some(Change::Whole { columns }),
            false => Some(Change::Part { key, columns }),
        })
    }
}

fn list(names: impl Iterator<Item: std::fmt::Display>) -> String {
    let names: Vec<_> = names.map(|name| name.to_string()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two databases with the same tables; the second has no triggers.
    fn pair() -> (Connection, Capture, Connection) {
        let tables = "CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID;
             CREATE TABLE items (n INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, body BLOB,
                                 note TEXT UNIQUE);
             CREATE TRIGGER counted AFTER INSERT ON items BEGIN
                 INSERT INTO counts VALUES (new.kind, 1)
                     ON CONFLICT DO UPDATE SET n = n + 1; END;
             CREATE TRIGGER uncounted AFTER DELETE ON items BEGIN
                 UPDATE counts SET n = n - 1 WHERE name = old.kind; END;
             CREATE TABLE log (a TEXT, b INTEGER, c REAL, PRIMARY KEY (b, a));
             CREATE TABLE seen (seq INTEGER PRIMARY KEY);";
        let (one, two) = (
            Connection::open_in_memory().unwrap(),
            Connection::open_in_memory().unwrap(),
        );
        for sql in [&one, &two] {
            sql.execute_batch(tables).unwrap();
        }
        let config = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        two.set_db_config(config, false).unwrap();
        let capture = Capture::new(&one, "seen").unwrap();
        (one, capture, two)
    }

    fn dump(sql: &Connection) -> Vec<String> {
        let mut all = Vec::new();
        for table in ["counts", "items", "log"] {
            let mut statement = sql.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let width = statement.column_count();
            let rows = statement.query_map([], |row| {
                let values: Vec<Value> =
                    (0..width).map(|i| row.get(i)).collect::<Result<_, _>>()?;
                Ok(format!("{table} {values:?}"))
            });
            all.extend(rows.unwrap().map(Result::unwrap));
        }
        all
    }

    #[test]
    fn a_copy_follows_every_change() {
        let (one, capture, two) = pair();
        let steps = [
            "INSERT INTO items (kind, body, note) VALUES ('a', x'00ff', 'x'), ('b', NULL, NULL)",
            "UPDATE items SET body = x'01' WHERE n = 1; INSERT INTO log VALUES ('k', 1, 1.5)",
            "UPDATE items SET note = note; UPDATE items SET kind = 'a' WHERE n = 2",
            "DELETE FROM items WHERE n = 1; INSERT INTO items (kind, note) VALUES ('a', 'x')",
            "INSERT OR REPLACE INTO log VALUES ('k', 1, NULL); UPDATE log SET b = 2",
            "SAVEPOINT s; DELETE FROM items; ROLLBACK TO s; RELEASE s; \
             INSERT INTO items (kind) VALUES ('\u{1}\"é漢')",
            "INSERT INTO items (n, kind) VALUES (40, 'z'); DELETE FROM items WHERE n = 40",
            "DELETE FROM items",
        ];
        for step in steps {
            one.execute_batch("BEGIN").unwrap();
            one.execute_batch(step).unwrap();
            let changes = capture.take(&one).unwrap();
            one.execute_batch("COMMIT").unwrap();
            let read = Changes::decode(&changes.encode()).unwrap();
            read.apply(&two).unwrap();
            assert_eq!(dump(&one), dump(&two), "{step}");
            assert!(capture.take(&one).unwrap().is_empty());
        }
    }

    #[test]
    fn only_what_changed_is_told() {
        let (one, capture, _) = pair();
        let body = "x".repeat(10_000);
        one.execute("INSERT INTO items (kind, body) VALUES ('a', ?1)", [&body])
            .unwrap();
        assert!(capture.take(&one).unwrap().encode().len() > 10_000);
        one.execute("UPDATE items SET kind = 'b'", []).unwrap();
        let told = capture.take(&one).unwrap().encode().len();
        assert!(told < 200, "{told} bytes");
        one.execute("UPDATE items SET kind = 'b'", []).unwrap();
        assert!(capture.take(&one).unwrap().is_empty());
    }

    #[test]
    fn a_copy_that_differs_is_noticed() {
        let (one, capture, two) = pair();
        one.execute("INSERT INTO items (kind) VALUES ('a')", [])
            .unwrap();
        capture.take(&one).unwrap();
        one.execute("UPDATE items SET kind = 'b'", []).unwrap();
        let changes = capture.take(&one).unwrap();
        assert!(changes.apply(&two).is_err());
    }
}
