//! Housekeeping of the vector segments: which are merged, which files go.
//!
//! Segments are immutable and may hold dead rows, so a merge can run on its own
//! thread while documents are added: its result replaces its sources in the
//! next commit, whatever else that commit holds.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cairn_models::Cancel;

use crate::vectors::{BuildSettings, SegmentKind, SegmentMeta, merge};
use crate::{Error, ErrorKind, Result};

use super::Snapshot;

/// As many flat segments are merged into one.
const MAX_FLAT_SEGMENTS: usize = 8;

/// As many graphs of about one size are merged into the next size.
const GRAPHS_IN_TIER: usize = 4;

/// A segment of which this share is dead is written again without them.
pub(super) const MAX_DEAD_SHARE: f64 = 0.3;

/// How often a waiting writer looks whether a merge is done.
const POLL: Duration = Duration::from_millis(5);

/// A segment as the policy sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) kind: SegmentKind,
    pub(super) rows: usize,
    pub(super) alive: usize,
}

/// Small segments that should become one before they are too many; that takes
/// milliseconds, since together they are still small.
pub(super) fn gather(segments: &[Load], graph_min_rows: usize) -> Vec<usize> {
    let (flat, rows) = flat(segments);
    if flat.len() >= MAX_FLAT_SEGMENTS && rows < graph_min_rows {
        flat
    } else {
        Vec::new()
    }
}

/// Flat segments, and the rows in them that have a chunk.
fn flat(segments: &[Load]) -> (Vec<usize>, usize) {
    let these = segments
        .iter()
        .enumerate()
        .filter(|(_, load)| load.kind == SegmentKind::Flat);
    these.fold((Vec::new(), 0), |(mut chosen, rows), (at, load)| {
        chosen.push(at);
        (chosen, rows + load.alive)
    })
}

/// The segments that should become one, alongside the work: building a graph
/// takes its time. Empty when all is well.
pub(super) fn plan(segments: &[Load], graph_min_rows: usize) -> Vec<usize> {
    let (flat, flat_rows) = flat(segments);
    if flat_rows >= graph_min_rows.max(1) {
        return flat;
    }
    let is_graph = |at: &usize| segments[*at].kind == SegmentKind::Graph;
    let graphs: Vec<_> = (0..segments.len()).filter(is_graph).collect();
    let tier = |at: usize| segments[at].alive.max(1).ilog(GRAPHS_IN_TIER);
    for &first in &graphs {
        let peers: Vec<_> = graphs
            .iter()
            .copied()
            .filter(|&at| tier(at) == tier(first))
            .collect();
        if peers.len() >= GRAPHS_IN_TIER {
            return peers;
        }
    }
    let wasteful = segments
        .iter()
        .position(|load| (load.rows - load.alive) as f64 > MAX_DEAD_SHARE * load.rows as f64);
    wasteful.into_iter().collect()
}

/// A merge on its own thread. Dropping it stops it.
pub(super) struct Merge {
    /// Files that the result replaces.
    sources: Vec<String>,
    cancel: Cancel,
    thread: Option<JoinHandle<Result<Option<SegmentMeta>>>>,
}

impl Merge {
    /// Starts to merge these segments of `base`, without their dead rows.
    pub(super) fn start(
        base: Arc<Snapshot>,
        chosen: Vec<usize>,
        dir: &Path,
        settings: BuildSettings,
    ) -> Result<Self> {
        let files = base.payload().map_or(&[][..], |payload| &payload.vectors);
        let sources = chosen.iter().map(|&at| files[at].file.clone()).collect();
        let cancel = Cancel::never();
        let (stop, dir) = (cancel.clone(), dir.to_owned());
        let thread = std::thread::Builder::new()
            .name("merge-vectors".into())
            .spawn(move || {
                let alive = base.alive_vector_ids(&chosen);
                if alive.is_empty() {
                    return Ok(None);
                }
                let segments: Vec<_> = chosen.iter().filter_map(|&at| base.segment(at)).collect();
                let keep = |id: u64| alive.binary_search(&id).is_ok();
                merge(&dir, &segments, &keep, &settings, &stop).map(Some)
            });
        Ok(Self {
            sources,
            cancel,
            thread: Some(thread.map_err(Error::from)?),
        })
    }

    /// Whether [`Merge::apply`] returns at once.
    pub(super) fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until it is done, or `end`; whether it is done.
    pub(super) fn wait_until(&self, end: Instant) -> bool {
        while !self.is_done() && Instant::now() < end {
            std::thread::sleep(POLL);
        }
        self.is_done()
    }

    /// Waits until it is done.
    pub(super) fn wait(&self) {
        while !self.is_done() {
            std::thread::sleep(POLL);
        }
    }

    /// Waits for the result and puts it into `listed` for its sources.
    pub(super) fn apply(mut self, listed: &mut Vec<SegmentMeta>) -> Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        let merged = thread.join().unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Internal,
                "merging vector segments failed",
            ))
        })?;
        let first = listed
            .iter()
            .position(|meta| self.sources.contains(&meta.file));
        listed.retain(|meta| !self.sources.contains(&meta.file));
        if let (Some(at), Some(merged)) = (first, merged) {
            listed.insert(at, merged);
        }
        Ok(())
    }
}

impl Drop for Merge {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("merging vector segments panicked");
        }
    }
}

/// Removes segment files that no commit lists: left by a crash, a rollback or a
/// merge. A file that cannot be removed now is tried again next time.
pub(super) fn remove_unlisted(dir: &Path, listed: &[SegmentMeta]) {
    let Ok(files) = std::fs::read_dir(dir) else {
        return;
    };
    for file in files.flatten() {
        let name = file.file_name();
        if listed.iter().any(|meta| name.to_str() == Some(&meta.file)) {
            continue;
        }
        if let Err(error) = std::fs::remove_file(file.path()) {
            tracing::warn!(file = %file.path().display(), %error, "cannot remove an old vector segment");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(kind: SegmentKind, rows: usize, alive: usize) -> Load {
        Load { kind, rows, alive }
    }

    #[test]
    fn small_segments_are_gathered_and_graphs_are_merged_by_size() {
        use SegmentKind::{Flat, Graph};
        let flat = |rows| load(Flat, rows, rows);
        let graph = |rows| load(Graph, rows, rows);
        assert!(plan(&[], 100).is_empty());
        assert!(plan(&[flat(10), graph(5000), flat(20)], 100).is_empty());
        assert_eq!(plan(&[flat(60), graph(5000), flat(50)], 100), [0, 2]);
        assert_eq!(gather(&[flat(1); 8], 100), (0..8).collect::<Vec<_>>());
        assert!(gather(&[flat(1); 7], 100).is_empty());
        assert!(gather(&[flat(20); 8], 100).is_empty());
        assert_eq!(plan(&[flat(100)], 100), [0]);
        let sizes = [
            graph(200),
            graph(70_000),
            graph(180),
            graph(150),
            graph(220),
        ];
        assert_eq!(plan(&sizes, 100), [0, 2, 3, 4]);
    }

    #[test]
    fn a_segment_of_dead_rows_is_written_again() {
        let segments = [
            load(SegmentKind::Graph, 1000, 900),
            load(SegmentKind::Graph, 1000, 600),
            load(SegmentKind::Flat, 10, 10),
        ];
        assert_eq!(plan(&segments, 100), [1]);
        assert_eq!(plan(&[load(SegmentKind::Flat, 3, 0)], 100), [0]);
    }
}
