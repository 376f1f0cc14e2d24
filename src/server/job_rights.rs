//! Who may know of which job: results name documents, so rights over these decide.

use cairn_jobs::{Filter, Job, JobId, Queue};
use serde::Deserialize as _;
use serde_json::Value;

use super::error::{ApiError, Result};
use super::state::Service;
use crate::ingest::{Asker, Payload};
use cairn_gateway::accounts::{Caller, Scope};

/// Most pages of the queue that are read for one of a caller who may not know of every job.
const MAX_PAGES: usize = 20;

/// Whether `caller` may know of `job`.
fn may_see(caller: &Caller, job: &Job) -> bool {
    may_know(caller, &job.tenant, &job.payload)
}

/// Whether `caller` may know of work with this payload: it is of its tenant, and was asked
/// for with no rights that the caller lacks, since inputs and results name documents.
pub(super) fn may_know(caller: &Caller, tenant: &str, payload: &Value) -> bool {
    if sees_all(caller) {
        return true;
    }
    let within = caller.labels().is_none_or(|own| {
        let payload = Payload::deserialize(payload).ok();
        let held = payload.and_then(|payload| payload.held);
        held.is_some_and(|held| held.is_subset(own))
    });
    within && tenant == caller.tenant()
}

/// The latest jobs that `caller` may know of.
///
/// # Errors
/// Those of the queue.
pub(super) async fn visible(
    queue: &dyn Queue,
    caller: &Caller,
    mut filter: Filter,
    limit: usize,
) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for _ in 0..MAX_PAGES {
        let page = queue.list(filter.clone(), limit).await?;
        let Some(last) = page.last() else { break };
        filter.before = Some(last.id);
        jobs.extend(page.into_iter().filter(|job| may_see(caller, job)));
        if jobs.len() >= limit || caller.labels().is_none() {
            break;
        }
    }
    jobs.truncate(limit);
    Ok(jobs)
}

/// The id of a job, as it stands in requests.
///
/// # Errors
/// `invalid_request` for what is none.
pub(super) fn read_id(id: &str) -> Result<JobId> {
    id.parse()
        .map_err(|_| ApiError::invalid("id", "the id of a job is a UUID"))
}

/// The job, if the caller may know of it.
///
/// # Errors
/// `not_found`, `invalid_request` for the id.
pub(super) async fn find(service: &Service, caller: &Caller, id: &str) -> Result<Job> {
    let id = read_id(id)?;
    let job = service.jobs()?.get(id).await?;
    job.filter(|job| may_see(caller, job))
        .ok_or_else(|| cairn_jobs::Error::NotFound(id).into())
}

/// The caller, and what it may do.
pub(super) fn asker_of(service: &Service, caller: &Caller) -> Asker {
    Asker {
        tenant: caller.tenant().to_owned(),
        held: caller.labels().cloned(),
        any_folder: caller.key().is_none() && is_loopback(service),
        key: caller.key().map(|key| key.as_str().to_owned()),
        may_ask: caller.scopes().allow(Scope::Query),
    }
}

/// Whether `caller` knows of all jobs, of every tenant.
pub(super) fn sees_all(caller: &Caller) -> bool {
    caller.key().is_none() || caller.scopes().allow(Scope::Admin)
}

/// Whether only this machine reaches the service.
fn is_loopback(service: &Service) -> bool {
    let bind = service.config().server.bind.parse::<std::net::SocketAddr>();
    bind.is_ok_and(|address| address.ip().to_canonical().is_loopback())
}
