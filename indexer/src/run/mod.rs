//! Folders to a collection: what is new or changed is parsed, cut, embedded
//! and committed; what is gone disappears; the rest is not even read.

mod budget;
mod compare;
mod manifest;
#[cfg(test)]
mod manifest_tests;
mod named;
#[cfg(test)]
mod order_tests;
mod pipeline;
mod progress;
mod report;
mod scope;
#[cfg(test)]
mod tests;
mod turn;
#[cfg(test)]
mod turn_tests;
mod update;
mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_models::{Cancel, Embedder};

use crate::{Index, Metadata, Parser, Result};

pub use manifest::{Action, Entry as ManifestEntry, Manifest, Sum as ManifestSum, plan_paths};
pub use progress::{Phase, RunProgress, RunState};
pub use report::{FileFailure, FileSkip, FileWarning, KeptFolder, RunReport};
pub use watch::watch;

/// What a run adds to every document, and its bounds.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Labels of every document, alongside its own.
    pub labels: BTreeSet<String>,
    /// Metadata of every document; the document's own value wins.
    pub metadata: Metadata,
    /// Reads the files; `max_bytes` of its limits is the largest that is read.
    pub parser: Parser,
    /// Time after which what is there is committed while the run goes on.
    pub commit_interval: Duration,
    /// How long a run waits for another writer of the collection before it fails with
    /// kind `Locked`.
    pub lock_patience: Duration,
    /// Whether a run may remove more than half of a folder's documents. If not, it keeps
    /// them and says so in [`RunReport::kept`]: the folder may only not be mounted.
    pub remove_most: bool,
    /// Files and folders that are left out, such as the data folder. The
    /// collection's own folder always is.
    pub exclude: Vec<PathBuf>,
    /// What [`plan_paths`] found: only that is done, where files are as they were then. A run
    /// is over the roots of its manifest.
    pub manifest: Option<Arc<Manifest>>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            labels: BTreeSet::new(),
            metadata: Metadata::new(),
            parser: Parser::default(),
            commit_interval: Duration::from_secs(30),
            lock_patience: Duration::from_secs(60),
            remove_most: true,
            exclude: Vec::new(),
            manifest: None,
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
/// says; one whose file cannot be read at the moment stays, and so does one whose new
/// version the parser did not survive ([`crate::ErrorKind::ParserStopped`]).
///
/// A run waits for another writer of the collection, and lets one in that waits: uploads
/// and other runs go on alongside a long one.
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
    let (report, writer) = update::update(roots, index, embedder, options, progress, cancel)?;
    // Whoever stops a run does not want to wait for merges.
    if let Some(writer) = writer.filter(|_| !report.cancelled) {
        writer.close()?;
    }
    Ok(RunReport {
        generation: index.snapshot().generation(),
        seconds: start.elapsed().as_secs_f64(),
        ..report
    })
}
