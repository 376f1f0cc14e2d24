//! Another model's vectors for what is there. They are made alongside the collection while it
//! is searched and written; then one commit names them and their model. A kill before that
//! leaves the old vectors, whole.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_files::private;
use cairn_models::{Cancel, Embedder};
use tempfile::TempDir;

use super::{Payload, VECTORS_BUFFER_NUM_BYTES, Writer};
use crate::chunk::{again, pool};
use crate::store::lock;
use crate::store::pending::Hash;
use crate::store::{ChunkRef, Index, Snapshot};
use crate::vectors::{BuildSettings, SegmentMeta, write_segment};
use crate::{Error, ErrorKind, Result};

/// Locked by whoever embeds a collection again.
const LOCK_FILE: &str = "re-embed";

/// Beginning of the names of the folders in which that is done.
const PREFIX: &str = ".re-embed-";

/// Chunks that the embedder gets at once. Where no more are left, the writer is waited for.
const BATCH: usize = 256;

/// How often it is looked for what was written meanwhile, before the writer is waited for.
const ROUNDS: usize = 10;

impl Index {
    /// Embeds every chunk with `embedder`, and makes it the one of the collection. Others
    /// search and write until the switch, which waits for the writer for up to `patience`;
    /// then they need the new embedder. `on_done` is told how many chunks are done, and of how
    /// many. Chunks stay as they were cut. Returns the generation with the new vectors.
    ///
    /// # Errors
    /// `Mismatch` for other settings; `Locked` while somebody else does this, or the writer is
    /// not let go of; `Cancelled`, `Model`, and those of the disk. Then the collection is as
    /// it was.
    pub fn re_embed(
        &self,
        embedder: &Arc<dyn Embedder>,
        patience: Duration,
        cancel: &Cancel,
        on_done: &mut dyn FnMut(usize, usize),
    ) -> Result<u64> {
        self.refresh()?;
        let first = self.snapshot();
        let Some(payload) = first.payload() else {
            return Ok(first.generation());
        };
        let is_its = |payload: &Payload| {
            let stored = &payload.embedder;
            stored.id == embedder.id() && stored.dimension == embedder.dimension()
        };
        if is_its(payload) {
            return Ok(first.generation());
        }
        payload.check_settings(self.settings())?;
        let _lock = take(self.dir())?;
        let mut made = Made::new(self.dir())?;
        let mut on_done = |made: &Made, base: &Snapshot| {
            on_done(
                made.hashes.len().min(base.chunk_count()),
                base.chunk_count(),
            );
        };
        for round in 0..ROUNDS {
            self.refresh()?;
            let base = self.snapshot();
            let missing = made.missing(&base);
            if missing.is_empty() || (round > 0 && missing.len() <= BATCH) {
                break;
            }
            made.embed(
                self,
                &base,
                missing,
                embedder.as_ref(),
                cancel,
                &mut on_done,
            )?;
        }

        let check =
            |payload: &Payload, settings: &_, _: &dyn Embedder| payload.check_settings(settings);
        let mut writer = lock::wait_in_line(self.dir(), patience, cancel, || {
            Writer::open(Arc::clone(&self.shared), Arc::clone(embedder), check)
        })?;
        let base = Arc::clone(&writer.base);
        let same = base.payload().is_some_and(|now| {
            now.created_ns == payload.created_ns && now.embedder == payload.embedder
        });
        if !same {
            let message = "the collection was recreated or embedded again meanwhile";
            return Err(Error::new(ErrorKind::Locked, message).at(self.dir()));
        }
        let missing = made.missing(&base);
        made.embed(
            self,
            &base,
            missing,
            embedder.as_ref(),
            cancel,
            &mut on_done,
        )?;
        made.flush(cancel)?;
        for document in 0..base.document_count() {
            cancel.check()?;
            writer.store_again(document, |_, vector_id| {
                made.hashes.get(&vector_id).copied()
            })?;
        }
        let vectors = made.publish(&self.shared.vectors_dir())?;
        let generation = writer.commit_with(vectors)?;
        writer.take_over()?;
        // Segments become a graph now where there are enough of them.
        writer.start_merge()?;
        writer.close()?;
        Ok(generation)
    }
}

