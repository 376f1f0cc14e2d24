//! What people say of answers: whether they helped, with the texts that were shown, so that
//! answers can become questions of an evaluation.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{Caller, KeyId};
use super::database;
use super::error::AccountsError;
use super::usage::Period;
use crate::clock::now_millis;

/// Whether an answer helped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rating {
    /// It did.
    Up,
    /// It did not.
    Down,
}

impl Rating {
    /// As it stands in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A text that an answer cited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cited {
    /// The document's URI.
    pub uri: String,
    /// What was quoted of it, or its passage.
    pub text: String,
}

/// What somebody says of one answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Feedback {
    /// The answer's `query_id`.
    pub query_id: String,
    /// Whether it helped.
    pub rating: Rating,
    /// The question.
    pub question: String,
    /// The answer, as it was shown.
    pub answer: String,
    /// Anything else.
    pub comment: String,
    /// What the answer cited.
    pub cited: Vec<Cited>,
}

/// Feedback with its time and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FeedbackRow {
    /// When it was said: RFC 3339, in UTC.
    pub at: String,
    /// The collection that was searched.
    pub collection: String,
    /// The id of the key that asked, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// What was said.
    #[serde(flatten)]
    pub feedback: Feedback,
}

/// Reads and writes the feedback of a data folder.
#[derive(Debug)]
pub struct FeedbackStore {
    connection: Option<Connection>,
    path: PathBuf,
}

impl FeedbackStore {
    /// Opens the ledger in `data_dir`. Without one, there is no feedback.
    ///
    /// # Errors
    /// When it is there and cannot be opened.
    pub fn open(data_dir: &Path) -> Result<Self, AccountsError> {
        Ok(Self {
            connection: database::open_existing(data_dir)?,
            path: data_dir.join(database::FILE),
        })
    }

    /// Stores the feedback of `caller` on an answer that it received, replacing any earlier
    /// feedback on it. Durable on return. False if there is no such answer.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn put(&self, caller: &Caller, said: &Feedback) -> Result<bool, AccountsError> {
        const SQL: &str = "INSERT INTO feedback (answer_id, at, rating, question, answer, comment, \
            cited) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (answer_id) DO UPDATE SET \
            at = excluded.at, rating = excluded.rating, question = excluded.question, \
            answer = excluded.answer, comment = excluded.comment, cited = excluded.cited";
        self.with(|connection| {
            let Some(id) = answer_of(connection, caller, &said.query_id)? else {
                return Ok(false);
            };
            let cited = serde_json::to_string(&said.cited).unwrap_or_else(|_| "[]".into());
            connection.execute(
                SQL,
                params![
                    id,
                    now_millis(),
                    said.rating.as_str(),
                    said.question,
                    said.answer,
                    said.comment,
                    cited
                ],
            )?;
            Ok(true)
        })
    }

    /// Deletes the feedback of `caller` on an answer. False if there is no such answer.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn delete(&self, caller: &Caller, query_id: &str) -> Result<bool, AccountsError> {
        self.with(|connection| {
            let Some(id) = answer_of(connection, caller, query_id)? else {
                return Ok(false);
            };
            connection.execute("DELETE FROM feedback WHERE answer_id = ?1", [id])?;
            Ok(true)
        })
    }

    /// The latest `limit` of `period`, the newest first; of one rating or both, and of
    /// one key or all.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn list(
        &self,
        limit: usize,
        period: Period,
        rating: Option<Rating>,
        key: Option<&KeyId>,
    ) -> Result<Vec<FeedbackRow>, AccountsError> {
        const SQL: &str = "SELECT f.at, a.collection, a.key_id, a.query_id, f.rating, f.question, \
            f.answer, f.comment, f.cited FROM feedback f JOIN answers a ON a.id = f.answer_id \
            WHERE f.at >= ?1 AND f.at < ?2 AND (?3 IS NULL OR f.rating = ?3) \
            AND (?4 IS NULL OR a.key_id = ?4) ORDER BY f.at DESC, f.answer_id DESC LIMIT ?5";
        let (start, end) = period.bounds();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rating = rating.map(Rating::as_str);
        let key = key.map(KeyId::as_str);
        self.with(|connection| {
            let mut statement = connection.prepare(SQL)?;
            let rows = statement.query_map(params![start, end, rating, key, limit], |row| {
                let rating = match row.get_ref(4)?.as_str()? {
                    "up" => Rating::Up,
                    _ => Rating::Down,
                };
                let cited: String = row.get(8)?;
                Ok(FeedbackRow {
                    at: Timestamp::from_millisecond(row.get(0)?)
                        .unwrap_or_default()
                        .to_string(),
                    collection: row.get(1)?,
                    key_id: row.get(2)?,
                    feedback: Feedback {
                        query_id: row.get(3)?,
                        rating,
                        question: row.get(5)?,
                        answer: row.get(6)?,
                        comment: row.get(7)?,
                        cited: serde_json::from_str(&cited).unwrap_or_default(),
                    },
                })
            })?;
            rows.collect()
        })
    }

    fn with<T: Default>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, AccountsError> {
        let Some(connection) = &self.connection else {
            return Ok(T::default());
        };
        work(connection).map_err(|cause| AccountsError::Database {
            path: self.path.clone(),
            cause,
        })
    }
}

/// The latest answer of that id which was given to `caller`: with its key, or, without
/// keys, to anybody.
fn answer_of(
    connection: &Connection,
    caller: &Caller,
    query_id: &str,
) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT max(id) FROM answers WHERE query_id = ?1 AND key_id IS ?2";
    let key = caller.key().map(KeyId::as_str);
    let found = connection.query_row(sql, params![query_id, key], |row| row.get(0));
    Ok(found.optional()?.flatten())
}
