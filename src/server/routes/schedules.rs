//! `/schedules`: jobs at set times.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use cairn_jobs::Schedule;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::documents::{collection_or_default, open_collection};
use crate::ingest::schedules::{self, ScheduleRequest};
use crate::ingest::{Payload, Request};
use crate::server::error::{ApiError, Code, ErrorBody, Result};
use crate::server::extract::JsonBody;
use crate::server::job_rights::{asker_of, may_know};
use crate::server::limits::blocking;
use crate::server::state::Service;
use cairn_gateway::accounts::{Accounts, Caller};

/// Schedules of one tenant.
const MAX_SCHEDULES: usize = 100;

/// What is to be done again and again.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ScheduleBody {
    /// When: five fields as in crontab(5), six with seconds in front, or `@daily` and the like.
    #[schema(example = "30 2 * * *")]
    cron: String,
    /// The IANA time zone in which `cron` is read; UTC if none.
    #[schema(example = "Europe/Berlin")]
    time_zone: Option<String>,
    /// Whether it rests.
    #[serde(default)]
    paused: bool,
    /// The kind of job, as for `POST /jobs`.
    #[schema(example = "url")]
    kind: String,
    /// Where the documents go; the default collection if none.
    collection: Option<String>,
    /// What that kind needs to know, as for `POST /jobs`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    fields: Map<String, Value>,
}

/// A schedule.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleInfo {
    /// Its name.
    name: String,
    /// Whose it is.
    tenant: String,
    /// When.
    cron: String,
    /// The time zone in which that is read.
    time_zone: String,
    /// Whether it rests.
    paused: bool,
    /// Why it does not run, where the API key that made it is not valid any more. Making it
    /// again with another one lets it run.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    /// The kind of job.
    kind: String,
    /// Where the documents go.
    collection: String,
    /// What the job works on.
    #[schema(value_type = Object)]
    input: Value,
    /// The next time; missing when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<String>,
    /// The job of the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_job: Option<String>,
}

impl ScheduleInfo {
    fn new(schedule: Schedule, accounts: &Accounts) -> Self {
        let lost = schedules::lost_key(&schedule, accounts);
        let name = schedules::name_of(&schedule).to_owned();
        let asked = schedule.schedule;
        let payload: Option<Payload> = serde_json::from_value(asked.job.payload).ok();
        let (collection, input) = payload
            .map(|payload| (payload.collection, payload.input))
            .unwrap_or_default();
        Self {
            name,
            tenant: asked.job.tenant,
            cron: asked.cron,
            time_zone: asked.time_zone,
            paused: asked.paused,
            stopped: lost.map(|error| format!("the API key that made it: {error}")),
            kind: asked.job.kind,
            collection,
            input,
            next_at: schedule.next_at.map(|at| at.to_string()),
            last_job: schedule.last_job.map(|id| id.to_string()),
        }
    }
}

/// Schedules, by name.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleList {
    /// All of them.
    schedules: Vec<ScheduleInfo>,
}

/// Makes or replaces a schedule of the caller's tenant. The job is checked as one that is
/// submitted now, with the rights that the caller has now.
///
/// # Errors
/// `invalid_request` names the field; `forbidden`, `too_large`, `storage`.
#[utoipa::path(put, path = "/schedules/{name}", tag = "jobs", request_body = ScheduleBody,
    params(("name" = String, Path, description = "Its name: letters, digits and `_-.`")),
    responses(
        (status = 200, description = "The schedule", body = ScheduleInfo),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 403, description = "Not with this API key", body = ErrorBody),
    ))]