/// The lock of whoever embeds again, and no leftovers of one that was killed.
fn take(collection: &Path) -> Result<File> {
    let path = collection.join(LOCK_FILE);
    let at = |error: std::io::Error| Error::from(error).at(&path);
    let options = private::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = options.map_err(at)?;
    if file.try_lock().is_err() {
        let message = "the collection is being embedded again already";
        return Err(Error::new(ErrorKind::Locked, message).at(collection));
    }
    for entry in std::fs::read_dir(collection).map_err(at)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            std::fs::remove_dir_all(entry.path()).map_err(at)?;
        }
    }
    Ok(file)
}

/// New vectors, alongside the collection.
struct Made {
    folder: TempDir,
    segments: Vec<SegmentMeta>,
    /// What was embedded, by the ids of vectors, which stay.
    hashes: HashMap<u64, Hash>,
    /// Rows that are in no segment yet.
    ids: Vec<u64>,
    values: Vec<f32>,
    dimension: usize,
}

impl Made {
    fn new(collection: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(collection);
        Ok(Self {
            folder: folder.map_err(|error| Error::from(error).at(collection))?,
            segments: Vec::new(),
            hashes: HashMap::new(),
            ids: Vec::new(),
            values: Vec::new(),
            dimension: 0,
        })
    }

    /// Chunks that have no new vector, in the order of their vectors' ids.
    fn missing(&self, base: &Snapshot) -> Vec<(u64, ChunkRef)> {
        let mut all = base.by_vector_id();
        all.retain(|(id, _)| !self.hashes.contains_key(id));
        all
    }

    fn embed(
        &mut self,
        index: &Index,
        base: &Snapshot,
        missing: Vec<(u64, ChunkRef)>,
        embedder: &dyn Embedder,
        cancel: &Cancel,
        on_done: &mut dyn FnMut(&Self, &Snapshot),
    ) -> Result<()> {
        self.dimension = embedder.dimension();
        // Ids of a segment ascend, and those of this round may be  before the last one's.
        if !missing.is_empty() {
            self.flush(cancel)?;
        }
        for batch in missing.chunks(BATCH) {
            cancel.check()?;
            let mut texts = Vec::new();
            let mut windows = Vec::new();
            let mut hashes = Vec::new();
            for (_, at) in batch {
                let (inputs, hash) = inputs(index, base, *at, embedder)?;
                windows.push(inputs.len());
                hashes.push(hash);
                texts.extend(inputs);
            }
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let vectors = embedder.embed(&texts, cancel)?;
            if vectors.len() != texts.len() || vectors.iter().any(|v| v.len() != self.dimension) {
                let id = embedder.id();
                let message = format!("{id} did not give one vector for each text");
                return Err(Error::new(ErrorKind::Model, message));
            }
            let mut rest = vectors.as_slice();
            for (((id, _), windows), hash) in batch.iter().zip(windows).zip(hashes) {
                let (own, after) = rest.split_at(windows);
                self.ids.push(*id);
                self.values.extend(pool(own));
                self.hashes.insert(*id, hash);
                rest = after;
            }
            on_done(self, base);
            if self.values.len() * size_of::<f32>() >= VECTORS_BUFFER_NUM_BYTES {
                self.flush(cancel)?;
            }
        }
        Ok(())
    }

    /// Writes the rows in memory into a segment.
    fn flush(&mut self, cancel: &Cancel) -> Result<()> {
        if self.ids.is_empty() {
            return Ok(());
        }
        // A graph is made of all of them, after the switch.
        let settings = BuildSettings {
            graph_min_rows: usize::MAX,
            ..BuildSettings::default()
        };
        let (ids, values) = (
            std::mem::take(&mut self.ids),
            std::mem::take(&mut self.values),
        );
        let folder = self.folder.path();
        let meta = write_segment(folder, &ids, &values, self.dimension, &settings, cancel)?;
        self.segments.push(meta);
        Ok(())
    }

