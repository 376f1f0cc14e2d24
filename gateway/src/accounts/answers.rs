//! The answers of the ledger: one row for each question, also where no model was called.

use std::time::{Duration, SystemTime};

use cairn_settings::telemetry::milliseconds;
use rusqlite::{Connection, params};

use super::caller::KeyId;
use super::clock::unix_millis;

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerOutcome {
    /// With an answer.
    Answered,
    /// The evidence was too weak.
    Refused,
    /// With an error.
    Failed,
    /// The client left before the end.
    Abandoned,
}

impl AnswerOutcome {
    /// As it stands in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// One answer, as the ledger takes it.
#[derive(Clone, Debug)]
pub struct AnswerRecord {
    /// The `query_id` that the client was told; empty where it was told none.
    pub query_id: String,
    /// When the question came.
    pub at: SystemTime,
    /// The key that asked, if there was one.
    pub key: Option<KeyId>,
    /// Whose key it was.
    pub tenant: String,
    /// The collection; empty if the search never ran.
    pub collection: String,
    /// The provider that wrote it; empty if none did.
    pub provider: String,
    /// The model that wrote it.
    pub model: String,
    /// How it ended.
    pub outcome: AnswerOutcome,
    /// Citations in it.
    pub citations: usize,
    /// From the request to the sources, if they came.
    pub sources: Option<Duration>,
    /// From the request to the end.
    pub latency: Duration,
}

impl AnswerRecord {
    /// Writes it.
    pub(super) fn put(&self, connection: &Connection) -> rusqlite::Result<()> {
        const SQL: &str = "INSERT INTO answers (query_id, at, key_id, tenant, collection, \
            provider, model, outcome, citations, sources_ms, latency_ms) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        connection.prepare_cached(SQL)?.execute(params![
            self.query_id,
            unix_millis(self.at),
            self.key.as_ref().map(KeyId::as_str),
            self.tenant,
            self.collection,
            self.provider,
            self.model,
            self.outcome.as_str(),
            i64::try_from(self.citations).unwrap_or(i64::MAX),
            self.sources.map(milliseconds),
            milliseconds(self.latency),
        ])?;
        Ok(())
    }
}
