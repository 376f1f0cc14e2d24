//! `cairn jobs`: what is queued, running, done and dead-lettered in the data folder, also
//! while a service works on it.

use std::time::Duration;

use anyhow::Context as _;
use cairn_jobs::{Filter, Job, JobId, Purge, Queue, State};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Advised;
use super::output::{self, printable};
use super::progress::{self, Display};
use super::{Outcome, serve};
use crate::ingest::setup;

/// Errors of documents that `show` lists without `-v`.
const SHOWN_ERRORS: usize = 20;

/// What to do with jobs.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// List jobs, the latest first
    List {
        /// Only jobs in this state: queued, running, input_required, done, failed or cancelled
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
        /// Only jobs of this kind, e.g. folder
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// Maximum number of jobs to list, up to 1000
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// Show a job with its failed attempts and failed documents
    Show {
        /// ID of the job
        #[arg(value_name = "ID")]
        id: JobId,
    },
    /// Follow a job until it ends
    Watch {
        /// ID of the job
        #[arg(value_name = "ID")]
        id: JobId,
    },
    /// Queue failed or cancelled jobs again
    Retry {
        /// IDs of the jobs
        #[arg(value_name = "ID", required_unless_present = "failed")]
        ids: Vec<JobId>,
        /// Retry all failed jobs (dead letters)
        #[arg(long, conflicts_with = "ids")]
        failed: bool,
    },
    /// Cancel jobs; what they have committed stays
    Cancel {
        /// IDs of the jobs
        #[arg(value_name = "ID", required = true)]
        ids: Vec<JobId>,
    },
    /// Confirm or reject what a job in state input_required asks; the job then continues
    Answer {
        /// ID of the job
        #[arg(value_name = "ID")]
        id: JobId,
        /// Confirm
        #[arg(long, conflicts_with = "no", required_unless_present = "no")]
        yes: bool,
        /// Reject
        #[arg(long)]
        no: bool,
    },
    /// Delete jobs that have ended
    Purge {
        /// Only jobs in this state: done, failed or cancelled
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
        /// Only jobs that ended at least this many days ago
        #[arg(long, value_name = "DAYS", default_value_t = 0)]
        older_than: u32,
    },
    /// Start no more jobs until `resume`; running jobs continue
    Pause {
        /// Reason, which is shown to other users
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "paused with `cairn jobs pause`"
        )]
        reason: String,
    },
    /// Start jobs again after `pause`
    Resume,
    /// Submit jobs on a schedule
    Schedule {
        #[command(subcommand)]
        action: super::schedules::Action,
    },
    /// Show the number of jobs in each state, and how long the oldest has waited
    Stats,
}

/// Runs an action.
pub(super) fn run(context: &Context, action: &Action) -> anyhow::Result<Outcome> {
    let runtime = serve::runtime()?;
    runtime.block_on(async {
        let jobs = setup::open(&context.config).await?;
        act(context, jobs.queue.as_ref(), action).await
    })
}

async fn act(context: &Context, queue: &dyn Queue, action: &Action) -> anyhow::Result<Outcome> {
    match action {
        Action::List { state, kind, limit } => {
            let filter = Filter {
                states: state.iter().copied().collect(),
                kind: kind.clone(),
                ..Filter::default()
            };
            list(context, &queue.list(filter, *limit).await?)
        }
        Action::Show { id } => show(context, queue, *id).await,
        Action::Watch { id } => watch(context, queue, *id).await,
        Action::Retry { ids, failed } => {
            let mut ids = ids.clone();
            if *failed {
                let filter = Filter {
                    states: vec![State::Failed],
                    ..Filter::default()
                };
                let dead = queue.list(filter, 1000).await?;
                ids = dead.into_iter().map(|job| job.id).collect();
            }
            let mut jobs = Vec::new();
            for id in ids {
                jobs.push(queue.retry(id).await?);
            }
            list(context, &jobs)
        }
        Action::Cancel { ids } => {
            let mut jobs = Vec::new();
            for id in ids {
                jobs.push(queue.cancel(*id).await?);
            }
            list(context, &jobs)
        }
        Action::Answer { id, yes, .. } => {
            let job = queue.give_input(*id, json!({ "confirm": yes })).await?;
            list(context, &[job])
        }
        Action::Purge { state, older_than } => {
            let age = SignedDuration::from_hours(24 * i64::from(*older_than));
            let purge = Purge::EndedBefore {
                moment: Timestamp::now() - age,
                states: state.iter().copied().collect(),
                tenant: None,
            };
            let purged = queue.purge(purge).await?;
            if context.json {
                output::json(&json!({ "purged": purged }))?;
            } else {
                output::line(format!("{purged} jobs were forgotten"))?;
            }
            Ok(Outcome::Done)
        }
        Action::Pause { reason } => {
            queue.pause(reason).await?;
            context.say("No job begins until `cairn jobs resume`; what runs goes on.");
            Ok(Outcome::Done)
        }
        Action::Resume => {
            queue.resume().await?;
            context.say("Jobs begin again.");
            Ok(Outcome::Done)
        }
        Action::Schedule { action } => super::schedules::act(context, queue, action).await,
        Action::Stats => stats(context, queue).await,
    }
}

