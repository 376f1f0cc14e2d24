//! Jobs at set times.

use std::str::FromStr as _;

use croner::Cron;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::job::{JobId, NewJob};

/// A schedule to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    /// Its name, at most 128 bytes.
    pub name: String,
    /// When: five fields as in crontab(5), six with seconds in front, or `@daily` and the
    /// like.
    pub cron: String,
    /// The IANA time zone in which `cron` is read.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// What is submitted each time. Its keys are used as they are, except for the idempotency
    /// key: the queue makes one of name and moment.
    pub job: NewJob,
    /// Whether it rests.
    #[serde(default)]
    pub paused: bool,
}

/// A schedule that is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schedule {
    /// What was asked for.
    #[serde(flatten)]
    pub schedule: NewSchedule,
    /// The next time; `None` if there is none.
    pub next_at: Option<Timestamp>,
    /// The job of the last time.
    pub last_job: Option<JobId>,
}

fn utc() -> String {
    "UTC".into()
}

impl NewSchedule {
    /// The first moment after `after`; `None` if there is none within croner's horizon.
    pub(crate) fn next_after(&self, after: Timestamp) -> Result<Option<Timestamp>> {
        let name = &self.name;
        let invalid = |what: String| Error::Invalid(format!("schedule `{name}`: {what}"));
        if self.cron.len() > 256 {
            return Err(invalid(
                "the cron expression is longer than 256 bytes".into(),
            ));
        }
        let cron = Cron::from_str(&self.cron).map_err(|error| {
            invalid(format!("`{}` is not a cron expression: {error}", self.cron))
        })?;
        let zone = TimeZone::get(&self.time_zone).map_err(|error| {
            invalid(format!("`{}` is not a time zone: {error}", self.time_zone))
        })?;
        match cron.find_next_occurrence(&after.to_zoned(zone), false) {
            Ok(next) => Ok(Some(next.timestamp())),
            Err(croner::errors::CronError::TimeSearchLimitExceeded) => Ok(None),
            Err(error) => Err(invalid(error.to_string())),
        }
    }
}
