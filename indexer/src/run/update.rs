//! One run: what is there, what has changed, what is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_models::{Cancel, Embedder};
use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::store::{KnownFailure, Root};
use crate::walk::{SkipReason, WalkOptions, WalkedFile, walk};
use crate::{Document, DocumentId, Error, ErrorKind, Fingerprint, Index, Result, Snapshot, Writer};

use super::compare::{Gone, Listing, is_untouched, modified_ns};
use super::named::Named;
use super::pipeline::{Job, Outcome, Pipeline, is_about_contents};
use super::scope::{Scope, is_within, resolve};
use super::turn;
use super::{
    FileFailure, FileSkip, FileWarning, KeptFolder, Phase, RunOptions, RunProgress, RunReport,
    RunState,
};

/// A batch is put into the collection at this much text or this many documents:
/// enough for the embedder to sort by length.
const BATCH_TEXT_NUM_BYTES: usize = 512 << 10;
const BATCH_DOCUMENTS: usize = 128;

/// How often a run that waits for parsers looks whether another writer waits for it.
const LOOK: Duration = Duration::from_millis(200);

/// The state of a run.
struct FolderRun<'a> {
    index: &'a Index,
    embedder: Arc<dyn Embedder>,
    /// Open while no other writer waits.
    writer: Option<Writer>,
    options: &'a RunOptions,
    progress: &'a dyn RunProgress,
    cancel: &'a Cancel,
    base: Arc<Snapshot>,
    roots: BTreeMap<String, Root>,
    /// Keys of the roots that this run indexes.
    own: BTreeSet<String>,
    /// Stands for everything but the file that a document is made from.
    inputs: String,
    named: Named,
    report: RunReport,
    state: RunState,
    last_commit: Instant,
}

/// Runs once. The second result is the writer, which may still merge segments.
pub(super) fn update(
    paths: &[PathBuf],
    index: &Index,
    embedder: Arc<dyn Embedder>,
    options: &RunOptions,
    progress: &dyn RunProgress,
    cancel: &Cancel,
) -> Result<(RunReport, Option<Writer>)> {
    let writer = turn::take(index, &embedder, options.lock_patience, cancel)?;
    let Some(writer) = writer else {
        let report = RunReport {
            cancelled: true,
            ..RunReport::default()
        };
        return Ok((report, None));
    };
    let mut roots = writer.roots().clone();
    let (scopes, absorbed) = resolve(paths, &mut roots)?;
    let mut run = FolderRun {
        base: index.snapshot(),
        inputs: inputs(options),
        named: Named::of(paths),
        report: RunReport::default(),
        state: RunState::default(),
        last_commit: Instant::now(),
        index,
        embedder,
        writer: Some(writer),
        options,
        progress,
        cancel,
        own: scopes.iter().map(|scope| scope.root.clone()).collect(),
        roots,
    };
    run.give_way()?;
    let listings = run.scan(scopes, index)?;
    run.give_way()?;
    let (jobs, keys) = run.changed(&listings);
    run.report.cancelled = !run.index(&jobs, &keys)?;
    if !run.report.cancelled {
        run.remove_gone(&listings, &absorbed)?;
    }
    run.finish(&absorbed)
}

