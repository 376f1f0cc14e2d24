//! What is told: one row for each message to each endpoint, and what became of it.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::endpoints::{self, EndpointId};
use super::sender::Response;
use super::sign;
use crate::clock::moment;
use crate::error::{Error, Result};
use crate::options::millis;
use crate::sqlite::{Fail, Tx};

/// How long to wait after each failed attempt: ten attempts in a little over three days, as
/// Standard Webhooks proposes.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];
/// The longest silence that an endpoint may ask for.
const MAX_SILENCE: Duration = Duration::from_secs(24 * 3600);
/// Bytes of an error that are kept.
const MAX_ERROR_BYTES: usize = 500;
/// Rows of one answer.
const MAX_ROWS: usize = 1_000;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It waits for its next attempt, or is under way.
    Waiting,
    /// The endpoint took it.
    Delivered,
    /// It was given up: a dead letter.
    Dead,
}

impl DeliveryState {
    fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Waiting,
            1 => Self::Delivered,
            _ => Self::Dead,
        }
    }
}

/// One message to one endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delivery {
    /// The `webhook-id`, one for all attempts.
    pub id: String,
    /// To whom.
    pub endpoint: EndpointId,
    /// The type of its event.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts begun.
    pub attempts: u32,
    /// When the next one is due; `None` if it has ended.
    pub next_at: Option<Timestamp>,
    /// The status of the last reply.
    pub last_status: Option<u16>,
    /// What was wrong with the last attempt.
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) n: i64,
    pub(super) attempt: u32,
    pub(super) endpoint: EndpointId,
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// Takes what is due, `limit` messages in all, of endpoints to which none is on its way. What is not
/// settled within `patience` counts as failed.
pub(super) fn claim(
    tx: &mut Tx<'_>,
    limit: usize,
    patience: Duration,
) -> Result<Vec<Outgoing>, Fail> {
    let sql = "SELECT e.id, e.url, d.n FROM endpoints e JOIN deliveries d ON d.n = (\
                   SELECT n FROM deliveries WHERE endpoint = e.id AND state = 0 \
                   AND next_at <= ?1 ORDER BY next_at LIMIT 1) \
               WHERE e.is_active AND e.paused_until <= ?1 AND e.busy_until <= ?1 ORDER BY d.next_at LIMIT ?2";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let due = statement.query_map(params![tx.now, limit], read)?;
    let due: Vec<([u8; 16], String, i64)> = due.collect::<rusqlite::Result<_>>()?;
    let mut taken = Vec::new();
    for (endpoint, url, n) in due {
        let endpoint = EndpointId(Uuid::from_bytes(endpoint));
        let sql = "UPDATE deliveries SET attempts = attempts + 1, next_at = ?2 WHERE n = ?1 \
                   RETURNING attempts, id, payload";
        let mut statement = tx.sql.prepare_cached(sql)?;
        let values = params![n, tx.now.saturating_add(millis(patience))];
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let (attempt, id, body): (u32, String, String) = statement.query_row(values, read)?;
        if attempt as usize > PAUSES.len() + 1 {
            // The process was lost during the last attempt.
            end(tx, n, 2, None, Some("the last attempt was cut off"))?;
            continue;
        }
        let sql = "UPDATE endpoints SET busy_until = ?2 WHERE id = ?1";
        let until = tx.now.saturating_add(millis(patience));
        tx.sql
            .prepare_cached(sql)?
            .execute(params![endpoint.0.as_bytes(), until])?;
        let secrets = endpoints::secrets(tx.sql, endpoint, tx.now)?;
        let headers = sign::headers(&secrets, &id, tx.now.div_euclid(1_000), &body);
        taken.push(Outgoing {
            n,
            attempt,
            endpoint,
            url,
            headers,
            body,
        });
    }
    Ok(taken)
}

/// Notes what became of an attempt, unless another one has begun.
pub(super) fn settle(
    tx: &mut Tx<'_>,
    sent: &Outgoing,
    response: &Result<Response, String>,
) -> Result<(), Fail> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM deliveries WHERE n = ?1 AND attempts = ?2 AND state = 0)";
    let mut statement = tx.sql.prepare_cached(sql)?;
    if !statement.query_row(params![sent.n, sent.attempt], |row| row.get(0))? {
        return Ok(());
    }
    let sql = "UPDATE endpoints SET busy_until = 0 WHERE id = ?1";
    tx.sql
        .prepare_cached(sql)?
        .execute(params![sent.endpoint.0.as_bytes()])?;
    let (status, error) = match response {
        Ok(response) => (Some(response.status), explain(response.status)),
        Err(error) => {
            let end = error.floor_char_boundary(MAX_ERROR_BYTES);
            (None, Some(error[..end].to_owned()))
        }
    };
    let outcome = if error.is_none() {
        "delivered"
    } else {
        "failed"
    };
    tx.count(move || {
        metrics::counter!("cairn_webhook_attempts_total", "outcome" => outcome).increment(1);
    });
    let Some(error) = error else {
        return Ok(end(tx, sent.n, 1, status, None)?);
    };
    if status == Some(410) {
        let sql = "UPDATE endpoints SET is_active = 0, off_reason = ?2 WHERE id = ?1";
        tx.sql
            .prepare_cached(sql)?
            .execute(params![sent.endpoint.0.as_bytes(), error])?;
        let sql = "UPDATE deliveries SET state = 2, ended_at = ?2, \
                   last_status = CASE n WHEN ?3 THEN 410 ELSE last_status END, last_error = ?4 \
                   WHERE endpoint = ?1 AND state = 0";
        let values = params![sent.endpoint.0.as_bytes(), tx.now, sent.n, error];
        tx.sql.prepare_cached(sql)?.execute(values)?;
        return Ok(());
    }
    let asked = silence(response, tx.now);
    if let Some(asked) = asked {
        let sql = "UPDATE endpoints SET paused_until = ?2 WHERE id = ?1";
        let until = tx.now.saturating_add(millis(asked));
        tx.sql
            .prepare_cached(sql)?
            .execute(params![sent.endpoint.0.as_bytes(), until])?;
    }
    let Some(pause) = PAUSES.get(sent.attempt as usize - 1) else {
        return Ok(end(tx, sent.n, 2, status, Some(&error))?);
    };
    // A tenth more by lot, so that messages that failed together come back apart.
    let pause = pause.mul_f64(1.0 + rand::random::<f64>() / 10.0);
    let pause = pause.max(asked.unwrap_or_default());
    let next_at = tx.now.saturating_add(millis(pause));
    let sql = "UPDATE deliveries SET next_at = ?2, last_status = ?3, last_error = ?4 WHERE n = ?1";
    tx.sql
        .prepare_cached(sql)?
        .execute(params![sent.n, next_at, status, error])?;
    Ok(())
}

