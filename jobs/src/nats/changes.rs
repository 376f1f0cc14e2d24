//! What a transaction did to the tables, as it stands in the log.
//!
//! JSON, so that `nats stream view` shows it. Rows that changed in the same columns stand
//! together under their names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value as Json, json};

/// One row that changed.
pub(super) enum Change {
    /// It is new.
    Whole { columns: Vec<(String, Value)> },
    /// Some of its columns are.
    Part {
        key: Vec<(String, Value)>,
        columns: Vec<(String, Value)>,
    },
    /// It was deleted.
    Gone { key: Vec<(String, Value)> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Gone,
    Part,
    Whole,
}

/// Rows of one table that changed alike.
#[derive(Debug, Serialize, Deserialize)]
struct Group {
    table: String,
    what: What,
    /// Names of what `rows` hold: first those of the key, except where the rows are whole.
    columns: Vec<String>,
    /// How many of them are the key.
    #[serde(default)]
    keys: usize,
    rows: Vec<Vec<Json>>,
}

/// All rows that a transaction changed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Changes {
    groups: Vec<Group>,
}

/// Why changes cannot be read or applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangesError {
    /// They are not what this program writes.
    #[error("an entry cannot be read: {0}")]
    Unreadable(String),
    /// The tables do not have the row.
    #[error("a row of {0} is missing in the copy")]
    Missing(String),
    /// The database failed.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}

impl Changes {
    /// Whether nothing changed.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Adds a change of `table`.
    pub(super) fn add(&mut self, table: &str, change: Change) {
        let (what, keys, named) = match change {
            Change::Whole { columns } => (What::Whole, 0, columns),
            Change::Part { mut key, columns } => {
                let keys = key.len();
                key.extend(columns);
                (What::Part, keys, key)
            }
            Change::Gone { key } => (What::Gone, key.len(), key),
        };
        let (columns, values): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        let row = values.into_iter().map(to_json).collect();
        let same =
            self.groups.iter_mut().rev().find(|group| {
                group.table == table && group.what == what && group.columns == columns
            });
        match same {
            Some(group) => group.rows.push(row),
            None => self.groups.push(Group {
                table: table.to_owned(),
                what,
                columns,
                keys,
                rows: vec![row],
            }),
        }
    }

    /// As it stands in the log.
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What [`Self::encode`] wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ChangesError> {
        let unreadable = |what: String| ChangesError::Unreadable(what);
        let read: Self =
            serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
        let is_name = |name: &String| {
            !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
        };
        for group in &read.groups {
            let mut names = std::iter::once(&group.table).chain(&group.columns);
            if !names.all(is_name) || group.keys > group.columns.len() {
                return Err(unreadable(format!("`{}` is not a table", group.table)));
            }
            let width = group.columns.len();
            if group.rows.iter().any(|row| row.len() != width) {
                return Err(unreadable(format!("a row of `{}` is cut", group.table)));
            }
        }
        Ok(read)
    }

    /// Does the same to the tables of `sql`, whose triggers are switched off. Rows that are
    /// gone come first: their keys may be taken by others.
    ///
    /// # Errors
    /// When the tables are not as they were for whoever made the changes.
    pub(super) fn apply(&self, sql: &Connection) -> Result<(), ChangesError> {
        let mut order: Vec<&Group> = self.groups.iter().collect();
        order.sort_by_key(|group| match group.what {
            What::Gone => 0,
            What::Part => 1,
            What::Whole => 2,
        });
        for group in order {
            let mut statement = sql.prepare_cached(&group.statement())?;
            for row in &group.rows {
                let values = row.iter().map(from_json);
                let values: Vec<Value> = values.collect::<Result<_, _>>()?;
                let changed = statement.execute(params_from_iter(values))?;
                if changed == 0 && group.what == What::Part {
                    return Err(ChangesError::Missing(group.table.clone()));
                }
            }
        }
        Ok(())
    }
}

impl Group {
    /// The statement that does it, with a parameter for each column.
    fn statement(&self) -> String {
        let Self { table, columns, .. } = self;
        let named = |range: std::ops::Range<usize>, between: &str| {
            let named = range.map(|i| format!("{} = ?{}", columns[i], i + 1));
            named.collect::<Vec<_>>().join(between)
        };
        let key = named(0..self.keys, " AND ");
        match self.what {
            What::Gone => format!("DELETE FROM {table} WHERE {key}"),
            What::Part => {
                let set = named(self.keys..columns.len(), ", ");
                format!("UPDATE {table} SET {set} WHERE {key}")
            }
            What::Whole => {
                let marks: Vec<_> = (1..=columns.len()).map(|i| format!("?{i}")).collect();
                format!(
                    "INSERT OR REPLACE INTO {table} ({}) VALUES ({})",
                    columns.join(", "),
                    marks.join(", ")
                )
            }
        }
    }
}

fn to_json(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Integer(n) => Json::Number(n.into()),
        // The tables have no other numbers; one that JSON cannot say is stored as none.
        Value::Real(n) => Number::from_f64(n).map_or(Json::Null, Json::Number),
        Value::Text(text) => Json::String(text),
        Value::Blob(bytes) => json!([BASE64.encode(bytes)]),
    }
}

fn from_json(value: &Json) -> Result<Value, ChangesError> {
    let odd = || ChangesError::Unreadable(format!("`{value}` is not a value"));
    Ok(match value {
        Json::Null => Value::Null,
        Json::String(text) => Value::Text(text.clone()),
        Json::Number(n) => match n.as_i64() {
            Some(n) => Value::Integer(n),
            None => Value::Real(n.as_f64().ok_or_else(odd)?),
        },
        Json::Array(list) => match list.as_slice() {
            [Json::String(text)] => Value::Blob(BASE64.decode(text).map_err(|_| odd())?),
            _ => return Err(odd()),
        },
        Json::Bool(_) | Json::Object(_) => return Err(odd()),
    })
}
