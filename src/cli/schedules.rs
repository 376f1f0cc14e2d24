//! `cairn jobs schedule`: jobs at set times.

use cairn_jobs::{Queue, Schedule};
use serde_json::{Map, Value, json};

use super::Outcome;
use super::context::Context;
use super::failure::Advised;
use super::output::{self, printable};
use crate::ingest::schedules::{self, ScheduleRequest};
use crate::ingest::{Asker, Payload, Request, setup};
use cairn_gateway::accounts::Keys;

/// What to do with schedules.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Create a schedule, or replace the one with this name
    Add {
        /// Name of the schedule: letters, digits and `_-.`
        #[arg(value_name = "NAME")]
        name: String,
        /// Times: five fields as in crontab(5), six fields that begin with seconds, or a name
        /// such as `@daily`
        #[arg(long, value_name = "EXPRESSION")]
        cron: String,
        /// Time zone of --cron, e.g. Europe/Berlin
        #[arg(long, value_name = "ZONE", default_value = "UTC")]
        time_zone: String,
        /// Kind of job, e.g. `folder` or `url`
        #[arg(long, value_name = "KIND")]
        kind: String,
        /// Fields of the job as JSON, e.g. '{"path": "/srv/docs"}'
        #[arg(long, value_name = "JSON", default_value = "{}", value_parser = fields)]
        input: Map<String, Value>,
        /// Create the schedule in a paused state
        #[arg(long)]
        paused: bool,
    },
    /// List schedules
    List,
    /// Delete a schedule; jobs that it has submitted stay
    Remove {
        /// Name of the schedule
        #[arg(value_name = "NAME")]
        name: String,
    },
}

fn fields(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}

/// Runs an action.
pub(super) async fn act(
    context: &Context,
    queue: &dyn Queue,
    action: &Action,
) -> anyhow::Result<Outcome> {
    match action {
        Action::Add {
            name,
            cron,
            time_zone,
            kind,
            input,
            paused,
        } => {
            let config = &context.config;
            let request = ScheduleRequest {
                name: name.clone(),
                cron: cron.clone(),
                time_zone: time_zone.clone(),
                paused: *paused,
                job: Request {
                    kind: kind.clone(),
                    collection: config.storage.collection.clone(),
                    fields: input.clone(),
                    idempotency_key: None,
                    spooled: None,
                },
            };
            let asker = Asker {
                any_folder: true,
                may_ask: true,
                ..Asker::default()
            };
            let fetcher = setup::fetcher(config)?;
            let checked = schedules::new_schedule(request, &asker, &config.jobs, &fetcher);
            let checked = checked.map_err(|refusal| {
                let message = format!("{}: {}", refusal.field, refusal.message);
                Advised::new(message, "no schedule was made")
            })?;
            let made = queue.put_schedule(checked).await?;
            show(context, vec![made])
        }
        Action::List => show(context, queue.schedules().await?),
        Action::Remove { name } => {
            let stored = schedules::stored_name("", name)
                .map_err(|refusal| anyhow::anyhow!(refusal.message))?;
            if !queue.delete_schedule(&stored).await? {
                let advice = "`cairn jobs schedule list` shows those that there are";
                return Err(Advised::new(format!("there is no schedule `{name}`"), advice).into());
            }
            match context.json {
                true => output::json(&json!({ "removed": name }))?,
                false => context.say(format!("Removed the schedule {name}.")),
            }
            Ok(Outcome::Done)
        }
    }
}

/// What became of the key that made each schedule, where it does not count any more.
fn lost_keys(context: &Context, all: &[Schedule]) -> anyhow::Result<Vec<Option<&'static str>>> {
    let key = |one: &Schedule| {
        let payload = serde_json::from_value(one.schedule.job.payload.clone());
        payload.ok().and_then(|payload: Payload| payload.key)
    };
    let made_by: Vec<Option<String>> = all.iter().map(key).collect();
    if made_by.iter().all(Option::is_none) {
        return Ok(vec![None; all.len()]);
    }
    let keys = Keys::open(&context.config.storage.data_dir)?.list()?;
    let state = |id: &String| {
        let found = keys.iter().find(|key| key.id.as_str() == id);
        found.map_or("unknown", |key| key.state())
    };
    let states = made_by.iter().map(|id| id.as_ref().map(state));
    Ok(states
        .map(|state| state.filter(|state| *state != "active"))
        .collect())
}

fn show(context: &Context, all: Vec<Schedule>) -> anyhow::Result<Outcome> {
    let lost = lost_keys(context, &all)?;
    if context.json {
        let all = all.iter().zip(&lost);
        let all: Vec<Value> = all.map(|(one, lost)| document(one, *lost)).collect();
        output::json(&json!({ "schedules": all }))?;
        return Ok(Outcome::Done);
    }
    if all.is_empty() {
        context.say("There are no schedules; `cairn jobs schedule add` makes one.");
        return Ok(Outcome::Done);
    }
    let head = ["name", "cron", "time zone", "kind", "next", "about"];
    let mut rows = vec![head.map(ToOwned::to_owned).to_vec()];
    rows.extend(all.iter().zip(lost).map(|(one, lost)| {
        let asked = &one.schedule;
        let next = match (lost, one.next_at) {
            (Some(state), _) => format!("stopped: its key is {state}"),
            _ if asked.paused => "rests".to_owned(),
            (None, Some(at)) => at.to_string(),
            (None, None) => "never".to_owned(),
        };
        let owner = match asked.job.tenant.as_str() {
            "" => String::new(),
            tenant => format!(" of {tenant}"),
        };
        vec![
            printable(&format!("{}{owner}", schedules::name_of(one))),
            printable(&asked.cron),
            printable(&asked.time_zone),
            asked.job.kind.clone(),
            next,
            printable(&super::jobs::about(&asked.job.payload)),
        ]
    }));
    output::piece(&output::table(&rows))?;
    Ok(Outcome::Done)
}

/// A schedule as `--json` prints it.
fn document(one: &Schedule, lost_key: Option<&str>) -> Value {
    let asked = &one.schedule;
    let payload: Option<Payload> = serde_json::from_value(asked.job.payload.clone()).ok();
    let (collection, input) = payload
        .map(|payload| (payload.collection, payload.input))
        .unwrap_or_default();
    json!({
        "name": schedules::name_of(one),
        "tenant": asked.job.tenant,
        "cron": asked.cron,
        "time_zone": asked.time_zone,
        "paused": asked.paused,
        "stopped": lost_key.map(|state| format!("its API key is {state}")),
        "kind": asked.job.kind,
        "collection": collection,
        "input": input,
        "next_at": one.next_at,
        "last_job": one.last_job,
    })
}
