//! Jobs at set times: what a client asks for, checked as a job is that is submitted now.
//!
//! Names belong to tenants. The queue knows one list, so that a name there has the tenant in
//! front, with a `:` between the two, which no name holds.

use cairn_gateway::accounts::{Accounts, AuthError};
use cairn_jobs::{NewSchedule, Queue, Schedule};
use cairn_settings::config::Jobs;

use super::fetch::Fetcher;
use super::submit::{Asker, Request, new_job};
use super::{Payload, Refusal, Why};

/// Bytes of a name.
const MAX_NAME_BYTES: usize = 64;

/// What is to be done again and again.
#[derive(Clone, Debug)]
pub(crate) struct ScheduleRequest {
    /// Its name, one of the tenant's.
    pub name: String,
    /// When, in the manner of crontab(5), with or without seconds.
    pub cron: String,
    /// In which IANA time zone.
    pub time_zone: String,
    /// Whether it rests.
    pub paused: bool,
    /// What is submitted.
    pub job: Request,
}

/// Checks a request and makes a schedule of it, which is not in the queue yet.
///
/// # Errors
/// Names the field that is wrong. What stands in `cron` and `time_zone` the queue checks.
pub(crate) fn new_schedule(
    request: ScheduleRequest,
    asker: &Asker,
    settings: &Jobs,
    fetcher: &Fetcher,
) -> Result<NewSchedule, Refusal> {
    let name = stored_name(&asker.tenant, &request.name)?;
    Ok(NewSchedule {
        name,
        cron: request.cron,
        time_zone: request.time_zone,
        job: new_job(request.job, asker, settings, fetcher)?,
        paused: request.paused,
    })
}

/// The name in the queue of the schedule that `tenant` calls `name`.
///
/// # Errors
/// When it is not a name.
pub(crate) fn stored_name(tenant: &str, name: &str) -> Result<String, Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(plain) {
        return Err(Refusal {
            why: Why::Invalid,
            field: "name".into(),
            message: format!(
                "the name of a schedule has 1 to {MAX_NAME_BYTES} letters, digits and `_-.`"
            ),
        });
    }
    Ok(format!("{tenant}:{name}"))
}

/// What its tenant calls `schedule`.
pub(crate) fn name_of(schedule: &Schedule) -> &str {
    let stored = schedule.schedule.name.as_str();
    stored.rsplit_once(':').map_or(stored, |(_, name)| name)
}

/// Why a schedule does not run, where its key is gone: jobs that it submits end at once. Whoever
/// may can make it again.
pub(crate) fn lost_key(schedule: &Schedule, accounts: &Accounts) -> Option<AuthError> {
    let payload = schedule.schedule.job.payload.clone();
    let payload: Payload = serde_json::from_value(payload).ok()?;
    payload.caller(accounts).err()
}

/// Lets schedules rest whose keys are gone.
///
/// # Errors
/// Those of the queue.
pub(crate) async fn let_rest(queue: &dyn Queue, accounts: &Accounts) -> cairn_jobs::Result<()> {
    for one in queue.schedules().await? {
        if one.schedule.paused || lost_key(&one, accounts).is_none() {
            continue;
        }
        tracing::warn!(
            schedule = name_of(&one),
            "a schedule rests: its API key is gone"
        );
        queue
            .put_schedule(NewSchedule {
                paused: true,
                ..one.schedule
            })
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tenants_do_not_meet() {
        assert_eq!(stored_name("", "nightly").unwrap(), ":nightly");
        assert_ne!(
            stored_name("a", "b").unwrap(),
            stored_name("a:b", "b").unwrap()
        );
        for bad in ["", "a:b", "a b", "é", &"x".repeat(65)] {
            assert!(stored_name("t", bad).is_err(), "{bad}");
        }
    }
}