pub(crate) async fn put(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<ScheduleBody>,
) -> Result<Json<ScheduleInfo>> {
    let queue = service.jobs()?;
    let collection = collection_or_default(&service, body.collection);
    service.core()?.engine.check_collection_name(&collection)?;
    let asker = asker_of(&service, &caller);
    let stored = schedules::stored_name(&asker.tenant, &name)?;
    let of_tenant = queue.schedules().await?;
    if let Some(there) = of_tenant.iter().find(|one| one.schedule.name == stored)
        && !is_known(&caller, there)
    {
        let message = "this API key may not replace the schedule of this name; choose another one";
        return Err(ApiError::new(Code::Forbidden, message));
    }
    let others = of_tenant
        .iter()
        .filter(|one| one.schedule.job.tenant == asker.tenant && one.schedule.name != stored);
    if others.count() >= MAX_SCHEDULES {
        let message = format!("there are {MAX_SCHEDULES} schedules already; delete one first");
        return Err(ApiError::invalid("name", message));
    }
    let request = ScheduleRequest {
        name,
        cron: body.cron,
        time_zone: body.time_zone.unwrap_or_else(|| "UTC".into()),
        paused: body.paused,
        job: Request {
            kind: body.kind,
            collection: collection.clone(),
            fields: body.fields,
            idempotency_key: None,
            spooled: None,
        },
    };
    // Paths are looked at, which may block.
    let of_service = Arc::clone(&service);
    let schedule = blocking(move || {
        let settings = &of_service.config().jobs;
        let fetcher = of_service.fetcher()?;
        Ok(schedules::new_schedule(request, &asker, settings, fetcher)?)
    })
    .await?;
    open_collection(&service, &collection, &caller).await?;
    let made = queue.put_schedule(schedule).await;
    let made = made.map_err(|error| match error {
        cairn_jobs::Error::Invalid(message) => ApiError::invalid("cron", message),
        error => error.into(),
    })?;
    Ok(Json(ScheduleInfo::new(made, service.accounts())))
}

/// Lists the schedules of the caller's tenant; `admin` sees all.
///
/// # Errors
/// `storage`.
#[utoipa::path(get, path = "/schedules", tag = "jobs",
    responses((status = 200, description = "The schedules", body = ScheduleList)))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ScheduleList>> {
    let all = service.jobs()?.schedules().await?;
    let visible = all.into_iter().filter(|one| is_known(&caller, one));
    let schedules = visible.map(|one| ScheduleInfo::new(one, service.accounts()));
    let schedules = schedules.collect();
    Ok(Json(ScheduleList { schedules }))
}

/// Says what a schedule of the caller's tenant does, and when.
///
/// # Errors
/// `not_found`.
#[utoipa::path(get, path = "/schedules/{name}", tag = "jobs",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The schedule", body = ScheduleInfo),
        (status = 404, description = "No such schedule", body = ErrorBody),
    ))]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<ScheduleInfo>> {
    let stored = schedules::stored_name(caller.tenant(), &name)?;
    let all = service.jobs()?.schedules().await?;
    let found = all
        .into_iter()
        .find(|one| one.schedule.name == stored && is_known(&caller, one));
    let found = found.ok_or_else(|| missing(&name))?;
    Ok(Json(ScheduleInfo::new(found, service.accounts())))
}

/// Deletes a schedule of the caller's tenant. Jobs that it has submitted stay.
///
/// # Errors
/// `not_found`.
#[utoipa::path(delete, path = "/schedules/{name}", tag = "jobs",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No such schedule", body = ErrorBody),
    ))]
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    let stored = schedules::stored_name(caller.tenant(), &name)?;
    let all = service.jobs()?.schedules().await?;
    let known = |one: &Schedule| one.schedule.name == stored && is_known(&caller, one);
    if !all.iter().any(known) {
        return Err(missing(&name));
    }
    match service.jobs()?.delete_schedule(&stored).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(missing(&name)),
    }
}

/// Whether `caller` may know of a schedule: of its jobs.
fn is_known(caller: &Caller, schedule: &Schedule) -> bool {
    let job = &schedule.schedule.job;
    may_know(caller, &job.tenant, &job.payload)
}

fn missing(name: &str) -> ApiError {
    let message = format!("there is no schedule `{name}`; GET /schedules lists them");
    ApiError::new(Code::NotFound, message)
}
