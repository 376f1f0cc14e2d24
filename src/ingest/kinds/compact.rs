//! `compact`: writes a collection into as few files as there can be.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Checks, Kind, Plan, read};
use crate::ingest::task::{Stop, Task};
use crate::ingest::{Payload, Refusal};

/// Merges the segments of a collection.
#[derive(Debug)]
pub(super) struct Compact;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {}

impl Kind for Compact {
    fn name(&self) -> &'static str {
        "compact"
    }

    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let Fields {} = read(fields)?;
        if checks.asker.held.is_some() {
            let message = "only API keys that read every document may have a collection compacted";
            return Err(Refusal::forbidden("kind", message));
        }
        let key = format!("compact:{}", checks.collection);
        Ok(Plan {
            input: json!({}),
            ordering_key: Some(key.clone()),
            unique_key: Some(key),
            source: None,
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let index = task.collection(payload)?;
        task.stage("compact");
        let patience = task.tools().writes.patience();
        let writer = index.writer_within(&task.embedder()?, patience, task.cancel())?;
        let done = writer.compact(task.cancel())?;
        let counts = |(before, after): (usize, usize)| json!({ "before": before, "after": after });
        Ok(json!({
            "generation": done.generation,
            "vector_segments": counts(done.vectors),
            "word_segments": counts(done.words),
            "dropped": done.dropped,
        }))
    }
}
