//! The one writer of a collection: documents in, commits out.

mod compact;
mod re_embed;
mod reread;

pub use compact::Compacted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cairn_models::{Cancel, Embedder};
use tantivy::Term;
use tantivy::merge_policy::LogMergePolicy;

use crate::vectors::{BuildSettings, Segment, SegmentMeta, write_segment};
use crate::words::ANALYSIS;
use crate::{Chunk, Document, DocumentId, Error, ErrorKind, Result};

use super::index::{Shared, WORDS_DIR, WordIndex};
use super::lock::{self, WriterLock};
use super::payload::{EmbedderEntry, FORMAT, Payload};
use super::pending::{Hash, Pending};
use super::plan::{Planner, Prepared, VectorSource};
use super::postings::PostingsWriter;
use super::ready::{Ready, Unknown, vectors_of};
use super::schema::{ChunkRow, record_row};
use super::segments::{self, Merge};
use super::{Fingerprint, IndexSettings, PutReport, Root, Snapshot, fault};
use crate::chunk::Piece;
use cairn_files::private;

/// Memory for postings that are not on disk yet.
const WORDS_BUFFER_NUM_BYTES: usize = 64 << 20;

/// More than a process takes to start, on a busy machine too.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Vectors in memory beyond which they go into a segment before the commit.
const VECTORS_BUFFER_NUM_BYTES: usize = 64 << 20;

