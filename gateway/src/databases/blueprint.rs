//! What a database has to look like, whatever its own file says.

use std::collections::BTreeMap;

use rusqlite::Connection;

/// What a database has to look like, and what its rows have to be.
#[derive(Clone, Copy, Debug)]
pub struct Blueprint<'a> {
    /// SQL that takes an empty file from each format to the next.
    pub migrations: &'a [&'a str],
    /// Whether `user_version` is the format: the number of migrations that were made.
    pub is_versioned: bool,
    /// Tables, and what is true of each of their rows, in SQL.
    pub sound: &'a [(&'a str, &'a str)],
    /// SQL for a file some of whose rows were lost, run before its triggers are made: what
    /// was counted of them, and the rows that there is always one of.
    pub repair_sql: &'a str,
}

/// A row of `sqlite_schema`: a table, an index or a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) table: String,
    pub(super) sql: String,
}

impl Object {
    /// Its SQL without comments, blanks and quotes, which differ between versions of one
    /// migration.
    fn essence(&self) -> String {
        let lines = self.sql.lines();
        let code = lines.map(|line| line.split("--").next().unwrap_or_default());
        let code = code.flat_map(str::chars);
        code.filter(|c| !c.is_whitespace() && *c != '"').collect()
    }

    pub(super) fn is_table(&self) -> bool {
        self.kind == "table"
    }

    /// What it is and its name, for messages.
    fn told(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }
}

impl Blueprint<'_> {
    /// The formats that a file may have.
    pub(super) fn versions(&self) -> std::ops::RangeInclusive<u32> {
        let newest = u32::try_from(self.migrations.len()).unwrap_or(u32::MAX);
        match self.is_versioned {
            true => 1..=newest,
            false => 0..=0,
        }
    }

    /// An empty database of the format `version`, in memory.
    pub(super) fn make(&self, version: u32) -> rusqlite::Result<Connection> {
        let connection = Connection::open_in_memory()?;
        let steps = match self.is_versioned {
            true => usize::try_from(version).unwrap_or(usize::MAX),
            false => self.migrations.len(),
        };
        for step in self.migrations.iter().take(steps) {
            connection.execute_batch(step)?;
        }
        Ok(connection)
    }

    /// What a file of the format `version` consists of, in the order in which it was made.
    pub(super) fn objects(&self, version: u32) -> rusqlite::Result<Vec<Object>> {
        objects(&self.make(version)?)
    }

    /// How the objects in a file of the format `version` differ from what they have to be.
    pub(super) fn differences(
        &self,
        version: u32,
        found: &[Object],
    ) -> rusqlite::Result<Vec<String>> {
        let key = |object: &Object| (object.kind.clone(), object.name.clone());
        let mut found: BTreeMap<_, &Object> =
            found.iter().map(|object| (key(object), object)).collect();
        let mut differences = Vec::new();
        for wanted in self.objects(version)? {
            match found.remove(&key(&wanted)) {
                None => differences.push(format!("the {} is missing", wanted.told())),
                Some(object)
                    if object.essence() != wanted.essence() || object.table != wanted.table =>
                {
                    differences.push(format!("the {} is not as it was made", wanted.told()));
                }
                Some(_) => {}
            }
        }
        let foreign = found
            .values()
            .map(|object| format!("there is a {} that Cairn does not make", object.told()));
        differences.extend(foreign);
        Ok(differences)
    }

    /// The newest format whose objects these are; `None` if no format has them.
    pub(super) fn version_of(&self, found: &[Object]) -> Option<u32> {
        self.versions().rev().find(|version| {
            self.differences(*version, found)
                .is_ok_and(|all| all.is_empty())
        })
    }
}

/// Tables, indexes and triggers, but for those of SQLite itself.
pub(super) fn objects(connection: &Connection) -> rusqlite::Result<Vec<Object>> {
    let mut statement = connection.prepare(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema
         WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Object {
            kind: row.get(0)?,
            name: row.get(1)?,
            table: row.get(2)?,
            sql: row.get(3)?,
        })
    })?;
    rows.collect()
}

/// `name` as an identifier in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
