//! `folder`: brings the collection up to date with a file or folder of this machine.

use std::path::{Path, PathBuf};

use cairn_indexer::{Manifest, ManifestEntry, RunOptions, plan_paths};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Checks, Kind, Marks, Plan, input, read_marked};
use crate::ingest::task::{Stop, Task};
use crate::ingest::{Payload, Refusal, report};

/// Indexes a file or folder.
#[derive(Debug)]
pub(super) struct Folder;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    path: PathBuf,
    #[serde(default)]
    remove_most: bool,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Input {
    path: PathBuf,
    remove_most: bool,
    #[serde(default)]
    dry_run: bool,
    #[serde(flatten)]
    marks: Marks,
}

impl Kind for Folder {
    fn name(&self) -> &'static str {
        "folder"
    }

    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let (fields, marks): (Fields, Marks) = read_marked(fields, checks)?;
        let path = permitted(&fields.path, checks)?;
        let order = format!("folder:{}:{}", checks.collection, path.display());
        let input = Input {
            path,
            remove_most: fields.remove_most,
            dry_run: fields.dry_run,
            marks,
        };
        Ok(Plan {
            unique_key: Some(format!("folder:{}:{}", checks.collection, json!(input))),
            input: json!(input),
            ordering_key: Some(order),
            source: None,
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let Input {
            path,
            remove_most,
            dry_run,
            marks,
        } = input(payload)?;
        // Whoever reads only some documents must not delete others with a folder run.
        if payload.held.is_some() {
            return Err(Stop::permanent(
                "a folder is indexed by callers who may read every document",
            ));
        }
        let tools = task.tools();
        let index = task.collection(payload)?;
        let options = RunOptions {
            labels: marks.labels,
            metadata: marks.metadata,
            parser: tools.parser.clone(),
            commit_interval: tools.commit_interval,
            lock_patience: tools.writes.patience(),
            exclude: vec![tools.data_dir.clone()],
            remove_most: remove_most || task.is_confirmed(),
            manifest: None,
        };
        if dry_run {
            task.stage("scan");
            let plan = plan_paths(&[path], &index, &options, task.cancel())?;
            return Ok(shortened(plan));
        }
        let shown = report::Shown::new(task);
        let embedder = task.embedder()?;
        let roots = [path];
        let run =
            cairn_indexer::index_paths(&roots, &index, embedder, &options, &shown, task.cancel())?;
        report::outcome(run, task)
    }
}

/// Bytes of the entries that the result of a dry run lists.
const MAX_LISTED_BYTES: usize = 192 << 10;

/// What a run would do, with as many of its entries as a result may hold.
fn shortened(mut plan: Manifest) -> Value {
    let mut room = MAX_LISTED_BYTES;
    let all = plan.entries.len();
    let fits = |entry: &ManifestEntry| {
        let bytes = json!(entry).to_string().len();
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    };
    let listed = plan
        .entries
        .iter()
        .map(fits)
        .take_while(|fits| *fits)
        .count();
    plan.entries.truncate(listed);
    let mut result = json!(plan);
    result["left_out"] = json!(all - listed);
    result
}

/// The canonical path, if this caller may have it indexed.
pub(super) fn permitted(path: &Path, checks: &Checks<'_>) -> Result<PathBuf, Refusal> {
    if checks.asker.held.is_some() {
        let message = "only API keys that read every document may index folders of the service";
        return Err(Refusal::forbidden("path", message));
    }
    if !path.is_absolute() {
        let message = "`path` is an absolute path on the machine of the service";
        return Err(Refusal::invalid("path", message));
    }
    let real = path.canonicalize().ok();
    let roots = &checks.settings.roots;
    let real = real.filter(|real| {
        let inside = |root: &PathBuf| root.canonicalize().is_ok_and(|root| real.starts_with(root));
        checks.asker.any_folder || roots.iter().any(inside)
    });
    real.ok_or_else(|| {
        if checks.asker.any_folder {
            let message = format!("there is no file or folder {}", path.display());
            return Refusal::invalid("path", message);
        }
        // Not whether it exists: that must not be revealed outside the roots.
        let message = "this path is not a file or folder inside jobs.roots";
        Refusal::forbidden("path", message)
    })
}
