//! Who is told: the endpoints of each tenant, and their secrets.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::sign::Secret;
use crate::check;
use crate::clock::moment;
use crate::error::{Error, Result};
use crate::options::millis;
use crate::sqlite::{Fail, Tx};

/// Endpoints of one tenant.
const MAX_ENDPOINTS: i64 = 32;
/// Bytes of an address.
const MAX_URL_BYTES: usize = 2_048;
/// Names in a list of types or kinds.
const MAX_NAMES: usize = 32;
/// What there is to be told of.
const TYPES: [&str; 4] = [
    "job.done",
    "job.failed",
    "job.cancelled",
    "job.input_required",
];

/// The name of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndpointId(pub(super) Uuid);

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EndpointId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// An endpoint to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// Whose jobs it hears of.
    #[serde(default)]
    pub tenant: String,
    /// Where it is: `https://…` or `http://…`. Which addresses are allowed is for the
    /// [`super::Sender`] to say.
    pub url: String,
    /// `job.done`, `job.failed`, `job.cancelled`, `job.input_required`; empty for all.
    #[serde(default)]
    pub types: Vec<String>,
    /// Kinds of jobs; empty for all.
    #[serde(default)]
    pub kinds: Vec<String>,
}

/// An endpoint that is there.
#[derive(Clone, Debug, Serialize)]
pub struct Endpoint {
    /// Its name.
    pub id: EndpointId,
    /// What was asked for.
    #[serde(flatten)]
    pub endpoint: NewEndpoint,
    /// Whether it is told anything.
    pub is_active: bool,
    /// Why it is not, where the queue decided so.
    pub off_reason: Option<String>,
    /// Until when it asked for silence, if that is not over.
    pub paused_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A secret as it is stored.
#[derive(Serialize, Deserialize)]
struct Kept {
    secret: String,
    /// Until when it signs, in milliseconds since 1970; `None` for the newest.
    until: Option<i64>,
}

pub(super) const COLUMNS: &str =
    "id, tenant, url, types, kinds, is_active, off_reason, paused_until, created_at";

pub(super) fn endpoint(row: &Row<'_>) -> rusqlite::Result<Endpoint> {
    let list = |name: &str| {
        let text: String = row.get(name)?;
        Ok::<_, rusqlite::Error>(serde_json::from_str(&text).unwrap_or_default())
    };
    let paused_until: i64 = row.get("paused_until")?;
    Ok(Endpoint {
        id: EndpointId(Uuid::from_bytes(row.get("id")?)),
        endpoint: NewEndpoint {
            tenant: row.get("tenant")?,
            url: row.get("url")?,
            types: list("types")?,
            kinds: list("kinds")?,
        },
        is_active: row.get("is_active")?,
        off_reason: row.get("off_reason")?,
        paused_until: (paused_until > 0).then(|| moment(paused_until)),
        created_at: moment(row.get("created_at")?),
    })
}

/// Checks the bounds of `new`.
pub(super) fn check(new: &NewEndpoint) -> Result<()> {
    check::text("url", &new.url, MAX_URL_BYTES)?;
    check::text("tenant", &new.tenant, 1_024)?;
    let scheme = new
        .url
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("https" | "http")) {
        return Err(Error::Invalid(
            "`url` begins with https:// or http://".into(),
        ));
    }
    if new.types.len() > MAX_NAMES || new.kinds.len() > MAX_NAMES {
        return Err(Error::Invalid(format!(
            "at most {MAX_NAMES} types and kinds are named"
        )));
    }
    if let Some(other) = new
        .types
        .iter()
        .find(|name| !TYPES.contains(&name.as_str()))
    {
        let types = TYPES.join(", ");
        return Err(Error::Invalid(format!(
            "`{other}` is not a type: use of {types}"
        )));
    }
    new.kinds
        .iter()
        .try_for_each(|kind| check::text("kinds", kind, 64))
}

/// Makes an endpoint that was checked.
pub(super) fn add(tx: &mut Tx<'_>, new: &NewEndpoint, secret: &Secret) -> Result<Endpoint, Fail> {
    let sql = "SELECT count(*) FROM endpoints WHERE tenant = ?1";
    let mut statement = tx.sql.prepare_cached(sql)?;
    let count: i64 = statement.query_row([&new.tenant], |row| row.get(0))?;
    if count >= MAX_ENDPOINTS {
        let why = format!("{MAX_ENDPOINTS} endpoints are the most: delete one first");
        return Err(Error::Invalid(why).into());
    }
    let id = EndpointId(Uuid::now_v7());
    let secrets = [Kept {
        secret: secret.expose(),
        until: None,
    }];
    let list = |names: &[String]| serde_json::json!(names).to_string();
    let sql = "INSERT INTO endpoints (id, tenant, url, types, kinds, secrets, is_active, created_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7)";
    tx.sql.prepare_cached(sql)?.execute(params![
        id.0.as_bytes(),
        new.tenant,
        new.url,
        list(&new.types),
        list(&new.kinds),
        serde_json::to_string(&secrets).unwrap_or_default(),
        tx.now,
    ])?;
    get(tx.sql, id)?.ok_or_else(|| missing(id).into())
}