    /// Moves the segments into the collection, where no commit names them yet. Call with the
    /// lock of the writer.
    fn publish(self, vectors: &Path) -> Result<Vec<SegmentMeta>> {
        for meta in &self.segments {
            let (from, to) = (
                self.folder.path().join(&meta.file),
                vectors.join(&meta.file),
            );
            std::fs::rename(&from, &to).map_err(|error| Error::from(error).at(to))?;
        }
        cairn_files::sync_folder(vectors).map_err(|error| Error::from(error).at(vectors))?;
        Ok(self.segments)
    }
}

/// What `embedder` reads of a chunk, and the hash of that.
fn inputs(
    index: &Index,
    base: &Snapshot,
    at: ChunkRef,
    embedder: &dyn Embedder,
) -> Result<(Vec<String>, Hash)> {
    let table = base.document_table();
    let document = table.of_chunk(at);
    let mut chunk = base.stored_chunk(at)?;
    let covered = match table.chunks(document).start < at.0 {
        true => base.stored_chunk(ChunkRef(at.0 - 1))?.span.end,
        false => 0,
    };
    // It is that of other windows, of which there is nothing to learn.
    chunk.hash.clear();
    let title = &table.record(document).title;
    again::inputs(title, &chunk, covered, embedder, index.settings())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cairn_models::TokenSpans;
    use cairn_models::testing::HashEmbedder;

    use super::*;
    use crate::store::tests::writer;
    use crate::{Document, DocumentId, IndexSettings, doctor};

    /// Another model: with other vectors, and fewer dimensions. Runs `during` before each call.
    struct Other<F: Fn(usize) -> cairn_models::Result<()>> {
        calls: AtomicUsize,
        during: F,
    }

    fn other<F: Fn(usize) -> cairn_models::Result<()> + Send + Sync + 'static>(
        during: F,
    ) -> Arc<dyn Embedder> {
        let calls = AtomicUsize::new(0);
        Arc::new(Other { calls, during })
    }

    impl<F: Fn(usize) -> cairn_models::Result<()> + Send + Sync> Embedder for Other<F> {
        fn id(&self) -> &str {
            "other@1"
        }

        fn dimension(&self) -> usize {
            8
        }

        fn window(&self) -> usize {
            HashEmbedder.window()
        }

        fn special_tokens(&self) -> usize {
            HashEmbedder.special_tokens()
        }

        fn embed(&self, texts: &[&str], cancel: &Cancel) -> cairn_models::Result<Vec<Vec<f32>>> {
            (self.during)(self.calls.fetch_add(1, Ordering::SeqCst))?;
            cancel.check()?;
            let vector = |text: &&str| {
                let hash = blake3::hash(text.as_bytes());
                let values = hash.as_bytes()[..8]
                    .iter()
                    .map(|byte| f32::from(*byte) - 127.5);
                let values: Vec<f32> = values.collect();
                let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
                values.iter().map(|value| value / length).collect()
            };
            Ok(texts.iter().map(vector).collect())
        }

        fn token_spans(&self, text: &str) -> cairn_models::Result<TokenSpans> {
            HashEmbedder.token_spans(text)
        }
    }

    fn document(n: usize, text: &str) -> Document {
        Document {
            uri: format!("{n}.md"),
            title: format!("Page {n}"),
            text: format!("{text} {n}. ").repeat(30),
            ..Document::default()
        }
    }

    fn collection(dir: &Path) -> Index {
        let settings = IndexSettings {
            chunk_tokens: 32,
            chunk_overlap: 4,
            ..IndexSettings::default()
        };
        let index = Index::open(dir, settings).unwrap();
        let mut writer = writer(&index);
        let documents = (0..12).map(|n| (document(n, "The kettle boils"), None));
        writer.put(documents.collect(), &Cancel::never()).unwrap();
        writer.commit().unwrap();
        drop(writer);
        index
    }

    fn re_embed(index: &Index, embedder: &Arc<dyn Embedder>) -> Result<u64> {
        let patience = Duration::from_secs(20);
        index.re_embed(embedder, patience, &Cancel::never(), &mut |_, _| ())
    }

    /// Each chunk's vector is what `embedder` makes of it now.
    fn assert_is_of(index: &Index, embedder: &dyn Embedder) {
        let snapshot = index.snapshot();
        assert_eq!(snapshot.embedder_id(), Some(embedder.id()));
        for (_, at) in snapshot.by_vector_id() {
            let (texts, hash) = inputs(index, &snapshot, at, embedder).unwrap();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let made = pool(&embedder.embed(&texts, &Cancel::never()).unwrap());
            assert_eq!(snapshot.vector(at).unwrap(), made);
            let stored = snapshot.stored_chunk(at).unwrap();
            assert_eq!(
                stored.hash,
                blake3::Hash::from_bytes(hash).to_hex().as_str()
            );
        }
        assert!(doctor::check(index.dir()).unwrap().is_healthy());
    }

    #[test]
    fn the_switch_brings_what_was_written_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let index = collection(dir.path());
        let before = index.snapshot();
        let beside = index.clone();
        let new = other(move |call| {
            if call == 0 {
                // Others write with the model of the collection, and search what was there.
                let mut writer = writer(&beside);
                let changed = vec![
                    (document(0, "Another text"), None),
                    (document(40, "New"), None),
                ];
                writer.put(changed, &Cancel::never()).unwrap();
                assert!(writer.delete(DocumentId::of_uri("1.md")).unwrap());
                writer.commit().unwrap();
            }
            Ok(())
        });
        let generation = re_embed(&index, &new).unwrap();
        index.refresh().unwrap();
        let after = index.snapshot();
        assert!(generation > before.generation() + 1 && after.generation() >= generation);
        assert_eq!(after.document_count(), 12);
        assert_is_of(&index, new.as_ref());
        // The old model is no longer the collection's; the new one's vectors are used again.
        let error = index.writer(Arc::new(HashEmbedder)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        let mut writer = index.writer(Arc::clone(&new)).unwrap();
        let same = vec![(document(5, "The kettle boils"), None)];
        let report = writer.put(same, &Cancel::never()).unwrap().remove(0);
        assert_eq!(report.embedded, 0, "{report:?}");
        writer.commit().unwrap();
        drop(writer);
        // Once more is nothing.
        let again = re_embed(&index, &new).unwrap();
        assert_eq!(again, index.snapshot().generation());
        // Whoever still reads the commit before reads it as it was.
        assert_eq!(before.embedder_id(), Some(HashEmbedder.id()));
        before.vector(ChunkRef(0)).unwrap();
    }

    #[test]
    fn what_ends_early_leaves_the_old_vectors_and_no_rubbish() {
        let dir = tempfile::tempdir().unwrap();
        let index = collection(dir.path());
        let leftover = dir.path().join(".re-embed-killed");
        std::fs::create_dir(&leftover).unwrap();
        let broken = other(|_| {
            let cancel = Cancel::default();
            cancel.cancel();
            cancel.check()
        });
        let error = re_embed(&index, &broken).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert!(!leftover.exists());
        assert_is_of(
            &Index::open(dir.path(), index.settings().clone()).unwrap(),
            &HashEmbedder,
        );
        let rubbish = std::fs::read_dir(dir.path()).unwrap().flatten();
        let rubbish = rubbish.filter(|entry| entry.file_name().to_string_lossy().starts_with('.'));
        assert_eq!(rubbish.count(), 0);

        // While one is at it, there is no second.
        let second = index.clone();
        let nested = other(move |_| {
            let error = re_embed(&second, &other(|_| Ok(()))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Locked);
            Ok(())
        });
        re_embed(&index, &nested).unwrap();

        let dir = tempfile::tempdir().unwrap();
        collection(dir.path());
        let settings = IndexSettings {
            chunk_tokens: 64,
            chunk_overlap: 4,
            ..IndexSettings::default()
        };
        let cut_otherwise = Index::open(dir.path(), settings).unwrap();
        let error = re_embed(&cut_otherwise, &other(|_| Ok(()))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        let dir = tempfile::tempdir().unwrap();
        let empty = Index::open(dir.path(), IndexSettings::default()).unwrap();
        assert_eq!(re_embed(&empty, &other(|_| Ok(()))).unwrap(), 0);
    }
}
