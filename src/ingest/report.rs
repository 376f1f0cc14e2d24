//! What a folder run tells its job.

use cairn_indexer::{Phase, RunProgress, RunReport, RunState};
use cairn_jobs::Progress;
use serde_json::{Value, json};

use super::task::{Stop, Task};

/// Passes the progress of a run on to its job.
pub(super) struct Shown<'a>(&'a Task);

impl<'a> Shown<'a> {
    pub(super) fn new(task: &'a Task) -> Self {
        Self(task)
    }
}

impl RunProgress for Shown<'_> {
    fn update(&self, run: &RunState) {
        self.0.stage(match run.phase {
            Phase::Scan => "scan",
            Phase::Index => "index",
            Phase::Commit => "commit",
        });
        self.0.progress(Progress {
            done: run.files_done as u64,
            total: (run.files_total > 0).then_some(run.files_total as u64),
            bytes: run.bytes_done,
            bytes_total: (run.bytes_total > 0).then_some(run.bytes_total),
        });
    }
}

/// The result of a job, and its documents' errors. A run that would have removed most of a
/// folder asks first.
pub(super) fn outcome(run: RunReport, task: &Task) -> Result<Value, Stop> {
    for failure in &run.failed {
        task.document_failed(&failure.path, "index", failure.message.clone());
    }
    if run.cancelled {
        return Err(Stop::Cancelled);
    }
    let counts = json!({
        "generation": run.generation,
        "files": run.files,
        "added": run.added,
        "updated": run.updated,
        "unchanged": run.unchanged,
        "deleted": run.deleted,
        "failed": run.failed.len(),
        "warnings": run.warnings.len(),
        "skipped": run.skipped,
        "chunks": run.chunks,
        "embedded": run.embedded,
        "seconds": run.seconds,
    });
    if run.kept.is_empty() || task.answer() == Some(false) {
        return Ok(counts);
    }
    let folders: Vec<Value> = run
        .kept
        .iter()
        .map(|kept| json!({ "folder": kept.root, "gone": kept.gone, "of": kept.of }))
        .collect();
    Err(Stop::Asks(json!({
        "question": "Most files of these folders are gone. Are their documents to be deleted? \
                     If a folder is only not mounted, mount it and answer no.",
        "folders": folders,
        "so_far": counts,
    })))
}
