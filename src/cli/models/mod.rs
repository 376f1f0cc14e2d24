//! `cairn models`: what there is, fetch it, check it, measure it.

mod bench;

use cairn_models::{Hub, State};
use serde_json::json;

use super::context::Context;
use super::progress::{PullBars, megabytes};
use super::{Outcome, output};

/// What to do with models.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// List the models that Cairn knows by name, and whether they are present
    List,
    /// Download models and verify them
    Pull {
        /// IDs from `cairn models list` [default: the configured models]
        #[arg(value_name = "ID")]
        ids: Vec<String>,
    },
    /// Verify the checksums of models on disk
    Verify {
        /// IDs from `cairn models list` [default: all that are present]
        #[arg(value_name = "ID")]
        ids: Vec<String>,
    },
    /// Measure the speed of the configured models on this machine
    Bench(bench::Args),
}

/// Runs the sub-command.
pub(super) fn run(context: &Context, action: &Action) -> anyhow::Result<Outcome> {
    let hub = Hub::new(None)?;
    match action {
        Action::List => list(context, &hub),
        Action::Pull { ids } => pull(context, &hub, ids),
        Action::Verify { ids } => verify(context, &hub, ids),
        Action::Bench(args) => bench::run(context, &hub, args),
    }
}

/// The artifacts that the configuration needs, by the names of the hub.
pub(super) fn configured(context: &Context) -> Vec<&str> {
    let models = &context.config.models;
    let mut ids: Vec<&str> = [&models.embedder, &models.reranker, &models.generator]
        .into_iter()
        .map(String::as_str)
        .filter(|id| !cairn_models::is_off(id))
        .collect();
    if cairn_models::needs_onnx_runtime(&models.reranker) {
        ids.push("onnxruntime");
    }
    ids.push("pdfium");
    ids
}

fn list(context: &Context, hub: &Hub) -> anyhow::Result<Outcome> {
    let configured = configured(context);
    let models = hub.list();
    if context.json {
        let rows: Vec<_> = models
            .iter()
            .map(|status| {
                let mut row = json!(status);
                row["configured"] = json!(configured.contains(&&*status.id));
                row
            })
            .collect();
        output::json(&json!({ "folder": hub.folder(), "models": rows }))?;
        return Ok(Outcome::Done);
    }
    let mut rows = vec![
        ["", "ID", "KIND", "SIZE", "STATE", "LICENCE", "WHAT"]
            .map(String::from)
            .to_vec(),
    ];
    for status in &models {
        let used = configured.contains(&&*status.id);
        rows.push(vec![
            if used { "*" } else { "" }.into(),
            status.id.clone(),
            word(&status.kind),
            megabytes(status.size),
            state(context, status.state),
            status.licence.clone(),
            status.title.clone(),
        ]);
    }
    output::piece(&output::table(&rows))?;
    context.say(format!(
        "* is configured. Models are kept in {}",
        hub.folder().display()
    ));
    Ok(Outcome::Done)
}

/// The word that a unit variant has in JSON.
fn word(value: &impl serde::Serialize) -> String {
    json!(value).as_str().unwrap_or_default().to_owned()
}

fn state(context: &Context, state: State) -> String {
    let style = match state {
        State::Ready | State::Builtin => &context.palette.good,
        State::Missing => &context.palette.dim,
        State::Damaged => &context.palette.bad,
    };
    style.apply_to(word(&state)).to_string()
}

fn pull(context: &Context, hub: &Hub, ids: &[String]) -> anyhow::Result<Outcome> {
    let ids = match ids.is_empty() {
        true => named(hub, configured(context).into_iter().map(ToOwned::to_owned)),
        false => ids.to_vec(),
    };
    let bars = PullBars::new(context.progress);
    let mut failed = false;
    let mut rows = Vec::new();
    for id in ids {
        match hub.pull(&id, &bars) {
            Ok(folder) => {
                if !context.json {
                    output::line(format!("{id}: ready in {}", folder.display()))?;
                }
                rows.push(json!({ "id": id, "ok": true, "folder": folder }));
            }
            Err(error) => {
                failed = true;
                context.say_error(format!("{id}: {error}"));
                rows.push(json!({ "id": id, "ok": false, "error": error.to_string() }));
            }
        }
    }
    finish(context, rows, failed)
}

fn verify(context: &Context, hub: &Hub, ids: &[String]) -> anyhow::Result<Outcome> {
    let present = |status: &cairn_models::Status| status.state != State::Missing;
    let ids = match ids.is_empty() {
        true => hub
            .list()
            .into_iter()
            .filter(present)
            .map(|status| status.id)
            .collect(),
        false => ids.to_vec(),
    };
    let mut failed = false;
    let mut rows = Vec::new();
    for id in ids {
        match hub.verify(&id) {
            Ok(()) => {
                if !context.json {
                    output::line(format!("{id}: {}", context.palette.good.apply_to("ok")))?;
                }
                rows.push(json!({ "id": id, "ok": true }));
            }
            Err(error) => {
                failed = true;
                if !context.json {
                    output::line(format!("{id}: {}", context.palette.bad.apply_to("failed")))?;
                }
                context.say_error(format!("{id}: {error}"));
                rows.push(json!({ "id": id, "ok": false, "error": error.to_string() }));
            }
        }
    }
    finish(context, rows, failed)
}

/// Folders and Hugging Face ids are not artifacts of the list.
fn named(hub: &Hub, ids: impl Iterator<Item = String>) -> Vec<String> {
    let known = hub.list();
    ids.filter(|id| known.iter().any(|status| status.id == *id))
        .collect()
}

fn finish(
    context: &Context,
    rows: Vec<serde_json::Value>,
    failed: bool,
) -> anyhow::Result<Outcome> {
    if context.json {
        output::json(&json!({ "models": rows }))?;
    }
    Ok(if failed {
        Outcome::Failed
    } else {
        Outcome::Done
    })
}
