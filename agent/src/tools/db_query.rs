//! `db_query`: read-only SQL on the configured SQLite files.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use cairn_engine::text::{one_line, one_line_within};
use cairn_gateway::accounts::Scope;
use cairn_models::Cancel;
use cairn_settings::config::AgentPath;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Setup, pick};
use crate::tool::{
    CostClass, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, arguments, blocking, parameters,
};

/// Maximum rows of a result.
const MAX_ROWS: usize = 50;
/// Maximum columns of a result.
const MAX_COLUMNS: usize = 50;
/// Maximum characters of a cell.
const MAX_CELL_CHARS: usize = 300;
/// Longest query, in bytes.
const MAX_SQL_BYTES: usize = 8192;
/// Longest text or blob that SQLite may create, in bytes.
const MAX_VALUE_BYTES: i32 = 1 << 20;
/// SQLite instructions between two checks of the clock.
const INSTRUCTIONS: i32 = 1000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The name of the database.
    #[schemars(length(min = 1))]
    database: String,
    /// One SELECT statement of SQLite; if left out, the tables and their columns are listed.
    sql: Option<String>,
}

struct DbQuery {
    spec: ToolSpec,
    databases: Vec<AgentPath>,
}

pub(super) fn open(setup: &Setup) -> Option<Arc<dyn Tool>> {
    let databases = setup.settings.databases.clone();
    if databases.is_empty() {
        return None;
    }
    Some(Arc::new(DbQuery {
        spec: ToolSpec {
            name: "db_query".into(),
            description: format!(
                "Reads a SQLite database with one SELECT statement; at most {MAX_ROWS} rows come \
                 back, so aggregate in SQL. Without `sql` it lists tables and columns: look at \
                 them first."
            ),
            parameters: parameters::<Args>(),
            cost: CostClass::Local,
            scopes: &[Scope::Tools],
        },
        databases,
    }))
}

#[async_trait]
impl Tool for DbQuery {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn run(&self, given: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let args: Args = arguments(given)?;
        let database = pick("database", &self.databases, &args.database, context)?;
        let (path, name) = (database.path.clone(), database.name.clone());
        blocking(&context.cancel, move |cancel| {
            let connection = connect(&path, cancel)?;
            let sql = args
                .sql
                .as_deref()
                .map(str::trim)
                .filter(|sql| !sql.is_empty());
            let Some(sql) = sql else {
                let text = tables(&connection)?;
                let title = format!("Tables of {name}");
                let uri = format!("database:{name}");
                return Ok(ToolOutput::evidence("tables and columns", uri, title, text));
            };
            if sql.len() > MAX_SQL_BYTES {
                let message = format!("`sql` may have {MAX_SQL_BYTES} bytes");
                return Err(ToolError::arguments(message));
            }
            let (rows, has_more, text) = rows(&connection, sql)?;
            let summary = match has_more {
                true => format!("the first {rows} rows of {name}"),
                false => format!("{rows} row(s) of {name}"),
            };
            let uri = format!("database:{name}");
            let text = format!("{sql}\n{text}");
            let mut output = ToolOutput::evidence(summary, uri, format!("Rows of {name}"), text);
            output.more = has_more.then(|| {
                format!("There are more than {MAX_ROWS} rows: aggregate, or use LIMIT and OFFSET.")
            });
            Ok(output)
        })
        .await
    }
}

/// A read-only connection to this file alone, which stops when `cancel` fires.
fn connect(path: &Path, cancel: Cancel) -> Result<Connection, ToolError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|mut connection| {
        connection.set_limit(
            rusqlite::limits::Limit::SQLITE_LIMIT_LENGTH,
            MAX_VALUE_BYTES,
        )?;
        connection.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(
            rusqlite::config::DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
            false,
        )?;
        connection.authorizer(Some(authorize))?;
        connection.progress_handler(INSTRUCTIONS, Some(move || cancel.is_cancelled()))?;
        Ok(connection)
    });
    opened.map_err(|error| {
        tracing::warn!(%error, "a database of the agent cannot be opened");
        ToolError::failed("the database cannot be opened; the log of the service says why")
    })
}

/// What a statement may do: read tables and compute.
fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
            Authorization::Allow
        }
        // It would load code.
        AuthAction::Function {
            function_name: "load_extension",
        } => Authorization::Deny,
        AuthAction::Function { .. } => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

fn tables(connection: &Connection) -> Result<String, ToolError> {
    let sql = "SELECT name, sql FROM sqlite_schema \
        WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name LIMIT 100";
    let mut statement = connection.prepare(sql).map_err(|error| wrong(&error))?;
    let rows = statement.query_map([], |row| row.get::<_, Option<String>>(1));
    let rows = rows.map_err(|error| wrong(&error))?;
    let mut text = String::new();
    for row in rows {
        let sql = row.map_err(|error| wrong(&error))?.unwrap_or_default();
        text.push_str(&one_line(&sql));
        text.push_str(";\n");
    }
    Ok(text)
}