/// The one writer of a collection.
///
/// What was put or deleted since the last commit is lost when the writer is
/// dropped, and when a commit fails: then the writer goes back to the last
/// commit and can be used on.
pub struct Writer {
    // Dropped in this order: the lock goes last.
    words: PostingsWriter,
    handle: WordIndex,
    shared: Arc<Shared>,
    embedder: Arc<dyn Embedder>,
    base: Arc<Snapshot>,
    pending: Pending,
    merge: Option<Merge>,
    /// Set when a merge failed: this writer starts no other.
    merge_failed: bool,
    next_vector_id: u64,
    roots: BTreeMap<String, Root>,
    /// Set when Tantivy's writer failed and was not set back.
    broken: bool,
    _lock: WriterLock,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, embedder: Arc<dyn Embedder>) -> Result<Self> {
        let check = |payload: &Payload, settings: &IndexSettings, embedder: &dyn Embedder| {
            payload.check(settings, embedder)
        };
        let mut writer = Self::open(shared, embedder, check)?;
        writer.read_words_again()?;
        Ok(writer)
    }

    /// Takes the lock, where `check` has nothing against the last commit.
    fn open(
        shared: Arc<Shared>,
        embedder: Arc<dyn Embedder>,
        check: impl Fn(&Payload, &IndexSettings, &dyn Embedder) -> Result<()>,
    ) -> Result<Self> {
        shared.check_there()?;
        let vectors_dir = shared.vectors_dir();
        for folder in [&shared.dir, &vectors_dir] {
            private::folder(folder).map_err(|error| Error::from(error).at(folder))?;
        }
        let lock = WriterLock::acquire(&shared.dir)?;
        shared.check_there()?;
        shared.refresh()?;
        let base = shared.snapshot();
        if let Some(payload) = base.payload() {
            check(payload, &shared.settings, embedder.as_ref())
                .map_err(|error| error.at(&shared.dir))?;
        }
        let handle = shared.create_words()?;
        handle.register(&shared.settings.language)?;
        let words_dir = shared.dir.join(WORDS_DIR);
        // Tantivy has a lock of its own. Whoever has ours can only find it taken by a
        // process that is just starting, with a copy of the last writer's handles.
        let words = lock::wait(STARTUP_TIMEOUT, || {
            handle
                .index
                .writer_with_num_threads(1, WORDS_BUFFER_NUM_BYTES)
                .and_then(PostingsWriter::new)
                .map_err(|error| fault::convert(error, &words_dir))
        })?;
        words.set_merge_policy(Box::new(merge_policy()));
        let mut writer = Self {
            words,
            handle,
            shared,
            embedder,
            base,
            pending: Pending::default(),
            merge: None,
            merge_failed: false,
            next_vector_id: 0,
            roots: BTreeMap::new(),
            broken: false,
            _lock: lock,
        };
        writer.start_over();
        Ok(writer)
    }

    /// Forgets what is pending, and removes files that no commit lists.
    fn start_over(&mut self) {
        let payload = self.base.payload();
        self.pending = Pending::default();
        self.next_vector_id = payload.map_or(0, |payload| payload.next_vector_id);
        self.roots = payload.map_or_else(BTreeMap::new, |payload| payload.roots.clone());
        // The file of a running merge is not listed yet.
        if self.merge.is_none() {
            let listed = payload.map_or(&[][..], |payload| &payload.vectors);
            segments::remove_unlisted(&self.shared.vectors_dir(), listed);
        }
    }

    /// Adds or replaces documents; embeds only chunks whose hash is new, in
    /// batches across documents. Visible after `commit`.
    ///
    /// All or nothing: after an error or a cancellation the writer is as it was
    /// before the call. Of several documents with one URI the last one counts.
    ///
    /// # Errors
    /// `InvalidInput` for a document without a URI, `Model` when the embedder
    /// fails, `Cancelled`, and those of the disk.
    pub fn put(
        &mut self,
        documents: Vec<(Document, Option<Fingerprint>)>,
        cancel: &Cancel,
    ) -> Result<Vec<PutReport>> {
        let settings = &self.shared.settings;
        let ready = Ready::cut(documents, self.embedder.as_ref(), settings, cancel)?;
        self.put_ready(ready, cancel)
    }

    /// Cuts `documents` into chunks, and says which of them neither the last commit nor
    /// this writer has a vector for.
    pub(crate) fn cut(
        &self,
        documents: Vec<(Document, Option<Fingerprint>)>,
        cancel: &Cancel,
    ) -> Result<(Ready, Unknown)> {
        let settings = &self.shared.settings;
        let ready = Ready::cut(documents, self.embedder.as_ref(), settings, cancel)?;
        let unknown = self.planner().unknown(&ready.documents)?;
        Ok((ready, unknown))
    }

    fn planner(&self) -> Planner<'_> {
        Planner {
            base: &self.base,
            pending: &self.pending,
        }
    }

    /// As [`Writer::put`], of documents that were prepared before the writer was opened:
    /// only chunks whose vectors have gone from the collection since are embedded here.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn put_ready(&mut self, ready: Ready, cancel: &Cancel) -> Result<Vec<PutReport>> {
        self.recover()?;
        if self.pending.num_bytes() >= VECTORS_BUFFER_NUM_BYTES {
            self.flush_vectors()?;
        }
        let plan = self.planner().plan(ready, cancel)?;
        let embedder = self.embedder.as_ref();
        let vectors = vectors_of(plan.new, embedder, cancel, &mut |_| Ok(()))?;
        let written = plan
            .documents
            .iter()
            .flatten()
            .try_for_each(|document| self.write(document, &vectors));
        if let Err(error) = written {
            // Tantivy took a part of it: back to the last commit. It works on
            // threads of its own; what went wrong there comes out now.
            self.broken = true;
            let words_dir = self.shared.dir.join(WORDS_DIR);
            let cause = self.words.prepare_commit().err();
            return Err(cause.map_or(error, |cause| fault::convert(cause, &words_dir)));
        }
        Ok(plan
            .documents
            .into_iter()
            .map(|document| document.map_or_else(PutReport::default, |document| document.report))
            .collect())
    }

    /// Hands a document to Tantivy and its new rows to the buffer.
    fn write(&mut self, document: &Prepared, vectors: &[Vec<f32>]) -> Result<()> {
        self.forget(document.id);
        let mut rows = Vec::with_capacity(document.pieces.len());
        let mut record = Some(document.record.to_parts().map_err(internal)?);
        for (piece, source) in document.pieces.iter().zip(&document.sources) {
            let vector_id = match source {
                VectorSource::Own(id) => *id,
                VectorSource::Copy(vector) => self.add_vector(piece.hash, vector),
                VectorSource::New(at) => self.add_vector(piece.hash, &vectors[*at]),
            };
            rows.push((piece.hash, vector_id));
            let Piece { context, chunk, .. } = piece;
            self.store(
                document.id,
                context,
                chunk,
                &piece.hash,
                vector_id,
                record.take(),
            )?;
        }
        if let Some(parts) = record {
            self.store_record(document.id, parts)?;
        }
        self.pending.set_document(document.id, Some(rows));
        Ok(())
    }

    /// Lets Tantivy delete a document with the next commit.
    fn forget(&self, id: DocumentId) {
        self.words
            .delete_term(Term::from_field_u64(self.handle.fields.document, id.0));
    }

    /// Hands a chunk to Tantivy; the first one of a document with its `record`.
    fn store(
        &self,
        id: DocumentId,
        context: &str,
        chunk: &Chunk,
        hash: &Hash,
        vector_id: u64,
        record: Option<Vec<Vec<u8>>>,
    ) -> Result<()> {
        let row = ChunkRow {
            document: id,
            context,
            chunk,
            hash,
            vector_id,
        };
        let stored = row.to_stored(self.handle.fields, record);
        self.words.add_document(stored.map_err(internal)?)?;
        Ok(())
    }

    /// Hands the record of a document without chunks to Tantivy.
    fn store_record(&self, id: DocumentId, parts: Vec<Vec<u8>>) -> Result<()> {
        let row = record_row(self.handle.fields, id, parts);
        self.words.add_document(row)?;
        Ok(())
    }

    fn add_vector(&mut self, hash: Hash, vector: &[f32]) -> u64 {
        let id = self.next_vector_id;
        self.next_vector_id += 1;
        self.pending.push(id, hash, vector);
        id
    }

    /// Removes a document; false when there is none.
    pub fn delete(&mut self, id: DocumentId) -> Result<bool> {
        self.recover()?;
        let there = match self.pending.document(id) {
            Some(state) => state.is_some(),
            None => self.base.record(id).is_some(),
        };
        if there {
            self.forget(id);
            self.pending.set_document(id, None);
        }
        Ok(there)
    }

    /// Makes everything since the last commit durable and visible at once.
    /// Returns the new generation, or the old one when nothing has changed.
    pub fn commit(&mut self) -> Result<u64> {
        self.recover()?;
        let merged = self.merge.as_ref().is_some_and(Merge::is_done);
        if self.pending.is_empty() && !self.roots_changed() && !merged {
            return Ok(self.base.generation());
        }
        match self.try_commit() {
            Ok(generation) => {
                self.take_over()?;
                self.start_merge()?;
                Ok(generation)
            }
            Err(error) => {
                self.broken = true;
                Err(error)
            }
        }
    }

    /// Goes on from a commit that was just made.
    fn take_over(&mut self) -> Result<()> {
        // Until the snapshot is the new one, nothing may be added to it.
        self.broken = true;
        self.shared.refresh()?;
        self.base = self.shared.snapshot();
        self.broken = false;
        self.start_over();
        Ok(())
    }

    /// Files and folders that the collection was made from, by the prefix of
    /// their documents' URIs.
    pub(crate) fn roots(&self) -> &BTreeMap<String, Root> {
        &self.roots
    }

    /// Replaces them with the next commit.
    pub(crate) fn set_roots(&mut self, roots: BTreeMap<String, Root>) {
        self.roots = roots;
    }

    fn roots_changed(&self) -> bool {
        self.base
            .payload()
            .is_some_and(|payload| payload.roots != self.roots)
    }

    /// Starts to merge vector segments if there is something to merge.
    fn start_merge(&mut self) -> Result<()> {
        if self.merge.is_none() && !self.merge_failed {
            let graph_min_rows = self.shared.settings.graph_min_rows;
            let chosen = segments::plan(&self.base.loads(), graph_min_rows);
            self.merge = self.merge_of(chosen)?;
        }
        Ok(())
    }

    fn merge_of(&self, chosen: Vec<usize>) -> Result<Option<Merge>> {
        if chosen.is_empty() {
            return Ok(None);
        }
        let (base, dir) = (Arc::clone(&self.base), self.shared.vectors_dir());
        Merge::start(base, chosen, &dir, self.build_settings()).map(Some)
    }

    /// Puts the result of a merge that is done into the list. Small segments
    /// are merged at once: a writer that is opened for each change must not
    /// leave more and more of them.
    fn apply_merge(&mut self, vectors: &mut Vec<SegmentMeta>) -> Result<()> {
        let merge = match self.merge.take_if(|merge| merge.is_done()) {
            None if self.merge.is_none() && !self.merge_failed => {
                let graph_min_rows = self.shared.settings.graph_min_rows;
                self.merge_of(segments::gather(&self.base.loads(), graph_min_rows))?
            }
            done => done,
        };
        if let Some(merge) = merge
            && let Err(error) = merge.apply(vectors)
        {
            // The segments that were to be merged are all there still.
            tracing::warn!(%error, "vector segments could not be merged");
            self.merge_failed = true;
        }
        Ok(())
    }

    fn build_settings(&self) -> BuildSettings {
        BuildSettings {
            graph_min_rows: self.shared.settings.graph_min_rows,
            ..BuildSettings::default()
        }
    }

    fn try_commit(&mut self) -> Result<u64> {
        self.flush_vectors()?;
        let mut vectors: Vec<SegmentMeta> = self
            .base
            .payload()
            .map_or_else(Vec::new, |payload| payload.vectors.clone());
        self.apply_merge(&mut vectors)?;
        vectors.extend(self.pending.flushed.iter().map(|(meta, _)| meta.clone()));
        self.commit_with(vectors)
    }

    /// Commits what Tantivy was told, with these vectors.
    fn commit_with(&mut self, vectors: Vec<SegmentMeta>) -> Result<u64> {
        let payload = Payload {
            format: FORMAT,
            created_ns: self
                .base
                .payload()
                .map_or_else(now_ns, |payload| payload.created_ns),
            generation: self.base.generation() + 1,
            embedder: EmbedderEntry {
                id: self.embedder.id().to_owned(),
                dimension: self.embedder.dimension(),
            },
            settings: self.shared.settings.clone(),
            analysis: ANALYSIS,
            vectors,
            next_vector_id: self.next_vector_id,
            roots: self.roots.clone(),
        };
        let json = payload.write()?;
        let commit = || -> tantivy::Result<()> {
            let mut commit = self.words.prepare_commit()?;
            commit.set_payload(&json);
            commit.commit()?;
            Ok(())
        };
        let words_dir = self.shared.dir.join(WORDS_DIR);
        let mut commit = commit;
        commit().map_err(|error| fault::convert(error, &words_dir))?;
        Ok(payload.generation)
    }

    /// Writes the vectors in memory into a segment of their own.
    fn flush_vectors(&mut self) -> Result<()> {
        let (ids, values) = self.pending.in_memory();
        if ids.is_empty() {
            return Ok(());
        }
        let dir = self.shared.vectors_dir();
        // A graph is built by a merge, alongside the work, not inside a commit.
        let settings = BuildSettings {
            graph_min_rows: usize::MAX,
            ..self.build_settings()
        };
        let dimension = self.embedder.dimension();
        let meta = write_segment(&dir, ids, values, dimension, &settings, &Cancel::never())?;
        let segment = Segment::open(&dir, &meta)?;
        self.pending.set_flushed(meta, segment);
        Ok(())
    }

    /// Whether another writer waits for this one to end.
    pub(crate) fn is_wanted(&self) -> bool {
        lock::is_wanted(&self.shared.dir)
    }

    /// Whether vector segments are being merged alongside this writer. The result
    /// is taken over by a `commit` once it is done, and lost with the writer.
    pub fn is_merging(&self) -> bool {
        self.merge.is_some()
    }

    /// Waits until segments that are being merged are merged and committed, and
    /// ends the writer. Dropping it instead leaves them for the next writer.
    pub fn close(mut self) -> Result<()> {
        self.commit()?;
        while let Some(merge) = &self.merge {
            merge.wait();
            self.commit()?;
        }
        Ok(())
    }

    /// As [`Writer::close`], but gives the writer back if merging takes longer than
    /// `patience`. Small segments are merged in milliseconds, large ones into graphs.
    pub fn close_within(mut self, patience: Duration) -> Result<Option<Self>> {
        let end = Instant::now() + patience;
        while let Some(merge) = &self.merge {
            if !merge.wait_until(end) {
                return Ok(Some(self));
            }
            self.commit()?;
        }
        Ok(None)
    }

    /// Goes back to the last commit after a failure.
    fn recover(&mut self) -> Result<()> {
        if self.broken {
            let words_dir = self.shared.dir.join(WORDS_DIR);
            self.words
                .rollback()
                .map_err(|error| fault::convert(error, &words_dir))?;
            self.words.set_merge_policy(Box::new(merge_policy()));
            // A commit that failed late may still have happened.
            self.shared.refresh()?;
            self.base = self.shared.snapshot();
            self.start_over();
            self.broken = false;
        }
        Ok(())
    }
}

/// Tantivy's own, which also writes segments again that are a third dead.
fn merge_policy() -> LogMergePolicy {
    let mut policy = LogMergePolicy::default();
    policy.set_del_docs_ratio_before_merge(0.3);
    policy
}

fn internal(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, "a document cannot be stored").because(error)
}

pub(super) fn now_ns() -> u64 {
    since_epoch().as_nanos() as u64
}

/// The time since 1970, now.
pub(super) fn since_epoch() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}
