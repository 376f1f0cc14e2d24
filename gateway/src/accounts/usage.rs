//! What was spent: sums over the ledger, and its latest calls.

use std::path::Path;
use std::str::FromStr;

use rusqlite::{Connection, params};
use serde::Serialize;

use super::clock::date_millis;
use super::database;
use super::error::AccountsError;
use super::money::Nanos;

/// What sums are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// The UTC day.
    #[default]
    Day,
    /// The API key.
    Key,
    /// The tenant.
    Tenant,
    /// The route of the gateway.
    Route,
    /// Provider and model.
    Model,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 5] = [Self::Day, Self::Key, Self::Tenant, Self::Route, Self::Model];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Key => "key",
            Self::Tenant => "tenant",
            Self::Route => "route",
            Self::Model => "model",
        }
    }

    /// The SQL expression of the group. Of a key: its name and id.
    fn sql(self) -> &'static str {
        match self {
            Self::Day => "strftime('%Y-%m-%d', c.at / 1000, 'unixepoch')",
            Self::Key => "coalesce(k.name || ' (' || c.key_id || ')', c.key_id, 'no key')",
            Self::Tenant => "c.tenant",
            Self::Route => "c.route",
            Self::Model => "c.provider || '/' || c.model",
        }
    }
}

impl FromStr for Group {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|group| group.as_str() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("`{text}` is not one of {known}")
        })
    }
}

/// Which calls count: from `since`, before the end of the day `until`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Period {
    /// The first day, in UTC.
    pub since: Option<jiff::civil::Date>,
    /// The last day, in UTC.
    pub until: Option<jiff::civil::Date>,
}

impl Period {
    fn bounds(self) -> (i64, i64) {
        let start = self.since.map_or(i64::MIN, date_millis);
        let tomorrow = |date: jiff::civil::Date| date.tomorrow().ok().map(date_millis);
        (start, self.until.and_then(tomorrow).unwrap_or(i64::MAX))
    }
}

/// The sum of one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UsageRow {
    /// The day, the key, ...
    pub group: String,
    /// Calls to models and caches.
    pub calls: u64,
    /// Those without a whole answer.
    pub failed: u64,
    /// Those that a cache answered.
    pub cached: u64,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens among them that the provider had cached.
    pub cached_prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// US dollars.
    pub cost_usd: f64,
    /// Mean of the calls with a whole answer.
    pub mean_latency_ms: Option<f64>,
    /// Mean of the calls that had a first token.
    pub mean_first_token_ms: Option<f64>,
}

/// One call, as the ledger has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallRow {
    /// Its id.
    pub call_id: String,
    /// Milliseconds since 1970.
    pub at: i64,
    /// The request that it belongs to.
    pub request_id: String,
    /// The id of the key, if there was one.
    pub key_id: Option<String>,
    /// The tenant.
    pub tenant: String,
    /// The route of the gateway.
    pub route: String,
    /// Who answered.
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens among them that the provider had cached.
    pub cached_prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// US dollars.
    pub cost_usd: f64,
    /// From admission to the end.
    pub latency_ms: f64,
    /// From admission to the first token.
    pub ttft_ms: Option<f64>,
    /// `none`, `exact`, `semantic` or `stale`.
    pub cache: String,
    /// Attempts beyond the first.
    pub retries: u32,
    /// Targets that were given up.
    pub fallbacks: u32,
    /// `open`, `done`, `failed`, `cancelled` or `broken`.
    pub outcome: String,
    /// Why the answer ended, or the kind of the error.
    pub finish: String,
    /// Whether the answer was a refusal.
    pub refused: Option<bool>,
    /// Citations of the answer.
    pub citations: Option<u32>,
}

/// The masked texts of one sampled call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SampleRow {
    /// The call's id.
    pub call_id: String,
    /// Milliseconds since 1970.
    pub at: i64,
    /// The prompt.
    pub prompt: String,
    /// The answer.
    pub answer: String,
}

/// Reads the ledger of a data folder.
#[derive(Debug)]
pub struct UsageReader {
    connection: Option<Connection>,
    path: std::path::PathBuf,
}

