//! What a pull tells while it runs.

/// One step of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PullEvent<'a> {
    /// Another process is fetching the same artifact; this one waits for it.
    Waiting,
    /// A source is asked for the artifact.
    Source(&'a str),
    /// Bytes that came in from the current source. `total` is the expectation;
    /// 0 if unknown.
    Bytes {
        /// Received so far.
        done: u64,
        /// Expected.
        total: u64,
    },
    /// The current source could not deliver; the next one is tried.
    SourceFailed {
        /// Its name.
        source: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// A file arrived, was verified and is in its place.
    FileReady(&'a str),
}

/// Receives the steps of a pull; called from more than one thread.
pub trait Progress: Send + Sync {
    /// Called at every step, and a few times a second while bytes come in.
    fn report(&self, artifact: &str, event: PullEvent<'_>);
}

/// Reports nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn report(&self, _: &str, _: PullEvent<'_>) {}
}

impl<F: Fn(&str, PullEvent<'_>) + Send + Sync> Progress for F {
    fn report(&self, artifact: &str, event: PullEvent<'_>) {
        self(artifact, event);
    }
}
