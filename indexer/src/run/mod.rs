//! Folders to a collection: what is new or changed is parsed, cut, embedded
//! and committed; what is gone disappears; the rest is not even read.

mod budget;
mod named;
mod pipeline;
mod progress;
mod report;
mod scope;
#[cfg(test)]
mod tests;
mod update;
mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_models::{Cancel, Embedder};

use crate::{Index, Metadata, ParseLimits, Result};

pub use progress::{Phase, RunProgress, RunState};
pub use report::{FileFailure, FileSkip, FileWarning, RunReport};
pub use watch::watch;

/// What a run adds to every document, and its bounds.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Labels of every document, beside its own.
    pub labels: BTreeSet<String>,
    /// Metadata of every document; the document's own value wins.
    pub metadata: Metadata,
    /// Bounds of one file; `limits.max_bytes` is the largest that is read.
    pub limits: ParseLimits,
    /// Time after which what is there is committed while the run goes on.
    pub commit_interval: Duration,
    /// Files and folders that are left out, such as the data folder. The
    /// collection's own folder always is.
    pub exclude: Vec<PathBuf>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            labels: BTreeSet::new(),
            metadata: Metadata::new(),
            limits: ParseLimits::default(),
            commit_interval: Duration::from_secs(30),
            exclude: Vec::new(),
        }
    }
}

/// Brings the collection up to date with files and folders.
///
/// The URI of a document is the name of the folder and the path below it, with
/// `/`: `docs/guide/setup.md`. A second folder of the same name gets a number
/// (`docs-2/`). Which folder a name stands for is kept in the collection, so a
/// run only ever deletes documents of its own folders, and a part of a known
/// folder can be indexed alone. A folder around a known one takes its place.
///
/// A file is unchanged when its size and time of change are what they were, or
/// else its contents are. One bad file never stops a run: it is in
/// [`RunReport::failed`], and is not tried again until it changes; so is a root that is
/// a file and holds no text, which a folder would skip. A document
/// whose file can no longer be parsed is removed, which [`RunReport::warnings`]
/// says; one whose file cannot be read at the moment stays.
///
/// Cancelling commits what is whole and returns the report with
/// [`RunReport::cancelled`].
///
/// # Errors
/// `NotFound` when a root is not there, before anything is changed; `Locked`,
/// `Mismatch` and `Corrupt` as [`Index::writer`]; `Machine` when the disk does
/// not take a commit. What was committed until then stays.
pub fn index_paths(
    roots: &[PathBuf],
    index: &Index,
    embedder: Arc<dyn Embedder>,
    options: &RunOptions,
    progress: &dyn RunProgress,
    cancel: &Cancel,
) -> Result<RunReport> {
    let start = Instant::now();
    let mut writer = index.writer(embedder)?;
    let report = update::update(roots, index, &mut writer, options, progress, cancel)?;
    if report.cancelled {
        // Whoever stops the run does not want to wait for merges.
        drop(writer);
    } else {
        writer.close()?;
    }
    Ok(RunReport {
        generation: index.snapshot().generation(),
        seconds: start.elapsed().as_secs_f64(),
        ..report
    })
}