fn list(context: &Context, jobs: &[Job]) -> anyhow::Result<Outcome> {
    if context.json {
        let jobs: Vec<Value> = jobs.iter().map(document).collect();
        output::json(&json!({ "jobs": jobs }))?;
        return Ok(Outcome::Done);
    }
    if jobs.is_empty() {
        context.say("There are no such jobs.");
        return Ok(Outcome::Done);
    }
    let head = [
        "id",
        "kind",
        "state",
        "progress",
        "attempts",
        "submitted",
        "about",
    ];
    let mut rows = vec![head.map(ToOwned::to_owned).to_vec()];
    rows.extend(jobs.iter().map(|job| {
        vec![
            job.id.to_string(),
            job.kind.clone(),
            job.state.to_string(),
            fraction(job),
            format!("{}/{}", job.attempts, job.max_attempts),
            ago(job.created_at),
            printable(&about(&job.payload)),
        ]
    }));
    output::piece(&output::table(&rows))?;
    Ok(Outcome::Done)
}

async fn show(context: &Context, queue: &dyn Queue, id: JobId) -> anyhow::Result<Outcome> {
    let job = get(queue, id).await?;
    let most = match context.verbose {
        0 if !context.json => SHOWN_ERRORS,
        _ => 1000,
    };
    let errors = queue.document_errors(id, 0, most).await?;
    if context.json {
        let mut body = document(&job);
        body["document_errors"] = json!(errors);
        output::json(&body)?;
        return Ok(Outcome::Done);
    }
    let mut text = format!("{} ({}): {}\n", job.id, job.kind, job.state);
    let mut fact = |name: &str, value: String| {
        text.push_str(&format!("  {name:<11}{}\n", printable(&value)));
    };
    fact("about", about(&job.payload));
    if let Some(stage) = &job.stage {
        fact("stage", format!("{stage}, {}", fraction(&job)));
    }
    if let Some(eta) = job.eta(Timestamp::now()) {
        fact("left", format!("about {} s", eta.as_secs()));
    }
    fact(
        "attempts",
        format!("{} of {}", job.attempts, job.max_attempts),
    );
    fact("submitted", ago(job.created_at));
    if let Some(ended) = job.ended_at {
        fact("ended", ago(ended));
    }
    for failure in &job.failures {
        fact(
            "failed",
            format!("{}: {}", ago(failure.at), failure.chain.join(": ")),
        );
    }
    if let Some(result) = &job.result {
        fact("result", result.to_string());
    }
    for error in &errors {
        fact("document", format!("{}: {}", error.document, error.message));
    }
    let more = job.document_errors.saturating_sub(errors.len() as u64);
    if more > 0 {
        fact(
            "",
            format!("and {more} more failed documents; -v or --json lists them"),
        );
    }
    if job.state == State::InputRequired {
        let id = job.id;
        fact("next", format!("cairn jobs answer {id} --yes, or --no"));
    }
    output::piece(&text)?;
    Ok(Outcome::Done)
}

const BAR: &str = "{prefix} [{bar:30}] {pos}/{len} {msg}";

async fn watch(context: &Context, queue: &dyn Queue, id: JobId) -> anyhow::Result<Outcome> {
    let mut seq = 0;
    let display = Display::choose(context.progress);
    let bar = (display == Display::Bar).then(|| progress::bar(0, BAR));
    loop {
        let job = get(queue, id).await?;
        if job.state.is_terminal() || job.state == State::InputRequired {
            if let Some(bar) = &bar {
                bar.finish_and_clear();
            }
            show(context, queue, id).await?;
            return Ok(match job.state {
                State::Done => Outcome::Done,
                _ => Outcome::Failed,
            });
        }
        let left = job.eta(Timestamp::now());
        let left = left.map_or(String::new(), |eta| {
            format!(", about {} s left", eta.as_secs())
        });
        let stage = job.stage.as_deref().unwrap_or(match job.state {
            State::Running => "starting",
            _ => "waiting for a worker",
        });
        if let Some(bar) = &bar {
            bar.set_prefix(job.state.to_string());
            bar.set_length(job.progress.total.unwrap_or(0));
            bar.set_position(job.progress.done);
            bar.set_message(format!("{stage}{left}"));
        } else if display == Display::Lines {
            progress::line(&format!("{}: {stage}, {}{left}", job.state, fraction(&job)));
        }
        let events = queue.wait_events(id, seq, Duration::from_secs(5)).await?;
        seq = events.last().map_or(seq, |event| event.seq);
    }
}