impl UsageReader {
    /// Opens the ledger in `data_dir`; where there is none, nothing was spent.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn open(data_dir: &Path) -> Result<Self, AccountsError> {
        Ok(Self {
            connection: database::open_existing(data_dir)?,
            path: data_dir.join(database::FILE),
        })
    }

    /// The sums of `period`, in the order of the groups' names.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn sums(&self, group: Group, period: Period) -> Result<Vec<UsageRow>, AccountsError> {
        let sql = format!(
            "SELECT {}, count(*), sum(c.outcome <> 'done'), sum(c.cache <> 'none'), \
             total(c.prompt_tokens), total(c.cached_prompt_tokens), total(c.completion_tokens), \
             total(c.cost_nanousd), avg(iif(c.outcome = 'done', c.latency_ms, NULL)), \
             avg(c.ttft_ms) \
             FROM calls c LEFT JOIN keys k ON k.id = c.key_id \
             WHERE c.at >= ?1 AND c.at < ?2 GROUP BY 1 ORDER BY 1",
            group.sql()
        );
        let (start, end) = period.bounds();
        self.rows(&sql, params![start, end], |row| {
            Ok(UsageRow {
                group: row.get(0)?,
                calls: count(row, 1)?,
                failed: count(row, 2)?,
                cached: count(row, 3)?,
                prompt_tokens: total(row, 4)?,
                cached_prompt_tokens: total(row, 5)?,
                completion_tokens: total(row, 6)?,
                cost_usd: Nanos(row.get::<_, f64>(7)? as i64).usd(),
                mean_latency_ms: row.get(8)?,
                mean_first_token_ms: row.get(9)?,
            })
        })
    }

    /// The latest `limit` calls of `period`, the newest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn calls(&self, limit: usize, period: Period) -> Result<Vec<CallRow>, AccountsError> {
        let sql = "SELECT call_id, at, request_id, key_id, tenant, route, provider, model, \
                   prompt_tokens, cached_prompt_tokens, completion_tokens, cost_nanousd, \
                   latency_ms, ttft_ms, cache, retries, fallbacks, outcome, finish, refused, \
                   citations FROM calls WHERE at >= ?1 AND at < ?2 \
                   ORDER BY at DESC, call_id DESC LIMIT ?3";
        let (start, end) = period.bounds();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(sql, params![start, end, limit], |row| {
            Ok(CallRow {
                call_id: row.get(0)?,
                at: row.get(1)?,
                request_id: row.get(2)?,
                key_id: row.get(3)?,
                tenant: row.get(4)?,
                route: row.get(5)?,
                provider: row.get(6)?,
                model: row.get(7)?,
                prompt_tokens: count(row, 8)?,
                cached_prompt_tokens: count(row, 9)?,
                completion_tokens: count(row, 10)?,
                cost_usd: Nanos(row.get(11)?).usd(),
                latency_ms: row.get(12)?,
                ttft_ms: row.get(13)?,
                cache: row.get(14)?,
                retries: row.get(15)?,
                fallbacks: row.get(16)?,
                outcome: row.get(17)?,
                finish: row.get(18)?,
                refused: row.get(19)?,
                citations: row.get(20)?,
            })
        })
    }

    /// The latest `limit` samples of `period`, the newest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn samples(&self, limit: usize, period: Period) -> Result<Vec<SampleRow>, AccountsError> {
        let sql = "SELECT call_id, at, prompt, answer FROM samples \
                   WHERE at >= ?1 AND at < ?2 ORDER BY at DESC, call_id DESC LIMIT ?3";
        let (start, end) = period.bounds();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(sql, params![start, end, limit], |row| {
            Ok(SampleRow {
                call_id: row.get(0)?,
                at: row.get(1)?,
                prompt: row.get(2)?,
                answer: row.get(3)?,
            })
        })
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, AccountsError> {
        let Some(connection) = &self.connection else {
            return Ok(Vec::new());
        };
        let query = || -> rusqlite::Result<Vec<T>> {
            let mut statement = connection.prepare(sql)?;
            statement.query_map(values, read)?.collect()
        };
        query().map_err(|cause| AccountsError::Database {
            path: self.path.clone(),
            cause,
        })
    }
}

/// A sum of tokens. SQLite adds them as real numbers, which cannot overflow.
fn total(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, f64>(at)? as u64)
}

/// Counts are never negative.
fn count(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(at)?.unsigned_abs())
}
