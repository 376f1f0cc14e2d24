//! How far a run is.

/// What a run is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Looking for files.
    #[default]
    Scan,
    /// Parsing, cutting and embedding.
    Index,
    /// The last commit.
    Commit,
}

/// How far a run is. Rates and the time that is left are the caller's to
/// compute: it knows when it was shown what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunState {
    /// What it is doing.
    pub phase: Phase,
    /// Files that are new or changed.
    pub files_total: usize,
    /// Those of them that are done.
    pub files_done: usize,
    /// Bytes of the files that are new or changed.
    pub bytes_total: u64,
    /// Bytes of those that are done.
    pub bytes_done: u64,
    /// Files that did not become a document.
    pub failed: usize,
    /// Chunks that the embedder has read.
    pub embedded: usize,
    /// Chunks whose vector was there already.
    pub reused: usize,
}

/// Is shown how far a run is, often, from the thread that called it.
pub trait RunProgress {
    /// The state has changed.
    fn update(&self, state: &RunState);
}

/// Shows nothing.
impl RunProgress for () {
    fn update(&self, _: &RunState) {}
}