/// The endpoint `id`.
pub(super) fn get(sql: &Connection, id: EndpointId) -> rusqlite::Result<Option<Endpoint>> {
    let text = format!("SELECT {COLUMNS} FROM endpoints WHERE id = ?1");
    let mut statement = sql.prepare_cached(&text)?;
    statement
        .query_row(params![id.0.as_bytes()], endpoint)
        .optional()
}

/// The endpoints of `tenant`, or of all, by age.
pub(super) fn list(sql: &Connection, tenant: Option<&str>) -> rusqlite::Result<Vec<Endpoint>> {
    let text = format!(
        "SELECT {COLUMNS} FROM endpoints WHERE ?1 IS NULL OR tenant = ?1 ORDER BY id LIMIT 1000"
    );
    let mut statement = sql.prepare_cached(&text)?;
    statement.query_map([tenant], endpoint)?.collect()
}

/// Switches an endpoint on or off.
pub(super) fn set_active(tx: &Tx<'_>, id: EndpointId, is_active: bool) -> Result<Endpoint, Fail> {
    let sql = "UPDATE endpoints SET is_active = ?2, off_reason = NULL, paused_until = 0 \
               WHERE id = ?1";
    tx.sql
        .prepare_cached(sql)?
        .execute(params![id.0.as_bytes(), is_active])?;
    tx.has_messages.set(is_active);
    get(tx.sql, id)?.ok_or_else(|| missing(id).into())
}

/// Deletes an endpoint and what it was to be told.
pub(super) fn delete(tx: &Tx<'_>, id: EndpointId) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM endpoints WHERE id = ?1";
    Ok(tx
        .sql
        .prepare_cached(sql)?
        .execute(params![id.0.as_bytes()])?
        > 0)
}

/// Puts `secret` in front; those before it sign alongside it for `overlap`.
pub(super) fn rotate(
    tx: &Tx<'_>,
    id: EndpointId,
    secret: &Secret,
    overlap: Duration,
) -> Result<(), Fail> {
    let until = tx.now.saturating_add(millis(overlap));
    let old = kept(tx.sql, id)?.ok_or_else(|| missing(id))?;
    let old = old
        .into_iter()
        .filter(|kept| is_current(kept, tx.now))
        .map(|kept| Kept {
            until: Some(kept.until.map_or(until, |before| before.min(until))),
            ..kept
        });
    let newest = Kept {
        secret: secret.expose(),
        until: None,
    };
    // A signature for each goes into one header.
    let secrets: Vec<_> = std::iter::once(newest).chain(old).take(4).collect();
    let text = serde_json::to_string(&secrets).unwrap_or_default();
    let sql = "UPDATE endpoints SET secrets = ?2 WHERE id = ?1";
    tx.sql
        .prepare_cached(sql)?
        .execute(params![id.0.as_bytes(), text])?;
    Ok(())
}

/// The secrets that sign now, the newest first.
pub(super) fn secrets(sql: &Connection, id: EndpointId, now: i64) -> Result<Vec<Secret>, Fail> {
    let kept = kept(sql, id)?.ok_or_else(|| missing(id))?;
    let current = kept.iter().filter(|kept| is_current(kept, now));
    Ok(current
        .map(|kept| Secret::parse(&kept.secret))
        .collect::<Result<_>>()?)
}

fn is_current(kept: &Kept, now: i64) -> bool {
    kept.until.is_none_or(|until| until > now)
}

fn kept(sql: &Connection, id: EndpointId) -> rusqlite::Result<Option<Vec<Kept>>> {
    let text = "SELECT secrets FROM endpoints WHERE id = ?1";
    let mut statement = sql.prepare_cached(text)?;
    let found = statement.query_row(params![id.0.as_bytes()], |row| row.get::<_, String>(0));
    let found = found.optional()?;
    Ok(found.map(|text| serde_json::from_str(&text).unwrap_or_default()))
}

/// That there is no endpoint `id`.
pub(super) fn missing(id: EndpointId) -> Error {
    Error::NoEndpoint(id.to_string())
}
