//! `GET /usage`: what was asked, what it took and what it cost.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::server::error::{ApiError, ErrorBody, Result};
use crate::server::extract::QueryString;
use crate::server::limits::blocking;
use crate::server::state::Service;
use cairn_gateway::accounts::usage::{AnswersRow, Group, Period, UsageReader, UsageRow};
use cairn_gateway::accounts::{Caller, KeyId, Scope};

/// Days that count when `since` is not given.
const DAYS: i64 = 30;

/// Which time, and how to sum.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageParams {
    /// `day`, `key`, `tenant`, `route`, `model` or `collection`.
    #[param(default = "day")]
    by: Option<String>,
    /// The first day that counts, in UTC; thirty days ago if not given.
    #[param(example = "2026-01-31")]
    since: Option<String>,
    /// The last day that counts, in UTC.
    until: Option<String>,
}

/// Sums over a time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct UsageReport {
    /// What the rows are grouped by.
    by: String,
    /// The first day that counts.
    since: String,
    /// The last day that counts.
    until: String,
    /// Whether these are the figures of all keys, or of yours.
    all_keys: bool,
    /// Questions and answers; none by `route`.
    answers: Vec<AnswersRow>,
    /// Calls to language models and their caches; none by `collection`.
    calls: Vec<UsageRow>,
    /// US dollars of all these calls.
    cost_usd: f64,
}

/// Sums what was asked and what language models took, of all keys for an administrator and
/// of the caller's own key for everybody else.
///
/// # Errors
/// `invalid_request` names the field; `storage` when the ledger cannot be read.
#[utoipa::path(get, path = "/usage", tag = "operations", params(UsageParams),
    responses(
        (status = 200, description = "The sums", body = UsageReport),
        (status = 400, description = "The request is wrong", body = ErrorBody),
    ))]
pub(crate) async fn usage(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    QueryString(params): QueryString<UsageParams>,
) -> Result<Json<UsageReport>> {
    let by: Group = match &params.by {
        Some(text) => text
            .parse()
            .map_err(|error| ApiError::invalid("by", error))?,
        None => Group::Day,
    };
    let period = period(params.since.as_deref(), params.until.as_deref())?;
    let key = own_key(&caller);
    blocking(move || {
        let mut reader = UsageReader::open(&service.config().storage.data_dir)?;
        let all_keys = key.is_none();
        if let Some(key) = key {
            reader = reader.of_key(key);
        }
        let calls = reader.sums(by, period)?;
        let shown = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
        Ok(Json(UsageReport {
            by: by.as_str().to_owned(),
            since: shown(period.since),
            until: shown(period.until),
            all_keys,
            answers: reader.answers(by, period)?,
            cost_usd: calls.iter().map(|row| row.cost_usd).sum(),
            calls,
        }))
    })
    .await
}

/// The key whose figures the caller may see; `None` if they are those of all.
pub(super) fn own_key(caller: &Caller) -> Option<KeyId> {
    let key = caller.key().cloned();
    key.filter(|_| !caller.scopes().allow(Scope::Admin))
}

/// The days from `since` to `until`, which are days of the calendar in UTC.
///
/// # Errors
/// `invalid_request` for what is not a day, and when the first is after the last.
pub(super) fn period(since: Option<&str>, until: Option<&str>) -> Result<Period> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let day = |param: &str, text: &str| {
        text.parse::<Date>().map_err(|_| {
            let message = format!("`{param}` is not a day such as {today}");
            ApiError::invalid(param, message)
        })
    };
    let until = until.map_or(Ok(today), |text| day("until", text))?;
    let since = match since {
        Some(text) => day("since", text)?,
        None => until.saturating_sub((DAYS - 1).days()),
    };
    if since > until {
        let message = format!("`since` ({since}) is after `until` ({until})");
        return Err(ApiError::invalid("since", message));
    }
    Ok(Period {
        since: Some(since),
        until: Some(until),
    })
}
