//! Files to documents on several threads, in bounded memory.

use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Scope;

use cairn_models::Cancel;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{Document, Error, ErrorKind, Fingerprint, ParseInput, Result};

use super::RunOptions;
use super::budget::Budget;

/// Bytes of files that are being parsed or wait to be taken.
const IN_FLIGHT_NUM_BYTES: u64 = 64 << 20;

/// Documents that wait to be taken.
const WAITING: usize = 64;

/// A file that may have changed.
pub(super) struct Job {
    pub(super) path: PathBuf,
    pub(super) uri: String,
    pub(super) bytes: u64,
    pub(super) modified_ns: Option<i128>,
    /// Hash of the contents when it was indexed, if equal contents mean that
    /// nothing is to be done.
    pub(super) known_hash: Option<String>,
    /// Hash of the contents that are to be indexed, where others are not.
    pub(super) expected_hash: Option<String>,
}

/// What became of a file.
pub(super) enum Outcome {
    /// Its contents are what they were.
    Unchanged,
    /// To be put into the collection.
    Parsed(Box<Document>, Fingerprint),
    /// Not a document.
    Failed(Error),
}

/// What the parsing threads share.
pub(super) struct Pipeline<'a> {
    jobs: &'a [Job],
    next: AtomicUsize,
    inputs: &'a str,
    options: &'a RunOptions,
    budget: Budget,
    cancel: &'a Cancel,
}

impl<'a> Pipeline<'a> {
    /// `inputs` goes into every [`Fingerprint::inputs`].
    pub(super) fn new(
        jobs: &'a [Job],
        inputs: &'a str,
        options: &'a RunOptions,
        cancel: &'a Cancel,
    ) -> Self {
        let budget = Budget::new(IN_FLIGHT_NUM_BYTES);
        Self {
            jobs,
            next: AtomicUsize::new(0),
            inputs,
            options,
            budget,
            cancel,
        }
    }

    /// Starts the threads. Outcomes come in any order, each with the position
    /// of its job; [`Pipeline::taken`] is to be called for each.
    pub(super) fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
    ) -> Receiver<(usize, Outcome)> {
        let (sender, receiver) = bounded(WAITING);
        let threads = std::thread::available_parallelism().map_or(2, NonZero::get);
        for _ in 0..threads.min(self.jobs.len()) {
            let sender = sender.clone();
            scope.spawn(move || self.work(&sender));
        }
        receiver
    }

    /// The outcome of this job is no longer held by the pipeline.
    pub(super) fn taken(&self, job: usize) {
        self.budget.give(self.jobs[job].bytes);
    }

    /// Lets the threads end. The receiver has to be dropped too.
    pub(super) fn stop(&self) {
        self.budget.close();
    }

    fn work(&self, sender: &Sender<(usize, Outcome)>) {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = self.jobs.get(at) else { return };
            if self.cancel.is_cancelled() || !self.budget.take(job.bytes) {
                return;
            }
            let outcome = match self.read(job) {
                Ok(outcome) => outcome,
                Err(error) if error.kind() == ErrorKind::Cancelled => return,
                Err(error) => Outcome::Failed(error),
            };
            if sender.send((at, outcome)).is_err() {
                return;
            }
        }
    }

    fn read(&self, job: &Job) -> Result<Outcome> {
        let parser = &self.options.parser;
        let at = |error: std::io::Error| Error::from(error).at(&job.path);
        let file = File::open(&job.path).map_err(at)?;
        // A file may grow while it is read; the parser refuses one byte too many.
        let mut bytes = Vec::with_capacity(job.bytes as usize);
        file.take(parser.limits().max_bytes as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(at)?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        if job.known_hash.as_ref() == Some(&hash) {
            return Ok(Outcome::Unchanged);
        }
        if job
            .expected_hash
            .as_ref()
            .is_some_and(|expected| *expected != hash)
        {
            let message = "it has changed since the manifest was made; make another";
            return Err(Error::new(ErrorKind::Machine, message).at(&job.path));
        }
        let mut document = parser
            .parse(&ParseInput::new(&job.uri, &bytes), self.cancel)
            .map_err(|error| error.at(&job.path))?;
        document.labels.extend(self.options.labels.iter().cloned());
        for (field, value) in &self.options.metadata {
            document
                .metadata
                .entry(field.clone())
                .or_insert_with(|| value.clone());
        }
        let fingerprint = Fingerprint {
            bytes: bytes.len() as u64,
            modified_ns: job.modified_ns.unwrap_or(0),
            hash,
            inputs: self.inputs.to_owned(),
        };
        Ok(Outcome::Parsed(Box::new(document), fingerprint))
    }
}

/// Whether an error says something about the contents of a file, so that it
/// comes again until they change.
pub(super) fn is_about_contents(kind: ErrorKind) -> bool {
    use ErrorKind::{Encrypted, InvalidInput, TooLarge, Unsupported};
    matches!(kind, Encrypted | InvalidInput | TooLarge | Unsupported)
}