/// The rows of a statement as lines, their number, and whether there are more.
fn rows(connection: &Connection, sql: &str) -> Result<(usize, bool, String), ToolError> {
    let mut statement = connection.prepare(sql).map_err(|error| wrong(&error))?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(ToolError::arguments("only one SELECT statement is run"));
    }
    let columns = statement.column_count().min(MAX_COLUMNS);
    let names: Vec<String> = statement.column_names().take(columns).map(cell).collect();
    let mut text = names.join(" | ");
    text.push('\n');
    let mut found = statement.query([]).map_err(|error| wrong(&error))?;
    let mut count = 0;
    while let Some(row) = found.next().map_err(|error| wrong(&error))? {
        if count == MAX_ROWS {
            return Ok((count, true, text));
        }
        count += 1;
        let cells = (0..columns).map(|at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => String::new(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) => cell(&String::from_utf8_lossy(text)),
                ValueRef::Blob(bytes) => format!("({} bytes)", bytes.len()),
            })
        });
        let cells: rusqlite::Result<Vec<String>> = cells.collect();
        text.push_str(&cells.map_err(|error| wrong(&error))?.join(" | "));
        text.push('\n');
    }
    Ok((count, false, text))
}

/// Text as shown in a cell.
fn cell(text: &str) -> String {
    one_line_within(text, MAX_CELL_CHARS)
}

/// SQLite's message, without paths.
fn wrong(error: &rusqlite::Error) -> ToolError {
    match error {
        rusqlite::Error::SqliteFailure(code, _)
            if code.code == rusqlite::ErrorCode::OperationInterrupted =>
        {
            ToolError::new(
                crate::tool::ToolErrorKind::Timeout,
                "the query took too long; ask for less, or aggregate over fewer rows",
            )
        }
        rusqlite::Error::SqliteFailure(code, _)
            if code.code == rusqlite::ErrorCode::AuthorizationForStatementDenied =>
        {
            ToolError::forbidden("only one SELECT statement that reads tables is run")
        }
        rusqlite::Error::MultipleStatement => {
            ToolError::arguments("only one SELECT statement is run")
        }
        error => ToolError::arguments(format!("SQLite says: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.sqlite");
        let connection = Connection::open(&path).unwrap();
        let sql = "CREATE TABLE orders (id INTEGER, item TEXT, cents INTEGER);
            INSERT INTO orders VALUES (1, 'rope', 1200), (2, 'anchor', 9900), (3, NULL, 5);";
        connection.execute_batch(sql).unwrap();
        (dir, path)
    }

    fn run(path: &Path, sql: &str) -> Result<(usize, bool, String), ToolError> {
        rows(&connect(path, Cancel::never())?, sql)
    }

    #[test]
    fn rows_and_tables_are_read() {
        let (_dir, path) = database();
        let (count, has_more, text) = run(&path, "SELECT item, cents FROM orders").unwrap();
        assert_eq!((count, has_more), (3, false));
        assert_eq!(text, "item | cents\nrope | 1200\nanchor | 9900\n | 5\n");
        let connection = connect(&path, Cancel::never()).unwrap();
        assert!(
            tables(&connection)
                .unwrap()
                .contains("CREATE TABLE orders (id INTEGER")
        );
        let many =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
        let (count, has_more, _) = run(&path, many).unwrap();
        assert_eq!((count, has_more), (MAX_ROWS, true));
    }

    #[test]
    fn nothing_but_reading_is_possible() {
        let (dir, path) = database();
        let before = std::fs::read(&path).unwrap();
        let other = dir.path().join("other.sqlite");
        std::fs::write(&other, "").unwrap();
        for sql in [
            "DELETE FROM orders",
            "UPDATE orders SET cents = 0",
            "DROP TABLE orders",
            "CREATE TABLE x (y)",
            "SELECT 1; DELETE FROM orders",
            "PRAGMA journal_mode = DELETE",
            "PRAGMA query_only = 0",
            &format!("ATTACH '{}' AS other", other.display()),
            "SELECT load_extension('x')",
            "VACUUM",
            "BEGIN",
            "EXPLAIN DELETE FROM orders",
            "",
        ] {
            let error = run(&path, sql).unwrap_err();
            assert!(!error.message.contains("shop.sqlite"), "{sql}: {error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_query_without_end_is_stopped() {
        let (_dir, path) = database();
        let soon = std::time::Instant::now() + std::time::Duration::from_millis(50);
        let connection = connect(&path, Cancel::never().with_deadline(soon)).unwrap();
        let endless =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let error = rows(&connection, endless).unwrap_err();
        assert!(error.message.contains("too long"), "{error}");
        let huge = run(&path, "SELECT zeroblob(100000000)").unwrap_err();
        assert!(huge.message.contains("too big"), "{huge}");
    }
}