/// What is wrong with `status`; `None` if nothing is.
fn explain(status: u16) -> Option<String> {
    match status {
        200..=299 => None,
        300..=399 => Some(format!(
            "it redirects ({status}), which is not followed: register the new address"
        )),
        410 => Some("it is gone (410): the endpoint was switched off".into()),
        _ => Some(format!("it replied {status}")),
    }
}

/// How long an endpoint that is too busy asked to be left alone.
fn silence(response: &Result<Response, String>, now: i64) -> Option<Duration> {
    let response = response.as_ref().ok()?;
    if !matches!(response.status, 429 | 503) {
        return None;
    }
    let text = response.retry_after.as_deref()?.trim();
    let asked = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?;
            let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now.max(0).unsigned_abs());
            at.duration_since(now).ok()?
        }
    };
    Some(asked.min(MAX_SILENCE))
}

fn end(
    tx: &Tx<'_>,
    n: i64,
    state: i64,
    status: Option<u16>,
    error: Option<&str>,
) -> rusqlite::Result<()> {
    let sql = "UPDATE deliveries SET state = ?2, last_status = ?3, last_error = ?4, ended_at = ?5 \
               WHERE n = ?1";
    let values = params![n, state, status, error, tx.now];
    tx.sql.prepare_cached(sql)?.execute(values).map(drop)
}

/// Sends a delivery again from the beginning of its attempts.
pub(super) fn redeliver(tx: &Tx<'_>, id: &str) -> Result<Delivery, Fail> {
    let sql = "UPDATE deliveries SET state = 0, attempts = 0, next_at = ?2, ended_at = NULL \
               WHERE id = ?1 AND state > 0";
    tx.sql.prepare_cached(sql)?.execute(params![id, tx.now])?;
    tx.has_messages.set(true);
    let text = format!("SELECT {COLUMNS} FROM deliveries WHERE id = ?1");
    let mut statement = tx.sql.prepare_cached(&text)?;
    let found = statement.query_row([id], delivery).optional()?;
    found.ok_or_else(|| Error::NoDelivery(id.to_owned()).into())
}

const COLUMNS: &str = "id, endpoint, type, state, attempts, next_at, last_status, last_error, \
                       created_at, ended_at";

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let state = DeliveryState::from_number(row.get("state")?);
    let next_at: i64 = row.get("next_at")?;
    let ended_at: Option<i64> = row.get("ended_at")?;
    Ok(Delivery {
        id: row.get("id")?,
        endpoint: EndpointId(Uuid::from_bytes(row.get("endpoint")?)),
        kind: row.get("type")?,
        state,
        attempts: row.get("attempts")?,
        next_at: (state == DeliveryState::Waiting).then(|| moment(next_at)),
        last_status: row.get("last_status")?,
        last_error: row.get("last_error")?,
        created_at: moment(row.get("created_at")?),
        ended_at: ended_at.map(moment),
    })
}

/// The latest deliveries of an endpoint, the newest first.
pub(super) fn list(
    sql: &Connection,
    endpoint: EndpointId,
    state: Option<DeliveryState>,
    limit: usize,
) -> rusqlite::Result<Vec<Delivery>> {
    let text = format!(
        "SELECT {COLUMNS} FROM deliveries WHERE endpoint = ?1 AND (?2 IS NULL OR state = ?2) \
         ORDER BY n DESC LIMIT ?3"
    );
    let mut statement = sql.prepare_cached(&text)?;
    let limit = limit.min(MAX_ROWS) as i64;
    let values = params![
        endpoint.0.as_bytes(),
        state.map(|state| state as i64),
        limit
    ];
    statement.query_map(values, delivery)?.collect()
}

/// When the next message is due, in milliseconds since 1970.
pub(super) fn next_due(sql: &Connection) -> rusqlite::Result<Option<i64>> {
    let text = "SELECT min(max(e.paused_until, e.busy_until, (SELECT min(next_at) FROM deliveries \
                WHERE endpoint = e.id AND state = 0))) FROM endpoints e WHERE e.is_active";
    sql.prepare_cached(text)?.query_row([], |row| row.get(0))
}