/// Labels, metadata and the version whose parsers read the files: another value
/// of these makes another document of the same file.
pub(super) fn inputs(options: &RunOptions) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.update(&cairn_parse::PARSER_VERSION.to_le_bytes());
    for label in &options.labels {
        hasher
            .update(&(label.len() as u64).to_le_bytes())
            .update(label.as_bytes());
    }
    for (field, value) in &options.metadata {
        let pair = serde_json::json!([field, value]).to_string();
        hasher
            .update(&(pair.len() as u64).to_le_bytes())
            .update(pair.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// What a failure depends on, alongside the file, where `inputs` are those of a document: where
/// the parser was stopped, its bounds too.
pub(super) fn inputs_of(inputs: &str, options: &RunOptions, kind: ErrorKind) -> String {
    match kind {
        ErrorKind::ParserStopped => format!("{inputs}, {}", options.parser.bounds()),
        _ => inputs.to_owned(),
    }
}

impl FolderRun<'_> {
    fn scan(&mut self, scopes: Vec<Scope>, index: &Index) -> Result<Vec<Listing>> {
        self.progress.update(&self.state);
        let mut exclude = self.options.exclude.clone();
        exclude.push(index.dir().to_owned());
        let options = WalkOptions {
            max_file_bytes: self.options.parser.limits().max_bytes as u64,
            exclude,
        };
        let mut listings = Vec::new();
        for scope in scopes {
            let walk = walk(&scope.path, &options)?;
            self.report.files += walk.files.len();
            for file in &walk.skipped {
                match self.named.failure(file) {
                    Some(failure) => self.report.failed.push(failure),
                    None => self.skip(file.path.display().to_string(), file.reason, &file.detail),
                }
            }
            listings.push(Listing { scope, walk });
        }
        let walks = listings.iter().map(|listing| &listing.walk);
        self.report.failed.extend(self.named.left_out(walks));
        Ok(listings)
    }

    fn skip(&mut self, path: String, reason: SkipReason, message: &str) {
        *self.report.skipped.entry(reason).or_default() += 1;
        self.report.skipped_files.push(FileSkip {
            path,
            reason,
            message: message.to_owned(),
        });
    }

    /// The files that may have changed, and the keys of their roots.
    fn changed(&mut self, listings: &[Listing]) -> (Vec<Job>, Vec<String>) {
        let base = Arc::clone(&self.base);
        let mut wanted = self
            .options
            .manifest
            .as_ref()
            .map(|manifest| manifest.wanted());
        let (mut jobs, mut keys) = (Vec::new(), Vec::new());
        for Listing { scope, walk } in listings {
            for file in &walk.files {
                let uri = scope.uri_of(&file.uri);
                let modified_ns = modified_ns(file);
                let mut expected_hash = None;
                if let Some(wanted) = &mut wanted {
                    match wanted.remove(uri.as_str()) {
                        Some((_, hash)) => expected_hash = Some(hash.to_owned()),
                        // Not a part of what was looked at.
                        None => continue,
                    }
                }
                let known = base.file(DocumentId::of_uri(&uri));
                let known = known.filter(|(known, _)| known.inputs == self.inputs);
                if known.is_some_and(|(known, at)| is_untouched(known, at, file)) {
                    self.report.unchanged += 1;
                    continue;
                }
                if self.still_fails(scope, &uri, file, modified_ns) {
                    continue;
                }
                jobs.push(Job {
                    path: file.path.clone(),
                    uri,
                    bytes: file.bytes,
                    modified_ns,
                    known_hash: known.map(|(known, _)| known.hash.clone()),
                    expected_hash,
                });
                keys.push(scope.root.clone());
            }
        }
        for (path, _) in wanted.into_iter().flat_map(BTreeMap::into_values) {
            self.report.failed.push(FileFailure {
                path: path.to_owned(),
                kind: ErrorKind::NotFound,
                message: "the manifest names it, and it is not there any more".into(),
            });
        }
        (jobs, keys)
    }

    /// Whether the file could not be parsed last time, and has not changed. If
    /// so, it is reported again.
    fn still_fails(
        &mut self,
        scope: &Scope,
        uri: &str,
        file: &WalkedFile,
        modified_ns: Option<i128>,
    ) -> bool {
        let known = self
            .roots
            .get(&scope.root)
            .and_then(|root| root.failed.get(uri));
        let same = known.filter(|known| {
            known.inputs == inputs_of(&self.inputs, self.options, known.kind)
                && known.bytes == file.bytes
                && Some(known.modified_ns) == modified_ns
        });
        let Some(known) = same else { return false };
        let failure = FileFailure {
            path: file.path.display().to_string(),
            kind: known.kind,
            message: known.message.clone(),
        };
        self.report(failure);
        true
    }

    /// Reports a file that did not become a document. One that was never going
    /// to be one is skipped, like those that the walk knows by their names, unless the
    /// caller named it.
    fn report(&mut self, failure: FileFailure) {
        let is_skipped =
            failure.kind == ErrorKind::Unsupported && !self.named.contains(failure.path.as_ref());
        if is_skipped {
            self.skip(failure.path, SkipReason::Unsupported, &failure.message);
        } else {
            self.report.failed.push(failure);
            self.state.failed += 1;
        }
    }

    /// Parses and puts the files; false when it was cancelled.
    fn index(&mut self, jobs: &[Job], keys: &[String]) -> Result<bool> {
        self.state.phase = Phase::Index;
        self.state.files_total = jobs.len();
        self.state.bytes_total = jobs.iter().map(|job| job.bytes).sum();
        self.state.failed = self.report.failed.len();
        self.progress.update(&self.state);
        let inputs = self.inputs.clone();
        let pipeline = Pipeline::new(jobs, &inputs, self.options, self.cancel);
        let result = std::thread::scope(|scope| {
            let outcomes = pipeline.start(scope);
            let result = self.take(&pipeline, outcomes, jobs, keys);
            pipeline.stop();
            result
        });
        match result {
            Err(error) if error.kind() == ErrorKind::Cancelled => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(!self.cancel.is_cancelled()),
        }
    }

    fn take(
        &mut self,
        pipeline: &Pipeline<'_>,
        outcomes: Receiver<(usize, Outcome)>,
        jobs: &[Job],
        keys: &[String],
    ) -> Result<()> {
        let mut batch = Vec::new();
        let mut text = 0;
        loop {
            let (at, outcome) = match outcomes.recv_timeout(LOOK) {
                Ok(next) => next,
                Err(RecvTimeoutError::Timeout) => {
                    self.give_way()?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            pipeline.taken(at);
            let job = &jobs[at];
            let root = &keys[at];
            match outcome {
                Outcome::Unchanged => {
                    self.report.unchanged += 1;
                    self.done(job);
                }
                Outcome::Failed(error) => self.fail(job, root, &error)?,
                Outcome::Parsed(document, fingerprint) => {
                    text += document.text.len();
                    batch.push((job, root.as_str(), *document, fingerprint));
                }
            }
            if text >= BATCH_TEXT_NUM_BYTES || batch.len() >= BATCH_DOCUMENTS {
                self.put(std::mem::take(&mut batch))?;
                text = 0;
            }
            self.progress.update(&self.state);
        }
        self.put(batch)
    }

    fn put(&mut self, batch: Vec<(&Job, &str, Document, Fingerprint)>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.try_put(&batch) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Model) => {
                // One of them is to blame: find out which.
                for one in &batch {
                    if let Err(error) = self.try_put(std::slice::from_ref(one)) {
                        match error.kind() {
                            ErrorKind::InvalidInput | ErrorKind::Model => {
                                self.fail(one.0, one.1, &error)?;
                            }
                            _ => return Err(error),
                        }
                    }
                }
            }
            Err(error) => return Err(error),
        }
        if self.last_commit.elapsed() >= self.options.commit_interval {
            self.writer()?.commit()?;
            self.last_commit = Instant::now();
        }
        self.give_way()
    }

    /// The writer, after a wait where somebody else was let in.
    fn writer(&mut self) -> Result<&mut Writer> {
        if self.writer.is_none() {
            let (embedder, patience) = (&self.embedder, self.options.lock_patience);
            let taken = turn::take(self.index, embedder, patience, self.cancel)?;
            let writer =
                taken.ok_or_else(|| Error::new(ErrorKind::Cancelled, "the run was cancelled"))?;
            turn::adopt(&mut self.roots, writer.roots(), &self.own)?;
            self.writer = Some(writer);
        }
        self.writer
            .as_mut()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the writer has gone"))
    }

    /// Commits what is whole and lets another writer in, where one waits. Segments that are
    /// being merged would be lost, so they are merged first.
    fn give_way(&mut self) -> Result<()> {
        let wanted = |writer: &mut Writer| !writer.is_merging() && writer.is_wanted();
        let Some(mut writer) = self.writer.take_if(wanted) else {
            return Ok(());
        };
        // The name of a root is this run's from now on, whoever writes meanwhile.
        let mut roots = writer.roots().clone();
        for key in &self.own {
            if let Some(root) = self.roots.get(key) {
                roots.insert(key.clone(), root.clone());
            }
        }
        writer.set_roots(roots);
        writer.commit()?;
        self.last_commit = Instant::now();
        drop(writer);
        turn::let_in();
        Ok(())
    }

    /// The last commit. Folders that were to become part of another one are still there,
    /// and still theirs, if the run was cancelled.
    fn finish(mut self, absorbed: &[String]) -> Result<(RunReport, Option<Writer>)> {
        self.state.phase = Phase::Commit;
        self.progress.update(&self.state);
        let cancelled = self.report.cancelled;
        if cancelled && self.writer.is_none() {
            // What was whole was committed when the writer was given away.
            return Ok((self.report, None));
        }
        let before = self.writer()?.roots().clone();
        let mut roots = std::mem::take(&mut self.roots);
        for key in absorbed {
            match before.get(key) {
                Some(root) if cancelled => roots.insert(key.clone(), root.clone()),
                _ => roots.remove(key),
            };
        }
        let writer = self.writer()?;
        writer.set_roots(roots);
        writer.commit()?;
        Ok((self.report, self.writer))
    }

    fn try_put(&mut self, batch: &[(&Job, &str, Document, Fingerprint)]) -> Result<()> {
        let documents = batch
            .iter()
            .map(|(_, _, document, fingerprint)| (document.clone(), Some(fingerprint.clone())));
        let (embedder, cancel) = (Arc::clone(&self.embedder), self.cancel);
        let documents = documents.collect();
        let (mut ready, unknown) = self.writer()?.cut(documents, cancel)?;
        let before = self.state.embedded;
        // Others may write while the embedder reads, also many times.
        let embedded = ready.embed(unknown, embedder.as_ref(), cancel, &mut |chunks| {
            self.state.embedded += chunks;
            self.progress.update(&self.state);
            self.give_way()
        });
        let put = embedded.and_then(|()| self.writer()?.put_ready(ready, cancel));
        let reports = put.inspect_err(|_| self.state.embedded = before)?;
        for ((job, root, document, _), report) in batch.iter().zip(reports) {
            let is_new = self.base.file(document.id()).is_none();
            *(if is_new {
                &mut self.report.added
            } else {
                &mut self.report.updated
            }) += 1;
            for message in &document.warnings {
                self.report.warnings.push(FileWarning {
                    path: job.path.display().to_string(),
                    message: message.clone(),
                });
            }
            self.report.chunks += report.chunks;
            self.report.embedded += report.embedded;
            self.report.reused += report.reused;
            self.state.reused += report.reused;
            if let Some(root) = self.roots.get_mut(*root) {
                root.failed.remove(&job.uri);
            }
            self.done(job);
        }
        Ok(())
    }

    fn done(&mut self, job: &Job) {
        self.state.files_done += 1;
        self.state.bytes_done += job.bytes;
        self.progress.update(&self.state);
    }

    /// Notes a file that did not become a document. What was indexed of it goes
    /// if its contents are to blame.
    fn fail(&mut self, job: &Job, root: &str, error: &Error) -> Result<()> {
        let mut message = error.message().to_owned();
        let contents = is_about_contents(error.kind());
        if !contents && self.base.file(DocumentId::of_uri(&job.uri)).is_some() {
            message.push_str("; its earlier version stays in the index");
        }
        self.report(FileFailure {
            path: job.path.display().to_string(),
            kind: error.kind(),
            message: message.clone(),
        });
        if contents && self.writer()?.delete(DocumentId::of_uri(&job.uri))? {
            self.report.deleted += 1;
            self.report.warnings.push(FileWarning {
                path: job.path.display().to_string(),
                message: format!(
                    "its earlier version was removed from the index: {}",
                    error.message()
                ),
            });
        }
        // A file that a parser does not survive costs all its time in every run.
        if contents || error.kind() == ErrorKind::ParserStopped {
            let inputs = inputs_of(&self.inputs, self.options, error.kind());
            if let (Some(root), Some(modified_ns)) = (self.roots.get_mut(root), job.modified_ns) {
                root.note_failure(
                    &job.uri,
                    KnownFailure {
                        bytes: job.bytes,
                        modified_ns,
                        inputs,
                        kind: error.kind(),
                        message,
                    },
                );
            }
        }
        self.done(job);
        Ok(())
    }

    /// Deletes the documents of files that are no longer there.
    fn remove_gone(&mut self, listings: &[Listing], absorbed: &[String]) -> Result<()> {
        let gone = Gone::new(listings, absorbed);
        for Listing { scope, .. } in listings {
            if let Some(root) = self.roots.get_mut(&scope.root) {
                root.failed
                    .retain(|uri, _| gone.is_there(uri) || !scope.covers(uri));
            }
        }
        let base = Arc::clone(&self.base);
        let removed = self
            .options
            .manifest
            .as_ref()
            .map(|manifest| manifest.removed());
        let mut kept = Vec::new();
        // The owner of a manifest has seen what goes.
        if !self.options.remove_most && removed.is_none() {
            let uris: Vec<&str> = base.files().map(|(_, uri)| uri).collect();
            for (scope, lost, of) in gone.most_of(&uris) {
                kept.push(scope.uri.clone());
                self.report.kept.push(KeptFolder {
                    path: scope.path.display().to_string(),
                    root: scope.uri.clone(),
                    gone: lost,
                    of,
                });
            }
        }
        for (id, uri) in base.files() {
            let stays = kept.iter().any(|root| is_within(uri, root))
                || removed
                    .as_ref()
                    .is_some_and(|removed| !removed.contains(uri));
            if !stays && gone.holds(uri) && self.writer()?.delete(id)? {
                self.report.deleted += 1;
            }
        }
        Ok(())
    }
}
