//! `re-embed`: gives a collection the vectors of another model.

use cairn_jobs::Progress;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Checks, Kind, Plan, input, read};
use crate::ingest::task::{Stop, Task};
use crate::ingest::{Payload, Refusal, bounds};

/// Embeds a collection again.
#[derive(Debug)]
pub(super) struct ReEmbed;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    /// The name of the model; the configured one if none.
    #[serde(default)]
    model: Option<String>,
}

impl Kind for ReEmbed {
    fn name(&self) -> &'static str {
        "re-embed"
    }

    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let fields: Fields = read(fields)?;
        if checks.asker.held.is_some() {
            let message = "only API keys that read every document may have a collection embedded \
                           again";
            return Err(Refusal::forbidden("kind", message));
        }
        if let Some(model) = &fields.model {
            bounds::check_name("model", model)?;
            let is_listed = checks.settings.embedders.contains(model);
            if !is_listed && !checks.asker.any_folder {
                let message = "`model` is one of jobs.embedders";
                return Err(Refusal::forbidden("model", message));
            }
        }
        Ok(Plan {
            ordering_key: Some(format!("re-embed:{}", checks.collection)),
            unique_key: Some(format!("re-embed:{}:{}", checks.collection, json!(fields))),
            input: json!(fields),
            source: None,
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let fields: Fields = input(payload)?;
        let tools = task.tools();
        let index = task.collection(payload)?;
        let before = index.snapshot().embedder_id().map(ToOwned::to_owned);
        task.stage("load");
        let embedder = match &fields.model {
            // Loading may fetch it, which may go better next time.
            Some(model) => (tools.load_embedder)(model)
                .map_err(|why| Stop::Failed(cairn_jobs::Failure::transient(why)))?,
            None => task.embedder()?,
        };
        task.stage("embed");
        let patience = tools.writes.patience();
        let mut chunks = 0;
        let shown = &mut |done, total| {
            chunks = done;
            task.progress(Progress {
                done: done as u64,
                total: Some(total as u64),
                ..Progress::default()
            });
        };
        let generation = index.re_embed(&embedder, patience, task.cancel(), shown)?;
        Ok(json!({
            "generation": generation,
            "before": before,
            "embedder": embedder.id(),
            "chunks": chunks,
        }))
    }
}