async fn stats(context: &Context, queue: &dyn Queue) -> anyhow::Result<Outcome> {
    let stats = queue.stats().await?;
    if context.json {
        output::json(&stats)?;
        return Ok(Outcome::Done);
    }
    let mut text = String::new();
    for state in State::ALL {
        text.push_str(&format!("{:<16}{}\n", state.to_string(), stats.of(state)));
    }
    let age = stats.oldest_ready.unwrap_or_default().as_secs();
    text.push_str(&format!(
        "{:<16}{} ready, the oldest for {age} s\n",
        "waiting", stats.ready
    ));
    if let Some(reason) = &stats.paused {
        text.push_str(&format!("{:<16}{reason}\n", "paused"));
    }
    for source in &stats.open_sources {
        text.push_str(&format!("{:<16}{source} fails; its jobs wait\n", "source"));
    }
    output::piece(&text)?;
    Ok(Outcome::Done)
}

async fn get(queue: &dyn Queue, id: JobId) -> anyhow::Result<Job> {
    let job = queue.get(id).await?;
    job.ok_or_else(|| cairn_jobs::Error::NotFound(id))
        .context("the job cannot be shown")
}

/// A job as `--json` prints it.
fn document(job: &Job) -> Value {
    json!(job)
}

/// What a job with `payload` works on, in a few words.
pub(super) fn about(payload: &Value) -> String {
    let input = &payload["input"];
    let name = ["path", "url", "uri", "document_id", "batch"]
        .iter()
        .find_map(|field| input[field].as_str());
    let collection = payload["collection"].as_str().unwrap_or_default();
    match collection {
        // A batch of chats has none.
        "" => name.unwrap_or_default().to_owned(),
        collection => format!("{} -> {collection}", name.unwrap_or_default()),
    }
}

fn fraction(job: &Job) -> String {
    match job.progress.total {
        Some(total) => format!("{}/{total}", job.progress.done),
        None => job.progress.done.to_string(),
    }
}

fn ago(then: Timestamp) -> String {
    let seconds = Timestamp::now().duration_since(then).as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=7199 => format!("{} min ago", seconds / 60),
        7200..=172_799 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Queues folder jobs, for a service or worker that uses the same data folder.
///
/// # Errors
/// When a path or label is wrong, or the queue cannot be written.
pub(super) fn detach(
    context: &Context,
    paths: &[std::path::PathBuf],
    labels: &[String],
    remove_most: bool,
) -> anyhow::Result<Outcome> {
    let config = &context.config;
    let fetcher = setup::fetcher(config)?;
    let asker = crate::ingest::Asker {
        any_folder: true,
        may_ask: true,
        ..Default::default()
    };
    let mut jobs = Vec::new();
    for path in paths {
        let path = std::path::absolute(path)?;
        let fields = json!({ "path": path, "labels": labels, "remove_most": remove_most });
        let Value::Object(fields) = fields else {
            continue;
        };
        let request = crate::ingest::Request {
            kind: "folder".into(),
            collection: config.storage.collection.clone(),
            fields,
            idempotency_key: None,
            spooled: None,
        };
        let job = crate::ingest::new_job(request, &asker, &config.jobs, &fetcher);
        jobs.push(job.map_err(|error| Advised::new(error.message, "nothing was queued"))?);
    }
    let runtime = serve::runtime()?;
    let submitted = runtime.block_on(async {
        let opened = setup::open(config).await?;
        opened.queue.submit(jobs).await
    })?;
    let jobs: Vec<Job> = submitted
        .into_iter()
        .map(|submitted| submitted.job)
        .collect();
    if context.json {
        return list(context, &jobs);
    }
    for job in &jobs {
        output::line(format!(
            "Queued {} ({})",
            job.id,
            printable(&about(&job.payload))
        ))?;
    }
    context.say(
        "`cairn jobs watch ID` follows a job. A running `cairn up`, `cairn serve` or `cairn worker` \
         with this data folder does the work.",
    );
    Ok(Outcome::Done)
}
