//! What was spent: sums over the ledger, and its latest calls.

use std::path::Path;
use std::str::FromStr;

use rusqlite::{Connection, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::KeyId;
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
    /// The collection that was searched; calls have none.
    Collection,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 6] = [
        Self::Day,
        Self::Key,
        Self::Tenant,
        Self::Route,
        Self::Model,
        Self::Collection,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Key => "key",
            Self::Tenant => "tenant",
            Self::Route => "route",
            Self::Model => "model",
            Self::Collection => "collection",
        }
    }

    /// The SQL expression of the group among calls, if they have it. Of a key: its name
    /// and id.
    fn of_calls(self) -> Option<&'static str> {
        match self {
            Self::Route => Some("c.route"),
            Self::Collection => None,
            shared => shared.of_answers(),
        }
    }

    /// The SQL expression of the group among answers, if they have it.
    fn of_answers(self) -> Option<&'static str> {
        match self {
            Self::Day => Some("strftime('%Y-%m-%d', c.at / 1000, 'unixepoch')"),
            Self::Key => Some("coalesce(k.name || ' (' || c.key_id || ')', c.key_id, 'no key')"),
            Self::Tenant => Some("c.tenant"),
            Self::Route => None,
            Self::Model => {
                Some("iif(c.model IN ('', 'none'), c.provider, c.provider || '/' || c.model)")
            }
            Self::Collection => Some("c.collection"),
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
    pub(super) fn bounds(self) -> (i64, i64) {
        let start = self.since.map_or(i64::MIN, date_millis);
        let tomorrow = |date: jiff::civil::Date| date.tomorrow().ok().map(date_millis);
        (start, self.until.and_then(tomorrow).unwrap_or(i64::MAX))
    }
}

/// The sum of one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
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

/// The answers of one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct AnswersRow {
    /// The day, the key, ...
    pub group: String,
    /// Questions.
    pub questions: u64,
    /// Those that were refused: the evidence was too weak.
    pub refused: u64,
    /// Those that ended with an error.
    pub failed: u64,
    /// Those whose client left before the end.
    pub abandoned: u64,
    /// Answers that somebody liked.
    pub up: u64,
    /// Answers that somebody did not like.
    pub down: u64,
    /// Milliseconds to the end, of those that were answered or refused: half of them took
    /// less.
    pub p50_ms: Option<f64>,
    /// Ninety-five of a hundred took less.
    pub p95_ms: Option<f64>,
    /// Milliseconds to the sources: half took less.
    pub sources_p50_ms: Option<f64>,
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
    key: Option<KeyId>,
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
            key: None,
        })
    }

    /// Reads of nothing but what `key` took.
    #[must_use]
    pub fn of_key(self, key: KeyId) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    fn key(&self) -> Option<&str> {
        self.key.as_ref().map(KeyId::as_str)
    }

    /// The calls of `period`, summed, in the order of the groups' names.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn sums(&self, group: Group, period: Period) -> Result<Vec<UsageRow>, AccountsError> {
        let Some(of_calls) = group.of_calls() else {
            return Ok(Vec::new());
        };
        let sql = format!(
            "SELECT {of_calls}, count(*), sum(c.outcome <> 'done'), sum(c.cache <> 'none'), \
             total(c.prompt_tokens), total(c.cached_prompt_tokens), total(c.completion_tokens), \
             total(c.cost_nanousd), avg(iif(c.outcome = 'done', c.latency_ms, NULL)), \
             avg(c.ttft_ms) \
             FROM calls c LEFT JOIN keys k ON k.id = c.key_id \
             WHERE c.at >= ?1 AND c.at < ?2 AND (?3 IS NULL OR c.key_id = ?3) \
             GROUP BY 1 ORDER BY 1"
        );
        let (start, end) = period.bounds();
        self.rows(&sql, params![start, end, self.key()], |row| {
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

    /// The answers of `period`, in the order of the groups' names. None by route:
    /// all of them have the same.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn answers(&self, group: Group, period: Period) -> Result<Vec<AnswersRow>, AccountsError> {
        let Some(of_answers) = group.of_answers() else {
            return Ok(Vec::new());
        };
        // A percentile is the value at its rank, which rounds up: no value is made up
        // between two.
        let sql = format!(
            "WITH chosen AS (SELECT {of_answers} AS name, c.outcome, c.latency_ms, c.sources_ms, \
             c.outcome IN ('answered', 'refused') AS whole, f.rating \
             FROM answers c LEFT JOIN keys k ON k.id = c.key_id \
             LEFT JOIN feedback f ON f.answer_id = c.id \
             WHERE c.at >= ?1 AND c.at < ?2 AND (?3 IS NULL OR c.key_id = ?3)), \
             ranked AS (SELECT *, \
             row_number() OVER (PARTITION BY name, whole ORDER BY latency_ms) AS nth, \
             count(*) OVER (PARTITION BY name, whole) AS n, \
             row_number() OVER (PARTITION BY name, sources_ms IS NULL ORDER BY sources_ms) AS snth, \
             count(sources_ms) OVER (PARTITION BY name) AS sn FROM chosen) \
             SELECT name, count(*), sum(outcome = 'refused'), sum(outcome = 'failed'), \
             sum(outcome = 'abandoned'), sum(ifnull(rating = 'up', 0)), \
             sum(ifnull(rating = 'down', 0)), \
             max(iif(whole AND nth = (n * 50 + 99) / 100, latency_ms, NULL)), \
             max(iif(whole AND nth = (n * 95 + 99) / 100, latency_ms, NULL)), \
             max(iif(sources_ms IS NOT NULL AND snth = (sn * 50 + 99) / 100, sources_ms, NULL)) \
             FROM ranked GROUP BY name ORDER BY name"
        );
        let (start, end) = period.bounds();
        self.rows(&sql, params![start, end, self.key()], |row| {
            Ok(AnswersRow {
                group: row.get(0)?,
                questions: count(row, 1)?,
                refused: count(row, 2)?,
                failed: count(row, 3)?,
                abandoned: count(row, 4)?,
                up: count(row, 5)?,
                down: count(row, 6)?,
                p50_ms: row.get(7)?,
                p95_ms: row.get(8)?,
                sources_p50_ms: row.get(9)?,
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
                   AND (?3 IS NULL OR key_id = ?3) ORDER BY at DESC, call_id DESC LIMIT ?4";
        let (start, end) = period.bounds();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(sql, params![start, end, self.key(), limit], |row| {
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
        let sql = "SELECT s.call_id, s.at, s.prompt, s.answer FROM samples s \
                   LEFT JOIN calls c USING (call_id) WHERE s.at >= ?1 AND s.at < ?2 \
                   AND (?3 IS NULL OR c.key_id = ?3) ORDER BY s.at DESC, s.call_id DESC LIMIT ?4";
        let (start, end) = period.bounds();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(sql, params![start, end, self.key(), limit], |row| {
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
